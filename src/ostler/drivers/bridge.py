"""A thread that carries bytes between a client and one end of a socket pair; the application has the other end.

An application that takes its client's socket (takeover.py) may do anything with it: select on it, duplicate its
descriptor, give it to another library. Under TLS, and where bytes of the client were read already, the client's own
descriptor cannot serve for that: the kernel knows only ciphertext, or lacks the first bytes. The end of a pair can.

Rules for editing: nothing here knows requests. Memory is bounded both ways. The thread is a real one, also in a
monkey-patched process.
"""

import contextlib
import errno
import select
import socket
import time
from collections.abc import Callable
from typing import Final

from ostler import real
from ostler.drivers.stream import Stream

BLOCK_BYTES: Final = 64 * 1024
"""The most that waits for the application, and what is read of it at a time."""

_poll = real.poll
_monotonic = time.monotonic
_READ: Final = select.POLLIN
_WRITE: Final = select.POLLOUT
_HANGUP: Final = select.POLLHUP | select.POLLERR


class Bridge:
    """One client's. `start` begins; `end` is the application's end of the pair."""

    def __init__(self, sock: socket.socket, stream: Stream, early: bytes, farewell_s: float) -> None:
        """sock: the client's, non-blocking, for the bridge alone, which closes it in the end; `stream` is over it.

        early: what was read of the client already. farewell_s: when the application has closed its end, how long the
        client may take for what is still to be sent, and for its own end.
        """
        self.end, self._inside = real.pair()
        self._inside.setblocking(False)
        self._outside = sock
        self._stream = stream
        self._to_application = early
        self._to_client = b""
        self._client_ended = False
        self._application_ended = False
        self._application_gone = False
        self._told_application = False
        self._told_client = False
        self._farewell_s = farewell_s
        self._until: float | None = None
        self._on_end: Callable[[], object] = lambda: None

    def start(self, on_end: Callable[[], object]) -> None:
        """Carry, until both sides have ended; then close the client's socket and call `on_end`, in that thread.

        Raises:
            OSError: the system has no thread to give; `on_end` was called.
        """
        self._on_end = on_end
        try:
            real.Thread(self._run, "ostler-bridge").start()
        except RuntimeError as error:
            self._end()
            raise OSError(errno.EAGAIN, str(error)) from error

    def _run(self) -> None:
        try:
            with contextlib.suppress(OSError):  # one of the sides broke: nothing more can be carried
                while self._carry():
                    pass
        finally:
            self._end()

    def _end(self) -> None:
        self._inside.close()
        self._outside.close()
        self._on_end()

    def _carry(self) -> bool:
        """Wait for something, and carry it. False: it is over.

        Raises:
            OSError: a side broke.
        """
        self._pass_ends_on()
        if self._told_client and self._client_ended:
            return False
        timeout_s = None
        if self._until is not None:
            timeout_s = self._until - _monotonic()
            if timeout_s <= 0:
                return False
        outside, inside = self._events(None if timeout_s is None else timeout_s * 1000)
        if outside & (_READ | _HANGUP) and not self._client_ended and len(self._to_application) < BLOCK_BYTES:
            self._hear_client()
        if self._to_client or self._stream.unsent:
            self._tell_client()
        if inside & (_READ | _HANGUP):
            self._hear_application(inside)
        if self._to_application:
            self._tell_application()
        return True

    def _events(self, timeout_ms: float | None) -> tuple[int, int]:
        outside = inside = 0
        if not self._client_ended and len(self._to_application) < BLOCK_BYTES:
            outside |= _READ
        if self._to_client or self._stream.unsent:
            outside |= _WRITE
        if not self._to_client and not self._application_ended:
            inside |= _READ
        if self._to_application:
            inside |= _WRITE
        poll = _poll()
        if outside:  # a hang-up is reported unasked, and again and again
            poll.register(self._outside, outside)
        if inside or not self._application_gone:
            poll.register(self._inside, inside)
        found = dict(poll.poll(timeout_ms))
        return found.get(self._outside.fileno(), 0), found.get(self._inside.fileno(), 0)

    def _hear_client(self) -> None:
        try:
            data = self._stream.recv(BLOCK_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._client_ended = True
        elif not self._application_gone:  # otherwise nobody is left to hear it
            self._to_application += data

    def _tell_client(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._to_client:
                self._to_client = self._to_client[self._stream.send(self._to_client) :]
            self._stream.flush()

    def _hear_application(self, events: int) -> None:
        if events & _HANGUP and not self._application_gone:
            self._application_gone = True
            self._to_application = b""
            self._until = _monotonic() + self._farewell_s
        if self._application_ended or self._to_client:
            return
        try:
            data = self._inside.recv(BLOCK_BYTES)
        except BlockingIOError:
            return
        except ConnectionResetError:  # it closed its end, and left something unread: that is no failure (unix(7))
            data = b""
        if data:
            self._to_client = data
            self._tell_client()
        else:
            self._application_ended = True

    def _tell_application(self) -> None:
        try:
            self._to_application = self._to_application[self._inside.send(self._to_application) :]
        except BlockingIOError:
            return
        except OSError:  # EPIPE: it does not read any more
            self._to_application = b""

    def _pass_ends_on(self) -> None:
        """Whoever has ended, and has nothing under way any more: the other side is told."""
        if self._client_ended and not self._to_application and not self._told_application:
            self._told_application = True
            with contextlib.suppress(OSError):
                self._inside.shutdown(socket.SHUT_WR)
        if self._application_ended and not self._to_client and not self._told_client and self._stream.flush():
            self._told_client = True
            self._stream.close_notify()
            with contextlib.suppress(BlockingIOError):
                self._stream.flush()
            self._outside.shutdown(socket.SHUT_WR)
