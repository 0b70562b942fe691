"""observe/pressure.py: what workers say of their load, and what is added up."""

import time

import pytest

from ostler.observe.pressure import CpuShare, Pressures


def test_each_has_its_own_line():
    pressures = Pressures(3)
    pressures.of(0).tell(0.25, 3, 12.5)
    pressures.of(2).tell(1.0, 1, 2.0)
    lines = [pressures.of(index) for index in range(3)]
    assert [(line.busy, line.waiting, line.since) for line in lines] == [(0.25, 3, 12.5), (0.0, 0, 0.0), (1.0, 1, 2.0)]


def test_what_was_shed_is_added_up():
    pressures = Pressures(3)
    for index in (0, 0, 2):
        pressures.of(index).count_shed()
    assert [pressures.of(index).shed for index in range(3)] == [2, 0, 1]
    assert pressures.shed == 3


def test_the_share_of_a_cpu_is_that_since_the_last_look(monkeypatch):
    used = iter([1.0, 1.5, 3.5])
    monkeypatch.setattr(time, "process_time", lambda: next(used))
    line = Pressures(1).of(0)
    share = CpuShare(line)
    share.tell(100.0)
    assert line.busy == 0.0
    share.tell(101.0)
    assert line.busy == pytest.approx(0.5)
    share.tell(101.2)  # too soon to say anything
    share.tell(103.0)
    assert line.busy == pytest.approx(1.0)
