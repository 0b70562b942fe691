"""The access log: `access_log_format` compiled once, one line for each RequestFinished.

Formatting is that of the % operator: `%(s)-5s` and `%(D)d` work; the atoms are in atoms.py. The format `json` gives one
object a line.

A line has two ways. While the logger gunicorn.access is as we set it up (`Way.straight`), it goes from the template to
the sinks. As soon as anybody has put a filter, a handler or a formatter there, it goes through that logger as
Gunicorn's lines do: `record.args` is the dict of atoms, `record.getMessage()` the same line.

Rules for editing. A format becomes a template and a tuple of readers; no code is generated.

Cost where it was written (benchmarks/access_log.py): the default format 2.1 us a line, json 2.6; the check of the
logger adds 0.15 to that, the write 1.6. The way through the logger takes 13 us in all.
"""

import contextlib
import json.encoder
import logging
import os
import re
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from ostler.config.usercode import describe_exception
from ostler.errors import ConfigError
from ostler.lifecycle import Observer, RequestFinished
from ostler.logline import escape, fields
from ostler.observe.atoms import LazyAtoms, Reader, TimeStamp, reader, safe, user_of
from ostler.observe.records import Moment

JSON: Final = "json"
"""The access_log_format that is no template."""

_TOKEN: Final = re.compile(r"%(?:%|\(([^()]*)\)([#0 +-]*[0-9]*(?:\.[0-9]+)?)[hlL]?([diouxXeEfFgGsra]))")
_COMPLAIN_EVERY_S: Final = 60.0
_quoted: Final = json.encoder.encode_basestring_ascii
_monotonic = time.monotonic


class AccessFormatError(ConfigError, ValueError):
    """access_log_format cannot be used."""


class AccessFormat(Protocol):
    """What one request's line is made with. `line` is the line; `message` what gives it as `message % atoms`."""

    stamp: TimeStamp

    def line(self, event: RequestFinished) -> str: ...
    def message(self, event: RequestFinished) -> str: ...


class Way(Protocol):
    """Where lines go. `straight` is None when they have to take the way through `logger`."""

    @property
    def logger(self) -> logging.Logger: ...
    def straight(self) -> "tuple[Callable[[str], None], ...] | None": ...


class AccessLog:
    """An observer that writes one line for each request."""

    def __init__(self, access_format: AccessFormat, way: Way, clock: Callable[[], float] = _monotonic) -> None:
        self._format = access_format
        self._way = way
        self._complaints = Complaints(logging.getLogger("gunicorn.error"), clock)

    def request_finished(self, event: RequestFinished) -> None:
        try:
            if (writes := self._way.straight()) is None:
                self._way.logger.info(self._format.message(event), LazyAtoms(event, self._format.stamp))
                return
            line = self._format.line(event)
            for write in writes:
                write(line)
        except Exception as error:  # noqa: BLE001  a border: filters, handlers and what is in the environ are users'
            self._complaints.tell("access log line lost, a filter or handler of gunicorn.access raised", error)


