"""supervisor/health.py: when a restart of the whole service would help, and when the supervisor has an answer."""

from ostler.supervisor.events import (
    Beats,
    ChildExited,
    ForkFailed,
    StopAsked,
    Tick,
    Work,
    WorkerBootFailed,
    WorkersDismissed,
)
from tests.unit.supervisor.desk import Desk

LIMIT_S = 60.0


def problem(desk: Desk) -> str:
    return desk.supervisor.health.problem(LIMIT_S)


def beat(desk: Desk, until: int, *pids: int) -> None:
    """Beats each second, of these; the others are silent since 0."""
    first = int(desk.now)
    for second in range(first, until + 1):
        desk.tell(Beats({101: 0.0, 102: 0.0} | dict.fromkeys(pids, float(second))), at=float(second))


def test_one_worker_that_beats_is_enough() -> None:
    desk = Desk(workers=2)
    desk.start(timeout_s=0)
    beat(desk, 100, 102)
    assert problem(desk) == ""


def test_all_workers_silent_for_longer_than_the_watchdog_waits() -> None:
    desk = Desk(workers=2)
    desk.start(timeout_s=0)
    beat(desk, 60)
    assert problem(desk) == ""
    beat(desk, 61)
    assert problem(desk) == "all 2 ready workers are silent"


def test_a_silent_worker_counts_as_long_as_its_timeout_lasts() -> None:
    desk = Desk(workers=2)
    desk.start(timeout_s=90)
    beat(desk, 89)
    assert problem(desk) == ""


def test_what_boots_in_the_place_of_hung_workers_is_hope() -> None:
    desk = Desk(workers=2)
    desk.start(timeout_s=5)
    beat(desk, 6)
    assert problem(desk) == ""


def test_code_that_does_not_boot_any_more_is_no_reason_for_a_restart() -> None:
    """It would end with the next start; here it is tried again, and heals with the code or the database."""
    desk = Desk(workers=1)
    desk.start()
    desk.tell(ChildExited(101, None, "SIGSEGV"), at=10.0)
    desk.tell(WorkerBootFailed(102, 3, "no module"))
    desk.tell(ChildExited(102, 3, None))
    assert problem(desk) == ""


def test_nobody_is_ready_and_the_system_forks_nobody() -> None:
    desk = Desk(workers=1)
    desk.start()
    assert problem(desk) == ""
    orders = desk.supervisor.handle(ChildExited(101, None, "SIGKILL"), 10.0)
    assert orders
    desk.supervisor.handle(ForkFailed(2, "out of processes"), 10.0)
    assert problem(desk) == "no worker is ready, and the system lets none be forked"


def test_workers_that_outlive_kill_and_fill_all_pages() -> None:
    desk = Desk(workers=1, pages=2)
    desk.start(timeout_s=2, boot_timeout_s=1)
    for tenth in range(150):
        desk.tell(Beats({101: 0.0}) if tenth % 10 == 0 else Tick(), at=tenth / 10)
    assert problem(desk) == "no worker is ready, and 2 are not gone after KILL"


def test_a_stop_and_dismissed_workers_are_no_problem() -> None:
    desk = Desk(workers=1)
    desk.start(timeout_s=0)
    beat(desk, 100)
    assert problem(desk)
    desk.tell(StopAsked(quick=False))
    assert problem(desk) == ""
    desk = Desk(workers=1)
    desk.start()
    desk.tell(WorkersDismissed(), at=1.0)
    assert problem(desk) == ""


def test_condition_in_numbers() -> None:
    desk = Desk(workers=2)
    desk.accept(1)
    condition = desk.supervisor.health.condition(0.0)
    assert (condition.ready, condition.goal, condition.booting, condition.generation) == (0, 2, 2, None)
    assert condition.patience_s == 300.0
    desk = Desk(workers=2)
    desk.start()
    desk.tell(Beats({101: 1.0, 102: 1.0}, {101: Work(requests=5), 102: Work(requests=7)}), at=1.0)
    condition = desk.supervisor.health.condition(1.0)
    assert (condition.ready, condition.goal, condition.booting, condition.generation) == (2, 2, 0, 1)
    assert sorted(condition.requests.values()) == [5, 7]
    assert condition.patience_s == 0.0
    desk.tell(StopAsked(quick=False))
    assert desk.supervisor.health.condition(11.0).patience_s == 20.0


def test_a_boot_without_a_limit_is_waited_for_by_nobody_else() -> None:
    desk = Desk(workers=1)
    desk.accept(1, boot_timeout_s=0)
    assert desk.supervisor.health.condition(5.0).patience_s == 0.0
