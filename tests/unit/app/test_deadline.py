"""The deadline of an application call, and how long calls may take by their path: app/deadline.py."""

from math import inf
from time import monotonic

import pytest

from ostler import real
from ostler.app.deadline import STATUS, UNLIMITED, Deadline, Limits
from ostler.app.wsgi_input import ClientGone
from ostler.http import limits as http_limits
from ostler.http.head import RequestHead
from ostler.http.parse import parse_head

LIMIT_S = 1000.0
LATE = inf
"""Far behind all deadlines."""


class Watch:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.lock = real.make_lock()
        self.limits = Limits(LIMIT_S, 0, {})
        self.told: list[str] = []

    def begin(self, deadline: Deadline) -> None:
        self.told.append("begin")

    def moved(self, deadline: Deadline) -> None:
        assert self.lock.locked()
        self.told.append("moved")

    def forget(self, deadline: Deadline) -> None:
        assert self.lock.locked()
        self.told.append("forget")


class Noted(Deadline):
    """Writes down how its client was told."""

    def __init__(self, watch: Watch, head: RequestHead) -> None:
        super().__init__(watch, head, LIMIT_S, 2 * LIMIT_S, monotonic())
        self.answers: list[bool] = []

    def _answer(self, silent: bool) -> bool:
        self.answers.append(silent)
        return silent


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def deadline(watch: Watch) -> Noted:
    return Noted(watch, parse_head(b"GET /a HTTP/1.1\r\nHost: x", http_limits.Limits()))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", 30.0),
        ("/reports", 300.0),
        ("/reports/1", 300.0),
        ("/reports/live", inf),
        ("/reports/live/7", inf),
        ("/reportsonly", 30.0),
        ("/%72eports", 300.0),
        ("/static", 30.0),
        ("/static/x.css", 2.0),
        ("*", 30.0),
        ("/caf%C3%A9/1", 7.0),
        ("/caf\u00c3\u00a9", 7.0),
        ("/a%20b", 8.0),
    ],
)
def test_the_longest_prefix_counts(path: str, expected: float) -> None:
    limits = Limits(30, 0, {"/reports": 300, "/reports/live": 0, "/static/": 2, "/caf\u00e9": 7, "/a%20b": 8})
    assert limits.of(path) == expected
    assert limits.shortest_s == 2


def test_the_hard_limit_is_as_much_later_everywhere_or_twice_as_long() -> None:
    assert Limits(30, 0, {}).margin_s(30) == 30
    assert Limits(30, 0, {"/a": 300}).margin_s(300) == 300
    assert Limits(30, 45, {"/a": 300}).margin_s(300) == 15
    assert Limits(0, 0, {}).of("/") == inf
    assert Limits(0, 0, {}).shortest_s == inf
    assert Limits(0, 0, {"/a": 5}).shortest_s == 5


def test_without_a_deadline_there_is_always_time() -> None:
    assert UNLIMITED.remaining() == inf
    UNLIMITED.extend(1)
    assert UNLIMITED.remaining() == inf


def test_what_is_left_can_be_read_and_extended(deadline: Noted, watch: Watch) -> None:
    assert LIMIT_S - 10 < deadline.remaining() <= LIMIT_S
    deadline.extend(5)
    assert 4 < deadline.remaining() <= 5
    assert deadline.hard_at - deadline.soft_at == pytest.approx(2 * LIMIT_S)
    deadline.extend(0)
    assert deadline.remaining() == 0
    assert watch.told == ["moved", "moved"]
    for nonsense in (-1, float("nan")):
        with pytest.raises(ValueError, match="expected seconds"):
            deadline.extend(nonsense)


def test_the_watchdog_speaks_where_nothing_was_said(deadline: Noted) -> None:
    assert deadline.seize(LATE)
    assert deadline.answers == [True]
    assert deadline.answered
    for says in (lambda: deadline.speak(True), lambda: deadline.speak(False), deadline.hand_over):
        with pytest.raises(ClientGone, match="request_timeout"):
            says()
    assert not deadline.left


def test_a_response_that_has_begun_is_broken_off(deadline: Noted) -> None:
    deadline.speak(True)
    deadline.speak(True)
    assert deadline.seize(LATE)
    assert deadline.answers == [False]
    assert deadline.spoken_for
    assert not deadline.answered
    with pytest.raises(ClientGone):
        deadline.hand_over()


def test_an_interim_response_is_no_beginning(deadline: Noted) -> None:
    deadline.speak(False)
    deadline.hush()
    assert deadline.seize(LATE)
    assert deadline.answers == [True]


def test_the_watchdog_does_not_speak_into_an_interim_response(deadline: Noted) -> None:
    deadline.speak(False)
    assert deadline.seize(LATE)
    assert deadline.answers == [False]


def test_a_response_that_was_handed_over_is_left_alone(deadline: Noted, watch: Watch) -> None:
    deadline.speak(True)
    deadline.hand_over()
    deadline.speak(True)
    deadline.hand_over()
    assert not deadline.seize(LATE)
    assert deadline.answers == []
    assert deadline.remaining() == inf
    deadline.leave()
    assert deadline.left
    assert watch.told == ["forget", "forget"]


def test_a_call_that_is_over_is_left_alone(deadline: Noted, watch: Watch) -> None:
    deadline.leave()
    deadline.leave()
    assert not deadline.seize(LATE)
    assert deadline.due == inf
    assert watch.told == ["forget", "forget"]


def test_the_end_of_a_call_that_was_broken_off_is_made_up_for(deadline: Noted, watch: Watch) -> None:
    deadline._calm = lambda: 1 / 0  # type: ignore[assignment]  # as an exception from outside, at this place
    with pytest.raises(ZeroDivisionError):
        deadline.leave()
    assert watch.told == []
    deadline._calm = lambda: None  # type: ignore[method-assign]
    deadline.leave()
    assert watch.told == ["forget"]


def test_an_extension_in_the_last_moment_counts(deadline: Noted) -> None:
    """The watchdog has looked already."""
    deadline.extend(100)
    assert not deadline.seize(monotonic() + 50)
    assert deadline.due < inf
    assert deadline.seize(monotonic() + 101)


def test_what_was_seized_cannot_be_extended(deadline: Noted) -> None:
    deadline.extend(0)
    assert deadline.seize(LATE)
    deadline.extend(100)
    assert deadline.remaining() == 0


def test_the_status_is_that_of_a_gateway_timeout() -> None:
    assert STATUS == "504 Gateway Timeout"
