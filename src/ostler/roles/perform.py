"""The supervisor's orders, carried out: forks, signals, messages, log lines, hooks, and the end; and what came of them.

`Performer` holds what belongs to the orders' objects: the generations (living.py), the children (children.py), who
starts them (forking.py) and who hands them new logs and certificates (supplies.py). It answers an order to fork with
the fact that came of it, unless a mold was asked; all other orders have no answer. What children say it turns into
facts (`hear`).

Rules for editing: no decision is taken here; nothing blocks; an order about a process that is gone does nothing. A
worker may have fewer rights than the master: its word counts for itself alone.
"""

import logging
import signal
from time import monotonic as _monotonic
from typing import Final, NoReturn

from ostler.logline import escape, fields
from ostler.process.channel import (
    BootFailed,
    Born,
    Declined,
    Died,
    ForkRefused,
    LameDuckBegins,
    LogsRequest,
    Message,
    MoldIsReady,
    Notice,
    NotPromoted,
    Promote,
    Ready,
    Retire,
    RetireRequest,
    Stop,
    Trouble,
)
from ostler.process.fork import Death, fork, send_signal
from ostler.process.listeners import Listener
from ostler.process.memory import total_pss_bytes
from ostler.process.parent import ORPHANS_ARE_ADOPTED, die_with_parent
from ostler.process.signals import CANCEL_SIGNAL, DUMP_SIGNAL
from ostler.roles import inquest, reports, slow_boot, unreaped
from ostler.roles.children import Child, Children
from ostler.roles.crowds import is_full, waits_for
from ostler.roles.forking import Forker
from ostler.roles.generation import Generation
from ostler.roles.incidents import Incidents
from ostler.roles.living import LivingGenerations
from ostler.roles.offspring import Offspring
from ostler.roles.shared import Shared
from ostler.roles.supplies import Supplies
from ostler.supervisor.actions import (
    Action,
    CloseListeners,
    Finish,
    ForgetGeneration,
    Fork,
    GenerationServes,
    Kick,
    LameDuck,
    Level,
    Log,
    MeasureMemory,
    OrderPromote,
    OrderRetire,
    OrderStop,
    ReloadEnded,
    ReportSlowBoot,
    ReportStacks,
    ReportUnreaped,
    Send,
    StartMold,
    WorkersChanged,
)
from ostler.supervisor.events import (
    Beats,
    Due,
    Event,
    Forked,
    ForkFailed,
    MoldDeclined,
    MoldReady,
    PromotionRefused,
    WorkerAsksToRetire,
    WorkerBootFailed,
    WorkerReady,
)

_SIGNALS: Final = {
    Kick.QUIT: signal.SIGQUIT,
    Kick.CANCEL: CANCEL_SIGNAL,
    Kick.DUMP: DUMP_SIGNAL,
    Kick.SHOW: DUMP_SIGNAL,
    Kick.ABORT: signal.SIGABRT,
    Kick.KILL: signal.SIGKILL,
}
LEVELS: Final = {Level.INFO: logging.INFO, Level.WARNING: logging.WARNING, Level.ERROR: logging.ERROR}
_NOT_BORN: Final = "the mold, or the process between, ended before the worker was born"

_ToChild = OrderRetire | OrderPromote | OrderStop | Send | ReportSlowBoot | ReportStacks


