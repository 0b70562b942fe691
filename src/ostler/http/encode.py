"""A response's head in bytes: status lines, checked fields, Date, and the error responses.

Nothing that an application says reaches the wire unchecked: names are tokens, values and reasons have no control
character but HTAB, so that a field can never become two (response splitting).

Editing rules: pure, and hot: every response passes `encode_fields` once. Time comes from `DateField`, which the driver
sets once a second. Anchors: RFC 9110 sections 5.5, 5.6.7, 6.6.1, 8.6 and 15; RFC 9112 sections 4 and 6.
"""

from collections.abc import Sequence
from typing import Final

from ostler.http.errors import HttpError, ResponseError
from ostler.http.framing import connection_options
from ostler.http.grammar import TOKEN, Memo, only_text

_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class DateField:
    """The Date of the responses that are made now. The driver sets it once a second; any thread may read it."""

    __slots__ = ("value", "with_server")

    def __init__(self, epoch_s: int = 0) -> None:
        self.value = b""
        """IMF-fixdate, 29 bytes."""
        self.with_server = b""
        """The Server and Date fields, ready to be sent."""
        self.set(epoch_s)

    def set(self, epoch_s: int) -> None:
        """Take the time: whole seconds since 1970, UTC, not negative."""
        self.value = imf_fixdate(epoch_s)
        self.with_server = b"Server: ostler\r\nDate: %b\r\n" % self.value


def imf_fixdate(epoch_s: int) -> bytes:
    """`epoch_s` as RFC 9110 section 5.6.7 writes it: Sun, 06 Nov 1994 08:49:37 GMT."""
    days, second = divmod(epoch_s, 86400)
    # The civil calendar in whole numbers, with years that begin in March: 400 of them have 146,097 days.
    era, day_of_era = divmod(days + 719468, 146097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    from_march = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * from_march + 2) // 5 + 1
    month = from_march + 3 if from_march < 10 else from_march - 9
    year = year_of_era + era * 400 + (month <= 2)
    weekday = _WEEKDAYS[(days + 3) % 7]
    clock = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    return f"{weekday}, {day:02} {_MONTHS[month - 1]} {year:04} {clock} GMT".encode("ascii")


def _status_line(key: tuple[int, str]) -> bytes:
    status, reason = key
    if not isinstance(status, int) or not 100 <= status <= 999:
        raise ResponseError("a status must be a whole number of three digits")
    try:
        line = reason.encode("latin-1")
    except (AttributeError, UnicodeEncodeError):
        raise ResponseError("a reason must be text in latin-1") from None
    if not only_text(line, 0):
        raise ResponseError("a reason must not have control characters")
    return b"HTTP/1.1 %d %b\r\n" % (status, line)


status_lines: Final[Memo[tuple[int, str], bytes]] = Memo(_status_line, [(200, "OK")], capacity=256)
"""(status, reason) -> the status line. Raises ResponseError for what cannot be sent."""


# What a response field's name means to framing. Numbers and no Enum: each response asks for them several times, and
# an Enum's attribute costs 0.05 µs. Plain fields are 0, so that the hot path asks for truth only.
_PLAIN: Final = 0
_CONTENT_LENGTH: Final = 1
_CONNECTION: Final = 2
_UPGRADE: Final = 3
_HOP_BY_HOP: Final = 4
_SERVER: Final = 5
_DATE: Final = 6

_KINDS: Final = {
    "content-length": _CONTENT_LENGTH,
    "connection": _CONNECTION,
    "upgrade": _UPGRADE,
    "server": _SERVER,
    "date": _DATE,
    "keep-alive": _HOP_BY_HOP,
    "proxy-authenticate": _HOP_BY_HOP,
    "proxy-authorization": _HOP_BY_HOP,
    "te": _HOP_BY_HOP,
    "trailers": _HOP_BY_HOP,
    "transfer-encoding": _HOP_BY_HOP,
}
"""PEP 3333 leaves hop-by-hop fields to the server; the list is wsgiref's."""


def _kind(name: str) -> int:
    if not isinstance(name, str) or not TOKEN.fullmatch(name):
        raise ResponseError("a response field's name must be a token")
    return _KINDS.get(name.lower(), _PLAIN)


_kinds: Final[Memo[str, int]] = Memo(
    _kind, ("Content-Type", "Content-Length", "Location", "Set-Cookie", "Cache-Control", "Vary", "ETag")
)


