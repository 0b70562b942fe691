"""`ostler upgrade`: USR2 and what follows, done by the old master itself: a command that is lost loses nothing.

    begin -> the new master serves -> it has all its workers -> this master stops, gracefully
          -> it ends, or takes too long: TERM, KILL when that does not help -> this master goes on

Rules for editing: nothing waits: `look` is called in each turn of the master's loop.
"""

import math
from collections.abc import Callable
from signal import SIGKILL, SIGTERM
from time import monotonic as _monotonic
from typing import Final, Protocol

from ostler.logline import fields
from ostler.process.fork import send_signal
from ostler.supervisor.actions import Level

# What a master needs beside its workers' boot: an interpreter, the configuration, TLS.
START_S: Final = 10.0
# Between TERM and KILL of a new master that nobody asked anything yet.
END_S: Final = 3.0

_THEN: Final = "the old one ends when it has all its workers"


class Successor(Protocol):
    """The side of `Succession` that is needed here."""

    @property
    def successor(self) -> int | None: ...
    @property
    def heard_that_it_serves(self) -> bool: ...
    @property
    def heard_that_it_is_complete(self) -> bool: ...
    @property
    def last_words(self) -> str: ...
    def begin(self, pre_exec: Callable[[], None], then: str, /) -> str: ...


class Told(Protocol):
    """Who asked for the upgrade, and hears how it goes."""

    def moved(self, pid: int) -> None: ...
    def end(self, succeeded: bool, text: str) -> None: ...


class Upgrade:
    """One at a time, as there is one successor."""

    def __init__(
        self,
        succession: Successor,
        pre_exec: Callable[[], None],
        stop: Callable[[], None],
        say: Callable[[Level, str], None],
    ) -> None:
        """stop: begins the graceful stop of this master, unless the new one has just ended. say: writes a line to the
        log, and to who asked.
        """
        self._succession = succession
        self._pre_exec = pre_exec
        self._stop = stop
        self._say = say
        self._asker: Told | None = None
        self._boot_s = math.inf
        self._graceful_s = 0.0
        self._served = False
        self._deadline = math.inf
        self._problem = ""

    @property
    def deadline(self) -> float | None:
        """When `look` has something to do."""
        return None if self._asker is None or math.isinf(self._deadline) else self._deadline

    def begin(self, asker: Told, boot_timeout_s: float, graceful_timeout_s: float) -> None:
        """boot_timeout_s: 0 is no limit."""
        refusal = self._succession.begin(self._pre_exec, _THEN)
        if refusal:
            asker.end(False, f"upgrade refused: {refusal}")
            return
        self._asker = asker
        self._boot_s = boot_timeout_s + START_S if boot_timeout_s > 0 else math.inf
        self._graceful_s = graceful_timeout_s
        self._served = False
        self._problem = ""
        self._deadline = _monotonic() + self._boot_s

    def look(self, now: float) -> None:
        """What the new master has said or not said may end the upgrade, either way."""
        if self._asker is None:
            return
        if self._succession.successor is None:
            self._fail(self._problem or self._succession.last_words or "the new master ended")
        elif self._problem:
            if now >= self._deadline:
                self._deadline = math.inf
                send_signal(self._succession.successor, SIGKILL)
        elif self._succession.heard_that_it_is_complete:
            self._hand_over(self._succession.successor)
        else:
            self._wait_on(self._succession.successor, now)

    def abandon(self, why: str) -> None:
        """This master stops before the new one was ready: the two go on as after USR2."""
        if self._asker is not None:
            asker, self._asker = self._asker, None
            asker.end(False, f"upgrade not watched to its end: {why}")

    def _wait_on(self, successor: int, now: float) -> None:
        if self._succession.heard_that_it_serves and not self._served:
            self._served = True
            self._deadline = now + self._boot_s
        if now < self._deadline:
            return
        state = "did not get all its workers ready" if self._served else "was not ready"
        self._problem = f"the new master {state} within {self._boot_s:.0f} s"
        self._say(Level.ERROR, fields(f"{self._problem}, and is ended", new_pid=successor))
        # One that serves finishes what it has accepted.
        self._deadline = now + END_S + (self._graceful_s if self._served else 0.0)
        send_signal(successor, SIGTERM)

    def _hand_over(self, successor: int) -> None:
        assert self._asker is not None
        asker, self._asker = self._asker, None
        self._say(Level.INFO, fields("upgrade: the new master has all its workers, this one ends", new_pid=successor))
        asker.moved(successor)
        self._stop()
        if self._succession.successor is None:  # it ended just now, and this master goes on
            asker.end(False, "upgrade failed: the new master ended; the old master keeps serving")

    def _fail(self, why: str) -> None:
        assert self._asker is not None
        asker, self._asker = self._asker, None
        text = f"upgrade failed: {' '.join(why.split())}; the old master keeps serving"
        self._say(Level.ERROR, text)
        asker.end(False, text)
