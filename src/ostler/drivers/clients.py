"""The clients of one worker, and what happens to each between its first byte and its last.

The flow of one request, in method order: `adopt` -> `_readable` -> `_advance` (head, body) -> the `ready` queue; the
reactor has it run -> `settle` (the end of the response) -> `_proceed` -> `_await` (the next head) or the end
(parting.py).

Editing rules: an event is a hint: level-triggered, maybe stale, so every handler asks the socket. Whoever owns a client
(client.py) may advance it; nobody else touches it without its lock. `ready` and `_open` are touched by single atomic
operations only, from any thread.
"""

import contextlib
import logging
import socket
import time
from collections.abc import Callable
from typing import Final

from ostler.app.environ import EnvironTemplate
from ostler.app.wsgi_input import WORKER_MEMORY_BYTES, BodyBuffer, Budget, ClientGone
from ostler.drivers.admission import NO_RULES, Admission, Rules
from ostler.drivers.client import BODY_READ_BYTES, Client, State
from ostler.drivers.deadlines import Deadlines
from ostler.drivers.doors import Doors
from ostler.drivers.eviction import Eviction
from ostler.drivers.handover import Handover
from ostler.drivers.outbox import Reserve
from ostler.drivers.parting import Parting
from ostler.drivers.poller import READ, WRITE, Poller
from ostler.drivers.ready import Ready
from ostler.drivers.shedding import Shedding
from ostler.drivers.stream import PlainStream, Stream
from ostler.drivers.taken import Taken
from ostler.drivers.timeouts import Timeouts
from ostler.drivers.transfer import Transferred
from ostler.drivers.transport import Transport
from ostler.drivers.waiting import THREADS, Waiting
from ostler.http.connection import Peer, Wait
from ostler.http.encode import DateField
from ostler.http.errors import HttpError
from ostler.http.h1 import H1Connection
from ostler.http.limits import Limits
from ostler.http.uwsgi import UwsgiConnection
from ostler.logline import fields

_monotonic = time.monotonic

_CONNECTIONS: Final[dict[str, type[H1Connection]]] = {each.PROTOCOL: each for each in (H1Connection, UwsgiConnection)}

HEAD_READ_BYTES: Final = 16 * 1024


