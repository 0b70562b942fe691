"""The line between the master and one child: typed messages, descriptors with them, and stack dumps beside them.

A SOCK_STREAM socketpair per child, non-blocking at both ends; what the bytes mean is in messages.py. The end of file
says that the process at the other end is gone; both sides rely on it, so whoever forks closes the inherited ends of the
other channels in the child.

Descriptors (of log files, of certificates, of what a worker that a mold forks shall have) travel as SCM_RIGHTS
(unix(7)), all those of a message with its first byte.
One recvmsg returns the descriptors of at most one sendmsg, and the bytes of that with them, so batches and messages
that carry some come in the same order. A batch that was cut short (no descriptor number is free) still takes its place
in that order.

Rules for editing: no policy here; nothing blocks; what a broken peer writes never raises, and never leaves a descriptor
open.
"""

import array
import contextlib
import errno
import os
import socket as _socket
import sys
from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from ostler import real
from ostler.process.belongings import close_detached
from ostler.process.messages import (
    BootFailed,
    Born,
    CertificateFiles,
    Declined,
    Died,
    ForkRefused,
    ForkWorker,
    LameDuckBegins,
    LogFiles,
    LogLevel,
    LogsRequest,
    Message,
    MoldIsReady,
    Notice,
    NotPromoted,
    Parser,
    Promote,
    Ready,
    Retire,
    RetireRequest,
    Stop,
    Trouble,
    decode,
    descriptors_of,
    encode,
)

__all__ = [
    "BootFailed",
    "Born",
    "CertificateFiles",
    "Channel",
    "Declined",
    "Died",
    "ForkRefused",
    "ForkWorker",
    "LameDuckBegins",
    "LogFiles",
    "LogLevel",
    "LogsRequest",
    "Message",
    "MoldIsReady",
    "NotPromoted",
    "Notice",
    "Parser",
    "Promote",
    "Ready",
    "Retire",
    "RetireRequest",
    "Stop",
    "Trouble",
    "decode",
    "encode",
]

LIMIT_FDS: Final = 253  # of one message: the kernel's own limit, SCM_MAX_FD of unix(7)
_BLOCK: Final = 65536
_BLOCKS: Final = 16
"""Of one `receive`: more than a socket's buffer holds, so that nothing is left of a process that is dead."""
_ROOM_BYTES: Final = 4 << 20
_SO_SNDBUFFORCE: Final = 32  # Linux's; Python has no name for it
_FD_SIZE: Final = array.array("i").itemsize
_LATER: Final = (errno.EAGAIN, errno.EINTR, errno.ENOBUFS, errno.ENOMEM, errno.ETOOMANYREFS)

_dup = os.dup
_close = os.close
_socket_class = real.Socket  # workers of a mold make theirs after the application was loaded, which may patch it
_Lock = real.make_lock


@dataclass(slots=True)
class _Unsent:
    """data: what is left of the message. fds: our own copies, until its first byte is sent."""

    message: Message
    data: bytes
    fds: tuple[int, ...]
    begun: bool = False


