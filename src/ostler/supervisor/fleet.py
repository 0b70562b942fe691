"""What all parts of the supervisor look at: the processes, the generations, the back-offs, the time, the orders so far.

Rules for editing: no decision here; each part (reload.py, molds.py, refork.py, reconcile.py, stop.py) has its own rules
and changes what is here only by them.
"""

from ostler.supervisor.actions import Action, Level, Log
from ostler.supervisor.events import Work
from ostler.supervisor.generations import Generations
from ostler.supervisor.handle import Handle, State
from ostler.supervisor.policy import boot_backoff, early_death_backoff, fork_backoff
from ostler.supervisor.roster import Roster


class Fleet:
    """Times are seconds of one monotonic clock."""

    def __init__(self, pages: int) -> None:
        self.roster = Roster(pages)
        self.generations = Generations()
        self.boot = boot_backoff()
        self.early_death = early_death_backoff()
        self.fork = fork_backoff()
        self.work: dict[int, Work] = {}
        """What each worker has done, by age, as of the last Beats."""
        self.degraded = ""
        """Why the code on disk is not trusted, until it is seen to boot again."""
        self.stop_asked = False
        """No reload, no refork, no recycling any more."""
        self.stopping = False
        """Workers were told to stop: nothing is started any more."""
        self.now = 0.0
        self._orders: list[Action] = []

    # -- orders

    def order(self, *actions: Action) -> None:
        self._orders += actions

    def log(self, level: Level, text: str) -> None:
        self._orders.append(Log(level, text))

    def take_orders(self) -> list[Action]:
        orders, self._orders = self._orders, []
        return orders

    # -- what is

    def may_start(self) -> bool:
        """No back-off is under way."""
        return all(backoff.open(self.now) for backoff in (self.boot, self.early_death, self.fork))

    def serving(self) -> list[Handle]:
        """READY workers but a canary, oldest first: the capacity that there is."""
        trial = self.generations.on_trial
        return [handle for handle in self.roster.workers(State.READY) if handle.generation != trial]

    def booting(self, generation: int | None) -> list[Handle]:
        """BOOTING workers, oldest first."""
        return [handle for handle in self.roster.workers(State.BOOTING) if handle.generation == generation]

    def stale(self, handle: Handle) -> bool:
        """Whether this READY worker is to be replaced."""
        if self.stop_asked:
            return False  # everyone is good enough for what is left
        outlived = handle.asked is not None or handle.outdated or handle.promoted or handle.unwanted
        return handle.generation != self.generations.base or outlived

    # -- code

    def code_boots(self, generation: int) -> None:
        """A process of the generation that serves has loaded the code: what was held back goes on."""
        if self.boot.failures:
            self.log(Level.INFO, f"generation {generation} boots again failed_attempts={self.boot.failures}")
        if self.degraded:
            self.log(Level.INFO, f"code boots with the settings of generation {generation}; no longer degraded")
        self.degraded = ""
        self.boot.succeeded()

    def degrade(self, why: str) -> None:
        """Without a mold, a worker that is replaced imports what lies on disk, and that does not boot."""
        base = self.generations.base
        if any(mold.generation == base for mold in self.roster.molds(State.READY)):
            return
        self.degraded = why
        self.log(Level.WARNING, "degraded: a worker that is replaced now imports the code that did not start")
