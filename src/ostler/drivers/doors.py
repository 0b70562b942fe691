"""The doors of a worker: its listeners and the transfer queue, through which clients come in and go over to siblings.

Open while a thread is free, there is room for a client and descriptors are left; closed otherwise, so that an idle
sibling takes what a busy worker cannot; shut until this worker is ready. Draining closes them for good: `retire` at
once (siblings stay and own the backlog) but for listeners that nobody else stays on, `stop` only when the backlog is
empty (nobody else would answer it). A listener that another server has too (`inherited`) is never shut, only closed.

Editing rules: `adjust` may be called by any thread and must cost next to nothing when nothing changes.
"""

import contextlib
import errno
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from ostler import real
from ostler.drivers.side_door import SideDoor
from ostler.drivers.spare import REFUSAL, Spare
from ostler.drivers.transfer import Transferred, TransferSockets
from ostler.errors import reason_of
from ostler.http.connection import Peer
from ostler.http.h1 import H1Connection
from ostler.logline import fields
from ostler.observe.causes import Cause
from ostler.observe.scoreboard import Page, Scoreboard, WorkerState
from ostler.process.belongings import doubt
from ostler.process.listeners import Listener

_monotonic = time.monotonic

_FULL: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_SHUT: Final = (errno.EINVAL, errno.EBADF, errno.ENOTSOCK)
PAUSE_S: Final = 0.5
"""How long accepting pauses when the descriptor table (or the kernel's memory) is full."""
_ROOM_AT_ONCE: Final = 8
"""So many clients have to go then, if they can: others may come soon, and the application needs descriptors, too."""
_COMPLAIN_S: Final = 60.0
FULL_S: Final = 2.0
"""For so long connections wait in the backlog for a descriptor; then those that wait are turned away."""
_TURNED_AWAY_AT_ONCE: Final = 64
_DRAIN_ACCEPTS: Final = 8192
_CROWD: Final = 256
"""So many are accepted at a time, if no sibling would take them."""
_UNSENT_BYTES: Final = 128 * 1024
"""What the kernel may hold for a client beyond what is on its way to it (tcp(7), TCP_NOTSENT_LOWAT; accepted sockets
have it of their listener). Otherwise it takes up to 4 MB for each client that does not read, which no other process can
have, and which all of the machine's connections share (tcp_mem)."""


class House(Protocol):
    """Who is behind the doors."""

    def adopt(self, sock: socket.socket, peer: Peer) -> None: ...
    def take_over(self, transferred: Transferred) -> None: ...
    def make_room(self) -> bool: ...


class Bell(Protocol):
    """Who says that somebody is at a door."""

    def watch_shared(self, fd: int, handler: Callable[[], object]) -> None: ...
    def unwatch(self, fd: int) -> None: ...


