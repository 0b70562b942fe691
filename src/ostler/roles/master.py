"""The master's loop: it turns what the system says into facts for the supervisor, and has its orders carried out.

One thread, one loop: poll on the signals' descriptor, the workers' channels, the configuration check and a new master's
line, until the supervisor's next deadline. Facts go to `Supervisor.handle`; its orders go to `Performer.perform`; the
fact that a fork was or was not goes back at once. The master never imports the application. How it is started is in
launch.py.

Rules for editing: no handler waits; a channel is read before its worker's death is told, because the handshake tells
more than an exit status.
"""

import logging
import math
import os
import select
import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic as _monotonic
from typing import Final

from ostler import real
from ostler.config.settings import Settings
from ostler.control.asker import Asker
from ostler.errors import OstlerError
from ostler.logline import fields
from ostler.process.daemon import Readiness
from ostler.process.fork import Death, reap
from ostler.process.listeners import Listener
from ostler.process.reexec import HandOver, StartContext
from ostler.process.signals import SignalEdge, name_of
from ostler.roles import reports
from ostler.roles.arbitration import Arbitration
from ostler.roles.children import Child
from ostler.roles.gauges import Gauges
from ostler.roles.generation import Generation, Maker
from ostler.roles.inquest import Inquest, Verdict
from ostler.roles.load import Load
from ostler.roles.perform import LEVELS, Performer
from ostler.roles.presence import Presence
from ostler.roles.reception import Orders, Reception
from ostler.roles.reload import Reloader
from ostler.roles.shared import Shared
from ostler.roles.succession import Succession
from ostler.roles.upgrade import Upgrade
from ostler.supervisor.actions import Action, Fork, Level, ReloadEnded, StartMold
from ostler.supervisor.events import (
    CapacityAsked,
    ChildExited,
    Event,
    Forked,
    ForkFailed,
    SettingsAccepted,
    StopAsked,
    Tick,
    WorkerReady,
    WorkersDismissed,
)
from ostler.supervisor.supervisor import Supervisor

_BEATS_EVERY_S: Final = 1.0
_AFTER_DEFECT_S: Final = 0.1
_DEFECT_STATUS: Final = 255
_DEFECT: Final = "the master failed; this is a defect of Ostler, please report it"

_Poll = real.poll


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What launch.py has made."""

    load_settings: Callable[[], Settings]
    shared: Shared
    first: Generation
    maker: Maker
    edge: SignalEdge
    presence: Presence
    readiness: Readiness
    context: StartContext
    environ: Mapping[str, str]
    hand_over: HandOver | None
    left_over: tuple[Listener, ...]
    """The old master's listeners that the settings do not have any more."""


