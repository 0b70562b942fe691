"""Molds fact by fact; pids are 100 + age, and the first mold is 101."""

import pytest

from ostler.supervisor.actions import (
    Finish,
    ForgetGeneration,
    Fork,
    GenerationServes,
    Kick,
    OrderRetire,
    ReloadEnded,
    ReportStacks,
    Send,
    StartMold,
    WorkersChanged,
)
from ostler.supervisor.events import (
    CapacityAsked,
    ChildExited,
    Forked,
    ForkFailed,
    MoldDeclined,
    MoldReady,
    SettingsAccepted,
    Tick,
    WorkerAsksToRetire,
    WorkerBootFailed,
    WorkerReady,
)
from ostler.supervisor.policy import GenerationSpec
from ostler.supervisor.supervisor import Supervisor
from tests.unit.supervisor.desk import Desk, ended, logged, preloaded, without_logs


def test_generation_that_preloads_starts_with_its_mold_which_forks_the_workers() -> None:
    desk = Desk(workers=2)
    orders = desk.accept(1, preload=True)
    assert without_logs(orders) == [WorkersChanged(2, None), StartMold(age=1, generation=1)]
    assert logged(orders) == "mold booting gen=1 pid=101"
    orders = desk.tell(MoldReady(101, 312))
    assert without_logs(orders) == [Fork(2, 0, 1, page=0, mold=101), Fork(3, 1, 1, page=1, mold=101)]
    assert "mold ready gen=1 pid=101 boot_ms=312" in logged(orders)


def test_mold_that_does_not_start_first_ends_the_server_with_its_status() -> None:
    desk = Desk(workers=2)
    desk.accept(1, preload=True)
    orders = desk.tell(WorkerBootFailed(101, 4, "no application"))
    assert "mold did not start gen=1 pid=101 (no application); nothing serves yet: stopping" in logged(orders)
    assert Finish(4) in desk.tell(ChildExited(101, 4, None))


def test_reload_makes_a_mold_first_and_lets_the_former_one_go_when_it_is_complete() -> None:
    desk = preloaded(workers=1)
    assert without_logs(desk.accept(2, preload=True)) == [StartMold(3, 2)]
    assert without_logs(desk.tell(MoldReady(103, 5))) == [Fork(4, 0, 2, page=1, mold=103)]
    orders = desk.tell(WorkerReady(104, 5))
    assert without_logs(orders) == [GenerationServes(2), OrderRetire(102, True)]
    assert ended(orders) == [ReloadEnded(True, 2, "reload complete: generation 2 serves workers=1", 2)]
    assert without_logs(desk.tell(Tick())) == [Send(101, Kick.QUIT)]
    desk.tell(ChildExited(102, 0, None))
    orders = desk.tell(ChildExited(101, 0, None))
    assert ForgetGeneration(1) in orders
    assert "mold exited gen=1 pid=101" in logged(orders)


def test_mold_of_a_reload_that_does_not_start_ends_it_and_no_worker_is_worse_off() -> None:
    desk = preloaded()
    desk.accept(2, preload=True)
    orders = desk.tell(WorkerBootFailed(104, 3, "SyntaxError"))
    text = "reload failed: generation 2 did not start (SyntaxError); generation 1 keeps serving"
    assert ended(orders) == [ReloadEnded(False, 1, text, 2)]
    assert logged(orders) == text
    assert desk.supervisor.degraded == ""  # the mold of generation 1 has its code


def test_mold_that_died_is_made_anew_and_its_workers_are_not_replaced() -> None:
    desk = preloaded()
    orders = desk.tell(ChildExited(101, None, "SIGKILL"), at=60)
    assert without_logs(orders) == [StartMold(4, 1)]
    assert logged(orders).startswith(
        'mold died gen=1 pid=101 cause="signal SIGKILL, not sent by the master; out of memory?"; '
        "a new mold loads the code that is on disk now"
    )
    assert without_logs(desk.tell(MoldReady(104, 5))) == []
    orders = desk.tell(ChildExited(102, None, "SIGSEGV"), at=120)
    assert without_logs(orders) == [Fork(5, 0, 1, page=0, mold=104)]


def test_mold_that_cannot_come_back_backs_off_and_the_server_is_degraded() -> None:
    desk = preloaded()
    desk.tell(ChildExited(101, None, "SIGKILL"), at=60)
    orders = desk.tell(WorkerBootFailed(104, 3, "SyntaxError"), at=61)
    assert "mold did not start gen=1 pid=104 (SyntaxError) attempts=1 next_attempt_s=0.1" in logged(orders)
    assert desk.supervisor.degraded == "the mold of generation 1 did not start (SyntaxError)"
    assert without_logs(desk.tell(Tick(), at=61.1)) == [StartMold(5, 1)]
    assert "no longer degraded" in logged(desk.tell(MoldReady(105, 5)))


