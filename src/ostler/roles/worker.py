"""A worker process, top to bottom: from the fork to its exit.

`run_worker` boots (signals, post_fork, application, warm-up requests), says Ready over the channel, serves, and leaves
with os._exit. What the master says comes over the channel, what the system says as signals; both are read by whichever
thread leads the reactor, so neither waits for the application.

    TERM        asks the master to be replaced, and serves on until it is ordered to retire
    INT, QUIT   quick stop         USR1   asks for new logs        ABRT   worker_abort hook, exit 1 (main thread)
    end of file on the channel: the master is dead; what runs may finish within `ORPHAN_S`
"""

import atexit
import contextlib
import logging
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Final, NoReturn

from ostler.app.loader import parse_app
from ostler.app.readiness import Readiness
from ostler.drivers.reactor import Reactor
from ostler.errors import BootError, OstlerError
from ostler.logline import fields
from ostler.observe.hooks import WorkerFacts, WorkerHooks
from ostler.observe.scoreboard import WorkerState
from ostler.observe.span import SpanMaker
from ostler.process import privileges
from ostler.process.channel import (
    BootFailed,
    CertificateFiles,
    LameDuckBegins,
    LogFiles,
    LogsRequest,
    NotPromoted,
    Promote,
    Ready,
    Retire,
    RetireRequest,
    Stop,
)
from ostler.process.descriptors import make_room_for
from ostler.process.parent import die_with_parent, outlive_parent
from ostler.process.server_names import drop_undecodable_names
from ostler.process.signals import (
    SignalEdge,
)
from ostler.process.title import set_title
from ostler.process.watch import Watcher
from ostler.roles.assembly import WorkerStart, assemble
from ostler.roles.booting import answer_while_booting, boot_signals, leave, load, same_process, tell_boot_failed
from ostler.roles.mold import Mold
from ostler.roles.presence import worker_title
from ostler.roles.promotion import Promotion, make_room_on_stack
from ostler.roles.recycling import Limits, Recycling, draw_request_limit
from ostler.roles.renewal import take_certificates
from ostler.roles.warmup import Warmup
from ostler.supervisor.events import RetireReason
from ostler.workers.base import Worker

ORPHAN_S: Final = 0.8
"""How long a worker without a master may finish what it is serving."""
EXIT_S: Final = 5.0
"""How long atexit functions may take before the process leaves all the same."""

_WATCHER_S: Final = 5.0
"""The thread of `reload` ends after its next look."""

_monotonic = time.monotonic
_kill = os.kill


def run_worker(start: WorkerStart) -> NoReturn:
    """Be a worker. Called in the child right after the fork, with all signals blocked; never returns."""
    status = 1
    try:
        status = _WorkerRole(start).run()
    except BaseException:  # noqa: BLE001  the border of the process: nothing of the master's stack may run on
        start.journal.logs.error.exception("worker failed; this is a defect of Ostler, please report it")
    finally:
        leave(start.journal, status)


