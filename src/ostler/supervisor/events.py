"""The facts that the supervisor is told. Times are seconds of one monotonic clock; pids are the system's.

Rules for editing: a fact names what happened, never what to do about it; plain frozen values, so that a simulation can
make them and a failing run can print them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ostler.supervisor.policy import GenerationSpec

RetireReason = Literal[
    "max_requests", "max_worker_age", "max_worker_memory", "reload", "signal", "request_timeout", "stuck"
]


@dataclass(frozen=True, slots=True)
class SettingsAccepted:
    """Configuration was loaded and its addresses are bound: at the start, and after each HUP."""

    spec: GenerationSpec


@dataclass(frozen=True, slots=True)
class SettingsRejected:
    """A reload ended before it began; `summary` says what was wrong, in one line."""

    summary: str


@dataclass(frozen=True, slots=True)
class Forked:
    """The process exists: told at once when the master forked it, later when a mold did."""

    age: int  # of the Fork or StartMold that this answers
    pid: int


@dataclass(frozen=True, slots=True)
class ForkFailed:
    age: int
    reason: str


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """The handshake: the only thing that makes a worker count as serving."""

    pid: int
    boot_ms: int


@dataclass(frozen=True, slots=True)
class MoldReady:
    """A mold has loaded the application (boot_ms), or a promoted worker has become one, and forks from now on."""

    pid: int
    boot_ms: int


@dataclass(frozen=True, slots=True)
class MoldDeclined:
    """Preloading would share what must not be shared, and `preload_unsafe` is "lazy": the mold exits, and the workers
    of its generation are to load the application by themselves.
    """

    pid: int
    summary: str


@dataclass(frozen=True, slots=True)
class PromotionRefused:
    """A worker that was to become a mold cannot; it exits, as one that retires."""

    pid: int
    reason: str


@dataclass(frozen=True, slots=True)
class WorkerBootFailed:
    """The worker (or mold) says that it cannot start and will exit. status: 3 or 4, the master's own if nothing ever
    served.
    """

    pid: int
    status: int
    summary: str


@dataclass(frozen=True, slots=True)
class WorkerAsksToRetire:
    """detail: what it measured, as fields of a log line ("rss_mb=512 limit_mb=500"), or empty."""

    pid: int
    reason: RetireReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ChildExited:
    """A child was reaped. Either `status` or `signal` is set; `serving` is what its page showed, with the place and the
    cure, as fields of a log line, or empty.

    how: a clause about a death that the master has not caused: who has sent the SIGKILL, what a signal means, who ended
    the process; empty when nobody can say.
    """

    pid: int
    status: int | None
    signal: str | None
    serving: str = ""
    how: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """What a process has done since it serves: requests finished, those of them that were answered with 5xx, and the
    seconds that all of them took. longest_s: for how long the oldest of those that run has been running.
    """

    requests: int = 0
    errors: int = 0
    busy_s: float = 0.0
    longest_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Due:
    """When the nearest deadlines of a worker's application calls are (`request_timeout`); 0.0 and infinity: never."""

    soft_at: float
    hard_at: float


NOTHING_DUE = Due(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Beats:
    """Last heartbeat of each worker's page, and what it has done, by pid; told about once a second.

    due: of those that serve with `request_timeout`. full: of those that have no free thread, whether somebody waits.
    """

    last: Mapping[int, float]
    work: Mapping[int, Work] = field(default_factory=dict)
    due: Mapping[int, Due] = field(default_factory=dict)
    full: Mapping[int, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StopAsked:
    """TERM (graceful), or INT or QUIT (quick). lame_duck False: not needed, another master serves on the listeners."""

    quick: bool
    lame_duck: bool = True


@dataclass(frozen=True, slots=True)
class CapacityAsked:
    """TTIN (+1) or TTOU (-1)."""

    delta: int


@dataclass(frozen=True, slots=True)
class LoadSeen:
    """About once a second, where workers are scaled. busy_share: the part of their capacity that was used, 0 to 1.
    queued: connections and requests that wait; queue_time_s: for how long the oldest request has. has_room: the memory
    limit allows one worker more.
    """

    busy_share: float
    queued: int
    queue_time_s: float
    has_room: bool = True


@dataclass(frozen=True, slots=True)
class ExtraAsked:
    """An embedder's Arbiter wants one worker more than the goal for now (spawn_worker)."""


@dataclass(frozen=True, slots=True)
class WorkerUnwanted:
    """An embedder's Arbiter sends this worker away (kill_worker with TERM), in return for an extra one if there is."""

    pid: int


@dataclass(frozen=True, slots=True)
class ExtrasOver:
    """An embedder's Arbiter wants no more than the goal again (manage_workers): as many of the oldest are to go."""


@dataclass(frozen=True, slots=True)
class WorkersDismissed:
    """WINCH to a daemon: no workers at all, until TTIN or HUP; the listeners stay (another master serves on them)."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Nothing happened but time: the supervisor's next deadline has come."""


Event = (
    SettingsAccepted
    | SettingsRejected
    | Forked
    | ForkFailed
    | WorkerReady
    | MoldReady
    | MoldDeclined
    | PromotionRefused
    | WorkerBootFailed
    | WorkerAsksToRetire
    | ChildExited
    | Beats
    | StopAsked
    | CapacityAsked
    | LoadSeen
    | ExtraAsked
    | WorkerUnwanted
    | ExtrasOver
    | WorkersDismissed
    | Tick
)
