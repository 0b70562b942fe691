"""WebSocket behind its handshake: a server's side of one connection, bytes in, events out, bytes out (RFC 6455).

`receive` takes what arrived, `next_event` looks at it one message or control frame at a time, so that whoever is slow
to ask is never given more than it asked for. Pings are answered and the closing handshake is completed here; both only
queue bytes, which `data_to_send` hands out. There are three states:

    OPEN       both sides talk
    CLOSING    our close frame is queued: nothing more is said; messages that still arrive are thrown away
    CLOSED     the last event was `Closed`: nothing is read any more, the transport ends once everything queued is sent

Rules for editing. The first mistake of a client is the last thing that is read of it. A frame's payload is looked at as
it arrives, in linear time whatever the splitting, and what is kept is bounded by the limit. `next_event` and `send_*`
run for every message: measure with `benchmarks/websocket_core.py`.
Anchors: RFC 6455 sections 5 (framing), 5.4 (fragmentation), 5.5 (control frames), 7 (closing), 8.1 (UTF-8); RFC 7692.
"""

import codecs
from enum import Enum, auto
from typing import Final

from ostler.http.received import Received
from ostler.http.websocket_deflate import LEAST_BYTES, Deflater, DeflateTerms, Inflater
from ostler.http.websocket_events import Binary, Closed, Event, Ping, Pong, Text
from ostler.http.websocket_frames import (
    BAD_DATA,
    BINARY,
    CLOSE,
    CONTINUATION,
    CONTROL_BYTES,
    FIN,
    LOST,
    NORMAL,
    PING,
    PONG,
    PROTOCOL_ERROR,
    RSV1,
    TEXT,
    TOO_BIG,
    WebSocketError,
    encode_close,
    encode_frame,
    read_close,
    unmask,
)

_Utf8: Final = codecs.getincrementaldecoder("utf-8")


class State(Enum):
    """See the module's text."""

    OPEN = auto()
    CLOSING = auto()
    CLOSED = auto()


_OPEN: Final = State.OPEN
_CLOSING: Final = State.CLOSING
_CLOSED: Final = State.CLOSED

_DATA: Final = frozenset((TEXT, BINARY))
_WHOLE: Final = frozenset((FIN | TEXT, FIN | BINARY))
"""The first byte of a frame that is a message, not compressed."""
_CONTROL: Final = frozenset((CLOSE, PING, PONG))


