"""From settings to a running master: daemon, logs, pid file, hooks and sockets, in the order of Gunicorn's.

    daemon -> logs -> pid file and title -> on_starting -> certificates -> sockets (a former master's, systemd's, new
    ones) -> the loop

Rules for editing: whatever fails here is an OstlerError that says the cure; a daemon's command hears of it too.
"""

import os
import select
import signal
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic as _monotonic
from typing import Final

from ostler import __version__, real
from ostler.app.loader import loaded_before
from ostler.app.source import Named, Source
from ostler.config.settings import Settings
from ostler.drivers.transfer import TransferSockets
from ostler.errors import ConfigError, OstlerError, reason_of
from ostler.logline import escape, fields
from ostler.observe.hooks import MasterFacts, MasterHooks
from ostler.observe.logs import Logs
from ostler.process import inherited, systemd
from ostler.process.daemon import Readiness, daemonize
from ostler.process.listeners import AddressInUse, Listener, backlog_limit
from ostler.process.passing import activate, take_over
from ostler.process.pid_one import heed_stops, is_pid_one
from ostler.process.reexec import HandOver, StartContext, handed_over
from ostler.process.signals import MASTER_SIGNALS, SignalEdge, unblock_all
from ostler.process.slots import SlotListeners
from ostler.roles import reports
from ostler.roles.container import tell_of_container
from ostler.roles.generation import Maker, bind_options
from ostler.roles.master import Master, Parts
from ostler.roles.presence import Presence
from ostler.roles.shared import Shared
from ostler.roles.surroundings import EnvironmentOverlay
from ostler.workers.foreign import WorkerArguments

_BIND_TRIES: Final = 5
_BIND_PAUSE_S: Final = 1.0
_SHOWN_MODULES: Final = 10
_LOGS_S: Final = 0.5
_STOPS: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})

_Poll = real.poll


@dataclass(frozen=True, slots=True)
class Launch:
    """What the command line hands over. load_settings reads the configuration again, with the same arguments.

    environ: the environment as it was when the process started. pin_source: where the application of the settings that
    were loaded last comes from.
    """

    load_settings: Callable[[], Settings]
    settings: Settings
    hook_arguments: WorkerArguments
    context: StartContext
    environ: Mapping[str, str]
    pin_source: Callable[[], Source] = Named


def run_master(launch: Launch) -> int:
    """Serve until told to stop; returns the exit status.

    Raises OstlerError when nothing was started: a log that cannot be opened, a pid file of a running server, an
    on_starting hook that raises, an address that cannot be bound.
    """
    settings = launch.settings
    hand_over = handed_over(os.environ, os.getppid())
    activated = systemd.listen_fds(os.environ, os.getpid())  # before the pid changes
    readiness = Readiness.of_nobody()
    heed_stops()  # of embedders, too
    if settings.daemon and hand_over is None and not is_pid_one():
        readiness = _daemonized(settings)
    try:
        return _Launcher(launch, hand_over, activated, readiness).run()
    except OstlerError as error:
        if hand_over is None:
            systemd.notify(f"STATUS={escape(str(error))}", launch.environ)
        if readiness.failed(error.exit_status, f"Error: {error}\n"):
            return error.exit_status  # the command that was typed says it
        raise
    except BaseException:
        readiness.failed(1, traceback.format_exc())  # a daemon's own stderr leads nowhere
        raise


def _daemonized(settings: Settings) -> Readiness:
    try:
        return daemonize(settings.enable_stdio_inheritance)
    except OSError as error:
        raise ConfigError(f"daemon: cannot fork: {reason_of(error)}") from error


