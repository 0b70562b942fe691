"""The supervisor fact by fact; what holds in any order of facts is proved in tests/simulation."""

import pytest

from ostler.supervisor.actions import (
    CloseListeners,
    Finish,
    ForgetGeneration,
    Fork,
    GenerationServes,
    Kick,
    OrderRetire,
    OrderStop,
    ReportSlowBoot,
    ReportStacks,
    ReportUnreaped,
    Send,
    WorkersChanged,
)
from ostler.supervisor.events import (
    Beats,
    CapacityAsked,
    ChildExited,
    ForkFailed,
    SettingsAccepted,
    SettingsRejected,
    StopAsked,
    Tick,
    WorkerAsksToRetire,
    WorkerBootFailed,
    WorkerReady,
    WorkersDismissed,
)
from ostler.supervisor.policy import GenerationSpec
from ostler.supervisor.supervisor import Supervisor
from tests.unit.supervisor.desk import Desk, forked, logged, without_logs


def test_first_start_boots_all_workers_at_once() -> None:
    orders = Desk(workers=3).accept(1)
    assert without_logs(orders) == [
        WorkersChanged(3, None),
        Fork(age=1, slot=0, generation=1, page=0),
        Fork(age=2, slot=1, generation=1, page=1),
        Fork(age=3, slot=2, generation=1, page=2),
    ]


@pytest.mark.parametrize("status", [3, 4])
def test_first_boot_failure_ends_the_server_with_its_status(status: int) -> None:
    desk = Desk(workers=2)
    desk.accept(1)
    orders = desk.tell(WorkerBootFailed(101, status, "ImportError: x\nin app.py:1"))
    assert without_logs(orders) == [CloseListeners(), Send(102, Kick.QUIT)]
    assert "ImportError: x in app.py:1" in logged(orders)
    desk.tell(ChildExited(101, status, None))
    assert without_logs(desk.tell(ChildExited(102, 0, None))) == [ForgetGeneration(1), Finish(status)]


@pytest.mark.parametrize(("status", "signal"), [(0, None), (1, None), (4, None), (None, "SIGSEGV")])
def test_death_before_any_was_ready_ends_the_server_with_status_3(status: int | None, signal: str | None) -> None:
    desk = Desk(workers=1)
    desk.accept(1)
    assert Finish(3) in desk.tell(ChildExited(101, status, signal))


@pytest.mark.parametrize("status", [0, 1, 3, 4])
def test_exit_status_of_a_serving_worker_stops_nothing(status: int) -> None:
    desk = Desk()
    desk.start()
    orders = desk.tell(ChildExited(101, status, None, 'request="GET /x" for_s=1'), at=60)
    assert without_logs(orders) == [Fork(age=3, slot=0, generation=1, page=0)]
    assert f'worker died slot=0 gen=1 pid=101 cause="exit status {status}" request="GET /x"' in logged(orders)


def test_reload_boots_one_worker_more_and_retires_one_old_worker_for_each_that_is_ready() -> None:
    desk = Desk(workers=2)
    desk.start()
    assert forked(desk.accept(2)) == [103]
    orders = desk.tell(WorkerReady(103, 5))
    assert without_logs(orders) == [
        GenerationServes(2),
        OrderRetire(101, False),
        Fork(age=4, slot=1, generation=2, page=3),
    ]
    orders = desk.tell(WorkerReady(104, 5))
    assert without_logs(orders) == [OrderRetire(102, True)]
    assert "reload complete: generation 2 serves workers=2" in logged(orders)
    desk.tell(ChildExited(101, 0, None))
    assert ForgetGeneration(1) in desk.tell(ChildExited(102, 0, None))


def test_generation_that_does_not_start_is_dropped_and_the_old_one_keeps_serving() -> None:
    desk = Desk()
    desk.start()
    desk.accept(2)
    orders = desk.tell(WorkerBootFailed(103, 3, "ImportError in app/models.py:12"))
    expected = "reload failed: generation 2 did not start (ImportError in app/models.py:12); generation 1 keeps serving"
    assert expected in logged(orders)
    assert "degraded" in logged(orders)
    assert desk.supervisor.degraded
    assert without_logs(desk.tell(ChildExited(103, 3, None))) == [ForgetGeneration(2)]