class Master:
    def __init__(self, parts: Parts) -> None:
        self._shared = parts.shared
        self._edge = parts.edge
        self._presence = parts.presence
        self._service = parts.presence.service
        self._readiness = parts.readiness
        self._first = parts.first
        self._next_second = _monotonic()
        self._events: deque[Event] = deque()
        self._telling = False
        self._stopping = False
        self._supervisor = Supervisor(parts.first.scoreboard.pages)
        self._performer = Performer(parts.shared, parts.first)
        self._gauges = Gauges(self._performer)
        self.load = Load(self._performer)
        self._inquest = Inquest()
        self._performer.poller.register(parts.edge.fileno(), select.POLLIN)
        self._ready: set[int] = set()  # workers, while an old master waits for them
        self._reloader = Reloader(parts.load_settings, parts.maker, self._performer, self._tell_of_reload, self._say)
        self._succession = Succession(parts.context, parts.environ, self._performer, parts.presence, self._say)
        self._upgrade = Upgrade(self._succession, parts.shared.hooks.pre_exec, self._stop_after_upgrade, self._say)
        self._arbitration = Arbitration(
            parts.shared.hook_arguments, parts.shared.facts, self._tell, self._answer_signal, lambda: self._log
        )
        reception = Reception(self._supervisor, self._performer, self._succession, self._reloader, self.load)
        orders = Orders(self._reload, self._begin_upgrade, self._answer_signal, self._tell)
        self._commands = reception.open(orders, parts.environ)
        if parts.hand_over is not None:
            self._succession.follow(parts.hand_over, parts.left_over)
        parts.shared.close_in_child = self._close_in_child
        parts.shared.leave_all = self._performer.forker.leave_all
        parts.shared.serves = self._serves
        parts.shared.told = self._commands.tell
        parts.shared.reload_ended = self._reload_ended
        parts.shared.lame_duck = self._service.lame_duck

    def run(self) -> int:
        names = reports.addresses(self._first.listeners.fronts(), self._first.settings)
        # Tools look for these words of Gunicorn's.
        self._log.info("Listening at: %s (%d)", names, os.getpid())
        try:
            self._shared.hooks.when_ready()
        except OstlerError:
            self._performer.generations.close_listeners()
            raise
        self._commands.appear()
        self._arbitration.begin()
        self._hear_signals()
        self._tell(SettingsAccepted(self._first.spec))
        while self._performer.finished is None:
            try:
                self._turn()
            except Exception:  # noqa: BLE001  the master's border: workers serve on, whatever failed here
                reports.tell_defect(self._log, _DEFECT)
                if self._supervisor.stopping:
                    self._performer.finished = _DEFECT_STATUS
                _Poll().poll(_AFTER_DEFECT_S * 1000)
        self._look_for_others()  # whoever leaves last has to take the sockets away
        self._performer.generations.close_listeners()
        self._commands.close()
        self._shared.hooks.on_exit()
        status = self._performer.finished or self._arbitration.exit_status
        self._log.info("ostler stopped pid=%d status=%d", os.getpid(), status)
        why = self._performer.last_error or "stopped before it served"
        self._readiness.failed(status, f"Error: {why}\n")
        self._succession.failed(why)
        self._service.ended(status, why)
        return status

    # -- the loop

    def _turn(self) -> None:
        for fd, _ in self._performer.poller.poll(self._patience_ms()):
            child = self._performer.children.by_fd.get(fd)
            if child is not None:
                self._hear_channel(child)
            elif not self._reloader.hears(fd) and not self._succession.hears(fd):
                self._commands.hears(fd)
        self._hear_signals()
        died = False
        for death in reap():
            died = True
            self._hear_death(death)
        if died and not self._stopping:
            self._arbitration.after_death()
        self._look_for_promotion()
        now = _monotonic()
        self._reloader.expire(now)
        self._upgrade.look(now)
        self._commands.look(now)
        self._service.look(now, self._supervisor.health)
        if now >= self._next_second:
            self._next_second = now + _BEATS_EVERY_S
            self._each_second()
        deadline = self._supervisor.next_deadline()
        if deadline is not None and now >= deadline:
            self._tell(Tick())

    def _each_second(self) -> None:
        self._performer.flush()
        self._tell(self._performer.beats())
        if not self._stopping:
            with self._border():
                self._arbitration.each_second()
        self._performer.supplies.tick_logs()
        self._performer.supplies.tick_certificates()
        self._commands.each_second()
        self._shared.facts.old_master_pid = self._succession.predecessor or 0
        self._shared.facts.new_master_pid = self._succession.successor or 0
        self._gauges.each_second()
        if (seen := self.load.look()) is not None:
            self._tell(seen)

    def _patience_ms(self) -> int:
        times = [self._next_second, self._supervisor.next_deadline(), self._reloader.deadline]
        times += [self._upgrade.deadline, self._service.deadline, self._commands.deadline]
        nearest = min(when for when in times if when is not None)
        return max(0, math.ceil((nearest - _monotonic()) * 1000))

    def _tell(self, event: Event) -> None:
        """Give the supervisor a fact, carry out its orders, and give it what came of them, before anything else."""
        self._events.append(event)
        if self._telling:
            return  # by a hook, while the orders before it are carried out
        self._telling = True
        try:
            while self._events:
                for action in self._supervisor.handle(self._events.popleft(), _monotonic()):
                    answer = self._perform(action)
                    if answer is not None:
                        self._events.append(answer)
        finally:
            self._telling = False
        if self._succession.predecessor is not None:
            self._count(event)

    def _perform(self, action: Action) -> Forked | ForkFailed | None:
        with self._border():
            return self._performer.perform(action)
        return ForkFailed(action.age, "a defect") if isinstance(action, Fork | StartMold) else None

    @contextmanager
    def _border(self) -> Iterator[None]:
        """Whatever fails in here, what comes behind it is done: orders, deaths and signals are not told twice."""
        try:
            yield
        except Exception:  # noqa: BLE001  logs are users' code, too
            reports.tell_defect(self._log, _DEFECT)

    def _count(self, event: Event) -> None:
        """The old master waits until all our workers are ready."""
        match event:
            case WorkerReady(pid):
                self._ready.add(pid)
            case ChildExited(pid):
                self._ready.discard(pid)
            case _:
                pass  # the goal may be another
        if self._ready and len(self._ready) >= self._shared.facts.num_workers:
            self._succession.complete()

    def _tell_of_reload(self, event: Event) -> None:
        """What workers said while settings were loaded comes first: a boot that is not wanted any more may serve."""
        for child in self._performer.children.all():
            self._hear_channel(child)
        self._commands.pass_on(event, self._tell)

    def _say(self, level: Level, text: str) -> None:
        """A line that an operator who waits for a reload or an upgrade sees as well."""
        self._performer.incidents.note(level, text)
        self._log.log(LEVELS[level], "%s", text)
        self._commands.tell(text)

    def _reload_ended(self, ended: ReloadEnded) -> None:
        if not self._stopping:
            self._service.reloaded(ended.succeeded, ended.text)
        self._commands.reload_ended(ended)

    def _serves(self) -> None:
        """A generation's first worker is ready."""
        self._presence.change(self._performer.serving.settings)
        self._readiness.ready()
        self._succession.serves()
        self._service.serves()

    @property
    def _log(self) -> logging.Logger:
        return self._performer.log

    # -- what workers say

    def _hear_channel(self, child: Child) -> None:
        for fact in self._performer.hear(child):
            if isinstance(fact, Death):
                self._hear_death(fact)
            else:
                self._tell(fact)

    def _hear_death(self, death: Death) -> None:
        if self._reloader.buries(death) or self._succession.buries(death):
            return
        children = self._performer.children
        if death.pid not in children.by_pid:
            for unborn in children.unborn():  # it may have said that it is born, and nobody has read it yet
                self._hear_channel(unborn)
        child = children.by_pid.get(death.pid)
        if child is None:
            self._log.debug("reaped a process that is none of ours pid=%d", death.pid)
            return
        with self._border():
            self._hear_channel(child)
        if children.by_pid.get(death.pid) is not child:
            return  # what it said has buried it already (without a subreaper)
        verdict = Verdict()
        with self._border():
            verdict = self._inquest.hold(child, death)
        with self._border():
            self._performer.bury(child)  # before it is told: its page may be given to another then
        self._tell(ChildExited(death.pid, death.status, death.signal, verdict.serving, verdict.how))

    # -- what the operator says

    def _hear_signals(self) -> None:
        for number in self._edge.take():
            with self._border():
                if not self._arbitration.answers(number):
                    self._answer_signal(number)

    def _answer_signal(self, number: int) -> None:
        match number:
            case signal.SIGCHLD:
                pass  # the loop reaps each time it wakes
            case signal.SIGTERM:
                self._stop(number, quick=False)
            case signal.SIGINT | signal.SIGQUIT:
                self._stop(number, quick=True)
            case signal.SIGHUP:
                self._hang_up()
            case signal.SIGTTIN:
                self._tell(CapacityAsked(+1))
            case signal.SIGTTOU:
                self._tell(CapacityAsked(-1))
            case signal.SIGUSR1:
                self._performer.reopen_logs()
            case signal.SIGUSR2:
                self._succeed()
            case signal.SIGWINCH:
                self._dismiss()
            case _:
                self._log.debug("signal ignored signal=%s", name_of(number))

    def _look_for_others(self) -> None:
        for death in reap():
            self._hear_death(death)
        self._look_for_promotion()

    def _look_for_promotion(self) -> None:
        former = self._succession.predecessor
        self._succession.look()
        if former is not None and self._succession.predecessor is None:
            text = f"upgrade complete: the master {os.getpid()} serves, the old master {former} is gone"
            self._commands.promoted(text)

    def _stop(self, number: int, quick: bool) -> None:
        self._log.info("%s", fields("stopping", signal=name_of(number), how="quick" if quick else "graceful"))
        self._upgrade.abandon(f"the old master was stopped by {name_of(number)}")
        self._begin_stop(quick)

    def _stop_after_upgrade(self) -> None:
        self._look_for_others()
        if self._succession.successor is None:  # it died when all had been decided
            self._say(Level.ERROR, "upgrade failed: the new master ended; the old master keeps serving")
            return
        self._log.info("stopping command=upgrade how=graceful")
        self._begin_stop(quick=False)

    def _begin_stop(self, quick: bool) -> None:
        self._stopping = True
        self._commands.stop("the server stops")
        self._reloader.abandon()
        self._look_for_others()
        another = self._succession.predecessor is not None or self._succession.successor is not None
        if not another:
            self._service.stops()
        self._tell(StopAsked(quick, lame_duck=not another))

    def _hang_up(self) -> None:
        if self._stopping:
            self._log.info("HUP ignored, the server stops")
        else:
            self._reload()

    def _reload(self, asked_by: str = "signal=SIGHUP") -> None:
        self._service.reloads()
        self._reloader.begin(asked_by)

    def _succeed(self) -> None:
        # Of two signals that wait, the kernel may deliver TERM before USR2.
        stopping = "the server stops; wait for the new master before TERM" if self._stopping else ""
        refusal = stopping or self._succession.begin(self._shared.hooks.pre_exec)
        if refusal:
            self._log.warning("%s", fields("USR2 ignored", reason=refusal))

    def _begin_upgrade(self, asker: Asker) -> None:
        settings = self._performer.serving.settings
        self._upgrade.begin(asker, settings.boot_timeout, settings.graceful_timeout)

    def _dismiss(self) -> None:
        if self._performer.newest().settings.daemon:
            self._tell(WorkersDismissed())
        else:
            self._log.debug("WINCH ignored, this is no daemon: a terminal that changes its size sends it too")

    # -- children

    def _close_in_child(self) -> None:
        self._edge.close()
        self._reloader.close_in_child()
        self._commands.close_in_child()
        self._succession.close_in_child()
        self._presence.close_in_child()
        self._performer.offspring.close_in_child()
        self._readiness.close_in_child()
