import pytest

from ostler.supervisor.events import ChildExited
from ostler.supervisor.handle import Handle, State, how_it_ended, was_expected


def handle_in(state: State, cause: str = "") -> Handle:
    handle = Handle(age=1, slot=0, generation=1, page=0, now=0.0)
    handle.pid = 42
    handle.enter(state, None, cause)
    return handle


@pytest.mark.parametrize(
    ("state", "cause", "status", "signal", "words", "expected"),
    [
        (State.READY, "", 3, None, "exit status 3", False),
        (State.READY, "", None, "SIGSEGV", "signal SIGSEGV", False),
        (State.READY, "", None, "SIGKILL", "signal SIGKILL, not sent by the master; out of memory?", False),
        (State.RETIRING, "", 0, None, "exit status 0", True),
        (State.RETIRING, "", 1, None, "exit status 1", False),
        (State.QUITTING, "quick stop", 0, None, "exit status 0", True),
        (State.DUMPING, "timeout", None, "SIGSEGV", "signal SIGSEGV, before the master killed it: timeout", False),
        (State.ABORTED, "timeout", 1, None, "killed by master: timeout", False),
        (State.KILLED, "graceful timeout", None, "SIGKILL", "killed by master: graceful timeout", False),
        (State.KILLED, "quick stop", None, "SIGKILL", "killed by master: quick stop", False),
    ],
)
def test_death_is_put_into_words(
    state: State, cause: str, status: int | None, signal: str | None, words: str, expected: bool
) -> None:
    handle, event = handle_in(state, cause), ChildExited(42, status, signal)
    assert how_it_ended(handle, event) == words
    assert was_expected(handle, event) is expected


@pytest.mark.parametrize(
    ("state", "status", "signal", "how", "words"),
    [
        (State.READY, None, "SIGSEGV", "C code crashed", "signal SIGSEGV, C code crashed"),
        (State.READY, 7, None, "somebody called exit", "exit status 7, somebody called exit"),
        (State.BOOTING, None, "SIGKILL", "out of memory: the kernel", "signal SIGKILL, out of memory: the kernel"),
        (State.RETIRING, 0, None, "the process ended itself", "exit status 0"),
        (State.RETIRING, 1, None, "the process ended itself", "exit status 1, the process ended itself"),
        (State.KILLED, None, "SIGKILL", "out of memory: the kernel", "killed by master: timeout"),
    ],
)
def test_how_it_ended_is_said_of_deaths_that_nobody_ordered(
    state: State, status: int | None, signal: str | None, how: str, words: str
) -> None:
    handle = handle_in(state, "timeout" if state is State.KILLED else "")
    assert how_it_ended(handle, ChildExited(42, status, signal, how=how)) == words


def test_the_first_cause_stands() -> None:
    handle = handle_in(State.DUMPING, "timeout")
    handle.enter(State.KILLED, None, "quick stop")
    assert handle.cause == "timeout"


@pytest.mark.parametrize(("status", "expected"), [(0, True), (1, False)])
def test_who_has_asked_to_be_replaced_may_leave(status: int, expected: bool) -> None:
    handle = handle_in(State.READY)
    handle.asked = "max_requests"
    assert was_expected(handle, ChildExited(42, status, None)) is expected