def test_boot_timeout_dumps_then_kills_and_drops_the_generation() -> None:
    desk = Desk()
    desk.start()
    desk.accept(2, boot_timeout_s=60)
    assert desk.tell(Tick(), at=10) == [Send(103, Kick.SHOW)]
    sentence = "worker is still booting slot=0 gen=2 pid=103 for_s=10 boot_timeout_s=60"
    assert desk.tell(Tick(), at=10.4) == [ReportSlowBoot(103, sentence)]
    assert desk.tell(Tick(), at=30) == []
    orders = desk.tell(Tick(), at=60)
    assert without_logs(orders) == [Send(103, Kick.DUMP)]
    assert "reload failed: generation 2 did not start (boot timeout: not ready after 60 s)" in logged(orders)
    orders = without_logs(desk.tell(Tick(), at=60.4))
    assert orders == [
        ReportStacks(103, "worker boot timeout slot=0 gen=2 pid=103 boot_s=60.4", "boot timeout"),
        Send(103, Kick.KILL),
    ]
    assert 'cause="killed by master: boot timeout"' in logged(desk.tell(ChildExited(103, None, "SIGKILL")))


def test_hup_during_a_reload_replaces_the_candidate() -> None:
    desk = Desk()
    desk.start()
    desk.accept(2)
    orders = desk.accept(3)
    assert without_logs(orders) == [Send(103, Kick.CANCEL), Fork(age=4, slot=0, generation=3, page=3)]


def test_boot_that_was_ready_before_it_was_cancelled_retires_and_is_not_cut() -> None:
    desk = Desk()
    desk.start()
    desk.accept(2)
    desk.accept(3)
    assert without_logs(desk.tell(WorkerReady(103, 5))) == [OrderRetire(103, True)]
    assert desk.tell(Tick(), at=29) == [Send(104, Kick.SHOW)]
    assert "worker exited" in logged(desk.tell(ChildExited(103, 0, None)))


def test_boot_that_was_ready_before_the_stop_cancelled_it_finishes_too() -> None:
    desk = Desk(workers=1)
    desk.start()
    desk.accept(2)
    assert Send(102, Kick.CANCEL) in desk.tell(StopAsked(quick=False))
    assert without_logs(desk.tell(WorkerReady(102, 5))) == [OrderStop(102)]


def test_hup_while_the_first_generation_boots_starts_the_new_one_instead() -> None:
    desk = Desk(workers=1)
    desk.accept(1)
    assert without_logs(desk.accept(2)) == [Send(101, Kick.CANCEL), Fork(age=2, slot=0, generation=2, page=1)]
    assert without_logs(desk.tell(ChildExited(101, 0, None))) == [ForgetGeneration(1)]


def test_rejected_settings_change_nothing_and_name_who_serves() -> None:
    desk = Desk()
    desk.start()
    orders = desk.tell(SettingsRejected("workers: expected a positive integer"))
    assert logged(orders) == "reload failed: workers: expected a positive integer; generation 1 keeps serving"
    assert without_logs(orders) == []


def test_settings_with_more_workers_than_pages_allow_are_rejected() -> None:
    desk = Desk(pages=40)
    desk.start()
    orders = desk.accept(2, workers=21)
    assert without_logs(orders) == [ForgetGeneration(2)]
    assert "workers: 21 is above 20" in logged(orders)


def test_worker_that_asks_to_be_replaced_serves_until_its_successor_is_ready() -> None:
    desk = Desk()
    desk.start()
    assert forked(desk.tell(WorkerAsksToRetire(101, "max_requests"))) == [103]
    assert forked(desk.tell(WorkerAsksToRetire(102, "max_requests"))) == []
    orders = desk.tell(WorkerReady(103, 5))
    assert without_logs(orders) == [OrderRetire(101, False), Fork(age=4, slot=1, generation=1, page=3)]


def test_a_worker_that_leaves_by_itself_after_its_requests_is_no_early_death() -> None:
    desk = Desk(workers=1)
    desk.start()
    pid = 101
    for second in range(1, 6):
        (successor,) = forked(desk.tell(WorkerAsksToRetire(pid, "max_requests"), at=second))
        assert "die soon" not in logged(desk.tell(ChildExited(pid, 0, None)))
        desk.tell(WorkerReady(successor, 5))
        pid = successor
    (successor,) = forked(desk.tell(ChildExited(pid, 0, None), at=6))  # it did not say so
    desk.tell(WorkerReady(successor, 5))
    assert "die soon" in logged(desk.tell(ChildExited(successor, 0, None)))


