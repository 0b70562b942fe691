"""`cpu_affinity` as it is written, and what each slot gets."""

import pytest

from ostler.config import affinity
from ostler.config.affinity import of_slot, read_affinity
from ostler.config.parse import BadValue


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    monkeypatch.setattr(affinity, "usable", lambda: frozenset({0, 1, 2, 3, 6}))


@pytest.mark.parametrize("raw", ["", "  ", None, [], ()])
def test_nothing_leaves_it_to_the_system(raw):
    assert read_affinity(raw) == ()
    assert of_slot((), 5) == frozenset()


@pytest.mark.parametrize("raw", ["auto", " AUTO ", ["auto"]])
def test_auto_is_one_usable_cpu_for_each_slot_in_turn(raw):
    sets = read_affinity(raw)
    assert [set(of_slot(sets, slot)) for slot in range(7)] == [{0}, {1}, {2}, {3}, {6}, {0}, {1}]


@pytest.mark.parametrize(
    ("raw", "sets"),
    [
        ("0-1; 2,3", [{0, 1}, {2, 3}]),
        (["0-1", "2,3"], [{0, 1}, {2, 3}]),
        ([0, 1, "6"], [{0}, {1}, {6}]),
        ("0,2-3,6", [{0, 2, 3, 6}]),
    ],
)
def test_a_list_says_it_slot_by_slot(raw, sets):
    assert [set(each) for each in read_affinity(raw)] == sets


@pytest.mark.parametrize("raw", ["x", "1-", "3-1", "0;;1", ["0", None], [True], [[0]], 5, {"a": 1}, "-1", "1e3", [-1]])
def test_what_is_no_list_of_cpus_is_refused(raw):
    with pytest.raises(BadValue) as caught:
        read_affinity(raw)
    assert "auto" in str(caught.value)


@pytest.mark.parametrize(("raw", "missing"), [("4", "4"), ("0-7", "4-5,7"), (["0", "99999"], "99999")])
def test_cpus_that_cannot_be_used_are_named(raw, missing):
    with pytest.raises(BadValue) as caught:
        read_affinity(raw)
    assert "CPUs out of 0-3,6" in str(caught.value)
    assert f"may not use {missing} " in str(caught.value)


def test_elsewhere_it_is_refused(monkeypatch):
    monkeypatch.setattr(affinity, "usable", frozenset)
    assert read_affinity("") == ()
    with pytest.raises(BadValue, match="binds no process to a CPU"):
        read_affinity("auto")
