"""Canaries, roll-outs, reforks and lame ducks fact by fact; pids are 100 + age, and the first mold is 101."""

from typing import Any

import pytest

from ostler.supervisor.actions import (
    CloseListeners,
    ForgetGeneration,
    Fork,
    GenerationServes,
    Kick,
    LameDuck,
    MeasureMemory,
    OrderPromote,
    OrderRetire,
    OrderStop,
    ReloadEnded,
    Send,
    StartMold,
    WorkersChanged,
)
from ostler.supervisor.events import (
    Beats,
    ChildExited,
    MoldReady,
    PromotionRefused,
    SettingsRejected,
    StopAsked,
    Tick,
    Work,
    WorkerAsksToRetire,
    WorkerBootFailed,
    WorkerReady,
    WorkersDismissed,
)
from tests.unit.supervisor.desk import Desk, ended, forked, logged, preloaded, without_logs


def beats(requests: dict[int, int]) -> Beats:
    return Beats({}, {pid: Work(number) for pid, number in requests.items()})


# -- the canary


def test_canary_serves_beside_the_others_and_is_rolled_out_when_its_time_is_over() -> None:
    desk = Desk(workers=2)
    desk.start()
    desk.accept(2, canary_s=30.0)
    orders = desk.tell(WorkerReady(103, 5), at=10.0)
    assert without_logs(orders) == []
    assert "canary serves slot=0 gen=2 pid=103 for_s=30" in logged(orders)
    assert desk.supervisor.next_deadline() == 40.0
    desk.tell(beats({101: 30, 103: 30}), at=39.0)
    orders = desk.tell(Tick(), at=40.0)
    passed = "canary passed gen=2 requests=30 5xx=0 mean_ms=0 others_requests=30 others_5xx=0 others_mean_ms=0"
    assert passed in logged(orders)
    assert without_logs(orders)[:2] == [GenerationServes(2), OrderRetire(101, False)]


def test_canary_that_dies_is_the_end_of_its_generation() -> None:
    desk = Desk(workers=2)
    desk.start()
    desk.accept(2, canary_s=30.0)
    desk.tell(WorkerReady(103, 5))
    orders = desk.tell(ChildExited(103, None, "SIGSEGV"))
    text = "reload failed: generation 2 did worse as canary (signal SIGSEGV); generation 1 keeps serving"
    assert ended(orders) == [ReloadEnded(False, 1, text, 2)]
    assert without_logs(orders) == [ForgetGeneration(2)]


def test_canary_that_fails_retires() -> None:
    desk = Desk(workers=2)
    desk.start()
    desk.accept(2, canary_s=30.0)
    desk.tell(WorkerReady(103, 5))
    orders = desk.tell(Beats({}, {101: Work(50), 103: Work(10, 5, 0.1)}), at=1)
    assert without_logs(orders) == [OrderRetire(103, True)]
    assert "(5 of 10 requests were answered with 5xx, of the other workers' 0 of 50); generation 1" in logged(orders)


def test_hup_during_a_canary_overtakes_it() -> None:
    desk = Desk(workers=2)
    desk.start()
    desk.accept(2, canary_s=30.0)
    desk.tell(WorkerReady(103, 5))
    orders = desk.accept(3)
    assert without_logs(orders) == [OrderRetire(103, True), Fork(4, 0, 3, page=3)]
    assert ended(orders) == []


# -- rolling out


def test_rejected_settings_end_their_reload_and_not_the_one_that_is_under_way() -> None:
    desk = Desk(workers=1)
    desk.start()
    desk.accept(2)
    [end] = ended(desk.tell(SettingsRejected("workers: expected a number")))
    assert (end.succeeded, end.generation, end.reload) == (False, 1, None)
    [end] = ended(desk.tell(WorkerReady(102, 5)))
    assert (end.succeeded, end.generation, end.reload) == (True, 2, 2)


def test_surge_and_missing_workers_are_the_pace_of_a_reload() -> None:
    desk = Desk(workers=6)
    desk.start()
    desk.accept(2, surge=2, max_unavailable=1)
    orders = desk.tell(WorkerReady(107, 5))
    assert "its workers replace those before, up to 2 at a time" in logged(orders)
    retired = [order for order in orders if isinstance(order, OrderRetire)]
    # 6 + 1 serve: two may go, and 6 - 1 stay; 6 + 2 may live.
    assert (len(retired), len(forked(orders))) == (2, 3)


def test_without_surge_an_old_worker_goes_before_the_new_one_boots() -> None:
    desk = Desk(workers=2)
    desk.start()
    orders = without_logs(desk.accept(2, surge=0, max_unavailable=1))
    assert orders == [OrderRetire(101, False), Fork(3, 0, 2, page=2)]
    orders = without_logs(desk.tell(WorkerReady(103, 5)))
    assert orders == [GenerationServes(2), OrderRetire(102, True), Fork(4, 1, 2, page=3)]


