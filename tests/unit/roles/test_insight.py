"""roles/insight.py: what is seen of workers that cannot say how they are."""

from time import monotonic
from types import SimpleNamespace

import pytest

from ostler.config.settings import Settings
from ostler.observe.scoreboard import Scoreboard, WorkerState
from ostler.roles.insight import Insight
from ostler.supervisor.handle import Handle, State


class Seen:
    """A master of ready workers (each silent for so many seconds) and one mold."""

    def __init__(self, silent: list[float]) -> None:
        now = monotonic()
        board = Scoreboard(len(silent) + 1, 1)
        by_pid = {}
        self.handles = [Handle(9, 9, 1, None, now)]  # the mold
        self.handles[0].enter(State.READY, None)
        for number, silent_s in enumerate(silent):
            handle = Handle(number, number, 1, number, now - 100)
            handle.pid = number + 1
            handle.become_ready(now - 100)
            self.handles.append(handle)
            page = board.page(number)
            page.reset(handle.pid, now - silent_s)
            page.state = WorkerState.IDLE
            generation = SimpleNamespace(settings=Settings.defaults())
            by_pid[handle.pid] = SimpleNamespace(page=page, receives=True, generation=generation)
        condition = SimpleNamespace(ready=len(silent), goal=2, failed_boots=0)
        supervisor = SimpleNamespace(
            roster=SimpleNamespace(workers=lambda *_: self.handles[1:]),
            health=SimpleNamespace(condition=lambda _now: condition),
            generations=SimpleNamespace(base=1, committed=1, on_trial=None),
            stopping=False,
        )
        performer = SimpleNamespace(children=SimpleNamespace(by_pid=by_pid))
        self.insight = Insight(supervisor, performer, None, lambda: False, dict)  # type: ignore[arg-type]  # what it reads
        self.insight.handles = lambda: [(each, by_pid.get(each.pid)) for each in self.handles]  # type: ignore[method-assign]  # no roster

    @property
    def states(self) -> list[str]:
        now = monotonic()
        return [self.insight._state(*each, now)[0] for each in self.insight.handles()[1:]]


@pytest.mark.parametrize(
    ("silent", "states", "state"),
    [
        ([0.0, 0.0], ["idle", "idle"], "serving"),
        ([3.0, 9.0], ["busy", "hung"], "serving"),  # its loop waits for the application, and nobody said busy
        ([9.0, 9.0], ["hung", "hung"], "hung"),
        ([], [], "down"),
    ],
)
def test_who_is_silent_is_not_idle_and_when_all_are_nobody_serves(silent, states, state):
    seen = Seen(silent)
    assert (seen.states, seen.insight.state()) == (states, state)