def test_recycling_is_held_back_while_code_does_not_boot() -> None:
    desk = Desk()
    desk.start()
    desk.tell(WorkerAsksToRetire(101, "max_requests"))
    orders = desk.tell(WorkerBootFailed(103, 3, "SyntaxError"), at=10)
    assert "next_attempt_s=0.1" in logged(orders)
    assert without_logs(orders) == []
    assert forked(desk.tell(Tick(), at=10.1)) == [104]
    orders = desk.tell(WorkerBootFailed(104, 3, "SyntaxError"), at=11)
    assert "next_attempt_s=0.2" in logged(orders)
    assert forked(desk.tell(Tick(), at=11.2)) == [105]
    orders = desk.tell(WorkerReady(105, 5))
    assert "boots again" in logged(orders)
    assert OrderRetire(101, False) in orders


def test_changed_files_end_the_back_off_of_a_development_server() -> None:
    desk = Desk(workers=1)
    desk.start()
    desk.tell(WorkerAsksToRetire(101, "reload"))
    for age, at in ((2, 1.0), (3, 2.0), (4, 3.0), (5, 4.0)):
        desk.tell(WorkerBootFailed(100 + age, 3, "SyntaxError"), at=at)
        desk.tell(Tick(), at=at + 0.9)
    desk.tell(WorkerBootFailed(106, 3, "SyntaxError"), at=5.5)
    assert forked(desk.tell(WorkerAsksToRetire(101, "reload"), at=5.6)) == [107]


def test_silent_worker_is_dumped_reported_aborted_and_killed_while_its_successor_boots() -> None:
    desk = Desk(workers=1)
    desk.start(timeout_s=5)
    for second in range(6):
        assert desk.tell(Beats({101: 0.0}), at=second) == []
    orders = desk.tell(Beats({101: 0.0}), at=6.0)
    assert without_logs(orders) == [Send(101, Kick.DUMP), Fork(age=2, slot=0, generation=1, page=1)]
    orders = without_logs(desk.tell(Tick(), at=6.4))
    assert orders == [
        ReportStacks(101, "worker timeout slot=0 gen=1 pid=101 silent_s=6.0", "timeout"),
        Send(101, Kick.ABORT),
    ]
    assert without_logs(desk.tell(Tick(), at=7.4)) == [Send(101, Kick.KILL)]
    text = "worker outlives KILL, going on without it slot=0 gen=1 pid=101 after_s=5"
    assert desk.tell(Tick(), at=12.4) == [ReportUnreaped(101, text)]
    assert desk.tell(Tick(), at=15) == []
    assert 'cause="killed by master: timeout"' in logged(desk.tell(ChildExited(101, None, "SIGKILL")))


def test_nobody_is_held_silent_after_the_machine_slept() -> None:
    desk = Desk(workers=1)
    desk.start(timeout_s=5)
    desk.tell(Beats({101: 1.0}), at=1.0)
    assert desk.tell(Beats({101: 1.0}), at=100.0) == []
    for second in range(101, 106):
        assert desk.tell(Beats({101: 1.0}), at=float(second)) == []
    assert Send(101, Kick.DUMP) in desk.tell(Beats({101: 1.0}), at=106.0)


def test_timeout_of_zero_is_off() -> None:
    desk = Desk(workers=1)
    desk.start(timeout_s=0)
    for second in range(1, 100):
        assert desk.tell(Beats({101: 0.0}), at=second) == []


def test_retired_worker_that_does_not_finish_is_dumped_and_killed() -> None:
    desk = Desk(workers=1)
    desk.start(graceful_timeout_s=10)
    desk.tell(WorkerAsksToRetire(101, "signal"))
    desk.tell(WorkerReady(102, 5), at=1)
    assert without_logs(desk.tell(Tick(), at=11)) == [Send(101, Kick.DUMP)]
    orders = without_logs(desk.tell(Tick(), at=11.4))
    assert [type(order) for order in orders] == [ReportStacks, Send]
    assert orders[1] == Send(101, Kick.KILL)


def test_term_lets_workers_finish_and_ends_booting_ones() -> None:
    desk = Desk(workers=2)
    desk.start()
    desk.tell(CapacityAsked(+1))
    orders = desk.tell(StopAsked(quick=False))
    assert without_logs(orders) == [OrderStop(101), OrderStop(102), Send(103, Kick.CANCEL)]
    desk.tell(ChildExited(101, 0, None))
    desk.tell(ChildExited(103, 0, None))
    assert without_logs(desk.tell(ChildExited(102, 0, None))) == [Finish(0)]
    assert desk.tell(Tick(), at=1000) == []


def test_term_with_nobody_serving_closes_the_listeners_at_once() -> None:
    desk = Desk(workers=1)
    desk.accept(1)
    assert without_logs(desk.tell(StopAsked(quick=False)))[0] == CloseListeners()


