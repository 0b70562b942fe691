"""The error log and the file behind the access log: where lines go, and what happens when they cannot.

Rules for editing. A line is one os.write to a descriptor opened with O_APPEND, so that lines of many processes do
not mix (write(2)). Writing never raises into the server: on a full or failing disk a line is dropped and
counted, and stderr hears of it at most once a minute. A descriptor keeps its number for life, reopening dup2s the
new file over it, so that no writing thread needs a lock or sees a closed file.
How a line reads is in logline.py.
"""

import contextlib
import errno
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from ostler.errors import ConfigError, reason_of
from ostler.logline import escape, fields

ERROR_LOGGER = "gunicorn.error"  # the name that applications and libraries look up
_LEVELS = {
    "critical": logging.CRITICAL,
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}
_FORMAT = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
_DATE_FORMAT = "[%Y-%m-%d %H:%M:%S %z]"
_STDOUT, _STDERR = 1, 2
_COMPLAIN_EVERY_S = 60.0


class LogSink(Protocol):
    """Takes whole lines without their end; never raises, callable from any thread."""

    def write(self, line: str) -> None: ...


class LogFile:
    """A sink on a descriptor. `console`: the descriptor that hears of dropped lines."""

    def __init__(self, fd: int, name: str, console: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.fd = fd
        self.name = name
        self.dropped = 0  # lines, in the life of this process
        self._reported = 0
        self._next_report = float("-inf")
        self._torn = False
        self.console = console
        self._clock = clock

    def write(self, line: str) -> None:
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        if self._torn:  # the last line stopped half way: end it, else this one would be glued to it
            data = b"\n" + data
        try:
            written = os.write(self.fd, data)
            if written < len(data):  # a signal or an almost full disk; the rest tells which
                self._torn = True
                while written < len(data):
                    written += os.write(self.fd, data[written:])
            self._torn = False
        except OSError as error:
            self.dropped += 1
            self._report("log lines dropped", error=reason_of(error))
        else:
            if self.dropped > self._reported:
                self._report("log lines dropped, the file takes lines again")

    def _report(self, sentence: str, **cause: object) -> None:
        now = self._clock()
        if now < self._next_report:
            return
        self._next_report = now + _COMPLAIN_EVERY_S
        lines, self._reported = self.dropped - self._reported, self.dropped
        message = fields(sentence, file=self.name, lines=lines, **cause)
        stamp = time.strftime(_DATE_FORMAT)
        with contextlib.suppress(OSError):  # nowhere is left to say it; the count stays
            os.write(self.console, f"{stamp} [{os.getpid()}] [ERROR] {message}\n".encode())


class SinkHandler(logging.Handler):
    """The handler of gunicorn.error; applications may hang it on their own loggers too."""

    def __init__(self, sink: LogFile) -> None:
        super().__init__()
        self.sink = sink
        self.setFormatter(logging.Formatter(_FORMAT, _DATE_FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - a caller's broken log call; the line says which
            text = fields(
                "log call is broken",
                at=f"{record.pathname}:{record.lineno}",
                error=f"{type(error).__name__}: {error}",
            )
            line = self.format(
                logging.LogRecord(record.name, logging.ERROR, record.pathname, record.lineno, text, None, None)
            )
        self.sink.write(line)


class ErrorStream:
    """wsgi.errors (PEP 3333): what applications write goes to the error log as it is, a whole line at a time."""

    def __init__(self, sink: LogSink) -> None:
        self._sink = sink
        self._line = ""  # its end has not come yet: print() writes text and newline one after the other
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._line = (self._line + text).split("\n")
            for line in lines:
                self._sink.write(line)
        return len(text)

    def writelines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.write(text)

    def flush(self) -> None:
        with self._lock:
            if self._line:
                self._sink.write(self._line)
                self._line = ""


class Logs:
    """All log files of one generation.

    `error`: the error log. `error_stream`: the same for raw text. `access`: takes access-log lines, None when off.
    """

    def __init__(
        self,
        *,
        errorlog: str,
        accesslog: str | None,
        loglevel: str,
        capture_output: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the files, then install(). Raises ConfigError, and has changed nothing then."""
        if loglevel.lower() not in _LEVELS:
            raise ConfigError(f'loglevel: expected one of {", ".join(_LEVELS)}, got "{escape(loglevel)}"')
        self._level = _LEVELS[loglevel.lower()]
        self._capture = capture_output and errorlog != "-"
        self._clock = clock
        self._opened: list[LogFile] = []
        self.error = logging.getLogger(ERROR_LOGGER)
        console = self._former_console()
        try:
            self._error_file = self._open("errorlog", errorlog, console, console)
            self._access_file = None if accesslog is None else self._open("accesslog", accesslog, _STDOUT, console)
        except ConfigError:
            self.close()
            raise
        self.access: LogSink | None = self._access_file
        self.error_stream = ErrorStream(self._error_file)
        self._handler = SinkHandler(self._error_file)
        self.install()

    def install(self) -> None:
        """Make these the logs of this process; they replace those of another generation."""
        for handler in self._sink_handlers():
            self.error.removeHandler(handler)
        self.error.addHandler(self._handler)
        self.error.setLevel(self._level)
        self.error.propagate = False
        self._capture_output()

    def reopen(self) -> None:
        """USR1: open each file by its name again. One that cannot be opened is kept as it is, and the log says so."""
        for log_file in self._opened:
            try:
                fd = _open_to_append(log_file.name)
            except OSError as error:
                reason = _reason(error, log_file.name)
                self.error.error(
                    fields("log file not reopened, the former one is kept", file=log_file.name, error=reason)
                )
                continue
            os.dup2(fd, log_file.fd, inheritable=False)
            os.close(fd)
        self._capture_output()

    def close(self) -> None:
        """Close the files that were opened by name; for a generation of which nothing is left."""
        for log_file in self._opened:
            os.close(log_file.fd)
            log_file.fd = -1  # a late line is dropped, and not written to whoever gets the number next
        self._opened.clear()

    def _open(self, setting: str, path: str, standard: int, console: int) -> LogFile:
        if path == "-":
            return LogFile(standard, "-", console, self._clock)
        path = os.path.abspath(path)  # a later chdir must not move the log when it is reopened
        try:
            fd = _open_to_append(path)
        except OSError as error:
            raise ConfigError(f"{setting}: cannot open {escape(path)}: {_reason(error, path)}") from None
        log_file = LogFile(fd, path, console, self._clock)
        self._opened.append(log_file)
        return log_file

    def _sink_handlers(self) -> list[SinkHandler]:
        return [handler for handler in self.error.handlers if isinstance(handler, SinkHandler)]

    def _former_console(self) -> int:
        """The stderr that the server was started with, also after another generation captured fd 2."""
        for handler in self._sink_handlers():
            return handler.sink.console
        return _STDERR

    def _capture_output(self) -> None:
        if not self._capture:
            return
        self._keep_console()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # a full disk behind it, or the application closed it
                if stream is not None:
                    stream.flush()
        for standard in (_STDOUT, _STDERR):
            os.dup2(self._error_file.fd, standard)

    def _keep_console(self) -> None:
        """Before fd 2 becomes the error log: that a file cannot be written must be said elsewhere than in it."""
        if self._error_file.console != _STDERR:
            return
        with contextlib.suppress(OSError):  # started with stderr closed: then there is nowhere else
            self._error_file.console = os.dup(_STDERR)
            if self._access_file is not None:
                self._access_file.console = self._error_file.console


def _open_to_append(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY, 0o666)


def _reason(error: OSError, path: str) -> str:
    """The system's words and what to do about them."""
    words = reason_of(error)
    match error.errno:
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"{words} (uid {os.geteuid()} needs to write to the file and to search its directory)"
        case errno.ENOENT | errno.ENOTDIR:
            return f"{words} (expected a directory at {escape(os.path.dirname(path))})"
        case errno.EISDIR:
            return f"{words} (expected a file)"
        case _:
            return words
