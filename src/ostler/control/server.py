"""The master's side of the operator's socket, in the master's own poll loop: no thread, and nothing waits.

    accept (root, or who the master is; others are told so) -> a request -> lines, an answer -> closed, or the next one

It listens under an abstract name, and on a file if there is one (place.py). What a client can cost is bounded:
LIMIT_CLIENTS of them, a request from each within ASK_S, and what asker.py allows; whoever goes beyond is dropped. Who
may not ask takes no place from who may: of those only LIMIT_STRANGERS stay to read why; and who only holds a connection
of Gunicorn's protocol open makes room. A command that is dropped, or killed, ends nothing but itself.

Rules for editing: what a command means is not known here (roles/commands.py); a socket that cannot be made is no error,
for signals do the same.
"""

import contextlib
import errno
import os
import select
import socket as _socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ostler import real
from ostler.control.address import names_of
from ostler.control.asker import ASK_S, LATER, LIMIT_UNSENT_BYTES, Asker, Poller
from ostler.control.place import Place
from ostler.control.protocol import Request
from ostler.control.wire import Asked
from ostler.errors import reason_of
from ostler.process.peer import peer_of

__all__ = ["ASK_S", "LIMIT_CLIENTS", "LIMIT_STRANGERS", "LIMIT_UNSENT_BYTES", "Asker", "Server", "open_server"]

LIMIT_CLIENTS: Final = 8
LIMIT_STRANGERS: Final = 4
_BACKLOG: Final = 8

_socket_class = real.Socket
_unlink = os.unlink

Ask = Callable[[Asker, Request | Asked], None]
"""Given each request."""


@dataclass(slots=True, eq=False)
class _Door:
    """A listening socket. admits: whoever its file lets connect may ask. file: clients speak first, in any protocol."""

    socket: _socket.socket
    admits: bool = False
    file: bool = False
    accepts: bool = True


class Server:
    """One per master, or none."""

    def __init__(
        self, listener: _socket.socket | None, path: str | None, poller: Poller, now: Callable[[], float]
    ) -> None:
        """listener: None when there could be none under the abstract name. path: the file to remove at the end, of a
        system without such names. Made by `open_server`.
        """
        self._path = path
        self._place: Place | None = None
        self._poller = poller
        self._now = now
        self._askers: dict[int, Asker] = {}
        self._doors: dict[int, _Door] = {}
        if listener is not None:
            self._add(_Door(listener))

    def also_at(self, place: Place) -> None:
        """Be heard there, too; the place is left at the end."""
        self._place = place
        self._add(_Door(place.socket, admits=place.admits, file=True))

    @property
    def place(self) -> Place | None:
        return self._place

    def hears(self, fd: int, ask: Ask) -> bool:
        """Whether `fd` is of the operator's socket; what it brings is taken, and asked for by `ask`."""
        door = self._doors.get(fd)
        if door is not None:
            self._accept(door)
            return True
        asker = self._askers.get(fd)
        if asker is None:
            return False
        asker.flush()
        if not asker.gone:
            asker.receive()
        self._serve(asker, ask)
        if asker.gone:
            del self._askers[fd]
        return True

    def each_second(self, ask: Ask) -> None:
        """Drop whoever does not ask; accept again; go on with those that had asked for several things."""
        for fd, door in self._doors.items():
            if not door.accepts:
                door.accepts = True
                self._poller.register(fd, select.POLLIN)
        now = self._now()
        for fd, asker in list(self._askers.items()):
            if now >= asker.overdue:
                asker.drop()
            self._serve(asker, ask)
            if asker.gone:
                del self._askers[fd]

    def close(self) -> None:
        """The master leaves."""
        for fd, door in self._doors.items():
            if door.accepts:
                self._poller.unregister(fd)
            door.socket.close()
        self._doors.clear()
        if self._path is not None:
            with contextlib.suppress(OSError):
                _unlink(self._path)
        if self._place is not None:
            self._place.leave()
        for asker in self._askers.values():
            asker.drop()
        self._askers.clear()

    def close_in_child(self) -> None:
        """Of a fork: the names and the lines are the master's alone."""
        for door in self._doors.values():
            door.socket.close()
        for asker in self._askers.values():
            asker.close_in_child()

    def _add(self, door: _Door) -> None:
        self._doors[door.socket.fileno()] = door
        self._poller.register(door.socket.fileno(), select.POLLIN)

    def _serve(self, asker: Asker, ask: Ask) -> None:
        while (request := asker.next()) is not None:
            ask(asker, request)

    def _accept(self, door: _Door) -> None:
        try:
            sock, _ = real.accept(door.socket)
        except OSError as error:
            if error.errno not in (*LATER, errno.ECONNABORTED):  # no descriptor is left: poll would not wait any more
                door.accepts = False
                self._poller.unregister(door.socket.fileno())
            return
        sock.setblocking(False)
        try:
            peer = peer_of(sock)
        except OSError:
            sock.close()
            return
        allowed = peer.may_control or door.admits
        alike = [each for each in self._askers.values() if each.allowed == allowed]
        told = [each for each in alike if each.ending]
        idle = [each for each in alike if each.idles]
        refusal = ""
        if not allowed:
            refusal = f"only root and the user that the server runs as may do this, not uid {peer.uid}"
        elif len(alike) - len(told) - len(idle) >= LIMIT_CLIENTS:
            refusal = f"{LIMIT_CLIENTS} other commands wait for this server already"
        self._make_room([*told, *idle], LIMIT_CLIENTS if allowed else LIMIT_STRANGERS)
        asker = Asker(sock, peer, self._poller, self._now)
        asker.allowed = allowed
        self._askers[asker.fileno()] = asker
        if refusal and door.file:
            asker.refusal = refusal  # in the protocol that it will speak
        elif refusal:
            asker.end(False, refusal)

    def _make_room(self, askers: list[Asker], limit: int) -> None:
        """Drop those that came first: so many do not read what they were told, or ask nothing."""
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
