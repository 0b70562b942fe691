"""A mold, top to bottom: it loads the application, and forks the workers of its generation when the master asks.

    run_mold    in the child of the master: boot signals, application, fork-safety report, then `Mold`
    Mold        the forking loop; a worker that was promoted runs it, too (roles/promotion.py)

Each worker is forked twice: the process between ends at once, so that the master, who adopts orphans, is its parent.
Its channel and its listeners come with the order as descriptors, for a mold has none: a worker must hold no channel but
its own, or the end of file would not mean any more that the master is dead.

    QUIT   ends it          end of file on the channel: the master is dead; it leaves at once
    TERM, INT, HUP, USR1, USR2, WINCH, TTIN, TTOU are the master's to answer

Rules for editing: one thread, the main one (the log's too); what the application did to signals is its workers' affair
and is kept for them; nothing may be left over from a fork: a mold forks for months.
"""

import gc
import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NoReturn

from ostler import real
from ostler.app.fork_safety import ImportWatch, summary
from ostler.app.loader import apply_paths
from ostler.app.wsgi import Application
from ostler.errors import BootError, OstlerError
from ostler.observe.hooks import WorkerFacts
from ostler.process.channel import (
    Born,
    CertificateFiles,
    Channel,
    Declined,
    Died,
    ForkRefused,
    ForkWorker,
    LogFiles,
    LogLevel,
    Message,
    MoldIsReady,
)
from ostler.process.fork import flush_standard_streams, fork, fork_orphan, reap, why_no_process
from ostler.process.listener_text import rebuild
from ostler.process.parent import ORPHANS_ARE_ADOPTED, die_with_parent, wait_for_parent
from ostler.process.signals import CANCEL_SIGNAL, WORKER_IGNORES, ignore, let_go_of_wakeup, restore_default, unblock_all
from ostler.process.threads import native_threads
from ostler.process.title import set_title
from ostler.roles.assembly import WorkerStart
from ostler.roles.booting import boot_signals, leave, load, prepare, same_process, tell_boot_failed
from ostler.roles.presence import mold_title
from ostler.roles.renewal import take_certificates
from ostler.roles.troubles import tell_master
from ostler.workers.kinds import kind_of

BeWorker = Callable[[WorkerStart], NoReturn]

_ADOPTION_S: Final = 5.0
"""The kernel changes a worker's parent within microseconds, unless the machine swaps."""
_TICK_MS: Final = 1000
_REAP_MS: Final = 100

# What the application may have a handler for, though the mold has to ignore it, or to wait for children undisturbed.
_KEPT: Final = (*WORKER_IGNORES, signal.SIGCHLD)
_IGNORED: Final = (*WORKER_IGNORES, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)

_Poll = real.poll
_monotonic = time.monotonic
_close = os.close
_getpid = os.getpid
_leave_process = os._exit


def run_mold(start: WorkerStart, be_worker: BeWorker) -> NoReturn:
    """Be a mold. Called in the child right after the fork, with all signals blocked; never returns.

    start: of a worker without listeners and page; channel: the mold's own. be_worker: roles.run_worker.run_worker.
    """
    began = _monotonic()
    status = 1
    try:
        tell_master(start.channel, start.journal.logs.error)
        die_with_parent(start.parent_pid)
        boot_signals(start.channel, lambda *_: leave(start.journal, 1), lambda *_: _leave_process(0))
        set_title(mold_title(start.settings))
        try:
            application = _load(start)
        except OstlerError as error:
            status = tell_boot_failed(start.channel, start.journal.logs.error, error)
        except _Declines as declines:
            start.channel.send(Declined(str(declines)))
            status = 0
        else:
            Mold(start, application, be_worker).run(began)
    except BaseException:  # noqa: BLE001  the border of the process: nothing of the master's stack may run on
        start.journal.logs.error.exception("mold failed; this is a defect of Ostler, please report it")
    finally:
        leave(start.journal, status)


class _Declines(Exception):
    """The application must not be preloaded, and `preload_unsafe` is "lazy"."""


def _load(start: WorkerStart) -> Application:
    """Raises OstlerError or _Declines."""
    settings, log = start.settings, start.journal.logs.error
    prepare(settings.kind)  # first: what a library makes of Python is no finding
    watch = ImportWatch(settings.wsgi_app.partition(":")[0], native_threads, **_forked_well(settings.kind))
    with same_process(start), watch:
        kind = settings.kind
        if not kind:
            apply_paths(settings)
            kind = start.hook_arguments.prepare_worker_class(settings)
        application = load(settings, start.source, kind)
    findings = watch.findings()
    for finding in findings:
        log.warning("%s", finding.line)
    if findings and settings.preload_unsafe == "refuse":
        raise BootError(f"preload_unsafe: {summary(findings)}")
    if findings and settings.preload_unsafe == "lazy":
        raise _Declines(summary(findings))
    return application


def _forked_well(name: str) -> dict[str, bool]:
    if not name:
        return {}
    kind = kind_of(name)
    return {"keeps_threads": kind.keeps_threads, "renews_loop": kind.renews_loop}


