"""What systemd is told of this server, for as long as this master is the service's main process. sd_notify(3).

    READY=1      when the first generation has all its workers; at most LATE_S after its first one serves
    RELOADING=1  when a reload begins, READY=1 when it is over, well or not
    STATUS=      `4 of 4 workers, generation 2, 12 requests/s`, and what is wrong, if anything is
    WATCHDOG=1   at half of WatchdogSec, while the fleet is alive (supervisor/health.py)
    EXTEND_TIMEOUT_USEC=  while a start, reload or stop is under way that our own settings bound
    MAINPID=     when another master takes over (USR2); STOPPING=1 when the service ends

systemd hears the main process only (NotifyAccess=main), and logs a complaint for each word of another one. So a new
master keeps still until the old one has named it, and the old one does from then on.

Rules for editing: nothing waits, nothing raises; a manager that does not listen costs nothing. The environment is that
of the start: user code may change its own.
"""

import faulthandler
import logging
import math
import os
from collections.abc import Callable, Mapping
from time import monotonic as _monotonic
from time import monotonic_ns as _monotonic_ns
from typing import Final

from ostler.logline import escape, fields
from ostler.process import systemd
from ostler.supervisor.health import Condition, Health

LATE_S: Final = 10.0
"""A worker that boots much longer than the first one does not hold up the start of the machine."""

_LOOK_S: Final = 1.0
_RATE_S: Final = 10.0
_EXTEND_S: Final = 15.0
_SHORTEST_S: Final = 0.01
_STATUS_CHARACTERS: Final = 500
_CURE: Final = (
    "see the lines above for what hangs; if nothing is wrong, raise WatchdogSec= above the longest time that a worker "
    "may be silent"
)

_STDERR: Final = 2

_getpid = os.getpid


