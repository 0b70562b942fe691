"""When a client goes over to a sibling: its next request would wait here, or this worker retires.

How a connection travels is in transfer.py, whether a sibling is idle in doors.py. Bytes that are still to be sent
and an open exchange keep a client here.

Editing rules: only whoever owns a client (client.py) hands it over. It is out of the poller before it is
sent: epoll follows the open file.
"""

from collections import deque
from collections.abc import Callable

from ostler.drivers.client import Client, State
from ostler.drivers.doors import Doors


class Handover:
    """Gives one worker's clients away."""

    def __init__(self, doors: Doors, farewell_s: float, drop: Callable[[Client], None]) -> None:
        """`drop` closes our copy of a client. `farewell_s`: what an idle client has left when no sibling takes it."""
        self._doors = doors
        self._farewell_s = farewell_s
        self._drop = drop

    def to_idle_sibling(self, client: Client, unread: bytes) -> bool:
        """Hand over a client whose request would wait here. False: it stays ours."""
        return self._doors.idle_sibling() and self._send(client, unread)

    def offer(self, ready: deque[Client]) -> None:
        """All our threads are busy: a sibling that has become idle may take what waits in `ready`."""
        while ready and self._doors.idle_sibling():
            try:
                client = ready.popleft()
            except IndexError:
                return
            if client.left:
                self._drop(client)
            elif client.raw is None or not self._send(client, client.raw):
                ready.appendleft(client)
                return

    def farewell(self, client: Client, now: float) -> bool:
        """Draining, and no exchange is open. True: a sibling has it now; False: its next request is the last."""
        if not self._doors.stopping and self._to_any_sibling(client):
            return True
        client.connection.drain()
        if not client.connection.head_started:
            client.deadline = min(client.deadline, now + self._farewell_s)
        return False

    def try_again(self, client: Client) -> None:
        """Retiring: siblings that would not take it before may take it now."""
        if client.state is State.READING:
            self._to_any_sibling(client)

    def _to_any_sibling(self, client: Client) -> bool:
        return client.between_requests and self._send(client, client.connection.unread())

    def _send(self, client: Client, unread: bytes) -> bool:
        if client.lent:
            return False
        with client.lock:
            events = client.unwatch()
        if self._doors.transfer(client.sock, client.connection.peer, unread):
            self._drop(client)
            return True
        with client.lock:
            client.ask(max(events, 0))
        return False
