"""The access log: `access_log_format` compiled once, one line for each RequestFinished.

The atoms are Gunicorn's, with its values: h l u t r m U q H s B b f a T D M L p, {field}i, {field}o, {variable}e.
Unknown or missing ones are "-". Formatting is that of the % operator: `%(s)-5s` and `%(D)d` work.

Rules for editing. A format becomes a template and a tuple of readers; no code is generated. No text of a client may
end a line or a quoted value: quotes are escaped as Gunicorn does, and unlike there also whatever is not printable or
beyond latin-1. Readers return what they find, escaping happens in one place behind them.

Cost where it was written (benchmarks/access_log.py): the default format 1.9 us a line, 3.2 us with the write.
"""

import base64
import binascii
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ostler.errors import ConfigError
from ostler.lifecycle import RequestFinished
from ostler.logline import escape
from ostler.observe.logs import LogSink

# What it finds is text or a number; values of the environ may be anything that an application put there.
Reader = Callable[[RequestFinished], Any]

_MISSING: Final = "-"
_TOKEN: Final = re.compile(r"%(?:%|\(([^()]*)\)([#0 +-]*[0-9]*(?:\.[0-9]+)?)[hlL]?([diouxXeEfFgGsra]))")
_BRACED: Final = re.compile(r"\{(.*)\}([ioe])", re.IGNORECASE | re.DOTALL)


class AccessFormatError(ConfigError, ValueError):
    """access_log_format cannot be used."""


class AccessLog:
    """An observer that writes one line for each request."""

    def __init__(self, log_format: str, sink: LogSink, clock: Callable[[], float] = time.time) -> None:
        """Raises AccessFormatError (a ConfigError and a ValueError)."""
        self._format = _compile(log_format, clock)
        self._sink = sink

    def request_finished(self, event: RequestFinished) -> None:
        self._sink.write(self._format.line(event))


@dataclass(frozen=True, slots=True)
class _Format:
    readers: tuple[Reader, ...]
    template: str
    all_text: str  # the same with %s everywhere, for numbers that are missing
    plain: bool  # every atom is %(x)s and every value text

    def line(self, event: RequestFinished) -> str:
        values = [read(event) for read in self.readers]
        if self.plain:
            # One look at all values together is a quarter of the cost of one at each.
            try:
                together = "".join(values)
            except TypeError:  # an application put something else than text into the environ
                return self._carefully(values)
            if together.isascii() and together.isprintable() and '"' not in together:
                return self.template % tuple(values)
        return self._carefully(values)

    def _carefully(self, values: list[Any]) -> str:
        safe = tuple(value if type(value) is int else _safe(str(value)) for value in values)
        try:
            return self.template % safe
        except TypeError:  # %(B)d, and no response was started
            return self.all_text % safe


def _safe(text: str) -> str:
    """No quote, no control character, nothing beyond latin-1 as it is."""
    text = escape(text)
    if not text.isascii():
        text = "".join(each if each <= "\xff" else each.encode("unicode_escape").decode("ascii") for each in text)
    return text.replace('"', '\\"')


def _compile(log_format: str, clock: Callable[[], float]) -> _Format:
    readers: list[Reader] = []
    plain = True
    end = 0
    for token in _TOKEN.finditer(log_format):
        _check_literal(log_format, end, token.start())
        end = token.end()
        if token[1] is None:  # %%
            continue
        read, is_number = _reader(token[1], clock)
        if token[3] in "sra":
            readers.append(_as_text(read) if is_number else read)
        elif is_number:
            readers.append(read)
        else:
            raise _error(log_format, token.start(), f"%({token[1]})s, because its value is text")
        plain = plain and token[3] == "s" and not token[2]
    _check_literal(log_format, end, len(log_format))
    return _Format(
        readers=tuple(readers),
        template=_TOKEN.sub(lambda token: "%%" if token[1] is None else f"%{token[2]}{token[3]}", log_format),
        all_text=_TOKEN.sub(lambda token: "%%" if token[1] is None else "%s", log_format),
        plain=plain,
    )


def _check_literal(log_format: str, start: int, end: int) -> None:
    at = log_format.find("%", start, end)
    if at >= 0:
        raise _error(log_format, at, "an atom such as %(h)s, or %% for a percent sign")


