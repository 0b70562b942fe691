"""roles/master.py: what fails does not take with it what comes behind; and the new master's and the old one's count."""

import os
import signal

import pytest

from ostler.process.channel import ForkRefused
from ostler.process.fork import Death
from ostler.process.reexec import COMPLETE, HandOver
from ostler.roles.master import Master, Parts
from ostler.roles.service import Service
from ostler.supervisor.actions import Finish, Fork, Kick, ReportStacks, Send, StartMold
from ostler.supervisor.events import (
    CapacityAsked,
    ChildExited,
    ForkFailed,
    SettingsAccepted,
    StopAsked,
    Tick,
    WorkerReady,
)
from ostler.supervisor.policy import GenerationSpec
from tests.unit.roles.scene import LOG, Cast, Generation, shared


class Edge:
    """Signals that have come."""

    def __init__(self, fd):
        self._fd = fd
        self.numbers = []

    def fileno(self):
        return self._fd

    def take(self):
        taken, self.numbers = self.numbers, []
        return taken


class Presence:
    """Says nothing to anybody."""

    service = Service({}, lambda: LOG)

    def __getattr__(self, name):
        return lambda *_: None


class Supervisor:
    """Gives the orders of the test, and remembers what it is told."""

    stopping = False
    health = None

    def __init__(self, orders):
        self.orders = list(orders)
        self.told = []

    def handle(self, event, now):
        self.told.append(event)
        orders, self.orders = self.orders, []
        return orders


class Scene:
    def __init__(self, hand_over=None):
        self.reader, writer = os.pipe()
        self.edge = Edge(writer)
        first = Generation(1)
        self.shared = shared(first)
        self.master = Master(
            Parts(
                load_settings=lambda: None,
                shared=self.shared,
                first=first,
                maker=None,
                edge=self.edge,
                presence=Presence(),
                readiness=Presence(),
                context=None,
                environ={},
                hand_over=hand_over,
                left_over=(),
            )
        )
        self.performer = self.master._performer
        self.cast = Cast(self.performer, first)

    def supervised(self, *orders):
        self.master._supervisor = Supervisor(orders)
        return self.master._supervisor

    def close(self):
        self.cast.close()
        os.close(self.reader)
        os.close(self.edge.fileno())


@pytest.fixture
def make_scene(monkeypatch):
    monkeypatch.setattr("ostler.roles.reception.open_server", lambda *_: "a test")
    monkeypatch.setattr("ostler.roles.master.reap", lambda: iter(()))
    made = []

    def make(**parts):
        made.append(Scene(**parts))
        return made[-1]

    yield make
    for each in made:
        each.close()


def failing(*_, **__):
    raise RuntimeError("a filter of the user's")


def test_an_order_that_fails_does_not_end_those_behind_it(make_scene, monkeypatch, caplog):
    scene = make_scene()
    scene.cast.worker(7)
    monkeypatch.setattr("ostler.roles.reports.of_stacks", failing)
    killed = []
    monkeypatch.setattr("ostler.roles.perform.send_signal", lambda *args: killed.append(args))
    scene.supervised(ReportStacks(7, "hangs"), Send(7, Kick.KILL))
    scene.master._tell(Tick())
    assert killed == [(7, signal.SIGKILL)]
    assert "the master failed; this is a defect of Ostler" in caplog.text


@pytest.mark.parametrize("order", [Fork(3, 0, 1, 0), StartMold(3, 1)])
def test_a_fork_that_fails_by_a_defect_is_answered(make_scene, monkeypatch, order):
    scene = make_scene()
    monkeypatch.setattr("ostler.roles.reports.ThreadWarning.look", failing)
    supervisor = scene.supervised(order, Finish(5))
    scene.master._tell(Tick())
    assert supervisor.told == [Tick(), ForkFailed(3, "a defect")]
    assert scene.performer.finished == 5