class Service:
    """One per master. Without NOTIFY_SOCKET each call does nothing."""

    def __init__(self, environ: Mapping[str, str], log: Callable[[], logging.Logger], *, heir: bool = False) -> None:
        """heir: another master lives beside us, and is the service's main process until it says otherwise."""
        self._environ = dict(environ)
        self._log = log
        self._listens = systemd.listens(environ)
        self._speaks = self._listens and not heir
        self._speaks_at = math.inf
        self._first_ready_at = math.inf
        self._told_ready = False
        self._reloading = False
        self._stopping = False
        self._stops_at = 0.0
        self._trouble = ""
        self._status = ""
        self._extended_at = -math.inf
        self._requests: dict[int, int] = {}
        self._rated_at = -math.inf
        self._rate = 0
        self._watchdog_s = systemd.watchdog_s(environ, _getpid(), heir) if self._listens else None
        self._pinged_at = _monotonic()
        self._silent = False
        self._next_look = -math.inf if self._listens else math.inf
        # A master that does not turn any more, in a hook, is ended by the watchdog with ABRT: its stack tells where.
        self._tells_stack = self._watchdog_s is not None and not faulthandler.is_enabled()
        if self._tells_stack:
            faulthandler.enable(_STDERR, all_threads=True)

    @property
    def deadline(self) -> float | None:
        """When `look` has something to do; None: never."""
        return None if math.isinf(self._next_look) else self._next_look

    # -- what happens

    def serves(self) -> None:
        """A generation's first worker is ready."""
        now = _monotonic()
        self._first_ready_at = min(self._first_ready_at, now)
        if not self._speaks and self._listens:
            # By then the old master has named us.
            self._speaks_at = min(self._speaks_at, now + min(_LOOK_S, (self._watchdog_s or math.inf) / 4))

    def reloads(self) -> None:
        """A reload begins."""
        self._reloading = True
        # The clock of sd_notify(3), by which `systemctl reload` knows which reload this is (Type=notify-reload).
        self._say(f"RELOADING=1\nMONOTONIC_USEC={_monotonic_ns() // 1000}\nSTATUS=Ostler reloads")

    def reloaded(self, succeeded: bool, text: str) -> None:
        """It is over, well or not. text: one line, how."""
        self._reloading = False
        self._trouble = "" if succeeded else text
        self._told_ready = True
        self._say(f"READY=1\nSTATUS={_shown(text)}")

    def lame_duck(self, seconds: float) -> None:
        """The server stops in so many seconds."""
        self._stops_at = _monotonic() + seconds
        self._say(f"STATUS=Ostler stops in {seconds:g} s, and serves until then")

    def stops(self) -> None:
        """The service ends with this process: no other master goes on."""
        self._stopping = True
        self._say("STOPPING=1\nSTATUS=Ostler stops")

    def ended(self, status: int, why: str) -> None:
        """The master leaves: what `systemctl status` shows of a service that failed."""
        if status:
            self._say(f"STATUS=Ostler ended with status {status}: {_shown(why)}")

    def succeeded_by(self, pid: int) -> None:
        """From now on `pid` is the process that systemd should look after."""
        ours = pid == _getpid()
        self._speaks = self._listens
        self._say(f"MAINPID={pid}\nWATCHDOG=1" if self._watchdog_s else f"MAINPID={pid}")  # it needs a moment
        self._speaks = self._listens and ours

    def promoted(self) -> None:
        """The old master is gone: whatever it said, we are the main process now."""
        self._begin_to_speak()

    def close_in_child(self) -> None:
        """Crashes of children are told in another way (process/last_words.py)."""
        if self._tells_stack:
            faulthandler.disable()

    # -- time

    def look(self, now: float, health: Health) -> None:
        """In each turn of the loop; does something about once a second, or as often as the watchdog wants."""
        waits = not self._told_ready and not math.isinf(self._first_ready_at)  # for the other workers: each turn counts
        if now < self._next_look and not (waits and self._speaks):
            return
        self._next_look = now + min(_LOOK_S, max((self._watchdog_s or math.inf) / 2, _SHORTEST_S))
        if now >= self._speaks_at:
            self._begin_to_speak()
        if not self._speaks:
            return
        self._ping(now, health)
        condition = health.condition(now)
        self._tell_ready(now, condition)
        self._extend(now, condition)
        self._tell_status(now, condition)

    def _ping(self, now: float, health: Health) -> None:
        limit_s = self._watchdog_s
        if limit_s is None:
            return
        problem = health.problem(limit_s)
        if problem and not self._silent:
            left_s = max(0.0, self._pinged_at + limit_s - now)
            sentence = "the watchdog of systemd is left without a sign of life, and will restart the service"
            self._log().error("%s", fields(sentence, reason=problem, in_s=round(left_s, 1), cure=_CURE))
        elif self._silent and not problem:
            self._log().info("the watchdog of systemd hears of us again")
        self._silent = bool(problem)
        if not problem and now - self._pinged_at >= min(limit_s / 2, limit_s - 2 * _LOOK_S):
            self._pinged_at = now
            self._say("WATCHDOG=1")

    def _tell_ready(self, now: float, condition: Condition) -> None:
        if self._told_ready or self._reloading or self._stopping:
            return
        complete = 0 < condition.goal <= condition.ready
        if complete or now >= self._first_ready_at + LATE_S:
            self._told_ready = True
            self._status = self._text(condition)
            self._say(f"READY=1\nSTATUS={self._status}")

    def _extend(self, now: float, condition: Condition) -> None:
        """systemd's own patience (TimeoutStartSec, TimeoutStopSec) is often shorter than what our settings allow."""
        under_way = not self._told_ready or self._reloading or self._stopping
        patience_s = max(condition.patience_s, self._stops_at - now)
        if under_way and patience_s > 0 and now - self._extended_at >= _EXTEND_S / 3:
            self._extended_at = now
            self._say(f"EXTEND_TIMEOUT_USEC={int(min(patience_s + 1, _EXTEND_S) * 1e6)}")

    def _tell_status(self, now: float, condition: Condition) -> None:
        if self._stopping or self._reloading or not self._told_ready:
            return
        if now - self._rated_at >= _RATE_S:
            self._measure(now, condition.requests)
        text = self._text(condition)
        if text != self._status:
            self._status = text
            self._say(f"STATUS={text}")

    def _measure(self, now: float, requests: Mapping[int, int]) -> None:
        done = sum(max(0, count - self._requests.get(age, 0)) for age, count in requests.items())
        elapsed_s = now - self._rated_at
        self._rate = 0 if math.isinf(elapsed_s) else round(done / elapsed_s)
        self._requests, self._rated_at = dict(requests), now

    def _text(self, condition: Condition) -> str:
        text = f"{condition.ready} of {condition.goal} workers, generation {condition.generation}"
        text += f", {self._rate} requests/s"
        if self._trouble:
            return _shown(f"{text}; {self._trouble}")
        return _shown(f"{text}; degraded: {condition.degraded}" if condition.degraded else text)

    def _begin_to_speak(self) -> None:
        """As a new master: systemd has heard READY=1 of the old one."""
        self._speaks_at = math.inf
        if self._listens and not self._speaks:
            self._speaks = True
            self._pinged_at = -math.inf

    def _say(self, text: str) -> None:
        if self._speaks:
            systemd.notify(text, self._environ)


def _shown(text: str) -> str:
    line = escape(text)
    return line if len(line) <= _STATUS_CHARACTERS else line[: _STATUS_CHARACTERS - 3] + "..."
