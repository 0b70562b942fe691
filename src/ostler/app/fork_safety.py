"""The fork-safety report: what an application makes while it is imported, and workers forked afterwards cannot share.

A thread exists in the mold only, and a lock that it holds is held for ever in workers. An event loop's epoll and the
sockets of connections are one for all: workers take each other's answers. So the mold notes who makes such things, and
says so before the first fork.

    watch = ImportWatch("shop.wsgi", native_threads)
    with watch:
        ...import...
    for finding in watch.findings(): log.warning("%s", finding.line)

Rules for editing: threading.Thread.start and socket.socket.__init__ are wrapped during the import and put back; an
audit hook would stay for ever. What is harmless is not reported. No user's object makes this raise.
"""

import contextlib
import functools
import gc
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from types import FrameType, TracebackType
from typing import Any, Final, Self
from weakref import ref

from ostler import real
from ostler.app import holdings, makers
from ostler.app.holdings import Held, SocketKey
from ostler.app.makers import UNKNOWN, Maker
from ostler.logline import escape, fields

_ENDING_S: Final = 0.1
"""How long threads may still need that are about to end anyway."""

_monotonic = time.monotonic


class Kind(Enum):
    """What was found; the value is the sentence of the log line."""

    THREAD = "preloading loses a thread, workers do not have it"
    LOOP = "preloading shares an event loop among workers"
    CONNECTION = "preloading shares connections among workers"
    SOCKET = "preloading shares a socket among workers"


