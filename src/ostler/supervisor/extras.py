"""Workers beyond the goal, for a while: what an embedder's own Arbiter asks for to replace workers at its own pace.

    ExtraAsked         one more boots, and serves beside the others
    WorkerUnwanted     that worker is to be replaced; by an extra one, if there is: it is none any more then
    ExtrasOver         the same for as many of the oldest as there are extra ones

Who is sent away goes as any worker that is replaced: when its successor serves. So no capacity is lost.

Rules for editing: numbers only; who boots and who goes follows from them in reconcile.py.
"""

from ostler.supervisor.actions import Level
from ostler.supervisor.fleet import Fleet
from ostler.supervisor.handle import Handle
from ostler.supervisor.policy import GOAL_SHARE_OF_PAGES


class Extras:
    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._count = 0
        self._refused = False  # told already that there is no room, since there was some

    @property
    def count(self) -> int:
        """Workers that are wanted beyond the goal; none while the goal is none."""
        goal = self._fleet.generations.goal
        return min(self._count, self._room()) if goal else 0

    @property
    def giving_way(self) -> int:
        """Workers that live beyond the goal because their successors were extra ones: no replacement has to wait."""
        return sum(handle.gives_way for handle in self._fleet.serving())

    def ask(self) -> None:
        fleet = self._fleet
        if fleet.stop_asked or not fleet.generations.goal:
            return
        if self._count >= self._room():
            if not self._refused:
                most = fleet.generations.goal + self._room()
                text = f"{most} workers are the most this master made room for; no extra one is started"
                fleet.log(Level.WARNING, text)
            self._refused = True
            return
        self._refused = False
        self._count += 1

    def dismiss(self, handle: Handle) -> None:
        """Of a worker that leaves already nothing more can be asked."""
        if self._fleet.stop_asked or not handle.live or handle.unwanted:
            return
        handle.unwanted = True
        handle.gives_way = self._count > 0
        self._count = max(0, self._count - 1)
        self._fleet.log(Level.INFO, f"worker is sent away by the arbiter {handle.tag}")

    def end(self) -> None:
        oldest = [handle for handle in self._fleet.serving() if not handle.unwanted]
        for handle in oldest[: self._count]:
            self.dismiss(handle)
        self.clear()

    def clear(self) -> None:
        """The goal alone counts."""
        self._count = 0

    def _room(self) -> int:
        return max(0, self._fleet.roster.pages // GOAL_SHARE_OF_PAGES - self._fleet.generations.goal)
