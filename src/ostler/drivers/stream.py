"""What carries a client's bytes: the socket itself, or TLS over it (tls.py).

`Stream` is what client.py and outbox.py use of it. A stream never waits, and hides nothing: when `recv` has returned,
whatever else it has will be announced by the socket; when `flush` is true, all that was sent is the kernel's.
"""

import os
import socket
from typing import Final, Protocol

SENDFILE_BYTES: Final = 1 << 20
"""The most of a file that one call sends."""

_sendfile = getattr(os, "sendfile", None)


class Stream(Protocol):
    """Bytes in and out of one client, without waiting."""

    @property
    def unsent(self) -> int:
        """Bytes that `send` took and the kernel has not."""

    def recv(self, size: int, /) -> bytes:
        """What has arrived, at least one byte; about `size` at most; b"" at the end of input.

        Raises:
            BlockingIOError: nothing is there.
            OSError: the transport broke.
        """

    def send(self, data: bytes | memoryview, /) -> int:
        """How many bytes of `data` were taken.

        Raises:
            BlockingIOError: none, now.
            OSError: the transport broke.
        """

    def send_file(self, fd: int, offset: int, count: int) -> int:
        """As `send`, of a piece of a file; 0: the file has become shorter."""

    def flush(self) -> bool:
        """Whether all that `send` took is the kernel's; try to make it so.

        Raises:
            OSError: the transport broke.
        """

    def close_notify(self) -> None:
        """Say, where the protocol can, that nothing more will be sent. Never raises."""


class PlainStream:
    """A non-blocking socket as it is. `recv` and `send` are the socket's own: no call in between."""

    __slots__ = ("_socket", "recv", "send")

    unsent: Final = 0

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.recv = sock.recv
        self.send = sock.send

    def send_file(self, fd: int, offset: int, count: int) -> int:
        """See `Stream`. sendfile(2) where the system has it."""
        most = min(count, SENDFILE_BYTES)
        if _sendfile is None:
            data = os.pread(fd, most, offset)
            return self.send(data) if data else 0
        return int(_sendfile(self._socket.fileno(), fd, offset, most))

    def flush(self) -> bool:
        """See `Stream`."""
        return True

    def close_notify(self) -> None:
        """See `Stream`: nothing to say; shutdown(2) does."""
