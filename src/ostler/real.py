"""The system's calls, threads and sockets as they are, whoever monkey-patches Python before or after.

gevent and eventlet replace what blocks in `os`, `select`, `socket`, `threading` and `time` by what lets other greenlets
run: in a worker of these kinds, or wherever a configuration file or an embedding program asks for it. What is ours must
not become green: our threads would run in the loop that they watch over, and our sockets would wait in a hub.

    names      bound here, once; of a process that was patched before, the originals that the patcher keeps
    Thread     a native one, where `threading` would make a greenlet
    Event      one that threads wait for
    pair, accept    sockets of Python's own class: its functions would make those of whatever class `socket` has by then

Rules for editing: what a module needs of the replaced names, it takes from here, at import. Only of names that are
replaced: everything else is taken from where it is. Nothing pure needs any of it.
"""

import _socket
import _thread
import contextlib
import os
import select
import socket
import sys
import threading
import time
from _thread import LockType as Lock
from collections.abc import Callable
from socket import socket as Socket
from types import ModuleType
from typing import Any, Final

__all__ = [
    "Event",
    "Lock",
    "Socket",
    "Thread",
    "accept",
    "epoll",
    "fork",
    "getaddrinfo",
    "make_lock",
    "open_file",
    "pair",
    "poll",
    "read",
    "sleep",
    "start_thread",
    "threads_are_native",
    "waitpid",
    "write",
]


def _original(module: ModuleType, name: str) -> Any:
    """What `module` had under `name` before anybody patched it; None where this system has no such thing."""
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None:
        with contextlib.suppress(AttributeError):
            return gevent.get_original(module.__name__, name)
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.already_patched:
        return getattr(eventlet.original(module.__name__), name, None)
    return getattr(module, name, None)


fork: Final[Callable[[], int]] = _original(os, "fork")
waitpid: Final[Callable[[int, int], tuple[int, int]]] = _original(os, "waitpid")
open_file: Final[Callable[..., int]] = _original(os, "open")
read: Final[Callable[[int, int], bytes]] = _original(os, "read")
write: Final[Callable[[int, bytes | bytearray | memoryview], int]] = _original(os, "write")
poll: Final[Callable[[], "select.poll"]] = _original(select, "poll")
epoll: Final[Callable[[], "select.epoll"]] = _original(select, "epoll")
"""Linux only: None elsewhere."""
globals()["Socket"] = _original(socket, "socket")  # imported above, too: as a type
getaddrinfo: Final[Callable[..., list[Any]]] = _original(socket, "getaddrinfo")
sleep: Final[Callable[[float], object]] = _original(time, "sleep")
make_lock: Final[Callable[[], Lock]] = _original(_thread, "allocate_lock")
start_thread: Final[Callable[[Callable[..., object], tuple[Any, ...]], int]] = _original(_thread, "start_new_thread")


def threads_are_native() -> bool:
    """Whether `threading` makes threads of the system now, and not greenlets."""
    return _thread.start_new_thread is start_thread


class Thread:
    """A native thread that does `target()` and does not keep the process alive.

    One of `threading`, as long as that makes native ones: debuggers, coverage and `spew` know those.
    """

    def __init__(self, target: Callable[[], object], name: str) -> None:
        self._target = target
        self._name = name
        self._running = make_lock()

    def start(self) -> None:
        """Once. Raises RuntimeError when the system has no thread to give."""
        self._running.acquire()
        try:
            if threads_are_native():
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
            else:
                start_thread(self._run, ())
        except RuntimeError:
            self._running.release()
            raise

    def join(self, timeout_s: float) -> bool:
        """Wait until it has ended; False when it has not within that time."""
        if not self._running.acquire(timeout=timeout_s):
            return False
        self._running.release()
        return True

    def is_alive(self) -> bool:
        """It was started, and has not ended."""
        return self._running.locked()

    def _run(self) -> None:
        try:
            self._target()
        finally:
            self._running.release()


class Event:
    """Something happens once, and threads wait for it."""

    def __init__(self) -> None:
        self._happened = False
        self._gate = make_lock()
        self._gate.acquire()

    def set(self) -> None:
        """It has happened. Any thread, any number of times."""
        self._happened = True
        with contextlib.suppress(RuntimeError):  # it is open
            self._gate.release()

    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._happened

    def wait(self, timeout_s: float = -1) -> bool:
        """Wait for it, for at most so many seconds; without end if negative. Whether it has happened."""
        if not self._happened and self._gate.acquire(timeout=timeout_s):
            self.set()  # the gate is for one at a time: let the next one through
        return self._happened


def pair(family: int = socket.AF_UNIX, kind: int = socket.SOCK_STREAM) -> tuple[Socket, Socket]:
    """As socket.socketpair."""
    ends = _socket.socketpair(family, kind)
    first, second = (Socket(family, kind, 0, fileno=end.detach()) for end in ends)
    return first, second


def accept(listener: Socket) -> tuple[Socket, Any]:
    """As `listener.accept()`; the accepted one is blocking."""
    fd, address = listener._accept()  # type: ignore[attr-defined]  # what socket.accept() is made of
    return Socket(listener.family, listener.type, listener.proto, fileno=fd), address
