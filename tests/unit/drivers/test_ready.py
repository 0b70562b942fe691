"""drivers/ready.py: the oldest, and between them one line for each path in turn."""

from dataclasses import dataclass
from random import Random

from ostler.drivers.ready import Ready


@dataclass
class Head:
    path: str


@dataclass
class Exchange:
    head: Head


@dataclass(eq=False)
class Asking:
    """As much of a client as matters here."""

    name: str
    exchange: Exchange
    since: float = 0.0

    @classmethod
    def of(cls, name, path):
        return cls(name, Exchange(Head(path)))


def waiting(*clients):
    ready = Ready()
    for client in clients:
        ready.add(Asking.of(*client))
    return ready


def names(ready):
    found = []
    while (client := ready.take()) is not None:
        found.append(client.name)
    return found


def test_nobody_waits_at_first():
    ready = Ready()
    assert not ready.waiting
    assert ready.take() is None


def test_who_asks_for_the_same_is_served_in_the_order_of_coming():
    ready = waiting(*((str(number), "/") for number in range(5)))
    assert ready.waiting == 5
    assert names(ready) == ["0", "1", "2", "3", "4"]
    assert not ready.waiting


def test_who_asks_for_something_else_each_is_served_in_the_order_of_coming():
    assert names(waiting(*((str(number), f"/{number}") for number in range(5)))) == ["0", "1", "2", "3", "4"]


def test_a_crowd_at_one_page_does_not_make_others_wait():
    crowd = [(f"crowd {number}", "/large") for number in range(100)]
    ready = waiting(*crowd, ("somebody", "/"), ("somebody else", "/page"))
    assert names(ready)[:4] == ["crowd 0", "somebody", "crowd 1", "somebody else"]


def test_who_asks_for_many_paths_gains_half_of_the_turns_at_most():
    crawler = [(f"crawler {number}", f"/{number}") for number in range(50)]
    page = [(f"page {number}", "/page") for number in range(50)]
    ready = waiting(*(client for pair in zip(page, crawler, strict=True) for client in pair))
    first = names(ready)[:40]
    assert sum(name.startswith("page") for name in first) >= 10


def test_everybody_gets_a_turn_once_however_they_come():
    ready = Ready()
    random = Random(7)
    asking = [Asking.of(number, f"/{random.randrange(5)}") for number in range(500)]
    found = []
    for client in asking:
        ready.add(client)
        if random.random() < 0.7:
            taken = ready.take()
            if random.random() < 0.1:
                ready.put_back(taken)
            else:
                found.append(taken.name)
    found += names(ready)
    assert sorted(found) == list(range(500))
    assert not ready._all
    assert not ready._lines


def test_a_line_that_was_empty_gets_its_turn_behind_those_who_wait():
    ready = waiting(("a 1", "/a"), ("a 2", "/a"), ("b 1", "/b"), ("b 2", "/b"))
    assert ready.take().name == "a 1"
    ready.add(Asking.of("c 1", "/c"))
    assert names(ready) == ["b 1", "a 2", "c 1", "b 2"]


def test_who_is_put_back_is_the_first_of_its_line():
    ready = waiting(("one", "/"), ("two", "/"))
    client = ready.take()
    ready.put_back(client)
    assert ready.waiting == 2
    assert names(ready) == ["one", "two"]


def test_who_has_waited_too_long_is_withdrawn_oldest_first():
    ready = Ready()
    clients = [Asking(str(since), Exchange(Head("/a")), since) for since in (3.0, 1.0, 5.0, 2.0)]
    for client in clients:
        ready.add(client)
    assert ready.oldest_since == 1.0
    late = ready.withdraw(4.0, lambda client: client.name != "2.0", 64)
    assert [client.name for client in late] == ["1.0", "3.0"]
    assert ready.waiting == 2
    assert names(ready) == ["5.0", "2.0"]
    assert ready.oldest_since == 0.0
    assert ready.withdraw(9.0, lambda client: True, 64) == []


def test_no_more_are_withdrawn_than_asked_for():
    ready = Ready()
    for since in range(1, 9):
        ready.add(Asking(str(since), Exchange(Head(f"/{since}")), float(since)))
    assert [client.name for client in ready.withdraw(9.0, lambda client: True, 3)] == ["1", "2", "3"]
    assert ready.waiting == 5


def test_what_is_withdrawn_leaves_nothing_behind_though_somebody_waits_for_ever():
    ready = Ready()
    ready.add(Asking("health", Exchange(Head("/health")), 1.0))
    late = Asking("late", Exchange(Head("/late")), 2.0)
    for _ in range(1000):
        ready.add(late)
        assert ready.withdraw(9.0, lambda client: client is late, 64) == [late]
    assert (len(ready._all), len(ready._lines), ready.waiting) == (1, 1, 1)
    assert names(ready) == ["health"]
