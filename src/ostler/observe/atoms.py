"""The atoms of the access log: what each says of a request, one by one, or all as the dict that is `record.args`.

They are Gunicorn's, with its values and types: h l u t r m U q H s b f a L p are text, B T D M numbers, {field}i,
{field}o and {variable}e what the request, the response and the environ hold. Unknown or missing ones are "-".

Rules for editing. Readers return what they find, escaping (`safe`) happens behind them: no text of a client may end a
line or a quoted value. Quotes are escaped as Gunicorn does, and unlike there also whatever is not printable or beyond
latin-1. `LazyAtoms` must behave as a filled dict for everybody, including the C code behind json, copy and pickle.
"""

import base64
import binascii
import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, SupportsIndex

from ostler.lifecycle import RequestFinished
from ostler.logline import escape

# What it finds is text or a number; values of the environ may be anything that an application put there.
Reader = Callable[[RequestFinished], Any]

MISSING: Final = "-"
_BRACED: Final = re.compile(r"\{(.*)\}([ioe])", re.IGNORECASE | re.DOTALL)


def safe(text: str) -> str:
    """No quote, no backslash, no control character, nothing beyond latin-1 as it is: nobody writes a line but us.

    (Gunicorn lets the backslash pass, and so a client end its field with one before a quote.)
    """
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    if text.isascii() and text.isprintable():
        return text.replace('"', '\\"')
    text = escape(text)
    if not text.isascii():
        text = "".join(each if each <= "\xff" else each.encode("unicode_escape").decode("ascii") for each in text)
    return text.replace('"', '\\"')


