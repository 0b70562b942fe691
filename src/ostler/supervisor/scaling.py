"""How many workers there should be: what the settings say, what the operator asks for, and what the load asks for.

With `workers_max` the goal follows the load, between `workers_min` and `workers_max`:

    up      requests wait and the workers are busy, or they are as good as full, two looks in a row: one worker more;
            the next one when that one is ready and the load is still there two looks later
    down    nobody waits, and with one worker less the others would still have room, for CALM_S without a break: one
            worker less, which retires as any other

Between the two there is a wide gap, so a load that stays the same is answered by a number that stays the same. Where an
worker was missed soon after it was taken away, the calm must last twice as long before that is tried again.

Nothing is scaled beside a reload, a trial, a stop or degraded code, nor while anything boots or backs off: numbers that
change for two reasons at once explain nothing, and code that does not start is not started more often.

Rules for editing: pure; only the goal is moved here, who boots and who retires follows in reconcile.py.
"""

from typing import Final

from ostler.logline import fields
from ostler.supervisor.actions import Level
from ostler.supervisor.events import CapacityAsked, LoadSeen
from ostler.supervisor.fleet import Fleet
from ostler.supervisor.handle import State
from ostler.supervisor.policy import GOAL_SHARE_OF_PAGES
from ostler.supervisor.reload import Reload

BUSY: Final = 0.8
"""With this share of the capacity in use, requests that wait do so for want of workers."""
FULL: Final = 0.95
"""Nobody waits at the moment of the look, but will."""
ROOM: Final = 0.6
"""The share that may be in use with one worker less."""
WAIT_S: Final = 0.05
"""A request that has waited for so long has missed its turn; less is what a thread takes to come round."""
LOOKS: Final = 2
"""Looks that have to agree before a worker is added: about as many seconds."""
CALM_S: Final = 60.0
"""A worker costs little while it is idle, and a boot costs much: they go slowly."""
MOST_CALM_S: Final = 960.0


class Scaling:
    """Moves the goal."""

    def __init__(self, fleet: Fleet, reload: Reload) -> None:
        self._fleet = fleet
        self._generations = fleet.generations
        self._reload = reload
        self._pressed = 0
        """Looks in a row that asked for more."""
        self._calm_since: float | None = None
        self._calm_s: dict[int, float] = {}
        """By goal: how long the calm must last before it comes down to that, where it was too few before."""
        self._shrunk_at = float("-inf")
        self._short_of_memory = False

    def note(self, event: CapacityAsked | LoadSeen) -> None:
        """The operator wants another number, or the load does."""
        match event:
            case CapacityAsked(delta):
                self._ask(delta)
            case LoadSeen():
                self._look(event)

    # -- the load

    def _look(self, load: LoadSeen) -> None:
        least, most = self._bounds()
        if not most or self._must_not_move():
            self._begin_anew()
            return
        goal = self._generations.goal
        if goal < least or goal > most:
            self._move(least if goal < least else most, load)  # the settings changed
        elif self._is_pressed(load):
            self._calm_since = None
            self._pressed += 1
            if self._pressed >= LOOKS and goal < most:
                self._grow(load)
        elif goal > least and self._is_calm(load, goal):
            self._pressed = 0
            self._shrink_when_it_lasts(load)
        else:
            self._begin_anew()

    def _must_not_move(self) -> bool:
        fleet = self._fleet
        moving = self._reload.under_way or fleet.stop_asked or bool(fleet.degraded)
        if moving or self._generations.committed is None or not self._generations.goal or not fleet.may_start():
            return True
        return bool(fleet.roster.workers(State.BOOTING)) or len(fleet.serving()) != self._generations.goal

    @staticmethod
    def _is_pressed(load: LoadSeen) -> bool:
        waits = load.queued > 0 or load.queue_time_s >= WAIT_S
        return load.busy_share >= FULL or (waits and load.busy_share >= BUSY)

    @staticmethod
    def _is_calm(load: LoadSeen, goal: int) -> bool:
        waits = load.queued > 0 or load.queue_time_s >= WAIT_S
        return not waits and goal > 1 and load.busy_share * goal / (goal - 1) <= ROOM

    def _grow(self, load: LoadSeen) -> None:
        if not load.has_room:
            if not self._short_of_memory:
                text = "workers are busy, and the memory limit leaves no room for one more"
                self._tell(Level.WARNING, text, load, cure="raise the limit, or lower what each worker takes")
            self._short_of_memory = True
            return
        self._short_of_memory = False
        goal = self._generations.goal
        calm_s = self._calm_s.get(goal, CALM_S)
        if self._fleet.now - self._shrunk_at < 2 * calm_s:
            self._calm_s[goal] = min(MOST_CALM_S, 2 * calm_s)  # who was taken away was missed soon
        self._move(goal + 1, load)

    def _shrink_when_it_lasts(self, load: LoadSeen) -> None:
        now, goal = self._fleet.now, self._generations.goal
        if self._calm_since is None:
            self._calm_since = now
        if now - self._calm_since >= self._calm_s.get(goal - 1, CALM_S):
            self._calm_s.pop(goal, None)  # these were enough
            self._shrunk_at = now
            self._move(goal - 1, load)

    def _move(self, goal: int, load: LoadSeen) -> None:
        was = self._generations.goal
        self._generations.goal = goal
        self._tell(Level.INFO, "workers scaled", load, goal=goal, was=was)
        self._begin_anew()
        self._reload.report_goal(was)

    def _tell(self, level: Level, sentence: str, load: LoadSeen, **values: object) -> None:
        figures = {"busy": f"{load.busy_share:.2f}", "queued": load.queued, "queue_time_s": f"{load.queue_time_s:.2f}"}
        cure = {"cure": values.pop("cure")} if "cure" in values else {}
        self._fleet.log(level, fields(sentence, **values, **figures, **cure))

    def _begin_anew(self) -> None:
        self._pressed = 0
        self._calm_since = None

    def _bounds(self) -> tuple[int, int]:
        """The second is 0: the load moves nothing."""
        base = self._generations.base
        if base is None:
            return 0, 0
        spec = self._generations.spec(base)
        return spec.workers_min, min(spec.workers_max, self._room())

    def _room(self) -> int:
        return self._fleet.roster.pages // GOAL_SHARE_OF_PAGES

    # -- the operator

    def _ask(self, delta: int) -> None:
        """TTIN, TTOU, `ostler scale`."""
        old = self._generations.goal
        new = old + delta
        if self._fleet.stop_asked or self._generations.base is None:
            return
        least, most = self._bounds()
        if new < 1:
            self._fleet.log(Level.WARNING, "one worker is the least; TTOU ignored")
        elif new > self._room():
            self._fleet.log(
                Level.WARNING, f"{self._room()} workers are the most this master made room for; TTIN ignored"
            )
        elif most and delta and not least <= new <= most and (old or new > most):
            said = {"asked": new, "goal": old, "workers_min": least, "workers_max": most}
            cure = "change workers_min or workers_max, and reload"
            self._fleet.log(Level.WARNING, fields("the number of workers stays within its bounds", **said, cure=cure))
        else:
            self._generations.goal = new
            self._begin_anew()
            self._reload.report_goal(old)

    def dismiss(self) -> None:
        """WINCH."""
        old = self._generations.goal
        if not self._fleet.stop_asked and old:
            self._fleet.log(Level.INFO, "workers dismissed; TTIN or HUP brings workers back")
            self._generations.goal = 0
            self._reload.report_goal(old)
