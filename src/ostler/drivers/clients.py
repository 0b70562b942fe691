"""The clients of one worker, and what happens to each between its first byte and its last.

The flow of one request, in method order: `adopt` -> `_readable` -> `_advance` (head, body) -> the `ready` queue; the
reactor has it run -> `settle` (the end of the response) -> `_proceed` -> `_await` (the next head) or `_part` (close).

Editing rules: an event is a hint: level-triggered, maybe stale, so every handler asks the socket. Whoever owns a client
(client.py) may advance it; nobody else touches it without its lock. `ready` and `_open` are touched by single atomic
operations only, from any thread.
"""

import contextlib
import logging
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from ostler.app.environ import EnvironTemplate
from ostler.app.wsgi_input import BodyBuffer, Budget, ClientGone
from ostler.drivers.client import BODY_READ_BYTES, Client, State
from ostler.drivers.doors import Doors
from ostler.drivers.handover import Handover
from ostler.drivers.outbox import WORKER_MEMORY_BYTES
from ostler.drivers.poller import READ, WRITE, Poller
from ostler.drivers.timeouts import Timeouts
from ostler.http.connection import Peer
from ostler.http.encode import DateField
from ostler.http.errors import HttpError
from ostler.http.h1 import H1Connection
from ostler.http.limits import Limits
from ostler.logline import fields

_monotonic = time.monotonic

