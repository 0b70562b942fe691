"""Readiness of file descriptors: epoll(7) on Linux, what `selectors` offers elsewhere (kqueue on macOS).

Level-triggered. `change` and `watch` may be called from any thread and act on a `poll` that is running. The system's
names are bound at import: a configuration file may monkey-patch `select` in the master (gevent removes epoll).
"""

import contextlib
import select
import selectors
import sys
from typing import Final, Protocol

from ostler import real

READ: Final = 1
WRITE: Final = 4
GONE: Final = 8 | 16
"""Error or hang-up on both sides; reported without being asked for. The values are epoll's."""
LEFT: Final = 0x2000
"""EPOLLRDHUP: the other side sends nothing more, whatever is still unread. Reported by epoll only."""


class Poller(Protocol):
    """The contract of both implementations below."""

    def watch(self, fd: int, events: int) -> None:
        """Start to report `events` (READ | WRITE | LEFT) of `fd`."""

    def watch_shared(self, fd: int) -> None:
        """Start to report READ of a descriptor that other processes watch too, waking as few of them as possible."""

    def change(self, fd: int, events: int) -> None:
        """Report other events of a watched `fd`; 0 leaves GONE only."""

    def forget(self, fd: int) -> None:
        """Stop reporting `fd`; harmless when it is not watched."""

    def poll(self, timeout_s: float) -> list[tuple[int, int]]:
        """(fd, events) pairs; an empty list after `timeout_s` seconds."""

    def fileno(self) -> int:
        """The poller's own descriptor: readable while `poll` has something to report."""

    def close(self) -> None:
        """Give the poller's own descriptor back."""


if sys.platform == "linux":
    _epoll = real.epoll
    _EXCLUSIVE: Final = select.EPOLLEXCLUSIVE

    class EpollPoller:
        """epoll(7)."""

        def __init__(self) -> None:
            self._epoll = _epoll()
            self.watch = self._epoll.register
            self.change = self._epoll.modify

        def watch_shared(self, fd: int) -> None:
            """See `Poller`. EPOLLEXCLUSIVE keeps a connection from waking every idle worker."""
            self._epoll.register(fd, READ | _EXCLUSIVE)

        def forget(self, fd: int) -> None:
            """See `Poller`."""
            with contextlib.suppress(OSError, ValueError):
                self._epoll.unregister(fd)

        def poll(self, timeout_s: float) -> list[tuple[int, int]]:
            """See `Poller`."""
            return self._epoll.poll(timeout_s, 256)

        def fileno(self) -> int:
            """See `Poller`; epoll(7) has it."""
            return self._epoll.fileno()

        def close(self) -> None:
            """See `Poller`."""
            self._epoll.close()


class SelectorPoller:
    """Any `selectors` selector. Slower than epoll; for development on other systems."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._lock = real.make_lock()

    def watch(self, fd: int, events: int) -> None:
        """See `Poller`."""
        with self._lock:
            if wanted := _to_selector(events):
                self._selector.register(fd, wanted)

    def watch_shared(self, fd: int) -> None:
        """See `Poller`."""
        self.watch(fd, READ)

    def change(self, fd: int, events: int) -> None:
        """See `Poller`. A descriptor without wishes is not watched at all here."""
        with self._lock:
            known = fd in self._selector.get_map()
            wanted = _to_selector(events)
            if known and wanted:
                self._selector.modify(fd, wanted)
            elif known:
                self._selector.unregister(fd)
            elif wanted:
                self._selector.register(fd, wanted)

    def forget(self, fd: int) -> None:
        """See `Poller`."""
        with self._lock, contextlib.suppress(KeyError, OSError, ValueError):
            self._selector.unregister(fd)

    def poll(self, timeout_s: float) -> list[tuple[int, int]]:
        """See `Poller`."""
        ready = self._selector.select(timeout_s)
        return [
            (key.fd, (READ if events & selectors.EVENT_READ else 0) | (WRITE if events & selectors.EVENT_WRITE else 0))
            for key, events in ready
        ]

    def fileno(self) -> int:
        """See `Poller`; a kqueue's."""
        return int(self._selector.fileno())

    def close(self) -> None:
        """See `Poller`."""
        self._selector.close()


def _to_selector(events: int) -> int:
    return (selectors.EVENT_READ if events & READ else 0) | (selectors.EVENT_WRITE if events & WRITE else 0)


def make_poller() -> Poller:
    """The best poller of this system."""
    if sys.platform == "linux":
        return EpollPoller()
    return SelectorPoller()
