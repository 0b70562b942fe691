"""The scoreboard: one page of shared memory per process, which the master and tools read without asking.

It is a flight recorder as well: what a process was serving, and what it served last, is still there when a signal or
the kernel has ended it, until the page is given to another one.

Memory: one state byte per page (all together, so that "is a sibling idle" is one search), then the pages,
each a multiple of 64 bytes:

    header   last beat (double, monotonic seconds), pid (int64), finished requests (int64), requests in flight that
             have no row (int64); at 48 the nearest soft and hard deadline of a call (doubles; 0.0: none)
    totals   of each row: requests answered with 5xx (int64), seconds that all of them took (double)
    rows     each a ring of entries, and two entries more for the slowest requests of this and the former minutes

    entry    started (double; 0.0: nothing is here; negative: it is being served), took (double, seconds), status
             (int64, 0: none), text (200 bytes latin-1 and a NUL, at which it ends); unused to 256

Rules for editing. A page has one writing process; nothing here locks. Numbers are written through casts of
one memoryview, each a single aligned eight-byte store. `struct.pack_into` is not that: it zeroes its target
before it writes (a reader saw 8898 zeros in 39 million reads, none with the cast), and a beat of 0.0 would
make a healthy worker look silent. The start time of an entry is taken away before the rest of it changes, and is its
last store: so who reads it before and after has read one request, or knows better; readers never raise.
The clock is the caller's: `time.monotonic()`, which all processes of a machine share (clock_gettime(2)).

What is added up is added up per row, which one thread owns at a time: `x += 1` of two threads would lose one now and
then. The count of all requests is the page's, as somebody has to see the one at which a worker is replaced.

Cost where it was written, in microseconds: beat 0.05, begin and end of a request 0.3, idle_workers 0.1.
"""

import itertools
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ostler.observe.pressure import Pressures
from ostler.supervisor.events import Work

_LINE: Final = 64  # bytes of a cache line: two processes' pages never share one
_NUMBER: Final = 8
_HEADER_BYTES: Final = 64
_TOTALS_BYTES: Final = 2 * _NUMBER
_ENTRY_BYTES: Final = 256
_ENTRY_NUMBERS: Final = _ENTRY_BYTES // _NUMBER
_TEXT_AT: Final = 3 * _NUMBER
_TEXT_BYTES: Final = 200
_BODY_AT: Final = _NUMBER  # all of an entry but its start time
_SLOWEST: Final = 2  # entries of a row beside its ring
_MOST_ENTRIES: Final = 8
_LEAST_ENTRIES: Final = 4
_SLOW_FOR_S: Final = 300.0
"""So long a slow request is remembered at least, and twice as long at most, whatever came after it."""


class WorkerState(IntEnum):
    """What the process of a page does. IDLE: accepts and has a free thread; BUSY: serves and has none."""

    FREE = 0
    BOOTING = 1
    IDLE = 2
    BUSY = 3
    RETIRING = 4


_STATES = tuple(WorkerState)
_IDLE = bytes([WorkerState.IDLE])


@dataclass(frozen=True, slots=True)
class Finished:
    """A request that is over. started: monotonic seconds. status: 0, no response began. what: "GET /path?query"."""

    started: float
    took_s: float
    status: int
    what: str