def test_slots_that_are_filled_again_are_not_given_up() -> None:
    desk = Desk(workers=6)
    desk.start()
    pace = {"surge": 0, "max_unavailable": 3}
    assert without_logs(desk.accept(2, 4, **pace)) == [OrderRetire(101, False), Fork(7, 0, 2, page=6)]
    orders = without_logs(desk.tell(WorkerReady(107, 5)))
    retired = [(order.pid, order.last_of_slot) for order in orders if isinstance(order, OrderRetire)]
    # 106 stays for now, in slot 5; two more will come, into the slots 1 and 2.
    assert retired == [(102, False), (103, False), (104, True), (105, True)]


def test_only_worker_never_makes_room_for_the_one_on_trial() -> None:
    desk = Desk(workers=1)
    pace = {"surge": 0, "max_unavailable": 1}
    desk.start(**pace)
    assert without_logs(desk.accept(2, **pace)) == [Fork(2, 0, 2, page=1)]
    assert without_logs(desk.tell(WorkerBootFailed(102, 3, "SyntaxError"))) == []
    desk.tell(ChildExited(102, 3, None))
    assert without_logs(desk.tell(WorkerAsksToRetire(101, "max_requests"), at=20.0)) == [Fork(3, 0, 1, page=1)]
    assert without_logs(desk.tell(WorkerReady(103, 5))) == [OrderRetire(101, False)]


def test_last_ready_worker_stays_though_more_may_be_missing() -> None:
    desk = Desk(workers=3)
    desk.start(surge=0, max_unavailable=3)
    desk.tell(ChildExited(101, None, "SIGSEGV"), at=50.0)
    desk.tell(ChildExited(102, None, "SIGSEGV"))
    assert without_logs(desk.tell(WorkerAsksToRetire(103, "max_requests"))) == []


def taken_back(desk: Desk, pids: list[int]) -> bool:
    """Whether boots that fail bring the former generation back."""
    now, ends = desk.now, []
    for pid in pids:
        now += 60
        ends += ended(desk.tell(WorkerBootFailed(pid, 3, "out of connections"), at=now))
        desk.tell(ChildExited(pid, 3, None))
        now += 60
        desk.tell(Tick(), at=now)
    return any(not end.succeeded for end in ends)


def test_last_worker_of_a_generation_that_may_come_back_stays_and_empties_nothing() -> None:
    desk = preloaded(workers=2)
    desk.accept(2, preload=True, surge=1, max_unavailable=1)
    desk.tell(MoldReady(104, 5))
    orders = desk.tell(WorkerReady(105, 5))
    assert [order for order in orders if isinstance(order, OrderRetire)] == [OrderRetire(102, False)]
    assert taken_back(desk, [106, 107, 108])


def test_generation_whose_addresses_were_emptied_does_not_come_back() -> None:
    desk = preloaded(workers=2)
    desk.accept(2, preload=True, surge=0, max_unavailable=1)
    desk.tell(MoldReady(104, 5))
    orders = without_logs(desk.tell(WorkerReady(105, 5)))
    serves, former_mold_goes = GenerationServes(2), Send(101, Kick.QUIT)
    assert orders == [serves, OrderRetire(103, True), Fork(6, 1, 2, page=3, mold=104), former_mold_goes]
    assert not taken_back(desk, [106, 107, 108, 109])


def test_generation_whose_workers_are_all_dead_comes_back_by_its_mold() -> None:
    desk = preloaded(workers=2)
    desk.accept(2, preload=True)
    desk.tell(MoldReady(104, 5))
    desk.tell(WorkerReady(105, 5))
    desk.tell(ChildExited(103, None, "SIGSEGV"), at=50.0)
    assert taken_back(desk, [106, 107, 108, 109])


def test_workers_that_die_soon_after_ready_bring_the_former_generation_back() -> None:
    desk = Desk(workers=4)
    desk.start()
    desk.tell(Tick(), at=100.0)
    orders = desk.accept(2)
    ends = []
    for _ in range(3):
        desk.tell(WorkerReady(forked(orders)[-1], 5))
        orders = desk.tell(ChildExited(forked(orders)[-1], None, "SIGSEGV"), at=desk.now + 1)
        ends += ended(orders)
        orders += desk.tell(Tick(), at=desk.now + 5)
    [end] = ends
    assert end.text == (
        "reload failed: generation 2 was taken back (3 of its workers died soon after they were ready; the last: "
        "signal SIGSEGV); generation 1 keeps serving"
    )


