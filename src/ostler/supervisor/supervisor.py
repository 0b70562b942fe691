"""The supervisor: facts in, orders out. It decides which processes live; roles/master.py makes it so.

`handle` notes the fact, lets spent deadlines expire, and then compares the roster with the goal (reconcile.py), so that
what has to be holds whatever the order of the facts. Here is what each fact means; the rules are in the other files:
reload.py, canary.py, molds.py, refork.py, stop.py, deadlines.py.

Rules for editing: pure (no I/O, no clock, no logging); a reload is a state, never a loop; tests/simulation proves the
invariants, and must fail when a line here is broken.
"""

from typing import Final

from ostler.errors import BootError
from ostler.logline import fields
from ostler.supervisor import deadlines
from ostler.supervisor.actions import Action, Finish, ForgetGeneration, Kick, Level, Send
from ostler.supervisor.events import (
    Beats,
    CapacityAsked,
    ChildExited,
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
    WorkerAsksToRetire,
    WorkerBootFailed,
    WorkerReady,
    WorkersDismissed,
    WorkerUnwanted,
)
from ostler.supervisor.extras import Extras
from ostler.supervisor.fleet import Fleet
from ostler.supervisor.generations import Generations
from ostler.supervisor.handle import Handle, State, how_it_ended, was_expected
from ostler.supervisor.health import Health
from ostler.supervisor.heartbeats import Heartbeats
from ostler.supervisor.molds import Molds
from ostler.supervisor.overdue import Overdue
from ostler.supervisor.policy import EARLY_DEATH_S, FORK_ANSWER_S, QUIT_S, TRIAL_FORK_FAILURES
from ostler.supervisor.reconcile import Reconciler
from ostler.supervisor.refork import Refork
from ostler.supervisor.reload import Reload
from ostler.supervisor.roster import Roster
from ostler.supervisor.scaling import Scaling
from ostler.supervisor.stop import Stop

_Said = (
    WorkerReady
    | MoldReady
    | MoldDeclined
    | PromotionRefused
    | WorkerBootFailed
    | WorkerAsksToRetire
    | WorkerUnwanted
    | ChildExited
)

_BOOT_ERROR: Final = BootError.exit_status  # of a server whose first worker could not start


