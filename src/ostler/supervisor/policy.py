"""The numbers behind the supervisor's decisions: how long, how many, how patient. All times in seconds.

Rules for editing: constants say why they have their value; no decision is taken here.
"""

from dataclasses import dataclass
from typing import Final

# A boot that takes this long is worth a line, which says where it is; boot_timeout ends it.
SLOW_BOOT_S: Final = 10.0

# Between the order to dump stacks and the report: faulthandler needs milliseconds, a swapping machine more.
DUMP_S: Final = 0.4
# Between ABRT (the worker_abort hook may run) and KILL.
ABORT_S: Final = 1.0
# Between QUIT and KILL, as Gunicorn's quick stop.
QUIT_S: Final = 2.0
# A mold answers a fork within milliseconds; one that has not after this hangs in it (a library's at-fork handler).
FORK_ANSWER_S: Final = 10.0
# A process that outlives KILL this long sits in the kernel (failures W14).
UNREAPED_S: Final = 5.0

# A worker that dies within this time after it was ready probably dies of its start, not of its work.
EARLY_DEATH_S: Final = 2.0
# Heartbeats are looked at about once a second; a longer gap means that the machine or the master itself slept.
ASLEEP_S: Final = 2.0

# Two TERMs within this time are one stop that was told twice: pkill and systemd may both send one.
SAME_STOP_S: Final = 1.0

# Files are saved one after the other, and each worker sees them by itself: a mold is made when nothing more comes.
CHANGE_SETTLES_S: Final = 0.2

# As many boots in a row that fail after a generation was seen to serve are no accident: the former one comes back.
ROLLBACK_FAILURES: Final = 3

# A reload does not wait for ever for the system, or for its mold, to fork its first process: a quarter of a minute.
TRIAL_FORK_FAILURES: Final = 8

# The part of the page pool that the goal may use; the rest is for the surge and for processes that drain.
GOAL_SHARE_OF_PAGES: Final = 2


@dataclass(frozen=True, slots=True)
class GenerationSpec:
    """What the supervisor needs to know of a generation's settings. A timeout of 0 is off (graceful: at once).

    preload: a mold forks its workers. surge, max_unavailable: processes beyond the goal, and workers missing of it,
    while others are replaced; not both 0. canary_s: how long its first worker is watched; 0: not at all. refork_after:
    requests after which a worker becomes the mold, the last one again and again; 0: no more. lame_duck_s: between the
    stop that is asked and the stop. workers_min, workers_max: between which numbers it is scaled; 0: not at all.
    """

    number: int
    workers: int
    timeout_s: float
    graceful_timeout_s: float
    boot_timeout_s: float
    preload: bool = False
    surge: int = 1
    max_unavailable: int = 0
    canary_s: float = 0.0
    refork_after: tuple[int, ...] = ()
    lame_duck_s: float = 0.0
    workers_min: int = 0
    workers_max: int = 0


class Backoff:
    """Waits longer after each failure: first_s, twice that, ... up to cap_s; `free` failures in a row cost nothing.

    Failures of attempts that began before the last failure belong to the same volley and do not lengthen the wait.
    """

    __slots__ = ("_cap_s", "_first_s", "_forget_s", "_free", "_last", "failures", "until")

    def __init__(self, first_s: float, cap_s: float, free: int = 0, forget_s: float = float("inf")) -> None:
        self._first_s = first_s
        self._cap_s = cap_s
        self._free = free
        self._forget_s = forget_s  # a failure this long after the last one starts a new row
        self._last = float("-inf")
        self.failures = 0
        self.until = float("-inf")

    def failed(self, began: float, now: float) -> float:
        """An attempt that began at `began` failed. Returns the seconds to wait from now on, maybe 0."""
        if now - self._last > self._forget_s:
            self.failures = 0
        if began >= self._last:
            self.failures += 1
            self._last = now
            paid = self.failures - self._free
            if paid > 0:
                self.until = now + min(self._cap_s, self._first_s * 2.0 ** min(paid - 1, 30))
        return max(0.0, self.until - now)

    def succeeded(self) -> None:
        self.failures = 0
        self.until = self._last = float("-inf")

    def open(self, now: float) -> bool:
        """Whether the next attempt may begin."""
        return now >= self.until


def boot_backoff() -> Backoff:
    """Between attempts to boot a generation that served before and does not start now (failures W3)."""
    return Backoff(first_s=0.1, cap_s=30.0)


def early_death_backoff() -> Backoff:
    """Between replacements of workers that die as soon as they serve; the first is replaced at once (failures W2)."""
    return Backoff(first_s=0.1, cap_s=1.0, free=1, forget_s=10.0)


def fork_backoff() -> Backoff:
    """Between attempts to fork while the system refuses (EAGAIN, ENOMEM)."""
    return Backoff(first_s=0.1, cap_s=5.0)
