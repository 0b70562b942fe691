"""The course of an upgrade, with a new master that is a sleeping process, and a clock of the test's own."""

import os
import subprocess
import time

import pytest

from ostler.roles.upgrade import END_S, START_S, Upgrade


class Successor:
    """What the old master has heard of the new one."""

    def __init__(self):
        self.refusal = ""
        self.successor = None
        self.heard_that_it_serves = False
        self.heard_that_it_is_complete = False
        self.last_words = ""
        self.process = None

    def begin(self, pre_exec, then):
        if not self.refusal:
            self.process = subprocess.Popen(["sleep", "60"])
            self.successor = self.process.pid
        return self.refusal

    def bury(self):
        """Wait until it was ended by a signal; its name."""
        status = self.process.wait(10)
        self.successor = None
        return -status


class Asker:
    def __init__(self):
        self.heard = []

    def moved(self, pid):
        self.heard.append(pid)

    def end(self, succeeded, text):
        self.heard.append((succeeded, text))


class Scene:
    def __init__(self):
        self.successor, self.asker = Successor(), Asker()
        self.stopped, self.said = [], []
        self.at_stop = lambda: self.stopped.append(True)
        self.upgrade = Upgrade(self.successor, lambda: None, self.stop, lambda _, text: self.said.append(text))

    def stop(self):
        self.at_stop()

    def begin(self, boot_timeout_s=20, graceful_timeout_s=30):
        self.began = time.monotonic()
        self.upgrade.begin(self.asker, boot_timeout_s, graceful_timeout_s)

    def look(self, after_s):
        """So many seconds after the beginning, and a little more."""
        self.upgrade.look(self.began + after_s + 1)


@pytest.fixture
def scene():
    made = Scene()
    yield made
    if made.successor.process is not None:
        made.successor.process.kill()
        made.successor.process.wait()


def test_the_old_master_stops_when_the_new_one_has_all_its_workers(scene):
    scene.begin()
    scene.look(1)
    scene.successor.heard_that_it_serves = True
    scene.look(2)
    assert (scene.asker.heard, scene.stopped) == ([], [])
    scene.successor.heard_that_it_is_complete = True
    scene.look(3)
    assert scene.asker.heard == [scene.successor.successor]
    assert scene.stopped == [True]
    scene.look(1000)
    assert scene.upgrade.deadline is None
    assert scene.successor.process.poll() is None


def test_a_new_master_that_is_not_ready_in_time_is_ended(scene):
    scene.begin(boot_timeout_s=20)
    scene.look(START_S + 18)
    assert scene.said == []
    scene.look(START_S + 20)
    assert scene.said == [f"the new master was not ready within 30 s, and is ended new_pid={scene.successor.successor}"]
    assert scene.successor.bury() == 15
    scene.look(START_S + 20)
    reason = "upgrade failed: the new master was not ready within 30 s; the old master keeps serving"
    assert scene.asker.heard == [(False, reason)]
    assert scene.stopped == []


def test_one_that_does_not_listen_is_killed(scene):
    scene.begin(boot_timeout_s=20)
    scene.successor.process.send_signal(19)  # a stopped process takes no TERM
    os.waitpid(scene.successor.successor, os.WUNTRACED)  # it is stopped only now
    scene.look(START_S + 20)
    assert scene.upgrade.deadline == pytest.approx(scene.began + START_S + 21 + END_S)
    scene.look(START_S + 20 + END_S)
    assert scene.successor.bury() == 9


def test_one_that_serves_has_as_long_again_for_the_others_and_ends_gracefully(scene):
    scene.begin(boot_timeout_s=20, graceful_timeout_s=7)
    scene.successor.heard_that_it_serves = True
    scene.look(START_S + 15)
    scene.look(START_S + 25)
    assert scene.said == []
    scene.look(2 * START_S + 50)
    assert "did not get all its workers ready within 30 s" in scene.said[0]
    assert scene.upgrade.deadline == pytest.approx(scene.began + 2 * START_S + 51 + END_S + 7)


def test_without_a_boot_timeout_it_is_waited_for(scene):
    scene.begin(boot_timeout_s=0)
    assert scene.upgrade.deadline is None
    scene.look(10_000)
    assert scene.said == []


def test_a_new_master_that_ends_is_told_with_its_last_words(scene):
    scene.begin()
    scene.successor.process.kill()
    scene.successor.bury()
    scene.successor.last_words = "workers: expected\na number"
    scene.look(1)
    assert scene.asker.heard == [(False, "upgrade failed: workers: expected a number; the old master keeps serving")]


def test_what_cannot_begin_is_refused(scene):
    scene.successor.refusal = "this master is PID 1"
    scene.begin()
    scene.look(1)
    assert scene.asker.heard == [(False, "upgrade refused: this master is PID 1")]


def test_a_new_master_that_ends_just_when_the_old_one_would_stop_is_a_failure(scene):
    scene.begin()
    scene.successor.heard_that_it_is_complete = True

    def stop():
        scene.successor.process.kill()
        scene.successor.bury()

    scene.at_stop = stop
    moved_to = scene.successor.successor
    scene.look(1)
    failed = (False, "upgrade failed: the new master ended; the old master keeps serving")
    assert scene.asker.heard == [moved_to, failed]


def test_a_stop_by_hand_ends_the_watch_and_not_the_new_master(scene):
    scene.begin()
    scene.upgrade.abandon("the old master was stopped by SIGTERM")
    scene.look(1000)
    assert scene.asker.heard == [(False, "upgrade not watched to its end: the old master was stopped by SIGTERM")]
    assert scene.successor.process.poll() is None
