"""The side door of a busy worker: with `queue_timeout`, who has waited long in the kernel is let in to be told so.

A worker without a free thread keeps its doors closed, and what comes waits in the kernel, where the next free worker
takes it: that is the fairest queue there is. But there nobody can answer it with 503. So while no sibling is idle, the
leader of a busy worker (its standby, as a rule) looks at the listeners a few times a second, and accepts whoever has
waited there for `after_s`. A queue is first in, first out: the age of one that was accepted says that all behind it are
younger, so of those that have not waited long hardly one is taken too early. One that was may still go over to a
sibling (handover.py).

Nobody knows the age of a connection to a Unix socket: there, everybody is let in at once.

Rules for editing: only the leader calls `look`; the doors tell of every accept, in whatever thread.
"""

import socket
from collections.abc import Callable, Sequence
from typing import Final

from ostler.process.listeners import Listener
from ostler.process.queues import waited_s

LOOK_S: Final = 0.05
MOST_S: Final = 1.0
_CROWD: Final = 256


def after_s(queue_timeout_s: float) -> float:
    """How long somebody waits in the kernel at most, if the time for all waiting is this."""
    return min(MOST_S, queue_timeout_s / 2)


class SideDoor:
    """Of one worker."""

    def __init__(self, limit_s: float) -> None:
        """limit_s: whoever has waited longer is let in."""
        self._limit_s = limit_s
        self._next = 0.0
        self._due: dict[int, float] = {}
        """By listener: before this nobody in its queue has waited so long."""

    def patience(self, now: float) -> float:
        """Seconds until the next look."""
        return max(0.0, self._next - now)

    def look(self, listeners: Sequence[Listener], accept: Callable[[Listener], bool], now: float) -> None:
        """`accept` lets one in; False: there is nobody, or no place."""
        if now < self._next:
            return
        self._next = now + LOOK_S
        for listener in list(listeners):
            for _ in range(_CROWD):
                if self._due.get(listener.fd, 0.0) > now or not accept(listener):
                    break

    def accepted(self, listener: Listener, sock: socket.socket, now: float) -> None:
        """Who stands behind this one has not waited longer."""
        self._due[listener.fd] = now if self._is_ageless(listener) else now + self._limit_s - waited_s(sock)

    def nobody(self, listener: Listener, now: float) -> None:
        """The queue is empty."""
        self._due[listener.fd] = now if self._is_ageless(listener) else now + self._limit_s

    @staticmethod
    def _is_ageless(listener: Listener) -> bool:
        return listener.socket.family == socket.AF_UNIX
