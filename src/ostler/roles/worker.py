"""A worker process, top to bottom: from the fork to its exit.

`run_worker` boots (signals, post_fork, application), says Ready over the channel, serves, and leaves with os._exit.
What the master says comes over the channel, what the system says as signals; both are read by whichever thread leads
the reactor, so neither waits for the application.

    TERM        asks the master to be replaced, and serves on until it is ordered to retire
    INT, QUIT   quick stop         USR1   asks for new logs        ABRT   worker_abort hook, exit 1 (main thread)
    end of file on the channel: the master is dead; what runs may finish within `ORPHAN_S`
"""

import atexit
import contextlib
import errno
import faulthandler
import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Final, NoReturn, cast

from ostler.app.loader import AppBootError, apply_paths, load_configured, parse_app
from ostler.app.wsgi import Application
from ostler.drivers.reactor import Reactor
from ostler.errors import BootError, OstlerError, reason_of
from ostler.logline import fields
from ostler.observe.hooks import WorkerFacts, WorkerHooks
from ostler.observe.scoreboard import WorkerState
from ostler.observe.span import SpanMaker
from ostler.process import certificate_files, privileges
from ostler.process.channel import (
    BootFailed,
    CertificateFiles,
    LogFiles,
    LogsRequest,
    Ready,
    Retire,
    RetireRequest,
    Stop,
)
from ostler.process.descriptors import make_room_for
from ostler.process.parent import die_with_parent, outlive_parent
from ostler.process.server_names import drop_undecodable_names
from ostler.process.signals import (
    CANCEL_SIGNAL,
    DUMP_SIGNAL,
    WORKER_IGNORES,
    SignalEdge,
    ignore,
    leave_to_forks,
    restore_default,
    unblock_all,
)
from ostler.process.spew import spew
from ostler.process.title import set_title
from ostler.process.watch import Watcher
from ostler.roles.assembly import SOFTWARE, WorkerStart, assemble
from ostler.roles.presence import worker_title
from ostler.workers.base import Worker

ORPHAN_S: Final = 0.8
"""How long a worker without a master may finish what it is serving."""
EXIT_S: Final = 5.0
"""How long atexit functions may take before the process leaves all the same."""

_LOGS_S: Final = 0.5
"""How long a worker that leaves tries to get rid of log lines that nobody takes."""

_ANSWERED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGABRT)

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
        _leave(start, status)


def _leave(start: WorkerStart, status: int) -> NoReturn:
    """Whatever it dies of: what was printed and logged is the explanation, and must not die with it."""
    for stream in (sys.stdout, sys.stderr):
        # closed, replaced by the application, or in use by the very thread that a signal has interrupted
        with contextlib.suppress(OSError, ValueError, AttributeError, RuntimeError):
            stream.flush()
    start.journal.close(_LOGS_S)
    os._exit(status)


