"""The supervisor: facts in, orders out. It decides which processes live; roles/master.py makes it so.

`handle` notes the fact, lets spent deadlines expire, and then compares the roster with the goal (reconcile.py), so that
what has to be holds whatever the order of the facts.

Rules for editing: pure (no I/O, no clock, no logging); a reload is a state, never a loop; tests/simulation proves the
invariants, and must fail when a line here is broken.
"""

from collections.abc import Callable
from typing import Final

from ostler.errors import BootError
from ostler.logline import fields
from ostler.supervisor import deadlines
from ostler.supervisor.actions import (
    Action,
    CloseListeners,
    Finish,
    ForgetGeneration,
    GenerationServes,
    Kick,
    Level,
    Log,
    Send,
    WorkersChanged,
)
from ostler.supervisor.events import (
    Beats,
    CapacityAsked,
    ChildExited,
    Event,
    Forked,
    ForkFailed,
    SettingsAccepted,
    SettingsRejected,
    StopAsked,
    Tick,
    WorkerAsksToRetire,
    WorkerBootFailed,
    WorkerReady,
    WorkersDismissed,
)
from ostler.supervisor.generations import Generations
from ostler.supervisor.handle import Handle, State, how_it_ended, was_expected
from ostler.supervisor.heartbeats import Heartbeats
from ostler.supervisor.policy import (
    EARLY_DEATH_S,
    GOAL_SHARE_OF_PAGES,
    QUIT_S,
    boot_backoff,
    early_death_backoff,
    fork_backoff,
)
from ostler.supervisor.reconcile import Reconciler
from ostler.supervisor.roster import Roster

_BOOT_ERROR: Final = BootError.exit_status  # of a server whose first worker could not start


