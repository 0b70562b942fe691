"""The last things that went wrong in the fleet, kept in the master: what `ostler status` shows first.

Rules for editing: a ring and nothing more; who notes is the one that logs (perform.py). A sentence is one line; stacks
stay in the log.
"""

import time
from collections import deque
from dataclasses import dataclass
from typing import Final

from ostler.supervisor.actions import Level

_KEPT: Final = 50
_LIMIT_CHARACTERS: Final = 2000


@dataclass(frozen=True, slots=True)
class Incident:
    """at_wall: seconds of time.time(), to be shown; at_monotonic: to say how long ago it was."""

    at_wall: float
    at_monotonic: float
    level: Level
    text: str


class Incidents:
    """The last ones, in the order in which they came."""

    def __init__(self) -> None:
        self._kept: deque[Incident] = deque(maxlen=_KEPT)
        self.total = 0
        """Since the master began, the forgotten ones too."""

    def note(self, level: Level, text: str) -> None:
        """A line that was logged about the fleet. What is only news (INFO) is no incident."""
        if level is Level.INFO:
            return
        self.total += 1
        line = text.partition("\n")[0][:_LIMIT_CHARACTERS]
        self._kept.append(Incident(time.time(), time.monotonic(), level, line))

    def last(self, count: int = _KEPT) -> list[Incident]:
        """The newest first."""
        return list(self._kept)[::-1][: max(0, count)]
