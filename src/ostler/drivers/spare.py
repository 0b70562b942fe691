"""A descriptor that is kept for the day when there is no other: with it, those who wait can be told to go.

When the descriptor table is full, accept(2) fails, and whoever waits would wait for ever, without a word. The spare one
is closed, its number takes a connection, which is answered with a 503 and closed, and the next; then it is kept again.

Editing rules: by the leader only. Nothing here waits: who reads slowly is cut.
"""

import contextlib
import os
import socket
from collections.abc import Sequence
from typing import Final

from ostler import real
from ostler.process.listeners import Listener

REFUSAL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Type: text/plain\r\nContent-Length: 20\r\n"
    b"Connection: close\r\n\r\nService Unavailable\n"
)
_READ_BYTES: Final = 64 * 1024
"""Of the request: behind a reset, which unread bytes would cause, some clients read no answer."""
_NONE: Final = -1

_open = real.open_file
_close = os.close
_fstat = os.fstat


class Spare:
    """One worker's."""

    def __init__(self, refusal: bytes = REFUSAL) -> None:
        """refusal: what is said; empty where clients expect TLS, and could not read it."""
        self._refusal = refusal
        self._fd = _NONE
        self._is: tuple[int, int] | None = None
        self.keep()

    def keep(self) -> None:
        """Have one, if there is one to have."""
        if self._fd == _NONE:
            with contextlib.suppress(OSError):
                self._fd = _open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
                self._is = _identity(self._fd)

    def turn_away(self, listeners: Sequence[Listener], most: int) -> int:
        """Answer so many, if they are there; how many there were."""
        if not self._let_go():
            return 0
        turned = 0
        try:
            for listener in listeners:
                while turned < most and (sock := _next(listener)) is not None:
                    turned += 1
                    self._refuse(sock)
        finally:
            self.keep()
        return turned

    def close(self) -> None:
        """Nobody is turned away any more."""
        fd, self._fd = self._fd, _NONE
        if fd != _NONE and _identity(fd) == self._is:
            _close(fd)

    def _let_go(self) -> bool:
        fd, self._fd = self._fd, _NONE
        if fd == _NONE or _identity(fd) != self._is:  # an application closes what it likes
            self.keep()
            return False
        _close(fd)
        return True

    def _refuse(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            sock.setblocking(False)
            if self._refusal:
                sock.send(self._refusal)
                sock.shutdown(socket.SHUT_WR)
                sock.recv(_READ_BYTES)


def _next(listener: Listener) -> socket.socket | None:
    try:
        return real.accept(listener.socket)[0]
    except OSError:
        return None


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        found = _fstat(fd)
    except OSError:
        return None
    return found.st_dev, found.st_ino
