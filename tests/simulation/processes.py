"""What the fake world is made of: code on disk, processes, their manners, and the world's books of the orders."""

from dataclasses import dataclass, field
from enum import Enum

from ostler.supervisor.actions import (
    Action,
    CloseListeners,
    Finish,
    ForgetGeneration,
    Fork,
    GenerationServes,
    LameDuck,
    Log,
    MeasureMemory,
    ReloadEnded,
    StartMold,
    WorkersChanged,
)
from ostler.supervisor.events import Work
from ostler.supervisor.policy import GenerationSpec


class Code(Enum):
    """What lies on disk, or in a mold."""

    GOOD = "good"
    BROKEN = "raises at import"
    SILENT = "exits at import without a word"
    HANGING = "never ends its import"
    CRASHING = "serves, and crashes soon after"
    WORSE = "answers every second request with 5xx"
    SLOW = "takes a hundred times as long"
    FLAKY = "is imported, but most of its workers fail before they serve"
    SHARING = "has threads, so that a mold declines"


@dataclass(slots=True)
class Process:
    """One child. Times are when something was seen or ordered; None: not yet."""

    pid: int
    order: Fork | StartMold
    code: Code
    version: int  # of the code
    spec: GenerationSpec
    forked_at: float
    mold: bool = False
    waited_s: float = 0.0  # between the order and the fork
    ready_at: float | None = None
    stop_at: float | None = None  # told to retire, to stop, or by QUIT
    failed_at: float | None = None  # it said that it cannot boot
    quit_at: float | None = None
    cancelled_at: float | None = None  # its boot was not needed any more
    dumped_at: float | None = None
    dumped_for: str = ""  # the reason that the law found: "silent", "overdue", "mute" or "unborn"
    aborted_at: float | None = None
    killed_at: float | None = None
    hung_since: float | None = None
    soft_at: float = 0.0  # deadlines of a request that its worker cannot see to; 0.0: there is none
    hard_at: float = 0.0
    shown_for: float = 0.0  # the soft deadline for which its stacks were asked for
    crowded_since: float | None = None  # all its threads are busy, and somebody waits
    crowd_shown: bool = False
    asked: bool = False
    sent_away: bool = False  # by an embedder's Arbiter
    gives_way: bool = False  # for an extra worker
    ready_late: bool = False  # its Ready crossed the order to end its boot
    ordered: bool = False  # told to retire or to stop
    promoting: bool = False  # told to become a mold
    mute: bool = False  # a mold that does not answer
    declined: bool = False
    work: Work = field(default_factory=Work)

    @property
    def generation(self) -> int:
        return self.order.generation

    @property
    def page(self) -> int | None:
        return self.order.page if isinstance(self.order, Fork) and not self.mold else None

    @property
    def unwanted(self) -> bool:
        """It was told to end, or said that it will: it counts as leaving."""
        ends = (self.stop_at, self.dumped_at, self.killed_at, self.failed_at)
        return any(when is not None for when in ends)

    @property
    def serving(self) -> bool:
        return not self.mold and self.ready_at is not None and not self.unwanted

    @property
    def booting(self) -> bool:
        return self.ready_at is None and not self.unwanted

    @property
    def can_fork(self) -> bool:
        return self.mold and self.ready_at is not None and not self.unwanted


@dataclass(slots=True)
class Pending:
    """A fork that a mold was asked for and has not answered."""

    order: Fork
    mold: Process
    asked_at: float


@dataclass(slots=True)
class Manners:
    """How badly processes of this world behave: probabilities, and seconds."""

    boot_s: tuple[float, float] = (0.05, 3.0)
    drain_s: tuple[float, float] = (0.0, 2.0)
    fork_s: tuple[float, float] = (0.001, 0.02)  # until a mold has answered
    deaf: float = 0.0  # does not hear QUIT, Retire or ABRT
    stuck: float = 0.0  # outlives KILL for some seconds
    fork_fails: float = 0.0
    fork_slow: float = 0.0  # a mold takes seconds for a fork
    mute: float = 0.0  # a mold hangs in a fork
    ready_when_cancelled: float = 0.2  # its Ready was on the way when its boot was cancelled
    no_mold: float = 0.0  # a worker that should become a mold cannot


@dataclass(slots=True)
class Books:
    """What the world remembers of the orders."""

    goal: int = 0
    extra: int = 0  # workers that an embedder asked for beyond it
    forks: list[float] = field(default_factory=list)
    logs: list[tuple[float, str]] = field(default_factory=list)
    forgotten: set[int] = field(default_factory=set)
    emptied: set[int] = field(default_factory=set)  # generations whose last worker was told so
    served: set[int] = field(default_factory=set)  # generations that had a ready worker
    failed: set[int] = field(default_factory=set)  # generations that were given up
    accepted: dict[int, GenerationSpec] = field(default_factory=dict)
    declined: set[int] = field(default_factory=set)  # generations that preload no more
    versions: dict[int, int] = field(default_factory=dict)  # of the code on disk when a generation was accepted
    changed: set[int] = field(default_factory=set)  # generations whose workers said that the code on disk has changed
    committed: int | None = None
    served_once: set[int] = field(default_factory=set)  # generations that were committed
    open_reloads: set[int] = field(default_factory=set)  # those that were neither overtaken nor ended
    succeeded: set[int] = field(default_factory=set)
    taken_back: int = 0
    rejections: int = 0
    rejections_ended: int = 0
    reforks: int = 0
    stop_asked_at: float | None = None
    stops_asked: int = 0
    quick_asked_at: float | None = None
    lame_until: float | None = None
    listeners_closed: bool = False
    finished_at: float | None = None
    status: int | None = None
    reaped: int = 0

    @property
    def candidate(self) -> int | None:
        """The generation on trial beside a committed one."""
        newest = max(self.accepted, default=None)
        if self.committed is None or newest not in self.open_reloads or newest in self.served_once:
            return None
        return newest

    def preloads(self, number: int) -> bool:
        return self.accepted[number].preload and number not in self.declined

    def note(self, action: Action, now: float) -> None:
        """An order that nothing in the world hears of."""
        match action:
            case WorkersChanged(new, _):
                self.goal = new
            case GenerationServes(number):
                self.taken_back += number in self.served_once
                if number not in self.served_once:
                    self.open_reloads &= {number}
                self.committed = number
                self.served_once.add(number)
            case ReloadEnded():
                self._note_reload_ended(action)
            case LameDuck(seconds):
                self.lame_until = now + seconds
            case ForgetGeneration(number):
                self.forgotten.add(number)
            case CloseListeners():
                self.listeners_closed = True
            case Finish(status):
                self.finished_at, self.status = now, status
            case Log(_, text) | MeasureMemory(text, _):
                self.logs.append((now, text))
                self.reforks += text.startswith("refork complete")

    def _note_reload_ended(self, action: ReloadEnded) -> None:
        if action.reload is None:
            self.rejections_ended += 1
            return
        self.open_reloads.discard(action.reload)
        if action.succeeded:
            self.succeeded.add(action.reload)
        elif self.stop_asked_at is None:
            self.failed.add(action.reload)
