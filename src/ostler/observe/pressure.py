"""How much each worker has to do, in shared memory: one line of numbers per page of the scoreboard, by the same index.

    busy     the part of its capacity that was used in the last second, 0 to 1 (double)
    waiting  requests that wait for a thread (int64)
    since    when the oldest of these began to wait (double, monotonic seconds; 0.0: none does)
    shed     requests answered with 503 because they had waited too long (int64); never reset, so that the sum over all
             pages is what the server has shed since it started, whoever has died since

Rules for editing: a line has one writing process; numbers are single aligned stores (scoreboard.py says why).
"""

import mmap
import time
from typing import Final

_LINE_BYTES: Final = 64  # of a cache line
_NUMBER: Final = 8
_LEAST_LOOK_S: Final = 0.5  # a share of less time than this says little


class Pressure:
    """One worker's line."""

    __slots__ = ("_at", "_doubles", "_longs")

    def __init__(self, memory: mmap.mmap, index: int) -> None:
        bytes_ = memoryview(memory)
        self._doubles = bytes_.cast("d")
        self._longs = bytes_.cast("q")
        self._at = index * _LINE_BYTES // _NUMBER

    def tell(self, busy: float, waiting: int, since: float) -> None:
        """About once a second."""
        self._doubles[self._at] = busy
        self._longs[self._at + 1] = waiting
        self._doubles[self._at + 2] = since

    def count_shed(self) -> None:
        """By one thread at a time."""
        self._longs[self._at + 3] += 1

    @property
    def busy(self) -> float:
        return self._doubles[self._at]

    @property
    def waiting(self) -> int:
        return self._longs[self._at + 1]

    @property
    def since(self) -> float:
        return self._doubles[self._at + 2]

    @property
    def shed(self) -> int:
        return self._longs[self._at + 3]


class CpuShare:
    """Tells how much of a CPU this process uses, where nothing else is known of what it does."""

    def __init__(self, pressure: Pressure) -> None:
        self._pressure = pressure
        self._looked = 0.0
        self._used_s = 0.0

    def tell(self, now: float) -> None:
        """About once a second, or more often."""
        if now - self._looked < _LEAST_LOOK_S:
            return
        used_s = time.process_time()
        if self._looked:
            self._pressure.tell((used_s - self._used_s) / (now - self._looked), 0, 0.0)
        self._looked, self._used_s = now, used_s


class Pressures:
    """The lines of a fixed pool, made before the first fork, inherited by all."""

    def __init__(self, pages: int) -> None:
        memory = mmap.mmap(-1, pages * _LINE_BYTES)
        self._lines = [Pressure(memory, index) for index in range(pages)]

    def of(self, index: int) -> Pressure:
        return self._lines[index]

    @property
    def shed(self) -> int:
        """By all since the start."""
        return sum(line.shed for line in self._lines)
