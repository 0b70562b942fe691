"""The clients whose sockets applications have taken: where they are counted meanwhile, and how they come back.

A taken client is in no table by descriptor, for its descriptor may be anybody's soon: the application may close it, and
the next client be given the number. It still counts for `worker_connections`, and a drain waits for it.

Editing rules: called by any thread; `set` and `dict` are touched by single atomic operations.
"""

import contextlib
import socket
from collections.abc import Callable, MutableMapping

from ostler.drivers.client import Client
from ostler.drivers.takeover import Takeover, discard


class Taken:
    """One worker's. See `client.Table`."""

    def __init__(self, clients: MutableMapping[int, Client], drop: Callable[[Client], object]) -> None:
        """clients: the reactor's, by descriptor. `drop` closes one."""
        self._clients = clients
        self._drop = drop
        self._taken: set[Client] = set()
        self._buried: list[socket.socket] = []
        self._dead: list[socket.socket] = []
        """Sockets that were shut down, to be closed at the next but one tick, and at the next."""

    def __len__(self) -> int:
        return len(self._taken)

    def give_out(self, client: Client) -> None:
        """See `client.Table`."""
        self._taken.add(client)
        self._clients.pop(client.transport.fd, None)

    def carried(self, client: Client) -> None:
        """See `client.Table`."""
        if client.takeover is not None:
            client.takeover.carried = True
        if client.exchange is None:  # else `take_back` will find it so
            self._drop(client)

    def take_back(self, client: Client, takeover: Takeover) -> bool:
        """The call is over, and with it the connection. True: its socket is the reactor's again, for the farewell."""
        unsent = client.connection.data_to_send()
        if client.muted:
            discard(unsent)
        elif takeover.bridged:
            with contextlib.suppress(OSError):
                takeover.deliver(unsent, wait=False)
        else:
            client.connection.output += unsent
        sock = takeover.give_back()
        if takeover.bridged and sock is not None:
            self._bury(sock)
        if takeover.bridged or sock is None:
            if not takeover.bridged or takeover.carried:
                self._drop(client)
            return False
        with client.transport.lock:
            client.transport.come_back(sock, self._bury)
            client.takeover = None
            client.connection.close()
            self._clients[sock.fileno()] = client
        self.forget(client)
        return True

    def forget(self, client: Client) -> None:
        """It is closed, or the reactor's. Harmless when it was never taken."""
        self._taken.discard(client)

    def _bury(self, sock: socket.socket) -> None:
        self._buried.append(sock)

    def tick(self) -> None:
        """Once in a while: close what was buried a while ago.

        A thread of the application that waits in a selector for a socket that was shut down wakes up if the socket is
        still there when it looks; close(2) takes it out of an epoll(7) without a word.
        """
        for sock in self._dead:
            sock.close()
        self._dead, self._buried = self._buried, []

    def close(self) -> None:
        """The worker ends: so do the connections."""
        self.tick()
        self.tick()
        for client in list(self._taken):
            if client.takeover is not None:
                client.takeover.cut()
