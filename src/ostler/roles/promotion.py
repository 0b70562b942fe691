"""A worker that has served becomes its generation's mold (refork): what it has cached is shared by all later workers.

It retires first, as any worker: siblings take its idle clients, and it finishes what it serves. Then, with no thread
and no client left, it closes the idle connections of libraries that it knows, and looks whether a fork could harm. If
so, it says NotPromoted and leaves as one that retires.

A promoted worker does not exit: neither the worker_exit hook nor atexit functions are called, now or ever (a mold
leaves without them). What it has registered with atexit is inherited by its workers, as all that it has made: each runs
it at its own end. The master calls child_exit, for the worker is gone from its slot.

Rules for editing: in the main thread, after `Worker.serve`. What is refused is refused before anything is sent to the
master; a reason says what was found, and what to do about it.
"""

import gc
import os
import signal
import sys
import time
from dataclasses import dataclass
from typing import Final

from ostler import real
from ostler.app import holdings
from ostler.app.letting_go import let_go
from ostler.config.settings import Settings
from ostler.process.signals import SignalEdge
from ostler.process.threads import other_threads, task_count
from ostler.roles.assembly import WorkerStart
from ostler.roles.booting import leave
from ostler.workers.base import Worker
from ostler.workers.sync import SyncWorker

_THREADS_S: Final = 0.5
"""How long threads may need that are about to end."""
_PAUSE_S: Final = 0.005
_FRAMES: Final = 20
"""What the Python stack grows by with each promotion (17), and some: workers of a promoted one run on top of it."""

_monotonic = time.monotonic
_sleep = real.sleep


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this process is for the system (credentials(7))."""

    uid: int
    gid: int
    groups: frozenset[int]

    @classmethod
    def now(cls) -> "Identity":
        return cls(os.geteuid(), os.getegid(), frozenset(os.getgroups()))

    def __str__(self) -> str:
        return f"uid {self.uid}, gid {self.gid}"


class Promotion:
    """One worker's way to become a mold. Made when the process starts: what is there then is the server's."""

    def __init__(self, settings: Settings) -> None:
        self.wanted = False
        """The master has ordered it, and nothing else since."""
        self._born_as = Identity.now() if settings.refork_after else None
        self._ours = holdings.sockets_here().keys() if settings.refork_after else frozenset[int]()

    def obstacle(self, start: WorkerStart, worker: Worker, edge: SignalEdge | None) -> str:
        """Give up what a mold must not have, and say why this process cannot be one; empty: nothing speaks against it.

        Afterwards the process serves nobody any more, whatever the answer.
        """
        for number in (signal.SIGINT, signal.SIGQUIT):  # nobody reads them from now on; a mold has its own
            signal.signal(number, lambda *_: leave(start.journal, 0))
        if edge is not None:
            edge.close()
        refusal = self._of_kind(start, worker)
        if refusal:
            return refusal
        worker.loop.close()
        return self._of_process(start)

    def _of_kind(self, start: WorkerStart, worker: Worker) -> str:
        if not isinstance(worker, SyncWorker):
            return f"{start.settings.worker_class} workers have threads; use sync workers"
        if start.application is None:
            return "no mold has forked it; preload_app is needed"
        if self._born_as is None:
            return "it was started without refork_after"
        now = Identity.now()
        if now != self._born_as:
            return (
                f"it runs as {now}, and molds run as {self._born_as}: the hooks of later workers would lack rights; "
                "start the server as the user that workers run as, without user and group"
            )
        return ""

    def _of_process(self, start: WorkerStart) -> str:
        if not start.journal.enter_mold(start.channel.close, _THREADS_S):
            return "a log file does not take what a thread writes; look at its disk"
        gc.unfreeze()  # what the mold before had loaded is looked at, too, and may have become garbage
        gc.collect()
        let_go()
        _wait_for_threads()
        threads = other_threads()
        if threads:
            return f"it has threads, which workers would lack: {', '.join(threads)}"
        return self._of_holdings(start)

    def _of_holdings(self, start: WorkerStart) -> str:
        things = holdings.held()
        if things:
            what = ", ".join(sorted({each.what for each in things}))
            return f"workers would share {what}; close them after each request, or do without refork_after"
        ours = self._ours | {holdings.socket_key(fd) for fd in start.journal.sockets()}
        found = {
            text
            for key, fd in holdings.sockets_here().items()
            if key not in ours and (text := holdings.describe_socket(fd)) is not None
        }
        if found:
            what = ", ".join(sorted(found))
            return f"workers would share {what}; close it after each request, or do without refork_after"
        return ""


def make_room_on_stack() -> None:
    """The application's workers keep the depth of recursion that they had."""
    sys.setrecursionlimit(sys.getrecursionlimit() + _FRAMES)


def _wait_for_threads() -> None:
    """The standby, a log's thread or a look-up has done its work, and is about to end."""
    deadline = _monotonic() + _THREADS_S
    while (task_count() or 1) > 1 and _monotonic() < deadline:
        _sleep(_PAUSE_S)
