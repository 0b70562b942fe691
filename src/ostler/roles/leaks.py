"""What an application piles up until the system refuses more: threads, and descriptors. Said before that happens.

    threads        above THREADS of those that are not ours, and each time they have doubled: where they were started
    descriptors    above 80 % of the limit: how many are clients, and what most of them are

Rules for editing: a look costs two microseconds while all is well, and is taken every few seconds; what takes longer
(the list of threads, /proc/self/fd) only when there is a line to be written. Nothing here raises.
"""

import logging
import os
import resource
import threading
from collections.abc import Callable
from typing import Final

from ostler.app.exhaustion import DESCRIPTORS_CURE, THREADS_CURE, descriptors, threads_by_origin
from ostler.logline import fields
from ostler.observe.causes import Cause

THREADS: Final = 500
_LOOK_EVERY_S: Final = 2.0
_TELL_EVERY_S: Final = 60.0
_FULL: Final = 0.8
_CLIENTS_CURE: Final = "raise the limit (ulimit -n, LimitNOFILE=), or lower worker_connections"

_dup = os.dup
_close = os.close


class Leaks:
    """Of one worker."""

    def __init__(self, log: logging.Logger, clients: Callable[[], int]) -> None:
        """clients: how many connections we serve."""
        self._log = log
        self._clients = clients
        self._next_look = 0.0
        self._next_tell = 0.0
        self._threads = THREADS

    def look(self, now: float) -> None:
        """Called about once a second."""
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_EVERY_S
        if threading.active_count() > self._threads:
            self._look_at_threads()
        if now >= self._next_tell and (line := descriptors_running_out(self._clients())):
            self._next_tell = now + _TELL_EVERY_S
            self._log.warning("%s", line)

    def _look_at_threads(self) -> None:
        count, most = threads_by_origin()
        if count > self._threads:
            self._threads = 2 * count
            sentence = "the application runs many threads"
            self._log.warning("%s", fields(sentence, threads=count, most=most, cause=Cause.THREADS, cure=THREADS_CURE))


def descriptors_running_out(clients: int) -> str:
    """The line to be written; empty while there is room. clients: so many are connections that we serve."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    # The lowest free number: all below it are taken. Two calls, where a list of all of them takes milliseconds.
    try:
        lowest = _dup(2)
        _close(lowest)
    except OSError:
        lowest = limit
    if limit == resource.RLIM_INFINITY or lowest < _FULL * limit:
        return ""
    used, most, _ = descriptors()
    return fields(
        "descriptors are running out",
        used=used or lowest,
        limit=limit,
        clients=clients,
        most=most,
        cause=Cause.DESCRIPTORS,
        cure=_CLIENTS_CURE if 2 * clients > limit else DESCRIPTORS_CURE,
    )
