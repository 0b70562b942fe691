"""One client: its transport, its connection, the exchange that is open, and who owns it now.

Ownership is the state. In READING, QUEUED, FLUSHING and LINGERING the client belongs to the thread that leads the
reactor; in RUNNING to the thread that runs its exchange. What both may touch then is the transport's, under its lock.
In TAKEN the application has the socket itself, and the reactor knows nothing of it (takeover.py).

Editing rules: nothing here decides what happens next (clients.py does); nothing here blocks but `deliver`, `take_over`
and `wait_for_body`, which are called by the thread that runs the application, and wait under a deadline.
"""

import time
from collections.abc import Callable
from enum import Enum, auto
from errno import EAGAIN
from functools import partial
from math import isfinite
from socket import MSG_DONTWAIT, MSG_PEEK
from typing import Any, Final, Protocol

from ostler.app.environ import ConnectionEnviron
from ostler.app.wsgi_input import BodyBuffer, BodyIncomplete, ClientGone
from ostler.drivers.bridge import Bridge
from ostler.drivers.poller import GONE
from ostler.drivers.takeover import ClientSocket, Takeover, discard
from ostler.drivers.timeouts import Timeouts
from ostler.drivers.transport import Transport
from ostler.http.connection import END, NEED_DATA, Peer, Wait
from ostler.http.errors import HttpError
from ostler.http.h1 import H1Connection
from ostler.http.h1_exchange import H1Exchange

BODY_READ_BYTES: Final = 256 * 1024

_BETWEEN: Final = (Wait.HEAD, Wait.NEXT_REQUEST)


class State(Enum):
    """Who owns a client, and what is happening to it."""

    READING = auto()
    """Between exchanges, or an exchange is being collected."""
    QUEUED = auto()
    """A complete exchange waits for a thread."""
    RUNNING = auto()
    """A thread runs the application for it."""
    TAKEN = auto()
    """As RUNNING, but its socket is the application's."""
    FLUSHING = auto()
    """The exchange is over; its last bytes wait for the client."""
    LINGERING = auto()
    """Nothing more is sent; the client's last bytes are taken and dropped before close (RFC 9112 section 9.6)."""
    CLOSED = auto()


class Attendant(Protocol):
    """Who attends to a running exchange in the leader's own thread, and hears what the poller reports (live.py)."""

    def on_event(self, event: int) -> None:
        """READ or GONE."""

    def on_room(self) -> None:
        """Some of what waited for the client was sent."""

    def on_late(self) -> None:
        """The client's deadline is over: it was to send something."""

    def on_gone(self) -> None:
        """The transport failed, or the client took nothing in time."""


class Table(Protocol):
    """Where clients are found by their descriptors."""

    def give_out(self, client: "Client") -> None:
        """The application takes its socket: the descriptor may be anybody's from now on."""

    def carried(self, client: "Client") -> None:
        """The bridge of a socket that was taken has ended. Any thread."""


