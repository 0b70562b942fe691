"""Every process the master has to look after, with its slot and its page of the scoreboard.

Slots are labels for capacity: a worker's successor is started in the slot that it will take over, so logs and shared
memory show 0..N-1 whatever happens to the processes. Pages belong to processes: one returns to the pool when its
process is reaped, never earlier.

Rules for editing: bookkeeping only; what should live and what should go is the supervisor's.
"""

import heapq
from collections.abc import Iterator

from ostler.supervisor.handle import Handle, State


class Roster:
    """Handles in order of age, and the pool of pages."""

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self._free_pages = list(range(pages))
        self._by_age: dict[int, Handle] = {}
        self._by_pid: dict[int, Handle] = {}
        self._next_age = 1

    def __iter__(self) -> Iterator[Handle]:
        """Oldest first. The roster may change meanwhile."""
        return iter(list(self._by_age.values()))

    def __len__(self) -> int:
        return len(self._by_age)

    @property
    def free_pages(self) -> int:
        return len(self._free_pages)

    def add(self, slot: int, generation: int, now: float) -> Handle:
        """A new BOOTING entry. The caller has seen that `free_pages` is not 0."""
        handle = Handle(self._next_age, slot, generation, heapq.heappop(self._free_pages), now)
        self._next_age += 1
        self._by_age[handle.age] = handle
        return handle

    def started(self, age: int, pid: int) -> Handle:
        handle = self._by_age[age]
        handle.pid = pid
        self._by_pid[pid] = handle
        return handle

    def find(self, pid: int) -> Handle | None:
        return self._by_pid.get(pid)

    def remove(self, age: int) -> Handle:
        """The process is reaped, or was never born."""
        handle = self._by_age.pop(age)
        if handle.pid is not None:
            del self._by_pid[handle.pid]
        heapq.heappush(self._free_pages, handle.page)
        return handle

    def in_state(self, *states: State) -> list[Handle]:
        """Oldest first."""
        return [handle for handle in self._by_age.values() if handle.state in states]

    def live_besides(self, leaving: Handle) -> list[Handle]:
        """Those that stay when `leaving` goes, oldest first."""
        return [handle for handle in self._by_age.values() if handle.live and handle is not leaving]

    def free_slot(self) -> int:
        """The lowest that no live process holds."""
        held = {handle.slot for handle in self._by_age.values() if handle.live}
        slot = 0
        while slot in held:
            slot += 1
        return slot
