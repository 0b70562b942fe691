"""When a client goes over to a sibling: its next request would wait here, or this worker retires.

How a connection travels is in transfer.py, whether a sibling is idle in doors.py. Bytes that are still to be sent, an
open exchange and the state of TLS keep a client here.

Editing rules: only whoever owns a client (client.py) hands it over. It is out of the poller before it is
sent: epoll follows the open file.
"""

from collections.abc import Callable

from ostler.drivers.client import Client, State
from ostler.drivers.doors import Doors
from ostler.drivers.ready import Ready
from ostler.drivers.timeouts import Timeouts


class Handover:
    """Gives one worker's clients away."""

    def __init__(self, doors: Doors, timeouts: Timeouts, drop: Callable[[Client], None]) -> None:
        """`drop` closes our copy of a client."""
        self._doors = doors
        self._timeouts = timeouts
        self._drop = drop

    def to_idle_sibling(self, client: Client, unread: bytes, since: float) -> bool:
        """Hand over a client whose request would wait here, as it does `since`. False: it stays ours."""
        return self._doors.idle_sibling() and self._send(client, unread, since)

    def offer(self, ready: Ready) -> None:
        """All our threads are busy: a sibling that has become idle may take what waits in `ready`."""
        while ready.waiting and self._doors.idle_sibling():
            client = ready.take()
            if client is None:
                return
            if client.nobody_waits:
                self._drop(client)
            elif client.raw is None or not self._send(client, client.raw, client.since):
                ready.put_back(client)
                return

    def farewell(self, client: Client, now: float) -> bool:
        """Draining, and no exchange is open. True: a sibling has it now; False: its next request is the last."""
        if not self._doors.stopping and self._to_any_sibling(client):
            return True
        client.connection.drain()
        if not client.connection.head_started:
            client.deadline = min(client.deadline, now + self.farewell_s(client))
        return False

    def farewell_s(self, client: Client) -> float:
        """Draining: how long a client that stays here may take to bring its last request."""
        return self._timeouts.farewell_s if self._doors.stopping else self._timeouts.tied_farewell_s

    def try_again(self, client: Client, now: float) -> None:
        """Draining, once in a while: siblings that would not take it before may take it now; and a thread may have let
        go of it in the very moment when the drain began.
        """
        if client.state is State.READING and client.exchange is None:
            self.farewell(client, now)

    def _to_any_sibling(self, client: Client) -> bool:
        return client.between_requests and self._send(client, client.connection.unread(), 0.0)

    def _send(self, client: Client, unread: bytes, since: float) -> bool:
        transport = client.transport
        if transport.lent or transport.secured:
            return False
        with transport.lock:
            events = transport.unwatch()
        if self._doors.transfer(transport.sock, client.connection, unread, client.served, since):
            self._drop(client)
            return True
        with transport.lock:
            transport.ask(max(events, 0))
        return False
