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
from ostler.process.fork import Death, Trial, fork, reap, send_signal
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
