"""A fake world for the supervisor: a clock, processes that boot, hang, crash and die slowly, and code that breaks.

The world believes nothing that the supervisor says of itself: it keeps its own books from the orders it is given, and
`laws.py` checks these after every step. Everything random comes from one seeded generator.

What a process does is decided when it is forked, by the code "on disk" at that moment (without preloading, every worker
imports what lies there, whatever its generation) or by the code in the mold that forks it.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from typing import Any

from ostler.supervisor.actions import (
    Action,
    Fork,
    Kick,
    OrderPromote,
    OrderRetire,
    OrderStop,
    Send,
    StartMold,
)
from ostler.supervisor.events import (
    Beats,
    ChildExited,
    Due,
    Event,
    ExtraAsked,
    ExtrasOver,
    Forked,
    ForkFailed,
    LoadSeen,
    MoldDeclined,
    MoldReady,
    PromotionRefused,
    SettingsAccepted,
    SettingsRejected,
    StopAsked,
    Tick,
    Work,
    WorkerAsksToRetire,
    WorkerBootFailed,
    WorkerReady,
    WorkerUnwanted,
)
from ostler.supervisor.policy import SAME_STOP_S, GenerationSpec
from ostler.supervisor.supervisor import Supervisor
from tests.simulation.processes import Books, Code, Manners, Pending, Process

_FLAKY = 0.7  # of its boots fail
_REQUESTS_PER_BEAT = 40


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
        self.pending: dict[int, Pending] = {}
        self.books = Books()
        self.code = Code.GOOD
        self.version = 0
        self.erring: set[int] = set()  # pids of processes that have answered with 5xx
        self.steps = 0
        self.trail: list[str] = []
        self.check = check
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
            if orders or not isinstance(fact, Beats | LoadSeen):
                self.trail.append(f"{self.now:9.3f} {fact}")
            for action in orders:
                self.trail.append(f"{self.now:9.3f}     {action}")
                given.append(action)
                self._judge(self, action)
                answer = self._obey(action)
                if answer is not None:
                    events.append(answer)
        self.check(self, event, given)

    def accept(
        self, workers: int, timeout_s: float = 30, graceful_s: float = 5, boot_timeout_s: float = 20, **more: Any
    ) -> int:
        """HUP with settings that load (and the start)."""
        books = self.books
        spec = GenerationSpec(next(self._numbers), workers, timeout_s, graceful_s, boot_timeout_s, **more)
        books.open_reloads &= books.served_once  # what was on trial is overtaken
        books.extra = 0
        if books.stop_asked_at is not None:
            books.rejections += 1
        elif books.accepted:
            books.open_reloads.add(spec.number)
        books.accepted[spec.number] = spec
        books.versions[spec.number] = self.version
        self.tell(SettingsAccepted(spec))
        return spec.number

    def reject(self) -> None:
        self.books.rejections += 1
        self.tell(SettingsRejected("workers: expected a number"))

    def ask(self, process: Process, reason: Any) -> None:
        """The worker asks to be replaced."""
        process.asked = True
        if reason == "reload":
            self.books.changed.add(process.generation)
            self.books.versions[process.generation] = self.version
        self.tell(WorkerAsksToRetire(process.pid, reason))

    def spawn(self) -> None:
        """An embedder's Arbiter wants one more."""
        self.books.extra += self.books.stop_asked_at is None and self.books.goal > 0
        self.tell(ExtraAsked())

    def send_away(self, process: Process) -> None:
        self._note_sent_away(process)
        self.tell(WorkerUnwanted(process.pid))

    def end_extras(self) -> None:
        """As Gunicorn's manage_workers: the oldest go."""
        canary = self.canary()
        oldest = sorted((p for p in self.serving() if not p.sent_away and p is not canary), key=lambda p: p.order.age)
        for process in oldest[: self.books.extra]:
            self._note_sent_away(process)
        self.books.extra = 0
        self.tell(ExtrasOver())

    def _note_sent_away(self, process: Process) -> None:
        if process.mold or process.sent_away or not (process.serving or process.booting):
            return
        process.sent_away, process.gives_way = True, self.books.extra > 0
        self.books.extra = max(0, self.books.extra - 1)

    def change_code(self, code: Code) -> None:
        self.run(0.001)  # what was forked before has not read it
        self.code = code
        self.version += 1

    def stop(self, quick: bool = False) -> None:
        books = self.books
        again = books.stop_asked_at is not None and self.now - books.stop_asked_at < SAME_STOP_S
        if books.stop_asked_at is None:
            books.stop_asked_at = self.now
        books.stops_asked += quick or not again
        if quick and books.quick_asked_at is None:
            books.quick_asked_at = self.now
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
        workers = [process for process in self.processes.values() if not process.mold]
        for process in workers:
            self._let_work(process)
        last = {p.pid: alive if p.hung_since is None else p.hung_since for p in workers}
        due = {p.pid: Due(p.soft_at, p.hard_at) for p in workers if p.hard_at}
        full = {p.pid: True for p in workers if p.crowded_since is not None}
        self.tell(Beats(last, {p.pid: p.work for p in workers}, due, full))

    def _let_work(self, process: Process) -> None:
        """The requests of one second."""
        if not process.serving or process.hung_since is not None or process.crowded_since is not None:
            return
        done, before = self.random.randrange(_REQUESTS_PER_BEAT), process.work
        errors = done // 2 if process.code is Code.WORSE else 0
        each_s = 0.5 if process.code is Code.SLOW else 0.005
        process.work = Work(before.requests + done, before.errors + errors, before.busy_s + done * each_s)
        if errors:
            self.erring.add(process.pid)

    # -- what there is

    def serving(self) -> list[Process]:
        return [process for process in self.processes.values() if process.serving]

    def booting(self) -> list[Process]:
        return [process for process in self.processes.values() if process.booting and not process.mold]

    def molds(self) -> list[Process]:
        return [process for process in self.processes.values() if process.mold]

    def canary(self) -> Process | None:
        """The worker that serves though its generation is on trial."""
        number = self.books.candidate
        return next((p for p in self.serving() if number is not None and p.generation == number), None)

    # -- what processes do

    def crash(self, process: Process, signal: str | None = "SIGKILL", status: int | None = None) -> None:
        """It ends by itself, or by a stranger's hand; told at once, as SIGCHLD does."""
        if self.processes.get(process.pid) is process:
            if process.booting:
                self.note_failed_boot(process)
            del self.processes[process.pid]
            self.books.reaped += 1
            for age, pending in self.pending.items():
                if pending.mold is process:
                    self.plan(self.random.uniform(0, 0.05), lambda age=age: self._fork_fails(age, "the mold died"))
            self.tell(ChildExited(process.pid, status, signal))

    def note_failed_boot(self, process: Process) -> None:
        if self.books.served and process.generation not in self.books.served:
            self.books.failed.add(process.generation)

    def exit(self, process: Process) -> None:
        self.crash(process, signal=None, status=0)

    def _born(self, order: Fork | StartMold) -> Event:
        if self.random.random() < self.manners.fork_fails:
            return ForkFailed(order.age, "resource temporarily unavailable")
        return Forked(order.age, self._make(order, self.code, self.version).pid)

    def _make(self, order: Fork | StartMold, code: Code, version: int, waited_s: float = 0.0) -> Process:
        pid = next(number for number in itertools.count(100) if number not in self.processes)  # pids come again
        spec = self.books.accepted[order.generation]
        is_mold = isinstance(order, StartMold)
        process = Process(pid, order, code, version, spec, self.now, is_mold, waited_s)
        self.processes[pid] = process
        self.erring.discard(pid)
        forked = isinstance(order, Fork) and order.mold is not None
        boot_s = self.random.uniform(0.005, 0.3) if forked else self.random.uniform(*self.manners.boot_s)
        if process.code is not Code.HANGING:
            self.plan(boot_s, lambda: self._boot(process))
        return process

    def _boot(self, process: Process) -> None:
        if self.processes.get(process.pid) is not process or process.stop_at is not None:
            return
        flaky = process.code is Code.FLAKY and not process.mold and self.random.random() < _FLAKY
        match process.code:
            case Code.SHARING if process.mold:
                if not process.unwanted:
                    process.declined, process.stop_at = True, self.now
                    self.books.declined.add(process.generation)
                self.tell(MoldDeclined(process.pid, "threads=1"))
                self._told(process, 0.01)
            case Code.SILENT:
                self.crash(process, None, 1)
            case _ if process.code is Code.BROKEN or flaky:
                self.note_failed_boot(process)
                process.failed_at = self.now
                self.tell(WorkerBootFailed(process.pid, 3, "ImportError in app.py:1"))
                if self.random.random() >= self.manners.deaf:
                    self.plan(0.01, lambda: self.crash(process, None, 3))
            case _:
                self._become_ready(process)

    def _become_ready(self, process: Process) -> None:
        process.ready_at = self.now
        if process.mold:
            self.tell(MoldReady(process.pid, 300))
            return
        if not process.unwanted:
            self.books.served.add(process.generation)
        self.tell(WorkerReady(process.pid, 50))
        if process.code is Code.CRASHING:
            self.plan(self.random.uniform(0.05, 1.5), lambda: self.crash(process, "SIGSEGV"))

    def _ready_after_all(self, process: Process) -> None:
        if self.processes.get(process.pid) is process and process.killed_at is None:
            process.ready_at = self.now
            process.ready_late = True
            self.tell(WorkerReady(process.pid, 50))

    # -- what molds do

    def _ask_mold(self, order: Fork) -> Event | None:
        mold = self.processes.get(order.mold or 0)
        if mold is None:
            return ForkFailed(order.age, "the mold is gone")
        self.pending[order.age] = Pending(order, mold, self.now)
        manners, chance = self.manners, self.random.random
        mold.mute = mold.mute or chance() < manners.mute
        if chance() < manners.fork_fails:
            self.plan(0.01, lambda: self._fork_fails(order.age, "resource temporarily unavailable"))
        else:
            fork_s = (1.0, 14.0) if chance() < manners.fork_slow else manners.fork_s
            self.plan(self.random.uniform(*fork_s), lambda: self._fork_done(order.age))
        return None

    def _fork_done(self, age: int) -> None:
        pending = self.pending.get(age)
        if pending is None or self.processes.get(pending.mold.pid) is not pending.mold:
            return
        if pending.mold.mute:
            self.plan(1.0, lambda: self._fork_done(age))  # it may be woken up
            return
        del self.pending[age]
        mold = pending.mold
        process = self._make(pending.order, mold.code, mold.version, self.now - pending.asked_at)
        self.tell(Forked(age, process.pid))

    def _fork_fails(self, age: int, reason: str) -> None:
        if self.pending.pop(age, None) is not None:
            self.tell(ForkFailed(age, reason))

    def _promoted(self, process: Process) -> None:
        if self.processes.get(process.pid) is not process or process.killed_at is not None or process.hung_since:
            return
        if self.random.random() < self.manners.no_mold:
            self.tell(PromotionRefused(process.pid, "2 threads"))
            self.plan(0.01, lambda: self.exit(process))
            return
        if process.quit_at is None and process.dumped_at is None:  # else it is too late
            process.mold, process.promoting, process.ready_at, process.stop_at = True, False, self.now, None
        self.tell(MoldReady(process.pid, 20))

    # -- orders

    def _obey(self, action: Action) -> Event | None:
        match action:
            case Fork() | StartMold():
                self.books.forks.append(self.now)
                if isinstance(action, Fork) and action.mold is not None:
                    return self._ask_mold(action)
                return self._born(action)
            case OrderRetire(pid) | OrderStop(pid):
                self.processes[pid].ordered = True
                self._told(self.processes[pid], self.random.uniform(*self.manners.drain_s))
            case OrderPromote(pid):
                process = self.processes[pid]
                process.promoting, process.stop_at = True, self.now
                if self.random.random() >= self.manners.deaf:
                    self.plan(self.random.uniform(*self.manners.drain_s), lambda: self._promoted(process))
            case Send(pid, kick):
                self._kicked(self.processes[pid], kick)
            case _:
                self.books.note(action, self.now)
        return None

    def _told(self, process: Process, delay_s: float) -> None:
        process.stop_at = process.stop_at if process.stop_at is not None else self.now
        if process.hung_since is None and not process.mute and self.random.random() >= self.manners.deaf:
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
            case Kick.SHOW:
                pass
            case Kick.ABORT:
                process.aborted_at = self.now
                if self.random.random() >= self.manners.deaf:
                    self.plan(0.05, lambda: self.crash(process, None, 1))
            case Kick.KILL:
                process.killed_at = self.now
                stuck = self.random.random() < self.manners.stuck
                self.plan(self.random.uniform(3, 12) if stuck else 0.01, lambda: self.crash(process))
