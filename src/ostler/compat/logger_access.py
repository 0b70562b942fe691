"""How a user's `logger_class` comes to life, and how it hears of requests.

Rules for editing: its code may raise anywhere. While it is set up that is a ConfigError; later the request must not
hear of it.
"""

import logging
import time
from datetime import timedelta
from typing import Any, Final

from ostler.compat.access_views import AccessRequest, AccessResponse
from ostler.compat.glogging import Logger, changes, logs_of
from ostler.errors import ConfigError
from ostler.lifecycle import RequestFinished
from ostler.observe.access import Complaints
from ostler.observe.records import ERROR_LOGGER

# A Logger that has changed none of these has no say in the access log: its lines need not pass through it.
_ABOUT_ACCESS: Final = ("access", "atoms", "atoms_wrapper_class", "access_log_enabled", "now", "_get_user")


def make_logger(logger_class: type, cfg: Any) -> Any:
    """An object of `logger_class`, which may be any class that behaves as `Logger`.

    What it sets up belongs to `cfg._ostler_logs` from then on. Raises ConfigError when it raises, with the loggers as
    they were.
    """
    logs = logs_of(cfg)
    if (install := getattr(logger_class, "install", None)) is not None:
        install()
    try:
        made = logger_class(cfg)
    except Exception as error:
        if logs is not None:
            logs.restore()
        if isinstance(error, ConfigError):
            raise
        name = f"{logger_class.__module__}.{logger_class.__qualname__}"
        raise ConfigError(f"logger_class: {name} cannot be set up: {type(error).__name__}: {error}") from error
    if logs is not None:
        logs.remember()
    return made


class LoggerAccess:
    """An observer that tells `logger.access` of each request, for a logger that has its own ideas of that."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._complaints = Complaints(logging.getLogger(ERROR_LOGGER), time.monotonic)

    @staticmethod
    def wanted(logger: Any) -> bool:
        """Whether `logger` does anything else with a request than `Logger` does."""
        if not isinstance(logger, Logger):
            return True
        return any(changes(logger, name) for name in _ABOUT_ACCESS)

    def request_finished(self, event: RequestFinished) -> None:
        try:
            request = AccessRequest(event)
            lasted = timedelta(seconds=event.duration_s)
            self._logger.access(AccessResponse(event), request, request.environ, lasted)
        except Exception as error:  # noqa: BLE001  a border: the request must not hear of it
            self._complaints.tell("access log line lost, the logger_class raised", error)
