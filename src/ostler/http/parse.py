"""A request's head: finding its end as bytes arrive, and turning it into a RequestHead.

`HeadScan` looks for the empty line and remembers how far it looked, so that a head which arrives byte by byte costs
linear time. `parse_head` reads a complete head. The two agree on one order of faults, so that the outcome never depends
on how the bytes were split:

1. too many empty lines; 2. a first byte that begins no method; 3. a bare LF in the request line, or a request line over
its limit, whichever comes first; 4. the request line; 5. a bare LF behind it, or a head over its limit, whichever comes
first; 6. everything else, once the head is complete.

1 to 5 are known before the head is complete and refused at once, so that a TLS hello, HTTP/0.9 or a head with LF line
ends is not left waiting for a deadline.

Anchors: RFC 9112 sections 2.2, 3 and 5; RFC 9110 sections 5.3 and 7.2.
"""

from typing import Final

from ostler.http.errors import HttpError
from ostler.http.framing import DECIDING, body_length, connection_options, expects_continue
from ostler.http.grammar import (
    ABSOLUTE_FORM,
    AUTHORITY_FORM,
    METHOD,
    TOKEN_BYTES,
    VERSION,
    field_names,
    hosts,
    only_text,
)
from ostler.http.head import RequestHead
from ostler.http.lenient import lenient_fields, lenient_method, lenient_minor
from ostler.http.limits import STRICT, Leniency, Limits
from ostler.http.received import Received

EMPTY_LINES: Final = 4
"""Empty lines skipped before a request line (RFC 9112 section 2.2 wants at least one)."""

_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_VERSIONS: Final = {"HTTP/1.1": 1, "HTTP/1.0": 0}

_SINGLE: Final = frozenset(("host", "content-length", "transfer-encoding"))
"""Never twice: a second Host or length leaves the request ambiguous, and `chunked` may be applied once only."""


class HeadScan:
    """Finds the end of the head that `received` begins with."""

    __slots__ = ("_empty_lines", "_limits", "_line_checked", "_scanned")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.reset()

    def reset(self) -> None:
        """Begin with the next head."""
        self._scanned = 0
        self._line_checked = False
        self._empty_lines = 0

    def find_end(self, received: Received) -> int:
        """The index in `received.data` of the CRLFCRLF that ends the head, or -1 while it is not there.

        Skips the empty lines before the request line (moves `received.start`).

        Raises:
            HttpError: the head can only be refused, whatever follows.
        """
        if not self._skip_empty_lines(received) or not self._check_line(received):
            return -1
        data, start, scanned = received.data, received.start, self._scanned
        most = self._limits.head_bytes
        end = data.find(b"\r\n\r\n", start + max(scanned - 3, 0))
        stop = min(len(data) if end < 0 else end + 4, start + most)
        # Every LF is the second half of a CRLF, one of which may begin just before what was scanned already.
        if data.count(b"\n", start + scanned, stop) != data.count(b"\r\n", start + scanned - 1, stop):
            raise HttpError(400, "a line of the head ends with a bare LF")
        if 0 <= end <= start + most - 4:
            return end
        if len(data) - start >= most:
            raise HttpError(431, "the head is larger than all its limits together")
        self._scanned = len(data) - start
        return -1

    def _skip_empty_lines(self, received: Received) -> bool:
        if self._scanned:
            return True
        while received.data.startswith(b"\r\n", received.start):
            self._empty_lines += 1
            if self._empty_lines > EMPTY_LINES:
                raise HttpError(400, "too many empty lines before the request line")
            received.skip(2)
        return len(received) > 1 or (len(received) == 1 and received.data[received.start] != 0x0D)

    def _check_line(self, received: Received) -> bool:
        """Whether the request line is complete; if so, it is good."""
        if self._line_checked:
            return True
        data, start, limit = received.data, received.start, self._limits.request_line
        if data[start] not in TOKEN_BYTES:
            raise HttpError(400, "a request line begins with a method")
        most = limit + 2 if limit else self._limits.head_bytes
        end = data.find(b"\n", start + self._scanned, start + most)
        if end >= 0:
            if data[end - 1] != 0x0D:
                raise HttpError(400, "the request line ends with a bare LF")
            check_request_line(data[start : end - 1].decode("latin-1"), self._limits)
            self._line_checked = True
            self._scanned = end + 1 - start
            return True
        if len(data) - start >= most:
            raise HttpError(414 if limit else 431, "the request line is longer than its limit")
        self._scanned = len(data) - start
        return False


def check_request_line(line: str, limits: Limits) -> None:
    """Judge a request line in the order of faults above; the slow twin of what `parse_head` does for good lines.

    Raises:
        HttpError: 400, 414, 501 or 505.
    """
    if ord(line[:1] or "\0") not in TOKEN_BYTES:
        raise HttpError(400, "a request line begins with a method")
    limit = limits.request_line
    if "\n" in (line[: limit + 2] if limit else line):
        raise HttpError(400, "the request line ends with a bare LF")
    if 0 < limit < len(line):
        raise HttpError(414, "the request line is longer than its limit")
    if not only_text(line.encode("latin-1"), 0):
        raise HttpError(400, "a control character in the request line")
    _parse_request_line(line, limits.leniency)


