"""The master, top to bottom: it binds, starts the supervisor, and turns what the system says into facts for it.

One thread, one loop: poll on the signals' descriptor, the workers' channels and the configuration check, until the
supervisor's next deadline. Facts go to `Supervisor.handle`; its orders go to `Performer.perform`; the fact that a fork
was or was not goes back at once. The master never imports the application.

Rules for editing: no handler waits (binding at the start is the exception, and hears signals meanwhile); a channel is
read before its worker's death is told, because the handshake tells more than an exit status.
"""

import logging
import math
import os
import select
import signal
from collections import deque
from collections.abc import Callable
from time import monotonic as _monotonic
from typing import Final

from ostler import __version__
from ostler.config.settings import Settings
from ostler.drivers.transfer import TransferSockets
from ostler.logline import escape, fields
from ostler.observe.hooks import HookArguments, MasterFacts, MasterHooks
from ostler.observe.logs import Logs
from ostler.process.channel import BootFailed, Message, Ready, RetireRequest
from ostler.process.fork import Death, reap
from ostler.process.listeners import AddressInUse, Listener, bind_all
from ostler.process.signals import MASTER_SIGNALS, SignalEdge, name_of, unblock_all
from ostler.roles.generation import Generation, first_generation, open_logs
from ostler.roles.perform import Child, Performer, Shared
from ostler.roles.reload import Reloader
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
)
from ostler.supervisor.supervisor import Supervisor

_BIND_TRIES: Final = 5
_BIND_PAUSE_S: Final = 1.0
_BEATS_EVERY_S: Final = 1.0
_AFTER_DEFECT_S: Final = 0.1
_DEFECT_STATUS: Final = 255

_Poll = select.poll


def run_master(load_settings: Callable[[], Settings], settings: Settings, hook_arguments: HookArguments) -> int:
    """Serve until told to stop; returns the exit status.

    load_settings reads the configuration again, with the same arguments. Raises OstlerError when nothing was started:
    a log that cannot be opened, an on_starting hook that raises, an address that cannot be bound.
    """
    logs = open_logs(settings)
    facts = MasterFacts(os.getpid(), settings, settings.workers, ())
    hooks = MasterHooks(facts, hook_arguments, logs.error)
    logs.error.info(fields("ostler starting", version=__version__, pid=os.getpid()))
    hooks.on_starting()
    edge = SignalEdge(MASTER_SIGNALS)
    unblock_all()  # whoever started us may have had signals blocked
    try:
        listeners = _bind(settings, logs, edge)
        shared = Shared(TransferSockets.create(), hook_arguments, facts, hooks)
        first = first_generation(settings, listeners, logs)
        return _Master(load_settings, shared, first, edge).run()
    finally:
        edge.close()


def _bind(settings: Settings, logs: Logs, edge: SignalEdge) -> tuple[Listener, ...]:
    """Listen, and give a former server some seconds to leave the address. A signal ends the waiting."""
    attempt = 1
    while True:
        try:
            return bind_all(settings.bind, settings.backlog)
        except AddressInUse as error:
            logs.error.error("%s attempt=%d of=%d", escape(str(error)), attempt, _BIND_TRIES)
            poller = _Poll()
            poller.register(edge.fileno(), select.POLLIN)
            if attempt == _BIND_TRIES or poller.poll(_BIND_PAUSE_S * 1000):
                raise
            attempt += 1


class _Master:
    def __init__(
        self, load_settings: Callable[[], Settings], shared: Shared, first: Generation, edge: SignalEdge
    ) -> None:
        self._shared = shared
        self._edge = edge
        self._first = first
        self._next_beats = _monotonic()
        self._supervisor = Supervisor(first.scoreboard.pages)
        self._performer = Performer(shared, first)
        self._performer.poller.register(edge.fileno(), select.POLLIN)
        self._reloader = Reloader(load_settings, self._performer, self._tell_of_reload)
        shared.close_in_child = self._close_in_child

    def run(self) -> int:
        names = ",".join(listener.name for listener in self._first.listeners)
        # Tools look for these words of Gunicorn's.
        self._first.logs.error.info("Listening at: %s (%d)", names, os.getpid())
        self._shared.hooks.when_ready()
        self._hear_signals()
        self._tell(SettingsAccepted(self._first.spec))
        while self._performer.finished is None:
            try:
                self._turn()
            except Exception:  # noqa: BLE001  the master's border: workers serve on, whatever failed here
                self._log.exception("the master failed; this is a defect of Ostler, please report it")
                if self._supervisor.stopping:
                    self._performer.finished = _DEFECT_STATUS
                _Poll().poll(_AFTER_DEFECT_S * 1000)
        self._performer.close_listeners()
        self._shared.hooks.on_exit()
        self._log.info("ostler stopped pid=%d status=%d", os.getpid(), self._performer.finished)
        return self._performer.finished

    # -- the loop

    def _turn(self) -> None:
        for fd, _ in self._performer.poller.poll(self._patience_ms()):
            child = self._performer.by_fd.get(fd)
            if child is not None:
                self._hear_channel(child)
            else:
                self._reloader.hears(fd)
        self._hear_signals()
        for death in reap():
            self._hear_death(death)
        now = _monotonic()
        self._reloader.expire(now)
        if now >= self._next_beats:
            self._next_beats = now + _BEATS_EVERY_S
            children = self._performer.children.values()
            self._tell(Beats({child.pid: child.facts.page.last_beat for child in children}))
        deadline = self._supervisor.next_deadline()
        if deadline is not None and now >= deadline:
            self._tell(Tick())

    def _patience_ms(self) -> int:
        times = [self._next_beats, self._supervisor.next_deadline(), self._reloader.deadline]
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

    @property
    def _log(self) -> logging.Logger:
        return self._performer.newest().logs.error

    # -- what workers say

    def _hear_channel(self, child: Child) -> None:
        messages = child.channel.receive()
        if messages is None:
            self._performer.silence(child)
            return
        for message in messages:
            event = _fact(child.pid, message)
            if event is not None:
                self._tell(event)

    def _hear_death(self, death: Death) -> None:
        if self._reloader.buries(death):
            return
        child = self._performer.children.get(death.pid)
        if child is None:
            self._log.debug("reaped a process that is none of ours pid=%d", death.pid)
            return
        self._hear_channel(child)
        serving = " ".join(self._performer.serving(child))
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
                    self._reopen_logs()
                case signal.SIGUSR2:
                    self._log.warning("USR2 (re-exec) is not built yet; ignored")
                case _:
                    self._log.debug("signal ignored signal=%s", name_of(number))

    def _stop(self, number: int, quick: bool) -> None:
        self._log.info("%s", fields("stopping", signal=name_of(number), how="quick" if quick else "graceful"))
        self._reloader.abandon()
        self._tell(StopAsked(quick))

    def _reopen_logs(self) -> None:
        for logs in self._performer.logs():
            logs.reopen()
        self._performer.newest().logs.install()
        self._performer.signal_all(signal.SIGUSR1)

    # -- children

    def _close_in_child(self) -> None:
        self._edge.close()
        self._reloader.close_in_child()


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
