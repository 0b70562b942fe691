"""An accepted WebSocket over the reactor: backpressure both ways, pings, the closing handshake, the drain.

`WebSocket` (http/websocket.py) knows the protocol and `LiveExchange` moves the bytes; here is what has a clock.
Messages wait in a short queue until the application asks; when that is full, the rest stays in the kernel, and the
client cannot send. Whoever sends waits while much is still to be taken by the client.

A client counts as alive while anything comes from it. When nothing has come for the ping interval it is pinged, and
when nothing comes for the ping timeout after that, it is gone. A client that we do not listen to is not judged.

Rules for editing: one event loop, one thread. Everything but `send` and `wait_over` is called from within the reactor's
turn, returns at once and raises nothing. Anchors: RFC 6455 sections 5.5 and 7; the drain: 1012, service restart.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ostler.app.asgi_live import LiveExchange, Waiters
from ostler.app.wsgi_input import ClientGone
from ostler.config.settings import Settings
from ostler.http.websocket import State, WebSocket
from ostler.http.websocket_events import Binary, Closed, Text
from ostler.http.websocket_frames import INTERNAL_ERROR, LOST, RESTARTING
from ostler.logline import fields

QUEUED_MESSAGES: Final = 32
QUEUED_BYTES: Final = 64 * 1024
"""With so much waiting for the application, the client is not read. One message may be longer."""

CLOSE_WAIT_S: Final = 5.0
"""How long a client has to answer our close frame."""

_OPEN: Final = State.OPEN  # a module's name, because an attribute of an Enum costs 0.05 µs at each use

_SENDS: Final = 16
"""After so many messages others get their turn, although there is room for more."""


@dataclass(frozen=True, slots=True)
class WebSocketTerms:
    """What the settings say of WebSockets."""

    max_message_bytes: int = 16 * 1024 * 1024
    """0: no limit."""
    ping_interval_s: float = 20
    """0: nobody is pinged."""
    ping_timeout_s: float = 20
    """0: a ping need not be answered."""
    deflate: bool = True
    grace_s: float = 3
    """How long an application may go on once it could know that its client has left."""

    @classmethod
    def of(cls, settings: Settings) -> "WebSocketTerms":
        """Those of a worker."""
        return cls(
            settings.websocket_max_message_size,
            settings.ws_ping_interval,
            settings.ws_ping_timeout,
            settings.ws_per_message_deflate,
            settings.asgi_disconnect_grace_period,
        )


class Pipe:
    """One accepted WebSocket."""

    def __init__(
        self, live: LiveExchange, socket: WebSocket, terms: WebSocketTerms, waiters: Waiters, log: logging.Logger
    ) -> None:
        """`waiters` are woken whenever something has changed. Made in the event loop."""
        self.closed: Closed | None = None
        """Why nothing more can be sent; what is queued came before it."""
        self.on_closed: Callable[[], object] = lambda: None
        """Called when `closed` is set."""
        self.over = False
        """The client is not waited for any more: the transport can go."""
        self.sent = 0
        """Bytes of the messages that were sent."""
        self._live = live
        self._socket = socket
        self._terms = terms
        self._waiters = waiters
        self._log = log
        self._queue: deque[Text | Binary] = deque()
        self._queued = 0
        self._paused = False
        self._lost = False
        """The transport takes nothing any more."""
        self._sends = 0
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._pinged = False
        """Nothing has come since the last ping."""
        self._pinged_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # -- for the application ---------------------------------------------------------------------------------

    def open(self) -> None:
        """The 101 was started: send it, and listen.

        Raises:
            ClientGone: the client has left.
        """
        self._live.upgrade(self._hear)
        if self._paused:  # what came with the handshake was enough already, and `upgrade` listens
            self._live.pause()
        if self._terms.ping_interval_s and self.closed is None:
            self._timer = self._loop.call_later(self._terms.ping_interval_s, self._look)
        if self._live.draining:
            self.close(RESTARTING, "service restart")

    def take(self) -> Text | Binary | None:
        """The next message that has come."""
        if not self._queue:
            return None
        message = self._queue.popleft()
        self._queued -= len(message.data)
        if self._paused:
            self._pump()
        return message

    async def send(self, message: Text | Binary) -> None:
        """Send a message; return when there is room for the next one.

        Raises:
            ClientGone: the connection is closed, or it is closing.
            ValueError: a text that is no Unicode.
        """
        if self.closed is not None:
            raise ClientGone(f"the WebSocket is closed (code {self.closed.code})")
        if isinstance(message, Text):
            self._socket.send_text(message.data)
        else:
            self._socket.send_binary(message.data)
        self.sent += len(message.data)
        if not self._flush():
            raise ClientGone("the WebSocket's client is gone")
        while not self._live.has_room and not self.over:
            self._sends = 0
            await self._waiters.wait()
        self._sends += 1
        if self._sends >= _SENDS:
            self._sends = 0
            await asyncio.sleep(0)

    def close(self, code: int, reason: str) -> None:
        """Say that it is over; the client has `CLOSE_WAIT_S` to answer. Nothing when it is closed already.

        Raises:
            ValueError: a code or a reason that cannot be sent.
        """
        self._socket.close(code, reason)
        if self.closed is None:
            self._end(Closed(code, reason))
            self._timer = self._loop.call_later(CLOSE_WAIT_S, self._release)
            self._pump()

    async def wait_over(self) -> None:
        """Return when the transport can go."""
        while not self.over:
            await self._waiters.wait()

    # -- what the reactor tells ------------------------------------------------------------------------------

    def changed(self) -> None:
        """See `LiveExchange.changed`."""
        if self._live.draining and self.closed is None:
            self.close(RESTARTING, "service restart")
        if self._paused:
            self._pump()
        self._waiters.wake()

    def _hear(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        self._pinged = False
        self._socket.receive(data)
        self._pump()

    def _pump(self) -> None:
        """Look at what has come, as far as somebody wants it."""
        socket = self._socket
        pause = False
        while True:
            if socket.state is _OPEN and not self._has_space():
                pause = True
                break
            event = socket.next_event()
            if event is None:
                break
            if type(event) is Text or type(event) is Binary:  # a match statement takes three times as long
                self._queue.append(event)
                self._queued += len(event.data)
            elif type(event) is Closed:
                self._hear_end(event)
        self._flush()
        if pause is not self._paused:
            self._pause(pause)
        self._waiters.wake()

    def _has_space(self) -> bool:
        # Without room nothing is read: what answers pings must not pile up either.
        return self._queued < QUEUED_BYTES and len(self._queue) < QUEUED_MESSAGES and self._live.has_room

    def _pause(self, pause: bool) -> None:
        self._paused = pause
        if pause:
            self._live.pause()
        else:
            self._heard_at = self._loop.time()
            self._pinged = False
            self._live.resume()

    def _hear_end(self, closed: Closed) -> None:
        if self.closed is None:
            if not closed.by_client and closed.code != LOST:
                peer = self._live.exchange.peer.text
                self._log.info(fields("websocket failed", code=closed.code, peer=peer, reason=closed.reason))
            self._end(closed)
        self._flush()  # the answer to its close frame, or why it is ended
        self._release()

    def _flush(self) -> bool:
        """Hand over what is to be sent; False: the client is gone."""
        data = self._socket.data_to_send()
        if data and not self._lost:
            try:
                self._live.write(data)
            except ClientGone:
                self.lose()
        return not self._lost

    def lose(self) -> None:
        """The client is gone."""
        self._lost = True
        if self.closed is None:
            self._end(Closed(LOST, ""))
        self._release()

    def _end(self, closed: Closed) -> None:
        self.closed = closed
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.on_closed()

    def _release(self) -> None:
        self.over = True
        self._live.hang_up()  # the application may take its time, and the client waits for the end (RFC 6455, 7.1.1)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiters.wake()

    # -- pings -----------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Is the client alive?"""
        now = self._loop.time()
        interval, timeout = self._terms.ping_interval_s, self._terms.ping_timeout_s
        if self._paused or not self._live.has_room:
            self._pinged = False
            self._heard_at = now
        if self._pinged and now >= self._pinged_at + timeout:
            self._give_up()
            return
        if not self._pinged and now >= self._heard_at + interval:
            self._socket.ping()
            if not self._flush():
                return
            self._pinged = timeout > 0
            self._pinged_at = self._heard_at = now
        due = self._heard_at + interval
        if self._pinged:
            answer_due = self._pinged_at + timeout
            due = min(due, answer_due) if due > now else answer_due
        self._timer = self._loop.call_at(due, self._look)

    def _give_up(self) -> None:
        timeout_s, peer = self._terms.ping_timeout_s, self._live.exchange.peer.text
        self._log.info(fields("websocket lost: no answer to a ping", timeout_s=timeout_s, peer=peer))
        self._socket.close(INTERNAL_ERROR, "no answer to a ping")
        self._end(Closed(INTERNAL_ERROR, "no answer to a ping"))
        self._flush()
        self._release()