def test_int_makes_a_graceful_stop_quick() -> None:
    desk = Desk(workers=1)
    desk.start()
    desk.tell(StopAsked(quick=False))
    orders = desk.tell(StopAsked(quick=True), at=3)
    assert without_logs(orders) == [CloseListeners(), Send(101, Kick.QUIT)]
    assert without_logs(desk.tell(Tick(), at=5)) == [Send(101, Kick.KILL)]
    desk.tell(Tick(), at=10)
    assert desk.supervisor.next_deadline() is None


def test_stop_does_not_wait_for_a_process_that_outlives_kill() -> None:
    desk = Desk(workers=1)
    desk.start()
    desk.tell(StopAsked(quick=True))
    desk.tell(Tick(), at=2)
    assert Finish(0) in desk.tell(Tick(), at=7)


def test_stop_before_anything_was_started_ends_at_once() -> None:
    assert Finish(0) in Supervisor(pages=10).handle(StopAsked(quick=False), 0.0)


def test_hup_during_a_stop_starts_nothing() -> None:
    desk = Desk()
    desk.start()
    desk.tell(StopAsked(quick=False))
    assert without_logs(desk.accept(2)) == [ForgetGeneration(2)]


def test_ttin_adds_a_worker_and_ttou_retires_the_oldest() -> None:
    desk = Desk(workers=2)
    desk.start()
    orders = desk.tell(CapacityAsked(+1))
    assert without_logs(orders) == [WorkersChanged(3, 2), Fork(age=3, slot=2, generation=1, page=2)]
    desk.tell(WorkerReady(103, 5))
    orders = without_logs(desk.tell(CapacityAsked(-1)))
    assert orders == [WorkersChanged(2, 3), OrderRetire(101, False, last_of_slot=True)]


def test_winch_dismisses_all_workers_and_ttin_or_hup_brings_them_back() -> None:
    desk = Desk(workers=2)
    desk.start()
    orders = without_logs(desk.tell(WorkersDismissed()))
    assert orders == [WorkersChanged(0, 2), OrderRetire(101, True, True, True), OrderRetire(102, True, True, True)]
    assert without_logs(desk.tell(WorkersDismissed())) == []
    desk.tell(ChildExited(101, 0, None))
    desk.tell(ChildExited(102, 0, None))
    assert forked(desk.tell(CapacityAsked(+1))) == [103]
    desk.tell(WorkerReady(103, 5))
    desk.tell(WorkersDismissed())
    desk.tell(ChildExited(103, 0, None))
    assert forked(desk.accept(2)) == [104]
    assert forked(desk.tell(WorkerReady(104, 5))) == [105]
    assert desk.supervisor.generations.goal == 2


def test_ttou_never_takes_the_last_worker() -> None:
    desk = Desk(workers=1)
    desk.start()
    assert "TTOU ignored" in logged(desk.tell(CapacityAsked(-1)))


def test_ttin_is_refused_when_the_pages_are_spoken_for() -> None:
    desk = Desk(workers=3, pages=6)
    desk.start()
    assert "TTIN ignored" in logged(desk.tell(CapacityAsked(+1)))


@pytest.mark.parametrize(("configured", "goal"), [(2, 3), (5, 5)])
def test_override_by_ttin_survives_hup_until_the_file_says_another_number(configured: int, goal: int) -> None:
    desk = Desk(workers=2)
    desk.start()
    desk.tell(CapacityAsked(+1))
    desk.tell(WorkerReady(103, 5))
    desk.accept(2, workers=configured)
    desk.tell(WorkerReady(104, 5))
    assert desk.supervisor.generations.goal == goal


def test_failed_fork_is_tried_again_later() -> None:
    supervisor = Supervisor(pages=10)
    [_, fork] = supervisor.handle(SettingsAccepted(GenerationSpec(1, 1, 30, 30, 300)), 0.0)
    assert isinstance(fork, Fork)
    orders = supervisor.handle(ForkFailed(fork.age, "out of memory"), 0.0)
    assert logged(orders) == 'fork failed slot=0 gen=1 next_attempt_s=0.1 error="out of memory"'
    assert supervisor.next_deadline() == 0.1
    assert [type(order) for order in supervisor.handle(Tick(), 0.1)] == [Fork]


def test_facts_about_unknown_processes_are_no_concern() -> None:
    desk = Desk()
    desk.start()
    for event in (ChildExited(7, 3, None), WorkerReady(7, 1), WorkerBootFailed(7, 3, ""), Beats({7: 0.0})):
        assert desk.tell(event) == []
