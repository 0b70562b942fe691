"""A worker whose application closes what is not its own, or forks and comes back: what becomes of it.

    our descriptors are closed or replaced    one line, and the worker leaves: nothing that it does can be trusted. Its
                                              successor takes over at once
    those of logs are                         one line, the log goes on under another number
    a forked process comes back into our code that process ends: it would be a second worker that nobody knows of, and
                                              answer the first one's clients. One line a minute

A forked process has none of our sockets: a child that outlives the server keeps no port, and no client's connection.

Rules for editing: `look` is called about once a second by whoever leads, `_doubt` by any thread, when a call on a
descriptor has failed that cannot fail. In a forked process nothing is locked, and nothing of the page is written.
"""

import logging
import mmap
import os
import struct
import time
from collections.abc import Callable
from typing import Final

from ostler.logline import fields
from ostler.observe.causes import Cause, cure_for
from ostler.observe.scoreboard import Page
from ostler.process.belongings import Belongings, close_detached, tell_of_doubt
from ostler.process.signals import SignalEdge
from ostler.roles.assembly import WorkerStart
from ostler.workers.base import Worker

_TELL_EVERY_S: Final = 60.0
_FORKED_STATUS: Final = 1
_TIME: Final = struct.Struct("d")

_getpid = os.getpid
_leave = os._exit
_monotonic = time.monotonic


class Integrity:
    """Of one worker that serves."""

    def __init__(
        self, start: WorkerStart, worker: Worker, edge: SignalEdge, log: logging.Logger, leave: Callable[[], object]
    ) -> None:
        """leave: ends the process, in whichever thread it is called."""
        self._pid = _getpid()
        self._start = start
        self._worker = worker
        self._edge = edge
        self._log = log
        self._leave = leave
        self._page: Page = start.scoreboard.page(start.page)
        self._active = True
        self._told_at = mmap.mmap(-1, mmap.PAGESIZE)  # shared with what the application forks: it tells once for all
        self._belongings = belongings = Belongings()
        belongings.add("channel to the master", start.channel.fileno)
        belongings.add("queue of the siblings", start.transfer.fileno)
        belongings.add("signals", edge.fileno)
        for listener in start.listeners:
            belongings.add(f"listener {listener.name}", listener.fileno)
        worker.loop.show_belongings(belongings)
        tell_of_doubt(self._doubt)
        os.register_at_fork(after_in_child=self._in_fork)

    def end(self) -> None:
        """The worker leaves, or becomes a mold: from now on it closes what it likes."""
        self._active = False

    def look(self) -> None:
        """Leave if something is missing."""
        if not self._active or _getpid() != self._pid:
            return
        mended = self._start.journal.logs.mend()
        lost = self._belongings.lost()
        if lost:
            self._active = False
            self._tell("the application closed or replaced descriptors of the server, this worker leaves", lost)
            self._leave()
        elif mended:
            self._tell("the application closed or replaced descriptors of the server, the logs go on", mended)

    def _tell(self, sentence: str, lost: list[str]) -> None:
        serving = [what for _, what in self._page.in_flight()] or [each.what for each in self._page.recent()[:1]]
        names = ", ".join(dict.fromkeys(lost))
        request = (serving or ["-"])[0]
        text = fields(sentence, pid=self._pid, lost=names, request=request, **_words(Cause.DESCRIPTORS_TAKEN))
        self._log.error("%s", text)

    # -- any thread ------------------------------------------------------------------------------------------

    def _doubt(self) -> None:
        if not self._active:
            return
        if _getpid() == self._pid:
            self.look()
        else:
            self._end_fork()

    # -- in a process that the application has forked --------------------------------------------------------

    def _in_fork(self) -> None:
        if not self._active:
            return
        start = self._start
        for listener in start.listeners:
            close_detached(listener.socket)
        start.transfer.disown()
        start.channel.disown()
        self._edge.disown()
        if not self._worker.goes_on_in_forks:
            self._worker.loop.disown()

    def _end_fork(self) -> None:
        (told_at,) = _TIME.unpack_from(self._told_at)
        now = _monotonic()
        if not told_at or now - told_at >= _TELL_EVERY_S:
            _TIME.pack_into(self._told_at, 0, now)
            text = "a process that the application forked came back into the server, and was ended"
            self._log.error("%s", fields(text, pid=_getpid(), worker=self._pid, **_words(Cause.FORKED)))
        _leave(_FORKED_STATUS)


def _words(cause: Cause) -> dict[str, object]:
    return {"cause": cause, "cure": cure_for(cause)}