class _Launcher:
    def __init__(
        self, launch: Launch, hand_over: HandOver | None, activated: Sequence[systemd.Activated], readiness: Readiness
    ) -> None:
        self.launch = launch
        self.settings = launch.settings
        self.hand_over = hand_over
        self.activated = activated
        self.readiness = readiness
        self.overlay = EnvironmentOverlay(os.environ)
        self.shared: Shared | None = None

    def run(self) -> int:
        launch, settings = self.launch, self.settings
        self.overlay.apply(settings.raw_env)
        maker = Maker(launch.hook_arguments, self.overlay, self._leave_to_master, launch.pin_source)
        journal = maker.journal(settings)
        logs = journal.logs
        logs.error.info(fields("ostler starting", version=__version__, pid=os.getpid()))
        self._give_notice(logs)
        facts = MasterFacts(os.getpid(), settings, settings.workers, (), journal.log)
        if self.hand_over is not None:
            facts.old_master_pid = self.hand_over.parent_pid
        predecessor = 0 if self.hand_over is None else self.hand_over.parent_pid
        presence = Presence(settings, predecessor, lambda: logs.error, launch.environ)
        presence.appear()
        try:
            hooks = MasterHooks(facts, launch.hook_arguments, logs.error)
            hooks.on_starting()
            edge = SignalEdge(MASTER_SIGNALS)
            unblock_all()  # whoever started us may have had signals blocked
            try:
                certificates = maker.certificates(settings, journal)
                reports.tell_doubts(logs.error, certificates)
                listeners = self._listen(logs, edge)
                left_over = self._close_unused(listeners)
                self.shared = Shared(TransferSockets.create(), launch.hook_arguments, facts, hooks)
                parts = Parts(
                    load_settings=launch.load_settings,
                    shared=self.shared,
                    first=maker.first(settings, listeners, journal, certificates),
                    maker=maker,
                    edge=edge,
                    presence=presence,
                    readiness=self.readiness,
                    context=launch.context,
                    environ=launch.environ,
                    hand_over=self.hand_over,
                    left_over=left_over,
                )
                return Master(parts).run()
            finally:
                edge.close()
        finally:
            journal.close(_LOGS_S)
            presence.vanish()  # last of all: who lives is named

    def _leave_to_master(self) -> None:
        """In a child that needs nothing of the master's."""
        self.readiness.close_in_child()
        if self.shared is not None:
            self.shared.leave_all()

    def _give_notice(self, logs: Logs) -> None:
        reports.tell_notices(logs.error, self.settings)
        if self.settings.daemon and "NOTIFY_SOCKET" in os.environ:
            logs.error.warning("daemon: leave it off under systemd with Type=notify, which would wait for the command")
        tell_of_container(logs.error, self.settings, os.environ)
        stale = loaded_before(self.settings)
        if stale:
            text = "the configuration imports modules of the application; HUP does not load these anew, USR2 does"
            logs.error.warning(fields(text, modules=",".join(stale[:_SHOWN_MODULES])))
        meant = systemd.meant_for_another(os.environ, os.getpid())
        if meant is not None:
            text = "systemd passed sockets to another process, and they are not used; let it start ostler directly"
            logs.error.warning(fields(text, listen_pid=meant))
        watched = None if self.hand_over is not None else systemd.watches_another(os.environ, os.getpid())
        if watched is not None:
            text = "the watchdog of systemd is meant for another process, and hears nothing of this one"
            logs.error.warning(fields(text, watchdog_pid=watched, cure="let systemd start ostler directly"))
        limit = backlog_limit()
        if limit is not None and self.settings.backlog > limit and self.settings.origin("backlog") != "default":
            text = "backlog is above the kernel's limit, which counts"
            wanted = self.settings.backlog
            cure = f"sysctl -w net.core.somaxconn={wanted}, or lower backlog"
            logs.error.warning(fields(text, backlog=wanted, somaxconn=limit, cure=cure))

    def _listen(self, logs: Logs, edge: SignalEdge) -> SlotListeners:
        """On what we were given and what is to be opened; what nobody asks for is closed."""
        settings = self.settings
        origins = inherited.handed_on(os.environ)
        given, unused = activate(self.activated, settings.bind, settings.backlog)
        if unused:
            text = "sockets of systemd that no bind entry asks for are closed"
            logs.error.warning(fields(text, names=",".join(unused)))
        if given:
            names = ",".join(f"{each.origin.name}={each.name}" for each in given if each.origin is not None)
            logs.error.info(fields("sockets of systemd are used", sockets=names))
        if self.hand_over is not None:
            given += take_over(self.hand_over.fds, origins, settings.backlog)
        listeners = self._open(given, logs, edge)
        for listener in listeners.fronts():
            if listener.crowded:
                text = "another server listens on the same port, and gets a part of the clients"
                logs.error.warning(fields(text, address=listener.name))
        return listeners

    def _close_unused(self, listeners: SlotListeners) -> tuple[Listener, ...]:
        """Of what we were given. Those of the old master are returned: it listens on them until it is gone."""
        left_over = tuple(each for each in listeners.unused if each.origin is None)
        for listener in listeners.unused:
            if listener not in left_over:
                listener.close()
        return left_over

    def _open(self, given: list[Listener], logs: Logs, edge: SignalEdge) -> SlotListeners:
        """Give a former server some seconds to leave the address."""
        settings = self.settings
        attempt = 1
        while True:
            try:
                return SlotListeners.open(
                    given, settings.bind, settings.backlog, bind_options(settings), settings.workers
                )
            except AddressInUse as error:
                logs.error.error("%s attempt=%d of=%d", escape(str(error)), attempt, _BIND_TRIES)
                if attempt == _BIND_TRIES or _told_to_stop(edge, _BIND_PAUSE_S):
                    raise
                attempt += 1


def _told_to_stop(edge: SignalEdge, within_s: float) -> bool:
    """Wait; True at once when a signal asks the server to stop. Others (a hook's child has ended) mean nothing yet."""
    poller = _Poll()
    poller.register(edge.fileno(), select.POLLIN)
    until = _monotonic() + within_s
    while (left := until - _monotonic()) > 0:
        if poller.poll(left * 1000) and not _STOPS.isdisjoint(edge.take()):
            return True
    return False
