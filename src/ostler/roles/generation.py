"""A generation as the master keeps it: everything its processes are started from, pinned for their respawns.

Rules for editing: made whole or not at all; whoever makes one closes what it opened when it cannot finish.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ostler.config.settings import Settings
from ostler.errors import ConfigError
from ostler.observe.logs import Logs
from ostler.observe.scoreboard import Scoreboard
from ostler.process.listeners import Listener, rebind
from ostler.supervisor.policy import GenerationSpec

# The page pool: every worker with a successor and a few that drain, and room for TTIN and reloads with more workers.
_PAGES_PER_WORKER: Final = 4
_SPARE_PAGES: Final = 64


@dataclass(frozen=True, slots=True)
class Generation:
    """Kept for as long as a process of it lives or may be started.

    chdir and pythonpath are in the settings and applied by the worker; environ and sys_path are as the configuration
    file left them. (The settings pin the hooks.)
    """

    number: int
    settings: Settings
    listeners: tuple[Listener, ...]
    logs: Logs
    scoreboard: Scoreboard
    environ: dict[str, str]
    sys_path: tuple[str, ...]

    @property
    def spec(self) -> GenerationSpec:
        """What the supervisor needs to know of it."""
        return GenerationSpec(
            number=self.number,
            workers=self.settings.workers,
            timeout_s=self.settings.timeout,
            graceful_timeout_s=self.settings.graceful_timeout,
            boot_timeout_s=self.settings.boot_timeout,
        )


def open_logs(settings: Settings) -> Logs:
    """Raises ConfigError."""
    return Logs(
        errorlog=settings.errorlog,
        accesslog=settings.accesslog,
        loglevel=settings.loglevel,
        capture_output=settings.capture_output,
    )


def first_generation(settings: Settings, listeners: tuple[Listener, ...], logs: Logs) -> Generation:
    pages = settings.workers * _PAGES_PER_WORKER + _SPARE_PAGES
    board = Scoreboard(pages, max(1, settings.threads))
    return Generation(1, settings, listeners, logs, board, dict(os.environ), tuple(sys.path))


def next_generation(number: int, settings: Settings, newest: Generation, living: Sequence[Listener]) -> Generation:
    """living: the listeners there are. Raises BindError or ConfigError, and has changed nothing then."""
    listeners = rebind(living, settings.bind, settings.backlog)
    try:
        same = _log_settings(settings) == _log_settings(newest.settings)
        logs = newest.logs if same else open_logs(settings)
    except ConfigError:
        for listener in listeners:
            if listener not in living:
                listener.close()
                listener.unlink()
        raise
    # Rows are per thread: more threads need wider pages. Page numbers stay those of the supervisor's one pool.
    board = newest.scoreboard
    if settings.threads > newest.settings.threads:
        board = Scoreboard(board.pages, settings.threads)
    return Generation(number, settings, listeners, logs, board, dict(os.environ), tuple(sys.path))


def _log_settings(settings: Settings) -> tuple[object, ...]:
    return (settings.errorlog, settings.accesslog, settings.loglevel, settings.capture_output)
