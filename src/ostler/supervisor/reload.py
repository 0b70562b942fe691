"""One reload, from the accepted settings to its end: trial, canary, commit, roll-out; or the reason why it failed.

    accepted --> on trial --first worker READY--> canary (if canary_s) --passed--> committed, rolling out --> complete
                    |                                |                                   |
                    | no boot                        | died, worse                       | three fail
                    +---------> dropped <------------+                                   +--> the former is base again

In a roll-out three boots in a row that fail, or three workers that die soon after they were ready, bring the former
generation back; as long as its addresses were not emptied, so the last of its workers goes last (reconcile.py).

Each reload ends once, with ReloadEnded; one that a later one overtakes ends with that. A reload is a state, never a
loop: who boots and who goes follows from it in reconcile.py.

Rules for editing: every way out of a reload passes `_end`; nothing here starts or ends a process.
"""

from collections.abc import Mapping

from ostler.supervisor.actions import (
    ForgetGeneration,
    GenerationServes,
    Level,
    ReloadEnded,
    WorkersChanged,
)
from ostler.supervisor.canary import Canary
from ostler.supervisor.events import Work
from ostler.supervisor.fleet import Fleet
from ostler.supervisor.handle import Handle, State
from ostler.supervisor.policy import GOAL_SHARE_OF_PAGES, ROLLBACK_FAILURES, GenerationSpec


