"""The master's side of the operator's socket, in the master's own poll loop: no thread, and nothing waits.

    accept (root, or who the master is; others are told so) -> one Request -> lines -> a Result -> closed

What a client can cost is bounded: LIMIT_CLIENTS of them, one line from each within ASK_S, and LIMIT_UNSENT_BYTES that
one does not read; whoever goes beyond is dropped. Who may not ask takes no place from who may: of those only
LIMIT_STRANGERS stay to read why. A command that is dropped, or killed, ends nothing but itself.

Rules for editing: what a command means is not known here (roles/commands.py); a socket that cannot be made is no error,
for signals do the same.
"""

import contextlib
import errno
import os
import select
import socket as _socket
from collections.abc import Callable
from typing import Final, Protocol

from ostler import real
from ostler.control.address import names_of
from ostler.control.protocol import (
    Command,
    Line,
    Lines,
    Moved,
    Progress,
    ProtocolError,
    Request,
    Result,
    decode,
    encode,
)
from ostler.errors import reason_of
from ostler.process.peer import Peer, peer_of

LIMIT_CLIENTS: Final = 8
LIMIT_STRANGERS: Final = 4
LIMIT_UNSENT_BYTES: Final = 262144
ASK_S: Final = 5.0
_BACKLOG: Final = 8
_BLOCK: Final = 4096
_LATER: Final = (errno.EAGAIN, errno.EINTR, errno.ENOBUFS, errno.ENOMEM)

_socket_class = real.Socket
_unlink = os.unlink


class Poller(Protocol):
    """As select.poll."""

    def register(self, fd: int, eventmask: int, /) -> None: ...
    def modify(self, fd: int, eventmask: int, /) -> None: ...
    def unregister(self, fd: int, /) -> None: ...


class Asker:
    """One command that is connected. `gone` when it will hear nothing more."""

    def __init__(self, sock: _socket.socket, peer: Peer, poller: Poller, now: Callable[[], float]) -> None:
        self.peer = peer
        self.gone = False
        self.asked = False
        self.ending = False
        """It was told the last word; the connection is there until it has read that."""
        self.overdue = now() + ASK_S
        """When it is dropped, unless it asks before, or closes."""
        self._now = now
        self._socket = sock
        self._poller = poller
        self._lines = Lines()
        self._unsent = bytearray()
        poller.register(sock.fileno(), select.POLLIN)

    def fileno(self) -> int:
        return self._socket.fileno()

    # What commands say to it

    def tell(self, text: str) -> None:
        self._send(Progress(text))

    def moved(self, pid: int) -> None:
        self._send(Moved(pid))

    def end(self, succeeded: bool, text: str) -> None:
        """The last word."""
        self._send(Result(succeeded, text), last=True)

    # What the server does with it

    def receive(self) -> Request | None:
        """What it asks for, when that has arrived. An end of its side, or nonsense, is the end of it."""
        try:
            data = self._socket.recv(_BLOCK)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            self.drop()
        if not data or self.ending:
            return None
        try:
            asked = [decode(line) for line in self._lines.feed(data)]
        except ProtocolError as error:
            self.end(False, str(error))
            return None
        if not asked:
            return None
        match asked[0]:
            case Request():
                return asked[0]
            case _:
                self.end(False, "this master does not know the command; it may be of another version")
                return None

    def flush(self) -> None:
        while self._unsent and not self.gone:
            try:
                sent = self._socket.send(self._unsent)
            except OSError as error:
                if error.errno not in _LATER:
                    self.drop()
                break
            del self._unsent[:sent]
        if self.gone:
            return
        self._poller.modify(self.fileno(), select.POLLIN | (select.POLLOUT if self._unsent else 0))
        if self.ending and not self._unsent:
            # Closed with unread bytes the connection would be reset, and the last word lost.
            with contextlib.suppress(OSError):
                self._socket.shutdown(_socket.SHUT_WR)

    def drop(self) -> None:
        if not self.gone:
            self.gone = True
            self._poller.unregister(self.fileno())
            self._socket.close()

    def close_in_child(self) -> None:
        self._socket.close()

    def _send(self, line: Line, *, last: bool = False) -> None:
        if self.gone or self.ending:
            return
        self._unsent += encode(line)
        if len(self._unsent) > LIMIT_UNSENT_BYTES:
            self.drop()
            return
        if last:
            self.ending = True
            self.overdue = self._now() + ASK_S
        self.flush()


