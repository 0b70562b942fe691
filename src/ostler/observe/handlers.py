"""Between Python's logging and our sinks: the handler of our two loggers, text streams, and the straight way.

Rules for editing. Nothing here waits, and nothing raises into the server, whatever a user's formatter or log call does.
Handlers are marked `_gunicorn`, which subclasses of Gunicorn's Logger look for.
"""

import io
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TextIO

from ostler import real
from ostler.logline import fields
from ostler.observe.records import error_formatter
from ostler.observe.sinks import LogSink
from ostler.observe.syslog import Syslog, SyslogHandler, SyslogSink

_record_factory = logging.getLogRecordFactory
_LogRecord = logging.LogRecord
_INFO: Final = logging.INFO
MESSAGE: Final = "%(message)s"
"""The format of an access line: the message is all of it."""


class SinkStream(io.TextIOBase):
    """A text stream on a sink, for logging's StreamHandlers (whose lock guards it): one write for each record."""

    def __init__(self, sink: LogSink, like: TextIO | None = None) -> None:
        """like: the stream in whose place it stands; formatters ask whether that is a terminal."""
        super().__init__()
        self.sink = sink
        self._like = like
        self._rest = ""  # its end has not come yet

    def write(self, text: str) -> int:
        lines, end, self._rest = (self._rest + text).rpartition("\n")
        if end:
            self.sink.write(lines)
        return len(text)

    def flush(self) -> None:
        if self._rest:
            self.sink.write(self._rest)
            self._rest = ""

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._like is not None and self._like.isatty()

    def fileno(self) -> int:
        return super().fileno() if self._like is None else self._like.fileno()

    def close(self) -> None:
        """It closes nothing: the sink is not its own."""
        self.flush()


class SinkHandler(logging.StreamHandler[Any]):
    """A handler on a sink; applications may hang it on their own loggers too.

    It is a StreamHandler for those who look for one. Given another stream or formatter, it does as any StreamHandler.
    """

    _gunicorn = True

    straight: Callable[[str], None] | None
    """Writes a finished message as the formatter would; None when that takes more than the message."""

    def __init__(self, sink: LogSink, formatter: logging.Formatter) -> None:
        super().__init__(SinkStream(sink))
        self.sink = sink
        self.setFormatter(formatter)
        self.straight = sink.write if type(formatter) is logging.Formatter and formatter._fmt == MESSAGE else None
        self.own_stream, self.own_formatter = self.stream, formatter

    @property
    def as_made(self) -> bool:
        unchanged = self.stream is self.own_stream and self.formatter is self.own_formatter
        return unchanged and not self.level and not self.filters

    def emit(self, record: logging.LogRecord) -> None:
        if self.stream is not self.own_stream:
            super().emit(record)
            return
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - a caller's broken log call; the line says which
            text = fields(
                "log call is broken",
                at=f"{record.pathname}:{record.lineno}",
                error=f"{type(error).__name__}: {error}",
            )
            # not with this handler's formatter: it may be what is broken
            line = error_formatter(as_json=False).format(
                logging.LogRecord(record.name, logging.ERROR, record.pathname, record.lineno, text, None, None)
            )
        self.sink.write(line)


class TaggedHandler(SyslogHandler):
    """To syslog, as `TAG: [PID] MESSAGE`."""

    def __init__(self, syslog: Syslog, tag: str) -> None:
        super().__init__(syslog, tag)
        self.straight = SyslogSink(syslog, tag).write
        self._made_with = self.formatter

    @property
    def as_made(self) -> bool:
        return self.formatter is self._made_with and not self.level and not self.filters


class ErrorStream:
    """wsgi.errors (PEP 3333): what applications write goes to the error log as it is, a whole line at a time."""

    def __init__(self, sink: LogSink, dress: Callable[[str], str] | None = None) -> None:
        """dress: makes of a line what is written in its place."""
        self._sink = sink
        self._dress = dress
        self._line = ""  # its end has not come yet: print() writes text and newline one after the other
        self._lock = real.make_lock()

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._line = (self._line + text).split("\n")
            for line in lines:
                self._put(line)
        return len(text)

    def writelines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.write(text)

    def flush(self) -> None:
        with self._lock:
            if self._line:
                self._put(self._line)
                self._line = ""

    def _put(self, line: str) -> None:
        self._sink.write(line if self._dress is None else self._dress(line))


@dataclass(frozen=True, slots=True)
class LoggerState:
    """All that can be set on a logger, as it was at one moment."""

    logger: logging.Logger
    handlers: tuple[logging.Handler, ...]
    filters: tuple[Any, ...]
    level: int
    propagate: bool
    disabled: bool

    @classmethod
    def of(cls, logger: logging.Logger) -> "LoggerState":
        return cls(
            logger, tuple(logger.handlers), tuple(logger.filters), logger.level, logger.propagate, logger.disabled
        )

    def restore(self) -> None:
        logger = self.logger
        logger.handlers[:] = self.handlers
        logger.filters[:] = self.filters
        logger.setLevel(self.level)
        logger.propagate, logger.disabled = self.propagate, self.disabled


class StraightWay:
    """Whether lines may go straight to the sinks: while the logger is as we set it up, they would end there anyway.

    Asked for each request, because an application may add a filter at any time; so the usual case, one handler, is
    written out: 0.14 us instead of 0.22 (benchmarks/access_log.py).
    """

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger
        self._handlers: list[SinkHandler | TaggedHandler] = []
        self._only: SinkHandler | None = None
        self._own: tuple[object, object] = (None, None)
        self._writes: tuple[Callable[[str], None], ...] | None = None

    def settle(self) -> None:
        """The logger is set up."""
        self._handlers, self._writes, self._only = [], None, None
        if type(self.logger) is not logging.Logger:
            return  # made by somebody's setLoggerClass()
        handlers = self.logger.handlers
        ours = [handler for handler in handlers if isinstance(handler, SinkHandler | TaggedHandler)]
        writes = tuple(handler.straight for handler in ours if handler.straight is not None)
        if writes and len(writes) == len(handlers):
            self._handlers, self._writes = ours, writes
            if len(ours) == 1 and isinstance(ours[0], SinkHandler):
                self._only, self._own = ours[0], (ours[0].own_stream, ours[0].own_formatter)

    def straight(self) -> tuple[Callable[[str], None], ...] | None:
        logger = self.logger
        if (
            logger.handlers != self._handlers
            or logger.filters
            or logger.propagate
            or not logger.isEnabledFor(_INFO)
            or _record_factory() is not _LogRecord
        ):
            return None
        only = self._only
        if only is None:
            return self._writes if all(handler.as_made for handler in self._handlers) else None
        stream, formatter = self._own
        if only.stream is not stream or only.formatter is not formatter or only.level or only.filters:
            return None
        return self._writes
