"""Waiting for the end of processes that this one started, with a pidfd and without."""

import subprocess
import sys

import pytest

from ostler.control import ending as module
from ostler.control.ending import Ending

SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture(params=["pidfd", "kill"])
def way(request, monkeypatch):
    if request.param == "kill":
        monkeypatch.setattr(module, "_opened", lambda pid: None)
    return request.param


def test_an_end_is_seen_and_a_process_that_lives_is_waited_for_no_longer_than_asked(way):
    process = subprocess.Popen(SLEEPS)
    assert Ending(process.pid, 0.05).waited(0) is False
    ending = Ending(process.pid, None)
    process.kill()
    if way == "kill":
        process.wait()  # without a pidfd, a process that nobody has reaped is still there
    assert ending.waited(0) is True
    process.wait()


def test_a_process_that_is_known_only_later_and_one_that_cannot_be_seen(way):
    process = subprocess.Popen(SLEEPS)
    ending = Ending(0, 0.05)
    assert ending.waited(process.pid) is False
    process.kill()
    process.wait()
    assert Ending(process.pid, 5).waited(process.pid) is True
    assert Ending(0, 5).waited(0) is True
