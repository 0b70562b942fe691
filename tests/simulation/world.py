"""A fake world for the supervisor: a clock, processes that boot, hang, crash and die slowly, and code that breaks.

The world believes nothing that the supervisor says of itself: it keeps its own books from the orders it is given, and
`laws.py` checks these after every step. Everything random comes from one seeded generator.

What a process does is decided when it is forked, by the code "on disk" at that moment (without preloading, every worker
imports what lies there, whatever its generation).
"""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from ostler.supervisor.actions import (
    Action,
    CloseListeners,
    Finish,
    ForgetGeneration,
    Fork,
    Kick,
    Log,
    OrderRetire,
    OrderStop,
    ReportStacks,
    Send,
    WorkersChanged,
)
from ostler.supervisor.events import (
    Beats,
    ChildExited,
    Event,
    Forked,
    ForkFailed,
    SettingsAccepted,
    StopAsked,
    Tick,
    WorkerBootFailed,
    WorkerReady,
)
from ostler.supervisor.policy import GenerationSpec
from ostler.supervisor.supervisor import Supervisor


class Code(Enum):
    """What lies on disk."""

    GOOD = "good"
    BROKEN = "raises at import"
    SILENT = "exits at import without a word"
    HANGING = "never ends its import"
    CRASHING = "serves, and crashes soon after"


@dataclass(slots=True)
class Process:
    """One child. Times are when something was seen or ordered; None: not yet."""

    pid: int
    order: Fork
    code: Code
    spec: GenerationSpec
    forked_at: float
    ready_at: float | None = None
    stop_at: float | None = None  # told to retire, to stop, or by QUIT
    failed_at: float | None = None  # it said that it cannot boot
    quit_at: float | None = None
    cancelled_at: float | None = None  # its boot was not needed any more
    dumped_at: float | None = None
    dumped_for: str = ""  # the reason that the law found: "silent", "overdue" or "unborn"
    aborted_at: float | None = None
    killed_at: float | None = None
    hung_since: float | None = None
    asked: bool = False
    ready_late: bool = False  # its Ready crossed the order to end its boot
    ordered: bool = False  # told to retire or to stop

    @property
    def unwanted(self) -> bool:
        """It was told to end, or said that it will: it counts as leaving."""
        ends = (self.stop_at, self.dumped_at, self.killed_at, self.failed_at)
        return any(when is not None for when in ends)

    @property
    def serving(self) -> bool:
        return self.ready_at is not None and not self.unwanted

    @property
    def booting(self) -> bool:
        return self.ready_at is None and not self.unwanted


@dataclass(slots=True)
class Manners:
    """How badly processes of this world behave: probabilities, and seconds."""

    boot_s: tuple[float, float] = (0.05, 3.0)
    drain_s: tuple[float, float] = (0.0, 2.0)
    deaf: float = 0.0  # does not hear QUIT, Retire or ABRT
    stuck: float = 0.0  # outlives KILL for some seconds
    fork_fails: float = 0.0
    ready_when_cancelled: float = 0.2  # its Ready was on the way when its boot was cancelled


@dataclass(slots=True)
class Books:
    """What the world remembers of the orders."""

    goal: int = 0
    forks: list[float] = field(default_factory=list)
    logs: list[tuple[float, str]] = field(default_factory=list)
    forgotten: set[int] = field(default_factory=set)
    served: set[int] = field(default_factory=set)  # generations that had a ready worker
    failed: set[int] = field(default_factory=set)  # generations that failed before they had, though another served
    accepted: dict[int, GenerationSpec] = field(default_factory=dict)
    stop_asked_at: float | None = None
    quick_asked_at: float | None = None
    listeners_closed: bool = False
    finished_at: float | None = None
    status: int | None = None
    reaped: int = 0


