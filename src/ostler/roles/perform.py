"""The supervisor's orders, carried out: forks, signals, messages, log lines, hooks, and the end.

`Performer` holds what belongs to the orders' objects: per generation its settings, listeners, logs and surroundings,
per child its channel and its page. It answers a Fork with the fact that came of it; all other orders have no answer.

Rules for editing: no decision is taken here; nothing blocks; an order about a process that is gone does nothing. What
the child closes after the fork is what keeps "end of file on the channel" meaning "the master is dead".
"""

import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic as _monotonic
from typing import Final, NoReturn

from ostler.drivers.transfer import TransferSockets
from ostler.errors import reason_of
from ostler.logline import escape, fields
from ostler.observe.hooks import HookArguments, MasterFacts, MasterHooks, WorkerFacts
from ostler.observe.logs import Logs
from ostler.observe.scoreboard import WorkerState
from ostler.process.channel import Channel, Retire, Stop
from ostler.process.fork import fork, send_signal
from ostler.process.listeners import Listener
from ostler.process.signals import CANCEL_SIGNAL, DUMP_SIGNAL
from ostler.roles.generation import Generation
from ostler.roles.worker import WorkerStart, run_worker
from ostler.supervisor.actions import (
    Action,
    CloseListeners,
    Finish,
    ForgetGeneration,
    Fork,
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
_SHOWN_REQUESTS: Final = 10

_Poll = select.poll


@dataclass(slots=True)
class Child:
    """One worker process, from the fork until it is reaped."""

    pid: int
    channel: Channel
    facts: WorkerFacts
    generation: Generation
    silenced: bool = False  # its end of the channel is closed: nothing more will be read


@dataclass(slots=True)
class Shared:
    """What every process of the server shares, made once by the master before the first fork."""

    transfer: TransferSockets
    hook_arguments: HookArguments
    facts: MasterFacts
    hooks: MasterHooks
    close_in_child: Callable[[], None] = field(default=lambda: None)  # the master's own descriptors


class Performer:
    """Carries out orders in the master's one thread."""

    def __init__(self, shared: Shared, first: Generation) -> None:
        self.shared = shared
        self.poller = _Poll()
        self.children: dict[int, Child] = {}
        self.by_fd: dict[int, Child] = {}
        self.finished: int | None = None
        self._generations: dict[int, Generation] = {}
        self._warned_of_threads = False
        self.adopt(first)

    # -- generations

    def adopt(self, generation: Generation) -> None:
        """From now on this is what the master shows, listens on and logs to."""
        self._generations[generation.number] = generation
        self._present(generation)

    def newest(self) -> Generation:
        return self._generations[max(self._generations)]

    def listeners(self) -> list[Listener]:
        """Those of every living generation, once each."""
        found: dict[int, Listener] = {}
        for generation in self._generations.values():
            found |= {id(listener): listener for listener in generation.listeners}
        return list(found.values())

    def logs(self) -> list[Logs]:
        return list({id(each.logs): each.logs for each in self._generations.values()}.values())

    def _present(self, generation: Generation) -> None:
        self.shared.facts.settings = generation.settings
        self.shared.facts.listeners = generation.listeners
        generation.logs.install()

    def _forget(self, number: int) -> None:
        if len(self._generations) == 1:
            return  # the first one did not start; its logs and listeners are needed to the end
        gone = self._generations.pop(number)
        kept = self.listeners()
        for listener in gone.listeners:
            if listener not in kept:
                listener.shutdown()
                listener.unlink()
        self._present(self.newest())
        if gone.logs not in self.logs():
            gone.logs.close()

    # -- orders

    def perform(self, action: Action) -> Forked | ForkFailed | None:
        """Carry out one order."""
        match action:
            case Fork():
                return self._start(action)
            case OrderRetire(pid, last_of_generation):
                self._order_retire(pid, last_of_generation)
            case OrderStop(pid):
                self._send(pid, Stop())
            case Send(pid, kick):
                if pid in self.children:
                    send_signal(pid, _SIGNALS[kick])
            case ReportStacks(pid, sentence):
                self._report_stacks(pid, sentence)
            case Log(level, text):
                self._log(level, text)
            case WorkersChanged(new, old):
                self.shared.facts.num_workers = new
                self.shared.hooks.nworkers_changed(new, old)
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

    def _send(self, pid: int, message: Retire | Stop) -> None:
        if pid in self.children:
            self.children[pid].channel.send(message)

    def _order_retire(self, pid: int, last_of_generation: bool) -> None:
        child = self.children.get(pid)
        if child is None:
            return
        # The last worker of an address that was given up has to empty its backlog: nobody else will.
        kept = self.newest().listeners
        abandoned = last_of_generation and not any(listener in kept for listener in child.generation.listeners)
        child.channel.send(Stop() if abandoned else Retire())

    def _log(self, level: Level, text: str) -> None:
        log = self.newest().logs.error
        match level:
            case Level.INFO:
                log.info("%s", escape(text))
            case Level.WARNING:
                log.warning("%s", escape(text))
            case Level.ERROR:
                log.error("%s", escape(text))

    # -- processes

    def _start(self, order: Fork) -> Forked | ForkFailed:
        generation = self._generations[order.generation]
        page = generation.scoreboard.page(order.page)
        page.reset(0, _monotonic())
        facts = WorkerFacts(order.age, os.getpid(), generation.settings, generation.listeners, page)
        self._warn_of_threads()
        self.shared.hooks.pre_fork(facts)
        try:
            ours, theirs = Channel.pair()
        except OSError as error:
            page.state = WorkerState.FREE
            return ForkFailed(order.age, reason_of(error))
        try:
            pid = fork(lambda: self._be_worker(order, generation, theirs, ours))
        except OSError as error:
            ours.close()
            page.state = WorkerState.FREE
            return ForkFailed(order.age, reason_of(error))
        finally:
            theirs.close()
        facts.pid = pid
        child = Child(pid, ours, facts, generation)
        self.children[pid] = self.by_fd[ours.fileno()] = child
        self.shared.facts.workers[pid] = facts
        self.poller.register(ours.fileno(), select.POLLIN)
        return Forked(order.age, pid)

    def _be_worker(self, order: Fork, generation: Generation, channel: Channel, masters_end: Channel) -> NoReturn:
        """In the child: let go of what is the master's, put the generation's surroundings back, and serve."""
        masters_end.close()
        self.leave_to_master()
        for listener in self.listeners():
            if listener not in generation.listeners:
                listener.close()
        generation.logs.install()
        os.environ.clear()
        os.environ.update(generation.environ)
        sys.path[:] = generation.sys_path
        run_worker(
            WorkerStart(
                age=order.age,
                settings=generation.settings,
                listeners=generation.listeners,
                scoreboard=generation.scoreboard,
                page=order.page,
                channel=channel,
                transfer=self.shared.transfer,
                logs=generation.logs,
                hook_arguments=self.shared.hook_arguments,
            )
        )

    def leave_to_master(self) -> None:
        """In a child: close the master's ends of all channels, and its own descriptors."""
        for child in self.children.values():
            child.channel.close()
        self.shared.close_in_child()

    def signal_all(self, number: int) -> None:
        for pid in self.children:
            send_signal(pid, number)

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
        self._log_unexpected_text(child)
        child.channel.close()
        child.facts.alive = False
        self.shared.hooks.child_exit(child.facts)
        self.shared.facts.workers.pop(child.pid, None)
        child.facts.page.state = WorkerState.FREE

    # -- reports

    def serving(self, child: Child) -> list[str]:
        """What the child's page shows as being served, oldest first: `request="GET /" for_s=1.2`."""
        now = _monotonic()
        shown = [fields("", request=what, for_s=now - since).strip() for since, what in child.facts.page.in_flight()]
        more = len(shown) - _SHOWN_REQUESTS
        return [*shown[:_SHOWN_REQUESTS], f"more_requests={more}"] if more > 0 else shown

    def _report_stacks(self, pid: int, sentence: str) -> None:
        child = self.children.get(pid)
        if child is None:
            return
        stacks = child.channel.take_dump().rstrip() or "(no stack dump arrived)"
        lines = [" ".join([escape(sentence), *self.serving(child)[:1]]), *self.serving(child)[1:], stacks]
        self.newest().logs.error.error("%s", "\n".join(lines))

    def _log_unexpected_text(self, child: Child) -> None:
        """What a dying worker wrote beside its messages: faulthandler's words about a crash, for one."""
        text = child.channel.take_dump().strip()
        if text:
            self.newest().logs.error.error("%s\n%s", fields("worker left a stack dump", pid=child.pid), text)

    def _warn_of_threads(self) -> None:
        if self._warned_of_threads or threading.active_count() == 1:
            return
        self._warned_of_threads = True
        names = ", ".join(thread.name for thread in threading.enumerate() if thread is not threading.main_thread())
        text = fields(
            "threads run in the master; workers do not have them, and may find their locks held",
            threads=names,
            cure="start them in post_fork",
        )
        self.newest().logs.error.warning("%s", text)
