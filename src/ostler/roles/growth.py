"""What a worker's memory grew by since it serves: which requests, and, with `trace_memory`, which line.

What leaks goes on to leak: so allocations are traced, which is slow, only when half of the way to the limit is done.

`Growth.note` is told about once a second how much memory there is, and charges what has come to the requests that were
served meanwhile, by method, path and the time that they took. That is a guess, and gets better with each second: a leak
grows whenever its path is served, and what else was served at the same time takes turns. `words` says the answer when
the worker goes for its memory.

Rules for editing: called by whoever leads the reactor, of one worker at a time; no clock of its own. What is counted is
bounded, for paths are made by clients.
"""

from collections import Counter
from typing import Final

from ostler.config.usercode import is_own_code, short_path
from ostler.logline import fields
from ostler.observe.causes import Cause, cure_for
from ostler.observe.scoreboard import Page
from ostler.process import allocations
from ostler.process.allocations import Line

_MB: Final = 1 << 20
_LEAST_BYTES: Final = 256 << 10
"""The kernel's number may be wrong by that much."""
_MOST_PATHS: Final = 200
_LOOK_AT_THE_LINE: Final = "bound what is kept of what this line makes; max_worker_memory hides a leak meanwhile"
_LOOK_AT_C: Final = "look for a C library that keeps memory: what Python code has allocated does not explain it"


class Growth:
    """Of one worker. Made when it becomes ready."""

    def __init__(self, page: Page, now: float, trace_below: float = 0.0) -> None:
        """trace_below: the limit in bytes, on the second half of the way to which allocations are traced; 0: never."""
        self._page = page
        self._trace_below = trace_below
        self._looked = now
        self._first: int | None = None
        self._last = 0
        self._charged: Counter[str] = Counter()
        traced = allocations.tracing()  # somebody has started Python with it
        self._before = allocations.bytes_by_line(is_own_code, goes_on=True) if traced else Counter[Line]()

    def note(self, used: int, now: float) -> None:
        """used: bytes of memory now."""
        if self._first is None:
            self._first = self._last = used
        grown = used - self._last
        if grown >= _LEAST_BYTES:
            self._charge(grown, now)
            self._last = used
        elif grown < 0:
            self._last = used
        self._looked = now
        if self._trace_below and used > (self._first + self._trace_below) / 2:
            self._trace_below = 0.0
            allocations.start()

    def _charge(self, grown: int, now: float) -> None:
        """To the paths that were served since the last look, by the time that they took. The page has only some of
        them: the last ones, and the slowest.
        """
        page = self._page
        took = {(started, what): now - started for started, what in page.in_flight()}
        over = [each for each in [*page.recent(), *page.slowest()] if each.started + each.took_s >= self._looked]
        took |= {(each.started, each.what): each.took_s for each in over}
        total_s = sum(took.values())
        for (_, what), took_s in took.items():
            path = what.partition("?")[0]
            if path in self._charged or len(self._charged) < _MOST_PATHS:
                self._charged[path] += int(grown * took_s / total_s) if total_s > 0 else 0

    def words(self) -> str:
        """What it grew by, as fields of a log line that begins with a blank; tracing ends here, if it was on."""
        if self._first is None or self._last <= self._first:
            return ""
        said: dict[str, object] = {"grew_mb": round((self._last - self._first) / _MB)}
        for path, _ in self._charged.most_common(1):
            said["mostly_in"] = path
        cure = cure_for(Cause.LEAK)
        if allocations.tracing():
            grown = allocations.bytes_by_line(is_own_code) - self._before
            cure = _LOOK_AT_C
            for (file, line), size in grown.most_common(1):
                if size >= _LEAST_BYTES:
                    said |= {"at": f"{short_path(file)}:{line}", "at_mb": round(size / _MB)}
                    cure = _LOOK_AT_THE_LINE
        return fields("", **said, cause=Cause.LEAK, cure=cure)