class Channel:
    """One end of the line. `receive` belongs to one thread at a time; `send` may be called from any."""

    def __init__(self, sock: _socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._parser = Parser()
        self._batches: deque[tuple[int, ...]] = deque()  # descriptors whose message is not complete
        self._unsent: deque[_Unsent] = deque()
        self._sending = _Lock()  # never held across a fork: the master has one thread
        self._ended = False

    @classmethod
    def pair(cls) -> tuple["Channel", "Channel"]:
        """The master's end and the worker's end."""
        ours, theirs = real.pair()
        _make_room(theirs)
        return cls(ours), cls(theirs)

    @classmethod
    def of(cls, fd: int) -> "Channel":
        """The end that came as a descriptor (ForkWorker), which it owns from now on."""
        return cls(_socket_class(fileno=fd))

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Send without waiting. To a peer that is gone this does nothing: its end is learned elsewhere.

        fds: of a LogFiles, one for each name, at most LIMIT_FDS; of a CertificateFiles, one; of a ForkWorker, one more
        than listeners. They stay the caller's, who may close them at once. Of those that wait for a stopped peer,
        LogFiles are kept as one, with the latest descriptor of each name, and of CertificateFiles the last. Raises
        ValueError when message and descriptors do not match; OSError when a descriptor cannot be copied (EMFILE), and
        the message is not sent then.
        """
        carried = descriptors_of(message)
        distinct = len(set(message.names)) if isinstance(message, LogFiles) else carried
        if not len(fds) == carried == distinct <= LIMIT_FDS:
            raise ValueError(f"expected {carried} descriptors (at most {LIMIT_FDS}) with {message}, got {len(fds)}")
        with self._sending:
            self._flush()
            self._enqueue(message, fds)
            self._flush()

    def receive(self) -> list[Message] | None:
        """Messages that have arrived, maybe none; None when the other process is gone. Never blocks. Of what a process
        writes without end, the rest is left for the next call: poll tells of it again.

        The descriptors of a message are closed on exec, and whoever gets the message must close them.
        """
        with self._sending:
            self._flush()
        messages: list[Message] = []
        for _ in range(_BLOCKS):
            if self._ended:
                return messages or None
            try:
                data = self._receive_bytes()
            except BlockingIOError:
                return messages
            except OSError:  # reset: the other process died with unread bytes
                data = b""
            if not data:
                self._ended = True
            messages += [self._with_descriptors(message) for message in self._parser.feed(data)]
            self._close_unclaimed()
        return messages

    def flush(self) -> None:
        """Send what a stopped peer did not take, if it takes it now. For the owner's loop, about once a second."""
        with self._sending:
            self._flush()

    def take_dump(self) -> str:
        """Stack dump text received so far; empty when none came. It is forgotten here."""
        return self._parser.take_dump()

    def copy_dump(self) -> None:
        """From now on keep a copy of what `take_dump` will give, for a second reader; `copied_dump` shows it."""
        self._parser.copy_dump()

    def copied_dump(self) -> str:
        return self._parser.copied_dump()

    def drop_copied(self) -> None:
        """What was copied so far is not for `take_dump`, unless it was given there already."""
        self._parser.drop_copied()

    def end_copy(self) -> None:
        self._parser.end_copy()

    def disown(self) -> None:
        """In a process that the application has forked, where a lock may be held for ever: the line is its parent's."""
        close_detached(self._socket)

    def close(self) -> None:
        self._ended = True
        self._socket.close()
        with self._sending:
            while self._unsent:
                _close_all(self._unsent.popleft().fds)
        self._close_unclaimed()

    # Sending

    def _enqueue(self, message: Message, fds: tuple[int, ...]) -> None:
        copies = _copies_of(fds)
        # A stopped worker costs one descriptor for each log, and one for certificates, however often these change.
        waiting = [each for each in self._unsent if not each.begun]
        match message:
            case LogFiles():
                message, copies = self._merged(message, copies, waiting)
            case CertificateFiles():
                for former in waiting:
                    if isinstance(former.message, CertificateFiles):
                        self._unsent.remove(former)
                        _close_all(former.fds)
            case _:
                pass
        self._unsent.append(_Unsent(message, encode(message), copies))

    def _merged(
        self, message: LogFiles, fds: tuple[int, ...], waiting: list[_Unsent]
    ) -> tuple[LogFiles, tuple[int, ...]]:
        """`message` with what others of its kind wait to say, in their place."""
        latest = dict(zip(message.names, fds, strict=True))
        others = message.others
        for former in waiting:
            if isinstance(former.message, LogFiles):
                self._unsent.remove(former)
                others = others or former.message.others
                for name, fd in zip(former.message.names, former.fds, strict=True):
                    if latest.setdefault(name, fd) != fd:
                        _close(fd)
        return LogFiles(tuple(latest), others=others), tuple(latest.values())

    def _flush(self) -> None:
        while self._unsent:
            first = self._unsent[0]
            try:
                sent = self._socket.sendmsg([first.data], _ancillary(first.fds))
            except OSError as error:
                if error.errno in _LATER:
                    return  # the peer is stopped: the next send or receive tries again
                sent = len(first.data)
            _close_all(first.fds)
            first.fds, first.begun = (), True
            first.data = first.data[sent:]
            if not first.data:
                self._unsent.popleft()

    # Receiving

    def _receive_bytes(self) -> bytes:
        data, ancillary, flags, _sender = self._socket.recvmsg(
            _BLOCK, _socket.CMSG_SPACE(LIMIT_FDS * _FD_SIZE), getattr(_socket, "MSG_CMSG_CLOEXEC", 0)
        )
        fds = array.array("i")
        for level, kind, content in ancillary:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                fds.frombytes(content[: len(content) - len(content) % _FD_SIZE])
        for fd in fds:
            os.set_inheritable(fd, False)  # where recvmsg has no flag for it
        if flags & _socket.MSG_CTRUNC:
            _close_all(tuple(fds))
            self._batches.append(())
        elif fds:
            self._batches.append(tuple(fds))
        return data

    def _with_descriptors(self, message: Message) -> Message:
        if not isinstance(message, LogFiles | CertificateFiles | ForkWorker) or not descriptors_of(message):
            return message
        batch = self._batches.popleft() if self._batches else ()
        if len(batch) == descriptors_of(message):
            return replace(message, fds=batch)
        _close_all(batch)
        return message

    def _close_unclaimed(self) -> None:
        """Descriptors come with the first byte of their message: without an open message nobody will claim them."""
        keep = 1 if self._parser.in_message and not self._ended else 0
        while len(self._batches) > keep:
            _close_all(self._batches.popleft())


def _make_room(worker: _socket.socket) -> None:
    """For stacks: faulthandler writes each piece of a line by itself, and the kernel charges 768 bytes for each; so 40
    frames fill a socket, and the others are lost.
    """
    with contextlib.suppress(OSError):
        worker.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, _ROOM_BYTES)  # as far as the system lets anybody
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            worker.setsockopt(_socket.SOL_SOCKET, _SO_SNDBUFFORCE, _ROOM_BYTES)  # socket(7): with CAP_NET_ADMIN


def _ancillary(fds: tuple[int, ...]) -> list[tuple[int, int, "array.array[int]"]]:
    return [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", fds))] if fds else []


def _copies_of(fds: tuple[int, ...]) -> tuple[int, ...]:
    copies: list[int] = []
    try:
        for fd in fds:
            copies.append(_dup(fd))  # noqa: PERF401  those made so far are closed when one fails
    except OSError:
        _close_all(tuple(copies))
        raise
    return tuple(copies)


def _close_all(fds: tuple[int, ...]) -> None:
    for fd in fds:
        with contextlib.suppress(OSError):
            _close(fd)
