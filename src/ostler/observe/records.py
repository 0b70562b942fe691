"""How a record of the error log reads: Gunicorn's text, or one JSON object a line (error_log_json).

    {"time": "2026-11-21T10:27:18.123+00:00", "level": "INFO", "logger": "gunicorn.error", "pid": 42,
     "message": "worker ready slot=0", ...the record's extra fields..., "exc": "Traceback ...", "stack": "..."}

Rules for editing. Formatting may raise only what the caller's own log call raises (`"%d" % "four"`); an extra field
that is no JSON is left out. All beyond ASCII is escaped, so that no text can end a line. Times are RFC 3339, local.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from ostler.logline import fields
from ostler.observe.losses import DATE_FORMAT

ERROR_LOGGER: Final = "gunicorn.error"  # the names that applications and libraries look up
ACCESS_LOGGER: Final = "gunicorn.access"
ERROR_STREAM: Final = "wsgi.errors"

LEVELS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "critical": logging.CRITICAL,
        "error": logging.ERROR,
        "warning": logging.WARNING,
        "info": logging.INFO,
        "debug": logging.DEBUG,
    }
)
ERROR_FORMAT: Final = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"

_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def error_formatter(as_json: bool) -> logging.Formatter:
    return JsonFormatter() if as_json else logging.Formatter(ERROR_FORMAT, DATE_FORMAT)


class JsonFormatter(logging.Formatter):
    """One object a line. It has no settings; a `logconfig` may name it too."""

    def __init__(self) -> None:
        super().__init__()

    def format(self, record: logging.LogRecord) -> str:
        shown: dict[str, Any] = {
            "time": moment(record.created),
            "level": record.levelname,
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        for name, value in vars(record).items():
            if name not in _USUAL and name not in shown and _is_json(value):
                shown[name] = value
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            shown["exc"] = record.exc_text
        if record.stack_info:
            shown["stack"] = self.formatStack(record.stack_info)
        return json.dumps(shown)


def error_stream_line(text: str) -> str:
    """A line that an application wrote to wsgi.errors, as an object of its own."""
    return _line(ERROR_STREAM, text)


def loss_line(lines: int) -> str:
    """Stands in a log for lines that are missing there."""
    return _line(ERROR_LOGGER, fields("log lines dropped here", lines=lines))


def _line(logger: str, message: str) -> str:
    return json.dumps(
        {"time": moment(time.time()), "level": "ERROR", "logger": logger, "pid": os.getpid(), "message": message}
    )


def _is_json(value: object) -> bool:
    if value is None or isinstance(value, str | int):
        return True
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def moment(seconds: float) -> str:
    """2026-11-21T10:27:18.123+00:00"""
    whole, thousandths = divmod(int(seconds * 1000), 1000)
    second, offset = _second(whole)
    return f"{second}.{thousandths:03d}{offset}"


class Moment:
    """The time now, its date formatted once a second."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: tuple[int, str, str] = (-1, "", "")  # replaced whole: threads share it

    def text(self) -> str:
        now, thousandths = divmod(int(self._clock() * 1000), 1000)
        whole, second, offset = self._last
        if now != whole:
            second, offset = _second(now)
            self._last = (now, second, offset)
        return f"{second}.{thousandths:03d}{offset}"


def _second(whole: int) -> tuple[str, str]:
    local = time.localtime(whole)
    zone = time.strftime("%z", local)
    return time.strftime("%Y-%m-%dT%H:%M:%S", local), f"{zone[:3]}:{zone[3:]}"