HEAD_READ_BYTES: Final = 16 * 1024
_LINGER_BYTES: Final = 256 * 1024 * 1024
"""More than a proxy sends before it looks for an answer. Behind a reset in its upload Nginx reads none: it says 502."""


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
    ) -> None:
        """`beat` is called by a thread that runs the application and waits for its client: that is no hang."""
        self.now = _monotonic()
        """The leader's clock, set once for each poll."""
        self.ready: deque[Client] = deque()
        """Clients with a complete exchange, which wait for a thread."""
        self._open: dict[int, Client] = {}
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
        self._memory = Budget(WORKER_MEMORY_BYTES, directory=spill_directory)
        self.handover = Handover(doors, timeouts.farewell_s, self.drop)

    def __len__(self) -> int:
        return len(self._open)

    def get(self, fd: int) -> Client | None:
        """The client behind a descriptor."""
        return self._open.get(fd)

    # -- coming in -------------------------------------------------------------------------------------------

    def adopt(self, sock: socket.socket, peer: Peer) -> None:
        """Serve an accepted connection."""
        client = self._make(sock, peer)
        client.deadline = self.now + (self._timeouts.farewell_s if self._doors.draining else self._timeouts.head_s)
        self._readable(client)

    def take_over(self, sock: socket.socket, peer: Peer, unread: bytes) -> None:
        """Serve a connection that a sibling kept alive, beginning with the bytes that it has read."""
        client = self._make(sock, peer)
        client.served = True
        client.deadline = self.now + self._timeouts.keep_alive_s
        if self._doors.draining:
            client.deadline = self.now + self._timeouts.farewell_s
        if unread:
            client.connection.receive(unread)
            self._advance(client)
        else:
            self._readable(client)

    def _make(self, sock: socket.socket, peer: Peer) -> Client:
        client = Client(
            sock,
            H1Connection(self._limits, peer, self._date),
            self._template.for_connection(peer),
            self._poller,
            self._timeouts,
            self._memory,
            self._beat,
        )
        if self._doors.stopping:
            client.connection.drain()
        self._open[client.fd] = client
        client.ask(READ)
        return client

    # -- events ----------------------------------------------------------------------------------------------

    def on_event(self, client: Client, event: int) -> None:
        """The poller reported `event` (READ | WRITE | GONE)."""
        if event & WRITE and client.lent:
            self._flush(client)
        state = client.state
        if state is State.READING:
            if event & ~WRITE:
                self._readable(client)
        elif state is State.LINGERING:
            self._linger(client)
        elif event & ~WRITE and client.overhear(event):
            self.drop(client)

    def _readable(self, client: Client) -> None:
        try:
            data = client.sock.recv(HEAD_READ_BYTES if client.exchange is None else BODY_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.drop(client)
            return
        client.raw = None
        if not data:
            client.left = True
        elif not self._has_permit() and client.between_requests:
            client.raw = client.connection.unread() + data
            if self.handover.to_idle_sibling(client, client.raw):
                return
        client.connection.receive(data)
        self._advance(client)

    def _flush(self, client: Client) -> None:
        try:
            done = client.flush(self.now)
        except ClientGone:
            if client.state is State.FLUSHING:
                self.drop(client)
            return
        if done and client.state is State.FLUSHING:
            self._proceed(client)

    def _linger(self, client: Client) -> None:
        try:
            data = client.sock.recv(BODY_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        client.taken += len(data)
        if not data or client.taken > _LINGER_BYTES:
            self.drop(client)

    # -- from bytes to an exchange ---------------------------------------------------------------------------

    def _advance(self, client: Client) -> None:
        """Go as far as the received bytes allow: to a complete exchange in the ready queue, or to waiting for more."""
        exchange = client.exchange
        try:
            if exchange is None:
                exchange = client.connection.next_exchange()
                if exchange is None:
                    self._await(client)
                    return
                client.exchange = exchange
                client.heading = False
                length = exchange.head.body_length
                if length == 0:
                    client.complete = True
                elif not self._buffering:
                    client.complete = False
                else:
                    client.body = BodyBuffer(self._spill)
            if client.body is not None and not client.collect(client.body):
                self._await(client)
                return
        except HttpError as error:
            self._refuse(client, error)
            return
        client.state = State.QUEUED
        self.ready.append(client)

    def next_ready(self) -> Client | None:
        """Take the oldest complete exchange; it is RUNNING now. None when there is none, or its client left."""
        try:
            client = self.ready.popleft()
        except IndexError:
            return None
        if client.gone or (client.left and client.raw is not None):
            # It left while its request waited: nobody wants the answer (nginx's 499). What was pipelined behind an
            # answered request is run all the same: such clients close their sending side and go on reading.
            self._log.debug(fields("request skipped, its client left while it was queued", peer=client.peer_text))
            self.drop(client)
            return None
        client.state = State.RUNNING
        client.raw = None
        return client

    # -- from a response to the next request -----------------------------------------------------------------

    def settle(self, client: Client) -> None:
        """The application is done with a client: send the end of its response, go on to its next request."""
        exchange = client.exchange
        assert exchange is not None
        client.orderly = not exchange.head.keep_alive and exchange.body_left() is None
        client.reset = exchange.aborted and exchange.until_close
        client.served = True
        client.forget_exchange()
        self._send_end(client)

    def _send_end(self, client: Client) -> None:
        try:
            client.finish()
        except ClientGone:
            self.drop(client)
            return
        with client.lock:
            if client.lent:
                client.state = State.FLUSHING
                return
        if client.gone:
            self.drop(client)
            return
        self._proceed(client)

    def _proceed(self, client: Client) -> None:
        """All of a response is sent: the next request, or the end."""
        if client.connection.closed:
            self._part(client)
        elif client.left and not client.connection.head_started:
            self.drop(client)
        else:
            self._advance(client)

    def _await(self, client: Client) -> None:
        """Wait for the client's next bytes, under the deadline of what they are."""
        connection = client.connection
        if connection.closed:
            self._part(client)
            return
        if client.left:
            self.drop(client)
            return
        if client.exchange is not None:
            self._send_continue(client)
            client.deadline = self.now + self._timeouts.body_s
            client.heading = False
        elif connection.head_started:
            if not client.heading:
                client.heading = True
                client.deadline = self.now + self._timeouts.head_s
        else:
            client.heading = False
            if client.served:
                client.deadline = self.now + self._timeouts.keep_alive_s
        if self._doors.draining and client.exchange is None:
            if self.handover.farewell(client, self.now):
                return
            if connection.closed:
                self._part(client)
                return
        with client.lock:
            client.state = State.READING
            client.ask(READ | max(client.events, 0) & WRITE)

    def _send_continue(self, client: Client) -> None:
        """A client that asked whether it may send its body (RFC 9110 section 10.1.1) is told now."""
        pieces = client.connection.data_to_send()
        if pieces:
            with contextlib.suppress(ClientGone):
                client.send_now(pieces)

    def _refuse(self, client: Client, error: HttpError) -> None:
        """What came cannot be served: say so, and never read this connection's bytes again."""
        level = logging.DEBUG if client.left else logging.WARNING  # to have left early is no attack
        reason = error.detail or error.reason
        self._log.log(level, fields("request refused", status=error.status, peer=client.peer_text, reason=reason))
        client.forget_exchange()
        client.orderly = False
        client.connection.refuse(error)
        self._send_end(client)

    def _part(self, client: Client) -> None:
        """Nothing more will be sent. Close, but not in a way that destroys what the client has not read yet."""
        if not client.hang_up():
            self.drop(client)
            return
        client.deadline = self.now + self._timeouts.linger_s
        with client.lock:
            client.state = State.LINGERING
            client.ask(READ)

    def fail(self, client: Client) -> None:
        """A defect of ours: end this client, and leave a thread that runs its exchange to find out by itself."""
        with client.lock:
            if client.state is State.RUNNING or client.state is State.QUEUED:
                client.left = True
                client.break_off()
                return
        self.drop(client)

    def drop(self, client: Client) -> None:
        """Close the transport now. Harmless when it is closed."""
        with client.lock:
            if client.state is State.CLOSED:
                return
            # Out of the table before the descriptor is free: it may be the next client's at once.
            self._open.pop(client.fd, None)
            client.unwatch()
            client.close()

    # -- time, and the end -----------------------------------------------------------------------------------

    def drain_all(self) -> None:
        """Keep nobody for a further request."""
        for client in list(self._open.values()):
            if client.state is State.READING and client.exchange is None:
                self.handover.farewell(client, self.now)
            elif self._doors.stopping:
                client.connection.drain()

    def tick(self) -> None:
        """Once in a while: the Date of responses, deadlines, and connections that no sibling would take before."""
        self._date.set(int(time.time()))
        leaving = self._doors.draining and not self._doors.stopping
        for client in list(self._open.values()):
            if client.deadline <= self.now:
                self._expire(client)
            elif leaving:
                self.handover.try_again(client)

    def _expire(self, client: Client) -> None:
        state = client.state
        if client.deadline > self.now:
            return  # it has just moved on
        match state:
            case State.READING:
                if client.exchange is not None or client.connection.head_started:
                    self._refuse(client, HttpError(408, detail="the request did not arrive in time"))
                else:
                    self.drop(client)
            case State.RUNNING:
                with client.lock:
                    if client.lent and client.deadline <= self.now:
                        client.break_off()
            case State.FLUSHING | State.LINGERING:
                self.drop(client)
            case State.QUEUED | State.CLOSED:
                pass

    def evict_longest_idle(self) -> bool:
        """Close the connection that has waited longest for its next request. False: none waits."""
        idle = [
            client
            for client in list(self._open.values())
            if client.state is State.READING and client.exchange is None and not client.heading and client.served
        ]
        if not idle:
            return False
        self.drop(min(idle, key=lambda client: client.deadline))
        return True

    def close(self) -> None:
        """Close every transport."""
        for client in list(self._open.values()):
            self.drop(client)
