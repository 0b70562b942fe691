"""Bytes to another process or machine, without ever waiting for it: UDP, TCP, and Unix sockets of both kinds.

Any thread may send, also from a signal handler that interrupted a send: a message goes into an inbox, and whoever finds
the line (line.py) free carries all of it to the socket; nobody waits for a lock. What is lost, as far as the system
tells, is counted and reported.

A forked child gets a line of its own (found by its pid): it shares datagram sockets, never a connection, and owes
nothing that its parent had queued.

Rules for editing: no call here may block or raise into the caller. Reports are made when the line is free again: he who
hears of a loss may well log, through here.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ostler.observe.line import Line, Loss
from ostler.observe.resolve import Resolver
from ostler.observe.route import Destination, Route

_getpid = os.getpid

QUEUE_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a Remote needs of the process that it is in.

    resolvers: makes the resolver of a process, in that process. report: hears of losses at most once a minute, and
    when they end, on the thread that sent; it must not raise. clock: monotonic seconds.
    """

    resolvers: Callable[[], Resolver]
    report: Callable[[Loss], None]
    clock: Callable[[], float] = time.monotonic


class Remote:
    """The way to one destination."""

    def __init__(self, destination: Destination, wiring: Wiring, queue_bytes: int = QUEUE_BYTES) -> None:
        """queue_bytes: what may wait for the other end; 0 to rather lose than be late."""
        self.destination = destination
        self._resolvers = wiring.resolvers
        self._report = wiring.report
        self._clock = wiring.clock
        self._queue_bytes = queue_bytes
        self._lines: dict[int, Line] = {}
        self._line()

    @property
    def dropped(self) -> int:
        """Messages lost in the life of this process."""
        return self._line().lost

    @property
    def streams(self) -> bool:
        """Whether the way that was opened last is a stream, where messages have to be told apart."""
        return self._line().streams

    def fileno(self) -> int | None:
        """The descriptor of the way that is open in this process."""
        return self._line().fileno()

    def resolve_with(self, resolvers: Callable[[], Resolver]) -> None:
        """For a process that looks names up in another way than the one it inherited this from: while one thread sends.

        A look-up that runs is given up.
        """
        self._resolvers = resolvers
        self._line().resolve_with(resolvers())

    def send(self, *messages: bytes) -> None:
        """Send each, or queue it, or count it as lost."""
        line = self._line()
        line.take(messages)
        self._run(line)

    def flush(self) -> None:
        """For a loop's tick: go on with what waits."""
        line = self._line()
        if line.waits:
            line.nudged = True
            self._run(line)

    def close(self) -> None:
        """Send what goes without waiting; the rest is lost. A later `send` opens the way again."""
        line = self._line()
        line.nudged = True
        line.closing = True
        self._run(line)

    def _line(self) -> Line:
        pid = _getpid()
        line = self._lines.get(pid)
        if line is None:
            line = self._line_of(pid)
        return line

    def _line_of(self, pid: int) -> Line:
        """The first use in this process, perhaps by several threads at once: dict.setdefault lets one of them win."""
        former = list(self._lines.items())
        route = Route(self.destination, self._resolvers())
        fresh = Line(route, str(self.destination), self._queue_bytes, self._clock)
        for _, line in former:
            fresh.share_with(line)
        winner = self._lines.setdefault(pid, fresh)
        if winner is fresh:
            for forebear, line in former:
                del self._lines[forebear]
                line.leave_to_parent()
        return winner

    def _run(self, line: Line) -> None:
        while line.inbox or line.nudged:
            if not line.busy.acquire(blocking=False):
                return  # its holder looks into the inbox again after letting go
            try:
                loss = line.carry()
            finally:
                line.busy.release()
            if loss is not None:
                self._report(loss)
