"""How the server stops: a lame duck first, if the settings ask for one, then everybody is told to finish, or to leave.

A second TERM shortly after the first is the same stop (pkill and systemd may both send one); a later one ends the lame
duck.

Rules for editing: a stop can be asked for at any time, twice, and more urgently than before; each has to end the server
within its patience, so nothing is started once `fleet.stopping` is set.
"""

from ostler.supervisor import deadlines
from ostler.supervisor.actions import CloseListeners, LameDuck, Level
from ostler.supervisor.fleet import Fleet
from ostler.supervisor.handle import State
from ostler.supervisor.molds import Molds
from ostler.supervisor.policy import QUIT_S, SAME_STOP_S
from ostler.supervisor.reload import Reload


class Stop:
    def __init__(self, fleet: Fleet, molds: Molds, reload: Reload) -> None:
        self._fleet = fleet
        self._molds = molds
        self._reload = reload
        self._asked_at = 0.0
        self.until: float | None = None
        """When the lame duck ends."""

    def ask(self, *, quick: bool, lame_duck: bool) -> None:
        """lame_duck: whether there may be one."""
        first = not self._fleet.stop_asked
        self._fleet.stop_asked = True
        for_s, now = self._patience_s(), self._fleet.now
        if first:
            self._asked_at = now
            self._reload.stop()
        elif self.until is not None and lame_duck and not quick and now - self._asked_at < SAME_STOP_S:
            return
        if first and lame_duck and not quick and for_s > 0 and self._fleet.serving():
            self.until = now + for_s
            self._fleet.log(Level.INFO, f"lame duck: readiness fails, everything is served for_s={for_s:g}")
            self._fleet.order(LameDuck(for_s))
        else:
            self.begin(quick=quick)

    def expire(self) -> None:
        if self.until is not None and self.until <= self._fleet.now:
            self.begin(quick=False)

    def begin(self, *, quick: bool) -> None:
        """Nothing starts any more. A second time: those who finish have to leave, if it is `quick` now."""
        fleet = self._fleet
        first = not fleet.stopping
        fleet.stopping, self.until = True, None
        serving = fleet.roster.workers(State.READY)
        if quick or (first and not serving):
            fleet.order(CloseListeners())
        for worker in fleet.roster.workers(State.BOOTING, State.READY, State.RETIRING):
            if quick:
                fleet.order(*deadlines.quit_(worker, "quick stop", fleet.now))
            elif worker.state is State.BOOTING:
                fleet.order(*deadlines.cancel_boot(worker, fleet.now))
                worker.deadline = fleet.now + QUIT_S  # not that of a fork: its mold leaves too
            elif first:
                spec = fleet.generations.spec(worker.generation)
                fleet.order(*deadlines.stop(worker, spec, fleet.now))
        fleet.order(*self._molds.let_go_all())

    def _patience_s(self) -> float:
        committed = self._fleet.generations.committed
        return 0.0 if committed is None else self._fleet.generations.spec(committed).lame_duck_s
