"""The molds: which generations need one, which one forks, which one is made anew, and which have to go.

A generation that preloads has at most one READY mold, its current one, and at most one that boots. A mold is made when
there is none, or when the code of the current one is not that on disk any more (`renew`). Until its successor is ready
the current one forks on. A mold that died is made anew: it loads what lies on disk then, and its workers serve on.

Rules for editing: molds are no capacity and have no page; nothing here decides about numbers of workers.
"""

from ostler.logline import fields
from ostler.supervisor import deadlines
from ostler.supervisor.actions import Action, Level, StartMold
from ostler.supervisor.fleet import Fleet
from ostler.supervisor.handle import Handle, State
from ostler.supervisor.policy import CHANGE_SETTLES_S


class Molds:
    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.calm_at = 0.0
        """When a mold for changed code may be made."""

    # -- what is

    def current(self, generation: int | None) -> Handle | None:
        """The one that forks: of several, the one that was ready last."""
        ready = [mold for mold in self._fleet.roster.molds(State.READY) if mold.generation == generation]
        return max(ready, key=lambda mold: (mold.ready_at or 0.0, mold.age), default=None)

    def making(self, generation: int | None) -> Handle | None:
        booting = [mold for mold in self._fleet.roster.molds(State.BOOTING) if mold.generation == generation]
        return booting[-1] if booting else None

    def can_fork(self, generation: int) -> bool:
        """Whether a worker of this generation can be started: by its mold, or by the master if it has none."""
        return not self._fleet.generations.spec(generation).preload or self.current(generation) is not None

    def is_outdated(self, generation: int) -> bool:
        """Whether it is no use to replace workers now: a newer mold is to come."""
        current = self.current(generation)
        return self._fleet.generations.spec(generation).preload and current is not None and current.renew

    # -- facts

    def note_ready(self, mold: Handle) -> None:
        """It has just become READY: if it takes the place of another, workers of that one are to be replaced."""
        fleet = self._fleet
        others = [each for each in fleet.roster.molds(State.READY) if each.generation == mold.generation]
        if mold.promoted or len(others) > 1:
            for worker in fleet.roster.workers(State.BOOTING, State.READY):
                if worker.generation == mold.generation and worker.mold != mold.age:
                    worker.outdated = True

    def note_changed(self, number: int, *, again: bool) -> None:
        """A worker of this generation says that the code on disk has changed. A mold that boots may have read it before
        the change or after, so it is made anew, too: at once if the worker had said so before (`again`), for then it is
        news; else when it is ready, for several workers see the same change, one after the other.
        """
        making, now = self.making(number), self._fleet.now
        self.calm_at = now + CHANGE_SETTLES_S
        if making is not None and again:
            self._fleet.order(*deadlines.quit_(making, deadlines.NOT_NEEDED, now))
        for mold in self._fleet.roster.molds(State.BOOTING, State.READY) + self._promoted():
            if mold.generation == number:
                mold.renew = True

    def note_unanswered(self, worker: Handle) -> None:
        """Its mold hangs in the fork: nothing will come of it, so it goes, and another is made."""
        mold = self._fleet.roster.get(worker.mold)
        if mold is not None and mold.is_mold and mold.state is State.READY:
            self._fleet.order(*deadlines.dump(mold, deadlines.FORK_TIMEOUT, self._fleet.now))

    def note_declined(self, mold: Handle, summary: str) -> None:
        fleet = self._fleet
        if mold.state is not State.BOOTING:
            return
        fleet.generations.preload_no_more(mold.generation)
        fleet.order(*deadlines.quit_(mold, "preloading declined", fleet.now))
        text = fields(f"mold declines, workers load the application by themselves {mold.tag}", reason=summary)
        fleet.log(Level.WARNING, text)

    def _promoted(self) -> list[Handle]:
        return [handle for handle in self._fleet.roster.workers(State.RETIRING) if handle.promoted]

    # -- what should be

    def keep(self, former: int | None) -> None:
        """Let go what is not needed, and make what is missing. former: the generation that a roll-out replaces."""
        generations = self._fleet.generations
        made = [number for number in (generations.base, generations.on_trial) if number is not None]
        for mold in self._fleet.roster.molds(State.BOOTING, State.READY):
            if not self._needed(mold, made, former):
                self._fleet.order(*deadlines.quit_(mold, deadlines.NOT_NEEDED, self._fleet.now))
        for number in made:
            if self._missing(number) and self._may_make(number):
                self._make(number)

    def let_go_all(self) -> list[Action]:
        """The server stops."""
        orders: list[Action] = []
        for mold in self._fleet.roster.molds(State.BOOTING, State.READY):
            orders += deadlines.quit_(mold, deadlines.NOT_NEEDED, self._fleet.now)
        return orders

    def _needed(self, mold: Handle, made: list[int], former: int | None) -> bool:
        if mold.generation not in made and mold.generation != former:
            return False
        if not self._fleet.generations.spec(mold.generation).preload:
            return False
        if mold.state is State.READY:
            return mold is self.current(mold.generation)
        return mold.generation in made and self._missing(mold.generation)

    def _missing(self, number: int) -> bool:
        current = self.current(number)
        return self._fleet.generations.spec(number).preload and (current is None or current.renew)

    def _may_make(self, number: int) -> bool:
        if self.making(number) is not None or (self.current(number) is not None and self._fleet.now < self.calm_at):
            return False
        if number == self._fleet.generations.on_trial:
            return self._fleet.fork.open(self._fleet.now)
        return self._fleet.may_start() and self._fleet.generations.goal > 0

    def _make(self, number: int) -> None:
        fleet = self._fleet
        mold = fleet.roster.add_mold(number, fleet.now)
        deadlines.begin_boot(mold, fleet.generations.spec(number), fleet.now)
        fleet.order(StartMold(mold.age, number))