class Mold:
    """The forking loop, of a process that has loaded the application and has one thread.

    model: what its workers are started with, but for age, listeners, page and channel; its channel is the mold's own.
    """

    def __init__(self, model: WorkerStart, application: Application, be_worker: BeWorker) -> None:
        self._model = model
        self._application = application
        self._be_worker = be_worker
        self._channel = model.channel
        self._log = model.journal.logs.error
        self._handlers: dict[int, Any] = {}
        self._heard: deque[Message] = deque()  # their descriptors are open until they are dealt with

    def run(self, began: float) -> NoReturn:
        """began: monotonic seconds; MoldIsReady tells how long it took from then on. Never returns."""
        status = 1
        try:
            self._settle()
            self._channel.send(MoldIsReady(round((_monotonic() - began) * 1000)))
            self._loop()
            status = 0
        except BaseException:  # noqa: BLE001  the border of the process
            self._log.exception("mold failed; this is a defect of Ostler, please report it")
        finally:
            leave(self._model.journal, status)

    def _settle(self) -> None:
        """Whatever the process has been: from now on it does nothing but fork."""
        set_title(mold_title(self._model.settings))
        for number in _KEPT:
            handler = signal.getsignal(number)
            if handler is not None:  # None: it is not Python's, and cannot be put back
                self._handlers[number] = handler
        let_go_of_wakeup()
        ignore(_IGNORED)
        restore_default((signal.SIGCHLD, CANCEL_SIGNAL))  # the latter is then ignored, which is the kernel's default
        signal.signal(signal.SIGQUIT, lambda *_: leave(self._model.journal, 0))
        signal.signal(signal.SIGABRT, lambda *_: leave(self._model.journal, 1))
        unblock_all()
        die_with_parent(self._model.parent_pid)  # again: the application may have changed its user
        flush_standard_streams()
        gc.collect()
        # Collectors of workers need not walk what they share; walking would write into its pages, and copy them.
        gc.freeze()

    def _loop(self) -> None:
        poller = _Poll()
        poller.register(self._channel.fileno(), select.POLLIN)
        while True:
            poller.poll(_TICK_MS if ORPHANS_ARE_ADOPTED else _REAP_MS)
            messages = self._channel.receive()
            if messages is None:
                return  # the master is dead
            self._heard += messages
            while self._heard:
                self._hear(self._heard.popleft())
            if not ORPHANS_ARE_ADOPTED:
                for death in reap():
                    self._channel.send(Died(death.pid, death.status, death.signal))
            self._model.journal.flush()
            self._model.journal.logs.flush()

    def _hear(self, message: Message) -> None:
        match message:
            case ForkWorker():
                self._fork(message)
            case LogFiles(names, fds, others=others):
                self._model.journal.logs.take(names, fds, others=others)
            case LogLevel(level):
                self._model.journal.logs.change_level(level or None)
            case CertificateFiles(fds):
                take_certificates(self._model.certificates, fds, self._log)
            case _:
                pass

    # -- forking

    def _fork(self, order: ForkWorker) -> None:
        try:
            if len(order.fds) != 1 + len(order.listeners):
                raise OSError("its descriptors were lost on their way; raise the limit of open files")
            flush_standard_streams()
            if ORPHANS_ARE_ADOPTED:
                fork_orphan(lambda between: self._be_child(order, between), lambda pid: _say_born(order, pid))
            else:
                fork(lambda: self._be_child(order, _getpid()))
        except OSError as error:
            self._channel.send(ForkRefused(order.age, why_no_process(error)))
        finally:
            for fd in order.fds:
                _close(fd)

    def _be_child(self, order: ForkWorker, between: int) -> NoReturn:
        """In the worker, with all signals blocked: let go of what is the mold's; from then on it is as any worker."""
        model = self._model
        self._channel.close()
        for fd in [fd for message in self._heard for fd in _descriptors(message)]:
            _close(fd)
        if ORPHANS_ARE_ADOPTED and not wait_for_parent(model.parent_pid, between, _ADOPTION_S):
            _leave_process(1)  # the master is dead
        channel = Channel.of(order.fds[0])
        channel.send(Born(_getpid()))  # again, in case that the process between was ended
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        model.journal.enter_worker()
        listeners = tuple(map(rebuild, order.listeners, order.fds[1:]))
        start = WorkerStart(
            age=order.age,
            settings=model.settings,
            listeners=listeners,
            scoreboard=model.scoreboard,
            page=order.page,
            channel=channel,
            transfer=model.transfer,
            journal=model.journal,
            certificates=model.certificates,
            hook_arguments=model.hook_arguments,
            parent_pid=model.parent_pid if ORPHANS_ARE_ADOPTED else os.getppid(),
            source=model.source,
            application=self._application,
            slot=order.slot,
        )
        model.hook_arguments.arrive(_facts(start), order.attributes)
        self._be_worker(start)


def _say_born(order: ForkWorker, pid: int) -> None:
    """In the process between: if it hangs in the handlers of some library, the master has to know whom to kill."""
    channel = Channel.of(order.fds[0])
    channel.send(Born(pid))
    channel.close()


def _facts(start: WorkerStart) -> WorkerFacts:
    page = start.scoreboard.page(start.page)
    return WorkerFacts(start.age, start.parent_pid, start.settings, start.listeners, page, start.journal.log, _getpid())


def _descriptors(message: Message) -> tuple[int, ...]:
    match message:
        case ForkWorker(fds=fds) | LogFiles(fds=fds) | CertificateFiles(fds=fds):
            return fds
        case _:
            return ()
