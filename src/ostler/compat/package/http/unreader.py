"""`gunicorn.http.unreader`: where a parser's bytes come from, with a place for those that were read too far.

Rules for editing: `read` and `unread` are Gunicorn's; `connection` is what our parser has read and not used yet.
"""

import io
from collections.abc import Iterable
from typing import Any

from ostler.http.h1 import H1Connection


class Unreader:
    connection: H1Connection | None = None
    """With the bytes behind the last request; made by message.py."""

    def __init__(self) -> None:
        self.buf = io.BytesIO()

    def chunk(self) -> bytes:
        """The next bytes of the source; b"" is its end."""
        raise NotImplementedError

    def read(self, size: int | None = None) -> bytes:
        """Up to `size` bytes; what there is when None or negative. b"" is the end."""
        if size is not None and not isinstance(size, int):
            raise TypeError("size parameter must be an int or long.")
        if size == 0:
            return b""
        held = self.buf.getvalue()
        self.buf = io.BytesIO()
        if size is None or size < 0:
            return held or self.chunk()
        while len(held) < size:
            more = self.chunk()
            if not more:
                return held
            held += more
        self.buf.write(held[size:])
        return held[:size]

    def unread(self, data: bytes) -> None:
        rest = self.buf.getvalue()
        self.buf = io.BytesIO()
        self.buf.write(data + rest)


class SocketUnreader(Unreader):
    def __init__(self, sock: Any, max_chunk: int = 8192) -> None:
        super().__init__()
        self.sock = sock
        self.mxchunk = max_chunk

    def chunk(self) -> bytes:
        data: bytes = self.sock.recv(self.mxchunk)
        return data


class IterUnreader(Unreader):
    def __init__(self, iterable: Iterable[bytes]) -> None:
        super().__init__()
        self.iter = iter(iterable)

    def chunk(self) -> bytes:
        return next(self.iter, b"")
