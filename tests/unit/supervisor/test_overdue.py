"""Requests that take too long where their worker cannot act, and workers whose threads all wait: overdue.py."""

from typing import Any

import pytest

from ostler.supervisor.actions import Action, Fork, Kick, ReportStacks, Send
from ostler.supervisor.events import Beats, ChildExited, Due, Tick, Work, WorkerAsksToRetire
from ostler.supervisor.handle import State
from tests.unit.supervisor.desk import Desk, logged, without_logs


def beats(desk: Desk, at: float, **more: Any) -> list[Action]:
    """Everybody is alive."""
    pids = [handle.pid for handle in desk.supervisor.roster if handle.pid is not None]
    return desk.tell(Beats(dict.fromkeys(pids, at), **more), at=at)


def second_by_second(desk: Desk, first: int, last: int, **more: Any) -> list[Action]:
    return [order for at in range(first, last + 1) for order in beats(desk, float(at), **more)]


@pytest.fixture
def desk() -> Desk:
    desk = Desk(workers=1)
    desk.start(timeout_s=30)
    return desk


def test_a_soft_deadline_that_nobody_saw_to_is_shown_once_and_hurts_nobody(desk: Desk) -> None:
    due = {101: Due(soft_at=5.0, hard_at=50.0)}
    assert second_by_second(desk, 1, 5, due=due) == []
    assert beats(desk, 6.0, due=due) == [Send(101, Kick.SHOW)]
    assert desk.supervisor.next_deadline() == pytest.approx(6.4)
    sentence = "request timeout, and its worker cannot act slot=0 gen=1 pid=101"
    assert desk.tell(Tick(), at=6.4) == [ReportStacks(101, sentence, "request timeout", goes_on=True)]
    assert second_by_second(desk, 7, 20, due=due) == []
    later = {101: Due(soft_at=20.5, hard_at=60.0)}
    assert second_by_second(desk, 21, 22, due=later) == [Send(101, Kick.SHOW)], "another request"


def test_a_hard_deadline_that_nobody_saw_to_ends_the_worker(desk: Desk) -> None:
    due = {101: Due(soft_at=float("inf"), hard_at=5.0)}
    assert second_by_second(desk, 1, 5, due=due) == []
    orders = without_logs(beats(desk, 6.0, due=due))
    assert orders == [Send(101, Kick.DUMP), Fork(age=2, slot=0, generation=1, page=1)]
    orders = without_logs(desk.tell(Tick(), at=6.4))
    sentence = "request timeout, and its worker could not act slot=0 gen=1 pid=101 silent_s=0.0"
    assert orders == [ReportStacks(101, sentence, "request timeout"), Send(101, Kick.ABORT)]
    assert without_logs(desk.tell(Tick(), at=7.4)) == [Send(101, Kick.KILL)]
    assert 'cause="killed by master: request timeout"' in logged(desk.tell(ChildExited(101, None, "SIGKILL")))


def test_a_worker_that_acts_by_itself_is_left_alone(desk: Desk) -> None:
    """It takes back what it has seen to, and asks to be replaced: then it retires."""
    assert second_by_second(desk, 1, 3, due={101: Due(2.5, 4.5)}) == []
    assert second_by_second(desk, 4, 5, due={101: Due(float("inf"), 4.5)}) == []
    orders = desk.tell(WorkerAsksToRetire(101, "request_timeout", 'request="GET /a" for_s=2.0'), at=5.0)
    assert without_logs(orders) == [Fork(age=2, slot=0, generation=1, page=1)]
    assert 'reason=request_timeout request="GET /a" for_s=2.0' in logged(orders)
    assert second_by_second(desk, 6, 12, due={101: Due(float("inf"), float("inf"))}) == []


def test_nobody_is_late_for_the_time_that_the_machine_slept(desk: Desk) -> None:
    beats(desk, 1.0)
    due = {101: Due(5.0, 9.0)}
    assert beats(desk, 100.0, due=due) == []
    assert beats(desk, 100.9, due=due) == []
    assert Send(101, Kick.DUMP) in beats(desk, 101.0, due=due)


def crowd(desk: Desk, first: int, last: int, requests: int = 7, waits: bool = True) -> list[Action]:
    return second_by_second(desk, first, last, work={101: Work(requests)}, full={101: waits})


def test_a_worker_that_serves_nobody_is_shown_and_then_replaced(desk: Desk) -> None:
    assert crowd(desk, 1, 31) == []
    assert crowd(desk, 32, 32) == [Send(101, Kick.SHOW)]
    (report,) = desk.tell(Tick(), at=32.5)
    assert isinstance(report, ReportStacks)
    assert report.sentence.startswith("worker serves nobody: all its threads are busy for_s=31 timeout_s=30 ")
    assert crowd(desk, 33, 62) == []
    orders = crowd(desk, 63, 63)
    assert without_logs(orders) == [Fork(age=2, slot=0, generation=1, page=1)], "the new one first"
    assert "worker serves nobody, it is to be replaced slot=0 gen=1 pid=101" in logged(orders)
    (worker,) = [handle for handle in desk.supervisor.roster if handle.pid == 101]
    assert worker.state is State.READY
    assert crowd(desk, 64, 70) == [], "once"


def test_whoever_finishes_something_serves_somebody(desk: Desk) -> None:
    for begin in range(1, 300, 20):
        assert crowd(desk, begin, begin + 19, requests=begin) == []


def test_long_polls_that_nobody_waits_behind_may_take_their_time(desk: Desk) -> None:
    assert crowd(desk, 1, 300, waits=False) == []
    assert crowd(desk, 301, 301) == [Send(101, Kick.SHOW)], "until somebody waits"


def test_a_free_thread_ends_it(desk: Desk) -> None:
    assert crowd(desk, 1, 30) == []
    assert beats(desk, 31.0, work={101: Work(7)}) == []
    assert crowd(desk, 32, 61) == []


def test_timeout_of_zero_turns_it_off() -> None:
    desk = Desk(workers=1)
    desk.start(timeout_s=0)
    assert crowd(desk, 1, 300) == []