_CURES: Final = {
    Kind.THREAD: "start it in the post_fork hook, or when it is first needed",
    Kind.LOOP: "make it in the post_fork hook, or when it is first needed",
    Kind.CONNECTION: "connect in the post_fork hook or when it is first needed, or disconnect at the end of the import",
    Kind.SOCKET: "open it in the post_fork hook, or when it is first needed",
}
_CLOSE: Final = "close it at the end of the import (in Django: django.db.connections.close_all())"
_CURE_OF: Final = {
    "sqlalchemy": "call engine.dispose() at the end of the import, or dispose(close=False) in the post_fork hook",
    **dict.fromkeys(("sqlite3", "psycopg", "psycopg2", "MySQLdb"), _CLOSE),
    "redis": "call connection_pool.disconnect() at the end of the import, or make the client when it is first needed",
    "pymongo": "make the client in the post_fork hook, or with connect=False",
    "psycopg_pool": "make the pool with open=False, and open it in the post_fork hook",
    "grpc": "make the channel in the post_fork hook, or when it is first needed",
}
_NATIVE: Final = {"rdk:": "librdkafka", "grpc": "gRPC", "event_engine": "gRPC", "tokio": "Tokio", "rayon": "Rayon"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that workers cannot share. what: in words. maker: who made it, as far as it is known."""

    kind: Kind
    what: str
    maker: Maker
    cure: str
    count: int = 1

    @property
    def line(self) -> str:
        """For the log: what, where, and what to do. `preload_unsafe` is for those who cannot."""
        maker = self.maker
        known: dict[str, object] = {"what": self.what}
        if self.count > 1:
            known["count"] = self.count
        known["made_by"] = maker.variable or maker.module or "unknown"
        if maker.place:
            known["at"] = maker.place
        if maker.through:
            known["through"] = maker.through
        return fields(self.kind.value, **known, cure=self.cure)


def summary(findings: Iterable[Finding]) -> str:
    """All of it on one line."""
    told = [f"{each.what}{f' ({each.maker.place})' if each.maker.place else ''}" for each in findings]
    more = f", and {len(told) - 3} more" if len(told) > 3 else ""
    return escape(f"the preloaded application has made what workers cannot share: {', '.join(told[:3])}{more}")


class ImportWatch:
    """Notes who makes threads and sockets inside of `with`. Used once, in the main thread."""

    def __init__(
        self,
        module: str,
        native_threads: Callable[[], Iterable[str]] = tuple,
        *,
        keeps_threads: bool = False,
        renews_loop: bool = False,
    ) -> None:
        """module: APP's, whose top-level package is the application. native_threads: process.threads.native_threads.

        keeps_threads: threads are greenlets, which go on in each worker. renews_loop: their loop is made anew there.
        """
        self._application = module.partition(".")[0]
        self._native_threads = native_threads
        self._keeps_threads = keeps_threads
        self._renews_loop = renews_loop
        self._watching = False
        self._threads: list[tuple[threading.Thread, Maker]] = []
        self._sockets: dict[int, tuple[ref[Any], Maker]] = {}
        self._before: dict[SocketKey, int] = {}
        self._held_before: list[Held] = []
        self._selectors_before: set[int] = set()

    def __enter__(self) -> Self:
        self._before = holdings.sockets_here()
        self._held_before = holdings.held()
        self._selectors_before = set(holdings.selectors_here())
        self._living_before = set(threading.enumerate())
        self._watching = True
        self._unwrap_thread = _wrap(threading.Thread, "start", self._note_thread)
        self._unwrap_socket = _wrap(socket.socket, "__init__", self._note_socket)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._watching = False
        self._unwrap_thread()
        self._unwrap_socket()

    def findings(self) -> tuple[Finding, ...]:
        """After the import: what is still there of it. Collects garbage first, and never raises."""
        gc.collect()
        found: list[Finding] = []
        for look in (self._find_threads, self._find_native_threads, self._find_held_and_sockets):
            try:
                found += look()
            except Exception as error:  # noqa: BLE001  a report must not keep an application from starting
                what = f"a part of this report could not be made ({type(error).__name__})"
                found.append(Finding(Kind.THREAD, what, UNKNOWN, "report this defect of Ostler, please"))
        return tuple(_grouped(found))

    # -- during the import

    def _note_thread(self, thread: threading.Thread) -> None:
        if self._watching:
            self._threads.append((thread, makers.on_stack(_caller(), self._application)))

    def _note_socket(self, sock: socket.socket) -> None:
        if self._watching:
            self._sockets[id(sock)] = (ref(sock), makers.on_stack(_caller(), self._application))

    # -- after it

    def _find_threads(self) -> Iterator[Finding]:
        if self._keeps_threads:
            return
        deadline = _monotonic() + _ENDING_S
        native = real.threads_are_native()  # to wait for a greenlet would begin a loop, here
        ours = (threading.main_thread(), threading.current_thread())
        noted = {id(thread): maker for thread, maker in self._threads}
        for thread in threading.enumerate():
            if thread in self._living_before or thread in ours or isinstance(thread, threading._DummyThread):
                continue
            if native:
                thread.join(max(0.0, deadline - _monotonic()))
            if thread.is_alive():
                maker = noted.get(id(thread), UNKNOWN)
                name = str(thread.name)
                yield Finding(Kind.THREAD, f"thread {_unnumbered(name)}", maker, _CURES[Kind.THREAD])

    def _find_native_threads(self) -> Iterator[Finding]:
        for name in self._native_threads():
            owner = next((library for start, library in _NATIVE.items() if name.startswith(start)), "native code")
            yield Finding(Kind.THREAD, f"thread {name} of {owner}", UNKNOWN, _CURES[Kind.THREAD])

    def _find_held_and_sockets(self) -> Iterator[Finding]:
        before = {id(each.target) for each in self._held_before}
        things = [each for each in holdings.held() if id(each.target) not in before]
        made = self._socket_makers()
        found = makers.holders([each.target for each in things], self._application)
        told: set[SocketKey] = set()
        libraries = {each.library for each in things} - {"asyncio"}
        for thing in things:
            keys = {key for key in map(holdings.socket_key, thing.fds) if key is not None}
            told |= keys
            maker = next((made[key] for key in keys if key in made), UNKNOWN)
            # a variable says more than a line in whatever the library was called from
            maker = found.get(id(thing.target), maker)
            kind = Kind.LOOP if thing.loop else Kind.CONNECTION
            yield Finding(kind, thing.what, maker, _CURE_OF.get(thing.library, _CURES[kind]))
        for key, fd in self._new_sockets(made).items():
            maker = made.get(key, UNKNOWN)
            if key in told or holdings.through_library(maker, libraries):
                continue
            what = holdings.describe_socket(fd)
            if what is not None:
                native = "" if key in made else " of native code"
                yield Finding(Kind.SOCKET, what + native, maker, _CURES[Kind.SOCKET])
        known = self._renews_loop or any(thing.loop or thing.library == "grpc" for thing in things)
        if not known and set(holdings.selectors_here()) - self._selectors_before:
            yield Finding(Kind.LOOP, "an open epoll descriptor", UNKNOWN, _CURES[Kind.LOOP])

    def _socket_makers(self) -> dict[SocketKey, Maker]:
        found = {}
        for alive, maker in self._sockets.values():
            sock = alive()
            key = None if sock is None else holdings.socket_key(sock.fileno())
            if key is not None:
                found[key] = maker
        return found

    def _new_sockets(self, made: dict[SocketKey, Maker]) -> dict[SocketKey, int]:
        """Where there is no /proc, those that Python has made."""
        here = holdings.sockets_here()
        if not here:
            living = [sock for sock in (alive() for alive, _ in self._sockets.values()) if sock is not None]
            numbers = {holdings.socket_key(fd): fd for fd in (sock.fileno() for sock in living)}
            here = {key: fd for key, fd in numbers.items() if key is not None and key in made}
        return {key: fd for key, fd in here.items() if key not in self._before}


def _wrap(owner: Any, name: str, note: Callable[[Any], None]) -> Callable[[], None]:
    """Call `note` with the object before each call of a method; returns what takes that back.

    Who has taken the method meanwhile, to wrap it in his own, keeps ours: it does nothing any more but call on.
    """
    own = owner.__dict__.get(name)  # what takes the place of these classes may inherit it
    original = getattr(owner, name)

    @functools.wraps(original)
    def noting(self: Any, *args: Any, **kwargs: Any) -> Any:
        with contextlib.suppress(Exception):  # strange objects are not noted
            note(self)
        return original(self, *args, **kwargs)

    def take_back() -> None:
        if owner.__dict__.get(name) is not noting:
            return
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)

    setattr(owner, name, noting)
    return take_back


def _caller() -> FrameType | None:
    """Of the wrapped method: above are this function, the note, and the wrapper."""
    return sys._getframe(3)


def _unnumbered(name: str) -> str:
    """Thread-7 (run) -> Thread-N (run): those of one maker are one finding."""
    head, dash, tail = name.partition("-")
    if head == "Thread" and dash:
        number = tail.split(" ", 1)
        return " ".join(["Thread-N", *number[1:]])
    return name


def _grouped(findings: list[Finding]) -> Iterator[Finding]:
    counts: dict[Finding, int] = {}
    for each in findings:
        counts[each] = counts.get(each, 0) + 1
    for each, count in counts.items():
        yield Finding(each.kind, each.what, each.maker, each.cure, count)
