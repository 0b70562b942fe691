"""permessage-deflate (RFC 7692): what is agreed on, and the compression of one connection's messages.

A window costs memory for as long as the connection lives, so ours are small: 2^12 bytes each way where the client lets
us choose, about 32 KiB to compress and 11 KiB to decompress, made when the first message needs them.

Rules for editing: nothing is ever inflated beyond the room that the caller has; a client's bytes cost linear time.
Anchors: RFC 7692 sections 7.1 (parameters), 7.2 (payload), 7.2.3.4 (final blocks).
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ostler.http.websocket_frames import BAD_DATA, TOO_BIG, WebSocketError

WINDOW_BITS: Final = 12
MEMORY_LEVEL: Final = 5
LEAST_BYTES: Final = 32
"""Shorter messages are sent as they are."""

_TAIL: Final = b"\x00\x00\xff\xff"
"""What a flush ends with, and a message leaves away."""

_MOST_RESTARTS: Final = 16
"""So many final blocks may stand in one message: each costs a new decompressor, for two bytes of the client."""

_BITS: Final = {str(bits): bits for bits in range(8, 16)}


@dataclass(frozen=True, slots=True)
class DeflateTerms:
    """What both sides agreed on. Windows in bits; `*_reset`: that side forgets its window after each message."""

    server_reset: bool = False
    client_reset: bool = False
    server_bits: int = WINDOW_BITS
    client_bits: int = 15
    field: str = "permessage-deflate"
    """The element of Sec-WebSocket-Extensions that says so."""


def accept_offer(parameters: Iterable[tuple[str, str | None]]) -> DeflateTerms | None:
    """The answer to one offer of permessage-deflate; None declines it: a parameter that is unknown, twice or wrong."""
    offered: dict[str, str | None] = {}
    for name, value in parameters:
        if name in offered:
            return None
        offered[name] = value
    server_reset = "server_no_context_takeover" in offered
    client_reset = "client_no_context_takeover" in offered
    if offered.pop("server_no_context_takeover", None) or offered.pop("client_no_context_takeover", None):
        return None
    server_bits, client_bits = WINDOW_BITS, 15
    words = ["permessage-deflate"]
    if server_reset:
        words.append("server_no_context_takeover")
    if client_reset:
        words.append("client_no_context_takeover")
    if "server_max_window_bits" in offered:
        asked = _BITS.get(offered.pop("server_max_window_bits") or "", 0)
        if asked < 9:
            return None  # zlib makes no raw stream with a window of 2^8
        server_bits = min(asked, WINDOW_BITS)
        words.append(f"server_max_window_bits={server_bits}")
    if "client_max_window_bits" in offered:
        value = offered.pop("client_max_window_bits")
        asked = 15 if value is None else _BITS.get(value, 0)
        if not asked:
            return None
        client_bits = min(asked, WINDOW_BITS)
        words.append(f"client_max_window_bits={client_bits}")
    if offered:
        return None
    return DeflateTerms(server_reset, client_reset, server_bits, client_bits, "; ".join(words))


class Deflater:
    """Compresses the messages that a server sends."""

    __slots__ = ("_bits", "_reset", "_stream")

    def __init__(self, terms: DeflateTerms) -> None:
        self._bits = terms.server_bits
        self._reset = terms.server_reset
        self._stream = None if terms.server_reset else self._new()

    def _new(self) -> "zlib._Compress":
        return zlib.compressobj(wbits=-self._bits, memLevel=MEMORY_LEVEL)

    def deflate(self, data: bytes) -> bytes:
        """The payload of a message. `data` must not be empty: a flush after nothing has no tail."""
        stream = self._stream or self._new()
        return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


class Inflater:
    """Decompresses the messages that a client sends, piece by piece."""

    __slots__ = ("_bits", "_reset", "_restarts", "_stream")

    def __init__(self, terms: DeflateTerms) -> None:
        # Some compressors that are asked for a window of 2^8 use 2^9 (zlib's own did).
        self._bits = max(terms.client_bits, 9)
        self._reset = terms.client_reset
        self._restarts = 0
        self._stream: zlib._Decompress | None = None

    def inflate(self, data: bytes, room: int | None) -> bytes:
        """A piece of a message, decompressed. At most `room` bytes; None: any number.

        Raises:
            WebSocketError: 1009, the piece has more than `room` bytes in it; 1007, it is no deflate stream.
        """
        most = 0 if room is None else room + 1
        stream = self._stream or self._new()
        try:
            inflated = stream.decompress(data, most)
            while stream.eof and (room is None or len(inflated) <= room):
                data = stream.unused_data
                stream = self._new()
                self._restarts += 1
                if self._restarts > _MOST_RESTARTS:
                    raise WebSocketError(BAD_DATA, f"a message with more than {_MOST_RESTARTS} final deflate blocks")
                if data:
                    inflated += stream.decompress(data, most and most - len(inflated))
        except zlib.error:
            raise WebSocketError(BAD_DATA, "a compressed message must be a deflate stream") from None
        if room is not None and len(inflated) > room:
            raise WebSocketError(TOO_BIG, "a message is longer than websocket_max_message_size once decompressed")
        return inflated

    def end(self, room: int | None) -> bytes:
        """The message is over: its last bytes.

        Raises:
            WebSocketError: see `inflate`.
        """
        inflated = self.inflate(_TAIL, room)
        if self._reset or self._restarts:
            self._stream = None
            self._restarts = 0
        return inflated

    def _new(self) -> "zlib._Decompress":
        stream = self._stream = zlib.decompressobj(wbits=-self._bits)
        return stream