def test_three_boots_in_a_row_that_fail_bring_the_former_generation_back() -> None:
    desk = Desk(workers=4)
    desk.start()
    desk.accept(2, workers=5)
    desk.tell(WorkerReady(105, 5))
    now = 0.0
    for pid in (106, 107):
        now += 10
        desk.tell(WorkerBootFailed(pid, 3, "out of connections"), at=now)
        desk.tell(ChildExited(pid, 3, None))
        now += 5
        desk.tell(Tick(), at=now)
    orders = desk.tell(WorkerBootFailed(108, 3, "out of connections"), at=now)
    [end] = ended(orders)
    assert end.text.startswith("reload failed: generation 2 was taken back (3 of its workers in a row did not start")
    assert end.text.endswith("generation 1 keeps serving")
    assert (end.succeeded, end.generation, end.reload) == (False, 1, 2)
    assert GenerationServes(1) in orders
    assert WorkersChanged(4, 5) in orders
    assert "degraded" in logged(orders)


def test_former_generation_does_not_come_back_when_nothing_of_it_is_left() -> None:
    desk = Desk(workers=1)
    desk.start()
    desk.accept(2, workers=2)
    desk.tell(WorkerReady(102, 5))
    desk.tell(ChildExited(101, 0, None))
    for step, pid in enumerate((103, 104, 105, 106)):
        assert ended(desk.tell(WorkerBootFailed(pid, 3, "no"), at=100.0 * step + 50)) == []
        desk.tell(Tick(), at=100.0 * step + 100)


# -- refork


def test_warm_worker_is_promoted_when_its_replacement_serves_and_the_others_follow() -> None:
    desk = preloaded(workers=2, refork_after=(500, 2000))
    assert desk.tell(beats({102: 499, 103: 10})) == []
    orders = desk.tell(beats({102: 500, 103: 10}))
    assert orders[:2] == [
        MeasureMemory("refork begins gen=1 pid=102 requests=500", (101, 102, 103)),
        Fork(4, 0, 1, page=2, mold=101),
    ]
    assert without_logs(desk.tell(WorkerReady(104, 5))) == [OrderPromote(102)]
    orders = without_logs(desk.tell(MoldReady(102, 9)))
    assert orders == [Send(101, Kick.QUIT), Fork(5, 1, 1, page=0, mold=102)]  # the page of 102 is free again
    desk.tell(WorkerReady(105, 5))
    orders = desk.tell(WorkerReady(106, 5))
    assert MeasureMemory("refork complete gen=1 workers=2", (102, 105, 106)) in orders
    assert desk.tell(beats({105: 1999})) == []
    assert without_logs(desk.tell(beats({105: 2000})))[0] == MeasureMemory(
        "refork begins gen=1 pid=105 requests=2000", (102, 105, 106)
    )


def promoted(**more: Any) -> Desk:
    """Worker 102 was told to become a mold, and 104 serves in its place."""
    desk = preloaded(workers=2, refork_after=(100,), **more)
    desk.tell(beats({102: 100}))
    assert OrderPromote(102) in desk.tell(WorkerReady(104, 5))
    return desk


def test_refork_that_is_refused_leaves_the_former_mold_until_as_many_requests_more_are_done() -> None:
    desk = promoted()
    desk.tell(beats({103: 90, 104: 5}))
    orders = desk.tell(PromotionRefused(102, "2 threads"))
    assert logged(orders) == 'refork refused gen=1 pid=102 reason="2 threads"'
    assert without_logs(desk.tell(ChildExited(102, 0, None))) == []
    assert desk.tell(beats({103: 189, 104: 104})) == []
    assert "requests=100" in str(desk.tell(beats({103: 190, 104: 104})))


def test_promoted_worker_that_dies_or_takes_too_long_is_a_refusal() -> None:
    orders = promoted().tell(ChildExited(102, None, "SIGSEGV"))
    assert 'refork refused gen=1 pid=102 reason="signal SIGSEGV"' in logged(orders)
    orders = promoted(graceful_timeout_s=5.0).tell(Tick(), at=5.0)
    assert 'refork refused gen=1 pid=102 reason="graceful timeout"' in logged(orders)


def test_promoted_worker_that_leaves_because_all_do_is_no_refusal() -> None:
    desk = promoted()
    desk.tell(StopAsked(quick=False))
    assert "refused" not in logged(desk.tell(ChildExited(102, 0, None)))


@pytest.mark.parametrize("number", [1, 0])
def test_last_threshold_repeats_and_0_is_the_end(number: int) -> None:
    desk = preloaded(workers=1, refork_after=(10, number))
    desk.tell(beats({102: 10}))
    desk.tell(WorkerReady(103, 5))
    desk.tell(MoldReady(102, 5))
    desk.tell(WorkerReady(104, 5))
    assert bool(desk.tell(beats({104: 1000}))) is bool(number)