class WebSocket:
    """One connection."""

    __slots__ = (
        "_deflater",
        "_fin",
        "_inflater",
        "_left",
        "_limit",
        "_mask",
        "_message",
        "_opcode",
        "_output",
        "_received",
        "_squeezed",
        "_terms",
        "_utf8",
        "state",
    )

    def __init__(self, limit_bytes: int = 0, terms: DeflateTerms | None = None) -> None:
        """`limit_bytes`: of a message, decompressed, text in UTF-8; 0 is none. `terms`: None is no compression."""
        self.state = _OPEN
        self._limit = limit_bytes
        self._terms = terms
        self._deflater: Deflater | None = None
        self._inflater: Inflater | None = None
        self._received = Received()
        self._output: list[bytes] = []
        self._left = 0
        """Bytes still to come of the data frame whose header was read; its mask, turned to the next of them."""
        self._mask = b""
        self._fin = True
        """The data frame whose header was read last ends its message."""
        self._opcode = 0
        """TEXT or BINARY: of the message that is arriving; 0: between two messages."""
        self._squeezed = False
        """That message is compressed."""
        self._message = bytearray()
        """What has arrived of it, decompressed."""
        self._utf8 = _Utf8()

    # -- in --------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take what was read from the transport; b"" is its end. Ignored when closed."""
        if self.state is not _CLOSED:
            if data:
                self._received.append(data)
            else:
                self._received.ended = True

    def next_event(self) -> Event | None:
        """What came next; None when the bytes that are there make no event, and after `Closed`."""
        if self.state is _CLOSED:
            return None
        try:
            event = self._next()
        except WebSocketError as error:
            return self._fail(error)
        if event is None and self._received.ended:
            self._end()
            return Closed(LOST, "")
        return event

    @property
    def buffered(self) -> int:
        """Bytes that were received and not looked at."""
        return len(self._received)

    # -- out -------------------------------------------------------------------------------------------------

    def send_text(self, text: str) -> None:
        """Queue a message.

        Raises:
            RuntimeError: the connection is closing or closed.
            ValueError: text that is no Unicode (lone surrogates).
        """
        self._send(TEXT, text.encode("utf-8"))

    def send_binary(self, data: bytes) -> None:
        """Queue a message.

        Raises:
            RuntimeError: the connection is closing or closed.
        """
        self._send(BINARY, data)

    def ping(self, data: bytes = b"") -> None:
        """Queue a ping of at most 125 bytes. Nothing when the connection is closing or closed."""
        if len(data) > CONTROL_BYTES:
            raise ValueError(f"a ping has at most {CONTROL_BYTES} bytes, found {len(data)}")
        if self.state is _OPEN:
            self._output.append(encode_frame(FIN | PING, data))

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Queue a close frame: the client is expected to answer it. Nothing when one was sent already.

        Raises:
            ValueError: a code that must not be sent, or a reason of more than 123 bytes of UTF-8.
        """
        frame = encode_close(code, reason)
        if self.state is _OPEN:
            self._output.append(frame)
            self.state = _CLOSING
            self._forget_message()

    def data_to_send(self) -> bytes:
        """Everything queued; the caller owns it from now on."""
        output = self._output
        if not output:
            return b""
        data = output[0] if len(output) == 1 else b"".join(output)
        output.clear()
        return data

    def _send(self, opcode: int, payload: bytes) -> None:
        if self.state is not _OPEN:
            raise RuntimeError("a message after the connection was closed")
        first = FIN | opcode
        if self._terms is not None and len(payload) >= LEAST_BYTES:
            if self._deflater is None:
                self._deflater = Deflater(self._terms)
            payload = self._deflater.deflate(payload)
            first |= RSV1
        self._output.append(encode_frame(first, payload))

    # -- frames ----------------------------------------------------------------------------------------------

    def _next(self) -> Event | None:
        """Read frames up to the next event."""
        received = self._received
        while before := len(received.data) - received.start:
            event = self._take_piece() if self._left else self._take_frame()
            if event is not None or len(received.data) - received.start == before:
                return event
        return None

    def _take_frame(self) -> Event | None:
        """Take a control frame, or the header of a data frame; with its payload where all of that is there."""
        received = self._received
        data, start = received.data, received.start
        size = len(data) - start
        if size < 2:
            return None
        first, second = data[start], data[start + 1]
        if first not in _WHOLE or second < 0x80 or self._opcode:
            self._check(first, second)
        length = second & 0x7F
        header = 6
        if length > 125:
            header = 8 if length == 126 else 14
            if size < header - 4:
                return None
            length = _extended(data[start + 2 : start + header - 4])
        opcode = first & 0x0F
        if opcode in _CONTROL:
            if size < header + length:
                return None
            received.skip(header - 4)
            mask = received.take(4)
            return self._control(opcode, unmask(received.take(length), mask))
        if self.state is _OPEN and self._limit and length > self._limit - len(self._message):
            self._refuse_length(first)
        if size < header:
            return None
        start += header
        mask = bytes(data[start - 4 : start])
        if first in _WHOLE and size >= header + length and self.state is _OPEN:
            # The usual frame: a whole message, not compressed, all of it there.
            end = start + length
            payload = unmask(data[start:end], mask)
            if end == len(data):
                received.clear()
            else:
                received.start = end
            return Text(_decode(payload)) if opcode == TEXT else Binary(payload)
        received.skip(header)
        return self._begin(first, length, mask)

    def _begin(self, first: int, length: int, mask: bytes) -> Event | None:
        """A data frame whose payload is still to be taken."""
        self._mask = mask
        self._fin = bool(first & FIN)
        self._left = length
        if opcode := first & 0x0F:
            self._opcode = opcode
            self._squeezed = bool(first & RSV1)
        return self._end_message() if self._fin and not length else None

    def _check(self, first: int, second: int) -> None:
        """What the first two bytes of a frame may be."""
        opcode = first & 0x0F
        if not second & 0x80:
            raise WebSocketError(PROTOCOL_ERROR, "a client's frame must be masked")
        if first & 0x70 and not (first & 0x70 == RSV1 and opcode in _DATA and self._terms is not None):
            raise WebSocketError(PROTOCOL_ERROR, "a reserved bit without an extension that uses it")
        if opcode in _CONTROL:
            if not first & FIN:
                raise WebSocketError(PROTOCOL_ERROR, "a control frame must not be fragmented")
            if second & 0x7F > CONTROL_BYTES:
                raise WebSocketError(PROTOCOL_ERROR, f"a control frame has at most {CONTROL_BYTES} bytes")
        elif opcode == CONTINUATION:
            if not self._opcode:
                raise WebSocketError(PROTOCOL_ERROR, "a continuation without a message to continue")
        elif opcode not in _DATA:
            raise WebSocketError(PROTOCOL_ERROR, f"the reserved opcode {opcode}")
        elif self._opcode:
            raise WebSocketError(PROTOCOL_ERROR, "a new message inside a fragmented one")

    def _refuse_length(self, first: int) -> None:
        """A frame that makes its message too long is refused unread; a compressed one may be longer than that."""
        if not (self._squeezed if self._opcode else first & RSV1):
            raise WebSocketError(TOO_BIG, "a message is longer than websocket_max_message_size")

    def _take_piece(self) -> Event | None:
        """Take what has arrived of the current data frame."""
        piece = self._received.take(self._left)
        size = len(piece)
        if not size:
            return None
        self._left -= size
        complete = self._fin and not self._left
        if self.state is _OPEN:
            mask = self._mask
            piece = unmask(piece, mask)
            if turn := size & 3:
                self._mask = mask[turn:] + mask[:turn]
            if self._squeezed:
                piece = self._inflate(piece)
            self._message += piece
            if self._opcode == TEXT and not complete:  # at the end, all of it is decoded at once
                try:
                    self._utf8.decode(piece)
                except UnicodeDecodeError:
                    raise _not_utf8() from None
        return self._end_message() if complete else None

    def _inflate(self, piece: bytes, end: bool = False) -> bytes:
        if self._inflater is None:
            assert self._terms is not None  # _check refuses RSV1 without
            self._inflater = Inflater(self._terms)
        room = self._limit - len(self._message) if self._limit else None
        return self._inflater.end(room) if end else self._inflater.inflate(piece, room)

    def _end_message(self) -> Event | None:
        """The last frame of a message is complete."""
        opcode = self._opcode
        self._opcode = 0
        if self.state is not _OPEN:
            return None
        if self._squeezed:
            self._message += self._inflate(b"", end=True)
        message = self._message
        self._message = bytearray()
        if opcode == TEXT:
            self._utf8.reset()
            return Text(_decode(message))
        return Binary(bytes(message))

    def _control(self, opcode: int, payload: bytes) -> Event | None:
        if opcode == CLOSE:
            code, reason = read_close(payload)
            if self.state is _OPEN:
                self._output.append(encode_close(code, ""))
            self._end()
            return Closed(code, reason, by_client=True)
        if opcode == PONG:
            return Pong(payload)
        if self.state is not _OPEN:
            return None
        self._output.append(encode_frame(FIN | PONG, payload))
        return Ping(payload)

    # -- the end ---------------------------------------------------------------------------------------------

    def _fail(self, error: WebSocketError) -> Closed:
        if self.state is _OPEN:
            self._output.append(encode_close(error.code, error.detail))
        self._end()
        return Closed(error.code, error.detail)

    def _end(self) -> None:
        self.state = _CLOSED
        self._received.clear()
        self._forget_message()
        self._inflater = self._deflater = None

    def _forget_message(self) -> None:
        self._message = bytearray()
        self._utf8.reset()


def _extended(data: bytes | bytearray) -> int:
    """A length in two or eight bytes: the most significant bit is 0, and no shorter form would have done."""
    length = int.from_bytes(data, "big")
    if length >> 63:
        raise WebSocketError(PROTOCOL_ERROR, "a frame's length must be below 2^63")
    if length < (126 if len(data) == 2 else 0x10000):
        raise WebSocketError(PROTOCOL_ERROR, "a frame's length must be in its shortest form")
    return length


def _decode(data: bytes | bytearray) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise _not_utf8() from None


def _not_utf8() -> WebSocketError:
    return WebSocketError(BAD_DATA, "a text message must be UTF-8")
