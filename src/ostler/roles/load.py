"""How much the server has to do: what waits in the listen queues, how busy the workers are, and what was shed.

`Load` is the master's: it looks once a second. `ostler status` shows what it holds, the supervisor is told when workers
are scaled (supervisor/scaling.py), and the log when a listen queue overflows (failures N9).

Rules for editing: a look costs some ten microseconds for each listener and worker; nothing here waits or decides.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import monotonic as _monotonic
from typing import Final

from ostler.config.machine import MemoryRoom
from ostler.logline import fields
from ostler.observe.pressure import Pressure
from ostler.observe.scoreboard import Page, Scoreboard, WorkerState
from ostler.process.listeners import Listener
from ostler.process.memory import own_bytes
from ostler.process.queues import overflows
from ostler.roles.perform import Performer
from ostler.supervisor.actions import Level, Log
from ostler.supervisor.events import LoadSeen

SILENT_S: Final = 2.5
"""A worker that has not said for so long how busy it is, is busy: its loop waits for the application, or hangs."""
COMPLAIN_S: Final = 60.0
_HALF: Final = 2
_CAUSE: Final = "more comes than the workers can do"
_CURE: Final = (
    "more workers or threads (workers_max adds them by itself), a shorter wait (queue_timeout sheds), or a longer "
    "queue (backlog, up to net.core.somaxconn)"
)


@dataclass(frozen=True, slots=True)
class Queue:
    """Of one address, all of its sockets together: connections that wait to be accepted, and how many may."""

    address: str
    waiting: int
    backlog: int


class Load:
    """As of the last look."""

    def __init__(self, performer: Performer) -> None:
        self.queued: tuple[Queue, ...] = ()
        """Of each address whose queue the system tells; empty where it tells none."""
        self.busy_share = 0.0
        """The part of the workers' capacity that was used in the last second, 0 to 1."""
        self.waiting = 0
        """Requests that workers hold, and that wait for a thread."""
        self.queue_time_s = 0.0
        """How long the oldest of them has been waiting."""
        self._performer = performer
        self._boards: list[Scoreboard] = []
        self._memory = MemoryRoom()
        self._next_complaint = float("-inf")
        self._overflows: int | None = None

    @property
    def shed(self) -> int:
        """Requests that were answered with 503 since the start, because they had waited too long."""
        return sum(board.pressures.shed for board in self._boards)

    def look(self) -> LoadSeen | None:
        """About once a second. What the supervisor is to know; None while it scales nothing."""
        performer = self._performer
        generation = performer.newest()
        if not any(generation.scoreboard is board for board in self._boards):
            self._boards.append(generation.scoreboard)
        listeners = performer.generations.listeners()
        self.queued = _by_address(listeners)
        self._look_at_workers(_monotonic())
        settings = generation.settings
        self._look_for_overflow(listeners)
        if not settings.workers_max:
            return None
        queued = self.waiting + sum(each.waiting for each in self.queued)
        return LoadSeen(self.busy_share, queued, self.queue_time_s, self._has_room())

    def _look_at_workers(self, now: float) -> None:
        busy, waiting, oldest = [], 0, now
        for page, line in self._serving():
            silent = now - page.last_beat > SILENT_S
            busy.append(1.0 if silent else min(1.0, line.busy))
            if line.waiting:
                waiting += line.waiting
                oldest = min(oldest, line.since or now)
        self.busy_share = sum(busy) / len(busy) if busy else 0.0
        self.waiting = waiting
        self.queue_time_s = now - oldest

    def _serving(self) -> Iterator[tuple[Page, Pressure]]:
        for child, facts in self._performer.children.workers():
            page = facts.page
            if page.state in (WorkerState.IDLE, WorkerState.BUSY):
                yield page, child.generation.scoreboard.pressures.of(page.index)

    def _has_room(self) -> bool:
        """Whether the memory limit of our cgroups, if there is one, allows one worker more."""
        sizes = [own_bytes(child.pid) or 0 for child, _ in self._performer.children.workers()]
        return self._memory.holds(max(sizes, default=0))

    def _look_for_overflow(self, listeners: Iterable[Listener]) -> None:
        fullest = max(self.queued, key=lambda each: each.waiting / max(1, each.backlog), default=None)
        if fullest is None or not fullest.backlog or fullest.waiting * _HALF < fullest.backlog:  # 0: it was shut
            self._overflows = None
            return
        before, self._overflows = self._overflows, overflows()
        grown = 0 if before is None or self._overflows is None else self._overflows - before
        now = _monotonic()
        if (fullest.waiting >= fullest.backlog or grown > 0) and now >= self._next_complaint:
            self._next_complaint = now + COMPLAIN_S
            text = "a listen queue is full, clients wait to connect or are refused"
            said = {"address": fullest.address, "waiting": fullest.waiting, "backlog": fullest.backlog}
            self._performer.perform(Log(Level.WARNING, fields(text, **said, overflows=grown, cause=_CAUSE, cure=_CURE)))


def _by_address(listeners: Iterable[Listener]) -> tuple[Queue, ...]:
    """With reuse_port an address has several sockets."""
    found: dict[str, tuple[int, int]] = {}
    for listener in listeners:
        queue = listener.queue()
        if queue is not None:
            waiting, backlog = found.get(listener.name, (0, 0))
            found[listener.name] = (waiting + queue[0], backlog + queue[1])
    return tuple(Queue(address, *numbers) for address, numbers in found.items())
