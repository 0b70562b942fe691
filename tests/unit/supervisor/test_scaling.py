"""The goal follows the load, between its bounds; what holds in any order of facts is in tests/simulation."""

import pytest

from ostler.supervisor.actions import Fork, OrderRetire, WorkersChanged
from ostler.supervisor.events import (
    CapacityAsked,
    ChildExited,
    LoadSeen,
    StopAsked,
    WorkerBootFailed,
    WorkerReady,
    WorkersDismissed,
)
from ostler.supervisor.scaling import CALM_S, LOOKS
from tests.unit.supervisor.desk import Desk, forked, logged, without_logs

BUSY = LoadSeen(0.97, 12, 0.4)
CALM = LoadSeen(0.1, 0, 0.0)
MIDDLING = LoadSeen(0.7, 0, 0.0)


def scaled(workers: int = 2, least: int = 1, most: int = 4, pages: int = 40, **more: object) -> Desk:
    desk = Desk(workers, pages)
    desk.start(workers_min=least, workers_max=most, **more)
    return desk


def look(desk: Desk, load: LoadSeen, times: int = 1) -> list[object]:
    """Once a second; the orders of all of them."""
    orders: list[object] = []
    for _ in range(times):
        desk.now += 1.0
        orders += desk.tell(load)
    return orders


def goal(desk: Desk) -> int:
    return desk.supervisor.generations.goal


def grow(desk: Desk) -> None:
    for pid in forked(look(desk, BUSY, LOOKS)):
        desk.tell(WorkerReady(pid, 5))


def test_busy_workers_with_a_queue_get_help_one_at_a_time() -> None:
    desk = scaled()
    assert look(desk, BUSY, LOOKS - 1) == []
    orders = look(desk, BUSY)
    assert without_logs(orders) == [WorkersChanged(3, 2), Fork(age=3, slot=2, generation=1, page=2)]
    assert logged(orders).startswith("workers scaled goal=3 was=2 busy=0.97 queued=12 queue_time_s=0.40\n")
    assert look(desk, BUSY, 5) == []  # the new one boots
    desk.tell(WorkerReady(103, 5))
    assert look(desk, BUSY, LOOKS - 1) == []
    assert forked(look(desk, BUSY)) == [104]


@pytest.mark.parametrize("load", [LoadSeen(1.0, 0, 0.0), LoadSeen(0.85, 1, 0.0), LoadSeen(0.85, 0, 0.2)])
def test_full_workers_or_waiting_requests_are_pressure(load: LoadSeen) -> None:
    assert forked(look(scaled(), load, LOOKS)) == [103]


@pytest.mark.parametrize("load", [LoadSeen(0.5, 40, 2.0), LoadSeen(0.9, 0, 0.01), CALM])
def test_a_queue_beside_idle_workers_or_busy_ones_without_a_queue_are_none(load: LoadSeen) -> None:
    assert forked(look(scaled(), load, 10)) == []


def test_one_look_that_disagrees_begins_the_count_anew() -> None:
    desk = scaled()
    for _ in range(10):
        look(desk, BUSY, LOOKS - 1)
        look(desk, MIDDLING)
    assert goal(desk) == 2


def test_no_more_than_the_bound_are_started() -> None:
    desk = scaled()
    for _ in range(6):
        grow(desk)
    assert goal(desk) == 4
    assert look(desk, BUSY, 100) == []


def test_no_more_are_started_than_there_are_pages_for() -> None:
    desk = scaled(workers=2, most=30, pages=12)
    for _ in range(10):
        grow(desk)
    assert goal(desk) == 6


def test_calm_takes_one_away_after_a_minute_and_another_after_one_more() -> None:
    desk = scaled(workers=3)
    assert look(desk, CALM, int(CALM_S)) == []
    orders = look(desk, CALM)
    assert without_logs(orders) == [WorkersChanged(2, 3), OrderRetire(101, last_of_generation=False, last_of_slot=True)]
    assert "workers scaled goal=2 was=3" in logged(orders)
    desk.tell(ChildExited(101, 0, None))
    assert look(desk, CALM, int(CALM_S)) == []
    assert without_logs(look(desk, CALM))[0] == WorkersChanged(1, 2)
    desk.tell(ChildExited(102, 0, None))
    assert look(desk, CALM, 500) == []


