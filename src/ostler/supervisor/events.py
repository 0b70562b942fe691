"""The facts that the supervisor is told. Times are seconds of one monotonic clock; pids are the system's.

Rules for editing: a fact names what happened, never what to do about it; plain frozen values, so that a simulation can
make them and a failing run can print them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ostler.supervisor.policy import GenerationSpec

RetireReason = Literal["max_requests", "reload", "signal"]


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
    age: int  # of the Fork action that this answers
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
class WorkerBootFailed:
    """The worker says that it cannot start and will exit. status: 3 or 4, the master's own if nothing ever served."""

    pid: int
    status: int
    summary: str


@dataclass(frozen=True, slots=True)
class WorkerAsksToRetire:
    pid: int
    reason: RetireReason


@dataclass(frozen=True, slots=True)
class ChildExited:
    """A child was reaped. Either `status` or `signal` is set; `serving` is what its page showed, as text, or empty."""

    pid: int
    status: int | None
    signal: str | None
    serving: str = ""


@dataclass(frozen=True, slots=True)
class Beats:
    """Last heartbeat of each worker's page, by pid; told about once a second."""

    last: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class StopAsked:
    """TERM (graceful), or INT or QUIT (quick)."""

    quick: bool


@dataclass(frozen=True, slots=True)
class CapacityAsked:
    """TTIN (+1) or TTOU (-1)."""

    delta: int


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
    | WorkerBootFailed
    | WorkerAsksToRetire
    | ChildExited
    | Beats
    | StopAsked
    | CapacityAsked
    | WorkersDismissed
    | Tick
)