class Reload:
    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._generations = fleet.generations
        self._open: set[int] = set()  # generations whose reload has not ended: one on trial, one that is rolled out
        self._failures = 0  # boots of the committed generation in a row
        self._early_deaths = 0  # of its workers, since it was committed
        self.canary: Canary | None = None
        self.rolling_out = False
        """The committed generation has not replaced all others yet."""
        self.former: int | None = None
        """The generation that it replaces, and that can come back."""

    @property
    def under_way(self) -> bool:
        return self.rolling_out or self._generations.on_trial is not None

    # -- the beginning

    def accept(self, spec: GenerationSpec) -> None:
        """Settings were loaded, at the start or for a reload."""
        most = self._fleet.roster.pages // GOAL_SHARE_OF_PAGES
        if self._fleet.stop_asked:
            self._refuse(spec, "the server stops")
        elif spec.workers > most:
            self._refuse(spec, f"workers: {spec.workers} is above {most}, the room of this master; restart it")
        else:
            self._take(spec)

    def reject(self, why: str) -> None:
        """A reload that ended before it began."""
        self._fail(why, None)

    def _refuse(self, spec: GenerationSpec, why: str) -> None:
        self._fleet.order(ForgetGeneration(spec.number))
        self._fail(why, None)

    def _take(self, spec: GenerationSpec) -> None:
        first = self._generations.base is None
        replaced = self._generations.candidate
        if replaced is not None:
            text = f"generation {replaced} did not start yet; generation {spec.number} takes its place"
            self._fleet.log(Level.INFO, text)
            self._open.discard(replaced)
        old = self._generations.goal or None
        self.canary = None
        self._generations.accept(spec)
        if not first:
            self._open.add(spec.number)
        self.report_goal(old)

    # -- on trial

    def note_ready(self, worker: Handle) -> None:
        """It has just become READY."""
        number = worker.generation
        if number == self._generations.on_trial and self._generations.spec(number).canary_s > 0:
            self._begin_canary(worker)
        elif number == self._generations.candidate:
            self._commit()
        if number == self._generations.committed:
            self._failures = 0
            self._fleet.code_boots(number)

    def note_boot_failed(self, handle: Handle, summary: str) -> None:
        """A process of the generation on trial did not start."""
        number = handle.generation
        if self.canary is not None:
            self._drop(f"generation {number} did worse as canary (its mold did not start: {summary})")
            return
        self._drop(f"generation {number} did not start ({summary})")
        self._fleet.degrade(f"generation {number} did not start ({summary})")

    def note_lost(self, handle: Handle, cause: str) -> None:
        """A READY process of the generation on trial, canary or mold, is dead or hangs."""
        if not handle.is_mold:
            self._drop(f"generation {handle.generation} did worse as canary ({cause})")
        elif self.canary is not None:
            self._drop(f"generation {handle.generation} did worse as canary (its mold died: {cause})")
        else:
            self.note_boot_failed(handle, f"its mold died: {cause}")

    def note_beats(self) -> None:
        """The work of all is known anew."""
        if self.canary is not None:
            work = self._fleet.work
            self.canary.note(work.get(self.canary.age), self._work_of_base(work))
            complaint = self.canary.complaint()
            if complaint:
                self._drop(f"generation {self._generations.candidate} did worse as canary ({complaint})")

    def expire(self) -> None:
        """The canary's time may be over."""
        if self.canary is None or self.canary.until > self._fleet.now:
            return
        number, verdict = self._generations.candidate, self.canary.verdict()
        if verdict:
            self._drop(f"generation {number} did worse as canary ({verdict})")
        else:
            self._fleet.log(Level.INFO, f"canary passed gen={number} {self.canary.figures()}")
            self._commit()

    def _begin_canary(self, worker: Handle) -> None:
        fleet, for_s = self._fleet, self._generations.spec(worker.generation).canary_s
        self.canary = Canary(worker.age, fleet.now + for_s, self._work_of_base(fleet.work))
        fleet.log(Level.INFO, f"canary serves {worker.tag} for_s={for_s:g}")

    def _work_of_base(self, work: Mapping[int, Work]) -> dict[int, Work]:
        return {worker.age: work[worker.age] for worker in self._fleet.serving() if worker.age in work}

    def _drop(self, why: str) -> None:
        number = self._generations.candidate
        self.canary = None
        self._generations.drop_candidate()
        self._fail(why, number)

    # -- rolling out

    def _commit(self) -> None:
        former, old = self._generations.committed, self._generations.goal
        self.canary = None
        self._generations.commit()
        self._fleet.boot.succeeded()
        self._fleet.degraded = ""
        self._failures = self._early_deaths = 0
        number = self._generations.committed
        assert number is not None
        self._open &= {number}
        self.former = former
        self.rolling_out = bool(self._open)
        self._fleet.order(GenerationServes(number))
        if former is not None:
            pace = max(1, self._generations.spec(number).surge)
            how = "one at a time" if pace == 1 else f"up to {pace} at a time"
            self._fleet.log(Level.INFO, f"generation {number} starts; its workers replace those before, {how}")
            self.report_goal(old)

    def note_rollout_failure(self, summary: str) -> bool:
        """A process of the committed generation did not start. Returns whether the generation was taken back."""
        self._failures += 1
        why = f"{self._failures} of its workers in a row did not start; the last: {summary}"
        return self._failures >= ROLLBACK_FAILURES and self._take_back(why)

    def note_early_death(self, cause: str) -> None:
        """A worker of the committed generation died soon after it was ready. That it was ready does not excuse it."""
        self._early_deaths += 1
        if self._early_deaths >= ROLLBACK_FAILURES:
            why = f"{self._early_deaths} of its workers died soon after they were ready; the last: {cause}"
            self._take_back(why)

    def note_last(self, number: int) -> None:
        """The last worker of this generation is told to empty the addresses that only it has: it cannot come back."""
        if number == self.former:
            self.former = None

    def report(self) -> None:
        """After every fact: the roll-out may be complete, or have nothing to come back to."""
        number, serving = self._generations.committed, self._fleet.serving()
        pure = all(handle.generation == number for handle in self._fleet.roster if handle.live)
        if not self.rolling_out or not pure or len(serving) < self._generations.goal:
            return
        assert number is not None
        self.rolling_out, self.former = False, None
        text = f"reload complete: generation {number} serves workers={len(serving)}"
        self._fleet.log(Level.INFO, text)
        self._end(number, succeeded=True, text=text)

    def _former_lives(self) -> bool:
        roster = self._fleet.roster
        ready = roster.workers(State.READY) + roster.molds(State.READY)
        return any(handle.generation == self.former for handle in ready)

    def _take_back(self, why: str) -> bool:
        """If there is a roll-out, and something to come back to."""
        number, former, old = self._generations.committed, self.former, self._generations.goal
        if not self.rolling_out or former is None or not self._former_lives():
            return False
        self._generations.take_back(former)
        self.rolling_out, self.former, self._failures = False, None, 0
        self._fleet.boot.succeeded()
        self._fleet.order(GenerationServes(former))
        self._fail(f"generation {number} was taken back ({why})", number)
        self._fleet.degrade(f"generation {number} was taken back ({why})")
        self.report_goal(old)
        return True

    # -- the end

    def stop(self) -> None:
        """The server will stop: nothing is replaced any more."""
        for number in sorted(self._open):
            self._fail("the server stops", number)
        self._generations.drop_candidate()
        self.canary, self.rolling_out, self.former = None, False, None

    def report_goal(self, old: int | None) -> None:
        new = self._generations.goal
        if new != old:
            self._fleet.order(WorkersChanged(new, old))

    def _fail(self, why: str, number: int | None) -> None:
        keeps = self._generations.committed
        stays = keeps is not None and not self._fleet.stop_asked
        text = f"reload failed: {why}" + (f"; generation {keeps} keeps serving" if stays else "")
        self._fleet.log(Level.ERROR, text)
        self._end(number, succeeded=False, text=text)

    def _end(self, number: int | None, *, succeeded: bool, text: str) -> None:
        if number is None or number in self._open:
            self._open.discard(number or 0)
            self._fleet.order(ReloadEnded(succeeded, self._generations.committed, text, number))