class _WorkerRole:
    def __init__(self, start: WorkerStart) -> None:
        self.start = start
        self.settings = start.settings
        self.logs = start.journal.logs
        self.log: logging.Logger = self.logs.error
        self.page = start.scoreboard.page(start.page)
        self.edge: SignalEdge | None = None
        self.reactor: Reactor | None = None
        self.readiness: Readiness | None = None
        self.recycling: Recycling | None = None
        self.watcher: Watcher | None = None
        self.promotion = Promotion(start.settings)
        self.ready = False
        self.lame_duck = False
        self.check_failed = False
        self.quick = False
        self.orphaned = False
        facts = WorkerFacts(
            age=start.age,
            ppid=start.parent_pid,
            settings=start.settings,
            listeners=start.listeners,
            page=self.page,
            pid=os.getpid(),
            log=start.journal.log,
        )
        self.facts = facts
        self.hooks = WorkerHooks(facts, start.hook_arguments, self.log)

    def run(self) -> int:
        began = _monotonic()
        self.page.reset(os.getpid(), began)
        die_with_parent(self.start.parent_pid)
        self._boot_signals()
        try:
            worker = self._boot()
        except OstlerError as error:
            return self._boot_failed(error)
        outlive_parent()
        assert self.reactor is not None
        self.page.beat(_monotonic())
        if self.settings.reload:  # before Ready: from then on a changed file must be noticed
            self._watch_files()
        self._warm_up(began)
        worker.serve()
        if self.check_failed:
            self.hooks.worker_exit()
            return BootError.exit_status
        if self.promotion.wanted and not self.orphaned:
            self._become_mold(worker)
        status = self._leave()
        if self.orphaned:
            # Stay to the end: a sibling that hangs in C code needs somebody to kill it.
            time.sleep(2 * ORPHAN_S)
        return status

    # -- boot ------------------------------------------------------------------------------------------------

    def _boot_signals(self) -> None:
        if self.start.application is None:
            boot_signals(self.start.channel, self._abort, self._cancelled)
        else:
            answer_while_booting(self.start.channel, self._abort, self._cancelled)

    def _boot(self) -> Worker:
        start, settings = self.start, self.settings
        set_title(worker_title(settings))
        self.hooks.post_fork()
        privileges.drop(settings.user, settings.group, settings.initgroups)
        die_with_parent(self.start.parent_pid)  # again: it ends with a change of user (prctl(2))
        application = start.application
        if application is None:
            with same_process(start):
                application = load(settings)
        else:
            random.seed()  # the mold's state was inherited by every worker
        self.facts.application = application
        self.facts.request_limit = draw_request_limit(settings)
        self.hooks.post_worker_init()
        make_room_for(settings.worker_connections)
        if start.certificates is not None:
            drop_undecodable_names()
        if settings.readiness_path:
            application = self.readiness = Readiness(application, settings.readiness_path)
        worker = assemble(start, application, self._spans(), self._tick)
        self.reactor = worker.reactor
        self._serve_signals(self.reactor)
        self.reactor.watch(start.channel.fileno(), self._hear_master)
        return worker

    def _spans(self) -> SpanMaker:
        observers = self.start.journal.observers(self.start.hook_arguments)
        limit = self.facts.request_limit
        return SpanMaker(self.page, self.hooks, observers, limit, self._request_limit_reached)

    def _boot_failed(self, error: OstlerError) -> int:
        status = tell_boot_failed(self.start.channel, self.log, error)
        self.hooks.worker_exit()
        return status

    def _warm_up(self, began: float) -> None:
        """Ready, as soon as all of `reload_check` was answered; before that no client comes in."""
        reactor = self.reactor
        assert reactor is not None
        reactor.keep_doors_shut()
        Warmup(reactor, self.settings.reload_check, lambda: self._say_ready(reactor, began), self._refuse_boot).begin()

    def _say_ready(self, reactor: Reactor, began: float) -> None:
        now = _monotonic()
        self.page.forget_work()  # warm-up requests are nobody's
        self.page.beat(now)
        self.ready = True
        self._end_readiness()
        self.recycling = Recycling(Limits.draw(self.settings), self._ask_to_retire, self.log.log, now)
        reactor.open_doors()  # before others retire because of us
        self.start.channel.send(Ready(round((now - began) * 1000)))

    def _refuse_boot(self, summary: str) -> None:
        """A warm-up request failed. Said at once: the application may hang in what is left of it."""
        assert self.reactor is not None
        self.check_failed = True
        self.start.channel.send(BootFailed(BootError.exit_status, summary))
        self.reactor.finish()

    def _cancelled(self, *_: object) -> None:
        if not self.ready:  # else it is too late: the master will hear Ready, and order what is to be done
            os._exit(0)

    # -- what the master and the system say ------------------------------------------------------------------

    def _serve_signals(self, reactor: Reactor) -> None:
        self.edge = SignalEdge((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1))
        signal.signal(signal.SIGABRT, self._abort)
        reactor.watch(self.edge.fileno(), self._hear_signals)

    def _hear_signals(self) -> None:
        assert self.edge is not None
        for number in self.edge.take():
            match number:
                case signal.SIGTERM if self.ready:  # until then it is the master's to answer
                    self._ask_to_retire("signal")
                case signal.SIGINT | signal.SIGQUIT:
                    self._stop_quickly()
                case signal.SIGUSR1:
                    self.start.channel.send(LogsRequest())
                case _:
                    pass

    def _hear_master(self) -> None:
        reactor = self.reactor
        assert reactor is not None
        messages = self.start.channel.receive()
        if messages is None:
            self._orphaned(reactor)
            return
        for message in messages:
            match message:
                case Retire(drain, ours):
                    self.promotion.wanted = False
                    self._own(ours)
                    reactor.retire([self.start.listeners[index] for index in drain])
                case Promote(ours):
                    self._own(ours)
                    self.promotion.wanted = True
                    reactor.retire()
                case Stop(keep_listeners=True):
                    self.promotion.wanted = False
                    reactor.abandon()
                case Stop(ours=ours):
                    self.promotion.wanted = False
                    self._own(ours)
                    reactor.stop()
                case LogFiles(names, fds, others=others):
                    self.logs.take(names, fds, others=others)
                case CertificateFiles(fds):
                    take_certificates(self.start.certificates, fds, self.log)
                case LameDuckBegins():
                    self.lame_duck = True
                    self._end_readiness()
                case _:
                    pass

    def _own(self, positions: tuple[int, ...]) -> None:
        for index, listener in enumerate(self.start.listeners):
            listener.inherited = index not in positions

    def _orphaned(self, reactor: Reactor) -> None:
        """The master is dead: finish what runs, within a second, and take siblings along that cannot."""
        self.orphaned = True
        reactor.unwatch(self.start.channel.fileno())
        self.log.error(fields("master is gone, worker leaves", pid=os.getpid(), within_s=ORPHAN_S))
        after(ORPHAN_S, self._end_orphans)
        reactor.abandon()

    def _end_orphans(self) -> None:
        scoreboard, own = self.start.scoreboard, os.getpid()
        for index in range(scoreboard.pages):
            page = scoreboard.page(index)
            pid = 0 if page.state is WorkerState.FREE else page.pid
            if pid and pid != own and _is_our_orphan(pid):
                with contextlib.suppress(OSError):
                    _kill(pid, signal.SIGKILL)
        os._exit(0)

    def _stop_quickly(self) -> None:
        if not self.quick:
            self.quick = True
            self.hooks.worker_int()
            # A quick stop cuts what runs: nobody waits for the application's thread.
            after(0.0, self._leave_now)

    def _leave_now(self) -> None:
        leave(self.start.journal, self._leave())

    def _abort(self, _number: int, _frame: FrameType | None) -> None:
        self.hooks.worker_abort()
        leave(self.start.journal, 1)

    def _end_readiness(self) -> None:
        """The server is a lame duck, and says so; but not to its own warm-up requests."""
        if self.readiness is not None and self.lame_duck and self.ready:
            self.readiness.end()

    def _request_limit_reached(self) -> None:
        if self.ready:
            self._ask_to_retire("max_requests")

    def _ask_to_retire(self, reason: RetireReason, detail: str = "") -> None:
        self.start.channel.send(RetireRequest(reason, detail))

    def _tick(self) -> None:
        """About once a second, in whichever thread leads."""
        self.start.journal.flush()
        if self.recycling is not None:
            self.recycling.look(_monotonic())

    def _watch_files(self) -> None:
        settings = self.settings
        self.log.warning("reload is on; use it in development only")
        package = parse_app(settings.wsgi_app).module if settings.wsgi_app else None
        self.watcher = Watcher(
            self._changed,
            package=package,
            engine=settings.reload_engine,
            extra_files=settings.reload_extra_files,
            notice=self.log.warning,
        )
        self.watcher.start()

    def _changed(self, filename: str) -> None:
        self.log.info(fields("file changed, worker asks to be replaced", file=filename))
        self.start.channel.send(RetireRequest("reload"))

    # -- the end ---------------------------------------------------------------------------------------------

    def _become_mold(self, worker: Worker) -> None:
        """It is drained, and does not return from here, unless it cannot be a mold: then it leaves as any other."""
        began = _monotonic()
        if self.watcher is not None:
            self.watcher.stop()
            self.watcher.join(_WATCHER_S)
        application = self.start.application
        reason = self.promotion.obstacle(self.start, worker, self.edge)
        if application is not None and not reason:
            make_room_on_stack()
            Mold(self.start, application, run_worker).run(began)
        self.start.channel.send(NotPromoted(reason))

    def _leave(self) -> int:
        """Everything is served: hooks, atexit functions (exporters flush there), streams; but not for ever."""
        after(EXIT_S, lambda: os._exit(0))
        self.hooks.worker_exit()
        atexit._run_exitfuncs()
        return 0


def after(delay_s: float, action: Callable[[], object]) -> None:
    """Do `action` on a thread of its own, in `delay_s` seconds, unless the process is gone by then."""

    def wait() -> None:
        time.sleep(delay_s)
        action()

    threading.Thread(target=wait, name="ostler-timer", daemon=True).start()


def _is_our_orphan(pid: int) -> bool:
    """Whether `pid` still runs the program that we run: the number could belong to a stranger by now."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as theirs, open("/proc/self/cmdline", "rb") as ours:
            return theirs.read() == ours.read()
    except OSError:
        return False
