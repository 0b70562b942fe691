"""When a worker asks to be replaced for its age or its memory (`max_worker_age`, `max_worker_memory`).

Each worker draws its own limits, so that a fleet that was started at once does not go at once. It asks once; the
master boots a successor first, and this worker serves on until then.

Rules for editing: called about once a second by whoever leads the reactor, so also while the application is busy. The
clock is the caller's. Numbers are drawn from the system: workers may share the state of `random` (a mold's, or that of
an application that calls random.seed with a constant).
"""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ostler.config.settings import Settings
from ostler.logline import fields
from ostler.observe.scoreboard import Page
from ostler.process import memory
from ostler.roles.growth import Growth
from ostler.supervisor.events import RetireReason

PSS_EVERY_S: Final = 10.0
"""The kernel walks all pages of the process to find it."""
LEAST_AGE_S: Final = 10.0
"""So old is a worker at least that goes for its memory, where a new one has more than the limit already: its successors
would go as soon as they come."""

_AGE_JITTER: Final = 1 / 10
_MEMORY_JITTER: Final = 1 / 20
_MB: Final = 1 << 20

_system = random.SystemRandom()

Measure = Callable[[], int | None]


def draw_limit(limit: float, jitter: float | None, share: float) -> float:
    """`limit` and up to `jitter`, where None is that share of `limit`; 0 stays 0."""
    return limit + _system.uniform(0, limit * share if jitter is None else jitter) if limit else 0


def draw_request_limit(settings: Settings) -> int:
    """After so many requests this worker asks to be replaced; 0: never."""
    return settings.max_requests and settings.max_requests + _system.randint(0, settings.max_requests_jitter)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one worker may reach; 0 is no limit."""

    age_s: float = 0
    memory_bytes: float = 0
    measure: Measure = memory.rss_bytes
    measured: str = "rss"
    every_s: float = 0.0
    """How often memory is looked at, at most."""

    @classmethod
    def draw(cls, settings: Settings) -> "Limits":
        """Those of a new worker."""
        pss = settings.max_worker_memory_measure == "pss"
        return cls(
            draw_limit(settings.max_worker_age, settings.max_worker_age_jitter, _AGE_JITTER),
            draw_limit(settings.max_worker_memory, settings.max_worker_memory_jitter, _MEMORY_JITTER),
            memory.pss_bytes if pss else memory.rss_bytes,
            settings.max_worker_memory_measure,
            PSS_EVERY_S if pss else 0.0,
        )


class Recycling:
    """Looks at one worker that serves."""

    def __init__(
        self,
        limits: Limits,
        ask: Callable[[RetireReason, str], object],
        tell: Callable[[int, str], object],
        now: float,
        growth: Growth | None = None,
    ) -> None:
        """`ask` is called once at most, with the reason and what was measured; `tell` logs a line at a level.

        now: when it became ready. growth: of its memory.
        """
        self._growth = growth
        self._limits = limits
        self._ask = ask
        self._tell = tell
        self._born = now
        self._next_measure = now
        self._measured = False
        """At least once, which is before it has served much."""
        self._asked = not (limits.age_s or limits.memory_bytes)
        self._measures = limits.memory_bytes > 0

    @classmethod
    def begin(
        cls,
        settings: Settings,
        page: Page,
        ask: Callable[[RetireReason, str], object],
        tell: Callable[[int, str], object],
        now: float,
    ) -> "Recycling":
        """That of a worker which is ready now."""
        limits = Limits.draw(settings)
        growth = Growth(page, now, limits.memory_bytes if settings.trace_memory else 0) if limits.memory_bytes else None
        return cls(limits, ask, tell, now, growth)

    def look(self, now: float) -> None:
        """Ask to be replaced if that is due."""
        if self._asked:
            return
        age_s = now - self._born
        if 0 < self._limits.age_s <= age_s:
            self._say("max_worker_age", f"age_s={age_s:.0f} limit_s={self._limits.age_s:.0f}")
        elif self._measures and now >= self._next_measure:
            self._next_measure = now + self._limits.every_s
            self._look_at_memory(now)

    def _look_at_memory(self, now: float) -> None:
        limits = self._limits
        used = limits.measure()
        first, self._measured = not self._measured, True
        if used is None:
            self._measures = False
            text = "memory cannot be measured, max_worker_memory has no effect"
            self._tell(logging.INFO, fields(text, measure=limits.measured))
            return
        if self._growth is not None:
            self._growth.note(used, now)
        if used > limits.memory_bytes:
            text = f"{limits.measured}_mb={used / _MB:.0f} limit_mb={limits.memory_bytes / _MB:.0f}"
            if first:
                self._next_measure = now + LEAST_AGE_S
                self._tell(logging.WARNING, f"a worker that has served nothing is above max_worker_memory {text}")
            else:
                self._say("max_worker_memory", text + (self._growth.words() if self._growth is not None else ""))

    def _say(self, reason: RetireReason, detail: str) -> None:
        self._asked = True
        self._ask(reason, detail)
