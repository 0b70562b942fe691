"""One client: its socket, its connection, what is still to be sent, and who owns it now.

Ownership is the state. In READING, QUEUED, FLUSHING and LINGERING the client belongs to the thread that leads the
reactor; in RUNNING to the thread that runs its exchange. What both may touch then (the outbox once it holds a
leftover, the events asked of the poller) is guarded by `lock`. On the fast path nothing is left over: the thread sends
straight to the socket and takes no lock for it.

Editing rules: nothing here decides what happens next (clients.py does); nothing here blocks but `deliver` and
`wait_for_body`, which are called by the thread that runs the application, and wait under a deadline.
"""

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from ostler.app.environ import ConnectionEnviron
from ostler.app.wsgi_input import BodyBuffer, Budget, ClientGone
from ostler.drivers.outbox import Outbox
from ostler.drivers.poller import GONE, READ, WRITE, Poller
from ostler.drivers.timeouts import Timeouts
from ostler.http.connection import END, NEED_DATA, FileSlice, Wait
from ostler.http.h1 import H1Connection
from ostler.http.h1_exchange import H1Exchange

BODY_READ_BYTES: Final = 256 * 1024
_RESET: Final = struct.pack("ii", 1, 0)
"""struct linger: on, no time: close() sends a reset (socket(7))."""

_BETWEEN: Final = (Wait.HEAD, Wait.NEXT_REQUEST)

# Bound at import: a configuration file may monkey-patch `select` later.
_poll = select.poll


class State(Enum):
    """Who owns a client, and what is happening to it."""

    READING = auto()
    """Between exchanges, or an exchange is being collected."""
    QUEUED = auto()
    """A complete exchange waits for a thread."""
    RUNNING = auto()
    """A thread runs the application for it."""
    FLUSHING = auto()
    """The exchange is over; its last bytes wait for the client."""
    LINGERING = auto()
    """Nothing more is sent; the client's last bytes are taken and dropped before close (RFC 9112 section 9.6)."""
    CLOSED = auto()


