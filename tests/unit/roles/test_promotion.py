"""roles/promotion.py: when a worker that has served cannot become a mold, and what it gives up before it says so."""

import asyncio
import os
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from ostler.process.signals import SignalEdge
from ostler.roles import promotion
from ostler.roles.promotion import Identity, Promotion, make_room_on_stack
from ostler.workers.gthread import ThreadWorker
from ostler.workers.sync import SyncWorker

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")

kept: list[object] = []  # what an application has in its modules


@dataclass
class Journal:
    """Of a worker: it has one thread, or one that does not end; and a connection to a syslog daemon."""

    ends: bool = True
    own: list[int] = field(default_factory=list)

    def enter_mold(self, _prepare_child: Callable[[], None], _timeout_s: float) -> bool:
        return self.ends

    def sockets(self) -> list[int]:
        return self.own


@dataclass
class Reactor:
    closed: bool = False

    def close(self) -> None:
        self.closed = True


def refusal(
    act: Callable[[], object] = lambda: None,
    *,
    kind: type = SyncWorker,
    application: object = print,
    thresholds: tuple[int, ...] = (500,),
    journal: Journal | None = None,
) -> str:
    """What a worker of one thread says that has been this way, and whose application has done `act`."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, _refusal(act, kind, application, thresholds, journal or Journal()).encode())
        except BaseException as error:  # noqa: BLE001  the parent has to hear of it
            os.write(writer, f"raised {error!r}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    os.waitpid(pid, 0)
    return text


def _refusal(
    act: Callable[[], object], kind: type, application: object, thresholds: tuple[int, ...], journal: Journal
) -> str:
    promotion._THREADS_S = 0.05  # type: ignore[misc]
    settings: Any = SimpleNamespace(refork_after=thresholds, worker_class=kind.__name__)
    start: Any = SimpleNamespace(
        settings=settings, application=application, journal=journal, channel=SimpleNamespace(close=lambda: None)
    )
    reactor = Reactor()
    worker: Any = kind(reactor, 4)
    candidate = Promotion(settings)
    act()
    edge = SignalEdge((signal.SIGTERM,))
    answer = candidate.obstacle(start, worker, edge)
    if not answer and not reactor.closed:
        return "the reactor is not closed"
    return answer


def test_a_worker_of_one_thread_that_holds_nothing_may_become_a_mold() -> None:
    assert refusal() == ""


def test_workers_with_threads_may_not() -> None:
    assert refusal(kind=ThreadWorker) == "ThreadWorker workers have threads; use sync workers"


def test_one_that_loaded_the_application_by_itself_may_not() -> None:
    assert refusal(application=None) == "no mold has forked it; preload_app is needed"


def test_one_whose_generation_does_not_refork_may_not() -> None:
    assert refusal(thresholds=()) == "it was started without refork_after"


def test_a_thread_of_the_application_is_named() -> None:
    def act() -> None:
        threading.Thread(target=threading.Event().wait, name="reporter", daemon=True).start()

    assert refusal(act) == "it has threads, which workers would lack: reporter"


def test_a_thread_that_is_about_to_end_is_waited_for() -> None:
    def act() -> None:
        promotion._THREADS_S = 5.0  # type: ignore[misc]
        threading.Timer(0.05, int).start()

    assert refusal(act) == ""


def test_an_event_loop_is_named() -> None:
    def act() -> None:
        kept.append(asyncio.new_event_loop())

    assert refusal(act).startswith("workers would share an event loop (asyncio); close them after each request")


def test_a_connection_is_named() -> None:
    def act() -> None:
        kept.append(socket.create_server(("127.0.0.1", 0)))

    assert refusal(act).startswith("workers would share a socket that listens on 127.0.0.1:")


def test_what_was_open_when_the_process_started_is_the_server_s() -> None:
    with socket.create_server(("127.0.0.1", 0)):
        assert refusal() == ""


def test_a_connection_of_the_logs_is_the_server_s() -> None:
    journal = Journal()

    def act() -> None:
        opened = socket.create_server(("127.0.0.1", 0))
        kept.append(opened)
        journal.own.append(opened.fileno())

    assert refusal(act, journal=journal) == ""


def test_an_open_database_is_named(tmp_path: Path) -> None:
    def act() -> None:
        kept.append(sqlite3.connect(tmp_path / "shop.db"))

    assert refusal(act).startswith("workers would share an open SQLite database;")


def test_django_s_connections_are_closed_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Connections:
        opened: sqlite3.Connection

        def close_all(self) -> None:
            self.opened.close()

    connections = Connections()
    module = ModuleType("django.db")
    vars(module)["connections"] = connections
    monkeypatch.setitem(sys.modules, "django.db", module)

    def act() -> None:
        connections.opened = sqlite3.connect(tmp_path / "shop.db")

    assert refusal(act) == ""


def test_a_library_that_fails_to_close_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Connections:
        def close_all(self) -> None:
            raise RuntimeError("not now")

    module = ModuleType("django.db")
    vars(module)["connections"] = Connections()
    monkeypatch.setitem(sys.modules, "django.db", module)

    def act() -> None:
        kept.append(sqlite3.connect(tmp_path / "shop.db"))

    assert refusal(act).startswith("workers would share an open SQLite database;")


def test_a_thread_of_the_logs_that_does_not_end_is_told_of() -> None:
    assert refusal(journal=Journal(ends=False)).startswith("a log file does not take what a thread writes")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_worker_that_has_dropped_privileges_may_not() -> None:
    def act() -> None:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)

    found = refusal(act)
    assert found.startswith("it runs as uid 65534, gid 65534, and molds run as uid 0, gid 0: ")
    assert found.endswith("start the server as the user that workers run as, without user and group")


def test_identities_differ_in_groups_too() -> None:
    assert Identity(0, 0, frozenset({0, 4})) != Identity(0, 0, frozenset({0}))


def test_the_application_may_recurse_as_deeply_in_a_worker_of_a_promoted_mold() -> None:
    before = sys.getrecursionlimit()
    try:
        make_room_on_stack()
        assert sys.getrecursionlimit() > before
    finally:
        sys.setrecursionlimit(before)
