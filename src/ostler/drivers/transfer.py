"""Handing an open client connection, with its unread bytes, to another worker (SCM_RIGHTS, unix(7)).

One pair of Unix seqpacket sockets is made by the master and shared by all workers: whoever is idle receives. A busy
worker gives away a connection whose next request would wait behind a long one; a retiring worker gives away its idle
keep-alive connections. The master holds both ends open, so what is in the queue outlives any worker.

Rules: only between exchanges, with nothing left to send; the sender takes the connection out of its poller *before*
it sends (epoll follows the open file, not the descriptor: it would report the moved connection for ever); a message
is at most `MESSAGE_BYTES`; when the queue is full the sender keeps the connection.
"""

import array
import contextlib
import errno
import json
import os
import socket
import struct
import sys
from dataclasses import astuple, dataclass
from typing import Final

from ostler import real
from ostler.http.connection import Address, Peer, Proxied
from ostler.process.belongings import close_detached

MESSAGE_BYTES: Final = 64 * 1024
VERSION: Final = 4
_HEADER: Final = struct.Struct("!BH")  # version, length of the JSON part; the unread bytes follow it
_FD_SIZE: Final = array.array("i").itemsize
_dup = os.dup
_close = os.close
_KIND: Final = socket.SOCK_DGRAM if sys.platform == "darwin" else socket.SOCK_SEQPACKET  # macOS has no such pair


@dataclass(frozen=True, slots=True)
class Transferred:
    """A connection that a sibling handed over. `protocol` is what it speaks, as the setting `protocol` names it;
    `served`: it has had an answer, so silence is keep-alive. `since`: when its request began to wait (monotonic, which
    all processes of a machine share); 0.0: it has none, or that is not known.
    """

    socket: socket.socket
    peer: Peer
    protocol: str
    unread: bytes
    served: bool = True
    since: float = 0.0


class TransferSockets:
    """Both ends of the shared queue. Made once by the master, before any worker."""

    def __init__(self, sending: socket.socket, receiving: socket.socket) -> None:
        self._sending = sending
        self._receiving = receiving

    @classmethod
    def create(cls) -> "TransferSockets":
        """A new, empty queue; non-blocking on both ends."""
        sending, receiving = real.pair(socket.AF_UNIX, _KIND)
        sending.setblocking(False)
        receiving.setblocking(False)
        with contextlib.suppress(OSError):
            sending.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MESSAGE_BYTES)
        return cls(sending, receiving)

    def fileno(self) -> int:
        """The descriptor that is readable while a connection waits to be taken."""
        return self._receiving.fileno()

    def send(  # noqa: PLR0913, PLR0917  the fields of a `Transferred`
        self, client: socket.socket, peer: Peer, protocol: str, unread: bytes, served: bool = True, since: float = 0.0
    ) -> bool:
        """Hand `client` over. True: it belongs to a sibling, close your copy. False: it is still yours.

        Raises nothing: a full queue (EAGAIN), too many descriptors in flight (ETOOMANYREFS) and a message above
        `MESSAGE_BYTES` all mean False.
        """
        proxied = None if peer.proxied is None else astuple(peer.proxied)
        text = json.dumps([peer.address, peer.local, proxied, protocol, served, since]).encode()
        message = _HEADER.pack(VERSION, len(text)) + text + unread
        if len(message) > MESSAGE_BYTES:
            return False
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [client.fileno()]))]
        try:
            return self._sending.sendmsg([message], rights) == len(message)
        except OSError:
            return False

    def receive(self) -> Transferred | None:
        """Take one connection, or None when no connection waits.

        Raises:
            OSError: no descriptor is free (EMFILE, ENFILE); the connection still waits.

        A message of another version (two releases side by side during an upgrade) is dropped with its connection.
        """
        try:
            _close(_dup(self._receiving.fileno()))  # without a free one the kernel would close the connection
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise
            return None
        try:
            message, ancillary, _flags, _sender = self._receiving.recvmsg(
                MESSAGE_BYTES, socket.CMSG_SPACE(_FD_SIZE), getattr(socket, "MSG_CMSG_CLOEXEC", 0)
            )
        except OSError:
            return None
        client = _take_descriptor(ancillary)
        if client is None:
            return None
        if message[0] != VERSION:
            client.close()
            return None
        _, length = _HEADER.unpack_from(message)
        address, local, proxied, protocol, served, since = json.loads(message[_HEADER.size : _HEADER.size + length])
        peer = Peer(_address(address), _address(local), None if proxied is None else _proxied(*proxied))
        return Transferred(client, peer, protocol, message[_HEADER.size + length :], served, since)

    def disown(self) -> None:
        """In a process that the application has forked."""
        close_detached(self._sending)
        close_detached(self._receiving)

    def close(self) -> None:
        """Close both ends in this process."""
        self._sending.close()
        self._receiving.close()


def _address(value: str | list[str | int]) -> Address:
    return value if isinstance(value, str) else (str(value[0]), int(value[1]))


def _proxied(protocol: str, source: str | list[str | int] | None, destination: str | list[str | int] | None) -> Proxied:
    ends = [None if end is None else _address(end) for end in (source, destination)]
    return Proxied(protocol, *ends)


def _take_descriptor(ancillary: list[tuple[int, int, bytes]]) -> socket.socket | None:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors = array.array("i")
            descriptors.frombytes(data[:_FD_SIZE])
            client = real.Socket(fileno=descriptors[0])
            client.setblocking(False)
            return client
    return None