class Performer:
    """Carries out orders in the master's one thread."""

    def __init__(self, shared: Shared, first: Generation) -> None:
        self.shared = shared
        self.generations = LivingGenerations()
        self.children = Children()
        self.poller = self.children.poller
        self.supplies = Supplies(self.generations, self.children, lambda: self.log)
        self.forker = Forker(shared, self.generations, self.children, lambda: self.log)
        self.offspring = Offspring()
        self.finished: int | None = None
        self.last_error = ""  # of the supervisor
        self.incidents = Incidents()
        self._noticed: set[tuple[int, str]] = set()  # what workers of a generation have said already
        self._serving = first
        self.adopt(first)
        self._log_as(first)

    # -- generations

    def adopt(self, generation: Generation) -> None:
        """From now on this is what hooks see and the master listens on; it logs there when it is seen to serve."""
        self.generations.add(generation)
        self._present(generation)

    def newest(self) -> Generation:
        return self.generations.newest()

    @property
    def serving(self) -> Generation:
        """The one whose first worker was ready last: not yet the newest, while that one boots."""
        return self._serving

    @property
    def log(self) -> logging.Logger:
        return self._serving.logs.error

    def _present(self, generation: Generation) -> None:
        facts = self.shared.facts
        facts.settings = generation.settings
        facts.listeners = generation.listeners.fronts()

    def _log_as(self, generation: Generation) -> None:
        self._serving = generation
        self.shared.facts.log = generation.journal.log
        generation.logs.install()

    def _forget(self, number: int) -> None:
        gone = self.generations.remove(number)
        if gone is None:
            return
        self._present(self.newest())
        self._log_as(self._serving if self._serving is not gone else self.newest())
        if gone.journal not in self.generations.journals():
            gone.journal.close()

    def reopen_logs(self) -> None:
        """USR1: every log is opened by its name again, here, and the children are given what was opened."""
        self.supplies.reopen_logs()
        self._serving.logs.install()

    def gauge(self, name: str, value: int, kind: str = "gauge") -> None:
        """A metric of the master's."""
        statsd = self.newest().journal.statsd
        if statsd is not None:
            statsd.emit(name, value, kind)

    # -- facts

    def hear(self, child: Child) -> list[Event | Death]:
        """What it has said since the last time. A Death is told by a mold, where the system has no subreaper."""
        if self.children.by_fd.get(child.channel.fileno()) is not child:
            return []  # what another one has said was the end of it
        messages = child.channel.receive()
        if messages is None:
            if not child.born:
                return [self.forker.stillborn(child, _NOT_BORN)]
            news = not child.silenced
            self.children.silence(child)
            return [*self._lost(child)] if news and not ORPHANS_ARE_ADOPTED else []
        facts = []
        for message in messages:
            if isinstance(message, LogsRequest):
                self.reopen_logs()
            elif isinstance(message, Notice):
                self._pass_on(child, message.text)
            elif isinstance(message, Trouble):
                self.incidents.note(Level.ERROR if message.serious else Level.WARNING, escape(message.text))
            elif (fact := self._fact(child, message)) is not None:
                facts.append(fact)
        return facts

    def _pass_on(self, child: Child, text: str) -> None:
        """What every worker of its generation says, and nobody has to read twice."""
        if (child.generation.number, text) not in self._noticed:
            self._noticed.add((child.generation.number, text))
            self._log(Level.WARNING, text)

    def _lost(self, child: Child) -> list[Death]:
        """Without a subreaper: workers that are gone, and their mold too, who could have said how they ended."""
        if child.facts is None:
            orphans = [each for each, _ in self.children.workers() if each.mold == child.pid and each.silenced]
        else:
            mold = None if child.mold is None else self.children.by_pid.get(child.mold)
            orphans = [child] if child.mold is not None and (mold is None or mold.silenced) else []
        return [Death(each.pid, 0, None) for each in orphans]

    def _fact(self, child: Child, message: Message) -> Event | Death | None:
        """None: it is not the sender's to say."""
        if not child.born:
            return self.forker.born(child, message.pid) if isinstance(message, Born) else None
        if isinstance(message, BootFailed):
            return WorkerBootFailed(child.pid, message.status, message.summary)
        return self._of_mold(child, message) if child.facts is None else self._of_worker(child, message)

    def _of_worker(self, worker: Child, message: Message) -> Event | None:
        match message:
            case Ready(boot_ms, receives):
                worker.receives = receives
                return WorkerReady(worker.pid, boot_ms)
            case RetireRequest(reason, detail):
                return WorkerAsksToRetire(worker.pid, reason, detail)
            case MoldIsReady(boot_ms) if worker.promoting:
                self.forker.promoted(worker)
                return MoldReady(worker.pid, boot_ms)
            case NotPromoted(reason) if worker.promoting:
                return PromotionRefused(worker.pid, reason)
            case _:
                return None

    def _of_mold(self, mold: Child, message: Message) -> Event | Death | None:
        match message:
            case MoldIsReady(boot_ms):
                return MoldReady(mold.pid, boot_ms)
            case Declined(summary):
                return MoldDeclined(mold.pid, summary)
            case ForkRefused(age, reason):
                unborn = self.children.unborn()
                refused = next((each for each in unborn if each.age == age and each.mold == mold.pid), None)
                return None if refused is None else self.forker.stillborn(refused, reason)
            case Died(pid, status, signal_name) if not ORPHANS_ARE_ADOPTED:
                known = self.children.by_pid.get(pid)  # None: what it said of its birth is not read yet
                return Death(pid, status, signal_name) if known is None or known.mold == mold.pid else None
            case _:
                return None

    def beats(self) -> Beats:
        """About once a second: how the workers are doing."""
        workers = [(child.pid, facts.page) for child, facts in self.children.workers()]
        now = _monotonic()
        return Beats(
            {pid: page.last_beat for pid, page in workers},
            {pid: page.work(now) for pid, page in workers},
            {pid: Due(*page.dues) for pid, page in workers},
            {child.pid: waits_for(child) for child, facts in self.children.workers() if is_full(facts.page)},
        )

    def bury(self, child: Child) -> None:
        """It was reaped."""
        self.offspring.end(child.pid)
        self.forker.bury(child)

    def flush(self) -> None:
        """About once a second: what a stopped child did not take, and whose second is over."""
        for child in self.children.all():
            child.channel.flush()
        self.offspring.look(self.log)

    # -- orders

    def perform(self, action: Action) -> Forked | ForkFailed | None:
        """Carry out one order."""
        match action:
            case Fork():
                return self.forker.start_worker(action)
            case StartMold():
                return self.forker.start_mold(action)
            case OrderRetire() | OrderPromote() | OrderStop() | Send() | ReportSlowBoot() | ReportStacks():
                child = self.children.by_pid.get(action.pid)
                if child is not None:
                    self._to_child(child, action)
            case Log(level, text):
                self._log(level, text)
            case ReportUnreaped(pid, sentence):
                self._log(Level.ERROR, unreaped.describe(pid, sentence))
                unreaped.tell_stack(pid, self.shared.facts.pid, self.forker.leave_all, self.log)
            case MeasureMemory(text, pids):
                self._measure(text, pids)
            case WorkersChanged() | GenerationServes() | LameDuck() | ReloadEnded():
                self._make_known(action)
            case ForgetGeneration(number):
                self._forget(number)
            case CloseListeners():
                self.generations.close_listeners()
            case Finish(status):
                self.offspring.look(self.log, last=True)
                self.finished = status
        return None

    def _make_known(self, change: WorkersChanged | GenerationServes | LameDuck | ReloadEnded) -> None:
        match change:
            case WorkersChanged(new, old):
                self.shared.facts.num_workers = new
                self.shared.hooks.nworkers_changed(new, old)
            case GenerationServes(number):
                self.generations.prefer(number)
                self._present(self.newest())
                self._log_as(self.generations[number])
                self.shared.serves()
            case LameDuck(seconds):
                self._begin_lame_duck(seconds)
            case ReloadEnded():
                self.shared.reload_ended(change)

    def _begin_lame_duck(self, seconds: float) -> None:
        self.forker.lame_duck = True
        for child in self.children.all():
            if child.facts is not None:
                child.channel.send(LameDuckBegins())
        self.shared.lame_duck(seconds)

    def _to_child(self, child: Child, order: _ToChild) -> None:
        match order:
            case OrderRetire():
                self._order_retire(child, order)
            case OrderPromote():
                child.promoting = True
                child.channel.send(Promote(child.ours))
            case OrderStop():
                child.channel.send(Stop(self.generations.beside_master, child.ours))
            case Send(pid, kick):
                if kick is Kick.DUMP:
                    inquest.look(child)
                self.offspring.note(child, kick)
                send_signal(pid, _SIGNALS[kick])
                if kick is Kick.KILL:
                    child.killed = True
                    self.offspring.end(pid)
            case ReportSlowBoot(_, sentence):
                self._log(Level.WARNING, slow_boot.describe(child, sentence))
            case ReportStacks(_, sentence, why, goes_on):
                record = reports.of_stacks(child, sentence, why)
                if goes_on:
                    child.finding = child.sight = None  # its death, later, has another cause
                self.incidents.note(Level.ERROR, record)
                self.log.error("%s", record)

    def _order_retire(self, child: Child, order: OrderRetire) -> None:
        if order.nobody_stays:
            child.channel.send(Stop(True, child.ours))
            return
        # Listeners that nobody stays on: of a slot that is given up, of an address that the settings do not have any
        # more. The last worker on them has to empty them, for nobody else will.
        left: tuple[Listener, ...] = ()
        if order.last_of_slot and not self.generations.beside_master:
            left = child.generation.listeners.let_go(child.slot)
        if order.last_of_generation and not self.generations.beside_master:
            kept = self.newest().listeners.all()
            left += tuple(listener for listener in child.listeners if listener not in kept)
        for listener in left:
            listener.given_up = not listener.inherited
        drain = tuple(index for index, each in enumerate(child.listeners) if each in left)
        alone = not all(each.receives for each, _ in self.children.workers() if each is not child)
        child.channel.send(Retire(drain, child.ours, alone))

    def _measure(self, text: str, pids: tuple[int, ...]) -> None:
        """In a child, for it may take long."""
        try:
            fork(lambda: self._tell_memory(text, pids))
        except OSError:
            self._log(Level.INFO, text)

    def _tell_memory(self, text: str, pids: tuple[int, ...]) -> NoReturn:
        die_with_parent(self.shared.facts.pid)
        self.forker.leave_all()
        pss = total_pss_bytes(pids)
        self.log.info("%s", escape(text if pss is None else fields(text, pss_mb=round(pss / 1e6, 1))))
        raise SystemExit(0)

    def _log(self, level: Level, text: str) -> None:
        if level is Level.ERROR:
            self.last_error = text
        self.incidents.note(level, text)
        try:
            self.log.log(LEVELS[level], "%s", escape(text))
        except Exception:  # noqa: BLE001  a filter or handler of the user's; the orders that follow must be carried out
            reports.tell_defect(self.log, "the log failed, and with it this line: " + escape(text))
        self.shared.told(text)
