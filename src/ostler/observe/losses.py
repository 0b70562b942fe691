"""Counting the lines that one log lost, and saying so: on the console at most once a minute, and in the log itself.

Rules for editing: nothing here raises or waits. Threads count without a lock; a report may be one line off.
"""

import os
import time
from collections.abc import Callable
from typing import Final

from ostler.logline import fields
from ostler.observe.outlet import put_at_once

DATE_FORMAT: Final = "[%Y-%m-%d %H:%M:%S %z]"
_COMPLAIN_EVERY_S: Final = 60.0


class Losses:
    """Of one log in one process.

    console: the descriptor that hears of them. dropped: how many in the life of this process. gap: those that the log
    itself does not mention yet. line: makes the line, without its end, that mentions so many.
    """

    def __init__(self, name: str, console: int, clock: Callable[[], float]) -> None:
        self.name = name
        self.console = console
        self.line: Callable[[int], str] = self._line
        self._clock = clock
        self._next_report = float("-inf")
        self.forget()

    def forget(self) -> None:
        """In a new process: the parent tells of its own."""
        self.dropped = 0
        self.gap = 0
        self._reported = 0

    @property
    def told(self) -> bool:
        return not self.gap and self.dropped <= self._reported

    def count(self, reason: str, lines: int = 1) -> None:
        self.dropped += lines
        self.gap += lines
        self._report("log lines dropped", error=reason)

    def take_gap(self) -> int:
        """The number to be mentioned in the log now; give it back by adding to `gap` when that fails."""
        gap, self.gap = self.gap, 0
        return gap

    def bytes_of(self, lost: int) -> bytes:
        return (self.line(lost) + "\n").encode("utf-8", "backslashreplace")

    def recovered(self) -> None:
        """The log takes lines again."""
        if self.dropped > self._reported:
            self._report("log lines dropped, the file takes lines again")

    def finish(self, unwritten: int, reason: str) -> None:
        """So many never came out; it is the last chance to say what was not said."""
        self.dropped += unwritten
        if self.dropped > self._reported:
            self._next_report = float("-inf")
            self._report("log lines dropped", error=reason)

    def _report(self, sentence: str, **cause: object) -> None:
        now = self._clock()
        if now < self._next_report:
            return
        self._next_report = now + _COMPLAIN_EVERY_S
        lines, self._reported = self.dropped - self._reported, self.dropped
        message = fields(sentence, file=self.name, lines=lines, **cause)
        put_at_once(self.console, (_error_line(message) + "\n").encode("utf-8", "backslashreplace"))

    def _line(self, lost: int) -> str:
        return _error_line(fields("log lines dropped", file=self.name, lines=lost))


def _error_line(message: str) -> str:
    return f"{time.strftime(DATE_FORMAT)} [{os.getpid()}] [ERROR] {message}"
