"""The comparison of the roster with the goal: which boots begin, which end, and who retires. It runs after every fact.

All policy about numbers of workers is here. `serving` are READY workers, a canary left out; they, boots of the base and
what is on trial never are more than the goal plus the surge:

    serving + booting(base)           up to the goal; beyond it by the surge while somebody has to be replaced, and by
                                      what an embedder wants for now (extras.py)
    on trial (booting, or a canary)   at most one, and only in place of that surge
    a ready worker is told to retire  while more than the goal serve, or as many may be missing as the pace says

base is the committed generation (the first candidate, before there is one); a worker is stale when it is of another
generation, has asked to be replaced, or was forked by a mold that another has replaced. A reload goes at the pace of
its settings, everything else one worker at a time. Processes in any other state than BOOTING and READY are leaving:
they count for nothing, they only have to be reaped. Molds are molds.py's.

Rules for editing: idempotent (a second run on the same roster orders nothing); pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ostler.supervisor import deadlines
from ostler.supervisor.actions import Fork, OrderRetire
from ostler.supervisor.extras import Extras
from ostler.supervisor.fleet import Fleet
from ostler.supervisor.handle import Handle, State
from ostler.supervisor.molds import Molds
from ostler.supervisor.policy import GenerationSpec
from ostler.supervisor.refork import Refork
from ostler.supervisor.reload import Reload


@dataclass(frozen=True, slots=True)
class Pace:
    """surge: workers beyond the goal, unavailable: workers missing of it, while others are replaced; not both 0."""

    surge: int
    unavailable: int


def pace_of(spec: GenerationSpec, goal: int, *, reload: bool) -> Pace:
    """How fast workers are replaced: as the settings say, or one at a time. A single worker never makes room."""
    if goal < 2:
        return Pace(max(1, spec.surge), 0)
    if reload and (spec.surge or spec.max_unavailable):
        return Pace(spec.surge, spec.max_unavailable)
    return Pace(1, 0) if spec.surge or not spec.max_unavailable else Pace(0, 1)


class Reconciler:
    """Changes the fleet's roster with the orders it gives."""

    def __init__(self, fleet: Fleet, molds: Molds, reload: Reload, refork: Refork, extras: Extras) -> None:
        self._fleet = fleet
        self._roster = fleet.roster
        self._generations = fleet.generations
        self._molds = molds
        self._reload = reload
        self._refork = refork
        self._extras = extras

    def reconcile(self) -> None:
        if self._generations.base is None:
            return
        self._drop_unwanted_boots()
        self._molds.keep(self._reload.former)
        self._refork.keep()
        self._retire_surplus()
        self._drop_surplus_boots()
        self._start_boots()
        self._start_trial()

    # -- what is

    def _base(self) -> int:
        base = self._generations.base
        assert base is not None
        return base

    def _booting(self) -> list[Handle]:
        return self._fleet.booting(self._generations.base)

    def _stale(self) -> list[Handle]:
        return [handle for handle in self._fleet.serving() if self._fleet.stale(handle)]

    def _goal(self) -> int:
        """With what an embedder wants beyond it for now."""
        return self._generations.goal + self._extras.count

    def _pace(self) -> Pace:
        spec = self._generations.spec(self._base())
        pace = pace_of(spec, self._generations.goal, reload=self._reload.rolling_out)
        return replace(pace, surge=max(pace.surge, self._extras.giving_way))

    def _wanted(self) -> int:
        """The goal; less the place of what is on trial, where there may be no surge."""
        trial, goal = self._generations.on_trial, self._goal()
        if trial is None or pace_of(self._generations.spec(trial), goal, reload=True).surge:
            return goal
        takes_place = bool(self._on_trial()) or self._can_start_trial(trial)
        return goal - 1 if takes_place else goal

    def _on_trial(self) -> list[Handle]:
        trial = self._generations.on_trial
        return [handle for handle in self._roster if handle.live and handle.generation == trial]

    def _replaces(self) -> bool:
        """Whether stale workers may be replaced now: not beside a trial, nor by code that is about to be replaced."""
        return self._generations.on_trial is None and not self._molds.is_outdated(self._base())

    def _useful_boots(self) -> int:
        """How many workers of the base may boot: for those that are missing, and for stale ones within the surge."""
        serving, wanted = len(self._fleet.serving()), self._wanted()
        missing = max(0, wanted - serving)
        if not self._replaces():
            return missing
        fresh = serving - len(self._stale())
        return max(missing, min(wanted - fresh, wanted + self._pace().surge - serving))

    # -- what should go

    def _drop_unwanted_boots(self) -> None:
        """Boots of generations that were dropped or overtaken."""
        wanted = (self._generations.base, self._generations.on_trial)
        for handle in self._roster.workers(State.BOOTING):
            if handle.generation not in wanted:
                self._fleet.order(*deadlines.cancel_boot(handle, self._fleet.now))

    def _retire_surplus(self) -> None:
        """More serve than should: stale ones go first, of these the one whose successor serves, then the oldest."""
        serving = self._fleet.serving()
        newest = {handle.slot: handle.age for handle in serving}
        serving.sort(key=lambda h: (not self._fleet.stale(h), newest[h.slot] == h.age, h.age))
        leaving = serving[: max(0, self._surplus(), self._early())]
        for handle in leaving:
            if self._refork.is_chosen(handle):
                spec = self._generations.spec(handle.generation)
                self._fleet.order(*deadlines.promote(handle, spec, self._fleet.now))
            else:
                self.retire(handle, leaving)

    def _surplus(self) -> int:
        return len(self._fleet.serving()) - self._wanted()

    def _early(self) -> int:
        """How many stale workers go before their successors are ready: as many as may be missing, if these can boot.
        Somebody always stays, and of a generation that may have to come back one, as long as there is a place.
        """
        if not self._replaces() or not self._attempts():
            return 0
        stale, serving, pace = self._stale(), len(self._fleet.serving()), self._pace()
        count = min(len(stale), self._surplus() + pace.unavailable, serving - 1)
        former = sum(handle.generation == self._reload.former for handle in stale)
        in_the_way = pace.surge == 0 and serving - len(stale) >= self._wanted() - 1
        return min(count, len(stale) - 1) if former and not in_the_way else count

    def retire(self, handle: Handle, leaving: Sequence[Handle] = ()) -> None:
        """Order a worker that serves to go, and to empty what nobody will accept on any more. leaving: who goes now."""
        number, goal = handle.generation, self._goal()
        stay = self._roster.live_besides(handle) if goal else []
        last = all(other.generation != number for other in stay)
        if stay and last:
            last = number != self._generations.base  # it will have workers again
            self._reload.note_last(number)
        given_up = self._roster.is_given_up(handle.slot, [handle, *leaving], goal)
        assert handle.pid is not None, handle
        order = OrderRetire(handle.pid, last_of_generation=last, last_of_slot=given_up, nobody_stays=not stay)
        self._fleet.order(*deadlines.retire(handle, self._generations.spec(number), order, self._fleet.now))

    def _drop_surplus_boots(self) -> None:
        """A boot too many: after TTOU, or a replacement that has to make room for the candidate."""
        youngest_first = self._booting()[::-1]
        for handle in youngest_first[: max(0, len(youngest_first) - self._useful_boots())]:
            self._fleet.order(*deadlines.cancel_boot(handle, self._fleet.now))

    # -- what should come

    def _start_boots(self) -> None:
        """Fill the gaps, and replace stale workers: an old one can go when its successor serves."""
        missing = self._wanted() - len(self._fleet.serving()) - len(self._booting())
        count = min(self._useful_boots() - len(self._booting()), self._attempts())
        for number in range(count):
            if number < missing:
                self._start(self._base(), self._roster.free_slot(beside=self._generations.on_trial))
            else:
                self._start(self._base(), self._slot_to_take_over(self._stale()))

    def _start_trial(self) -> None:
        trial = self._generations.on_trial
        if trial is None or self._on_trial() or not self._can_start_trial(trial):
            return
        serving = self._fleet.serving()
        if len(serving) + len(self._booting()) > self._wanted():
            return
        alone = self._wanted() < self._goal()  # in the place of one that has gone
        self._start(trial, self._roster.free_slot() if alone else self._slot_to_take_over(serving))

    def _slot_to_take_over(self, candidates: list[Handle]) -> int:
        """The slot of the oldest that has no successor yet."""
        held = [handle.slot for handle in self._roster if handle.live]
        slots = (handle.slot for handle in candidates if held.count(handle.slot) == 1)
        return next(slots, self._roster.free_slot())

    def _can_start_trial(self, trial: int) -> bool:
        return self._fleet.fork.open(self._fleet.now) and self._molds.can_fork(trial) and self._roster.free_pages > 0

    def _attempts(self) -> int:
        """How many boots of the base generation may begin now. One at a time while boots fail."""
        if not self._fleet.may_start() or not self._molds.can_fork(self._base()):
            return 0
        if self._fleet.boot.failures:
            return 0 if self._booting() else 1
        return self._roster.pages

    def _start(self, generation: int, slot: int) -> None:
        if not self._roster.free_pages:
            return  # pages come back as processes are reaped, and each death comes by here
        now, spec = self._fleet.now, self._generations.spec(generation)
        mold = self._molds.current(generation) if spec.preload else None
        handle = self._roster.add(slot, generation, now)
        assert handle.page is not None
        if mold is None:
            deadlines.begin_boot(handle, spec, now)
            self._fleet.order(Fork(handle.age, slot, generation, handle.page))
        else:
            handle.mold = mold.age
            deadlines.await_fork(handle, now)
            self._fleet.order(Fork(handle.age, slot, generation, handle.page, mold.pid))
