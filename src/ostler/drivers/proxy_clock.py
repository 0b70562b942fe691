"""How long requests were on their way, by the times that proxies stamp on them, whatever the proxies' clocks say.

Two clocks differ, and clocks are set: what a stamp seems to say may be seconds off, for every request alike. Whoever
sheds by it would turn everybody away (failures W9). So the quickest request of the last seconds counts as one that has
not waited, and others wait as much longer as they are older than that one. Each proxy has its own quickest one. When
our own clock is set, stamps from before and after it come in any order: for a while none of them counts.

Rules for editing: any thread; nothing here reads a clock.
"""

from math import inf
from typing import Final

WINDOW_S: Final = 10.0
"""The quickest of so long, and of as long before, is what others are compared with."""

_STEP_S: Final = 0.5
"""Our clock was set if it moved by more than this against the monotonic one. Less is how it is kept right, or the time
for which a thread had no CPU between a look at the one and at the other.
"""
_MOST_PROXIES: Final = 1000


class ProxyClock:
    """One for all proxies, told apart by their addresses."""

    def __init__(self) -> None:
        self._quickest: dict[str, _Quickest] = {}
        self._offset_s: float | None = None
        self._blind_until = -inf

    def waited_s(self, said_s: float, now: float, offset_s: float = 0.0, proxy: str = "") -> float:
        """`said_s`: how long ago the stamp was, by our clock, which is `offset_s` before the monotonic one, `now`."""
        before, self._offset_s = self._offset_s, offset_s
        if before is not None and abs(offset_s - before) > _STEP_S:
            self._quickest.clear()
            self._blind_until = now + WINDOW_S
        if now < self._blind_until:
            return 0.0
        quickest = self._quickest.get(proxy)
        if quickest is None:
            if len(self._quickest) >= _MOST_PROXIES:
                self._quickest.clear()
            quickest = self._quickest[proxy] = _Quickest()
        return said_s - quickest.of(said_s, now)


class _Quickest:
    """Of one proxy."""

    __slots__ = ("_least_before_s", "_least_s", "_until")

    def __init__(self) -> None:
        self._least_s = inf
        self._least_before_s = inf
        self._until = 0.0

    def of(self, said_s: float, now: float) -> float:
        """The least that was said lately, this one counted."""
        if now >= self._until:
            self._least_before_s = self._least_s if now < self._until + WINDOW_S else inf
            self._least_s = inf
            self._until = now + WINDOW_S
        least_s = self._least_s = min(self._least_s, said_s)
        return min(least_s, self._least_before_s)
