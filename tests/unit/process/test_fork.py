"""Forks are what this module is for, so its tests fork; nothing else in tests/unit does."""

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from ostler.errors import ConfigError
from ostler.process import fork as fork_module
from ostler.process.fork import Death, Trial, fork, fork_orphan, reap, send_signal
from ostler.process.parent import ORPHANS_ARE_ADOPTED, adopt_orphans, wait_for_parent
from ostler.process.signals import block_all, restore_mask


def leave(status: int) -> Callable[[], NoReturn]:
    def run() -> NoReturn:
        os._exit(status)

    return run


def wait_for(pid: int) -> Death:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for death in reap():
            if death.pid == pid:
                return death
        select.select([], [], [], 0.005)
    raise AssertionError("the child did not end")


def test_status_of_a_child_is_reaped() -> None:
    pid = fork(leave(7))
    death = wait_for(pid)
    assert (death.status, death.signal) == (7, None)
    assert list(reap()) == []


def test_signal_that_killed_a_child_is_named() -> None:
    def sleep() -> NoReturn:
        while True:
            signal.pause()

    pid = fork(sleep)
    send_signal(pid, signal.SIGKILL)
    death = wait_for(pid)
    assert (death.status, death.signal) == (None, "SIGKILL")
    send_signal(pid, signal.SIGKILL)


def test_child_that_raises_or_exits_never_unwinds_into_the_parents_frames() -> None:
    def fall() -> NoReturn:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        raise RuntimeError("on purpose")

    def leave_politely() -> NoReturn:
        sys.exit(5)

    assert wait_for(fork(fall)).status == 255
    assert wait_for(fork(leave_politely)).status == 5


def test_child_starts_with_all_signals_blocked_and_the_parents_mask_comes_back() -> None:
    def check() -> NoReturn:
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        os._exit(0 if {signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD} <= blocked else 1)

    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert wait_for(fork(check)).status == 0
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    mask = block_all()
    restore_mask(mask)
    assert mask == before


@pytest.fixture
def trials() -> Iterator[list[Trial]]:
    made: list[Trial] = []
    yield made
    for trial in made:
        trial.close()


def try_out(trials: list[Trial], attempt: Callable[[], object]) -> tuple[Trial, Death]:
    trial = Trial(attempt, lambda: None)
    trials.append(trial)
    death = wait_for(trial.pid)
    trial.ended()
    return trial, death


def test_trial_of_what_works(trials: list[Trial]) -> None:
    trial, death = try_out(trials, lambda: None)
    assert (trial.passed, trial.text, death.status) == (True, None, 0)


def test_trial_of_what_raises_says_so(trials: list[Trial]) -> None:
    def fail() -> None:
        raise ConfigError("workers: expected a number\nand more lines " + "x" * 100000)

    trial, _ = try_out(trials, fail)
    assert not trial.passed
    assert trial.text is not None
    assert trial.text.startswith("workers: expected a number\n")


@pytest.mark.parametrize("wordless", [False, True])
def test_trial_of_what_ends_its_process(trials: list[Trial], wordless: bool) -> None:
    trial, death = try_out(trials, (lambda: os._exit(7)) if wordless else (lambda: sys.exit(7)))
    assert not trial.passed
    assert trial.text == (None if wordless else "it ended the process (sys.exit(7))")
    assert death.status == (7 if wordless else 0)


def test_trial_of_what_hangs_is_killed(trials: list[Trial]) -> None:
    trial = Trial(signal.pause, lambda: None)
    trials.append(trial)
    assert not trial.ended()
    trial.kill()
    assert wait_for(trial.pid).signal == "SIGKILL"
    assert trial.ended()
    assert not trial.passed


# -- orphans: what a mold does, in a child of the test's, for to adopt is for life


@pytest.mark.skipif(not ORPHANS_ARE_ADOPTED, reason="this system has no subreaper")
def test_an_orphan_becomes_the_child_of_who_adopts_it() -> None:
    def be_orphan(master: int, between: int) -> NoReturn:
        os._exit(20 if wait_for_parent(master, between, 5) and os.getppid() == master else 1)

    reader, writer = os.pipe()

    def born(pid: int) -> None:
        os.write(writer, b"%d " % pid)

    def be_mold(master: int) -> NoReturn:
        for _ in range(3):
            fork_orphan(lambda between: be_orphan(master, between), born)
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:  # nothing is left for the mold to reap
            os._exit(10)
        os._exit(1)

    def be_master() -> NoReturn:
        adopt_orphans()
        own = os.getpid()
        fork(lambda: be_mold(own))
        ended = dict(os.wait() for _ in range(4))
        told = {int(pid) for pid in os.read(reader, 100).split()}
        statuses = sorted(os.waitstatus_to_exitcode(status) for status in ended.values())
        os._exit(0 if statuses == [10, 20, 20, 20] and len(told) == 3 and told < ended.keys() else 1)

    assert wait_for(fork(be_master)).status == 0
    os.close(reader)
    os.close(writer)


def test_an_orphan_whose_master_is_gone_does_not_wait() -> None:
    began = time.monotonic()
    assert not wait_for_parent(os.getpid(), between=0, timeout_s=10)
    assert not wait_for_parent(os.getpid(), between=os.getppid(), timeout_s=0)
    assert time.monotonic() - began < 5


def test_an_orphan_that_the_system_has_no_process_for_is_refused(monkeypatch) -> None:
    mother, real = os.getpid(), os.fork

    def refuse_in_child() -> int:
        if os.getpid() != mother:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return real()

    def refuse() -> int:
        raise OSError(12, "Cannot allocate memory")

    for fake, number in ((refuse_in_child, 11), (refuse, 12)):
        monkeypatch.setattr(fork_module, "_fork", fake)
        with pytest.raises(OSError, match=r"temporarily|memory") as raised:
            fork_orphan(lambda _: os._exit(0), lambda _: None)
        assert raised.value.errno == number
    assert list(reap()) == []


def test_a_process_between_that_hangs_is_ended(monkeypatch) -> None:
    mother, real = os.getpid(), os.fork

    def hang_in_child() -> int:
        while os.getpid() != mother:
            signal.pause()
        return real()

    monkeypatch.setattr(fork_module, "_fork", hang_in_child)
    monkeypatch.setattr(fork_module, "_BETWEEN_S", 0.05)
    with pytest.raises(TimeoutError, match="did not end"):
        fork_orphan(lambda _: os._exit(0), lambda _: None)
    assert list(reap()) == []


def test_that_the_process_between_was_killed_is_told(monkeypatch) -> None:
    mother, real = os.getpid(), os.fork

    def die_in_child() -> int:
        if os.getpid() != mother:
            os.kill(os.getpid(), signal.SIGKILL)
        return real()

    monkeypatch.setattr(fork_module, "_fork", die_in_child)
    with pytest.raises(OSError, match="SIGKILL"):
        fork_orphan(lambda _: os._exit(0), lambda _: None)
