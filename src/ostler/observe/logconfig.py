"""logconfig, logconfig_dict, logconfig_json: logging set up by the user (logging.config), without what blocks.

The first one that is set counts, in the order dict, JSON, INI, as in Gunicorn. A dict or a JSON file replaces the
top-level keys of `defaults()`. Handlers of such a configuration are the user's own, with one exception: a
StreamHandler on stdout or stderr would stop requests when its pipe is not drained, so its stream becomes one of our
sinks. (A FileHandler stays as it is: a disk does not block, and when it is full logging tells stderr.)

Rules for editing. A configuration that cannot be applied leaves every logger as it was: `logging.config` works from top
to bottom and stops in the middle, so all of them are remembered before and restored after.
"""

import io
import json
import logging
import logging.config
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

from ostler.errors import ConfigError, reason_of
from ostler.logline import escape
from ostler.observe.handlers import LoggerState, SinkStream
from ostler.observe.losses import DATE_FORMAT
from ostler.observe.records import ACCESS_LOGGER, ERROR_FORMAT, ERROR_LOGGER
from ostler.observe.sinks import LogSink
from ostler.observe.userfiles import all_handlers, all_loggers

_STDOUT: Final = 1
_STDERR: Final = 2


def defaults() -> dict[str, Any]:
    """What a dict or JSON configuration is laid over: its keys replace these. A new object each time."""
    console = {"class": "logging.StreamHandler", "formatter": "generic"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "root": {"level": "INFO", "handlers": ["console"]},
        "loggers": {
            ERROR_LOGGER: {
                "level": "INFO", "handlers": ["error_console"], "propagate": True, "qualname": ERROR_LOGGER
            },
            ACCESS_LOGGER: {"level": "INFO", "handlers": ["console"], "propagate": True, "qualname": ACCESS_LOGGER},
        },
        "handlers": {
            "console": {**console, "stream": "ext://sys.stdout"},
            "error_console": {**console, "stream": "ext://sys.stderr"},
        },
        "formatters": {"generic": {"format": ERROR_FORMAT, "datefmt": DATE_FORMAT, "class": "logging.Formatter"}},
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class LogConfig:
    """A configuration, its file read: two that are equal have the same effect."""

    setting: str  # logconfig, logconfig_dict or logconfig_json
    path: str | None = None
    text: str = ""  # of the file
    mapping: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, ini: str | None, mapping: Mapping[str, Any], json_path: str | None) -> "LogConfig | None":
        """None when nothing is set. Raises ConfigError: the file cannot be read."""
        if mapping:
            return cls("logconfig_dict", mapping=mapping)
        if json_path:
            return cls("logconfig_json", json_path, _read("logconfig_json", json_path))
        if ini:
            return cls("logconfig", ini, _read("logconfig", ini))
        return None

    def apply(self, sink_on: Callable[[int], LogSink] | None = None) -> None:
        """Set logging up. `sink_on`: the sink for descriptor 1 or 2. Raises ConfigError, with nothing changed."""
        before = [LoggerState.of(logger) for logger in all_loggers()]
        kept = {id(handler) for state in before for handler in state.handlers}
        try:
            self._configure()
        except Exception as error:
            _undo(before, kept)
            where = "" if self.path is None else f" {escape(self.path)}"
            raise ConfigError(f"{self.setting}: cannot set up logging{where}: {_reason(error)}") from error
        for handler in all_handlers():
            if sink_on is not None and id(handler) not in kept:
                _unblock(handler, sink_on)

    def _configure(self) -> None:
        match self.setting:
            case "logconfig":
                path = os.path.abspath(self.path or "")
                named = {"__file__": path, "here": os.path.dirname(path)}
                logging.config.fileConfig(
                    io.StringIO(self.text),
                    # "%" in a path would be taken for the start of another name
                    defaults={name: value.replace("%", "%%") for name, value in named.items()},
                    disable_existing_loggers=False,
                )
            case "logconfig_json":
                found = json.loads(self.text)
                if not isinstance(found, dict):
                    raise TypeError(f"expected a JSON object, got {type(found).__name__}")
                logging.config.dictConfig(defaults() | found)
            case _:
                logging.config.dictConfig(defaults() | dict(self.mapping))


def _read(setting: str, path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f"{setting}: cannot read {escape(path)}: {reason_of(error)}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{setting}: expected UTF-8 text in {escape(path)}, got {error}") from None


def _reason(error: BaseException) -> str:
    """logging.config says which handler; what was wrong with it is in the cause."""
    words = f"{type(error).__name__}: {escape(str(error))}"
    if error.__cause__ is not None and str(error.__cause__) not in words:
        words += f" ({type(error.__cause__).__name__}: {escape(str(error.__cause__))})"
    return words


def _undo(before: list[LoggerState], kept: set[int]) -> None:
    for handler in all_handlers():
        if id(handler) not in kept:
            handler.close()
    known = {state.logger for state in before}
    for logger in all_loggers():
        if logger not in known:  # the configuration was the first to name it
            logger.handlers.clear()
    for state in before:
        state.restore()


def _unblock(handler: logging.Handler, sink_on: Callable[[int], LogSink]) -> None:
    if not isinstance(handler, logging.StreamHandler) or isinstance(handler, logging.FileHandler):
        return
    stream: TextIO = handler.stream
    if stream in (sys.stdout, sys.__stdout__):
        handler.setStream(SinkStream(sink_on(_STDOUT), stream))
    elif stream in (sys.stderr, sys.__stderr__):
        handler.setStream(SinkStream(sink_on(_STDERR), stream))
