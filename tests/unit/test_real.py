"""What must not become green: in this process, and in those that gevent or eventlet patch before or after."""

import socket
import subprocess
import sys
import threading
from importlib.util import find_spec

import pytest

from ostler import real


def test_a_thread_runs_beside_us_and_is_known_to_threading():
    gate, names = real.Event(), []
    thread = real.Thread(lambda: (names.append(threading.current_thread().name), gate.wait(10)), "ours")
    assert not thread.is_alive()
    thread.start()
    assert thread.is_alive()
    assert not thread.join(0.001)
    gate.set()
    assert thread.join(10)
    assert not thread.is_alive()
    assert names == ["ours"]


def test_a_thread_that_raises_has_ended(capfd):
    threading_hook, threading.excepthook = threading.excepthook, lambda _: None
    try:
        thread = real.Thread(lambda: 1 / 0, "broken")
        thread.start()
        assert thread.join(10)
    finally:
        threading.excepthook = threading_hook


def test_no_thread_to_be_had_is_an_error_and_no_thread_that_is_waited_for(monkeypatch):
    def refuse(*_arguments, **_names):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    thread = real.Thread(print, "none")
    with pytest.raises(RuntimeError):
        thread.start()
    assert not thread.is_alive()


def test_an_event_lets_everybody_through_for_good():
    event, passed = real.Event(), []
    assert not event.wait(0.001)
    threads = [real.Thread(lambda: passed.append(event.wait(10)), "waiter") for _ in range(3)]
    for thread in threads:
        thread.start()
    event.set()
    event.set()
    assert all(thread.join(10) for thread in threads)
    assert passed == [True] * 3
    assert event.is_set()
    assert event.wait()
    assert event.wait(0)


def test_pairs_and_accepted_sockets_are_as_pythons_own():
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        accepted, address = real.accept(listener)
        with accepted:
            assert address == client.getsockname()
            assert (accepted.family, accepted.type, accepted.getblocking()) == (listener.family, listener.type, True)
            assert not accepted.get_inheritable()
    ours, theirs = real.pair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        ours.send(b"x")
        assert theirs.recv(9) == b"x"
        assert ours.type == socket.SOCK_DGRAM


PATCHES = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import warnings; warnings.simplefilter('ignore'); import eventlet; eventlet.monkey_patch()",
}
LOOK = """
import os, select, sys, threading, time, _thread
from ostler.drivers.poller import make_poller
from ostler.process.signals import SignalEdge
assert not real.threads_are_native()
assert real.Socket.__module__ == "socket", real.Socket
for name in ("fork", "waitpid", "read", "write", "sleep", "make_lock", "start_thread", "poll", "epoll"):
    module = getattr(getattr(real, name), "__module__", None)
    assert module in (None, "posix", "time", "_thread", "select"), (name, module)
ours, theirs = real.pair()
assert {type(ours), type(theirs)} == {real.Socket}
seen, gate = [], real.Event()
def look():
    seen.append(threading.get_native_id())
    gate.set()
thread = real.Thread(look, "ours")
thread.start()
assert gate.wait(10)  # stops this thread, and every greenlet in it
assert thread.join(10)
assert seen != [threading.get_native_id()]
make_poller().close()
SignalEdge(()).close()
"""


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_who_patches_before_or_after_changes_nothing_of_ours(library):
    if find_spec(library) is None:
        pytest.skip(f"needs {library}, of the extra dev")
    imports = "from ostler import real; import ostler.cli"
    for first, second in ((PATCHES[library], imports), (imports, PATCHES[library])):
        ended = subprocess.run(
            [sys.executable, "-c", f"{first}\n{second}\n{LOOK}"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
