"""The supervisor's orders, carried out: forks, signals, messages, log lines, hooks, and the end.

`Performer` holds what belongs to the orders' objects: per generation its settings, listeners, logs and surroundings,
per child its channel and its page. It answers a Fork with the fact that came of it; all other orders have no answer.

Rules for editing: no decision is taken here; nothing blocks; an order about a process that is gone does nothing. What
the child closes after the fork is what keeps "end of file on the channel" meaning "the master is dead".
"""

import logging
import os
import select
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic as _monotonic
from typing import Final, NoReturn

from ostler.drivers.transfer import TransferSockets
from ostler.errors import ConfigError, OstlerError, reason_of
from ostler.logline import escape, fields
from ostler.observe.hooks import HookArguments, MasterFacts, MasterHooks, WorkerFacts
from ostler.observe.scoreboard import WorkerState
from ostler.process import certificate_files
from ostler.process.certificates import Certificates
from ostler.process.channel import CertificateFiles, Channel, LogFiles, Retire, Stop
from ostler.process.fork import fork, send_signal
from ostler.process.listeners import Listener
from ostler.process.signals import CANCEL_SIGNAL, DUMP_SIGNAL
from ostler.roles import reports
from ostler.roles.assembly import WorkerStart
from ostler.roles.generation import Generation
from ostler.roles.journal import Journal
from ostler.roles.worker import run_worker
from ostler.supervisor.actions import (
    Action,
    CloseListeners,
    Finish,
    ForgetGeneration,
    Fork,
    GenerationServes,
    Kick,
    Level,
    Log,
    OrderRetire,
    OrderStop,
    ReportStacks,
    Send,
    WorkersChanged,
)
from ostler.supervisor.events import Forked, ForkFailed

_SIGNALS: Final = {
    Kick.QUIT: signal.SIGQUIT,
    Kick.CANCEL: CANCEL_SIGNAL,
    Kick.DUMP: DUMP_SIGNAL,
    Kick.ABORT: signal.SIGABRT,
    Kick.KILL: signal.SIGKILL,
}
_LEVELS: Final = {Level.INFO: logging.INFO, Level.WARNING: logging.WARNING, Level.ERROR: logging.ERROR}

_Poll = select.poll


@dataclass(slots=True)
class Child:
    """One worker process, from the fork until it is reaped."""

    pid: int
    channel: Channel
    facts: WorkerFacts
    generation: Generation
    listeners: tuple[Listener, ...]
    slot: int
    silenced: bool = False  # its end of the channel is closed: nothing more will be read

    @property
    def ours(self) -> tuple[int, ...]:
        """Positions of the listeners that no other server has now; the worker knows only how it was at its fork."""
        return tuple(index for index, listener in enumerate(self.listeners) if not listener.inherited)


@dataclass(slots=True)
class Shared:
    """What every process of the server shares, made once by the master before the first fork."""

    transfer: TransferSockets
    hook_arguments: HookArguments
    facts: MasterFacts
    hooks: MasterHooks
    close_in_child: Callable[[], None] = field(default=lambda: None)  # the master's own descriptors
    leave_all: Callable[[], None] = field(default=lambda: None)  # the same, channels and listeners too
    serves: Callable[[], None] = field(default=lambda: None)  # called when the first worker of a generation is ready