class Client:
    """See the module's text. Made by `Clients` for each accepted or transferred connection."""

    __slots__ = (
        "_beat",
        "_came",
        "_memory",
        "_outbox",
        "_poller",
        "_timeouts",
        "_waited_s",
        "body",
        "complete",
        "connection",
        "deadline",
        "environ",
        "events",
        "exchange",
        "fd",
        "gone",
        "heading",
        "left",
        "lent",
        "lock",
        "orderly",
        "raw",
        "reset",
        "room",
        "served",
        "sock",
        "state",
        "taken",
    )

    def __init__(  # noqa: PLR0913, PLR0917  one place makes it
        self,
        sock: socket.socket,
        connection: H1Connection,
        environ: ConnectionEnviron,
        poller: Poller,
        timeouts: Timeouts,
        memory: Budget,
        beat: Callable[[], None],
    ) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.connection = connection
        self.environ = environ
        self.state = State.READING
        self.deadline = 0.0
        self.exchange: H1Exchange | None = None
        self.body: BodyBuffer | None = None
        """The body of `exchange` as far as it is collected; None when there is none."""
        self.complete = False
        """Whether all of the body is in `body`; otherwise the application reads the rest while it arrives."""
        self.heading = False
        """Some bytes of a head are there, and its deadline runs."""
        self.served = False
        """At least one exchange is over: the connection is kept alive."""
        self.orderly = False
        """The client asked for the connection's end and has nothing more to say: it can be closed at once."""
        self.reset = False
        """The response broke off, and its framing cannot show it."""
        self.raw: bytes | None = None
        """All bytes of the queued request as they came, where a sibling could still take it; else None."""
        self.events = -1
        """What the poller was asked for; -1 when the poller does not know this client."""
        self.gone = False
        """The transport failed, or the client took nothing in time."""
        self.left = False
        """The client sent its end of file: it left, or only closed its sending side."""
        self.lent = False
        """Bytes are left over, and the reactor sends them when the client takes them."""
        self.taken = 0
        """Bytes dropped while lingering."""
        self.lock = threading.Lock()
        self.room: threading.Condition | None = None
        self._outbox: Outbox | None = None
        self._poller = poller
        self._timeouts = timeouts
        self._memory = memory
        self._waited_s = 0.0
        """How long a thread has waited for the body of this exchange, and how many bytes came meanwhile."""
        self._came = 0
        self._beat = beat

    @property
    def between_requests(self) -> bool:
        """No exchange is open, not even one whose body is still being thrown away."""
        return self.exchange is None and self.connection.waiting_for in _BETWEEN

    @property
    def peer_text(self) -> str:
        """Who it is, for the log."""
        address = self.connection.peer.address
        return address or "unix" if isinstance(address, str) else f"{address[0]}:{address[1]}"

    # -- for the thread that runs the application ------------------------------------------------------------

    def deliver(self) -> None:
        """Bring what is queued to the kernel or into the bounded outbox; wait while that is full.

        Raises:
            ClientGone: the transport failed, or the client took nothing within the write deadline.
        """
        if self.gone:
            raise ClientGone("the connection broke")
        if self.lent or not self.send_now(self.connection.data_to_send()):
            self._deliver_later()

    def client_disconnected(self) -> bool:
        """Whether the client is known to have closed its connection (or at least its sending side)."""
        if self.gone or self.left:
            return True
        try:
            return self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def wait_for_body(self) -> None:
        """Block until the client sent more of its request's body.

        Raises:
            ClientGone: nothing came within the body deadline, all of it comes too slowly for a thread to wait, or the
                transport failed.
        """
        self.deliver()  # a 100 Continue may wait there
        began = time.monotonic()
        timeouts = self._timeouts
        while True:
            try:
                data = self.sock.recv(BODY_READ_BYTES)
            except BlockingIOError:
                silent_s = time.monotonic() - began
                if silent_s >= timeouts.body_s:
                    raise ClientGone("the client sent no more of its body in time") from None
                if self._waited_s + silent_s > timeouts.body_s + self._came / timeouts.body_rate:
                    raise ClientGone("the client sends its body too slowly for a thread to wait") from None
                self._beat()
                _wait_readable(self.fd, self._timeouts.beat_s)
            except OSError as error:
                self.gone = True
                raise ClientGone(str(error)) from error
            else:
                self._waited_s += time.monotonic() - began
                self._came += len(data)
                self.connection.receive(data)
                return

    def finish(self) -> bool:
        """Send the end of an exchange without waiting. False: a leftover is lent to the reactor.

        Raises:
            ClientGone: the transport failed.
        """
        if self.gone:
            raise ClientGone("the connection broke")
        pieces = self.connection.data_to_send()
        if not self.lent:
            return self.send_now(pieces)
        with self.lock:
            return self._queue(pieces)

    # -- for whoever owns it between two calls of the application --------------------------------------------

    def collect(self, body: BodyBuffer) -> bool:
        """Move what came of the request's body into `body`. False: more must come first.

        Raises:
            HttpError: the body is malformed or broke off.
        """
        assert self.exchange is not None
        while True:
            data = self.exchange.read(BODY_READ_BYTES)
            if data is NEED_DATA:
                return False
            if data is END:
                self.complete = True
                return True
            assert isinstance(data, bytes)
            if not body.add(data):
                self.complete = False
                return True

    def overhear(self, event: int) -> bool:
        """Something came while this client waits for a thread, or has one: keep it for later, notice that it left.

        True: it is gone with its last bytes unsent, and nobody but the caller will notice.
        """
        with self.lock:
            state = self.state
            if state is State.READING or state is State.CLOSED:
                return False
            if event & GONE and self.is_gone():
                self.left = True
                self.break_off()
            else:
                try:
                    self.left = self.sock.recv(1, socket.MSG_PEEK) == b""
                except BlockingIOError:
                    return False
                except OSError:
                    self.left = True
                if self.events > 0:
                    self.ask(self.events & ~READ)
            return self.gone and state is State.FLUSHING

    def hang_up(self) -> bool:
        """Nothing more will be sent: say so to the client. False: it can be closed at once.

        True: a close now could destroy what the client has not read yet; take its last bytes first.
        """
        if self.reset:
            # The end of the connection would be the end of the body: only a reset says that it is not complete.
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        if self.left or self.reset or (self.orderly and not self._has_unread()):
            return False
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return True

    def _has_unread(self) -> bool:
        """Bytes behind a last request (a CRLF that is not counted, say) would make close(2) a reset."""
        try:
            return bool(self.sock.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    # -- for both --------------------------------------------------------------------------------------------

    def send_now(self, pieces: list[bytes | FileSlice]) -> bool:
        """Send `pieces` while nothing is left over from before. False: a leftover is lent to the reactor now.

        Raises:
            ClientGone: the transport failed.
        """
        if len(pieces) == 1 and type(piece := pieces[0]) is bytes:
            try:
                count = self.sock.send(piece)
            except BlockingIOError:
                count = 0
            except OSError as error:
                self.gone = True
                raise ClientGone(str(error)) from error
            if count == len(piece):
                return True
            pieces = [piece[count:]]
        elif not pieces:
            return True
        with self.lock:
            return self._queue(pieces)

    def is_gone(self) -> bool:
        """Ask the system: a GONE event may be older than this client, and mean the former owner of its descriptor."""
        poll = _poll()
        poll.register(self.fd, 0)
        return bool(poll.poll(0))

    def flush(self, now: float) -> bool:
        """The client can take more: send. True when nothing is left over. Called by the leader, on WRITE.

        Raises:
            ClientGone: the transport failed.
        """
        with self.lock:
            outbox = self._outbox
            if outbox is None or not self.lent:
                return True
            before = outbox.queued
            try:
                done = outbox.send(self.sock)
            except OSError as error:
                self.break_off()
                raise ClientGone(str(error)) from error
            if outbox.queued != before:
                self.deadline = now + self._timeouts.write_s
            if done:
                self.lent = False
                self.ask(self.events & ~WRITE)
                if self.room is not None:
                    self.room.notify_all()
            return done

    def ask(self, events: int) -> None:
        """Make the poller report `events`. Hold `lock` where another thread may run the exchange."""
        if events == self.events:
            return
        if self.events == -1:
            self._poller.watch(self.fd, events)
        else:
            self._poller.change(self.fd, events)
        self.events = events

    def unwatch(self) -> int:
        """Make the poller forget this client; what it reported until now, or -1. Hold `lock`."""
        events, self.events = self.events, -1
        if events != -1:
            self._poller.forget(self.fd)
        return events

    def break_off(self) -> None:
        """The transport is dead: tell a thread that waits for room. Hold `lock`."""
        self.gone = True
        self.lent = False
        if self._outbox is not None:
            self._outbox.close()
        self.unwatch()
        if self.room is not None:
            self.room.notify_all()

    def forget_exchange(self) -> None:
        """Let go of the exchange and its body."""
        self.exchange = None
        self._waited_s, self._came = 0.0, 0
        if self.body is not None:
            self.body.close()
            self.body = None

    def close(self) -> None:
        """Close the transport. The reactor has forgotten this client already."""
        self.state = State.CLOSED
        if self._outbox is not None:
            self._outbox.close()
        for piece in self.connection.data_to_send():
            if isinstance(piece, FileSlice):
                discard = Outbox(self._memory)
                discard.add(piece)
                discard.close()
        self.forget_exchange()
        self.sock.close()

    # -- the slow path of deliver ----------------------------------------------------------------------------

    def _deliver_later(self) -> None:
        with self.lock:
            pieces = self.connection.data_to_send()
            if pieces:
                self._queue(pieces)
            outbox = self._outbox
            while self.lent and outbox is not None and outbox.is_full:
                # The write deadline is the reactor's to keep: it calls break_off() when the client takes nothing.
                if self.room is None:
                    self.room = threading.Condition(self.lock)
                self._beat()
                self.room.wait(self._timeouts.beat_s)
        if self.gone:
            raise ClientGone("the client took nothing in time, or its connection broke")

    def _queue(self, pieces: list[bytes | FileSlice]) -> bool:
        outbox = self._outbox
        if outbox is None:
            outbox = self._outbox = Outbox(self._memory)
        for piece in pieces:
            outbox.add(piece)
        if self.gone:
            outbox.close()
            return True
        try:
            if not outbox.send(self.sock):
                outbox.spill()
                if not self.lent:
                    self.lent = True
                    self.deadline = time.monotonic() + self._timeouts.write_s
                    self.ask(max(self.events, 0) | WRITE)
                return False
        except OSError as error:
            self.break_off()
            raise ClientGone(str(error)) from error
        if self.lent:
            self.lent = False
            self.ask(self.events & ~WRITE)
        return True


def _wait_readable(fd: int, timeout_s: float) -> None:
    poll = _poll()
    poll.register(fd, READ)
    poll.poll(timeout_s * 1000)