class Server:
    """One per master, or none."""

    def __init__(self, listener: _socket.socket, path: str | None, poller: Poller, now: Callable[[], float]) -> None:
        """path: the file to remove at the end. Made by `open_server`."""
        self._listener = listener
        self._path = path
        self._poller = poller
        self._now = now
        self._askers: dict[int, Asker] = {}
        self._accepts = True
        poller.register(listener.fileno(), select.POLLIN)

    def hears(self, fd: int, ask: Callable[[Asker, Command], None]) -> bool:
        """Whether `fd` is of the operator's socket; what it brings is taken, and asked for by `ask`."""
        if fd == self._listener.fileno():
            self._accept()
            return True
        asker = self._askers.get(fd)
        if asker is None:
            return False
        asker.flush()
        request = None if asker.gone else asker.receive()
        if request is not None and not asker.asked:
            asker.asked = True
            asker.overdue = float("inf")
            ask(asker, request.command)
        if asker.gone:
            del self._askers[fd]
        return True

    def each_second(self) -> None:
        """Drop whoever does not ask; accept again."""
        if not self._accepts:
            self._accepts = True
            self._poller.register(self._listener.fileno(), select.POLLIN)
        now = self._now()
        for fd, asker in list(self._askers.items()):
            if now >= asker.overdue:
                asker.drop()
            if asker.gone:
                del self._askers[fd]

    def close(self) -> None:
        """The master leaves."""
        if self._accepts:
            self._poller.unregister(self._listener.fileno())
        self._listener.close()
        if self._path is not None:
            with contextlib.suppress(OSError):
                _unlink(self._path)
        for asker in self._askers.values():
            asker.drop()
        self._askers.clear()

    def close_in_child(self) -> None:
        """Of a fork: the names and the lines are the master's alone."""
        self._listener.close()
        for asker in self._askers.values():
            asker.close_in_child()

    def _accept(self) -> None:
        try:
            sock, _ = real.accept(self._listener)
        except OSError as error:
            if error.errno not in (*_LATER, errno.ECONNABORTED):  # no descriptor is left: poll would not wait any more
                self._accepts = False
                self._poller.unregister(self._listener.fileno())
            return
        sock.setblocking(False)
        try:
            peer = peer_of(sock)
        except OSError:
            sock.close()
            return
        alike = [each for each in self._askers.values() if each.peer.may_control == peer.may_control]
        told = [each for each in alike if each.ending]
        refusal = ""
        if not peer.may_control:
            refusal = f"only root and the user that the server runs as may do this, not uid {peer.uid}"
        elif len(alike) - len(told) >= LIMIT_CLIENTS:
            refusal = f"{LIMIT_CLIENTS} other commands wait for this server already"
        self._make_room(told, LIMIT_CLIENTS if peer.may_control else LIMIT_STRANGERS)
        asker = Asker(sock, peer, self._poller, self._now)
        self._askers[asker.fileno()] = asker
        if refusal:
            asker.end(False, refusal)

    def _make_room(self, askers: list[Asker], limit: int) -> None:
        """Drop those that came first: so many do not read what they were told."""
        for asker in askers[: max(0, len(askers) - limit + 1)]:
            del self._askers[asker.fileno()]
            asker.drop()


def open_server(pid: int, poller: Poller, now: Callable[[], float]) -> Server | str:
    """Listen for commands as the master `pid`, which we are; or why that cannot be."""
    name = names_of(pid)[0]
    path = None if name.startswith("\0") else name
    try:
        listener = _socket_class(_socket.AF_UNIX, _socket.SOCK_STREAM)
    except OSError as error:
        return reason_of(error)
    try:
        if path is not None:
            with contextlib.suppress(FileNotFoundError):
                _unlink(path)  # of a dead process that had our pid
        listener.setblocking(False)
        listener.bind(name)
        if path is not None:
            os.chmod(path, 0o600)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        return reason_of(error)
    return Server(listener, path, poller, now)