class Clients:
    """Reads, completes requests, flushes responses, keeps deadlines."""

    def __init__(  # noqa: PLR0913  one place makes it, by name
        self,
        *,
        poller: Poller,
        doors: Doors,
        has_permit: Callable[[], bool],
        beat: Callable[[], None],
        template: EnvironTemplate,
        limits: Limits,
        timeouts: Timeouts,
        request_buffering: bool,
        log: logging.Logger,
        spill_directory: str | None = None,
        rules: Rules = NO_RULES,
        protocol: str = "http",
        waiting: Waiting = THREADS,
        shedding: Shedding | None = None,
    ) -> None:
        """`beat` is called by a thread that runs the application and waits for its client: that is no hang."""
        self.now = _monotonic()
        """The leader's clock, set once for each poll."""
        self.ready = Ready()
        """Clients with a complete exchange, which wait for a thread."""
        self._open: dict[int, Client] = {}
        self._taken = Taken(self._open, self.drop)
        self._poller = poller
        self._doors = doors
        self._has_permit = has_permit
        self._beat = beat
        self._template = template
        self._limits = limits
        self._timeouts = timeouts
        self._buffering = request_buffering
        self._log = log
        self._date = DateField(int(time.time()))
        self._spill = Budget(directory=spill_directory)
        self._bodies = Budget(WORKER_MEMORY_BYTES)
        self._reserve = Reserve(spill_directory)
        self._protocol = protocol
        self._waiting = waiting
        self.shedding = shedding
        self.handover = Handover(doors, timeouts, self.drop)
        self._parting = Parting(timeouts, self.drop)
        self._eviction = Eviction(log, self.drop)
        self._deadlines = Deadlines(
            self._open, doors, self.handover, log, self._refuse, self._parting.dismiss, self.drop
        )
        self.admission: Admission | None = None
        """Newcomers; None where whoever connects is a client at once."""
        if not rules.ask_nothing:
            self.admission = Admission(rules, timeouts.greeting_s, poller, log, self._admit, self._decline)

    def __len__(self) -> int:
        return len(self._open) + len(self._taken) + (0 if self.admission is None else len(self.admission))

    def descriptors(self) -> list[int]:
        """Of all that are open."""
        return list(self._open)

    def get(self, fd: int) -> Client | None:
        """The client behind a descriptor."""
        return self._open.get(fd)

    # -- coming in -------------------------------------------------------------------------------------------

    def adopt(self, sock: socket.socket, peer: Peer) -> None:
        """Serve an accepted connection."""
        if self.admission is not None:
            self.admission.begin(sock, peer)
        else:
            self._admit(sock, PlainStream(sock), peer, b"")

    def welcome(self, sock: socket.socket, peer: Peer) -> None:
        """Serve a connection of our own, which speaks HTTP and is not asked for anything else."""
        client = self._make(sock, PlainStream(sock), peer, H1Connection.PROTOCOL)
        self._limit(client, self._timeouts.head_s)
        self._start(client, b"", self.now)

    def take_over(self, transferred: Transferred) -> None:
        """Serve a connection that a sibling kept alive, beginning with the bytes that it has read."""
        sock = transferred.socket
        client = self._make(sock, PlainStream(sock), transferred.peer, transferred.protocol)
        client.served = transferred.served
        if self._doors.draining:
            client.deadline = self.now + self._timeouts.farewell_s
        elif client.served:
            client.deadline = self.now + self._timeouts.keep_alive_s
        else:
            self._limit(client, self._timeouts.head_s)
        self._start(client, transferred.unread, transferred.since or self.now)

    def _admit(self, sock: socket.socket, stream: Stream, peer: Peer, data: bytes) -> None:
        client = self._make(sock, stream, peer, self._protocol)
        if self._doors.draining:
            client.deadline = self.now + self.handover.farewell_s(client)
        else:
            self._limit(client, self._timeouts.head_s)
        self._start(client, data, self.now if self.shedding is None else self.shedding.came(client, self.now))

    def _decline(self, sock: socket.socket, peer: Peer, error: HttpError) -> None:
        self._refuse(self._make(sock, PlainStream(sock), peer, "http"), error)

    def _make(self, sock: socket.socket, stream: Stream, peer: Peer, protocol: str) -> Client:
        transport = Transport(sock, stream, self._poller, self._timeouts, self._reserve, self._beat, self._waiting)
        connection = _CONNECTIONS[protocol](self._limits, peer, self._date)
        client = Client(
            transport, connection, self._template.for_connection(peer), self._timeouts, self._beat, self._taken
        )
        if self._doors.stopping:
            connection.drain()
        self._open[transport.fd] = client
        transport.ask(READ)
        return client

    def _start(self, client: Client, data: bytes, since: float) -> None:
        """Go on with bytes that were read already, and have been here `since`, or look for some."""
        if data:
            client.connection.receive(data)
            self._advance(client, since)
        else:
            self._readable(client)

    # -- events ----------------------------------------------------------------------------------------------

    def on_event(self, client: Client, event: int) -> None:
        """The poller reported `event` (READ | WRITE | GONE)."""
        if event & WRITE and client.transport.lent:
            self._flush(client)
        state = client.state
        if state is State.READING:
            if event & ~WRITE:
                self._readable(client)
        elif state is State.LINGERING:
            self._parting.linger(client, self.now)
        elif client.live is not None:
            if event & ~WRITE:
                client.live.on_event(event)
        elif event & ~WRITE and client.overhear(event):
            self.drop(client)

    def _readable(self, client: Client) -> None:
        try:
            data = client.transport.stream.recv(HEAD_READ_BYTES if client.exchange is None else BODY_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.drop(client)
            return
        client.raw = None
        client.came += len(data)
        since = self.now if self.shedding is None else self.shedding.came(client, self.now)
        if not data:
            client.left = True
        elif (self.ready.waiting or not self._has_permit()) and client.between_requests:
            client.raw = client.connection.unread() + data
            if not self._has_permit() and self.handover.to_idle_sibling(client, client.raw, since):
                return
        client.connection.receive(data)
        self._advance(client, since)

    def _flush(self, client: Client) -> None:
        try:
            done = client.transport.flush(self.now)
        except ClientGone:
            if client.state is State.FLUSHING:
                self.drop(client)
            elif client.live is not None:
                client.live.on_gone()
            return
        if client.live is not None:
            client.live.on_room()
            return
        with client.transport.lock:  # meanwhile its thread may have gone on, and left something over again
            over = done and client.state is State.FLUSHING and not client.transport.lent
        if over:
            self._proceed(client)

    # -- from bytes to an exchange ---------------------------------------------------------------------------

    def _advance(self, client: Client, since: float) -> None:
        """Go as far as the bytes allow, which came at `since`: to the ready queue, or to waiting for more."""
        exchange = client.exchange
        try:
            if exchange is None:
                exchange = client.connection.next_exchange()
                if exchange is None:
                    self._await(client)
                    return
                client.open_exchange(exchange, self.now)
                if self._buffering and not client.complete:
                    client.body = BodyBuffer(self._spill, self._bodies)
            if client.body is not None and not client.collect(client.body):
                self._await(client)
                return
        except HttpError as error:
            self._refuse(client, error)
            return
        client.since = since if self.shedding is None else self.shedding.queued(client, since)
        client.state = State.QUEUED
        self.ready.add(client)

    def next_ready(self) -> Client | None:
        """Take the oldest complete exchange; it is RUNNING now. None when there is none, or its client left."""
        client = self.ready.take()
        if client is None:
            return None
        if client.nobody_waits:
            self._log.debug(fields("request skipped, its client left while it was queued", peer=client.peer_text))
            self.drop(client)
            return None
        client.state = State.RUNNING
        client.raw = None
        if self._doors.draining:
            if self._doors.stopping:
                client.connection.drain()
            if client.connection.draining:
                client.catch_up()
        if self.shedding is not None and self.shedding.is_due(client):
            self.shed(client)
            return None
        return client

    def shed(self, client: Client) -> None:
        """It was taken from the ready queue, because it has waited too long."""
        client.state = State.RUNNING
        try:
            assert self.shedding is not None
            self.shedding.answer(client)
            self.settle(client)
        except Exception:  # noqa: BLE001  a logger of the user's, or a defect of ours, must not take others along
            self._log.exception("a request that was to be shed was cut off")
            self.drop(client)

    # -- from a response to the next request -----------------------------------------------------------------

    def settle(self, client: Client) -> None:
        """The application is done with a client: send the end of its response, go on to its next request."""
        exchange = client.exchange
        assert exchange is not None
        client.orderly = not exchange.head.keep_alive and exchange.body_left() is None
        client.reset = exchange.aborted and exchange.until_close and not client.muted
        client.served = True
        client.forget_exchange()
        if client.takeover is None or self._taken.take_back(client, client.takeover):
            self._send_end(client)

    def _send_end(self, client: Client) -> None:
        try:
            client.finish()
        except ClientGone:
            self.drop(client)
            return
        transport = client.transport
        with transport.lock:
            if transport.lent:
                client.state = State.FLUSHING
                return
        if transport.gone:
            self.drop(client)
            return
        self._proceed(client)

    def _proceed(self, client: Client) -> None:
        """All of a response is sent: the next request, or the end."""
        if client.connection.closed:
            self._parting.part(client, self.now)
        elif client.left and not client.connection.head_started:
            self._parting.dismiss(client)
        else:
            # The turn in which this thread began may be long ago: the application's call lies between.
            self._advance(client, self.now if self.shedding is None else _monotonic())

    def _await(self, client: Client) -> None:
        """Wait for the client's next bytes, under the deadline of what they are."""
        connection = client.connection
        if connection.closed:
            self._parting.part(client, self.now)
            return
        if client.left:
            self._parting.dismiss(client)
            return
        if client.exchange is not None:
            self._send_continue(client)
            client.deadline = self._timeouts.body.deadline(client.began, client.came, self.now)
        elif connection.head_started:
            self._limit(client, self._timeouts.head_s)
        elif connection.waiting_for is Wait.BODY:
            self._limit(client, self._timeouts.body.silence_s)  # the unread rest of an answered request
        elif client.served:
            client.timed = False
            client.deadline = self.now + self._timeouts.keep_alive_s
        if self._doors.draining and client.exchange is None:
            if self.handover.farewell(client, self.now):
                return
            if connection.closed:
                self._parting.part(client, self.now)
                return
        with client.transport.lock:
            client.state = State.READING
            client.transport.listen()

    def _limit(self, client: Client, patience_s: float) -> None:
        """One deadline for all of what has begun to arrive."""
        if not client.timed:
            client.timed = True
            client.since = self.now
            client.deadline = self.now + patience_s

    def _send_continue(self, client: Client) -> None:
        """A client that asked whether it may send its body (RFC 9110 section 10.1.1) is told now."""
        pieces = client.connection.data_to_send()
        if pieces:
            with contextlib.suppress(ClientGone):
                client.transport.send(pieces)

    def _refuse(self, client: Client, error: HttpError) -> None:
        """What came cannot be served: say so, and never read this connection's bytes again."""
        level = logging.DEBUG if client.left else logging.WARNING  # to have left early is no attack
        reason = error.detail or error.reason
        self._log.log(level, fields("request refused", status=error.status, peer=client.peer_text, reason=reason))
        client.forget_exchange()
        client.orderly = False
        client.connection.refuse(error)
        self._send_end(client)

    def fail(self, client: Client) -> None:
        """A defect of ours: end this client, and leave a thread that runs its exchange to find out by itself."""
        with client.transport.lock:
            if client.takeover is not None:
                client.takeover.cut()
                return
            if client.state is State.RUNNING or client.state is State.QUEUED:
                client.left = True
                client.transport.break_off()
                return
        self.drop(client)

    def drop(self, client: Client) -> None:
        """Close the transport now. Harmless when it is closed."""
        transport = client.transport
        with transport.lock:
            if client.state is State.CLOSED:
                return
            # Out of the table before the descriptor is free: it may be the next client's at once.
            self._taken.forget(client)
            if self._open.get(transport.fd) is client:
                del self._open[transport.fd]
            transport.unwatch()
            client.close()

    # -- time, and the end -----------------------------------------------------------------------------------

    def drain_all(self) -> None:
        """Keep nobody for a further request."""
        if self.admission is not None and self._doors.stopping:
            self.admission.hurry(self._timeouts.farewell_s)
        for client in list(self._open.values()):
            if client.state is State.READING and client.exchange is None:
                self.handover.farewell(client, self.now)
            elif self._doors.stopping and client.state is State.RUNNING and not client.transport.has_unread():
                client.connection.drain()  # what is pipelined behind it comes to its end by itself

    def tick(self) -> bool:
        """Once in a while: the Date of responses, deadlines, and connections that no sibling would take before.

        Returns:
            False: there is more to do, and somebody may have come meanwhile.
        """
        self._date.set(int(time.time()))
        self._reserve.spill.trim()
        self._taken.tick()
        if self.admission is not None:
            self.admission.tick()
        return self._deadlines.enforce(self.now)

    def make_room(self) -> bool:
        """Close whoever can go best. False: nobody can."""
        return self._eviction.make_room(self._open.values(), self.admission, self.now)

    def close(self) -> None:
        """Close every transport."""
        if self.admission is not None:
            self.admission.close()
        for client in list(self._open.values()):
            self.drop(client)
        self._taken.close()
        self._reserve.spill.close()