@pytest.mark.parametrize("load", [MIDDLING, LoadSeen(0.1, 1, 0.0), LoadSeen(0.1, 0, 0.2), BUSY])
def test_a_break_in_the_calm_begins_the_minute_anew(load: LoadSeen) -> None:
    desk = scaled(workers=3)
    for _ in range(4):
        look(desk, CALM, int(CALM_S) - 1)
        look(desk, load)
    assert goal(desk) == 3


def test_nobody_is_taken_away_whom_the_others_could_not_replace() -> None:
    desk = scaled(workers=2)
    look(desk, LoadSeen(0.35, 0, 0.0), 500)  # one worker would be 0.7 busy
    assert goal(desk) == 2


def test_who_was_missed_soon_is_taken_away_later_the_next_time() -> None:
    desk = scaled(workers=2)
    look(desk, CALM, int(CALM_S) + 1)
    assert goal(desk) == 1
    grow(desk)
    assert goal(desk) == 2
    look(desk, CALM, int(CALM_S) + 10)
    assert goal(desk) == 2
    look(desk, CALM, int(CALM_S))
    assert goal(desk) == 1


def test_without_room_below_the_memory_limit_nobody_is_started_and_that_is_said_once() -> None:
    desk = scaled()
    orders = look(desk, LoadSeen(1.0, 9, 1.0, has_room=False), 30)
    assert without_logs(orders) == []
    assert logged(orders).count("the memory limit leaves no room for one more") == 1
    assert forked(look(desk, BUSY)) == [103]


def test_nothing_is_scaled_beside_a_reload() -> None:
    desk = scaled()
    desk.accept(2, workers_min=1, workers_max=4)
    look(desk, BUSY, 20)
    assert goal(desk) == 2


def test_nothing_is_scaled_while_code_is_degraded_or_boots_back_off() -> None:
    desk = scaled()
    desk.tell(ChildExited(102, None, "SIGKILL"))
    desk.tell(WorkerBootFailed(103, 3, "ImportError"))
    desk.tell(ChildExited(103, 3, None))
    look(desk, BUSY, 2)
    assert goal(desk) == 2


def test_nothing_is_scaled_while_the_server_stops_or_its_workers_are_dismissed() -> None:
    desk = scaled()
    desk.tell(WorkersDismissed())
    assert without_logs(look(desk, BUSY, 10)) == []
    desk = scaled()
    desk.tell(StopAsked(quick=False))
    assert without_logs(look(desk, BUSY, 10)) == []


def test_without_bounds_the_load_moves_nothing() -> None:
    desk = Desk()
    desk.start()
    assert look(desk, BUSY, 20) == []


def test_the_operator_moves_within_the_bounds() -> None:
    desk = scaled(workers=2, least=2, most=3)
    assert WorkersChanged(3, 2) in desk.tell(CapacityAsked(+1))
    orders = desk.tell(CapacityAsked(+1))
    assert without_logs(orders) == []
    assert "stays within its bounds asked=4 goal=3 workers_min=2 workers_max=3" in logged(orders)
    desk.tell(WorkerReady(103, 5))
    assert WorkersChanged(2, 3) in desk.tell(CapacityAsked(-1))
    assert without_logs(desk.tell(CapacityAsked(-1))) == []


def test_a_reload_keeps_the_number_within_its_new_bounds() -> None:
    desk = scaled()
    grow(desk)
    grow(desk)
    assert goal(desk) == 4
    pid = forked(desk.accept(2, workers_min=1, workers_max=3))[0]
    desk.tell(WorkerReady(pid, 5))
    assert goal(desk) == 3


def test_a_reload_without_bounds_goes_back_to_the_configured_number() -> None:
    desk = scaled()
    grow(desk)
    pid = forked(desk.accept(2))[0]
    desk.tell(WorkerReady(pid, 5))
    assert goal(desk) == 2
