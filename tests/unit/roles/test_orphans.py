"""Who is ended when the line to the master ends; the processes are in tests/integration (test_master.py and others)."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from ostler.observe.scoreboard import Scoreboard, WorkerState
from ostler.process.belongings import LEFT_STATUS
from ostler.process.parent import ORPHANS_ARE_ADOPTED
from ostler.roles.orphans import end_orphans, parting_words


def forked(run: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            run()
        finally:
            os._exit(99)
    return pid


@pytest.fixture
def sibling() -> Iterator[tuple[Scoreboard, int]]:
    """One that hangs, with its page."""
    board = Scoreboard(2, 4)
    pid = forked(signal.pause)
    page = board.page(1)
    page.reset(pid, 0.0)
    page.state = WorkerState.BUSY
    yield board, pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def status_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def test_with_the_master_a_sibling_that_hangs_is_ended(sibling: tuple[Scoreboard, int]) -> None:
    board, pid = sibling
    assert status_of(forked(lambda: end_orphans(board, 1 << 22))) == 0
    assert os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT) is not None
    assert "master is gone" in parting_words(1 << 22)


@pytest.mark.skipif(not ORPHANS_ARE_ADOPTED, reason="elsewhere the parent says nothing")
def test_while_the_master_lives_siblings_are_left_alone(sibling: tuple[Scoreboard, int]) -> None:
    board, pid = sibling
    parent = os.getpid()
    assert status_of(forked(lambda: end_orphans(board, parent))) == LEFT_STATUS
    assert not has_ended(pid)
    assert "the application closed" in parting_words(os.getppid())
