"""The opening handshake of WebSocket, a server's side: what the client offers, or why it is refused.

Rules for editing: pure; what a client says is text of the size of a head, and is read in linear time.
Anchors: RFC 6455 sections 4.2 (the server's side), 9.1 (the grammar of extensions); RFC 7692 section 5.1; RFC 9110
sections 7.8 and 15.5.22.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ostler.http.errors import HttpError
from ostler.http.grammar import TOKEN
from ostler.http.head import RequestHead
from ostler.http.websocket_deflate import DeflateTerms, accept_offer

VERSION: Final = "13"

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_T: Final = TOKEN.pattern
_PARAMETER: Final = re.compile(rf'[ \t]*+;[ \t]*+({_T}+)(?:[ \t]*+=[ \t]*+(?:({_T}+)|"((?:[^"\\]|\\.)*+)"))?+')
_EXTENSION: Final = re.compile(rf"[ \t]*+({_T}+)")
_SEPARATOR: Final = re.compile(r"[ \t]*+(?:,|$)")

Parameters = list[tuple[str, str | None]]


class HandshakeError(HttpError):
    """A request for a WebSocket that cannot be met; `fields` belong into the response."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(status, detail)
        self.fields: list[tuple[str, str]] = []
        if status == 426:
            self.fields = [("Upgrade", "websocket"), ("Sec-WebSocket-Version", VERSION)]


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a client asked for, and can have."""

    accept: str
    """The value of Sec-WebSocket-Accept."""
    subprotocols: tuple[str, ...]
    """In the client's order of preference."""
    deflate: DeflateTerms | None
    """The answer to the client's first offer that can be met; None: no compression."""

    def response_fields(self, subprotocol: str | None) -> list[tuple[str, str]]:
        """The fields of the 101.

        Raises:
            ValueError: a subprotocol that the client did not offer: its browser would fail the connection.
        """
        fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", self.accept)]
        if subprotocol is not None:
            if subprotocol not in self.subprotocols:
                offered = ", ".join(self.subprotocols) or "none"
                raise ValueError(f"subprotocol: expected one that the client offers ({offered}), found {subprotocol!r}")
            fields.append(("Sec-WebSocket-Protocol", subprotocol))
        if self.deflate is not None:
            fields.append(("Sec-WebSocket-Extensions", self.deflate.field))
        return fields


def asks_for_websocket(head: RequestHead) -> bool:
    """Whether the handshake is to be read. Other methods, and HTTP/1.0, cannot switch: they are requests as others."""
    upgrade = head.upgrade
    if upgrade is None or head.method != "GET" or head.minor == 0:
        return False
    return any(protocol.strip(" \t").lower() == "websocket" for protocol in upgrade.split(","))


def read_handshake(head: RequestHead, deflate: bool) -> Handshake:
    """Read the fields of a request that `asks_for_websocket`. `deflate`: permessage-deflate may be agreed on.

    Raises:
        HandshakeError: 400, or 426 for another version of the protocol.
    """
    versions = _values(head, "sec-websocket-version")
    if len(versions) != 1:
        raise HandshakeError(400, "Sec-WebSocket-Version must be there, once")
    if versions[0] != VERSION:
        raise HandshakeError(426, f"Sec-WebSocket-Version must be {VERSION}, found {versions[0]}")
    if head.body_length:
        raise HandshakeError(400, "a WebSocket handshake has no body")
    keys = _values(head, "sec-websocket-key")
    if len(keys) != 1 or not _is_key(keys[0]):
        raise HandshakeError(400, "Sec-WebSocket-Key must be 16 bytes in base64, once")
    terms = None
    for name, parameters in _extensions(_values(head, "sec-websocket-extensions")):
        if deflate and terms is None and name == "permessage-deflate":
            terms = accept_offer(parameters)
    return Handshake(accept_key(keys[0]), _subprotocols(_values(head, "sec-websocket-protocol")), terms)


def accept_key(key: str) -> str:
    """The answer to a Sec-WebSocket-Key (RFC 6455 section 4.2.2)."""
    digest = hashlib.sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def _values(head: RequestHead, wanted: str) -> list[str]:
    return [value for name, value in head.fields if name == wanted]


def _is_key(key: str) -> bool:
    try:
        return len(key) == 24 and len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def _subprotocols(values: Sequence[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for value in values:
        for word in value.split(","):
            name = word.strip(" \t")
            if not name:
                continue  # RFC 9110 section 5.6.1: empty elements of a list count for nothing
            if not TOKEN.fullmatch(name):
                raise HandshakeError(400, "Sec-WebSocket-Protocol must be a list of tokens")
            if name in found:
                raise HandshakeError(400, "a subprotocol that is offered twice")
            found[name] = None
    return tuple(found)


def _extensions(values: Sequence[str]) -> Iterator[tuple[str, Parameters]]:
    """The elements of Sec-WebSocket-Extensions, in order of preference."""
    for value in values:
        position = 0
        while position < len(value):
            if (separator := _SEPARATOR.match(value, position)) is not None:  # an empty element
                position = max(separator.end(), position + 1)
                continue
            match = _EXTENSION.match(value, position)
            if match is None:
                raise _bad_extensions()
            position = match.end()
            parameters: Parameters = []
            while (parameter := _PARAMETER.match(value, position)) is not None:
                parameters.append((parameter[1], _parameter_value(parameter)))
                position = parameter.end()
            separator = _SEPARATOR.match(value, position)
            if separator is None:
                raise _bad_extensions()
            position = separator.end()
            yield match[1], parameters


def _parameter_value(parameter: "re.Match[str]") -> str | None:
    quoted = parameter[3]
    if quoted is None:
        return parameter[2]
    value = re.sub(r"\\(.)", r"\1", quoted)
    if not TOKEN.fullmatch(value):
        raise _bad_extensions()  # RFC 6455 section 9.1: what is quoted is a token all the same
    return value


def _bad_extensions() -> HandshakeError:
    return HandshakeError(400, "Sec-WebSocket-Extensions must be a list of names with parameters")
