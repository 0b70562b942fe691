"""The uwsgi protocol, which Nginx speaks with `uwsgi_pass`: requests come as packets of CGI variables.

    modifier1 (0)   size of the block, 2 bytes, little endian   modifier2 (0)   block   body

The block is a run of names and values, each behind its size in two bytes. A packet is rewritten as the HTTP/1.0 head
that it stands for, and that is parsed as if a client had sent it: one grammar, one set of limits, one way to refuse.
What is no field of the request (REMOTE_ADDR, SCRIPT_NAME, parameters of the operator) becomes `head.params`. Responses
are HTTP/1.0: with a length or until the connection closes, never in chunks; a connection carries one request.

How a body ends is said by CONTENT_LENGTH alone, as the proxy sends it decoded. HTTP_CONTENT_LENGTH and
HTTP_TRANSFER_ENCODING are what its client said: a request with one of them that lacks CONTENT_LENGTH is refused, as
nobody knows how much will come. Repeated HTTP_ variables are repeated fields (Nginx before 1.23 passes them on like
that); any other name that comes twice is refused.

Editing rules: pure; nothing reaches the rewritten head that could begin another line of it.
Anchors: https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html, RFC 3875 section 4.1, Nginx's uwsgi_params.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final
from urllib.parse import quote

from ostler.http.connection import Peer
from ostler.http.encode import DateField
from ostler.http.errors import HttpError
from ostler.http.framing import check_transfer_encoding
from ostler.http.grammar import TOKEN, Memo, only_text
from ostler.http.h1 import H1Connection
from ostler.http.h1_exchange import H1Exchange
from ostler.http.limits import Limits

_PREFIX_BYTES: Final = 4

_DECODED: Final = frozenset(("PATH_INFO", "SCRIPT_NAME", "DOCUMENT_URI", "PATH_TRANSLATED", "SCRIPT_FILENAME"))
"""Variables that are made of a decoded path, which may hold any byte."""

_QUERY: Final = re.compile(r"[!\"$-~]*")
"""Printable ASCII without blanks and fragments, as in a target."""

_FORMS: Final = {
    "REMOTE_PORT": re.compile(r"[0-9]{0,5}"),
    "SERVER_PORT": re.compile(r"[0-9]{0,5}"),
    "SERVER_PROTOCOL": re.compile(r"(?:HTTP/[0-9](?:\.[0-9])?)?"),
    "REQUEST_SCHEME": re.compile("(?:https?)?"),
    "QUERY_STRING": _QUERY,
    "PATH_INFO": re.compile(r"(?s:/.*|\*)?"),
    "SCRIPT_NAME": re.compile(r"(?s:/.*)?"),
}
"""Variables whose form is checked; all of them may be empty."""


@dataclass(frozen=True, slots=True)
class _Variable:
    """What a variable's name means."""

    field: str | None
    """The name of the field that it is, in lower case."""
    is_text: bool
    form: re.Pattern[str] | None


def _variable(name: str) -> _Variable:
    if not TOKEN.fullmatch(name):
        raise HttpError(400, "a uwsgi variable's name must be a token")
    field = name[5:].replace("_", "-").lower() if name.startswith("HTTP_") else None
    return _Variable(field, name not in _DECODED, _FORMS.get(name))


_variable_named: Final[Memo[str, _Variable]] = Memo(_variable)
"""A name -> what it means, looked up sixteen times and more a request. Raises HttpError for what is no token."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What a packet stands for."""

    head: bytes
    """Of HTTP/1.0, with its empty line."""
    query: str | None
    """Where a proxy has rewritten the target, this is not that of REQUEST_URI."""
    params: dict[str, str]


class UwsgiConnection(H1Connection):
    """One request of a proxy that speaks uwsgi; see connection.py for the contract."""

    PROTOCOL: ClassVar[str] = "uwsgi"

    __slots__ = ("_request",)

    def __init__(self, limits: Limits, peer: Peer, date: DateField, transferred: bool = False) -> None:
        super().__init__(limits, peer, date, transferred)
        self.closing = True
        self._request: _Request | None = None

    def next_exchange(self) -> H1Exchange | None:
        """The request, or None; see the contract.

        Raises:
            HttpError: the bytes that arrived make no request. Nothing is parsed after it.
        """
        request = self._request
        if request is None:
            try:
                request = self._request = self._take_packet()
            except HttpError:
                self.close()
                self._faulted = True
                raise
            if request is None:
                return None
        exchange = super().next_exchange()
        if exchange is not None:
            head = exchange.head
            head.keep_alive = False
            head.params = request.params
            if request.query is not None:
                head.query = request.query
        return exchange

    def _take_packet(self) -> _Request | None:
        """Put the head that the packet stands for in the packet's place, once all of it is there."""
        received = self.received
        size = _packet_bytes(bytes(received.data[received.start : received.start + _PREFIX_BYTES]))
        if size is None or len(received) < size:
            if received.ended and len(received):
                raise HttpError(400, "the proxy closed before its uwsgi packet was complete")
            return None
        request = _read_block(received.take(size)[_PREFIX_BYTES:])
        received.data = request.head + received.take(len(received))
        return request

    @property
    def wants_data(self) -> bool:
        """See `H1Connection.wants_data`. A packet is small by nature, whatever the limits of a head are."""
        if self._request is None:
            return not self.received.ended and not self.closed
        return super().wants_data


