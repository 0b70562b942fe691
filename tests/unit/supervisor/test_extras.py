"""What an embedder's own Arbiter asks for: one more for now, one that is to go, the oldest that are to go."""

from ostler.supervisor.actions import Action, Fork, Kick, OrderRetire, Send
from ostler.supervisor.events import (
    CapacityAsked,
    ChildExited,
    ExtraAsked,
    ExtrasOver,
    StopAsked,
    WorkerReady,
    WorkersDismissed,
    WorkerUnwanted,
)
from tests.unit.supervisor.desk import Desk, forked, logged, preloaded, without_logs


def retired(orders: list[Action]) -> list[int]:
    return [order.pid for order in orders if isinstance(order, OrderRetire)]


def test_extra_worker_boots_beside_the_goal_and_stays() -> None:
    desk = Desk(workers=2)
    desk.start()
    assert forked(desk.tell(ExtraAsked())) == [103]
    assert without_logs(desk.tell(WorkerReady(103, 5))) == []
    assert forked(desk.tell(ChildExited(101, 0, None))) == [104], "the dead are replaced, up to the goal and the extra"


def test_worker_that_is_sent_away_goes_when_the_extra_one_serves() -> None:
    desk = Desk(workers=2)
    desk.start()
    desk.tell(ExtraAsked())
    assert without_logs(desk.tell(WorkerUnwanted(102))) == []
    assert retired(desk.tell(WorkerReady(103, 5))) == [102]
    assert without_logs(desk.tell(ChildExited(102, 0, None))) == [], "it is not replaced: its successor serves"


def test_as_many_boots_as_were_asked_for_go_on_though_their_predecessors_are_sent_away() -> None:
    desk = Desk(workers=4)
    desk.start()
    assert forked(desk.tell(ExtraAsked()) + desk.tell(ExtraAsked())) == [105, 106]
    assert without_logs(desk.tell(WorkerUnwanted(101)) + desk.tell(WorkerUnwanted(102))) == []
    assert retired(desk.tell(WorkerReady(105, 5))) == [101]
    assert retired(desk.tell(WorkerReady(106, 5))) == [102]


def test_worker_that_is_sent_away_without_an_extra_one_is_replaced_first() -> None:
    desk = Desk(workers=2)
    desk.start()
    orders = desk.tell(WorkerUnwanted(101))
    assert forked(orders) == [103]
    assert retired(orders) == []
    assert retired(desk.tell(WorkerReady(103, 5))) == [101]


def test_to_send_a_worker_away_twice_is_to_do_it_once() -> None:
    desk = Desk(workers=2)
    desk.start()
    desk.tell(ExtraAsked())
    desk.tell(WorkerUnwanted(101))
    desk.tell(WorkerUnwanted(101))
    assert retired(desk.tell(WorkerReady(103, 5))) == [101]
    assert without_logs(desk.tell(WorkerUnwanted(101)) + desk.tell(WorkerUnwanted(999))) == []


def test_when_the_extras_are_over_as_many_of_the_oldest_go() -> None:
    desk = Desk(workers=2)
    desk.start()
    desk.tell(ExtraAsked())
    assert without_logs(desk.tell(ExtrasOver())) == [], "nobody goes before the successor serves"
    assert retired(desk.tell(WorkerReady(103, 5))) == [101]
    assert without_logs(desk.tell(ExtrasOver())) == []


def test_extras_behind_a_mold_are_forked_by_it() -> None:
    desk = preloaded(2)
    assert [order.mold for order in desk.tell(ExtraAsked()) if isinstance(order, Fork)] == [101]


def test_that_there_is_no_room_for_more_is_told_once() -> None:
    desk = Desk(workers=1)
    desk.start()
    orders = [order for _ in range(200) for order in desk.tell(ExtraAsked())]
    assert logged(orders).count("made room for") == 1


def test_reload_and_dismissal_begin_from_the_goal_again() -> None:
    desk = Desk(workers=2)
    desk.start()
    desk.tell(ExtraAsked())
    desk.tell(WorkerReady(103, 5))
    assert retired(desk.tell(WorkersDismissed())) == [101, 102, 103]
    assert without_logs(desk.tell(ExtraAsked())) == [], "nobody is wanted at all"
    assert len(forked(desk.tell(CapacityAsked(+1)))) == 1


def test_extras_have_a_limit_which_is_said() -> None:
    desk = Desk(workers=2, pages=6)
    desk.start()
    assert len(forked(desk.tell(ExtraAsked()))) == 1
    orders = desk.tell(ExtraAsked())
    assert forked(orders) == []
    assert "3 workers are the most" in logged(orders)


def test_server_that_stops_starts_no_extra_worker() -> None:
    desk = Desk(workers=1)
    desk.start()
    desk.tell(StopAsked(quick=False))
    assert forked(desk.tell(ExtraAsked())) == []
    assert Send(101, Kick.QUIT) not in desk.tell(WorkerUnwanted(101))
