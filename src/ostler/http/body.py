"""Readers of a request's body: what follows a head in `Received`, decoded.

A reader is asked for bytes and takes only what it hands out, so nothing is buffered twice. `complete` tells that the
body's last byte was taken from `Received`; it becomes true as soon as that can be known.

Editing rules: a reader never takes a byte behind the body, and never guesses. Each is tested whole, byte by byte and
with bytes behind it. Anchors: RFC 9112 sections 6.3 and 7.1 (and erratum 7633: CRLF only); RFC 9110 section 6.5.1.
"""

from enum import Enum, auto
from typing import Final, Protocol

from ostler.http.errors import HttpError
from ostler.http.grammar import CHUNK_LINE, TRAILER_LINE
from ostler.http.limits import Limits
from ostler.http.received import Received

_FORBIDDEN_TRAILERS: Final = frozenset(
    (b"authorization", b"content-length", b"host", b"te", b"trailer", b"transfer-encoding")
)
"""Fields that would change framing, routing or rights behind the back of whoever decided on them (RFC 9110 6.5.1)."""


class BodyReader(Protocol):
    """One body."""

    complete: bool

    def read(self, received: Received, size: int) -> bytes:
        """Up to `size` decoded bytes; b"" when the body is complete or nothing is there.

        Raises:
            HttpError: the body is malformed. The reader must not be used again.
        """

    def discard(self, received: Received) -> int:
        """Throw away what is there of the body; how many more bytes must come, -1 when that is unknown."""


class LengthReader:
    """A body of Content-Length bytes."""

    __slots__ = ("complete", "remaining")

    def __init__(self, length: int) -> None:
        self.remaining = length
        self.complete = length == 0

    def read(self, received: Received, size: int) -> bytes:
        """See BodyReader."""
        data = received.take(min(size, self.remaining))
        self.remaining -= len(data)
        self.complete = not self.remaining
        return data

    def discard(self, received: Received) -> int:
        """See BodyReader."""
        self.remaining -= received.skip(self.remaining)
        self.complete = not self.remaining
        return self.remaining


class _Part(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILERS = auto()
    DONE = auto()


# Module names, because an attribute of an Enum costs 0.05 µs at each use, and a chunk has five of them.
_SIZE: Final = _Part.SIZE
_DATA: Final = _Part.DATA
_DATA_END: Final = _Part.DATA_END
_TRAILERS: Final = _Part.TRAILERS
_DONE: Final = _Part.DONE


class ChunkedReader:
    """A body in chunks. Extensions and trailers are checked, counted and dropped."""

    __slots__ = ("_body_budget", "_extension_budget", "_left", "_part", "_scanned", "_trailer_budget", "complete")

    def __init__(self, limits: Limits) -> None:
        self._part = _SIZE
        self._left = 0
        """Bytes of the current chunk that are still to come."""
        self._scanned = 0
        self._body_budget = limits.body or None
        self._extension_budget = limits.chunk_extension_bytes
        self._trailer_budget = limits.trailer_bytes
        self.complete = False

    def read(self, received: Received, size: int) -> bytes:
        """See BodyReader. Many small chunks are handed out as one piece."""
        pieces = []
        while True:
            part = self._part
            if part is _DATA:
                if not size or not len(received):
                    break
                piece = received.take(min(size, self._left))
                size -= len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._part = _DATA_END
                pieces.append(piece)
            elif part is _SIZE:
                if not self._read_size(received):
                    break
            elif part is _DATA_END:
                if not self._read_data_end(received):
                    break
            elif part is _DONE or not self._read_trailer(received):
                break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def discard(self, received: Received) -> int:
        """See BodyReader."""
        while self.read(received, 65536):
            pass
        return 0 if self.complete else -1

    def _read_size(self, received: Received) -> bool:
        line = self._line_end(received, 16 + self._extension_budget, 400)
        if line < 0:
            return False
        start = received.start
        match = CHUNK_LINE.fullmatch(received.data, start, line)
        if match is None:
            raise HttpError(400, "a chunk begins with its size in hexadecimal digits, and valid extensions")
        if match.end(1) < line:
            self._extension_budget -= line - match.end(1)
            if self._extension_budget < 0:
                raise HttpError(400, "more bytes of chunk extensions than chunk_extension_bytes")
        self._left = int(match[1], 16)
        if self._body_budget is not None:
            self._body_budget -= self._left
            if self._body_budget < 0:
                raise HttpError(413, "a body in chunks that is larger than limit_request_body")
        self._part = _DATA if self._left else _TRAILERS
        received.skip(line + 2 - start)
        return True

    def _read_data_end(self, received: Received) -> bool:
        data, start = received.data, received.start
        if len(received) < 2:
            if len(received) == 1 and data[start] != 0x0D:
                raise HttpError(400, "a chunk is longer than its size")
            return False
        if not data.startswith(b"\r\n", start):
            raise HttpError(400, "a chunk is longer than its size")
        received.skip(2)
        self._part = _SIZE
        return True

    def _read_trailer(self, received: Received) -> bool:
        line = self._line_end(received, self._trailer_budget, 431)
        if line < 0:
            return False
        start = received.start
        if line > start:
            match = TRAILER_LINE.fullmatch(received.data, start, line)
            if match is None:
                raise HttpError(400, "a trailer must be a field")
            if match[1].lower() in _FORBIDDEN_TRAILERS:
                raise HttpError(400, "a field that must not stand in trailers")
            self._trailer_budget -= line + 2 - start
            if self._trailer_budget < 0:
                raise HttpError(431, "more bytes of trailers than trailer_bytes")
        else:
            self._part = _DONE
            self.complete = True
        received.skip(line + 2 - start)
        return True

    def _line_end(self, received: Received, limit: int, status: int) -> int:
        """The index of the CRLF that ends the line at the front, or -1 while it is not there.

        `status` is what a line over `limit` is refused with.
        """
        data, start = received.data, received.start
        end = data.find(b"\n", start + self._scanned, start + limit + 2)
        if end < 0:
            if len(received) >= limit + 2:
                raise HttpError(status, "a line of chunk framing or trailers is too long")
            self._scanned = len(received)
            return -1
        if end == start or data[end - 1] != 0x0D:
            raise HttpError(400, "a line of chunk framing or trailers ends with a bare LF")
        self._scanned = 0
        return end - 1
