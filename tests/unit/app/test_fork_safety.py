"""app/fork_safety.py, makers.py and holdings.py: what an application makes at import, and who made it."""

import asyncio
import gc
import importlib
import socket
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from ostler.app.fork_safety import Finding, ImportWatch, Kind, summary
from ostler.app.makers import Maker

Importing = Callable[..., tuple[Finding, ...]]


@pytest.fixture
def importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Importing]:
    """Imports a module `shop` of this text under the watch; what its `close` does is done at the end."""
    modules: list[ModuleType] = []

    def load(text: str, library: str = "", watch: ImportWatch | None = None) -> tuple[Finding, ...]:
        (tmp_path / "shop.py").write_text(textwrap.dedent(text))
        installed = tmp_path / "site-packages"
        installed.mkdir(exist_ok=True)
        (installed / "parcels.py").write_text(textwrap.dedent(library))
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.syspath_prepend(str(installed))
        watch = watch or ImportWatch("shop.wsgi")
        with watch:
            modules.append(importlib.import_module("shop"))
        return watch.findings()

    gc.freeze()  # as a mold has: what the test's process is made of need not be looked at
    yield load
    gc.unfreeze()
    for module in modules:
        getattr(module, "close", lambda: None)()
    for name in ("shop", "parcels"):
        sys.modules.pop(name, None)


def only(findings: tuple[Finding, ...]) -> Finding:
    assert len(findings) == 1, [each.line for each in findings]
    return findings[0]


def test_an_application_that_makes_nothing_is_not_in_the_report(importing: Importing) -> None:
    assert importing("import json, threading, socket, asyncio\nlock = threading.Lock()") == ()


# -- threads

THREAD = """
    import threading
    over = threading.Event()

    def report():
        over.wait()

    thread = threading.Thread(target=report, name="reporter", daemon=True)
    thread.start()

    def close():
        over.set()
        thread.join()
    """


def test_a_thread_is_named_with_the_line_that_started_it(importing: Importing, tmp_path: Path) -> None:
    found = only(importing(THREAD))
    assert (found.kind, found.what) == (Kind.THREAD, "thread reporter")
    assert found.maker == Maker("shop", f"{tmp_path}/shop.py:9")
    assert found.line.startswith(
        'preloading loses a thread, workers do not have it what="thread reporter" made_by=shop '
        f'at={tmp_path}/shop.py:9 cure="start it in the post_fork hook'
    )


def test_a_library_that_starts_a_thread_is_named_beside_the_line_that_called_it(importing: Importing) -> None:
    library = """
        import threading
        def track():
            over = threading.Event()
            thread = threading.Thread(target=over.wait, daemon=True)
            thread.start()
            return lambda: (over.set(), thread.join())
        """
    found = only(importing("import parcels\nclose = parcels.track()", library))
    assert (found.maker.module, found.maker.place.rpartition(":")[2], found.maker.through) == ("shop", "2", "parcels")
    assert found.what == "thread Thread-N (wait)"
    assert "through=parcels" in found.line


def test_threads_of_one_maker_are_one_finding(importing: Importing) -> None:
    found = only(
        importing(
            """
            import threading
            over = threading.Event()
            threads = [threading.Thread(target=over.wait, daemon=True) for _ in range(3)]
            [thread.start() for thread in threads]
            def close():
                over.set()
                [thread.join() for thread in threads]
            """
        )
    )
    assert found.count == 3
    assert " count=3 " in found.line


def test_a_thread_that_has_ended_or_is_about_to_is_not_reported(importing: Importing) -> None:
    text = """
        import threading, time
        threading.Thread(target=int).start()
        threading.Thread(target=time.sleep, args=(0.02,)).start()
        """
    assert importing(text) == ()


def test_threads_that_were_there_before_are_not_reported(importing: Importing) -> None:
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        assert importing("answer = 42") == ()
    finally:
        over.set()
        thread.join()


