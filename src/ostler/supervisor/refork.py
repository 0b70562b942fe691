"""Refork: a warm worker becomes the mold, and the others are replaced from it, so that what it has cached is shared.

    idle --enough requests--> chosen (its replacement boots) --> promoted (it finishes) --MoldReady--> spreading
                                   |                                 |                                    |
                                   +--> refused, the former mold stays <--+                              idle

Only while nothing else goes on: no reload, nobody missing, no other mold that spreads. That workers are recycled does
not hold it back, and one that is to be recycled for its requests or its age may become the mold. The current mold forks
until the new one is ready, so a refork that fails costs one worker's restart.

Rules for editing: who boots and who retires is reconcile.py's; it asks `is_chosen` when a worker is to go.
"""

from typing import Final

from ostler.logline import fields
from ostler.supervisor.actions import Level, MeasureMemory
from ostler.supervisor.events import RetireReason
from ostler.supervisor.fleet import Fleet
from ostler.supervisor.handle import Handle, State
from ostler.supervisor.molds import Molds
from ostler.supervisor.reload import Reload

# Reasons to be replaced that do not speak against a worker as the mold.
_HARMLESS: Final[tuple[RetireReason | None, ...]] = (None, "max_requests", "max_worker_age")


class Refork:
    def __init__(self, fleet: Fleet, molds: Molds, reload: Reload) -> None:
        self._fleet = fleet
        self._molds = molds
        self._reload = reload
        self._generation: int | None = None  # whose attempts are counted
        self._attempts = 0
        self._counted: dict[int, int] = {}  # requests, by age, that belong to attempts before
        self._chosen: int | None = None  # its age, until it is a mold
        self._spreading = False

    # -- facts

    def note_beats(self) -> None:
        """The work of all is known anew: somebody may have done enough."""
        base = self._fleet.generations.committed
        if base != self._generation:
            self._generation, self._attempts, self._counted = base, 0, {}
        threshold = self._threshold()
        if not threshold or not self._is_calm():
            return
        workers = [worker for worker in self._fleet.serving() if worker.asked in _HARMLESS and not worker.unwanted]
        warmest = max(workers, key=self._requests, default=None)
        if warmest is not None and self._requests(warmest) >= threshold:
            self._begin(warmest)

    def note_ready(self, mold: Handle) -> None:
        """It has just become a READY mold."""
        if mold.age == self._chosen:
            self._chosen = None
            self._spreading = mold.generation == self._fleet.generations.committed

    def note_refused(self, handle: Handle, reason: str) -> None:
        """The chosen one cannot become a mold, is dead, or takes too long."""
        if handle.age == self._chosen:
            if not self._fleet.stop_asked:  # else it leaves as all do
                self._fleet.log(Level.WARNING, fields(f"refork refused {_tag(handle)}", reason=reason))
            handle.promoted = False
            self._end()

    def is_chosen(self, handle: Handle) -> bool:
        """Whether this worker is to become the mold instead of retiring."""
        return handle.age == self._chosen and handle.state is State.READY

    # -- after every fact

    def keep(self) -> None:
        """Something of more weight may have come between."""
        chosen = self._fleet.roster.get(self._chosen)
        waits = chosen is not None and chosen.state is State.READY
        if waits and (self._reload.under_way or self._fleet.stop_asked or not self._fleet.generations.goal):
            assert chosen is not None
            chosen.promoted = False
            self._chosen = None  # no attempt was made

    def report(self) -> None:
        """The new mold's workers may have replaced all others."""
        fleet = self._fleet
        if not self._spreading:
            return
        if fleet.stop_asked or self._generation != fleet.generations.base:
            self._spreading = False
            return
        serving = fleet.serving()
        spread = not any(worker.outdated for worker in serving + fleet.booting(self._generation))
        if spread and len(serving) >= fleet.generations.goal:
            self._spreading = False
            self._end()
            fleet.order(MeasureMemory(f"refork complete gen={self._generation} workers={len(serving)}", self._pids()))

    # -- rules

    def _threshold(self) -> int:
        """Requests that the next attempt needs; 0: there will be none."""
        if self._generation is None:
            return 0
        steps = self._fleet.generations.spec(self._generation).refork_after
        return steps[min(self._attempts, len(steps) - 1)] if steps else 0

    def _requests(self, worker: Handle) -> int:
        work = self._fleet.work.get(worker.age)
        return 0 if work is None else work.requests - self._counted.get(worker.age, 0)

    def _is_calm(self) -> bool:
        fleet, base = self._fleet, self._generation
        if base is None or fleet.stop_asked or self._reload.under_way or self._spreading or self._chosen is not None:
            return False
        spec, serving, current = fleet.generations.spec(base), fleet.serving(), self._molds.current(base)
        if not spec.preload or current is None or current.renew or self._molds.making(base) is not None:
            return False
        full = len(serving) >= fleet.generations.goal > 0  # some of them may wait to be recycled: there always is one
        settled = all(worker.generation == base and not worker.outdated for worker in serving)
        return full and settled and fleet.may_start()

    def _begin(self, worker: Handle) -> None:
        worker.promoted = True
        self._chosen = worker.age
        text = f"refork begins {_tag(worker)} requests={self._requests(worker)}"
        self._fleet.order(MeasureMemory(text, self._pids()))

    def _end(self) -> None:
        """The attempt is over: the next one needs as many requests from now on as its threshold says."""
        self._chosen = None
        self._attempts += 1
        self._counted = {worker.age: self._fleet.work[worker.age].requests for worker in self._known()}

    def _known(self) -> list[Handle]:
        return [worker for worker in self._fleet.serving() if worker.age in self._fleet.work]

    def _pids(self) -> tuple[int, ...]:
        """The generation's mold and workers."""
        current = self._molds.current(self._generation)
        living = ([] if current is None else [current]) + self._fleet.serving()
        return tuple(handle.pid for handle in living if handle.pid is not None)


def _tag(handle: Handle) -> str:
    return f"gen={handle.generation} pid={handle.pid}"
