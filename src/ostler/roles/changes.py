"""`reload`: what of an application's files is watched, in its worker.

Rules for editing: for development; how files are watched is process/watch.py.
"""

import logging
from collections.abc import Callable

from ostler.app.loader import parse_app
from ostler.config.settings import Settings
from ostler.process.watch import Watcher


def watch_files(settings: Settings, changed: Callable[[str], None], log: logging.Logger) -> Watcher:
    """Watch from now on. `changed` hears of the first change, in a thread."""
    log.warning("reload is on; use it in development only")
    watcher = Watcher(
        changed,
        package=parse_app(settings.wsgi_app).module if settings.wsgi_app else None,
        engine=settings.reload_engine,
        extra_files=settings.reload_extra_files,
        notice=log.warning,
    )
    watcher.start()
    return watcher