class TimeStamp:
    """[21/Nov/2026:10:27:18 +0000], formatted once a second (strftime takes 3 us)."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._last: tuple[int, str] = (-1, "")  # replaced whole: threads share it

    def read(self, _event: object = None) -> str:
        second, text = self._last
        now = int(self._clock())
        if now != second:
            text = time.strftime("[%d/%b/%Y:%H:%M:%S %z]", time.localtime(now))
            self._last = (now, text)
        return text


def reader(name: str, stamp: TimeStamp) -> tuple[Reader, bool]:
    """What reads the atom `name`, and whether it gives a number."""
    if name == "t":
        return stamp.read, False
    if name in _NUMBERS:
        return _NUMBERS[name], True
    if name in _TEXTS:
        return _TEXTS[name], False
    match = _BRACED.fullmatch(name)
    if match is None:
        return lambda _event: MISSING, False
    match match[2].lower():
        case "i":
            return _request_field(match[1].lower()), False
        case "o":
            return _response_field(match[1].lower()), False
        case _:
            return _variable(match[1]), False


class SafeAtoms(dict[str, Any]):
    """Atoms by name: text is safe to print, a name in braces is found in any case, a missing one is "-"."""

    def __init__(self, atoms: Mapping[str, Any]) -> None:
        super().__init__({name: safe(value) if isinstance(value, str) else value for name, value in atoms.items()})

    def __missing__(self, name: str) -> Any:
        if name.startswith("{") and name != (lower := name.lower()):
            return self[lower]
        return MISSING


class LazyAtoms(SafeAtoms):
    """The atoms of one request, each made when it is asked for, all when somebody looks at the whole.

    Gunicorn builds about sixty for each request; a filter or a formatter reads one to ten.
    """

    __slots__ = ("_event", "_whole")

    def __init__(self, event: RequestFinished, stamp: TimeStamp) -> None:
        # The time is now, whenever a handler looks at it. (json's C code takes a dict without any entry for empty.)
        dict.__init__(self, t=stamp.read())
        self._event = event
        self._whole = False

    def __missing__(self, name: str) -> Any:
        try:
            return self._find(name)
        except KeyError:
            return super().__missing__(name)

    def __bool__(self) -> bool:  # logging asks, and must not fill it
        return True

    def get(self, name: str, default: Any = None) -> Any:
        if dict.__contains__(self, name):
            return dict.__getitem__(self, name)
        try:
            return self._find(name)
        except KeyError:
            return default

    def __contains__(self, name: object) -> bool:
        absent = object()
        return isinstance(name, str) and self.get(name, absent) is not absent

    def __reduce_ex__(self, _protocol: SupportsIndex) -> Any:
        return _plain, (dict(self),)

    def _find(self, name: str) -> Any:
        if self._whole:
            raise KeyError(name)
        event = self._event
        read = _ALL.get(name)
        value = _braced(event, name) if read is None else read(event)
        if isinstance(value, str):
            value = safe(value)
        self[name] = value
        return value

    def _fill(self) -> None:
        if self._whole:
            return
        event = self._event
        found = {name: read(event) for name, read in _ALL.items()}
        found |= {f"{{{name.lower()}}}i": value for name, value in event.request_fields}
        found |= {f"{{{name.lower()}}}o": value for name, value in event.response_fields}
        found |= {f"{{{name.lower()}}}e": value for name, value in event.environ.items()}
        self._whole = True
        for name, value in found.items():
            if not dict.__contains__(self, name):  # what somebody has set stays
                self[name] = safe(value) if isinstance(value, str) else value


def _filled(name: str) -> Callable[..., Any]:
    method = getattr(dict, name)

    def of_the_whole(atoms: LazyAtoms, *arguments: Any, **options: Any) -> Any:
        for each in (atoms, *arguments):
            if isinstance(each, LazyAtoms):
                each._fill()
        return method(atoms, *arguments, **options)

    return of_the_whole


for _name in (
    "__iter__", "__len__", "__eq__", "__ne__", "__or__", "__ror__", "__repr__", "__reversed__", "__delitem__",
    "keys", "values", "items", "pop", "popitem", "setdefault", "copy", "clear",
):  # fmt: skip
    setattr(LazyAtoms, _name, _filled(_name))


def _plain(atoms: dict[str, Any]) -> SafeAtoms:
    """Copied or unpickled atoms: escaped already, and no request behind them."""
    copied = SafeAtoms({})
    copied.update(atoms)
    return copied


def _braced(event: RequestFinished, name: str) -> Any:
    """The field or variable of a name such as {x-request-id}i. Raises KeyError when there is none."""
    match = _BRACED.fullmatch(name)
    if match is None or name != name.lower():
        raise KeyError(name)
    wanted = match[1]
    match match[2]:
        case "i":
            found = [value for field, value in event.request_fields if field == wanted]
        case "o":
            found = [value for field, value in event.response_fields if field.lower() == wanted]
        case _:
            upper = wanted.upper()  # of nearly all: CGI's names
            environ = event.environ
            if upper in environ:
                return environ[upper]
            found = [value for variable, value in environ.items() if variable.lower() == wanted]
    if not found:
        raise KeyError(name)
    return found[-1]


def _request_field(wanted: str) -> Reader:
    def read(event: RequestFinished) -> str:
        found = MISSING
        for name, value in event.request_fields:
            if name == wanted:
                found = value  # the last one counts
        return found

    return read


def _response_field(wanted: str) -> Reader:
    def read(event: RequestFinished) -> str:
        found = MISSING
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
        return MISSING

    return read


def user_of(environ: Mapping[str, Any]) -> str | None:
    """The name in Basic credentials (RFC 7617); None when there is none."""
    credentials = environ.get("HTTP_AUTHORIZATION")
    if not isinstance(credentials, str) or not credentials.lower().startswith("basic"):
        return None
    try:
        decoded = base64.b64decode(credentials.partition(" ")[2].strip().encode("utf-8"))
        return decoded.partition(b":")[0].decode("utf-8") or None
    except (binascii.Error, UnicodeError):
        return None


def _microseconds(event: RequestFinished) -> int:
    return round(event.duration_s * 1_000_000)


def _decimal_seconds(event: RequestFinished) -> str:
    seconds, microseconds = divmod(_microseconds(event), 1_000_000)
    return f"{seconds}.{microseconds:06d}"


_NUMBERS: Final[dict[str, Reader]] = {
    "B": lambda event: MISSING if event.sent is None else event.sent,
    "T": lambda event: _microseconds(event) // 1_000_000,
    "D": _microseconds,
    "M": lambda event: _microseconds(event) // 1_000,
}

_TEXTS: Final[dict[str, Reader]] = {
    "h": lambda event: event.environ.get("REMOTE_ADDR", MISSING),
    "l": lambda event: MISSING,
    "u": lambda event: user_of(event.environ) or MISSING,
    "r": lambda event: f"{event.method} {event.target} {event.protocol}",
    "s": lambda event: event.status.partition(" ")[0],
    "m": lambda event: event.method,
    "U": lambda event: event.environ.get("PATH_INFO", MISSING),
    "q": lambda event: event.environ.get("QUERY_STRING", MISSING),
    "H": lambda event: event.protocol,
    "b": lambda event: MISSING if event.sent is None else str(event.sent),
    "f": lambda event: event.environ.get("HTTP_REFERER", MISSING),
    "a": lambda event: event.environ.get("HTTP_USER_AGENT", MISSING),
    "L": _decimal_seconds,
    "p": lambda event: f"<{os.getpid()}>",
}

_ALL: Final = _TEXTS | _NUMBERS
