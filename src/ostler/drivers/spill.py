"""The file in which one worker keeps what its slow readers have still to be sent.

One for all: it costs one descriptor, and its regions go from hand to hand, because a page that the system has in its
cache already takes new bytes at once. (1 MB: 0.06 ms into used regions, 0.25 ms into new ones, 3 ms where the page is
new to a virtual machine too; ext4, Linux 6.18.) It has no name, so it ends with the worker, whatever ends that.

Editing rules: never sendfile(2) from here. The kernel would send what is in the page later, when the region may be
somebody else's. A region has one owner at a time, so reading and writing need no lock; giving out regions does.
"""

import contextlib
import heapq
import os
import tempfile
from collections import deque
from errno import ENOSPC
from typing import Final

from ostler import real

REGION_BYTES: Final = 128 * 1024

WORKER_SPILL_BYTES: Final = 1024 * 1024 * 1024
"""The most that the file of one worker may hold."""

TRIM_BYTES: Final = 32 * 1024 * 1024
"""So much of the file's end is cut off at a time: the system needs 2 to 5 ms to free it."""


class Spill:
    """Gives out regions of the file, the lowest first, so that its end falls free. Safe to use from any thread."""

    def __init__(self, directory: str | None = None, limit_bytes: int = WORKER_SPILL_BYTES) -> None:
        """directory: `tmp_upload_dir`; None is the system's. Without one that can be written to, `take` fails."""
        self._directory = directory
        self._limit = limit_bytes // REGION_BYTES
        self._lock = real.make_lock()
        self._fd = -1
        self._count = 0
        """Regions in the file; `_free` is a heap of those that nobody has."""
        self._free: list[int] = []

    @property
    def size(self) -> int:
        """Bytes that the file may take on the disk now."""
        return self._count * REGION_BYTES

    def take(self) -> int:
        """The offset of a region that is the caller's until `give_back`.

        Raises:
            OSError: no file can be made, or the file is as large as it may be.
        """
        with self._lock:
            if self._free:
                return heapq.heappop(self._free)
            if self._count >= self._limit:
                raise OSError(ENOSPC, "the spill file is full")
            if self._fd == -1:
                with tempfile.TemporaryFile(prefix="ostler-response-", buffering=0, dir=self._directory) as file:
                    self._fd = os.dup(file.fileno())
            self._count += 1
            return (self._count - 1) * REGION_BYTES

    def give_back(self, offset: int) -> None:
        """Nobody reads this region any more."""
        with self._lock:
            heapq.heappush(self._free, offset)

    def write(self, data: memoryview, offset: int) -> None:
        """Write all of `data`.

        Raises:
            OSError: the disk is full, or the file's size is limited; some of it may be written.
        """
        while data:
            count = os.pwrite(self._fd, data, offset)
            offset += count
            data = data[count:]

    def read(self, size: int, offset: int) -> bytes:
        """`size` bytes that were written."""
        return os.pread(self._fd, size, offset)

    def trim(self) -> None:
        """Give some of the disk back, if regions at the end of the file are free; the file, too, when all are. Call it
        once in a while.
        """
        if not self._free:
            return
        with self._lock:
            free = set(self._free)
            count = self._count
            least = max(0, count - TRIM_BYTES // REGION_BYTES)
            while count > least and (count - 1) * REGION_BYTES in free:
                count -= 1
            if count < self._count:
                self._count = count
                self._free = sorted(offset for offset in free if offset < self.size)  # sorted is a heap
                with contextlib.suppress(OSError):
                    os.ftruncate(self._fd, self.size)
            if not self._count:
                os.close(self._fd)
                self._fd = -1

    def close(self) -> None:
        """Close the file. Whoever still has regions must not use them."""
        if self._fd != -1:
            os.close(self._fd)
            self._fd = -1
            self._count = 0
            self._free.clear()


class SpilledBytes:
    """A queue of bytes in regions of its own. Not thread-safe; `close` gives the regions back."""

    __slots__ = ("_begin", "_end", "_regions", "_spill")

    def __init__(self, spill: Spill) -> None:
        self._spill = spill
        self._regions: deque[int] = deque()
        self._begin = 0
        """Bytes of the first region that are dropped already, and `_end` of the last that are written."""
        self._end = REGION_BYTES

    def append(self, data: bytes | memoryview) -> None:
        """Add `data` behind the others.

        Raises:
            OSError: there is no room; nothing was added.
        """
        view = memoryview(data)
        kept, end = len(self._regions), self._end
        try:
            while view:
                if self._end == REGION_BYTES:
                    self._regions.append(self._spill.take())
                    self._end = 0
                fits = view[: REGION_BYTES - self._end]
                self._spill.write(fits, self._regions[-1] + self._end)
                self._end += len(fits)
                view = view[len(fits) :]
        except OSError:
            while len(self._regions) > kept:
                self._spill.give_back(self._regions.pop())
            self._end = end
            raise

    def peek(self, size: int) -> bytes:
        """Some of the first bytes: at most `size`, at least one if there are any."""
        if not self._regions:
            return b""
        end = self._end if len(self._regions) == 1 else REGION_BYTES
        return self._spill.read(min(size, end - self._begin), self._regions[0] + self._begin)

    def drop(self, count: int) -> None:
        """Forget the first `count` bytes; never more than `peek` has just returned."""
        self._begin += count
        if self._begin == (self._end if len(self._regions) == 1 else REGION_BYTES):
            self._spill.give_back(self._regions.popleft())
            self._begin = 0
            if not self._regions:
                self._end = REGION_BYTES

    def close(self) -> None:
        """Forget everything."""
        while self._regions:
            self._spill.give_back(self._regions.pop())
        self._begin, self._end = 0, REGION_BYTES