def test_native_threads_are_named_as_the_system_knows_them(importing: Importing) -> None:
    found = importing("answer = 42", watch=ImportWatch("shop", lambda: ("rdk:main", "worker-1")))
    assert [each.what for each in found] == ["thread rdk:main of librdkafka", "thread worker-1 of native code"]


# -- sockets and loops


def test_an_open_socket_is_named_with_its_line(importing: Importing, tmp_path: Path) -> None:
    text = 'import socket\nopened = socket.create_server(("127.0.0.1", 0))\nclose = opened.close'
    found = only(importing(text))
    port = sys.modules["shop"].opened.getsockname()[1]
    assert (found.kind, found.what) == (Kind.SOCKET, f"a socket that listens on 127.0.0.1:{port}")
    assert found.maker == Maker("shop", f"{tmp_path}/shop.py:2")


def test_a_connection_is_named_by_its_other_end(importing: Importing) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        text = f'import socket\nopened = socket.create_connection(("{host}", {port}))\nclose = opened.close'
        assert only(importing(text)).what == f"a connection to {host}:{port}"


@pytest.mark.parametrize(
    "text",
    [
        "import socket\nsocket.create_server(('127.0.0.1', 0)).close()",
        "import os, socket\nos.close(socket.create_server(('127.0.0.1', 0)).detach())",
        "import socket\nstatsd = socket.socket(type=socket.SOCK_DGRAM)\nclose = statsd.close",
        "import asyncio\nloop = asyncio.new_event_loop()\nloop.close()",
        "import sqlite3\ndb = sqlite3.connect(':memory:')\nclose = db.close",
        "import sqlite3\ndb = sqlite3.connect('/dev/null')\ndb.close()",
    ],
    ids=["closed socket", "detached socket", "datagrams", "closed loop", "database in memory", "closed database"],
)
def test_what_does_no_harm_is_not_reported(importing: Importing, text: str) -> None:
    assert importing(text) == ()


def test_sockets_that_were_there_before_are_not_reported(importing: Importing) -> None:
    with socket.create_server(("127.0.0.1", 0)):
        loop = asyncio.new_event_loop()
        try:
            assert importing("answer = 42") == ()
        finally:
            loop.close()


def test_an_event_loop_is_one_finding_with_its_variable(importing: Importing, tmp_path: Path) -> None:
    found = only(importing("import asyncio\n\nloop = asyncio.new_event_loop()\nclose = loop.close"))
    assert (found.kind, found.what) == (Kind.LOOP, "an event loop (asyncio)")
    assert found.maker == Maker("shop", f"{tmp_path}/shop.py:3", variable="shop.loop")


def test_a_loop_that_runs_in_a_thread_is_told_as_both(importing: Importing) -> None:
    text = """
        import asyncio, threading
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="async", daemon=True)
        thread.start()
        def close():
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
        """
    assert [each.what for each in importing(text)] == ["thread async", "a running event loop (asyncio)"]


def test_an_open_database_is_named_by_the_variable_that_leads_to_it(importing: Importing, tmp_path: Path) -> None:
    text = f"""
        import sqlite3
        class Store:
            def __init__(self):
                self.connections = [sqlite3.connect("{tmp_path}/shop.db")]
        store = Store()
        def close():
            store.connections[0].close()
        """
    found = only(importing(text))
    assert (found.kind, found.what) == (Kind.CONNECTION, "an open SQLite database")
    assert found.maker == Maker("shop", f"{tmp_path}/shop.py:6", variable="shop.store")


def test_an_epoll_that_nobody_accounts_for_is_an_event_loop(importing: Importing) -> None:
    if not hasattr(__import__("select"), "epoll"):
        pytest.skip("this system has no epoll")
    found = only(importing("import select\npoller = select.epoll()\nclose = poller.close"))
    assert (found.kind, found.what) == (Kind.LOOP, "an open epoll descriptor")


# -- robustness