class Page:
    """One process's page. Only that process writes it; while no process owns it, the master may."""

    __slots__ = (
        "_bytes",
        "_count",
        "_current",
        "_depth",
        "_doubles",
        "_first",
        "_header",
        "_index",
        "_longs",
        "_memory",
        "_next",
        "_row_bytes",
        "_rows",
        "_slow",
        "_slow_part",
        "_slow_until",
        "_totals",
    )

    def __init__(self, memory: mmap.mmap, index: int, offset: int, rows: int) -> None:
        self._memory = memory
        self._bytes = memoryview(memory)
        self._doubles = self._bytes.cast("d")
        self._longs = self._bytes.cast("q")
        self._index = index
        self._header = offset // _NUMBER
        self._totals = (offset + _HEADER_BYTES) // _NUMBER
        self._first = offset + _HEADER_BYTES + _padded(rows * _TOTALS_BYTES)
        self._rows = rows
        self._depth = _depth(rows)
        self._row_bytes = (self._depth + _SLOWEST) * _ENTRY_BYTES
        self._start_anew()

    def _start_anew(self) -> None:
        """What the writing process keeps for itself: where it writes."""
        self._count = itertools.count(1)
        rings = [range(at, at + self._depth * _ENTRY_BYTES, _ENTRY_BYTES) for at in self._row_starts()]
        self._next = [itertools.cycle(ring).__next__ for ring in rings]
        """Of each row, where its next entry is."""
        self._current = [ring[0] for ring in rings]
        self._slow = [0.0] * self._rows
        """Of each row, how long its slowest request of these minutes took."""
        self._slow_part = 0
        self._slow_until = 0.0

    def reset(self, pid: int, now: float) -> None:
        """Begin anew as BOOTING. The master calls it before the fork (pid 0), the child first thing after."""
        self._bytes[self._index] = WorkerState.FREE
        self.forget_work()
        self._longs[self._header + 1] = pid
        self._doubles[self._header] = now
        self._doubles[self._header + 4] = now
        self._bytes[self._index] = WorkerState.BOOTING

    def forget_work(self) -> None:
        """Nothing was served yet. Only while nothing is."""
        for at in self._row_starts():
            for entry in range(at, at + self._row_bytes, _ENTRY_BYTES):
                self._doubles[entry >> 3] = 0.0
        for row in range(self._rows):
            self._longs[self._totals + 2 * row] = 0
            self._doubles[self._totals + 2 * row + 1] = 0.0
        self._start_anew()
        self._longs[self._header + 2] = 0
        self._longs[self._header + 3] = 0
        self.set_dues(0.0, 0.0)

    @property
    def index(self) -> int:
        """In its pool, and of the worker's line of `Pressures`."""
        return self._index

    def beat(self, now: float) -> None:
        self._doubles[self._header] = now

    def set_dues(self, soft_at: float, hard_at: float) -> None:
        """When the nearest deadlines of application calls are (`request_timeout`); infinite: there are none."""
        self._doubles[self._header + 6] = soft_at
        self._doubles[self._header + 7] = hard_at

    @property
    def dues(self) -> tuple[float, float]:
        """As `set_dues`; 0.0 where nobody has said anything."""
        return self._doubles[self._header + 6], self._doubles[self._header + 7]

    @property
    def last_beat(self) -> float:
        return self._doubles[self._header]

    @property
    def last_tick(self) -> float:
        """Some thread of the process, at least, ran Python then; whose hang does not matter."""
        return self._doubles[self._header + 4]

    @property
    def pid(self) -> int:
        return self._longs[self._header + 1]

    @property
    def state(self) -> WorkerState:
        value = self._bytes[self._index]
        return _STATES[value] if value < len(_STATES) else WorkerState.FREE

    @state.setter
    def state(self, state: WorkerState) -> None:
        self._bytes[self._index] = state

    @property
    def requests(self) -> int:
        """Requests finished since reset()."""
        return self._longs[self._header + 2]

    @property
    def unlisted(self) -> int:
        """Requests in flight that have no row: `in_flight` does not show them."""
        return max(0, self._longs[self._header + 3])

    def count_request(self) -> int:
        """One more request is finished; returns how many are. Threads may call it at once."""
        # next() is one atomic step where `longs[i] += 1` is three and would lose a request now and then. The
        # stores of two threads may still land in the wrong order; the next request puts that right.
        self._longs[self._header + 2] = count = next(self._count)
        return count

    def begin_request(self, row: int, now: float, what: str) -> None:
        """`what` ("GET /path", cut to 200 bytes) is served since `now` by who owns `row`; with a row of -1 it is only
        counted: all requests of such a process have one thread.
        """
        if row < 0:
            self._longs[self._header + 3] += 1
            return
        self._current[row] = at = self._next[row]()
        doubles = self._doubles
        doubles[at >> 3] = 0.0
        # The NUL ends the text: what the entry said before may have been longer.
        text = what[:_TEXT_BYTES].encode("latin-1", "replace") + b"\0"
        start = at + _TEXT_AT
        self._memory[start : start + len(text)] = text
        doubles[at >> 3] = -now

    def end_request(self, row: int, took_s: float, status: int) -> None:
        """The request of `row` is over, after `took_s` seconds; status: of its response, 0 when it has none.

        Without a row (-1) it is added up in the first one: all requests of such a process have one thread.
        """
        doubles = self._doubles
        if row < 0:
            self._longs[self._header + 3] -= 1
            row = 0
        else:
            at = self._current[row] >> 3
            doubles[at + 1] = took_s
            self._longs[at + 2] = status
            doubles[at] = -doubles[at]
            if took_s > self._slow[row]:
                self._keep_slowest(row, took_s)
        totals = self._totals + 2 * row
        doubles[totals + 1] += took_s
        if status >= 500:
            self._longs[totals] += 1

    def _keep_slowest(self, row: int, took_s: float) -> None:
        self._slow[row] = took_s
        source, target = self._current[row], self._row_start(row) + (self._depth + self._slow_part) * _ENTRY_BYTES
        self._doubles[target >> 3] = 0.0
        self._bytes[target + _BODY_AT : target + _ENTRY_BYTES] = self._bytes[source + _BODY_AT : source + _ENTRY_BYTES]
        self._doubles[target >> 3] = self._doubles[source >> 3]

    def tick(self, now: float) -> None:
        """About once a second, in whichever thread leads: what was slow long ago is forgotten."""
        self._doubles[self._header + 4] = now
        if now >= self._slow_until:
            self._slow_until = now + _SLOW_FOR_S
            self._slow_part = 1 - self._slow_part
            self._slow = [0.0] * self._rows  # the next request is written over those of the minutes before the former

    def work(self, now: float) -> Work:
        """What was done since reset(). A request that ends meanwhile may be in one of the numbers only."""
        errors, busy_s, oldest = 0, 0.0, now
        for row in range(self._rows):
            totals = self._totals + 2 * row
            errors += self._longs[totals]
            busy_s += self._doubles[totals + 1]
            first = self._row_start(row) >> 3
            started = self._doubles[first : first + self._depth * _ENTRY_NUMBERS : _ENTRY_NUMBERS].tolist()
            oldest = min([oldest, *(-when for when in started if when < 0.0)])
        return Work(self.requests, errors, busy_s, now - oldest)

    def in_flight(self) -> list[tuple[float, str]]:
        """(started, "METHOD target") of each request being served, the longest first."""
        found = [(-number, what) for number, _, _, what in self._entries(0, self._depth) if number < 0.0]
        found.sort()
        return found

    def recent(self) -> list[Finished]:
        """Of each row the last requests that are over, the newest first."""
        found = self._finished(0, self._depth)
        found.sort(key=lambda each: each.started + each.took_s, reverse=True)
        return found

    def slowest(self) -> list[Finished]:
        """Of each row the slowest ones of the last minutes, the slowest first."""
        found = self._finished(self._depth, self._depth + _SLOWEST)
        found.sort(key=lambda each: each.took_s, reverse=True)
        return found

    def _finished(self, first: int, end: int) -> list[Finished]:
        return [Finished(*each) for each in self._entries(first, end) if each[0] > 0.0]

    def _entries(self, first: int, end: int) -> Iterator[tuple[float, float, int, str]]:
        """What those of `first` to `end` of each row say: start time with its sign, seconds, status, text."""
        doubles, longs = self._doubles, self._longs
        for start in self._row_starts():
            for at in range(start + first * _ENTRY_BYTES, start + end * _ENTRY_BYTES, _ENTRY_BYTES):
                number = doubles[at >> 3]
                if number == 0.0:
                    continue
                text = bytes(self._bytes[at + _TEXT_AT : at + _TEXT_AT + _TEXT_BYTES]).split(b"\0", 1)[0]
                took_s, status = doubles[(at >> 3) + 1], longs[(at >> 3) + 2]
                if doubles[at >> 3] == number:  # else the entry changed while it was read
                    yield number, took_s, status, text.decode("latin-1")

    def _row_start(self, row: int) -> int:
        return self._first + row * self._row_bytes

    def _row_starts(self) -> Iterator[int]:
        return map(self._row_start, range(self._rows))