class Said:
    """What an application's fields said to framing; `lines` are those that are sent as they are."""

    __slots__ = ("close", "date", "length", "lines", "server", "switch")

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.length: int | None = None
        self.close = False
        self.switch = False
        """Connection: upgrade."""
        self.server = False
        self.date = False


def encode_fields(fields: Sequence[tuple[str, str]], said: Said) -> bytes:
    """Check `fields` and encode those that are the application's business; the rest goes into `said`.

    Raises:
        ResponseError: a field that must not or cannot be sent. The value is not in the text: it may be a secret.
    """
    lines = said.lines
    try:
        for field in fields:
            name, value = field
            kind = _kinds[name]
            if kind and not _consider(kind, name, value, said):
                continue
            # join refuses what is no str; an f-string would print it, and costs the same.
            lines.append(": ".join(field))
        lines.append("")
        block = "\r\n".join(lines).encode("latin-1")
    except ResponseError:
        raise
    except (TypeError, ValueError):
        raise ResponseError("response fields must be pairs of str in latin-1") from None
    if not only_text(block, len(lines) - 1):
        raise ResponseError(f"a control character in the value of a response field ({_culprit(fields)})")
    return block


_NEVER_TRAILERS: Final = frozenset(
    (
        *_KINDS,
        "authorization",
        "cache-control",
        "content-encoding",
        "content-range",
        "content-type",
        "host",
        "location",
        "set-cookie",
        "trailer",
        "vary",
        "www-authenticate",
    )
)
"""What a recipient must know before the body, or must not learn behind it (RFC 9110 section 6.5.1)."""


def encode_trailers(fields: Sequence[tuple[str, str]]) -> bytes:
    """Fields that stand behind the last chunk.

    Raises:
        ResponseError: as `encode_fields`; also for a field that may not stand there.
    """
    for name, _ in fields:
        if str(name).lower() in _NEVER_TRAILERS:
            raise ResponseError(f"{name} cannot be a trailer")
    return encode_fields(fields, Said())


def _consider(kind: int, name: str, value: str, said: Said) -> bool:
    """Note what a special field says; whether it is sent as it is."""
    if not isinstance(value, str):
        raise ResponseError(f"the value of {name} must be str")
    if kind == _CONTENT_LENGTH:
        if said.length is not None:
            raise ResponseError("more than one Content-Length")
        said.length = _content_length(value)
        return False
    if not only_text(value.encode("latin-1"), 0):
        # Asked here, as what is not sent is not looked at again: a mistake is the same mistake in every field.
        raise ResponseError(f"a control character in the value of a response field ({name})")
    if kind == _CONNECTION:
        options = connection_options[value]
        said.close = said.close or "close" in options
        said.switch = said.switch or "upgrade" in options
        return False
    if kind == _UPGRADE:
        # As in Gunicorn: only WebSocket is switched to, by an application that takes the socket over.
        return value.lower() == "websocket"
    if kind == _HOP_BY_HOP:
        return False  # dropped, as in Gunicorn: applications that pass on another server's response send them
    if kind == _SERVER:
        said.server = True
    elif kind == _DATE:
        said.date = True
    return True


def _content_length(value: str) -> int:
    digits = value.strip(" \t")
    if len(digits) > 19 or not (digits.isascii() and digits.isdigit()):
        raise ResponseError("Content-Length must be one decimal number")
    return int(digits)


def _culprit(fields: Sequence[tuple[str, str]]) -> str:
    return next((name for name, value in fields if not only_text(value.encode("latin-1"), 0)), "?")


def encode_head(status_line: bytes, block: bytes, said: Said, framing: bytes, date: DateField) -> bytes:
    """The whole head: `framing` is what the server itself says of body and connection."""
    if said.server or said.date:
        ours = b"" if said.server else b"Server: ostler\r\n"
        if not said.date:
            ours += b"Date: %b\r\n" % date.value
        return b"".join((status_line, ours, block, framing, b"\r\n"))
    return b"".join((status_line, date.with_server, block, framing, b"\r\n"))


def error_body(error: HttpError) -> bytes:
    """What a refused client reads: status and reason."""
    return f"{error.status} {error.reason}\n".encode("ascii")


def error_response(error: HttpError, date: DateField, omit_body: bool) -> bytes:
    """A whole response that refuses a request and closes. It holds nothing that the client sent."""
    body = error_body(error)
    head = b"%bContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (
        date.with_server,
        len(body),
    )
    return status_lines[error.status, error.reason] + head + (b"" if omit_body else body)