class Complaints:
    """What goes wrong in users' code at each request is told once a minute, with its traceback."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float]) -> None:
        self._log = log
        self._clock = clock
        self._next = float("-inf")
        self._untold = 0

    def tell(self, sentence: str, error: BaseException) -> None:
        self._untold += 1
        now = self._clock()
        if now >= self._next:
            self._next = now + _COMPLAIN_EVERY_S
            times, self._untold = self._untold, 0
            _, text = describe_exception(error)
            self._log.error("%s\n%s", fields(sentence, times=times), text.rstrip("\n"))


class Skipping:
    """An observer that does not hear of requests for certain paths (access_log_skip)."""

    def __init__(self, observer: Observer, paths: Iterable[str]) -> None:
        """paths: whole ones, or beginnings that end in "*"; compared with PATH_INFO."""
        paths = tuple(paths)
        self._observer = observer
        self._whole = frozenset(path for path in paths if not path.endswith("*"))
        self._beginnings = tuple(path[:-1] for path in paths if path.endswith("*"))

    def request_finished(self, event: RequestFinished) -> None:
        path = event.environ.get("PATH_INFO")
        if type(path) is not str:  # refused before there was an environ
            path = event.target.partition("?")[0]
        if path in self._whole or path.startswith(self._beginnings):
            return
        self._observer.request_finished(event)


def compile_format(log_format: str, clock: Callable[[], float] = time.time) -> AccessFormat:
    """Raises AccessFormatError (a ConfigError and a ValueError)."""
    return JsonFormat(clock) if log_format == JSON else Template(log_format, clock)


class Template:
    """A format of atoms."""

    def __init__(self, log_format: str, clock: Callable[[], float]) -> None:
        self.stamp = TimeStamp(clock)
        self._readers, self._plain = _readers(log_format, self.stamp)
        self._template = _TOKEN.sub(lambda token: "%%" if token[1] is None else f"%{token[2]}{token[3]}", log_format)
        # the same with %s everywhere, for numbers that are missing
        self._all_text = _TOKEN.sub(lambda token: "%%" if token[1] is None else "%s", log_format)
        self._named = log_format
        self._named_all_text = _TOKEN.sub(
            lambda token: "%%" if token[1] is None else f"%({token[1]})s", log_format
        )

    def message(self, event: RequestFinished) -> str:
        return self._named_all_text if event.sent is None else self._named

    def line(self, event: RequestFinished) -> str:
        values = [read(event) for read in self._readers]
        if self._plain:
            # One look at all values together is a quarter of the cost of one at each.
            try:
                together = "".join(values)
            except TypeError:  # an application put something else than text into the environ
                return self._carefully(values)
            if together.isascii() and together.isprintable() and '"' not in together:
                return self._template % tuple(values)
        return self._carefully(values)

    def _carefully(self, values: list[Any]) -> str:
        escaped = tuple(value if type(value) is int else safe(str(value)) for value in values)
        try:
            return self._template % escaped
        except TypeError:  # %(B)d, and no response was started
            return self._all_text % escaped


def _readers(log_format: str, stamp: TimeStamp) -> tuple[tuple[Reader, ...], bool]:
    """One for each atom, and whether every one is %(x)s and gives text."""
    readers: list[Reader] = []
    plain = True
    end = 0
    for token in _TOKEN.finditer(log_format):
        _check_literal(log_format, end, token.start())
        end = token.end()
        if token[1] is None:  # %%
            continue
        read, is_number = reader(token[1], stamp)
        if token[3] in "sra":
            readers.append(_as_text(read) if is_number else read)
        elif is_number:
            readers.append(read)
        else:
            raise _error(log_format, token.start(), f"%({token[1]})s, because its value is text")
        plain = plain and token[3] == "s" and not token[2]
    _check_literal(log_format, end, len(log_format))
    return tuple(readers), plain


def _check_literal(log_format: str, start: int, end: int) -> None:
    at = log_format.find("%", start, end)
    if at >= 0:
        raise _error(log_format, at, "an atom such as %(h)s, or %% for a percent sign")


def _error(log_format: str, at: int, expected: str) -> AccessFormatError:
    found = escape(log_format[at : at + 16])
    return AccessFormatError(f'access_log_format: expected {expected}, got "{found}" at character {at + 1}')


def _as_text(read: Reader) -> Reader:
    return lambda event: str(read(event))


class JsonFormat:
    """One object a line, always with the same keys but `request_id`; what is missing is null."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.stamp = TimeStamp(clock)
        self._moment = Moment(clock)

    def message(self, event: RequestFinished) -> str:
        return self.line(event).replace("%", "%%")

    def line(self, event: RequestFinished) -> str:
        # Quoting each text by itself takes 2.6 us a line, json.dumps of a dict 4.7 (benchmarks/access_log.py).
        environ = event.environ
        path, _, query = event.target.partition("?")
        code = event.status[:3]
        sent = "null" if event.sent is None else event.sent
        identity = environ.get("HTTP_X_REQUEST_ID")
        named = "" if identity is None else f',"request_id":{_json(identity)}'
        return (
            f'{{"time":"{self._moment.text()}","remote_addr":{_json(environ.get("REMOTE_ADDR"))}'
            f',"user":{_json(user_of(environ))},"method":{_json(event.method)}'
            f',"path":{_json(environ.get("PATH_INFO", path))},"query":{_json(environ.get("QUERY_STRING", query))}'
            f',"protocol":{_json(event.protocol)},"status":{code if code.isdecimal() else "null"},"bytes":{sent}'
            f',"duration_ms":{event.duration_s * 1000:.3f},"referer":{_json(environ.get("HTTP_REFERER"))}'
            f',"user_agent":{_json(environ.get("HTTP_USER_AGENT"))},"host":{_json(environ.get("HTTP_HOST"))}'
            f',"pid":{os.getpid()}{named}}}'
        )


def _json(value: Any) -> str:
    """An environ's text: bytes as latin-1 (PEP 3333), nearly always UTF-8 in truth."""
    if value is None:
        return "null"
    if type(value) is not str:  # an application put something else there
        value = str(value)
    if not value.isascii():
        with contextlib.suppress(UnicodeError):
            value = value.encode("latin-1").decode("utf-8")
    return _quoted(value)
