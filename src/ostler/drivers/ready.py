"""Clients with a complete exchange, and whose turn it is.

Every second turn belongs to whoever has waited longest. The turns between go round the paths that are asked for, so a
crowd at one page (a thousand readers of the same large file, a report that takes a second) does not make everybody else
wait for all of it; and nobody gains more than those turns by asking for many paths.

Editing rules: any thread may call anything. Where nobody waits, `add` and `take` are on the path of every request.
"""

from collections import deque
from collections.abc import Callable

from ostler import real
from ostler.drivers.client import Client


class Ready:
    """See the module's text."""

    def __init__(self) -> None:
        self.waiting = 0
        """How many. (An attribute, as the path of every request asks for it.)"""
        self._lock = real.make_lock()
        self._oldest_next = True
        self._present: set[Client] = set()
        """Who waits. The line of all and those of the paths also hold clients whose turn it was by the other one."""
        self._all: deque[Client] = deque()
        self._lines: dict[str, deque[Client]] = {}
        """By path, in the order of their turns."""

    def add(self, client: Client) -> None:
        """The last of its line. Its exchange is complete."""
        path = _path(client)
        with self._lock:
            self.waiting += 1
            self._present.add(client)
            self._all.append(client)
            line = self._lines.get(path)
            if line is None:
                self._lines[path] = deque((client,))
            else:
                line.append(client)

    def put_back(self, client: Client) -> None:
        """The first of all again."""
        with self._lock:
            self.waiting += 1
            self._present.add(client)
            self._all.appendleft(client)
            self._oldest_next = True

    def take(self) -> Client | None:
        """Whose turn it is; None when nobody waits."""
        with self._lock:
            if not self.waiting:
                return None
            client = self._oldest() if self._oldest_next else self._next_path()
            self._oldest_next = not self._oldest_next
            self._present.discard(client)
            self.waiting -= 1
            if not self.waiting:
                self._all.clear()
                self._lines.clear()
                self._oldest_next = True
            return client

    def withdraw(self, before: float, may_go: Callable[[Client], bool], most: int) -> list[Client]:
        """Take out who has waited since before that time and may go, the oldest first; no more than `most`."""
        with self._lock:
            late = sorted((each for each in self._present if each.since < before), key=lambda each: each.since)
            late = [each for each in late if may_go(each)][:most]
            if late:
                self._present.difference_update(late)
                self.waiting -= len(late)
                # Who is withdrawn may come back, and those that stay may stay long.
                self._all = deque(dict.fromkeys(each for each in self._all if each in self._present))
                lines = {
                    path: deque(each for each in line if each in self._present) for path, line in self._lines.items()
                }
                self._lines = {path: line for path, line in lines.items() if line}
            return late

    @property
    def oldest_since(self) -> float:
        """When the one that has waited longest began to wait; 0.0: nobody waits."""
        with self._lock:
            return min((each.since for each in self._present), default=0.0)

    def _oldest(self) -> Client:
        while (client := self._all.popleft()) not in self._present:
            pass
        path = _path(client)
        line = self._lines.pop(path, None)
        if line is not None:
            if line[0] is client:
                line.popleft()
            if line:
                self._lines[path] = line  # it had its turn: behind the others
        return client

    def _next_path(self) -> Client:
        while self._lines:
            path = next(iter(self._lines))
            line = self._lines.pop(path)
            while line:
                client = line.popleft()
                if client in self._present:
                    if line:
                        self._lines[path] = line  # behind the others
                    return client
        return self._oldest()


def _path(client: Client) -> str:
    exchange = client.exchange
    assert exchange is not None
    return exchange.head.path
