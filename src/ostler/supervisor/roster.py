"""Every process the master has to look after: workers with their slot and their page of the scoreboard, and molds.

Slots are labels for capacity: a worker's successor is started in the slot that it will take over, so logs and shared
memory show 0..N-1 whatever happens to the processes. Pages belong to workers: one returns to the pool when its process
is reaped or has become a mold, never earlier. Molds have neither.

Rules for editing: bookkeeping only; what should live and what should go is the supervisor's.
"""

import heapq
from collections.abc import Collection, Iterator
from typing import Final

from ostler.supervisor.handle import Handle, Role, State

_NO_SLOT: Final = -1  # of a mold; never shown


class Roster:
    """Handles in order of age, and the pool of pages."""

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self._free_pages = list(range(pages))
        self._by_age: dict[int, Handle] = {}
        self._by_pid: dict[int, Handle] = {}
        self._next_age = 1
        self.spawned = 0
        """How many workers were begun so far."""

    def __iter__(self) -> Iterator[Handle]:
        """Oldest first. The roster may change meanwhile."""
        return iter(list(self._by_age.values()))

    def __len__(self) -> int:
        return len(self._by_age)

    @property
    def free_pages(self) -> int:
        return len(self._free_pages)

    def add(self, slot: int, generation: int, now: float) -> Handle:
        """A new BOOTING worker. The caller has seen that `free_pages` is not 0."""
        self.spawned += 1
        return self._enter(slot, generation, heapq.heappop(self._free_pages), now)

    def add_mold(self, generation: int, now: float) -> Handle:
        """A new BOOTING mold."""
        return self._enter(_NO_SLOT, generation, None, now)

    def started(self, age: int, pid: int) -> Handle | None:
        """None: it was given up before, or never asked for."""
        handle = self._by_age.get(age)
        if handle is not None:
            handle.pid = pid
            self._by_pid[pid] = handle
        return handle

    def find(self, pid: int) -> Handle | None:
        return self._by_pid.get(pid)

    def get(self, age: int | None) -> Handle | None:
        return None if age is None else self._by_age.get(age)

    def promote(self, handle: Handle) -> None:
        """The worker is a mold from now on; its page is free."""
        self._free(handle)
        handle.role, handle.page, handle.slot = Role.MOLD, None, _NO_SLOT

    def remove(self, age: int) -> Handle:
        """The process is reaped, or was never born."""
        handle = self._by_age.pop(age)
        if handle.pid is not None:
            del self._by_pid[handle.pid]
        self._free(handle)
        return handle

    def workers(self, *states: State) -> list[Handle]:
        """Oldest first."""
        return [handle for handle in self._by_age.values() if handle.role is Role.WORKER and handle.state in states]

    def molds(self, *states: State) -> list[Handle]:
        """Oldest first."""
        return [handle for handle in self._by_age.values() if handle.role is Role.MOLD and handle.state in states]

    def live_besides(self, leaving: Handle) -> list[Handle]:
        """Workers that stay when `leaving` goes, oldest first."""
        return [handle for handle in self._by_age.values() if handle.live and handle is not leaving]

    def free_slot(self, beside: int | None = None) -> int:
        """The lowest that no live worker holds; those of generation `beside` do not count."""
        held = {handle.slot for handle in self._by_age.values() if handle.live and handle.generation != beside}
        slot = 0
        while slot in held:
            slot += 1
        return slot

    def is_given_up(self, slot: int, leaving: Collection[Handle], goal: int) -> bool:
        """Whether nobody is in `slot` when these have left, nor will be when `goal` live: free slots are taken from the
        lowest on.
        """
        stay = [handle for handle in self._by_age.values() if handle.live and handle not in leaving]
        held = {handle.slot for handle in stay}
        lower = sum(each not in held for each in range(slot))
        return slot not in held and lower >= goal - len(stay)

    def _enter(self, slot: int, generation: int, page: int | None, now: float) -> Handle:
        handle = Handle(self._next_age, slot, generation, page, now)
        self._next_age += 1
        self._by_age[handle.age] = handle
        return handle

    def _free(self, handle: Handle) -> None:
        if handle.page is not None:
            heapq.heappush(self._free_pages, handle.page)
