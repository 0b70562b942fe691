"""roles/incidents.py"""

from ostler.roles.incidents import Incidents
from ostler.supervisor.actions import Level


def test_the_last_ones_come_newest_first_and_the_oldest_are_forgotten():
    incidents = Incidents()
    for number in range(60):
        incidents.note(Level.ERROR, f"worker died pid={number}")
    assert [each.text for each in incidents.last(2)] == ["worker died pid=59", "worker died pid=58"]
    assert len(incidents.last()) == len(incidents.last(1000)) == 50
    assert incidents.total == 60
    assert incidents.last(0) == incidents.last(-1) == []


def test_news_is_no_incident_and_stacks_stay_in_the_log():
    incidents = Incidents()
    incidents.note(Level.INFO, "worker ready")
    incidents.note(Level.WARNING, "worker timeout pid=1\nThread 0x1 (most recent call first):\n" + "x" * 100_000)
    incidents.note(Level.ERROR, "long " * 10_000)
    last, first = incidents.last()
    assert (first.level, first.text) == (Level.WARNING, "worker timeout pid=1")
    assert len(last.text) == 2000
    assert last.at_monotonic >= first.at_monotonic > 0
    assert first.at_wall > 1e9