def test_nobody_is_promoted_beside_a_reload() -> None:
    desk = preloaded(workers=2, refork_after=(10,))
    desk.accept(2, preload=True)
    assert desk.tell(beats({102: 1000})) == []


def test_reload_that_begins_before_the_promotion_takes_its_place() -> None:
    desk = preloaded(workers=2, refork_after=(10,))
    desk.tell(beats({102: 10}))
    orders = without_logs(desk.accept(2, preload=True))
    assert orders == [StartMold(5, 2), Send(104, Kick.CANCEL)]


def test_workers_that_are_dismissed_are_not_promoted() -> None:
    desk = preloaded(workers=2, refork_after=(10,))
    desk.tell(beats({102: 10}))
    orders = desk.tell(WorkersDismissed())
    assert [order for order in orders if isinstance(order, OrderPromote)] == []
    retired = [order.pid for order in orders if isinstance(order, OrderRetire) and order.nobody_stays]
    assert retired == [102, 103]


def test_recycling_does_not_hold_a_refork_back() -> None:
    """Somebody asks to be replaced all the time; nobody promotes a worker that has grown too big."""
    desk = preloaded(workers=2, refork_after=(10,))
    desk.tell(WorkerAsksToRetire(102, "max_requests"))
    orders = desk.tell(beats({102: 15, 103: 12}))
    assert "refork begins gen=1 pid=102 requests=15" in str(orders)
    assert OrderPromote(102) in desk.tell(WorkerReady(104, 5))
    desk = preloaded(workers=2, refork_after=(10,))
    desk.tell(WorkerAsksToRetire(102, "max_worker_memory"))
    assert "refork begins gen=1 pid=103 requests=12" in str(desk.tell(beats({102: 15, 103: 12})))


# -- the lame duck


def test_lame_duck_comes_before_the_stop_and_starts_only_what_is_missing() -> None:
    desk = preloaded(workers=2, lame_duck_s=10.0)
    desk.accept(2, preload=True)
    orders = desk.tell(StopAsked(quick=False), at=1.0)
    assert LameDuck(10.0) in orders
    assert "lame duck: readiness fails, everything is served for_s=10" in logged(orders)
    assert ended(orders) == [ReloadEnded(False, 1, "reload failed: the server stops", 2)]
    assert desk.supervisor.stopping
    assert without_logs(desk.tell(WorkerAsksToRetire(102, "max_requests"), at=2.0)) == []
    assert len(forked(desk.tell(ChildExited(103, None, "SIGSEGV"), at=5.0))) == 1
    assert [type(order) for order in without_logs(desk.accept(3))] == [ForgetGeneration]
    orders = without_logs(desk.tell(Tick(), at=11.0))
    assert OrderStop(102) in orders
    assert Send(101, Kick.QUIT) in orders


@pytest.mark.parametrize("quick", [True, False])
def test_second_stop_ends_the_lame_duck(quick: bool) -> None:
    desk = Desk(workers=1)
    desk.start(lame_duck_s=10.0)
    desk.tell(StopAsked(quick=False))
    orders = without_logs(desk.tell(StopAsked(quick=quick), at=1.0))
    assert orders == ([CloseListeners(), Send(101, Kick.QUIT)] if quick else [OrderStop(101)])


def test_second_term_at_once_is_the_same_stop() -> None:
    desk = Desk(workers=1)
    desk.start(lame_duck_s=10.0)
    desk.tell(StopAsked(quick=False))
    assert desk.tell(StopAsked(quick=False), at=0.9) == []
    assert without_logs(desk.tell(StopAsked(quick=True), at=0.95)) == [CloseListeners(), Send(101, Kick.QUIT)]


def test_another_master_that_serves_ends_the_lame_duck_at_once() -> None:
    desk = Desk(workers=1)
    desk.start(lame_duck_s=10.0)
    desk.tell(StopAsked(quick=False))
    assert without_logs(desk.tell(StopAsked(quick=False, lame_duck=False), at=0.5)) == [OrderStop(101)]


def test_no_lame_duck_where_it_is_not_needed_or_nobody_serves() -> None:
    desk = Desk(workers=1)
    desk.start(lame_duck_s=10.0)
    assert without_logs(desk.tell(StopAsked(quick=False, lame_duck=False))) == [OrderStop(101)]
    desk = Desk(workers=1)
    desk.accept(1, lame_duck_s=10.0)
    assert CloseListeners() in desk.tell(StopAsked(quick=False))
