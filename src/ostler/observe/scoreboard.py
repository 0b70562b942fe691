"""The scoreboard: one page of shared memory per process, which the master and tools read without asking.

Memory: one state byte per page (all together, so that "is a sibling idle" is one search), then the pages,
each a multiple of 64 bytes:

    header   last beat (double, monotonic seconds), pid (int64), finished requests (int64); unused to 64 bytes
    rows     started (double, 0.0: the row is free), text (200 bytes latin-1 and a NUL, at which it ends; unused
             to 216), requests answered with 5xx (int64), seconds that all of them took (double); unused to 256

Rules for editing. A page has one writing process; nothing here locks. Numbers are written through casts of
one memoryview, each a single aligned eight-byte store. `struct.pack_into` is not that: it zeroes its target
before it writes (a reader saw 8898 zeros in 39 million reads, none with the cast), and a beat of 0.0 would
make a healthy worker look silent. A row's text may be read torn, its start time not; readers never raise.
The clock is the caller's: `time.monotonic()`, which all processes of a machine share (clock_gettime(2)).

What is added up is added up per row, which one thread owns at a time: `x += 1` of two threads would lose one now and
then. The count of all requests is the page's, as somebody has to see the one at which a worker is replaced.

Cost where it was written, in microseconds: beat 0.05, begin and end of a request 0.3, idle_workers 0.1.
"""

import itertools
import mmap
from enum import IntEnum

from ostler.supervisor.events import Work

_LINE = 64  # bytes of a cache line: two processes' pages never share one
_TEXT_BYTES = 200
_HEADER_BYTES = _LINE
_ROW_BYTES = 256
_NUMBER = 8
_TEXT_AT = _NUMBER
_ERRORS_SLOT = (_TEXT_AT + _TEXT_BYTES + _NUMBER) // _NUMBER  # in numbers from the row's first; the text has a NUL
_BUSY_SLOT = _ERRORS_SLOT + 1


class WorkerState(IntEnum):
    """What the process of a page does. IDLE: accepts and has a free thread; BUSY: serves and has none."""

    FREE = 0
    BOOTING = 1
    IDLE = 2
    BUSY = 3
    RETIRING = 4


_STATES = tuple(WorkerState)
_IDLE = bytes([WorkerState.IDLE])


class Page:
    """One process's page. Only that process writes it; while no process owns it, the master may."""

    __slots__ = ("_bytes", "_count", "_doubles", "_first_row", "_header", "_index", "_longs", "_rows")

    def __init__(self, memory: mmap.mmap, index: int, offset: int, rows: int) -> None:
        self._bytes = memoryview(memory)
        self._doubles = self._bytes.cast("d")
        self._longs = self._bytes.cast("q")
        self._index = index
        self._header = offset // _NUMBER
        self._first_row = offset + _HEADER_BYTES
        self._rows = rows
        self._count = itertools.count(1)

    def reset(self, pid: int, now: float) -> None:
        """Begin anew as BOOTING. The master calls it before the fork (pid 0), the child first thing after."""
        self._bytes[self._index] = WorkerState.FREE
        for row in range(self._rows):
            self._doubles[self._row(row)] = 0.0
        self.forget_work()
        self._longs[self._header + 1] = pid
        self._doubles[self._header] = now
        self._bytes[self._index] = WorkerState.BOOTING

    def forget_work(self) -> None:
        """Nothing was served yet. Only while nothing is."""
        for row in range(self._rows):
            at = self._row(row)
            self._longs[at + _ERRORS_SLOT] = 0
            self._doubles[at + _BUSY_SLOT] = 0.0
        self._count = itertools.count(1)
        self._longs[self._header + 2] = 0

    def beat(self, now: float) -> None:
        self._doubles[self._header] = now

    @property
    def last_beat(self) -> float:
        return self._doubles[self._header]

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

    def count_request(self) -> int:
        """One more request is finished; returns how many are. Threads may call it at once."""
        # next() is one atomic step where `longs[i] += 1` is three and would lose a request now and then. The
        # stores of two threads may still land in the wrong order; the next request puts that right.
        self._longs[self._header + 2] = count = next(self._count)
        return count

    def begin_request(self, row: int, now: float, what: str) -> None:
        """`what` ("GET /path", cut to 200 bytes) is served since `now` by who owns `row`; a row of -1 is none."""
        if row < 0:
            return
        at = self._first_row + row * _ROW_BYTES
        start = at + _TEXT_AT
        # the NUL ends the text: what the row said before may have been longer
        text = what.encode("latin-1", "replace")[:_TEXT_BYTES] + b"\0"
        self._bytes[start : start + len(text)] = text
        self._doubles[at >> 3] = now

    def end_request(self, row: int, took_s: float, failed: bool) -> None:
        """The request of `row` is over, after `took_s` seconds; `failed`: it was answered with 5xx.

        Without a row (-1) it is added up in the first one: all requests of such a process have one thread.
        """
        at = (self._first_row + max(row, 0) * _ROW_BYTES) >> 3
        doubles = self._doubles
        if row >= 0:
            doubles[at] = 0.0
        doubles[at + _BUSY_SLOT] += took_s
        if failed:
            self._longs[at + _ERRORS_SLOT] += 1

    def work(self, now: float) -> Work:
        """What was done since reset(). A request that ends meanwhile may be in one of the numbers only."""
        errors, busy_s, oldest = 0, 0.0, now
        for row in range(self._rows):
            at = self._row(row)
            errors += self._longs[at + _ERRORS_SLOT]
            busy_s += self._doubles[at + _BUSY_SLOT]
            oldest = min(oldest, self._doubles[at] or now)
        return Work(self.requests, errors, busy_s, now - oldest)

    def _row(self, row: int) -> int:
        """Where a row begins, in numbers."""
        return (self._first_row + row * _ROW_BYTES) >> 3

    def in_flight(self) -> list[tuple[float, str]]:
        """(started, "METHOD target") of each request being served, the longest first."""
        found: list[tuple[float, str]] = []
        for row in range(self._rows):
            at = self._first_row + row * _ROW_BYTES
            started = self._doubles[at >> 3]
            if started == 0.0:
                continue
            text = bytes(self._bytes[at + _TEXT_AT : at + _TEXT_AT + _TEXT_BYTES]).split(b"\0", 1)[0]
            if self._doubles[at >> 3] == started:  # else the row changed hands while it was read
                found.append((started, text.decode("latin-1")))
        found.sort()
        return found


class Scoreboard:
    """A fixed pool of pages in anonymous shared memory, made before the first fork, inherited by all."""

    def __init__(self, pages: int, requests_per_page: int) -> None:
        """requests_per_page: requests of one process that are shown one by one; with threads, all that it can serve."""
        self.pages = pages
        self.rows = requests_per_page
        states_bytes = -(-pages // _LINE) * _LINE
        page_bytes = _HEADER_BYTES + requests_per_page * _ROW_BYTES
        # mmap's default flags on Unix are MAP_SHARED, and -1 makes it anonymous
        self._memory = mmap.mmap(-1, states_bytes + pages * page_bytes)
        self._pages = [
            Page(self._memory, index, states_bytes + index * page_bytes, requests_per_page) for index in range(pages)
        ]

    def page(self, index: int) -> Page:
        return self._pages[index]

    def idle_workers(self, besides: int) -> bool:
        """Whether any worker but that of page `besides` is IDLE, i.e. would take a connection at once."""
        at = self._memory.find(_IDLE, 0, self.pages)
        if at == besides:
            at = self._memory.find(_IDLE, besides + 1, self.pages)
        return at != -1
