from ostler.supervisor.handle import State
from ostler.supervisor.roster import Roster


def test_pages_come_back_when_the_process_is_reaped_and_lowest_first() -> None:
    roster = Roster(pages=3)
    handles = [roster.add(slot, 1, 0.0) for slot in range(3)]
    assert roster.free_pages == 0
    handles[1].enter(State.KILLED, None)
    assert roster.free_pages == 0
    roster.remove(handles[1].age)
    assert roster.add(1, 1, 0.0).page == 1


def test_slot_of_a_leaving_process_is_free() -> None:
    roster = Roster(pages=5)
    first, _ = roster.add(0, 1, 0.0), roster.add(1, 1, 0.0)
    assert roster.free_slot() == 2
    first.enter(State.RETIRING, 1.0)
    assert roster.free_slot() == 0


def test_ages_never_come_again_and_pids_may() -> None:
    roster = Roster(pages=2)
    first = roster.add(0, 1, 0.0)
    roster.started(first.age, 42)
    assert roster.find(42) is first
    roster.remove(first.age)
    assert roster.find(42) is None
    second = roster.add(0, 1, 0.0)
    roster.started(second.age, 42)
    assert second.age == first.age + 1
    assert roster.find(42) is second
