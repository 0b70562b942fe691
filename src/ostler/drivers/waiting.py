"""How code that runs an application waits for its client: with threads, or as the event loop of its kind has it.

A thread that waits lets other threads run; a greenlet has to say so to its hub. `Waiting` is what a kind of the second
sort brings; everything else in the drivers is the same for both.

Rules for editing: `THREADS` is made of the real ones (real.py), whatever was monkey-patched: it blocks its thread.
"""

import select
from typing import Final, Protocol

from ostler import real

_poll = real.poll
_READ: Final = select.POLLIN


class Condition(Protocol):
    """What `threading.Condition` has of it, too. The caller holds the lock that it was made with."""

    def wait(self, timeout: float | None = None) -> bool: ...
    def notify_all(self) -> None: ...


class Waiting(Protocol):
    """One kind's way to wait."""

    def condition(self, lock: real.Lock) -> Condition:
        """A condition over `lock`, which `wait` lets go of."""

    def readable(self, fd: int, timeout_s: float) -> None:
        """Wait until `fd` is readable, or broken, or the time is over."""


class Threads:
    """Threads wait in the kernel."""

    def condition(self, lock: real.Lock) -> Condition:
        """See `Waiting`."""
        return _ThreadsCondition(lock)

    def readable(self, fd: int, timeout_s: float) -> None:
        """See `Waiting`; poll(2)."""
        poll = _poll()
        poll.register(fd, _READ)
        poll.poll(timeout_s * 1000)


class _ThreadsCondition:
    """`threading.Condition` makes its locks when it waits, and they may be green by then."""

    def __init__(self, lock: real.Lock) -> None:
        self._lock = lock
        self._gates: list[real.Lock] = []

    def wait(self, timeout: float | None = None) -> bool:
        """See `Condition`."""
        gate = real.make_lock()
        gate.acquire()
        self._gates.append(gate)
        self._lock.release()
        try:
            return gate.acquire(timeout=-1 if timeout is None else timeout)
        finally:
            self._lock.acquire()
            if gate in self._gates:
                self._gates.remove(gate)

    def notify_all(self) -> None:
        """See `Condition`."""
        for gate in self._gates:
            gate.release()
        self._gates.clear()


THREADS: Final = Threads()
