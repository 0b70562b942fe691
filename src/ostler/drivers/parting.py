"""The end of a connection on which nothing more is sent: in an order that destroys nothing of what was.

A socket that is closed while bytes of its client are unread resets the connection, and the client may lose what it has
not read yet (RFC 9112 section 9.6). So the sending side is shut first, and the client's last bytes are taken and
dropped, for a while.

Rules for editing: only whoever owns a client (client.py) parts with it.
"""

from collections.abc import Callable
from typing import Final

from ostler.drivers.client import BODY_READ_BYTES, Client, State
from ostler.drivers.poller import READ
from ostler.drivers.timeouts import Timeouts

_LINGER_BYTES: Final = 256 * 1024 * 1024
"""More than a proxy sends before it looks for an answer. Behind a reset in its upload Nginx reads none: it says 502."""


class Parting:
    """Of one worker's clients."""

    def __init__(self, timeouts: Timeouts, drop: Callable[[Client], None]) -> None:
        """`drop` closes a client at once."""
        self._timeouts = timeouts
        self._drop = drop

    def part(self, client: Client, now: float) -> None:
        """Nothing more will be sent. Close, but not in a way that destroys what the client has not read yet."""
        if not client.hang_up():
            self._drop(client)
            return
        client.since = now
        client.deadline = now + self._timeouts.linger_s
        with client.transport.lock:
            client.state = State.LINGERING
            client.transport.ask(READ)

    def linger(self, client: Client, now: float) -> None:
        """Its last bytes, or its end, are there."""
        try:
            data = client.transport.sock.recv(BODY_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        client.taken += len(data)
        if not data or client.taken > _LINGER_BYTES:
            self._drop(client)
        client.deadline = min(now + self._timeouts.linger_s, client.since + self._timeouts.linger_total_s)

    def dismiss(self, client: Client) -> None:
        """Close the connection of a client to whom nothing is owed; this is no truncation (RFC 8446 section 6.1)."""
        client.transport.stream.close_notify()
        self._drop(client)
