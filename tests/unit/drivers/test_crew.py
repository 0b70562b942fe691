"""drivers/crew.py: who leads, and who may run the application."""

import threading

from ostler.drivers.crew import Crew


def test_permits_are_numbered_rows():
    crew = Crew(2)
    assert crew.has_permit
    assert not crew.permits_out
    assert {crew.take_permit(), crew.take_permit()} == {0, 1}
    assert crew.take_permit() is None
    assert not crew.has_permit
    crew.give_back(1)
    assert crew.has_permit
    assert crew.permits_out
    assert crew.take_permit() == 1
    crew.give_back(0)
    crew.give_back(1)
    assert not crew.permits_out


def test_the_baton_lies_on_the_table_at_first_and_is_one():
    crew = Crew(1)
    assert crew.pick_up()
    assert not crew.pick_up()
    crew.lay_down()
    assert crew.pick_up()
    assert not crew.pick_up()


def standing_by(crew):
    """A thread that stands by, the list it puts its answer in, and the event that it has one."""
    answers, answered = [], threading.Event()

    def stand_by():
        answers.append(crew.stand_by())
        answered.set()

    thread = threading.Thread(target=stand_by)
    thread.start()
    return thread, answers, answered


def test_the_standby_takes_the_baton_of_a_long_call():
    crew = Crew(1)
    crew.pick_up()
    thread, answers, answered = standing_by(crew)
    crew.lay_down()
    assert answered.wait(10)
    assert answers == [True]
    assert not crew.pick_up()
    thread.join()


def test_a_standby_that_dozes_wakes_up_for_a_call():
    crew = Crew(1)
    crew.pick_up()
    thread, answers, answered = standing_by(crew)
    while not crew._dozing:
        assert thread.is_alive()
    crew.lay_down()
    assert answered.wait(10)
    assert answers == [True]
    thread.join()


def test_short_calls_keep_the_lead():
    crew = Crew(1)
    crew.pick_up()
    thread, answers, _ = standing_by(crew)
    kept = 0
    for _ in range(20_000):
        crew.lay_down()
        if not crew.pick_up():
            break  # this machine was busy with something else for some milliseconds
        kept += 1
    assert kept > 0
    crew.dismiss()
    thread.join()
    assert answers in ([False], [True])


def test_dismiss_lets_every_standby_leave():
    crew = Crew(1)
    crew.pick_up()
    standbys = [standing_by(crew) for _ in range(3)]
    crew.dismiss()
    for thread, answers, _ in standbys:
        thread.join(10)
        assert answers == [False]
    assert not crew.stand_by()


def test_only_one_of_many_standbys_takes_the_baton():
    crew = Crew(1)
    crew.pick_up()
    standbys = [standing_by(crew) for _ in range(3)]
    crew.lay_down()
    while not any(answered.is_set() for _, _, answered in standbys):
        assert any(thread.is_alive() for thread, _, _ in standbys)
    crew.dismiss()
    for thread, _, _ in standbys:
        thread.join(10)
    assert sorted(answers[0] for _, answers, _ in standbys) == [False, False, True]


def test_the_lead_is_handed_back():
    crew = Crew(1)
    crew.pick_up()  # the standby leads
    woken = threading.Event()
    back = threading.Thread(target=crew.reclaim, args=(woken.set,))
    back.start()
    assert woken.wait(10)
    assert crew.wanted
    crew.hand_back()
    back.join(10)
    assert not back.is_alive()
    assert not crew.wanted
    assert not crew.pick_up()


def test_reclaim_takes_a_baton_that_lies_there():
    crew = Crew(1)
    crew.reclaim(lambda: None)
    assert not crew.pick_up()


def test_reclaim_gives_up_when_all_is_over():
    crew = Crew(1)
    crew.pick_up()
    crew.dismiss()
    crew.reclaim(lambda: None)
    assert not crew.wanted