def _packet_bytes(prefix: bytes) -> int | None:
    """The size of a packet without the body, or None while it is unknown."""
    if prefix[:1] not in (b"", b"\0"):
        raise HttpError(501, f"expected a uwsgi packet with modifier1 0, found {prefix[0]}; is this peer sending HTTP?")
    if len(prefix) < 3:
        return None
    size = int.from_bytes(prefix[1:3], "little")
    if not size:
        raise HttpError(400, "a uwsgi packet without variables")
    if prefix[3:] not in (b"", b"\0"):
        raise HttpError(501, f"expected a uwsgi packet with modifier2 0, found {prefix[3]}")
    return _PREFIX_BYTES + size


def _read_block(block: bytes) -> _Request:
    fields: list[tuple[str, str]] = []
    params: dict[str, str] = {}
    for name, value in _variables(block):
        variable = _variable_named[name]
        if variable.is_text and not only_text(value, 0):
            raise HttpError(400, f"a control character in the uwsgi variable {name}")
        text = value.decode("latin-1")
        if variable.field is not None:
            fields.append((variable.field, text))
            continue
        if name in params:
            raise HttpError(400, f"the uwsgi variable {name} comes twice")
        if variable.form is not None and not variable.form.fullmatch(text):
            raise HttpError(400, f"the uwsgi variable {name} is not what its name says")
        params[name] = text
    fields = _decide_type(_decide_length(fields, params), params)
    query = params.pop("QUERY_STRING", None)
    line = f"{params.pop('REQUEST_METHOD', '')} {_target(params, query)} HTTP/1.0"
    lines = [line, *(f"{name}: {value}" for name, value in fields), "", ""]
    return _Request("\r\n".join(lines).encode("latin-1"), query, params)


def _variables(block: bytes) -> Iterator[tuple[str, bytes]]:
    """Names and values, which fill the block to its last byte."""
    start = 0
    while start < len(block):
        name, start = _sized(block, start)
        value, start = _sized(block, start)
        yield name.decode("latin-1"), value


def _sized(block: bytes, start: int) -> tuple[bytes, int]:
    """A run of bytes behind its size, and where it ends."""
    begin = start + 2
    end = begin + int.from_bytes(block[start:begin], "little")
    if end > len(block):
        raise HttpError(400, "a uwsgi variable is longer than its packet")
    return block[begin:end], end


def _target(params: dict[str, str], query: str | None) -> str:
    """The target as its client sent it, or one that means the same."""
    target = params.pop("REQUEST_URI", "")
    if not target:
        target = quote(params.get("SCRIPT_NAME", "") + params.get("PATH_INFO", ""), "/*:@!$&'()+,;=~", "latin-1")
        target += f"?{query}" if query and target else ""
    return target


def _decide_length(fields: list[tuple[str, str]], params: dict[str, str]) -> list[tuple[str, str]]:
    """The fields with the one Content-Length that holds."""
    length = params.pop("CONTENT_LENGTH", None)
    kept: list[tuple[str, str]] = []
    for name, value in fields:
        if name == "transfer-encoding":
            check_transfer_encoding(value)
            if not length:
                raise HttpError(411, "a body in chunks and no CONTENT_LENGTH: let the proxy buffer requests")
        elif name == "content-length":
            if length is None:
                raise HttpError(411, "a body and no CONTENT_LENGTH: the proxy must send it (Nginx's uwsgi_params)")
            # An empty CONTENT_LENGTH is the operator's word for "the body is not passed on".
            if length and length != value:
                raise HttpError(400, "CONTENT_LENGTH and HTTP_CONTENT_LENGTH disagree")
        else:
            kept.append((name, value))
    if length:
        kept.append(("content-length", length))
    return kept


def _decide_type(fields: list[tuple[str, str]], params: dict[str, str]) -> list[tuple[str, str]]:
    """The fields with the one Content-Type that holds: CONTENT_TYPE where it is there, else what the client said."""
    said = params.pop("CONTENT_TYPE", None)
    if said is None:
        return fields
    kept = [(name, value) for name, value in fields if name != "content-type"]
    return [*kept, ("content-type", said)] if said else kept
