"""How the whole fleet is doing: numbers for who watches from outside, and whether a restart of everything would help.

A service manager's watchdog restarts the service when nobody tells it for a while that all is well. That is right when
nothing serves and nothing will: all workers hang and cannot be replaced. It is wrong while the supervisor has an answer
of its own: a worker that boots within `boot_timeout`, a hung one whose `timeout` is not over, code that does not boot
and is tried again with pauses (a restart would end with it, and find the same code).

Rules for editing: pure, and only looks: nothing is changed or ordered here.
"""

from dataclasses import dataclass
from typing import Final

from ostler.supervisor.fleet import Fleet
from ostler.supervisor.handle import Handle, State
from ostler.supervisor.heartbeats import Heartbeats

LEAST_SILENCE_S: Final = 3.0
"""An idle worker beats about once a second: less says nothing."""


@dataclass(frozen=True, slots=True)
class Condition:
    """At one moment. ready: workers that serve. booting: processes, molds too. requests: finished, of each worker that
    lives, by age. patience_s: for how long the supervisor itself waits at most for what is under way; 0: for nothing,
    or without a limit.
    """

    ready: int
    goal: int
    booting: int
    generation: int | None
    degraded: str
    requests: dict[int, int]
    patience_s: float
    failed_boots: int = 0  # in a row, of the code that serves: its workers are tried again with pauses


class Health:
    """Of one supervisor."""

    def __init__(self, fleet: Fleet, heartbeats: Heartbeats) -> None:
        self._fleet = fleet
        self._heartbeats = heartbeats

    def condition(self, now: float) -> Condition:
        """What the supervisor knew at its last fact."""
        fleet = self._fleet
        return Condition(
            ready=len(fleet.roster.workers(State.READY)),
            goal=fleet.generations.goal,
            booting=len(self._booting()),
            generation=fleet.generations.committed,
            degraded=fleet.degraded,
            requests={age: work.requests for age, work in fleet.work.items()},
            patience_s=self._patience_s(now),
            failed_boots=fleet.boot.failures,
        )

    def problem(self, silent_limit_s: float) -> str:
        """Why only a restart could help, or "". silent_limit_s: stands in for a `timeout` of 0, which is off."""
        fleet = self._fleet
        if fleet.stop_asked or not fleet.generations.goal:
            return ""  # a stop has its own limits; workers were dismissed by the operator
        ready = fleet.roster.workers(State.READY)
        if any(self._beats(worker, silent_limit_s) for worker in ready):
            return ""
        if self._booting() or not (fleet.boot.open(fleet.now) and fleet.early_death.open(fleet.now)):
            return ""
        if ready:
            return f"all {len(ready)} ready workers are silent"
        outlive = len(fleet.roster.workers(State.KILLED))
        if outlive:
            return f"no worker is ready, and {outlive} are not gone after KILL"
        if not fleet.fork.open(fleet.now):
            return "no worker is ready, and the system lets none be forked"
        leaving = len(fleet.roster)
        return f"no worker is ready, and none boots; leaving: {leaving}"

    def _beats(self, worker: Handle, silent_limit_s: float) -> bool:
        limit_s = self._fleet.generations.spec(worker.generation).timeout_s or max(silent_limit_s, LEAST_SILENCE_S)
        return self._heartbeats.silent_s(worker) <= limit_s

    def _booting(self) -> list[Handle]:
        return [*self._fleet.roster.workers(State.BOOTING), *self._fleet.roster.molds(State.BOOTING)]

    def _patience_s(self, now: float) -> float:
        under_way = [handle for handle in self._fleet.roster if handle.state is not State.READY]
        if any(handle.deadline is None and handle.state is State.BOOTING for handle in under_way):
            return 0.0
        return max((handle.deadline - now for handle in under_way if handle.deadline is not None), default=0.0)
