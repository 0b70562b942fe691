"""Requests that take too long where their worker can do nothing about it, and workers whose threads all wait.

A worker minds `request_timeout` by itself (drivers/overdue.py), unless C code holds the GIL or its event loop is
blocked. Its page says when the nearest deadlines are; one that is over for GRACE_S and still stands there is ours:

    soft     the stacks are asked for and reported, once for each deadline; nobody is killed
    hard     the worker is dumped, aborted and killed, as one that is silent for `timeout`

A worker all of whose threads are in use, and none of which has finished anything for `timeout`, serves nobody, though
it lives. When somebody waits for it, its stacks are reported; after another `timeout` it is to be replaced, as one that
has asked for it: the new one comes first, and what it serves may end (long polls do).

Rules for editing: pure. Nobody is held late for a time in which the machine, or the master, was asleep.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ostler.logline import fields
from ostler.supervisor import deadlines
from ostler.supervisor.actions import Kick, Level, ReportStacks, Send
from ostler.supervisor.events import NOTHING_DUE, Beats
from ostler.supervisor.fleet import Fleet
from ostler.supervisor.handle import Handle, State
from ostler.supervisor.heartbeats import Heartbeats
from ostler.supervisor.policy import DUMP_S

GRACE_S: Final = 1.0
"""A worker that can act has done so by then: it looks once a second at least."""

STUCK: Final = "all threads are busy"


@dataclass(slots=True)
class _Crowd:
    """A worker without a free thread. since: when it was first seen so, with as many requests finished."""

    requests: int
    since: float
    told_at: float | None = None


@dataclass(frozen=True, slots=True)
class _Report:
    at: float
    sentence: str
    why: str


class Overdue:
    """Of one supervisor. Times are seconds of its clock; workers are known by their age."""

    def __init__(self, fleet: Fleet, heartbeats: Heartbeats) -> None:
        self._fleet = fleet
        self._heartbeats = heartbeats
        self._told: dict[int, float] = {}
        """The soft deadline that was reported last."""
        self._crowds: dict[int, _Crowd] = {}
        self._reports: dict[int, _Report] = {}
        """Stacks that were asked for, and are not here yet."""

    def next_at(self) -> list[float]:
        """When `expire` has something to do."""
        return [report.at for report in self._reports.values()]

    def note(self, event: Beats, workers: Iterable[Handle]) -> list[Handle]:
        """What the pages say of these. Returns those that are to be ended."""
        late = []
        alive = list(workers)
        gone = (self._told.keys() | self._crowds.keys()) - {worker.age for worker in alive}
        for age in gone:
            self._told.pop(age, None)
            self._crowds.pop(age, None)
        for worker in alive:
            due = event.due.get(worker.pid or 0, NOTHING_DUE)
            if self._is_over(due.hard_at):
                late.append(worker)
            elif self._is_over(due.soft_at) and self._told.get(worker.age) != due.soft_at:
                self._told[worker.age] = due.soft_at
                self._ask(worker, "request timeout, and its worker cannot act", deadlines.REQUEST_TIMEOUT)
            if worker.state is State.READY:
                self._note_crowd(event, worker)
        return late

    def expire(self) -> None:
        """Stacks that were asked for have had their time to arrive."""
        for age, report in list(self._reports.items()):
            if report.at <= self._fleet.now:
                del self._reports[age]
                worker = self._fleet.roster.get(age)
                if worker is not None and worker.pid is not None and worker.state in (State.READY, State.RETIRING):
                    self._fleet.order(ReportStacks(worker.pid, report.sentence, report.why, True))

    def _is_over(self, at: float) -> bool:
        return at > 0 and self._fleet.now - max(at, self._heartbeats.awake_since) >= GRACE_S

    def _ask(self, worker: Handle, sentence: str, why: str) -> None:
        assert worker.pid is not None
        self._reports[worker.age] = _Report(self._fleet.now + DUMP_S, f"{sentence} {worker.tag}", why)
        self._fleet.order(Send(worker.pid, Kick.SHOW))

    def _note_crowd(self, event: Beats, worker: Handle) -> None:
        now, age = self._fleet.now, worker.age
        limit_s = self._fleet.generations.spec(worker.generation).timeout_s
        waits = event.full.get(worker.pid or 0)
        if waits is None or limit_s <= 0:
            self._crowds.pop(age, None)
            return
        requests = event.work[worker.pid or 0].requests if worker.pid in event.work else 0
        crowd = self._crowds.get(age)
        if crowd is None or crowd.requests != requests:
            self._crowds[age] = _Crowd(requests, now)
        elif waits and crowd.told_at is None and now - max(crowd.since, self._heartbeats.awake_since) > limit_s:
            crowd.told_at = now
            what = "worker serves nobody: all its threads are busy"
            self._ask(worker, f"{what} for_s={now - crowd.since:.0f} timeout_s={limit_s:g}", STUCK)
        elif waits and crowd.told_at is not None and now - crowd.told_at > limit_s and worker.asked is None:
            worker.asked = "stuck"
            text = fields(f"worker serves nobody, it is to be replaced {worker.tag}", for_s=f"{now - crowd.since:.0f}")
            self._fleet.log(Level.ERROR, text)