class Supervisor:
    """Owned by the master's one thread. Times are seconds of one monotonic clock."""

    def __init__(self, pages: int) -> None:
        """pages: how many processes may exist at once, i.e. pages of the scoreboard."""
        self.roster = Roster(pages)
        self.generations = Generations()
        self.degraded = ""  # why the code on disk is not trusted, until it is seen to boot again
        self.stopping = False
        self._finished = False
        self._exit_status = 0
        self._rolling_out = False  # a committed generation has not replaced all others yet
        self._boot = boot_backoff()
        self._early_death = early_death_backoff()
        self._fork = fork_backoff()
        self._reconciler = Reconciler(self.roster, self.generations, self._boot, self._early_death, self._fork)
        self._now = 0.0
        self._heartbeats = Heartbeats()
        self._orders: list[Action] = []

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take one fact; returns orders to be carried out in this sequence."""
        self._now = now
        if not self._finished:
            self._note(event)
            self._expire()
            self._settle()
        orders, self._orders = self._orders, []
        return orders

    def next_deadline(self) -> float | None:
        """When to call `handle(Tick())` if nothing else happens before."""
        times = [self._boot.until, self._early_death.until, self._fork.until]
        for handle in self.roster:
            times += [when for when in (handle.deadline, handle.slow_at) if when is not None]
        pending = [when for when in times if when > self._now]
        spent = any(handle.deadline is not None and handle.deadline <= self._now for handle in self.roster)
        if spent:
            return self._now
        return min(pending, default=None)

    # -- facts

    def _note(self, event: Event) -> None:
        match event:
            case SettingsAccepted():
                self._accept(event)
            case SettingsRejected(summary):
                self._reload_failed(summary)
            case Forked(age, pid):
                self._note_forked(self.roster.started(age, pid))
            case ForkFailed(age, reason):
                self._note_fork_failed(age, reason)
            case WorkerReady(pid, boot_ms):
                self._with(pid, lambda handle: self._note_ready(handle, boot_ms))
            case WorkerBootFailed(pid, status, summary):
                self._with(pid, lambda handle: self._note_boot_failed(handle, status, summary))
            case WorkerAsksToRetire():
                self._with(event.pid, lambda handle: self._note_asked(handle, event))
            case ChildExited():
                self._with(event.pid, lambda handle: self._note_exited(handle, event))
            case Beats():
                self._note_beats(event)
            case StopAsked() | CapacityAsked() | WorkersDismissed():
                self._obey(event)
            case Tick():
                pass

    def _with(self, pid: int, note: Callable[[Handle], None]) -> None:
        """Facts about unknown pids (adopted by PID 1, reaped before) are no concern of ours."""
        handle = self.roster.find(pid)
        if handle is not None:
            note(handle)

    def _note_forked(self, handle: Handle) -> None:
        self._fork.succeeded()
        self._log(Level.INFO, f"worker booting {handle.tag}")
        if handle.state is State.QUITTING and handle.pid is not None:
            self._orders.append(Send(handle.pid, Kick.CANCEL if handle.cause == deadlines.NOT_NEEDED else Kick.QUIT))

    def _note_fork_failed(self, age: int, reason: str) -> None:
        handle = self.roster.remove(age)
        if self._fork.open(self._now):  # the first of a volley; the others fail for the same reason
            wait_s = self._fork.failed(handle.forked_at, self._now)
            text = fields("fork failed", slot=handle.slot, gen=handle.generation, next_attempt_s=wait_s, error=reason)
            self._log(Level.ERROR, text)

    def _note_ready(self, handle: Handle, boot_ms: int) -> None:
        if handle.state is State.QUITTING and handle.cause == deadlines.NOT_NEEDED:
            self._let_go(handle)
        if handle.state is not State.BOOTING:
            return
        handle.enter(State.READY, None)
        handle.ready_at = self._now
        self._log(Level.INFO, f"worker ready {handle.tag} boot_ms={boot_ms}")
        if handle.generation == self.generations.candidate:
            self._commit()
        if handle.generation == self.generations.committed:
            self._note_healed(handle)

    def _let_go(self, handle: Handle) -> None:
        """It was ready before it heard that it is not needed: what it has accepted meanwhile it finishes."""
        handle.ready_at = self._now
        spec = self.generations.spec(handle.generation)
        if self.stopping:
            self._orders += deadlines.stop(handle, spec, self._now)
        else:
            self._orders += deadlines.retire(handle, spec, self.roster.live_besides(handle), self._now)

    def _note_healed(self, handle: Handle) -> None:
        """Code boots: what was held back goes on."""
        if self._boot.failures:
            text = f"generation {handle.generation} boots again failed_attempts={self._boot.failures}"
            self._log(Level.INFO, text)
        if self.degraded:
            self._log(Level.INFO, f"code boots with the settings of generation {handle.generation}; no longer degraded")
        self.degraded = ""
        self._boot.succeeded()

    def _note_boot_failed(self, handle: Handle, status: int, summary: str) -> None:
        if handle.state is not State.BOOTING:
            return
        # It has said what we need to know; should it hang in its exit, KILL follows.
        handle.enter(State.QUITTING, self._now + QUIT_S, "boot failed")
        self._boot_failed(handle, status, " ".join(summary.split()))

    def _note_asked(self, handle: Handle, event: WorkerAsksToRetire) -> None:
        if not handle.live or self.stopping:
            return
        if event.reason == "reload":
            self._boot.succeeded()  # files changed: what failed before may boot now
        handle.asked = event.reason
        self._log(Level.INFO, f"worker asks to be replaced {handle.tag} reason={event.reason}")

    def _note_exited(self, handle: Handle, event: ChildExited) -> None:
        self.roster.remove(handle.age)
        cause = how_it_ended(handle, event)
        serving = f" {event.serving}" if event.serving else ""
        if was_expected(handle, event):
            self._log(Level.INFO, fields(f"worker exited {handle.tag}", cause=cause))
        else:
            harmless = handle.state is State.READY and event.status == 0
            level = Level.WARNING if harmless else Level.ERROR
            self._log(level, fields(f"worker died {handle.tag}", cause=cause) + serving)
        if handle.state is State.BOOTING:
            self._boot_failed(handle, _BOOT_ERROR, f"{cause} before it was ready")
        elif handle.state is State.READY:
            self._note_lost(handle)

    def _note_lost(self, handle: Handle) -> None:
        """A serving worker died: it is replaced at once, unless workers keep dying as soon as they serve."""
        assert handle.ready_at is not None
        if self._now - handle.ready_at >= EARLY_DEATH_S:
            self._early_death.succeeded()
            return
        wait_s = self._early_death.failed(handle.forked_at, self._now)
        if wait_s > 0:
            failures = self._early_death.failures
            text = f"workers die soon after they are ready deaths={failures} next_attempt_s={wait_s:.1f}"
            self._log(Level.WARNING, text)

    def _note_beats(self, event: Beats) -> None:
        beating = self.roster.in_state(State.READY, State.RETIRING)
        self._heartbeats.note(event, self.roster, self._now)
        for handle in beating:
            limit_s = self.generations.spec(handle.generation).timeout_s
            if 0 < limit_s < self._heartbeats.silent_s(handle):
                self._orders += deadlines.dump(handle, deadlines.TIMEOUT, self._now)

    # -- generations

    def _accept(self, event: SettingsAccepted) -> None:
        spec = event.spec
        most = self.roster.pages // GOAL_SHARE_OF_PAGES
        if self.stopping:
            self._orders.append(ForgetGeneration(spec.number))
            return
        if spec.workers > most:
            self._orders.append(ForgetGeneration(spec.number))
            self._reload_failed(f"workers: {spec.workers} is above {most}, the room of this master; restart it")
            return
        replaced = self.generations.candidate
        if replaced is not None:
            self._log(Level.INFO, f"generation {replaced} did not start yet; generation {spec.number} takes its place")
        old = self.generations.goal or None
        self.generations.accept(spec)
        self._report_goal(old)

    def _commit(self) -> None:
        former, old = self.generations.committed, self.generations.goal
        self.generations.commit()
        self._boot.succeeded()
        self.degraded = ""
        number = self.generations.committed
        assert number is not None
        self._orders.append(GenerationServes(number))
        if former is not None:
            self._rolling_out = True
            self._log(Level.INFO, f"generation {number} starts; its workers replace those before, one at a time")
            self._report_goal(old)

    def _boot_failed(self, handle: Handle, status: int, summary: str) -> None:
        number = handle.generation
        if number == self.generations.on_trial:
            self.generations.drop_candidate()
            self._reload_failed(f"generation {number} did not start ({summary})")
            self.degraded = f"generation {number} did not start ({summary})"
            self._log(Level.WARNING, "degraded: a worker that is replaced now imports the code that did not start")
        elif number != self.generations.base:
            self._log(Level.INFO, f"worker did not start, and is not needed any more {handle.tag} ({summary})")
        elif self.generations.committed is None:
            if not self.stopping:
                self._exit_status = status
                self._log(Level.ERROR, f"worker did not start {handle.tag} ({summary}); nothing serves yet: stopping")
                self._stop(quick=True)
        elif not self.stopping:
            wait_s = self._boot.failed(handle.forked_at, self._now)
            text = f"worker did not start {handle.tag} ({summary})"
            self._log(Level.ERROR, f"{text} attempts={self._boot.failures} next_attempt_s={wait_s:.1f}")

    def _reload_failed(self, why: str) -> None:
        keeps = self.generations.committed
        consequence = "" if keeps is None else f"; generation {keeps} keeps serving"
        self._log(Level.ERROR, f"reload failed: {why}{consequence}")

    # -- the operator

    def _obey(self, event: StopAsked | CapacityAsked | WorkersDismissed) -> None:
        match event:
            case StopAsked(quick):
                self._stop(quick)
            case CapacityAsked(delta):
                self._change_goal(delta)
            case WorkersDismissed():
                self._dismiss()

    def _change_goal(self, delta: int) -> None:
        old = self.generations.goal
        new = old + delta
        if self.stopping or self.generations.base is None:
            return
        if new < 1:
            self._log(Level.WARNING, "one worker is the least; TTOU ignored")
        elif new > self.roster.pages // GOAL_SHARE_OF_PAGES:
            self._log(Level.WARNING, f"{old} workers are the most this master made room for; TTIN ignored")
        else:
            self.generations.goal = new
            self._report_goal(old)

    def _dismiss(self) -> None:
        old = self.generations.goal
        if not self.stopping and old:
            self._log(Level.INFO, "workers dismissed; TTIN or HUP brings workers back")
            self.generations.goal = 0
            self._report_goal(old)

    def _report_goal(self, old: int | None) -> None:
        new = self.generations.goal
        if new != old:
            self._orders.append(WorkersChanged(new, old))

    def _stop(self, quick: bool) -> None:
        first = not self.stopping
        self.stopping = True
        self.generations.drop_candidate()
        serving = self.roster.in_state(State.READY)
        if quick or (first and not serving):
            self._orders.append(CloseListeners())
        for handle in self.roster.in_state(State.BOOTING, State.READY, State.RETIRING):
            if quick:
                self._orders += deadlines.quit_(handle, "quick stop", self._now)
            elif handle.state is State.BOOTING:
                self._orders += deadlines.cancel_boot(handle, self._now)
            elif first:
                self._orders += deadlines.stop(handle, self.generations.spec(handle.generation), self._now)

    # -- time

    def _expire(self) -> None:
        for handle in self.roster:
            if handle.slow_at is not None and handle.slow_at <= self._now:
                self._orders += deadlines.slow_boot(handle, self.generations.spec(handle.generation))
            if handle.deadline is None or handle.deadline > self._now:
                continue
            boots = handle.state is State.BOOTING
            self._orders += deadlines.expire(handle, self._heartbeats.silent_s(handle), self._now)
            if boots:
                limit_s = self.generations.spec(handle.generation).boot_timeout_s
                self._boot_failed(handle, _BOOT_ERROR, f"boot timeout: not ready after {limit_s:g} s")

    # -- after every fact

    def _settle(self) -> None:
        if not self.stopping:
            self._orders += self._reconciler.reconcile(self._now)
            self._report_rollout()
        for number in self.generations.unused({handle.generation for handle in self.roster}):
            self._orders.append(ForgetGeneration(number))
        if self.stopping and all(h.state is State.KILLED and h.deadline is None for h in self.roster):
            self._finished = True
            self._orders.append(Finish(self._exit_status))

    def _report_rollout(self) -> None:
        current = self.generations.committed
        serving = self.roster.in_state(State.READY)
        pure = all(handle.generation == current for handle in self.roster if handle.live)
        if self._rolling_out and pure and len(serving) >= self.generations.goal:
            self._rolling_out = False
            self._log(Level.INFO, f"reload complete: generation {current} serves workers={len(serving)}")

    def _log(self, level: Level, text: str) -> None:
        self._orders.append(Log(level, text))