class Performer:
    """Carries out orders in the master's one thread."""

    def __init__(self, shared: Shared, first: Generation) -> None:
        self.shared = shared
        self.poller = _Poll()
        self.children: dict[int, Child] = {}
        self.by_fd: dict[int, Child] = {}
        self.finished: int | None = None
        self.last_error = ""  # of the supervisor
        self._generations: dict[int, Generation] = {}
        self._serving = first
        self.beside_master = False
        """Another master has listeners of ours, by USR2."""
        self._thread_warning = reports.ThreadWarning()
        self.adopt(first)
        self._log_as(first)

    # -- generations

    def adopt(self, generation: Generation) -> None:
        """From now on this is what hooks see and the master listens on; it logs there when it is seen to serve."""
        self._generations[generation.number] = generation
        self._present(generation)

    def newest(self) -> Generation:
        return self._generations[max(self._generations)]

    @property
    def log(self) -> logging.Logger:
        return self._serving.logs.error

    def listeners(self) -> list[Listener]:
        """Those of every living generation and slot, once each."""
        found: dict[int, Listener] = {}
        for generation in self._generations.values():
            found |= {id(listener): listener for listener in generation.listeners.all()}
        return list(found.values())

    def journals(self) -> list[Journal]:
        return list({id(each.journal): each.journal for each in self._generations.values()}.values())

    def disown_listeners(self) -> None:
        """Another master has them from now on: nobody shuts or unlinks them."""
        self.beside_master = True
        for listener in self.listeners():
            listener.disown()

    def own_listeners(self) -> None:
        """The other master is gone."""
        self.beside_master = False
        for listener in self.listeners():
            listener.own()

    def _present(self, generation: Generation) -> None:
        facts = self.shared.facts
        facts.settings = generation.settings
        facts.listeners = generation.listeners.fronts()

    def _log_as(self, generation: Generation) -> None:
        self._serving = generation
        self.shared.facts.log = generation.journal.log
        generation.logs.install()

    def _forget(self, number: int) -> None:
        if len(self._generations) == 1:
            return  # the first one did not start; its logs and listeners are needed to the end
        gone = self._generations.pop(number)
        kept = self.listeners()
        for listener in gone.listeners.all():
            if listener not in kept:
                listener.shutdown()
                listener.unlink()
        self._present(self.newest())
        self._log_as(self._serving if self._serving is not gone else self.newest())
        if number > self.newest().number:
            self.newest().surroundings.put_back()
        if gone.journal not in self.journals():
            gone.journal.close()

    # -- logs

    def reopen_logs(self) -> None:
        """USR1: every log is opened by its name again, here, and the workers are given what was opened."""
        for journal in self.journals():
            self._pass_on(journal, *journal.logs.reopen(), others=True)
        self._serving.logs.install()

    def tick_logs(self) -> None:
        """Once a second: what waited is written, what is due is rotated."""
        for journal in self.journals():
            journal.flush()
            rotated = journal.logs.tick()
            if rotated is not None:
                self._pass_on(journal, *rotated, others=False)

    def _pass_on(self, journal: Journal, names: tuple[str, ...], fds: tuple[int, ...], *, others: bool) -> None:
        for child in self.children.values():
            if child.generation.journal is journal:
                child.channel.send(LogFiles(names, others=others), fds)

    # -- certificates

    def tick_certificates(self) -> None:
        """Once a second: changed files are used, here for later forks, and in the workers."""
        for generation in self._generations.values():
            certificates = generation.certificates
            if certificates is None:
                continue
            try:
                changed = certificates.look()
            except ConfigError as error:
                text = "changed certificates are not used, the former ones stay"
                self.log.warning("%s", fields(text, gen=generation.number, error=error))
                continue
            if changed:
                self.log.info("%s", fields("certificates changed", gen=generation.number, files=",".join(changed)))
                self._send_certificates(generation, certificates)
                reports.tell_doubts(self.log, certificates)

    def _send_certificates(self, generation: Generation, certificates: Certificates) -> None:
        try:
            fd = certificate_files.pack(certificates.contents)
        except OSError as error:
            text = "workers keep the former certificates; the next ones that start have the new ones"
            self.log.warning("%s", fields(text, gen=generation.number, error=reason_of(error)))
            return
        try:
            for child in self.children.values():
                if child.generation is generation:
                    self._send_certificate_file(child, fd)
        finally:
            os.close(fd)

    def _send_certificate_file(self, child: Child, fd: int) -> None:
        try:
            child.channel.send(CertificateFiles(), (fd,))
        except OSError as error:
            text = "a worker keeps the former certificates; it has the new ones when it is replaced"
            self.log.warning("%s", fields(text, pid=child.pid, error=reason_of(error)))

    def gauge(self, name: str, value: int, kind: str = "gauge") -> None:
        """A metric of the master's."""
        statsd = self.newest().journal.statsd
        if statsd is not None:
            statsd.emit(name, value, kind)

    # -- orders

    def perform(self, action: Action) -> Forked | ForkFailed | None:
        """Carry out one order."""
        match action:
            case Fork():
                return self._start(action)
            case OrderRetire() | OrderStop() | Send() | ReportStacks():
                child = self.children.get(action.pid)
                if child is not None:
                    self._to_child(child, action)
            case Log(level, text):
                self._log(level, text)
            case WorkersChanged(new, old):
                self.shared.facts.num_workers = new
                self.shared.hooks.nworkers_changed(new, old)
            case GenerationServes(number):
                self._log_as(self._generations[number])
                self.shared.serves()
            case ForgetGeneration(number):
                self._forget(number)
            case CloseListeners():
                self.close_listeners()
            case Finish(status):
                self.finished = status
        return None

    def close_listeners(self) -> None:
        for listener in self.listeners():
            listener.shutdown()
            listener.unlink()

    def _to_child(self, child: Child, order: OrderRetire | OrderStop | Send | ReportStacks) -> None:
        match order:
            case OrderRetire():
                self._order_retire(child, order)
            case OrderStop():
                child.channel.send(Stop(self.beside_master, child.ours))
            case Send(pid, kick):
                send_signal(pid, _SIGNALS[kick])
            case ReportStacks(_, sentence):
                self.log.error("%s", reports.of_stacks(child, sentence))

    def _order_retire(self, child: Child, order: OrderRetire) -> None:
        if order.nobody_stays:
            child.channel.send(Stop(True, child.ours))
            return
        # Listeners that nobody stays on: of a slot that is given up, of an address that the settings do not have any
        # more. The last worker on them has to empty them, for nobody else will.
        left: tuple[Listener, ...] = ()
        if order.last_of_slot and not self.beside_master:
            left = child.generation.listeners.let_go(child.slot)
        if order.last_of_generation and not self.beside_master:
            kept = self.newest().listeners.all()
            left += tuple(listener for listener in child.listeners if listener not in kept)
        drain = tuple(index for index, each in enumerate(child.listeners) if each in left)
        child.channel.send(Retire(drain, child.ours))

    def _log(self, level: Level, text: str) -> None:
        if level is Level.ERROR:
            self.last_error = text
        try:
            self.log.log(_LEVELS[level], "%s", escape(text))
        except Exception:  # noqa: BLE001  a filter or handler of the user's; the orders that follow must be carried out
            reports.tell_defect(self.log, "the log failed, and with it this line: " + escape(text))

    # -- processes

    def _start(self, order: Fork) -> Forked | ForkFailed:
        generation = self._generations[order.generation]
        page = generation.scoreboard.page(order.page)
        page.reset(0, _monotonic())
        try:
            listeners = generation.listeners.of(order.slot)
        except OstlerError as error:
            page.state = WorkerState.FREE
            return ForkFailed(order.age, str(error))
        facts = WorkerFacts(
            order.age, os.getpid(), generation.settings, listeners, page, generation.journal.log
        )
        self._thread_warning.look(self.log)
        self.shared.hooks.pre_fork(facts)
        try:
            ours, theirs = Channel.pair()
        except OSError as error:
            page.state = WorkerState.FREE
            return ForkFailed(order.age, reason_of(error))
        try:
            pid = fork(lambda: self._be_worker(order, listeners, theirs, ours))
        except OSError as error:
            ours.close()
            page.state = WorkerState.FREE
            return ForkFailed(order.age, reason_of(error))
        finally:
            theirs.close()
        facts.pid = pid
        child = Child(pid, ours, facts, generation, listeners, order.slot)
        self.children[pid] = self.by_fd[ours.fileno()] = child
        self.shared.facts.workers[pid] = facts
        self.shared.facts.worker_age = order.age
        self.poller.register(ours.fileno(), select.POLLIN)
        return Forked(order.age, pid)

    def _be_worker(
        self, order: Fork, listeners: tuple[Listener, ...], channel: Channel, masters_end: Channel
    ) -> NoReturn:
        """In the child: let go of what is the master's, put the generation's surroundings back, and serve."""
        generation = self._generations[order.generation]
        masters_end.close()
        self.leave_to_master()
        for listener in self.listeners():
            if listener not in listeners:
                listener.close()
        generation.journal.enter_worker()
        generation.surroundings.put_back()
        run_worker(
            WorkerStart(
                age=order.age,
                settings=generation.settings,
                listeners=listeners,
                scoreboard=generation.scoreboard,
                page=order.page,
                channel=channel,
                transfer=self.shared.transfer,
                journal=generation.journal,
                certificates=generation.certificates,
                hook_arguments=self.shared.hook_arguments,
            )
        )

    def leave_all(self) -> None:
        """In a child that will not serve: the listeners too."""
        self.leave_to_master()
        for listener in self.listeners():
            listener.close()

    def leave_to_master(self) -> None:
        """In a child: close the master's ends of all channels, and its own descriptors."""
        for child in self.children.values():
            child.channel.close()
        self.shared.close_in_child()

    def silence(self, child: Child) -> None:
        """Its end of the channel is closed; its death is on the way, or it closed what is not its own."""
        if not child.silenced:
            child.silenced = True
            self.poller.unregister(child.channel.fileno())

    def bury(self, child: Child) -> None:
        """It was reaped: give back its page and its descriptors, and call child_exit."""
        del self.children[child.pid]
        del self.by_fd[child.channel.fileno()]
        self.silence(child)
        reports.tell_unexpected_text(self.log, child)
        child.channel.close()
        child.facts.alive = False
        self.shared.hooks.child_exit(child.facts)
        self.shared.facts.workers.pop(child.pid, None)
        child.facts.page.state = WorkerState.FREE
