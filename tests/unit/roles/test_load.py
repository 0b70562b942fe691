"""roles/load.py: what the master sees, with sockets of its own and workers that only have pages."""

import socket
import sys
import time
from types import SimpleNamespace

import pytest

from ostler.config.address import TcpAddress, UnixAddress
from ostler.observe.scoreboard import Scoreboard, WorkerState
from ostler.process.listeners import bind
from ostler.roles import load as load_module
from ostler.roles.load import COMPLAIN_S, SILENT_S, Load, Queue

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of its queues")


class Performer:
    """As much of a performer as is asked here; `logged` has the lines."""

    def __init__(self, listeners=(), workers=2, **settings):
        self.board = Scoreboard(4, 1)
        settings = {"workers_max": 0, "enable_backlog_metric": False} | settings
        self.generation = SimpleNamespace(scoreboard=self.board, settings=SimpleNamespace(**settings))
        self.generations = SimpleNamespace(listeners=lambda: list(listeners))
        self.pages = [self.board.page(index) for index in range(workers)]
        now = time.monotonic()
        for page in self.pages:
            page.reset(1, now)
            page.state = WorkerState.IDLE
        self.logged = []
        self.children = SimpleNamespace(workers=self.workers)

    def newest(self):
        return self.generation

    def workers(self):
        for page in self.pages:
            yield SimpleNamespace(generation=self.generation, pid=1), SimpleNamespace(page=page)

    def perform(self, action):
        self.logged.append(action.text)

    def line(self, index):
        return self.board.pressures.of(index)


@pytest.fixture
def listeners(tmp_path):
    made = [bind(TcpAddress("127.0.0.1", 0), 2), bind(UnixAddress(str(tmp_path / "s")), 5)]
    yield made
    for listener in made:
        listener.close()


@LINUX
def test_queues_are_told_by_address(listeners):
    load = Load(Performer(listeners))
    with socket.create_connection(listeners[0].socket.getsockname()), socket.socket(socket.AF_UNIX) as local:
        local.connect(listeners[1].socket.getsockname())
        load.look()
    assert load.queued == (Queue(listeners[0].name, 1, 2), Queue(listeners[1].name, 1, 5))


@LINUX
def test_sockets_of_one_address_are_one_queue(listeners):
    listeners[1].name = listeners[0].name
    load = Load(Performer(listeners))
    load.look()
    assert load.queued == (Queue(listeners[0].name, 0, 7),)


@LINUX
def test_a_full_queue_is_told_once_a_minute(listeners, monkeypatch):
    performer = Performer(listeners)
    load = Load(performer)
    clock = [time.monotonic()]
    monkeypatch.setattr(load_module, "_monotonic", lambda: clock[0])
    guests = [socket.create_connection(listeners[0].socket.getsockname()) for _ in range(2)]
    for _ in range(5):
        load.look()
    assert len(performer.logged) == 1
    assert f"address={listeners[0].name} waiting=2 backlog=2" in performer.logged[0]
    assert "cure=" in performer.logged[0]
    clock[0] += COMPLAIN_S
    load.look()
    assert len(performer.logged) == 2
    for guest in guests:
        guest.close()


@LINUX
def test_overflows_between_two_looks_are_told_though_the_queue_is_shorter_again(listeners, monkeypatch):
    counts = iter([100, 100, 104])
    monkeypatch.setattr(load_module, "overflows", lambda: next(counts))
    performer = Performer(listeners)
    load = Load(performer)
    with socket.create_connection(listeners[0].socket.getsockname()):
        load.look()
        load.look()
        assert performer.logged == []
        load.look()
    assert "overflows=4" in performer.logged[0]


def test_the_busy_share_is_that_of_who_serves_and_the_silent_are_busy():
    performer = Performer(workers=4)
    now = time.monotonic()
    for index, (state, busy, beat) in enumerate(
        [
            (WorkerState.IDLE, 0.2, now),
            (WorkerState.BUSY, 1.7, now),
            (WorkerState.BUSY, 0.0, now - SILENT_S - 1),
            (WorkerState.RETIRING, 1.0, now),
        ]
    ):
        performer.pages[index].state = state
        performer.pages[index].beat(beat)
        performer.line(index).tell(busy, 0, 0.0)
    load = Load(performer)
    load.look()
    assert load.busy_share == pytest.approx((0.2 + 1 + 1) / 3)


def test_nobody_who_serves_is_no_load():
    load = Load(Performer(workers=0))
    assert load.look() is None
    assert (load.busy_share, load.waiting, load.queue_time_s, load.shed) == (0, 0, 0, 0)


def test_what_waits_in_workers_counts_with_the_age_of_the_oldest():
    performer = Performer(workers_max=4)
    now = time.monotonic()
    performer.line(0).tell(0.5, 3, now - 2)
    performer.line(1).tell(0.5, 1, now - 1)
    seen = Load(performer).look()
    assert seen is not None
    assert seen.queued == 4
    assert seen.queue_time_s == pytest.approx(2, abs=0.5)
    assert seen.busy_share == pytest.approx(0.5)


def test_what_was_shed_by_workers_of_former_scoreboards_counts_too():
    performer = Performer()
    load = Load(performer)
    performer.line(0).count_shed()
    load.look()
    performer.generation.scoreboard = Scoreboard(4, 2)  # a reload with more threads
    performer.generation.scoreboard.pressures.of(3).count_shed()
    load.look()
    assert load.shed == 2


def test_the_memory_limit_is_asked_with_the_size_of_the_largest_worker(monkeypatch):
    performer = Performer(workers_max=4)
    load = Load(performer)
    sizes = iter([5, 9])
    monkeypatch.setattr(load_module, "own_bytes", lambda pid: next(sizes))
    load._memory = SimpleNamespace(holds=lambda more: more == 8)
    assert not load.look().has_room
