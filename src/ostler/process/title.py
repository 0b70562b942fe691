"""The name of a process in `ps` and `top`, with the optional package setproctitle; without it nothing happens.

The package is imported with this module, and asked once: it moves the environment to another place in memory when it is
used first, which must come before anything changes os.environ (Gunicorn's issue 3430).

Rules for editing: tools (Airflow, Instana, monitoring that reads `ps`) look for Gunicorn's titles, which the callers
give: `gunicorn: master [NAME]` and `gunicorn: worker [NAME]`.
"""

import importlib
import sys
from collections.abc import Callable
from typing import Final


def _find() -> Callable[[str], object] | None:
    if sys.platform == "darwin":
        return None  # it crashes there in forked processes (Gunicorn's issue 3021)
    try:
        package = importlib.import_module("setproctitle")
        package.getproctitle()
        found: Callable[[str], object] = package.setproctitle
    except (ImportError, AttributeError):
        return None
    return found


_set: Final = _find()


def set_title(text: str) -> bool:
    """Name this process; False when setproctitle is not installed."""
    if _set is None:
        return False
    _set(text.replace("\0", ""))
    return True