class Scoreboard:
    """A fixed pool of pages in anonymous shared memory, made before the first fork, inherited by all."""

    def __init__(self, pages: int, requests_per_page: int) -> None:
        """requests_per_page: requests of one process that are shown one by one; with threads, all that it can serve."""
        self.pages = pages
        self.rows = requests_per_page
        self.pressures = Pressures(pages)
        states_bytes = _padded(pages)
        size = page_bytes(requests_per_page)
        # mmap's default flags on Unix are MAP_SHARED, and -1 makes it anonymous
        self._memory = mmap.mmap(-1, states_bytes + pages * size)
        starts = range(states_bytes, states_bytes + pages * size, size)
        self._pages = [Page(self._memory, index, at, requests_per_page) for index, at in enumerate(starts)]

    def page(self, index: int) -> Page:
        return self._pages[index]

    def idle_workers(self, besides: int) -> bool:
        """Whether any worker but that of page `besides` is IDLE, i.e. would take a connection at once."""
        at = self._memory.find(_IDLE, 0, self.pages)
        if at == besides:
            at = self._memory.find(_IDLE, besides + 1, self.pages)
        return at != -1


def page_bytes(rows: int) -> int:
    """How much memory a page of so many rows takes."""
    return _HEADER_BYTES + _padded(rows * _TOTALS_BYTES) + rows * (_depth(rows) + _SLOWEST) * _ENTRY_BYTES


def _depth(rows: int) -> int:
    """Entries of a ring: a process with many threads has many rings."""
    return max(_LEAST_ENTRIES, min(_MOST_ENTRIES, 128 // max(rows, 1)))


def _padded(size: int) -> int:
    return -(-size // _LINE) * _LINE