class Client:
    """See the module's text. Made by `Clients` for each accepted or transferred connection."""

    __slots__ = (
        "_beat",
        "_table",
        "_waited_s",
        "began",
        "body",
        "came",
        "complete",
        "connection",
        "deadline",
        "environ",
        "exchange",
        "left",
        "live",
        "muted",
        "orderly",
        "raw",
        "reset",
        "served",
        "since",
        "state",
        "taken",
        "takeover",
        "timed",
        "timeouts",
        "transport",
    )

    def __init__(  # noqa: PLR0913, PLR0917  one place makes it
        self,
        transport: Transport,
        connection: H1Connection,
        environ: ConnectionEnviron,
        timeouts: Timeouts,
        beat: Callable[[], None],
        table: "Table",
    ) -> None:
        self.transport = transport
        self.connection = connection
        self.environ = environ
        self.state = State.READING
        self.deadline = 0.0
        """Until when it must have sent what is waited for. (What it must take: `transport.deadline`.)"""
        self.exchange: H1Exchange | None = None
        self.body: BodyBuffer | None = None
        """The body of `exchange` as far as it is collected; None when there is none."""
        self.complete = False
        """Whether all of the body is in `body`; otherwise the application reads the rest while it arrives."""
        self.began = 0.0
        """When the open exchange's head was complete, and how many bytes came since."""
        self.came = 0
        self.timed = False
        """A deadline runs that further bytes do not put off: for a head of which some is there, for a rest."""
        self.since = 0.0
        """When the present wait began: for a head (the longest is the first to go), in QUEUED for a thread."""
        self.served = False
        """At least one exchange is over: the connection is kept alive."""
        self.orderly = False
        """The client asked for the connection's end and has nothing more to say: it can be closed at once."""
        self.reset = False
        """The response broke off, and its framing cannot show it."""
        self.raw: bytes | None = None
        """All bytes of the queued request as they came, where a sibling could still take it; else None."""
        self.left = False
        """The client sent its end of file: it left, or only closed its sending side."""
        self.taken = 0
        """Bytes dropped while lingering."""
        self.live: Attendant | None = None
        """While an exchange runs in the leader's own thread; a thread or a greenlet of its own needs none."""
        self.takeover: Takeover | None = None
        """In TAKEN, and from then on: what stands for the transport."""
        self.muted = False
        """The application speaks for itself: its response goes nowhere."""
        self.timeouts = timeouts
        self._table = table
        self._waited_s = 0.0
        """How long a thread has waited for the body of this exchange."""
        self._beat = beat

    @property
    def between_requests(self) -> bool:
        """No exchange is open, not even one whose body is still being thrown away."""
        return self.exchange is None and self.connection.waiting_for in _BETWEEN

    @property
    def nobody_waits(self) -> bool:
        """It left while its request waited: nobody wants the answer (nginx's 499).

        What was pipelined behind an answered request is run all the same: such clients close their sending side, and
        go on reading.
        """
        return self.transport.gone or (self.left and self.raw is not None)

    @property
    def peer_text(self) -> str:
        """Who it is, for the log."""
        return self.connection.peer.text

    # -- for the thread that runs the application ------------------------------------------------------------

    def deliver(self) -> None:
        """Bring what is queued to the kernel or into the bounded outbox; wait while that is full.

        Raises:
            ClientGone: the transport failed, or the client took nothing within the write deadline.
        """
        if self.takeover is None:
            self.transport.deliver(self.connection.data_to_send())
        else:
            self._deliver_taken(self.takeover)

    def finish(self) -> bool:
        """Send the end of an exchange without waiting. False: a leftover is lent to the reactor.

        Raises:
            ClientGone: the transport failed.
        """
        if self.takeover is None:
            return self.transport.send(self.connection.data_to_send())
        self._deliver_taken(self.takeover)
        return True

    def _deliver_taken(self, takeover: Takeover) -> None:
        pieces = self.connection.data_to_send()
        if self.muted:
            discard(pieces)
            return
        try:
            takeover.deliver(pieces)
        except OSError as error:
            raise ClientGone(f"the response did not reach the client: {error}") from error

    def client_disconnected(self) -> bool:
        """Whether the client is known to have closed its connection (or at least its sending side)."""
        if self.takeover is not None:
            return self.takeover.is_left()
        return self.transport.gone or self.left or self.transport.is_left()

    def wait_for_body(self) -> None:
        """Block until the client sent more of its request's body.

        Raises:
            BodyIncomplete: not enough of it came within the deadlines (408).
            ClientGone: the transport failed.
        """
        if self.takeover is not None:
            raise BodyIncomplete(HttpError(400, "the application took the socket before it had read the body"))
        self.deliver()  # a 100 Continue may wait there
        began, transport, patience = time.monotonic(), self.transport, self.timeouts.streamed_body
        end_s = patience.deadline(0.0, self.came, self._waited_s) - self._waited_s
        while True:
            try:
                data = transport.stream.recv(BODY_READ_BYTES)
            except BlockingIOError:
                if time.monotonic() - began >= end_s:
                    reason = "the body did not arrive in time, or too slowly for a thread to wait"
                    raise BodyIncomplete(HttpError(408, reason)) from None
                self._beat()
                transport.wait_readable()
            except OSError as error:
                transport.gone = True
                raise ClientGone(str(error)) from error
            else:
                self._waited_s += time.monotonic() - began
                self.came += len(data)
                self.connection.receive(data)
                return

    # -- for an application that takes the socket ------------------------------------------------------------

    def socket(self) -> ClientSocket:
        """The socket of the running exchange, for its environ. Costs nothing while nobody uses it."""
        assert self.exchange is not None
        return ClientSocket(self, self.exchange)

    @property
    def peer(self) -> Peer:
        """See `takeover.Owner`."""
        return self.connection.peer

    @property
    def sock(self) -> Any:
        """See `takeover.Owner`."""
        return self.transport.sock if self.takeover is None else self.takeover.outside

    def is_at(self, exchange: object) -> bool:
        """See `takeover.Owner`."""
        return self.exchange is exchange and (self.state is State.RUNNING or self.state is State.TAKEN)

    def peek(self, size: int) -> bytes:
        """See `takeover.Owner`."""
        received = self.connection.received
        if len(received):
            return bytes(received.data[received.start : received.start + size])
        if not self.transport.secured:
            return self.transport.sock.recv(size, MSG_PEEK | MSG_DONTWAIT)
        if self.client_disconnected():
            return b""
        raise BlockingIOError(EAGAIN, "whether TLS has anything is known when it is read")

    def take_over(self) -> Takeover:
        """See `takeover.Owner`. Waits until all that was queued is sent, under the write deadline.

        Raises:
            OSError: the transport failed (ClientGone), or there are no descriptors left; nothing was taken.
        """
        if self.takeover is not None:
            return self.takeover
        transport = self.transport
        self.deliver()
        transport.wait_until_sent()
        received = self.connection.received
        bridge = None
        if len(received) or transport.secured:
            unread = bytes(received.data[received.start :])
            bridge = Bridge(transport.sock, transport.stream, unread, self.timeouts.linger_total_s)
        # From here on nothing may fail.
        received.clear()
        self.connection.closing = True
        with transport.lock:
            self.state = State.TAKEN
            transport.unwatch()
        self._table.give_out(self)
        write_s = self.timeouts.write.silence_s
        self.takeover = takeover = Takeover(transport.sock, bridge, write_s if isfinite(write_s) else None)
        if bridge is not None:
            bridge.start(partial(self._table.carried, self))
        return takeover

    # -- for whoever owns it between two calls of the application --------------------------------------------

    def open_exchange(self, exchange: H1Exchange, now: float) -> None:
        """A head is complete."""
        self.exchange = exchange
        self.complete = not exchange.head.body_length
        self.began = now
        self.came = 0
        self.timed = False

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
        transport = self.transport
        with transport.lock:
            state = self.state
            if state is State.READING or state is State.CLOSED or state is State.TAKEN:
                return False
            if event & GONE and transport.is_gone():
                self.left = True
                transport.break_off()
            else:
                unread = transport.has_unread()
                if unread is False:
                    return False
                self.left = unread is None
                transport.stop_listening()
            return transport.gone and state is State.FLUSHING

    def catch_up(self) -> None:
        """Read what came behind a complete request: it is answered, too, before the connection ends."""
        if not self.complete or self.left:
            return
        try:
            data = self.transport.stream.recv(BODY_READ_BYTES)
        except OSError:
            return  # nothing is there, or whoever sends the response will find out
        if data:
            self.connection.receive(data)
        else:
            self.left = True

    def hang_up(self) -> bool:
        """Nothing more will be sent: say so to the client. False: it can be closed at once.

        True: a close now could destroy what the client has not read yet; take its last bytes first.
        """
        transport = self.transport
        if self.reset:
            transport.make_reset()
            return False
        # Bytes behind a last request (a CRLF that is not counted, say) would make close(2) a reset.
        if self.left or (self.orderly and not transport.has_unread()):
            transport.stream.close_notify()
            return False
        return transport.hang_up() and self.timeouts.linger_s > 0

    def forget_exchange(self) -> None:
        """Let go of the exchange and its body."""
        self.exchange = None
        self._waited_s = 0.0
        if self.body is not None:
            self.body.close()
            self.body = None

    def close(self) -> None:
        """Close the transport. The reactor has forgotten this client already."""
        self.state = State.CLOSED
        if self.takeover is not None and self.takeover.bridged and not self.takeover.carried:
            self.takeover.cut()  # the thread of the bridge closes the transport
        else:
            self.transport.close(self.connection.data_to_send())
        self.forget_exchange()