def test_a_death_is_told_whatever_the_log_does(make_scene, monkeypatch):
    scene = make_scene()
    scene.cast.worker(7)
    supervisor = scene.supervised()
    monkeypatch.setattr("ostler.roles.reports.tell_unexpected_text", failing)
    scene.master._hear_death(Death(7, 1, None))
    assert supervisor.told == [ChildExited(7, 1, None)]


def test_a_death_is_told_whatever_the_dead_had_said(make_scene, monkeypatch):
    scene = make_scene()
    scene.cast.worker(7)
    supervisor = scene.supervised()
    monkeypatch.setattr(scene.performer, "hear", failing)
    scene.master._hear_death(Death(7, 1, None))
    assert supervisor.told == [ChildExited(7, 1, None)]


def test_a_signal_that_fails_does_not_swallow_the_next(make_scene, monkeypatch):
    scene = make_scene()
    supervisor = scene.supervised()
    monkeypatch.setattr(scene.performer, "reopen_logs", failing)
    scene.edge.numbers = [signal.SIGUSR1, signal.SIGHUP, signal.SIGTERM]
    scene.master._hear_signals()
    assert supervisor.told == [StopAsked(False)]


def test_what_came_of_a_reload_is_told_though_a_fork_was_refused_meanwhile(make_scene):
    scene = make_scene()
    mold, unborn = scene.cast.mold(7), scene.cast.worker(0, age=8, mold=7)
    scene.cast.hang_up(unborn)
    scene.cast.speak(mold, ForkRefused(8, "no memory"))
    supervisor = scene.supervised()
    scene.master._tell_of_reload(SettingsAccepted(_spec(2)))
    assert supervisor.told == [ForkFailed(8, "no memory"), SettingsAccepted(_spec(2))]


def test_the_old_master_is_told_when_the_goal_comes_down_to_those_that_are_ready(make_scene):
    ready, line = os.pipe()
    scene = make_scene(hand_over=HandOver(os.getppid(), (), line))
    scene.supervised()
    scene.shared.facts.num_workers = 2
    scene.master._tell(WorkerReady(7, 1))
    os.set_blocking(ready, False)
    with pytest.raises(BlockingIOError):
        os.read(ready, 9)
    scene.shared.facts.num_workers = 1
    scene.master._tell(CapacityAsked(-1))
    assert os.read(ready, 99) == COMPLETE
    os.close(ready)


def test_a_new_master_without_a_worker_is_not_complete(make_scene):
    ready, line = os.pipe()
    scene = make_scene(hand_over=HandOver(os.getppid(), (), line))
    scene.supervised()
    scene.master._tell(Tick())
    os.set_blocking(ready, False)
    with pytest.raises(BlockingIOError):
        os.read(ready, 9)
    os.close(ready)
    os.close(line)


def test_the_old_master_goes_on_when_the_new_one_died_while_it_was_decided(make_scene, monkeypatch, caplog):
    scene = make_scene()
    supervisor = scene.supervised()
    scene.master._succession.successor = 4242
    monkeypatch.setattr("ostler.roles.master.reap", lambda: iter([Death(4242, None, "SIGKILL")]))
    scene.master._stop_after_upgrade()
    assert supervisor.told == []
    assert "upgrade failed: the new master ended; the old master keeps serving" in caplog.text


def test_the_old_master_stops_after_an_upgrade(make_scene):
    scene = make_scene()
    supervisor = scene.supervised()
    scene.master._succession.successor = 4242
    scene.master._stop_after_upgrade()
    assert supervisor.told == [StopAsked(False, lame_duck=False)]


def test_usr2_without_descriptors_is_refused(make_scene, monkeypatch):
    scene = make_scene()

    def no_pipe():
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("ostler.roles.succession._pipe", no_pipe)
    refusal = scene.master._succession.begin(lambda: None)
    assert "cannot make a pipe" in refusal
    assert scene.master._succession.successor is None


def _spec(number):
    return GenerationSpec(number, 1, 30, 30, 30)
