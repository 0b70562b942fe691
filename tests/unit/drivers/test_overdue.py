"""The watchdog of one worker: drivers/overdue.py."""

import logging
import sys
from math import inf

import pytest

from ostler.app.deadline import Deadline, Limits
from ostler.drivers.overdue import Overdue, frame_of_thread, stack_of
from ostler.http import limits as http_limits
from ostler.http.parse import parse_head
from ostler.observe.scoreboard import Page, Scoreboard

HEAD = parse_head(b"GET /a?b=c HTTP/1.1\r\nHost: x", http_limits.Limits())
STACK = 'Thread 0x0 (most recent call first):\n  File "/shop/views.py", line 12 in total\n'


class Noted(Deadline):
    """A call that does what the test says."""

    def __init__(self, overdue: Overdue, began: float, soft_s: float = 10.0) -> None:
        super().__init__(overdue, HEAD, soft_s, 10.0, began)
        self.done: list[str] = []
        self.may_be_interrupted = True

    def _answer(self, silent: bool) -> bool:
        self.done.append("answer")
        return silent

    def stack(self) -> str:
        return STACK

    def interrupt(self) -> bool:
        self.done.append("interrupt")
        return self.may_be_interrupted

    def tell(self) -> None:
        self.done.append("tell")


@pytest.fixture
def page() -> Page:
    return Scoreboard(1, 1).page(0)


@pytest.fixture
def overdue(page: Page) -> Overdue:
    return Overdue(Limits(10, 20, {}), page, logging.getLogger("overdue"), ("/shop",), mask_query=True)


def begun(overdue: Overdue, began: float, soft_s: float = 10.0) -> Noted:
    call = Noted(overdue, began, soft_s)
    overdue.begin(call)
    return call


def test_a_call_in_time_is_left_alone(overdue: Overdue) -> None:
    call = begun(overdue, 100.0)
    assert overdue.look(109.9) == 110.0
    assert call.done == []


def test_an_overdue_call_is_answered_shown_and_interrupted_once(
    overdue: Overdue, caplog: pytest.LogCaptureFixture
) -> None:
    call = begun(overdue, 100.0)
    assert overdue.look(110.0) == 120.0
    overdue.look(111.0)
    assert call.done == ["answer", "interrupt"]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    line, *stack = record.getMessage().splitlines()
    assert line.startswith(
        'request timeout: an application call takes too long request="GET /a?***" for_s=10.0 limit_s=10 answer=504 '
    )
    assert "cause=" in line
    assert "cure=" in line
    assert stack == STACK.splitlines()


def test_a_call_that_cannot_be_interrupted_now_is_tried_again(overdue: Overdue) -> None:
    call = begun(overdue, 100.0)
    call.may_be_interrupted = False
    assert overdue.look(110.0) == pytest.approx(110.1)
    assert overdue.look(110.1) == pytest.approx(110.2)
    call.may_be_interrupted = True
    assert overdue.look(110.2) == 120.0
    assert call.done == ["answer", "interrupt", "interrupt", "interrupt"]


def test_a_worker_is_replaced_once_for_calls_beyond_their_hard_deadline(
    overdue: Overdue, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []
    overdue.ask = asked.append
    calls = [begun(overdue, 100.0), begun(overdue, 101.0)]
    overdue.look(112.0)
    assert overdue.stranded == 0
    assert overdue.look(120.0) == 121.0
    assert overdue.look(121.0) == inf
    assert asked == ['request="GET /a?***" for_s=20.0']
    assert (overdue.stranded, overdue.stranded_clients) == (2, 2)
    assert "request outlives its hard timeout" in caplog.text
    overdue.tell_of_stranded()
    assert [call.done[-1] for call in calls] == ["tell", "tell"]
    calls[0].leave()
    assert (overdue.stranded, overdue.stranded_clients) == (1, 1)
    calls[1].leave()
    calls[1].leave()
    assert (overdue.stranded, overdue.stranded_clients) == (0, 0)


def test_a_call_that_ends_in_the_last_moment_is_not_told(overdue: Overdue, caplog: pytest.LogCaptureFixture) -> None:
    call = begun(overdue, 100.0)
    call.hand_over()
    overdue.look(200.0)
    assert call.done == []
    late = begun(overdue, 100.0)
    late.stack = lambda: late.leave() or ""  # type: ignore[assignment, func-returns-value]  # it ends while we look
    overdue.look(200.0)
    assert late.done == []
    assert caplog.records == []


def test_a_defect_costs_that_call_only(overdue: Overdue, caplog: pytest.LogCaptureFixture) -> None:
    broken, other = begun(overdue, 100.0), begun(overdue, 100.0)
    broken.stack = lambda: 1 / 0  # type: ignore[assignment, return-value]  # a defect
    assert overdue.look(110.0) == 120.0
    assert other.done == ["answer", "interrupt"]
    assert "defect of Ostler" in caplog.text


def test_the_page_never_says_an_earlier_deadline_than_there_is(overdue: Overdue, page: Page) -> None:
    first = begun(overdue, 100.0)
    assert page.dues == (110.0, 120.0)
    quick = begun(overdue, 101.0, soft_s=2.0)
    assert page.dues == (103.0, 113.0)
    quick.leave()
    assert page.dues == (110.0, 120.0)
    second = begun(overdue, 105.0)
    first.hand_over()
    assert page.dues == (115.0, 125.0)
    overdue.look(116.0)
    assert page.dues == (inf, 125.0), "its soft deadline was seen to"
    overdue.look(126.0)
    assert page.dues == (inf, inf), "and its hard one"
    second.leave()
    assert page.dues == (inf, inf)


def test_an_extension_is_told_at_once(overdue: Overdue, page: Page) -> None:
    call = begun(overdue, 100.0)
    call.extend(1000)
    soft_at, hard_at = page.dues
    assert soft_at > 1000
    assert hard_at == pytest.approx(soft_at + 10)


@pytest.mark.parametrize(("limit_s", "expected"), [(0.2, 0.05), (0.01, 0.02), (30, 1.0)])
def test_short_limits_are_looked_at_often(page: Page, limit_s: float, expected: float) -> None:
    overdue = Overdue(Limits(60, 0, {"/a": limit_s}), page, logging.getLogger("overdue"), ())
    assert overdue.step_s == pytest.approx(expected)


def test_a_stack_ends_with_who_called_the_application() -> None:
    def inner() -> str:
        return stack_of(sys._getframe(), "Thread 0x0", outer.__code__)

    def outer() -> str:
        return inner()

    title, *frames = outer().splitlines()
    assert title == "Thread 0x0 (most recent call first):"
    assert [frame.rpartition(" in ")[2] for frame in frames] == ["inner", "outer"]
    assert stack_of(None, "Thread 0x0", outer.__code__) == ""
    assert frame_of_thread(-1) is None