def test_mold_that_declines_leaves_loading_to_the_workers() -> None:
    desk = Desk(workers=1)
    desk.accept(1, preload=True)
    orders = desk.tell(MoldDeclined(101, "threads=2"))
    assert without_logs(orders) == [Send(101, Kick.QUIT), Fork(2, 0, 1, page=0)]
    assert 'mold declines, workers load the application by themselves gen=1 pid=101 reason="threads=2"' in logged(
        orders
    )


def test_changed_files_renew_the_mold_before_the_workers() -> None:
    desk = preloaded()
    assert without_logs(desk.tell(WorkerAsksToRetire(102, "reload"), at=1.0)) == []
    assert desk.supervisor.next_deadline() == 1.2
    assert without_logs(desk.tell(WorkerAsksToRetire(103, "reload"), at=1.1)) == []  # the same change, or one more
    assert without_logs(desk.tell(Tick(), at=1.2)) == []
    assert without_logs(desk.tell(Tick(), at=1.3)) == [StartMold(4, 1)]
    orders = without_logs(desk.tell(MoldReady(104, 5)))
    assert orders == [Send(101, Kick.QUIT), Fork(5, 0, 1, page=2, mold=104)]
    orders = without_logs(desk.tell(WorkerReady(105, 5)))
    assert orders == [OrderRetire(102, False), Fork(6, 1, 1, page=3, mold=104)]


def test_worker_that_sees_a_change_late_has_one_more_mold_made_and_none_ended() -> None:
    """It may be the same change, or one that the mold has not read."""
    desk = preloaded()
    desk.tell(WorkerAsksToRetire(102, "reload"), at=1.0)
    assert without_logs(desk.tell(Tick(), at=1.25)) == [StartMold(4, 1)]
    assert without_logs(desk.tell(WorkerAsksToRetire(103, "reload"), at=1.5)) == []
    assert without_logs(desk.tell(MoldReady(104, 5), at=2.0)) == [Send(101, Kick.QUIT), StartMold(5, 1)]
    orders = without_logs(desk.tell(MoldReady(105, 5), at=3.0))
    assert orders == [Send(104, Kick.QUIT), Fork(6, 0, 1, page=2, mold=105)]


def test_files_that_change_again_while_the_mold_boots_have_it_made_anew() -> None:
    desk = preloaded(workers=1)
    desk.tell(WorkerAsksToRetire(102, "reload"))
    assert without_logs(desk.tell(Tick(), at=0.25)) == [StartMold(3, 1)]
    assert without_logs(desk.tell(WorkerAsksToRetire(102, "reload"), at=1.0)) == [Send(103, Kick.QUIT)]
    assert without_logs(desk.tell(Tick(), at=1.25)) == [StartMold(4, 1)]


def silent_mold() -> Supervisor:
    """Its mold, 7, has not answered the first fork, ordered at 1.0."""
    supervisor = Supervisor(pages=10)
    supervisor.handle(SettingsAccepted(GenerationSpec(1, 1, 30, 30, 300, preload=True)), 0.0)
    supervisor.handle(Forked(1, 7), 0.0)
    assert without_logs(supervisor.handle(MoldReady(7, 5), 1.0)) == [Fork(2, 0, 1, page=0, mold=7)]
    return supervisor


def test_mold_that_does_not_answer_a_fork_is_dumped_and_killed() -> None:
    supervisor = silent_mold()
    supervisor.handle(Forked(2, 8), 1.1)
    supervisor.handle(WorkerReady(8, 5), 1.2)
    supervisor.handle(CapacityAsked(+1), 2.0)
    assert supervisor.next_deadline() == 12.0
    orders = supervisor.handle(Tick(), 12.0)
    assert Send(7, Kick.DUMP) in orders
    assert "its mold did not fork it within 10 s" in logged(orders)
    orders = supervisor.handle(Tick(), 12.4)
    assert orders[:2] == [
        ReportStacks(7, "mold does not fork gen=1 pid=7 asked_s=10.0", "fork timeout"),
        Send(7, Kick.KILL),
    ]
    assert [type(order) for order in without_logs(supervisor.handle(ForkFailed(3, "the mold is gone"), 12.5))] == []


@pytest.mark.parametrize(("at", "told"), [(12.0, Kick.QUIT), (13.5, Kick.KILL)])
def test_worker_that_is_forked_after_it_was_given_up_has_to_leave(at: float, told: Kick) -> None:
    supervisor = silent_mold()
    supervisor.handle(Tick(), 11.0)
    supervisor.handle(Tick(), at)
    assert Send(8, told) in supervisor.handle(Forked(2, 8), at)


def test_worker_that_nobody_waits_for_is_killed() -> None:
    assert silent_mold().handle(Forked(77, 8), 2.0) == [Send(8, Kick.KILL)]


def test_fork_that_ends_with_its_mold_does_not_count_as_refused_by_the_system() -> None:
    supervisor = silent_mold()
    supervisor.handle(Forked(2, 8), 1.1)
    supervisor.handle(WorkerReady(8, 5), 1.2)
    supervisor.handle(CapacityAsked(+1), 20.0)
    supervisor.handle(ChildExited(7, None, "SIGKILL"), 20.0)
    assert supervisor.handle(ForkFailed(3, "the mold is gone"), 20.1) == []
