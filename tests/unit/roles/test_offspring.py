"""roles/offspring.py: whose children are noted when, and that each is let go of once."""

import logging
from types import SimpleNamespace

import pytest

from ostler.roles import offspring as module
from ostler.roles.offspring import Offspring
from ostler.supervisor.actions import Kick

LOG = logging.getLogger("offspring")


class Below:
    """A process below a worker."""

    def __init__(self, pid, started=1, lives=True):
        self.pid, self.started, self.lives = pid, started, lives
        self.closed = 0

    def kill(self):
        was, self.lives = self.lives, False
        return was

    def close(self):
        self.closed += 1


class Family:
    """What /proc shows, by worker."""

    def __init__(self, monkeypatch):
        self.of = {}
        self.seen = []
        monkeypatch.setattr(module, "descendants", self._descendants)

    def _descendants(self, pid):
        found = [Below(*each) for each in self.of.get(pid, ())]
        self.seen += found
        return found


@pytest.fixture
def family(monkeypatch):
    return Family(monkeypatch)


def worker(pid, *, kill=True, mold=False):
    settings = SimpleNamespace(kill_worker_children=kill)
    return SimpleNamespace(pid=pid, facts=None if mold else object(), generation=SimpleNamespace(settings=settings))


def end(offspring):
    """And more than a second later."""
    offspring.end(7)
    offspring.look(LOG, last=True)


def test_they_have_a_second_to_end_by_themselves(family, monkeypatch):
    """As multiprocessing's resource tracker does, when it has removed what its parent left."""
    family.of[7] = [(71,)]
    now = 100.0
    monkeypatch.setattr(module, "_monotonic", lambda: now)
    offspring = Offspring()
    offspring.note(worker(7), Kick.KILL)
    offspring.end(7)
    now = 100.9
    offspring.look(LOG)
    assert family.seen[0].lives
    now = 101.0
    offspring.look(LOG)
    assert not family.seen[0].lives


def test_a_child_lets_go_of_all_that_is_held(family):
    family.of = {7: [(71,)], 8: [(81,)]}
    offspring = Offspring()
    offspring.note(worker(7), Kick.KILL)
    offspring.end(7)
    offspring.note(worker(8), Kick.ABORT)
    offspring.close_in_child()
    assert [each.closed for each in family.seen] == [1, 1]


def test_they_are_noted_before_abort_and_killed_when_the_worker_is_reaped(family, caplog):
    family.of[7] = [(71,), (72,)]
    offspring = Offspring()
    offspring.note(worker(7), Kick.ABORT)
    assert all(each.lives for each in family.seen)
    end(offspring)
    assert not any(each.lives for each in family.seen)
    assert [each.closed for each in family.seen] == [1, 1]
    assert "killed with it pid=7 children=71,72" in caplog.text
    caplog.clear()
    end(offspring)
    assert not caplog.text


def test_what_came_between_abort_and_kill_is_noted_too_and_nothing_is_held_twice(family, caplog):
    family.of[7] = [(71,)]
    offspring = Offspring()
    offspring.note(worker(7), Kick.ABORT)
    family.of[7] = [(71,), (72,), (71, 2)]  # the last has the number of the first, and is another
    offspring.note(worker(7), Kick.KILL)
    end(offspring)
    assert [each.closed for each in family.seen] == [1, 1, 1, 1]
    assert "children=71,72,71" in caplog.text


@pytest.mark.parametrize("kick", [Kick.QUIT, Kick.CANCEL, Kick.DUMP])
def test_other_signals_leave_children_alone(family, caplog, kick):
    family.of[7] = [(71,)]
    offspring = Offspring()
    offspring.note(worker(7), kick)
    end(offspring)
    assert family.seen == []
    assert not caplog.text


def test_molds_and_whoever_turned_it_off_keep_theirs(family):
    family.of = {7: [(71,)], 8: [(81,)]}
    offspring = Offspring()
    offspring.note(worker(7, mold=True), Kick.KILL)
    offspring.note(worker(8, kill=False), Kick.KILL)
    assert family.seen == []


def test_a_fork_bomb_makes_one_line(family, caplog):
    family.of[7] = [(pid,) for pid in range(100, 125)]
    offspring = Offspring()
    offspring.note(worker(7), Kick.KILL)
    end(offspring)
    assert "children=100,101,102,103,104,105,106,107,108,109 and=15" in caplog.text


def test_those_that_are_gone_are_no_news(family, caplog):
    family.of[7] = [(71, 1, False)]
    offspring = Offspring()
    offspring.note(worker(7), Kick.KILL)
    end(offspring)
    assert not caplog.text
