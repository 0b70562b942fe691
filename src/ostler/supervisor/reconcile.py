"""The comparison of the roster with the goal: which boots begin, which end, and who retires. It runs after every fact.

All policy about numbers of workers is here:

    ready + booting(base)             never above the goal, plus the surge while somebody has to be replaced
    booting(candidate)                at most one, and only in place of that surge
    a ready worker is told to retire  only while more than the goal are ready

base is the committed generation (the first candidate, before there is one); a worker is stale when it is of another
generation or has asked to be replaced. Processes in any other state than BOOTING and READY are leaving: they count for
nothing, they only have to be reaped.

Rules for editing: idempotent (a second run on the same roster orders nothing); pure.
"""

from ostler.supervisor import deadlines
from ostler.supervisor.actions import Action, Fork
from ostler.supervisor.generations import Generations
from ostler.supervisor.handle import Handle, State
from ostler.supervisor.policy import SURGE, Backoff
from ostler.supervisor.roster import Roster


class Reconciler:
    """Reads the supervisor's roster, generations and back-offs, and changes the roster with the orders it gives."""

    def __init__(
        self, roster: Roster, generations: Generations, boot: Backoff, early_death: Backoff, fork: Backoff
    ) -> None:
        self._roster = roster
        self._generations = generations
        self._boot = boot
        self._backoffs = (boot, early_death, fork)
        self._fork = fork
        self._now = 0.0
        self._orders: list[Action] = []

    def reconcile(self, now: float) -> list[Action]:
        self._now = now
        if self._generations.base is not None:
            self._drop_unwanted_boots()
            self._retire_surplus()
            self._drop_surplus_boots()
            self._fill_gaps()
            self._replace_one()
        orders, self._orders = self._orders, []
        return orders

    # -- what is

    def _stale(self, handle: Handle) -> bool:
        return handle.generation != self._generations.base or handle.asked is not None

    def _ready(self) -> list[Handle]:
        return self._roster.in_state(State.READY)

    def _booting(self, generation: int | None) -> list[Handle]:
        return [h for h in self._roster.in_state(State.BOOTING) if h.generation == generation]

    def _missing(self) -> int:
        """Workers that neither serve nor boot to serve; below 0 while one boots to replace another."""
        return self._generations.goal - len(self._ready()) - len(self._booting(self._generations.base))

    # -- what should go

    def _drop_unwanted_boots(self) -> None:
        """Boots of generations that were dropped or overtaken."""
        wanted = (self._generations.base, self._generations.on_trial)
        for handle in self._roster.in_state(State.BOOTING):
            if handle.generation not in wanted:
                self._orders += deadlines.cancel_boot(handle, self._now)

    def _retire_surplus(self) -> None:
        """More serve than should: stale ones go first, of these the one whose successor serves, then the oldest."""
        ready = self._ready()
        newest = {handle.slot: handle.age for handle in ready}
        ready.sort(key=lambda h: (not self._stale(h), newest[h.slot] == h.age, h.age))
        for handle in ready[: max(0, len(ready) - self._generations.goal)]:
            spec = self._generations.spec(handle.generation)
            stay = self._roster.live_besides(handle) if self._generations.goal else []
            self._orders += deadlines.retire(handle, spec, stay, self._now)

    def _drop_surplus_boots(self) -> None:
        """A boot too many: after TTOU, or a replacement that has to make room for the candidate."""
        replacing = self._generations.on_trial is None and any(self._stale(handle) for handle in self._ready())
        surplus = -self._missing() - (SURGE if replacing else 0)
        youngest_first = self._booting(self._generations.base)[::-1]
        for handle in youngest_first[: max(0, surplus)]:
            self._orders += deadlines.cancel_boot(handle, self._now)

    # -- what should come

    def _fill_gaps(self) -> None:
        for _ in range(min(self._missing(), self._attempts())):
            self._start(self._generations.base, self._roster.free_slot())

    def _replace_one(self) -> None:
        """Start one more than the goal, so that an old worker can go when it serves."""
        missing, serving = self._missing(), self._ready()
        trial = self._generations.on_trial
        if trial is not None:
            if missing >= 0 and not self._booting(trial) and self._fork.open(self._now):
                self._start(trial, self._slot_to_take_over(serving))
            return
        stale = [handle for handle in serving if self._stale(handle)]
        if stale and missing == 0 and self._attempts() > 0:
            self._start(self._generations.base, self._slot_to_take_over(stale))

    def _slot_to_take_over(self, candidates: list[Handle]) -> int:
        """The slot of the oldest that has no successor yet."""
        held = [handle.slot for handle in self._roster if handle.live]
        slots = (handle.slot for handle in candidates if held.count(handle.slot) == 1)
        return next(slots, self._roster.free_slot())

    def _attempts(self) -> int:
        """How many boots of the base generation may begin now. One at a time while boots fail."""
        if not all(backoff.open(self._now) for backoff in self._backoffs):
            return 0
        if self._boot.failures:
            return 0 if self._booting(self._generations.base) else 1
        return self._roster.pages

    def _start(self, generation: int | None, slot: int) -> None:
        if generation is None or not self._roster.free_pages:
            return  # pages come back as processes are reaped, and each death comes by here
        handle = self._roster.add(slot, generation, self._now)
        deadlines.begin_boot(handle, self._generations.spec(generation), self._now)
        self._orders.append(Fork(handle.age, slot, generation, handle.page))