class Doors:
    """Listeners and the transfer queue of one worker."""

    def __init__(  # noqa: PLR0913  one place makes it, by name
        self,
        *,
        listeners: Sequence[Listener],
        transfer: TransferSockets,
        scoreboard: Scoreboard,
        page_index: int,
        has_permit: Callable[[], bool],
        client_limit: int,
        log: logging.Logger,
        refusal: bytes = REFUSAL,
        side_door: SideDoor | None = None,
    ) -> None:
        """`refusal`: what those hear for whom there is no descriptor; empty: nothing. `side_door`: how clients come in
        while there is no free thread anywhere; None: not at all.
        """
        self.draining = False
        """No connection is kept for a further request."""
        self.stopping = False
        """Draining because the whole server stops."""
        self._emptying = False
        """Retiring, and the listeners that are left have to be emptied first."""
        self._alone = False
        """No sibling takes connections over."""
        self._shut = False
        """Nobody may come in, or go over, before this worker is ready."""
        self._listeners = list(listeners)
        for listener in listeners:
            _bound_unsent(listener.socket)
        self._locals = {listener.fd: _local_name(listener) for listener in listeners}
        self._transfer = transfer
        self._scoreboard = scoreboard
        self._page_index = page_index
        self._page: Page = scoreboard.page(page_index)
        self._has_permit = has_permit
        self._limit = client_limit
        self._log = log
        self._house: House
        self._bell: Bell
        self._open = False
        self._lock = real.make_lock()
        self._paused_until = 0.0
        self._full_since = 0.0
        self._complained = float("-inf")
        self._spare = Spare(refusal)
        self._turned_away = 0
        self._clients = 0
        self._side_door = side_door

    def open(self, house: House, bell: Bell) -> None:
        """Know who adopts and who calls. Nothing is accepted before the first `adjust`."""
        self._house = house
        self._bell = bell

    def keep_shut(self) -> None:
        """Let nobody in, and hand nobody over, until `admit`. Before the first `adjust`."""
        self._shut = True

    def admit(self, clients: int) -> None:
        """This worker is ready, and its siblings see it at once: they need close nobody for want of a place."""
        self._shut = False
        self.adjust(clients)

    def adjust(self, clients: int) -> None:
        """Open or close as the number of clients and the free threads demand."""
        self._clients = clients
        while self._wanted() is not self._open:  # asked again behind the lock: nobody's permit may go unnoticed
            with self._lock:
                self._set(self._wanted())

    def make_room(self, clients: int) -> None:
        """In the leader: somebody who waits is worth more than an idle connection, unless a sibling has room for both.
        """
        if clients >= self._limit and self._has_permit() and not self.draining and not self.idle_sibling():
            self._house.make_room()

    def ring_again(self) -> None:
        """Look at the doors once in a while: with EPOLLEXCLUSIVE the only one who was woken may have closed its own."""
        with self._lock:
            if self._open:
                self._set(False)
                self._set(True)

    def patience(self, now: float) -> float:
        """Seconds until a pause is over, or somebody is to be looked for outside; infinite without either."""
        if self._side_door is not None and self._all_are_busy():
            return self._side_door.patience(now)
        return max(0.0, self._paused_until - now) if self._paused_until else float("inf")

    def look_outside(self, now: float) -> None:
        """In the leader: while nobody has a free thread, let in who has waited long (side_door.py)."""
        if self._side_door is None or not self._all_are_busy():
            return
        if not self._side_door.patience(now):
            # Who was handed over to a sibling that was idle for a moment would wait there without an end in sight.
            any(not self._receive() for _ in range(min(_CROWD, self._limit - self._clients)))
        self._side_door.look(self._listeners, self._let_in, now)

    def _all_are_busy(self) -> bool:
        closed = self._open or self._shut or self.draining or bool(self._paused_until)
        return not closed and self._clients < self._limit and not self.idle_sibling()

    def _let_in(self, listener: Listener) -> bool:
        return self._clients < self._limit and not self.idle_sibling() and self._accept(listener)

    def idle_sibling(self) -> bool:
        """Whether another worker has a free thread."""
        return not self._shut and self._scoreboard.idle_workers(besides=self._page_index)

    def own_peer(self) -> Peer:
        """Both ends of a connection that this process makes to itself: as of one from this machine."""
        local = self._locals[self._listeners[0].fd]
        return Peer("" if isinstance(local, str) else ("::1" if ":" in local[0] else "127.0.0.1", 0), local)

    def transfer(
        self, client: socket.socket, connection: H1Connection, unread: bytes, served: bool, since: float
    ) -> bool:
        """Hand a connection over. False: nobody can take it now. See `Transferred`."""
        peer, protocol = connection.peer, connection.PROTOCOL
        return not self._alone and self._transfer.send(client, peer, protocol, unread, served, since)

    # -- the end ---------------------------------------------------------------------------------------------

    def retire(self, empty: Sequence[Listener] = (), *, alone: bool = False) -> None:
        """Close at once: the listeners and their backlog belong to the siblings; but not those to be emptied first."""
        self.draining = True
        self._alone = alone
        self._emptying = any(listener in empty for listener in self._listeners)
        for listener in list(self._listeners):
            if listener not in empty:
                self._close(listener)
        self._drain_backlog()
        self.adjust(self._clients)
        with self._lock:
            self._page.state = WorkerState.RETIRING

    def stop(self) -> None:
        """Accept what waits, then shut the listeners for every process that shares them."""
        self.draining = self.stopping = True
        self._drain_backlog()
        self.adjust(self._clients)

    def abandon(self) -> None:
        """Close the listeners without a look at their backlog: others have it, or the master is dead."""
        self.draining = self.stopping = True
        self._close_listeners()
        self.adjust(self._clients)

    def close(self) -> None:
        """Give back the spare descriptor. When all threads have left."""
        self._spare.close()

    def drained(self) -> bool:
        """Go on with draining. True when nobody can come in any more."""
        if self.stopping:
            self._drain_backlog()
            self._receive()
        elif self._emptying:
            self._drain_backlog()
        return not self._listeners

    def _drain_backlog(self) -> None:
        for listener in list(self._listeners):
            if isinstance(self._locals[listener.fd], str) and not listener.inherited:
                # A Unix socket that was shut down refuses newcomers and still yields those who wait.
                _shut(listener)
            if self._accept_all(listener):
                if not listener.inherited:
                    _shut(listener)
                self._close(listener)

    def _accept_all(self, listener: Listener) -> bool:
        """True when nobody waits any more; False when descriptors ran out, or there is no end to it."""
        return any(not self._accept(listener) for _ in range(_DRAIN_ACCEPTS)) and not self._paused_until

    def _close_listeners(self) -> None:
        for listener in list(self._listeners):
            self._close(listener)

    def _close(self, listener: Listener) -> None:
        with self._lock:  # a thread that opens the doors must not watch what is being closed
            if listener not in self._listeners:
                return  # a sibling shut it, and accept() said so
            self._bell.unwatch(listener.fd)
            self._listeners.remove(listener)
            with contextlib.suppress(OSError):
                listener.socket.close()

    # -- coming in -------------------------------------------------------------------------------------------

    def _wanted(self) -> bool:
        if self._paused_until:
            if _monotonic() < self._paused_until:
                return False
            self._paused_until = 0.0
        if self._shut or (self.draining and not self.stopping):
            return False
        return self._clients < self._limit and self._has_permit()

    def _set(self, wanted: bool) -> None:
        bell = self._bell
        if wanted is self._open:
            return
        self._open = wanted
        for listener in self._listeners:
            if wanted:
                bell.watch_shared(listener.fd, partial(self._accept_crowd, listener))
            else:
                bell.unwatch(listener.fd)
        if wanted:
            bell.watch_shared(self._transfer.fileno(), self._receive)
        else:
            bell.unwatch(self._transfer.fileno())
        if not self.draining or self.stopping:
            self._page.state = WorkerState.IDLE if wanted else WorkerState.BUSY

    def _accept_crowd(self, listener: Listener) -> None:
        """Accept who waits. In the backlog they would wait in one line; here they take turns (ready.py)."""
        for _ in range(_CROWD):
            if not self._accept(listener) or self._clients >= self._limit or self.idle_sibling():
                return

    def _accept(self, listener: Listener) -> bool:
        """Accept one client. False: nobody waits, or nobody can be let in."""
        try:
            sock, address = real.accept(listener.socket)
        except BlockingIOError:
            if self._side_door is not None:
                self._side_door.nobody(listener, _monotonic())
            return False
        except OSError as error:
            if error.errno in _FULL:
                self._pause(error)
                return False
            if error.errno in _SHUT:
                doubt(error)
                self._close(listener)
                return False
            return True  # this client went away again (ECONNABORTED and its kin, accept(2))
        sock.setblocking(False)
        if self._side_door is not None:
            self._side_door.accepted(listener, sock, _monotonic())
        self._full_since = 0.0
        self._clients += 1
        if self._clients >= self._limit and not self.idle_sibling() and self._house.make_room():
            self._clients -= 1
        # A Unix client's name is what it likes: a path like "10.0.0.1", or bytes (unix(7), abstract). It says nothing.
        peer = (address[0], address[1]) if isinstance(address, tuple) else ""
        self._house.adopt(sock, Peer(peer, self._locals[listener.fd]))
        return True

    def _receive(self) -> bool:
        """Take one connection that a sibling hands over. False: there is none, or none can be taken."""
        try:
            transferred = self._transfer.receive()
        except OSError as error:
            self._pause(error)
            return False
        if transferred is not None:
            self._house.take_over(transferred)
        return transferred is not None

    def _pause(self, error: OSError) -> None:
        """The descriptor table is full: make room, wait, go on. Nothing else helps, and exiting would not either."""
        now = _monotonic()
        made = sum(self._house.make_room() for _ in range(_ROOM_AT_ONCE))
        self._paused_until = now + (PAUSE_S / 10 if made else PAUSE_S)
        self._full_since = self._full_since or now
        if not made and now - self._full_since >= FULL_S and not self.idle_sibling():
            self._turned_away += self._spare.turn_away(self._listeners, _TURNED_AWAY_AT_ONCE)
        if now - self._complained >= _COMPLAIN_S:
            self._complained = now
            self._log.warning(
                fields(
                    "accepting paused, connections wait in the backlog",
                    error=reason_of(error),
                    clients=self._clients,
                    turned_away=self._turned_away,
                    cause=Cause.DESCRIPTORS,
                    cure="raise the limit (ulimit -n, LimitNOFILE) or lower worker_connections",
                )
            )


def _local_name(listener: Listener) -> tuple[str, int] | str:
    name = listener.socket.getsockname()
    if isinstance(name, bytes):  # abstract (unix(7)): NUL and a name
        return os.fsdecode(name)
    return name if isinstance(name, str) else (name[0], name[1])


def _bound_unsent(sock: socket.socket) -> None:
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)  # Linux and macOS
    if option is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, option, _UNSENT_BYTES)


def _shut(listener: Listener) -> None:
    with contextlib.suppress(OSError):
        listener.socket.shutdown(socket.SHUT_RDWR)