class _WorkerRole:
    def __init__(self, start: WorkerStart) -> None:
        self.start = start
        self.settings = start.settings
        self.logs = start.journal.logs
        self.log: logging.Logger = self.logs.error
        self.page = start.scoreboard.page(start.page)
        self.edge: SignalEdge | None = None
        self.reactor: Reactor | None = None
        self.quick = False
        self.orphaned = False
        self.master_pid = os.getppid()
        facts = WorkerFacts(
            age=start.age,
            ppid=self.master_pid,
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
        die_with_parent(self.master_pid)
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
        self.start.channel.send(Ready(round((_monotonic() - began) * 1000)))
        worker.serve()
        status = self._leave()
        if self.orphaned:
            # Stay to the end: a sibling that hangs in C code needs somebody to kill it.
            time.sleep(2 * ORPHAN_S)
        return status

    # -- boot ------------------------------------------------------------------------------------------------

    def _boot_signals(self) -> None:
        """Until it serves, a worker has nothing to finish: QUIT and INT end it, TERM is the master's to answer."""
        ignore(WORKER_IGNORES)
        restore_default((signal.SIGCHLD, signal.SIGALRM))
        signal.signal(signal.SIGUSR1, lambda *_: None)  # new logs come over the channel, whoever else hears USR1
        signal.signal(signal.SIGTERM, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGQUIT, CANCEL_SIGNAL):
            signal.signal(number, lambda *_: os._exit(0))
        signal.signal(signal.SIGABRT, self._abort)
        leave_to_forks((*_ANSWERED, *WORKER_IGNORES))
        faulthandler.register(DUMP_SIGNAL, file=self.start.channel.fileno(), all_threads=True)
        unblock_all()

    def _boot(self) -> Worker:
        start, settings = self.start, self.settings
        set_title(worker_title(settings))
        self.hooks.post_fork()
        privileges.drop(settings.user, settings.group, settings.initgroups)
        die_with_parent(self.master_pid)  # again: it ends with a change of user (prctl(2))
        apply_paths(settings)
        os.environ["SERVER_SOFTWARE"] = SOFTWARE
        random.seed()  # the master's state was inherited by every worker
        if settings.spew:
            spew()
        application = cast(Application, load_configured(settings))
        self.facts.application = application
        if settings.max_requests:
            self.facts.request_limit = settings.max_requests + random.randint(0, settings.max_requests_jitter)
        self.hooks.post_worker_init()
        make_room_for(settings.worker_connections)
        if start.certificates is not None:
            drop_undecodable_names()
        worker = assemble(start, application, self._spans())
        self.reactor = worker.reactor
        self._serve_signals(self.reactor)
        self.reactor.watch(start.channel.fileno(), self._hear_master)
        return worker

    def _spans(self) -> SpanMaker:
        observers = self.start.journal.observers(self.start.hook_arguments)
        limit = self.facts.request_limit
        return SpanMaker(self.page, self.hooks, observers, limit, self._request_limit_reached)

    def _boot_failed(self, error: OstlerError) -> int:
        if isinstance(error, AppBootError) and error.traceback_text:
            # The summary goes to the master, whose line says what follows from it; the traceback is shown once, here.
            self.log.error("the application raised while it was imported\n%s", error.traceback_text.rstrip())
        status = error.exit_status if error.exit_status != 1 else BootError.exit_status
        self.start.channel.send(BootFailed(status, str(error)))
        self.hooks.worker_exit()
        return status

    # -- what the master and the system say ------------------------------------------------------------------

    def _serve_signals(self, reactor: Reactor) -> None:
        restore_default((CANCEL_SIGNAL,))  # too late: the master will hear Ready, and order what is to be done
        self.edge = SignalEdge((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1))
        signal.signal(signal.SIGABRT, self._abort)
        reactor.watch(self.edge.fileno(), self._hear_signals)

    def _hear_signals(self) -> None:
        assert self.edge is not None
        for number in self.edge.take():
            match number:
                case signal.SIGTERM:
                    self.start.channel.send(RetireRequest("signal"))
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
                    self._own(ours)
                    reactor.retire([self.start.listeners[index] for index in drain])
                case Stop(keep_listeners=True):
                    reactor.abandon()
                case Stop(ours=ours):
                    self._own(ours)
                    reactor.stop()
                case LogFiles(names, fds, others=others):
                    self.logs.take(names, fds, others=others)
                case CertificateFiles(fds):
                    self._take_certificates(fds)
                case _:
                    pass

    def _take_certificates(self, fds: tuple[int, ...]) -> None:
        """The master has seen them load; they are new clients' from now on."""
        certificates = self.start.certificates
        try:
            if certificates is None or not fds:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))  # the descriptor was lost on its way
            certificates.renew(certificate_files.unpack(*fds))
        except (OSError, ValueError, OstlerError) as error:
            reason = reason_of(error) if isinstance(error, OSError) else error
            text = "a worker keeps the former certificates; it has the new ones when it is replaced"
            self.log.warning("%s", fields(text, pid=os.getpid(), error=reason))

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
        _leave(self.start, self._leave())

    def _abort(self, _number: int, _frame: FrameType | None) -> None:
        self.hooks.worker_abort()
        _leave(self.start, 1)

    def _request_limit_reached(self) -> None:
        self.start.channel.send(RetireRequest("max_requests"))

    def _watch_files(self) -> None:
        settings = self.settings
        self.log.warning("reload is on; use it in development only")
        package = parse_app(settings.wsgi_app).module if settings.wsgi_app else None
        Watcher(
            self._changed,
            package=package,
            engine=settings.reload_engine,
            extra_files=settings.reload_extra_files,
            notice=self.log.warning,
        ).start()

    def _changed(self, filename: str) -> None:
        self.log.info(fields("file changed, worker asks to be replaced", file=filename))
        self.start.channel.send(RetireRequest("reload"))

    # -- the end ---------------------------------------------------------------------------------------------

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