class Supervisor:
    """Owned by the master's one thread. Times are seconds of one monotonic clock."""

    def __init__(self, pages: int) -> None:
        """pages: how many workers may exist at once, i.e. pages of the scoreboard."""
        self._fleet = Fleet(pages)
        self._molds = Molds(self._fleet)
        self._reload = Reload(self._fleet)
        self._refork = Refork(self._fleet, self._molds, self._reload)
        self._stop = Stop(self._fleet, self._molds, self._reload)
        self._extras = Extras(self._fleet)
        self._scaling = Scaling(self._fleet, self._reload)
        self._reconciler = Reconciler(self._fleet, self._molds, self._reload, self._refork, self._extras)
        self._heartbeats = Heartbeats()
        self.health = Health(self._fleet, self._heartbeats)
        self._overdue = Overdue(self._fleet, self._heartbeats)
        self._finished = False
        self._exit_status = 0

    @property
    def roster(self) -> Roster:
        return self._fleet.roster

    @property
    def generations(self) -> Generations:
        return self._fleet.generations

    @property
    def degraded(self) -> str:
        """Why the code on disk is not trusted; "" when it is."""
        return self._fleet.degraded

    @property
    def stopping(self) -> bool:
        """A stop was asked for, be it that it waits for a lame duck."""
        return self._fleet.stop_asked

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take one fact; returns orders to be carried out in this sequence."""
        self._fleet.now = now
        if not self._finished:
            self._note(event)
            self._expire()
            self._settle()
        return self._fleet.take_orders()

    def next_deadline(self) -> float | None:
        """When to call `handle(Tick())` if nothing else happens before."""
        fleet = self._fleet
        canary = self._reload.canary
        times = [fleet.boot.until, fleet.early_death.until, fleet.fork.until]
        times += [self._stop.until or 0.0, canary.until if canary is not None else 0.0, self._molds.calm_at]
        times += self._overdue.next_at()
        for handle in fleet.roster:
            times += [when for when in (handle.deadline, handle.slow_at) if when is not None]
        spent = any(handle.deadline is not None and handle.deadline <= fleet.now for handle in fleet.roster)
        if spent:
            return fleet.now
        return min((when for when in times if when > fleet.now), default=None)

    # -- facts

    def _note(self, event: Event) -> None:
        match event:
            case SettingsAccepted(spec):
                self._extras.clear()
                self._reload.accept(spec)
            case SettingsRejected(summary):
                self._reload.reject(summary)
            case Forked(age, pid):
                self._note_forked(age, pid)
            case ForkFailed(age, reason):
                self._note_fork_failed(age, reason)
            case Beats():
                self._note_beats(event)
            case StopAsked(quick, lame_duck):
                self._stop.ask(quick=quick, lame_duck=lame_duck)
            case CapacityAsked() | LoadSeen():
                self._scaling.note(event)
            case ExtraAsked():
                self._extras.ask()
            case ExtrasOver():
                self._extras.end()
            case WorkersDismissed():
                self._extras.clear()
                self._scaling.dismiss()
            case Tick():
                pass
            case _:
                self._note_said(event)

    def _note_said(self, event: _Said) -> None:
        """What a process says, or its death. Unknown ones (adopted by PID 1, reaped before) are no concern of ours."""
        handle = self.roster.find(event.pid)
        if handle is None:
            return
        match event:
            case WorkerReady(_, boot_ms):
                self._note_ready(handle, boot_ms)
            case MoldReady(_, boot_ms):
                self._note_mold_ready(handle, boot_ms)
            case MoldDeclined(_, summary):
                self._molds.note_declined(handle, summary)
            case PromotionRefused(_, reason):
                self._refork.note_refused(handle, reason)
            case WorkerBootFailed(_, status, summary):
                self._note_boot_failed(handle, status, summary)
            case WorkerAsksToRetire():
                self._note_asked(handle, event)
            case WorkerUnwanted():
                self._extras.dismiss(handle)
            case ChildExited():
                self._note_exited(handle, event)

    def _note_forked(self, age: int, pid: int) -> None:
        handle = self.roster.started(age, pid)
        if handle is None:
            self._fleet.order(Send(pid, Kick.KILL))  # a mold forked it after all, and nobody waits for it
            return
        self._fleet.fork.succeeded()
        self._log(Level.INFO, f"{handle.role.value} booting {handle.tag}")
        if handle.state is not State.BOOTING:
            self._fleet.order(*deadlines.born_late(handle, self._fleet.now))
        elif handle.mold is not None:
            deadlines.begin_boot(handle, self.generations.spec(handle.generation), self._fleet.now)

    def _note_fork_failed(self, age: int, reason: str) -> None:
        handle = self.roster.get(age)
        if handle is None:
            return
        self.roster.remove(age)
        mold = self.roster.get(handle.mold)
        if handle.mold is not None and (mold is None or mold.state is not State.READY):
            return  # its mold is leaving; that was told, and has its own back-off
        fork, now = self._fleet.fork, self._fleet.now
        if fork.open(now):  # the first of a volley; the others fail for the same reason
            wait_s = fork.failed(handle.forked_at, now)
            where = {} if handle.is_mold else {"slot": handle.slot}
            what = "fork of a mold failed" if handle.is_mold else "fork failed"
            text = fields(what, **where, gen=handle.generation, next_attempt_s=wait_s, error=reason)
            self._log(Level.ERROR, text)
        if handle.generation == self.generations.on_trial and fork.failures >= TRIAL_FORK_FAILURES:
            self._reload.note_boot_failed(handle, f"it cannot be forked: {reason}")

    def _note_ready(self, handle: Handle, boot_ms: int) -> None:
        if handle.state is State.QUITTING and handle.cause == deadlines.NOT_NEEDED:
            self._let_go(handle)
        if handle.state is not State.BOOTING:
            return
        handle.become_ready(self._fleet.now)
        self._log(Level.INFO, f"worker ready {handle.tag} boot_ms={boot_ms}")
        self._reload.note_ready(handle)

    def _let_go(self, handle: Handle) -> None:
        """It was ready before it heard that it is not needed: what it has accepted meanwhile it finishes."""
        now, spec = self._fleet.now, self.generations.spec(handle.generation)
        handle.ready_at = now
        if self._fleet.stopping:
            self._fleet.order(*deadlines.stop(handle, spec, now))
        else:
            self._reconciler.retire(handle)

    def _note_mold_ready(self, handle: Handle, boot_ms: int) -> None:
        promoted = handle.promoted and handle.state is State.RETIRING
        if promoted:
            self.roster.promote(handle)
        elif not handle.is_mold or handle.state is not State.BOOTING:
            return
        if self._fleet.stopping:
            self._fleet.order(*deadlines.quit_(handle, deadlines.NOT_NEEDED, self._fleet.now))
            return
        handle.become_ready(self._fleet.now)
        self._log(Level.INFO, f"mold ready {handle.tag} boot_ms={boot_ms}")
        self._molds.note_ready(handle)
        self._refork.note_ready(handle)
        if handle.generation == self.generations.committed and not promoted:
            self._fleet.code_boots(handle.generation)

    def _note_boot_failed(self, handle: Handle, status: int, summary: str) -> None:
        if handle.state is not State.BOOTING:
            return
        # It has said what we need to know; should it hang in its exit, KILL follows.
        handle.enter(State.QUITTING, self._fleet.now + QUIT_S, "boot failed")
        self._boot_failed(handle, status, " ".join(summary.split()))

    def _note_asked(self, handle: Handle, event: WorkerAsksToRetire) -> None:
        if not handle.live or self._fleet.stop_asked:
            return
        if event.reason == "reload":
            self._fleet.boot.succeeded()  # files changed: what failed before may boot now
            self._molds.note_changed(handle.generation, again=handle.asked == "reload")
        handle.asked = event.reason
        detail = f" {event.detail}" if event.detail else ""
        level = Level.WARNING if event.reason == "max_worker_memory" else Level.INFO
        self._log(level, f"worker asks to be replaced {handle.tag} reason={event.reason}{detail}")

    def _note_exited(self, handle: Handle, event: ChildExited) -> None:
        self.roster.remove(handle.age)
        cause = how_it_ended(handle, event)
        self._tell_of_death(handle, event, cause)
        self._refork.note_refused(handle, cause)
        if handle.state is State.BOOTING:
            self._boot_failed(handle, _BOOT_ERROR, f"{cause} before it was ready")
        elif handle.state is State.READY and not self._has_done_its_share(handle, event):
            self._note_lost(handle, cause)

    def _has_done_its_share(self, handle: Handle, event: ChildExited) -> bool:
        """It left by itself after `max_requests`, however soon that was: requests pace those that follow."""
        asked = handle.asked == "max_requests" and was_expected(handle, event)
        return asked and handle.generation != self.generations.on_trial

    def _tell_of_death(self, handle: Handle, event: ChildExited, cause: str) -> None:
        role = handle.role.value
        if was_expected(handle, event):
            self._log(Level.INFO, fields(f"{role} exited {handle.tag}", cause=cause))
            return
        harmless = handle.state is State.READY and event.status == 0
        text = fields(f"{role} died {handle.tag}", cause=cause) + (f" {event.serving}" if event.serving else "")
        of_base = handle.is_mold and handle.generation == self.generations.base
        if of_base and handle.state is State.READY and not self._fleet.stopping:
            text += "; a new mold loads the code that is on disk now"
        self._log(Level.WARNING if harmless else Level.ERROR, text)

    def _note_lost(self, handle: Handle, cause: str) -> None:
        """A READY process died, or hangs: it is replaced at once, unless such keep dying as soon as they are ready."""
        number = handle.generation
        if number == self.generations.on_trial:
            self._reload.note_lost(handle, cause)
            return
        if handle.is_mold and self.generations.committed is None and number == self.generations.base:
            self._boot_failed(handle, _BOOT_ERROR, cause)
            return
        early_death, now = self._fleet.early_death, self._fleet.now
        assert handle.ready_at is not None
        if now - handle.ready_at >= EARLY_DEATH_S:
            early_death.succeeded()
            return
        wait_s = early_death.failed(handle.forked_at, now)
        if wait_s > 0:
            text = f"{handle.role.value}s die soon after they are ready"
            self._log(Level.WARNING, f"{text} deaths={early_death.failures} next_attempt_s={wait_s:.1f}")
        if number == self.generations.committed and not handle.is_mold:
            self._reload.note_early_death(cause)

    def _note_beats(self, event: Beats) -> None:
        beating = self.roster.workers(State.READY, State.RETIRING)
        self._heartbeats.note(event, beating, self._fleet.now)
        self._fleet.work = {h.age: event.work[h.pid] for h in beating if h.pid is not None and h.pid in event.work}
        for handle in beating:
            limit_s = self.generations.spec(handle.generation).timeout_s
            if 0 < limit_s < self._heartbeats.silent_s(handle):
                self._hangs(handle, deadlines.TIMEOUT)
        serving = self.roster.workers(State.READY, State.RETIRING)
        for handle in self._overdue.note(event, serving):
            self._hangs(handle, deadlines.REQUEST_TIMEOUT)
        self._reload.note_beats()
        self._refork.note_beats()

    def _hangs(self, worker: Handle, cause: str) -> None:
        on_trial = worker.state is State.READY and worker.generation == self.generations.on_trial
        self._fleet.order(*deadlines.dump(worker, cause, self._fleet.now))
        self._refork.note_refused(worker, cause)
        if on_trial:
            self._reload.note_lost(worker, cause)

    def _boot_failed(self, handle: Handle, status: int, summary: str) -> None:
        number, role = handle.generation, handle.role.value
        if number == self.generations.on_trial:
            self._reload.note_boot_failed(handle, summary)
        elif number != self.generations.base:
            self._log(Level.INFO, f"{role} did not start, and is not needed any more {handle.tag} ({summary})")
        elif self.generations.committed is None:
            if not self._fleet.stopping:
                self._exit_status = status
                self._log(Level.ERROR, f"{role} did not start {handle.tag} ({summary}); nothing serves yet: stopping")
                self._stop.ask(quick=True, lame_duck=False)
        elif not self._fleet.stopping:
            self._base_boot_failed(handle, summary)

    def _base_boot_failed(self, handle: Handle, summary: str) -> None:
        boot, role = self._fleet.boot, handle.role.value
        wait_s = boot.failed(handle.forked_at, self._fleet.now)
        text = f"{role} did not start {handle.tag} ({summary})"
        self._log(Level.ERROR, f"{text} attempts={boot.failures} next_attempt_s={wait_s:.1f}")
        taken_back = self._reload.note_rollout_failure(summary)
        if handle.is_mold and not taken_back and not self._fleet.degraded:
            self._fleet.degrade(f"the mold of generation {handle.generation} did not start ({summary})")

    # -- time

    def _expire(self) -> None:
        self._overdue.expire()
        for handle in self.roster:
            if handle.slow_at is not None and handle.slow_at <= self._fleet.now:
                spec = self.generations.spec(handle.generation)
                self._fleet.order(*deadlines.slow_boot(handle, spec, self._fleet.now))
            if handle.deadline is not None and handle.deadline <= self._fleet.now:
                self._expire_one(handle)
        self._reload.expire()
        self._stop.expire()

    def _expire_one(self, handle: Handle) -> None:
        state = handle.state
        self._fleet.order(*deadlines.expire(handle, self._heartbeats.silent_s(handle), self._fleet.now))
        if handle.pid is None:
            self._molds.note_unanswered(handle)
        if state is State.RETIRING:
            self._refork.note_refused(handle, deadlines.GRACEFUL_TIMEOUT)
        elif state is State.BOOTING and handle.pid is None:
            self._boot_failed(handle, _BOOT_ERROR, f"its mold did not fork it within {FORK_ANSWER_S:g} s")
        elif state is State.BOOTING:
            limit_s = self.generations.spec(handle.generation).boot_timeout_s
            self._boot_failed(handle, _BOOT_ERROR, f"boot timeout: not ready after {limit_s:g} s")

    # -- after every fact

    def _settle(self) -> None:
        if not self._fleet.stopping:
            self._reconciler.reconcile()
            self._reload.report()
            self._refork.report()
        for number in self.generations.unused({handle.generation for handle in self.roster}):
            self._fleet.order(ForgetGeneration(number))
        if self._fleet.stopping and all(h.state is State.KILLED and h.deadline is None for h in self.roster):
            self._finished = True
            self._fleet.order(Finish(self._exit_status))

    def _log(self, level: Level, text: str) -> None:
        self._fleet.log(level, text)