class World:
    """Runs one supervisor. `check` is called after each fact with the orders that it caused."""

    def __init__(
        self,
        seed: int,
        manners: Manners,
        check: Callable[["World", Event, list[Action]], None],
        pages: int = 80,
        judge: Callable[["World", Action], None] = lambda world, action: None,
    ) -> None:
        """judge: is shown each order just before the world obeys it."""
        self.random = random.Random(seed)
        self.manners = manners
        self.now = 1000.0
        self.supervisor = Supervisor(pages)
        self.processes: dict[int, Process] = {}
        self.books = Books()
        self.code = Code.GOOD
        self.disturbances: list[float] = []
        self.steps = 0
        self.trail: list[str] = []
        self._check = check
        self._judge = judge
        self._sequence = itertools.count()
        self._plans: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count(1)
        self._beaten_at = self.now
        self.plan(1.0, self._beat)

    # -- facts

    def tell(self, event: Event) -> None:
        """One fact; forks are answered before anything else, as the master does."""
        events, given = [event], []
        while events:
            fact = events.pop(0)
            self.steps += 1
            orders = self.supervisor.handle(fact, self.now)
            if orders or not isinstance(fact, Beats):
                self.trail.append(f"{self.now:9.3f} {fact}")
            for action in orders:
                self.trail.append(f"{self.now:9.3f}     {action}")
                given.append(action)
                self._judge(self, action)
                answer = self._obey(action)
                if answer is not None:
                    events.append(answer)
        self._check(self, event, given)

    def accept(self, workers: int, timeout_s: float = 30, graceful_s: float = 5, boot_timeout_s: float = 20) -> int:
        """HUP with settings that load (and the start)."""
        spec = GenerationSpec(next(self._numbers), workers, timeout_s, graceful_s, boot_timeout_s)
        self.books.accepted[spec.number] = spec
        self.tell(SettingsAccepted(spec))
        return spec.number

    def stop(self, quick: bool = False) -> None:
        if self.books.stop_asked_at is None:
            self.books.stop_asked_at = self.now
        if quick and self.books.quick_asked_at is None:
            self.books.quick_asked_at = self.now
        self.tell(StopAsked(quick))

    # -- time

    def plan(self, delay_s: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._plans, (self.now + delay_s, next(self._sequence), act))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        while self.books.finished_at is None:
            deadline = self.supervisor.next_deadline()
            planned = self._plans[0][0]
            when = min(planned, planned if deadline is None else deadline, until)
            self.now = max(self.now, when)
            if when >= until:
                return
            if planned <= self.now:
                heapq.heappop(self._plans)[2]()
            else:
                self.tell(Tick())

    def sleep(self, seconds: float) -> None:
        """The whole machine sleeps: nobody beats, everything planned is late."""
        self.now += seconds

    def _beat(self) -> None:
        self.plan(1.0, self._beat)
        alive, self._beaten_at = self._beaten_at, self.now  # who is not hung beat about when we last looked
        self.tell(Beats({p.pid: alive if p.hung_since is None else p.hung_since for p in self.processes.values()}))

    # -- what processes do

    def crash(self, process: Process, signal: str | None = "SIGKILL", status: int | None = None) -> None:
        """It ends by itself, or by a stranger's hand; told at once, as SIGCHLD does."""
        if self.processes.get(process.pid) is process:
            if process.booting:
                self.note_failed_boot(process)
            del self.processes[process.pid]
            self.books.reaped += 1
            self.tell(ChildExited(process.pid, status, signal))

    def note_failed_boot(self, process: Process) -> None:
        if self.books.served and process.order.generation not in self.books.served:
            self.books.failed.add(process.order.generation)

    def exit(self, process: Process) -> None:
        self.crash(process, signal=None, status=0)

    def serving(self) -> list[Process]:
        return [process for process in self.processes.values() if process.serving]

    def booting(self) -> list[Process]:
        return [process for process in self.processes.values() if process.booting]

    def _born(self, order: Fork) -> Event:
        if self.random.random() < self.manners.fork_fails:
            return ForkFailed(order.age, "resource temporarily unavailable")
        pid = next(number for number in itertools.count(100) if number not in self.processes)  # pids come again
        process = Process(pid, order, self.code, self.books.accepted[order.generation], self.now)
        self.processes[pid] = process
        boot_s = self.random.uniform(*self.manners.boot_s)
        if process.code is not Code.HANGING:
            self.plan(boot_s, lambda: self._boot(process))
        return Forked(order.age, pid)

    def _boot(self, process: Process) -> None:
        if self.processes.get(process.pid) is not process or process.stop_at is not None:
            return
        match process.code:
            case Code.BROKEN:
                self.note_failed_boot(process)
                process.failed_at = self.now
                self.tell(WorkerBootFailed(process.pid, 3, "ImportError in app.py:1"))
                if self.random.random() >= self.manners.deaf:
                    self.plan(0.01, lambda: self.crash(process, None, 3))
            case Code.SILENT:
                self.crash(process, None, 1)
            case _:
                process.ready_at = self.now
                if not process.unwanted:
                    self.books.served.add(process.order.generation)
                self.tell(WorkerReady(process.pid, 50))
                if process.code is Code.CRASHING:
                    self.plan(self.random.uniform(0.05, 1.5), lambda: self.crash(process, "SIGSEGV"))

    def _ready_after_all(self, process: Process) -> None:
        if self.processes.get(process.pid) is process and process.killed_at is None:
            process.ready_at = self.now
            process.ready_late = True
            self.tell(WorkerReady(process.pid, 50))

    # -- orders

    def _obey(self, action: Action) -> Event | None:
        match action:
            case Fork():
                self.books.forks.append(self.now)
                return self._born(action)
            case OrderRetire(pid):
                self.processes[pid].ordered = True
                self._told(self.processes[pid], self.random.uniform(*self.manners.drain_s))
            case OrderStop(pid):
                self.processes[pid].ordered = True
                self._told(self.processes[pid], self.random.uniform(*self.manners.drain_s))
            case Send(pid, kick):
                self._kicked(self.processes[pid], kick)
            case WorkersChanged(new, _):
                self.books.goal = new
            case ForgetGeneration(number):
                self.books.forgotten.add(number)
            case CloseListeners():
                self.books.listeners_closed = True
            case Finish(status):
                self.books.finished_at, self.books.status = self.now, status
            case Log(_, text):
                self.books.logs.append((self.now, text))
            case ReportStacks():
                pass
        return None

    def _told(self, process: Process, delay_s: float) -> None:
        process.stop_at = process.stop_at if process.stop_at is not None else self.now
        if process.hung_since is None and self.random.random() >= self.manners.deaf:
            self.plan(delay_s, lambda: self.exit(process))

    def _kicked(self, process: Process, kick: Kick) -> None:
        match kick:
            case Kick.QUIT:
                process.quit_at = self.now
                self._told(process, 0.05)
            case Kick.CANCEL:
                process.cancelled_at = process.stop_at = self.now
                if process.code is Code.GOOD and self.random.random() < self.manners.ready_when_cancelled:
                    self.plan(0.001, lambda: self._ready_after_all(process))
                else:
                    self._told(process, 0.05)
            case Kick.DUMP:
                if process.booting:
                    self.note_failed_boot(process)
                process.dumped_at = self.now
            case Kick.ABORT:
                process.aborted_at = self.now
                if self.random.random() >= self.manners.deaf:
                    self.plan(0.05, lambda: self.crash(process, None, 1))
            case Kick.KILL:
                process.killed_at = self.now
                stuck = self.random.random() < self.manners.stuck
                self.plan(self.random.uniform(3, 12) if stuck else 0.01, lambda: self.crash(process))