STRANGE = """
    import socket, sys, threading

    class Meta(type):
        __hash__ = None
        def __eq__(cls, other): raise RuntimeError("compared")
        @property
        def __mro__(cls): raise RuntimeError("asked")
        def __instancecheck__(cls, other): raise RuntimeError("asked")

    class Odd(metaclass=Meta):
        def __getattribute__(self, name): raise RuntimeError(name)
        def __eq__(self, other): raise RuntimeError("compared")

    class OddThread(threading.Thread):
        def __getattribute__(self, name):
            if name == "__class__": raise RuntimeError(name)
            return super().__getattribute__(name)

    odd = [Odd(), {"odd": Odd()}]
    OddThread(target=int).start()
    sys.modules["strange"] = 5
    opened = socket.create_server(("127.0.0.1", 0))

    def close():
        opened.close()
        del sys.modules["strange"]
    """


def test_strange_objects_hide_nothing_and_raise_nothing(importing: Importing) -> None:
    found = only(importing(STRANGE))
    assert found.kind is Kind.SOCKET


def test_nothing_stays_wrapped(importing: Importing) -> None:
    before = threading.Thread.start, socket.socket.__init__
    importing("answer = 42")
    with pytest.raises(ZeroDivisionError):
        importing("1 / 0") if sys.modules.pop("shop") else None
    assert (threading.Thread.start, socket.socket.__init__) == before


def test_who_wraps_a_thread_s_start_at_import_keeps_it(importing: Importing) -> None:
    """As tracing libraries do: their wrapper is not taken away, and ours under it does nothing any more."""
    before = threading.Thread.start
    importing(
        """
        import threading
        started = []
        original = threading.Thread.start
        def start(self):
            started.append(self.name)
            return original(self)
        threading.Thread.start = start
        """
    )
    try:
        assert threading.Thread.start is sys.modules["shop"].start
        thread = threading.Thread(target=int, name="later")
        thread.start()
        thread.join()
        assert sys.modules["shop"].started == ["later"]
    finally:
        threading.Thread.start = before  # type: ignore[method-assign]


def test_the_summary_is_one_line(importing: Importing) -> None:
    text = "import socket\nall = [socket.create_server(('127.0.0.1', 0)) for _ in range(5)]\n"
    found = importing(text + "def close(): [each.close() for each in all]")
    line = summary(found)
    assert line.startswith("the preloaded application has made what workers cannot share: a socket that listens on ")
    assert line.endswith(", and 2 more")
    assert "\n" not in line


def test_an_application_among_libraries_is_the_application(importing: Importing) -> None:
    """As in a container, where it is installed with pip."""
    library = "import socket\nopened = socket.create_server(('127.0.0.1', 0))"
    watch = ImportWatch("parcels.wsgi")
    found = only(importing("import parcels\nclose = parcels.opened.close", library, watch))
    assert (found.maker.module, found.maker.through) == ("parcels", "")


# -- where threads are greenlets


def test_threads_that_each_worker_goes_on_with_are_not_reported(importing: Importing) -> None:
    assert importing(THREAD, watch=ImportWatch("shop.wsgi", keeps_threads=True)) == ()


def test_green_threads_are_reported_and_not_waited_for(importing: Importing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ostler.real.threads_are_native", lambda: False)
    monkeypatch.setattr(threading.Thread, "join", lambda *_: pytest.fail("this would begin a hub, in the mold"))
    assert only(importing(THREAD)).kind is Kind.THREAD
    monkeypatch.undo()


def test_an_event_loop_that_each_worker_makes_anew_is_not_reported(importing: Importing) -> None:
    text = "import select\nepoll = select.epoll()\nclose = epoll.close"
    assert only(importing(text)).kind is Kind.LOOP
    sys.modules.pop("shop").close()
    assert importing(text, watch=ImportWatch("shop.wsgi", renews_loop=True)) == ()


def test_methods_that_a_class_inherits_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of the classes that gevent puts in place of Python's."""
    green = type("Thread", (threading.Thread,), {})
    monkeypatch.setattr(threading, "Thread", green)
    with ImportWatch("shop.wsgi"):
        assert "start" in vars(green)
    assert "start" not in vars(green)
