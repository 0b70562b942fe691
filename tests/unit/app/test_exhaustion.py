"""What is said of an exception that means: nothing is left."""

import errno
import os
import threading
from collections import Counter

import pytest

from ostler.app import exhaustion
from ostler.app.exhaustion import _by_directory, descriptors, hint, threads_by_origin
from ostler.observe.causes import Cause


def test_the_words_are_those_of_the_one_home_of_causes() -> None:
    assert str(Cause.DESCRIPTORS) == exhaustion.DESCRIPTORS
    assert str(Cause.THREADS) == exhaustion.THREADS
    assert str(Cause.OUT_OF_MEMORY) == exhaustion.MEMORY
    assert str(Cause.DISK_FULL) == exhaustion.DISK
    assert str(Cause.PROCESSES) == exhaustion.PROCESSES


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.EMFILE, "x"), exhaustion.DESCRIPTORS),
        (OSError(errno.ENFILE, "x"), exhaustion.DESCRIPTORS),
        (OSError(errno.ENOSPC, "x"), exhaustion.DISK),
        (MemoryError(), exhaustion.MEMORY),
        (RuntimeError("can't start new thread"), exhaustion.THREADS),
        (SystemExit(3), exhaustion.EXIT),
    ],
)
def test_each_has_its_cause_and_a_cure(error: BaseException, cause: str) -> None:
    found = hint(error)
    assert found["cause"] == cause
    assert found["cure"]


@pytest.mark.parametrize(
    "error", [ValueError(), BlockingIOError(errno.EAGAIN, "x"), OSError(), RuntimeError("x"), None]
)
def test_nothing_is_said_of_others(error: Exception | None) -> None:
    assert hint(error) == {}


def test_threads_are_told_by_where_their_code_begins() -> None:
    gate = threading.Event()
    threads = [threading.Thread(target=gate.wait, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    count, most = threads_by_origin()
    gate.set()
    for thread in threads:
        thread.join()
    assert count >= 3
    assert "in wait" in most


def test_descriptors_are_told_by_what_they_are() -> None:
    files = [open(os.devnull, "rb") for _ in range(30)]  # noqa: SIM115  closed below
    count, most, _ = descriptors()
    for file in files:
        file.close()
    assert count >= 30
    assert os.devnull in most


def test_several_files_of_a_directory_are_shown_together() -> None:
    kinds = Counter({"/var/log/a": 3, "/var/log/b": 1, "/dev/null": 2, "socket": 5, "/": 1})
    assert _by_directory(kinds) == Counter({"/var/log/*": 4, "/dev/null": 2, "socket": 5, "/": 1})