def _error(log_format: str, at: int, expected: str) -> AccessFormatError:
    found = escape(log_format[at : at + 16])
    return AccessFormatError(f'access_log_format: expected {expected}, got "{found}" at character {at + 1}')


def _reader(name: str, clock: Callable[[], float]) -> tuple[Reader, bool]:
    """What reads the atom `name`, and whether it gives a number."""
    if name == "t":
        return _TimeStamp(clock).read, False
    if name in _NUMBERS:
        return _NUMBERS[name], True
    if name in _TEXTS:
        return _TEXTS[name], False
    match = _BRACED.fullmatch(name)
    if match is None:
        return lambda _event: _MISSING, False
    match match[2].lower():
        case "i":
            return _request_field(match[1].lower()), False
        case "o":
            return _response_field(match[1].lower()), False
        case _:
            return _variable(match[1]), False


def _as_text(read: Reader) -> Reader:
    return lambda event: str(read(event))


def _request_field(wanted: str) -> Reader:
    def read(event: RequestFinished) -> str:
        found = _MISSING
        for name, value in event.request_fields:
            if name == wanted:
                found = value  # the last one counts
        return found

    return read


def _response_field(wanted: str) -> Reader:
    def read(event: RequestFinished) -> str:
        found = _MISSING
        for name, value in event.response_fields:
            if name.lower() == wanted:
                found = value
        return found

    return read


def _variable(name: str) -> Reader:
    # Gunicorn compares names without case; keys are upper case (CGI) or lower case (wsgi.*), or as written
    spellings = dict.fromkeys((name, name.upper(), name.lower()))

    def read(event: RequestFinished) -> Any:
        for spelling in spellings:
            if spelling in event.environ:
                return event.environ[spelling]
        return _MISSING

    return read


class _TimeStamp:
    """[21/Nov/2026:10:27:18 +0000], formatted once a second (strftime takes 3 us)."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: tuple[int, str] = (-1, "")  # replaced whole: threads share it

    def read(self, _event: RequestFinished) -> str:
        second, text = self._last
        now = int(self._clock())
        if now != second:
            text = time.strftime("[%d/%b/%Y:%H:%M:%S %z]", time.localtime(now))
            self._last = (now, text)
        return text


def _user(event: RequestFinished) -> str:
    """The name in Basic credentials (RFC 7617)."""
    credentials = event.environ.get("HTTP_AUTHORIZATION")
    if not isinstance(credentials, str) or not credentials.lower().startswith("basic"):
        return _MISSING
    try:
        decoded = base64.b64decode(credentials.partition(" ")[2].strip().encode("utf-8"))
        return decoded.partition(b":")[0].decode("utf-8") or _MISSING
    except (binascii.Error, UnicodeError):
        return _MISSING


def _microseconds(event: RequestFinished) -> int:
    return round(event.duration_s * 1_000_000)


def _decimal_seconds(event: RequestFinished) -> str:
    seconds, microseconds = divmod(_microseconds(event), 1_000_000)
    return f"{seconds}.{microseconds:06d}"


_NUMBERS: Final[dict[str, Reader]] = {
    "B": lambda event: _MISSING if event.sent is None else event.sent,
    "T": lambda event: _microseconds(event) // 1_000_000,
    "D": _microseconds,
    "M": lambda event: _microseconds(event) // 1_000,
}

_TEXTS: Final[dict[str, Reader]] = {
    "h": lambda event: event.environ.get("REMOTE_ADDR", _MISSING),
    "l": lambda event: _MISSING,
    "u": _user,
    "r": lambda event: f"{event.method} {event.target} {event.protocol}",
    "s": lambda event: event.status.partition(" ")[0],
    "m": lambda event: event.method,
    "U": lambda event: event.environ.get("PATH_INFO", _MISSING),
    "q": lambda event: event.environ.get("QUERY_STRING", _MISSING),
    "H": lambda event: event.protocol,
    "b": lambda event: _MISSING if event.sent is None else str(event.sent),
    "f": lambda event: event.environ.get("HTTP_REFERER", _MISSING),
    "a": lambda event: event.environ.get("HTTP_USER_AGENT", _MISSING),
    "L": _decimal_seconds,
    "p": lambda event: f"<{os.getpid()}>",
}
