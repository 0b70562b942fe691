"""A worker process, top to bottom: from the fork to its exit.

`WorkerRole.run` boots (signals, post_fork, application, warm-up requests), says Ready over the channel, and serves.
What the master says comes over the channel, what the system says as signals; both are read by whichever thread leads
the loop, so neither waits for the application.

    TERM        asks the master to be replaced, and serves on until it is ordered to retire
    INT, QUIT   quick stop         USR1   asks for new logs        ABRT   worker_abort hook, exit 1 (main thread)
    end of file on the channel: the master is dead; what runs may finish within `ORPHAN_S`
"""

import atexit
import logging
import os
import random
import signal
import time
from types import FrameType
from typing import Any, Final, cast

from ostler import real
from ostler.app.readiness import READINESS, AnyReadiness
from ostler.drivers.loop import Loop
from ostler.errors import BootError, OstlerError
from ostler.logline import fields
from ostler.observe.hooks import WorkerFacts, WorkerHooks
from ostler.observe.span import SpanMaker
from ostler.process import privileges
from ostler.process.channel import (
    BootFailed,
    CertificateFiles,
    LameDuckBegins,
    LogFiles,
    LogLevel,
    LogsRequest,
    Message,
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
from ostler.process.signals import SignalEdge
from ostler.process.title import set_title
from ostler.process.watch import Watcher
from ostler.roles.assembly import WorkerStart, assemble, choose_kind
from ostler.roles.booting import (
    answer_while_booting,
    boot_signals,
    dump_also,
    leave,
    load,
    prepare,
    same_process,
    tell_boot_failed,
)
from ostler.roles.changes import watch_files
from ostler.roles.mold import BeWorker, Mold
from ostler.roles.orphans import ORPHAN_S, after, end_orphans, parting_words
from ostler.roles.presence import worker_title
from ostler.roles.promotion import Promotion, make_room_on_stack
from ostler.roles.recycling import Recycling, draw_request_limit
from ostler.roles.renewal import take_certificates
from ostler.roles.warmup import Warmup
from ostler.roles.watchman import Watchman
from ostler.supervisor.events import RetireReason
from ostler.workers.base import Worker
from ostler.workers.foreign import Around
from ostler.workers.kinds import kind_of

QUICK_S: Final = 1.2
"""How long an event loop may take to end at a quick stop: less than the master waits (supervisor.policy.QUIT_S)."""
EXIT_S: Final = 5.0
"""How long atexit functions may take before the process leaves all the same."""

_WATCHER_S: Final = 5.0
"""The thread of `reload` ends after its next look."""

_monotonic = time.monotonic
_kill = os.kill


class WorkerRole:
    """A worker of one of our kinds, and what every worker has."""

    def __init__(self, start: WorkerStart, be_worker: BeWorker) -> None:
        """be_worker: what a worker that has become a mold does in those that it forks."""
        self.start = start
        self.be_worker = be_worker
        self.began = _monotonic()
        self.settings = start.settings
        self.logs = start.journal.logs
        self.log: logging.Logger = self.logs.error
        self.page = start.scoreboard.page(start.page)
        self.edge: SignalEdge | None = None
        self.loop: Loop | None = None
        self.readiness: AnyReadiness | None = None
        self.recycling: Recycling | None = None
        self.watcher: Watcher | None = None
        self.watchman: Watchman | None = None
        self.promotion = Promotion(start.settings)
        self.ready = False
        self.lame_duck = False
        self.check_failed = False
        self.worker: Worker | None = None
        self.quick = False
        self.leaving = False
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
        """Boot, serve and come to the end; returns the exit status."""
        self._enter()
        try:
            worker = self._boot()
        except OstlerError as error:
            return self._boot_failed(error)
        self._serve(worker)
        return self._end(worker)

    # -- boot ------------------------------------------------------------------------------------------------

    def _enter(self) -> None:
        self.page.reset(os.getpid(), self.began)
        die_with_parent(self.start.parent_pid)
        if self.start.application is None:
            boot_signals(self.start.channel, self._abort, self._cancelled)
        else:
            answer_while_booting(self.start.channel, self._abort, self._cancelled)
        set_title(worker_title(self.settings))

    def _boot(self) -> Worker:
        self.hooks.post_fork()
        self._become_user()
        self.facts.application = application = self._load(self.settings.kind)
        self.facts.request_limit = draw_request_limit(self.settings)
        self.hooks.post_worker_init()
        make_room_for(self.settings.worker_connections)
        return self._assemble(self.start, application)

    def _become_user(self) -> None:
        settings = self.settings
        privileges.drop(settings.user, settings.group, settings.initgroups)
        die_with_parent(self.start.parent_pid)  # again: it ends with a change of user (prctl(2))

    def _load(self, kind: str) -> object:
        """The application. kind: what is to be prepared before it is imported; empty: nothing. Raises OstlerError."""
        if kind and not kind_of(kind).has_only_threads:
            dump_also(self.start.channel, kind_of(kind).stacks)
        if self.start.application is None:
            with same_process(self.start):
                return load(self.settings, self.start.source, kind)
        prepare(kind)
        random.seed()  # the mold's state was inherited by every worker
        return self.start.application

    def _assemble(self, start: WorkerStart, application: object, around: Around | None = None) -> Worker:
        """Raises AppLoadError, BootError."""
        settings = start.settings
        if start.certificates is not None:
            drop_undecodable_names()
        kind = choose_kind(settings, application, self.log)
        if settings.readiness_path:
            (interface,) = kind.interfaces
            application = self.readiness = READINESS[interface](cast(Any, application), settings.readiness_path)
        worker = assemble(start, kind, application, self._spans(), self._tick, around)
        worker.begin()
        self.worker, self.loop = worker, worker.loop
        worker.loop.leave = self._leave_now
        self._serve_signals(self.loop)
        self.loop.watch(start.channel.fileno(), self._hear_master)
        return worker

    def _serve(self, worker: Worker) -> None:
        outlive_parent()
        self.page.beat(_monotonic())
        if self.settings.reload:  # before Ready: from then on a changed file must be noticed
            self.watcher = watch_files(self.settings, self._changed, self.log)
        self._warm_up()
        assert self.edge is not None
        self.watchman = Watchman(self.start, worker, self.edge, self.log)
        worker.serve()

    def _end(self, worker: Worker | None) -> int:
        """Everything is served. worker: None, of one that was not ours."""
        if self.watchman is not None:
            self.watchman.end()
        if self.check_failed:
            self.hooks.worker_exit()
            return BootError.exit_status
        if worker is not None and self.promotion.wanted and not self.orphaned:
            self._become_mold(worker)
        status = self._leave()
        if self.orphaned:
            # Stay to the end: a sibling that hangs in C code needs somebody to kill it.
            real.sleep(2 * ORPHAN_S)
        return status

    def _spans(self) -> SpanMaker:
        observers = self.start.journal.observers(self.start.hook_arguments)
        limit = self.facts.request_limit
        return SpanMaker(self.page, self.hooks, observers, limit, self._request_limit_reached)

    def _boot_failed(self, error: OstlerError) -> int:
        status = tell_boot_failed(self.start.channel, self.log, error)
        self.hooks.worker_exit()
        return status

    def _warm_up(self) -> None:
        """Ready, as soon as all of `reload_check` was answered; before that no client comes in."""
        loop = self.loop
        assert loop is not None
        loop.keep_doors_shut()
        Warmup(loop, self.settings.reload_check, lambda: self._say_ready(loop), self._refuse_boot).begin()

    def _say_ready(self, loop: Loop) -> None:
        now = _monotonic()
        self.page.forget_work()  # warm-up requests are nobody's
        self.page.beat(now)
        self.ready = True
        self._end_readiness()
        self.recycling = Recycling.begin(self.settings, self.page, self._ask_to_retire, self.log.log, now)
        loop.open_doors()  # before others retire because of us
        self.start.channel.send(Ready(round((now - self.began) * 1000)))

    def _refuse_boot(self, summary: str) -> None:
        """A warm-up request failed. Said at once: the application may hang in what is left of it."""
        assert self.loop is not None
        self.check_failed = True
        self.start.channel.send(BootFailed(BootError.exit_status, summary))
        self.loop.finish()

    def _cancelled(self, *_: object) -> None:
        if not self.ready:  # else it is too late: the master will hear Ready, and order what is to be done
            os._exit(0)

    # -- what the master and the system say ------------------------------------------------------------------

    def _serve_signals(self, loop: Loop) -> None:
        self.edge = SignalEdge((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1))
        signal.signal(signal.SIGABRT, self._abort)
        loop.watch(self.edge.fileno(), self._hear_signals)

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
        loop = self.loop
        assert loop is not None
        messages = self.start.channel.receive()
        if messages is None:
            self._orphaned(loop)
            return
        for message in messages:
            self._hear(message, loop)

    def _hear(self, message: Message, loop: Loop) -> None:
        match message:
            case Retire(drain, ours, alone):
                self.promotion.wanted = False
                self._own(ours)
                loop.retire([self.start.listeners[index] for index in drain], alone=alone)
            case Promote(ours):
                self._own(ours)
                self.promotion.wanted = True
                loop.retire()
            case Stop(keep_listeners=True):
                self.promotion.wanted = False
                loop.abandon()
            case Stop(ours=ours):
                self.promotion.wanted = False
                self._own(ours)
                loop.stop()
            case LogFiles(names, fds, others=others):
                self.logs.take(names, fds, others=others)
            case LogLevel(level):
                self.logs.change_level(level or None)
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

    def _orphaned(self, loop: Loop) -> None:
        """The master is dead: finish what runs, within a second, and take siblings along that cannot."""
        self.orphaned = True
        loop.unwatch(self.start.channel.fileno())
        self.log.error("%s", parting_words(self.start.parent_pid))
        after(ORPHAN_S, lambda: end_orphans(self.start.scoreboard, self.start.parent_pid))
        loop.abandon()

    def _stop_quickly(self) -> None:
        if not self.quick:
            self.quick = True
            self._say_words_of_stop()
            # A quick stop cuts what runs: nobody waits for the application's thread. An event loop ends in its own way.
            waits = self.worker is not None and self.worker.hurry(QUICK_S)
            after(QUICK_S + 0.3 if waits else 0.0, self._leave_now)

    def _say_words_of_stop(self) -> None:
        self.hooks.worker_int()

    def _leave_now(self) -> None:
        if not self.leaving:
            leave(self.start.journal, self._leave())

    def _abort(self, _number: int, _frame: FrameType | None) -> None:
        self._say_words_of_abort()
        leave(self.start.journal, 1)

    def _say_words_of_abort(self) -> None:
        self.hooks.worker_abort()

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
        if self.watchman is not None:
            self.watchman.look(_monotonic())
        if self.recycling is not None:
            self.recycling.look(_monotonic())

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
            Mold(self.start, application, self.be_worker).run(began)
        self.start.channel.send(NotPromoted(reason))

    def _leave(self) -> int:
        """Everything is served: hooks, atexit functions (exporters flush there), streams; but not for ever."""
        self.leaving = True
        after(EXIT_S, lambda: os._exit(0))
        self.hooks.worker_exit()
        atexit._run_exitfuncs()
        return 0