def _parse_request_line(line: str, leniency: Leniency) -> tuple[str, str, str, str, int, str | None]:
    """Method, target, path, query, minor version, and the host of a target in absolute form.

    The line has no control characters but HTAB.
    """
    parts = line.split(" ")
    if len(parts) != 3:
        raise HttpError(400, "a request line is a method, a target and a version, with one space between")
    method, target, version = parts
    if method not in _METHODS and not METHOD.fullmatch(method):
        method = lenient_method(method, leniency)
    if not target.isascii() or "\t" in target or "#" in target:
        raise HttpError(400, "a target has only printable ASCII and no fragment")
    host = None
    if target[:1] == "/" and method != "CONNECT":
        path, _, query = target.partition("?")
    else:
        path, query, host = _parse_other_target(method, target)
    minor = _VERSIONS.get(version)
    if minor is None:
        match = VERSION.fullmatch(version)
        if match is None:
            raise HttpError(400, "a version is HTTP/ and two digits with a period between")
        minor = 1 if match[1] == "1" else lenient_minor(match[1], leniency)
    if method == "CONNECT":
        raise HttpError(501, "CONNECT is for proxies")
    return method, target, path, query, minor, host


def _parse_other_target(method: str, target: str) -> tuple[str, str, str | None]:
    """Path, query and host of a target that does not begin with a slash (RFC 9112 sections 3.2.2 to 3.2.4)."""
    if method == "CONNECT":
        authority = AUTHORITY_FORM.fullmatch(target)
        if authority is None:
            raise HttpError(400, "the target of CONNECT is a host and a port")
        return "", "", hosts[target]
    if target == "*" and method == "OPTIONS":
        return "*", "", None
    absolute = ABSOLUTE_FORM.fullmatch(target)
    if absolute is None:
        raise HttpError(400, "a target is a path, or an http or https URI, or * for OPTIONS")
    host = hosts[absolute[1]]
    rest = absolute[2] or ""
    path, _, query = rest.partition("?")
    if not path:
        path = "*" if method == "OPTIONS" and not rest else "/"
    return path, query, host


def parse_head(head: bytes | bytearray, limits: Limits) -> RequestHead:
    """Parse a complete head, without the empty lines before it and the CRLFCRLF behind it.

    Raises:
        HttpError: 400, 414, 417, 431, 501 or 505.
    """
    lines = head.decode("latin-1").split("\r\n")
    line = lines[0]
    if not only_text(head, len(lines) - 1):
        check_request_line(line, limits)
        raise HttpError(400, "a control character in the head")
    if 0 < limits.request_line < len(line):
        check_request_line(line, limits)
    leniency = limits.leniency
    method, target, path, query, minor, host = _parse_request_line(line, leniency)
    del lines[0]
    if leniency is not STRICT:
        lines = lenient_fields(lines, limits)
    if 0 < limits.fields < len(lines):
        raise HttpError(431, "more fields than limit_request_fields")
    size = limits.field_size
    if 0 < size < len(head) and lines and max(map(len, lines)) + 2 > size:
        raise HttpError(431, "a field longer than limit_request_field_size")
    fields: list[tuple[str, str]] = []
    deciding: dict[str, str] = {}
    again: set[str] | None = None
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise HttpError(400, "a field without a colon")
        name = field_names[name]
        value = value.strip(" \t")
        fields.append((name, value))
        if name in DECIDING:
            if name in deciding:
                again = {name} if again is None else again | {name}
            deciding[name] = value
    if again is not None:
        _join_repeated(again, fields, deciding)
    return _decide(method, target, path, query, minor, host, fields, deciding)


def _join_repeated(again: set[str], fields: list[tuple[str, str]], deciding: dict[str, str]) -> None:
    if not again.isdisjoint(_SINGLE):
        raise HttpError(400, f"more than one {min(again & _SINGLE)} field")
    for name in again:
        deciding[name] = ", ".join(value for other, value in fields if other == name)


def _decide(  # noqa: PLR0913, PLR0917  the parts of one head, which become one object here
    method: str,
    target: str,
    path: str,
    query: str,
    minor: int,
    uri_host: str | None,
    fields: list[tuple[str, str]],
    deciding: dict[str, str],
) -> RequestHead:
    host = deciding.get("host")
    named = host is not None
    if host is not None:
        host = hosts[host]
    elif minor:
        raise HttpError(400, "HTTP/1.1 asks for a Host field")
    if uri_host is not None:
        if host is None:
            fields.append(("host", uri_host))
        else:
            fields[:] = [(name, uri_host if name == "host" else value) for name, value in fields]
        host = uri_host
    keep_alive = minor == 1
    length = 0
    expect = False
    upgrade = None
    if len(deciding) > named:
        options = deciding.get("connection")
        if options is not None:
            listed = connection_options[options]
            keep_alive = "close" not in listed and (keep_alive or "keep-alive" in listed)
            if minor and "upgrade" in listed:
                upgrade = deciding.get("upgrade")
        length = body_length(deciding.get("transfer-encoding"), deciding.get("content-length"), minor)
        if "expect" in deciding:
            expect = expects_continue(deciding["expect"]) and minor == 1 and length != 0
    return RequestHead(method, target, path, query, minor, fields, host, length, keep_alive, expect, upgrade)
