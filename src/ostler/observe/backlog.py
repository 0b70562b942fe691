"""The lines of one log that its descriptor did not take, in the memory of one process.

When it is full, the oldest lines stay and new ones are lost. The first lines of an incident tell its cause, they follow
what is in the log already, one of them may have been written by half, and the gap has one place, where a line says how
many are missing. After that nothing is taken until half of the room is free: few long gaps instead of one before
each line.

Rules for editing: no I/O, no lock. Any thread appends, signal handlers too; only the one that empties takes out. A
deque's ends are safe for that; the size is only used for the bound, and is right again whenever nothing waits.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

LIMIT_BYTES: Final = 1024 * 1024  # of memory
_OVERHEAD_BYTES: Final = 128  # of an entry: without it a million empty lines would fit


@dataclass(frozen=True, slots=True)
class Waiting:
    """data: lines with their ends; begun: the first is the rest of one. lost: instead of data, how many are missing."""

    data: bytes
    begun: bool = False
    lost: int = 0
    lines: int = 1

    def after(self, written: int) -> "Waiting":
        """What is left of it."""
        rest = self.data[written:]
        begun = self.data[written - 1 : written] != b"\n"
        return Waiting(rest, begun=begun, lines=min(self.lines, rest.count(b"\n")))


class Backlog:
    """Lines in order, up to LIMIT_BYTES. False when nothing waits."""

    __slots__ = ("_bytes", "_entries", "_full")

    def __init__(self) -> None:
        self._entries: deque[Waiting] = deque()
        self._bytes = 0
        self._full = False

    def __bool__(self) -> bool:
        return bool(self._entries)

    def add(self, data: bytes, lost_before: int) -> bool:
        """Append a line; where lines are missing before it, that is noted first. False: there is no room."""
        size = len(data) + _OVERHEAD_BYTES
        limit = LIMIT_BYTES // 2 if self._full else LIMIT_BYTES
        if self._bytes + size > limit:
            self._full = True
            return False
        self._full = False
        if lost_before:
            self._entries.append(Waiting(b"", lost=lost_before))
        self._bytes += size
        self._entries.append(Waiting(data))
        return True

    def put_first(self, rest: bytes) -> None:
        """The rest of a line whose beginning was written: before all others, whether there is room or not."""
        self._bytes += len(rest) + _OVERHEAD_BYTES
        self._entries.appendleft(Waiting(rest, begun=True))

    def take(self, limit_bytes: int = 0) -> Waiting | None:
        """The oldest entry, and as many of the following lines as fit into that; they are not kept here any longer."""
        first = self._pop()
        if first is None or first.lost:
            return first
        parts, size = [first.data], len(first.data)
        while self._entries and not self._entries[0].lost and size + len(self._entries[0].data) <= limit_bytes:
            following = self._entries.popleft()
            self._bytes -= len(following.data) + _OVERHEAD_BYTES
            parts.append(following.data)
            size += len(following.data)
        return Waiting(b"".join(parts), begun=first.begun, lines=len(parts))

    def forget(self) -> int:
        """Throw all away; how many lines that were."""
        lines = 0
        while (entry := self.take()) is not None:
            lines += 0 if entry.lost else 1
        return lines

    def _pop(self) -> Waiting | None:
        try:
            entry = self._entries.popleft()
        except IndexError:
            self._bytes = 0
            self._full = False
            return None
        if not entry.lost:
            self._bytes -= len(entry.data) + _OVERHEAD_BYTES
        return entry
