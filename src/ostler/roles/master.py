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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic as _monotonic
from typing import Final

from ostler.config.settings import Settings
from ostler.errors import OstlerError
from ostler.logline import fields
from ostler.process.channel import BootFailed, LogsRequest, Message, Ready, RetireRequest
from ostler.process.daemon import Readiness
from ostler.process.fork import Death, reap
from ostler.process.listeners import Listener
from ostler.process.reexec import HandOver, StartContext
from ostler.process.signals import SignalEdge, name_of
from ostler.roles import reports
from ostler.roles.generation import Generation, Maker
from ostler.roles.perform import Child, Performer, Shared
from ostler.roles.presence import Presence
from ostler.roles.reload import Reloader
from ostler.roles.succession import Succession
from ostler.supervisor.events import (
    Beats,
    CapacityAsked,
    ChildExited,
    Event,
    SettingsAccepted,
    StopAsked,
    Tick,
    WorkerAsksToRetire,
    WorkerBootFailed,
    WorkerReady,
    WorkersDismissed,
)
from ostler.supervisor.supervisor import Supervisor

_BEATS_EVERY_S: Final = 1.0
_AFTER_DEFECT_S: Final = 0.1
_DEFECT_STATUS: Final = 255

_Poll = select.poll


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
        self._readiness = parts.readiness
        self._first = parts.first
        self._next_second = _monotonic()
        self._workers_seen = 0
        self._supervisor = Supervisor(parts.first.scoreboard.pages)
        self._performer = Performer(parts.shared, parts.first)
        self._performer.poller.register(parts.edge.fileno(), select.POLLIN)
        self._reloader = Reloader(parts.load_settings, parts.maker, self._performer, self._tell_of_reload)
        self._succession = Succession(parts.context, parts.environ, self._performer, parts.presence)
        if parts.hand_over is not None:
            self._succession.follow(parts.hand_over, parts.left_over)
        parts.shared.close_in_child = self._close_in_child
        parts.shared.leave_all = self._performer.leave_all
        parts.shared.serves = self._serves

    def run(self) -> int:
        names = reports.addresses(self._first.listeners.fronts(), self._first.settings)
        # Tools look for these words of Gunicorn's.
        self._log.info("Listening at: %s (%d)", names, os.getpid())
        try:
            self._shared.hooks.when_ready()
        except OstlerError:
            self._performer.close_listeners()
            raise
        self._hear_signals()
        self._tell(SettingsAccepted(self._first.spec))
        while self._performer.finished is None:
            try:
                self._turn()
            except Exception:  # noqa: BLE001  the master's border: workers serve on, whatever failed here
                reports.tell_defect(self._log, "the master failed; this is a defect of Ostler, please report it")
                if self._supervisor.stopping:
                    self._performer.finished = _DEFECT_STATUS
                _Poll().poll(_AFTER_DEFECT_S * 1000)
        self._look_for_others()  # whoever leaves last has to take the sockets away
        self._performer.close_listeners()
        self._shared.hooks.on_exit()
        status = self._performer.finished
        self._log.info("ostler stopped pid=%d status=%d", os.getpid(), status)
        self._readiness.failed(status, f"Error: {self._performer.last_error or 'stopped before it served'}\n")
        return status

    # -- the loop

    def _turn(self) -> None:
        for fd, _ in self._performer.poller.poll(self._patience_ms()):
            child = self._performer.by_fd.get(fd)
            if child is not None:
                self._hear_channel(child)
            elif not self._reloader.hears(fd):
                self._succession.hears(fd)
        self._hear_signals()
        for death in reap():
            self._hear_death(death)
        now = _monotonic()
        self._reloader.expire(now)
        if now >= self._next_second:
            self._next_second = now + _BEATS_EVERY_S
            self._each_second()
        deadline = self._supervisor.next_deadline()
        if deadline is not None and now >= deadline:
            self._tell(Tick())

    def _each_second(self) -> None:
        children = self._performer.children.values()
        for child in children:
            child.channel.flush()
        self._tell(Beats({child.pid: child.facts.page.last_beat for child in children}))
        self._performer.tick_logs()
        self._performer.tick_certificates()
        self._succession.look()
        self._shared.facts.old_master_pid = self._succession.predecessor or 0
        if len(children) != self._workers_seen:
            self._workers_seen = len(children)
            self._performer.gauge("gunicorn.workers", self._workers_seen)
        if self._performer.newest().settings.enable_backlog_metric:
            queued = [listener.queued() for listener in self._performer.listeners()]
            if any(each is not None for each in queued):
                self._performer.gauge("gunicorn.backlog", sum(each or 0 for each in queued), "histogram")

    def _patience_ms(self) -> int:
        times = [self._next_second, self._supervisor.next_deadline(), self._reloader.deadline]
        nearest = min(when for when in times if when is not None)
        return max(0, math.ceil((nearest - _monotonic()) * 1000))

    def _tell(self, event: Event) -> None:
        """Give the supervisor a fact, carry out its orders, and give it what came of them, before anything else."""
        events: deque[Event] = deque([event])
        while events:
            for action in self._supervisor.handle(events.popleft(), _monotonic()):
                answer = self._performer.perform(action)
                if answer is not None:
                    events.append(answer)

    def _tell_of_reload(self, event: Event) -> None:
        """What workers said while settings were loaded comes first: a boot that is not wanted any more may serve."""
        for child in list(self._performer.children.values()):
            self._hear_channel(child)
        self._tell(event)

    def _serves(self) -> None:
        """A generation's first worker is ready."""
        self._presence.change(self._performer.newest().settings)
        self._readiness.ready()
        self._succession.serves()
        self._presence.serves()

    @property
    def _log(self) -> logging.Logger:
        return self._performer.log

    # -- what workers say

    def _hear_channel(self, child: Child) -> None:
        messages = child.channel.receive()
        if messages is None:
            self._performer.silence(child)
            return
        for message in messages:
            if isinstance(message, LogsRequest):
                self._performer.reopen_logs()
                continue
            event = _fact(child.pid, message)
            if event is not None:
                self._tell(event)

    def _hear_death(self, death: Death) -> None:
        if self._reloader.buries(death) or self._succession.buries(death):
            return
        child = self._performer.children.get(death.pid)
        if child is None:
            self._log.debug("reaped a process that is none of ours pid=%d", death.pid)
            return
        self._hear_channel(child)
        serving = " ".join(reports.serving(child))
        self._performer.bury(child)  # first: its page may be given to another at once
        self._tell(ChildExited(death.pid, death.status, death.signal, serving))

    # -- what the operator says

    def _hear_signals(self) -> None:
        for number in self._edge.take():
            match number:
                case signal.SIGCHLD:
                    pass  # the loop reaps each time it wakes
                case signal.SIGTERM:
                    self._stop(number, quick=False)
                case signal.SIGINT | signal.SIGQUIT:
                    self._stop(number, quick=True)
                case signal.SIGHUP:
                    if not self._supervisor.stopping:
                        self._reloader.begin()
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
        self._succession.look()

    def _stop(self, number: int, quick: bool) -> None:
        self._log.info("%s", fields("stopping", signal=name_of(number), how="quick" if quick else "graceful"))
        self._reloader.abandon()
        self._look_for_others()
        self._tell(StopAsked(quick))

    def _succeed(self) -> None:
        if self._supervisor.stopping:  # of two signals that wait, the kernel may deliver TERM before USR2
            self._log.warning(fields("USR2 ignored", reason="the server stops; wait for the new master before TERM"))
            return
        self._succession.begin(self._shared.hooks.pre_exec)
        self._shared.facts.new_master_pid = self._succession.successor or 0

    def _dismiss(self) -> None:
        if self._performer.newest().settings.daemon:
            self._tell(WorkersDismissed())
        else:
            self._log.debug("WINCH ignored, this is no daemon: a terminal that changes its size sends it too")

    # -- children

    def _close_in_child(self) -> None:
        self._edge.close()
        self._reloader.close_in_child()
        self._succession.close_in_child()
        self._presence.close_in_child()
        self._readiness.close_in_child()


def _fact(pid: int, message: Message) -> Event | None:
    match message:
        case Ready(boot_ms):
            return WorkerReady(pid, boot_ms)
        case BootFailed(status, summary):
            return WorkerBootFailed(pid, status, summary)
        case RetireRequest(reason):
            return WorkerAsksToRetire(pid, reason)
        case _:
            return None  # orders travel the other way
