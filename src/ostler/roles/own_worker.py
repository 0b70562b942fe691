"""A worker process whose worker is of a user's class (workers/foreign.py): the same life, with that class in charge.

The class boots by its own order of things, and asks this process for what each step needs (`Engine`). Then either our
kind serves, called from the class's `run`, and all is as in worker.py, the class's methods called on the way; or the
class has a loop of its own, of which the process knows only that it lives:

    ready        its first notify() after it has booted
    heartbeat    its notify()
    orders       a thread hears the master, and sends this process the signal that stands for an order: TERM to
                 finish and leave, as `pkill` would
    end of file on the channel    the master is dead: TERM, and the end `ORPHAN_S` later whatever the class does

Rules for editing: a real thread (ostler.real), for the class may have patched every other kind; it does nothing that
waits for the application. What the class raises is told, and ends the process with the status that Gunicorn gave it.
"""

import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Final, NoReturn

from ostler import real
from ostler.app.loader import apply_paths
from ostler.config.usercode import describe_exception
from ostler.drivers.loop import Loop
from ostler.errors import BootError, OstlerError
from ostler.logline import fields
from ostler.observe.pressure import CpuShare
from ostler.observe.scoreboard import WorkerState
from ostler.process.belongings import Belongings
from ostler.process.channel import (
    BootFailed,
    CertificateFiles,
    LogFiles,
    LogLevel,
    LogsRequest,
    Message,
    Notice,
    Ready,
    Retire,
    Stop,
)
from ostler.process.descriptors import make_room_for
from ostler.process.parent import outlive_parent
from ostler.process.signals import WORKER_IGNORES, ignore, let_go_of_wakeup
from ostler.roles.assembly import WorkerStart
from ostler.roles.booting import Handler, prepare, same_process
from ostler.roles.changes import watch_files
from ostler.roles.orphans import ORPHAN_S, after, end_orphans, parting_words
from ostler.roles.recycling import Recycling, draw_request_limit
from ostler.roles.worker import WorkerRole
from ostler.workers.foreign import UserWorker

_TICK_MS: Final = 1000
_UNHANDLED: Final = 255
"""The status of a worker that served, and whose class raised."""
OURS_ALONE: Final = (
    "access_log_skip", "asgi_disconnect_grace_period", "asgi_lifespan", "asgi_loop", "body_min_rate", "body_timeout",
    "body_total_timeout", "casefold_http_method", "forwarder_headers", "handshake_timeout", "header_map",
    "header_timeout", "health_paths", "lame_duck", "limit_request_body", "limit_request_field_size",
    "limit_request_fields", "limit_request_line", "lingering_timeout", "permit_obsolete_folding",
    "permit_unconventional_http_method", "permit_unconventional_http_version", "post_request", "pre_request",
    "protocol", "proxy_allow_ips", "proxy_protocol", "queue_timeout", "readiness_path", "reload_canary",
    "reload_check", "remote_addr_from", "request_buffering",
    "request_timeout", "request_timeout_hard", "request_timeout_paths", "root_path", "secure_scheme_headers",
    "sendfile", "sni_certificates", "ssl_context", "strip_header_spaces", "suppress_ragged_eofs", "threads",
    "tmp_upload_dir", "trusted_hops", "uwsgi_allow_ips", "websocket_max_message_size",
    "worker_connections", "write_min_rate", "write_timeout", "ws_per_message_deflate", "ws_ping_interval",
    "ws_ping_timeout",
)  # fmt: skip
"""Settings that our own loop acts on, and that a class with a loop of its own does not know, as far as we can tell."""

_getpid = os.getpid
_kill = os.kill
_monotonic = time.monotonic


class OwnWorkerRole(WorkerRole):
    """The process, and the Engine of its worker."""

    def __init__(self, start: WorkerStart, be_worker: Callable[[WorkerStart], NoReturn]) -> None:
        super().__init__(start, be_worker)
        self._user: UserWorker | None = None
        self._told = False
        """Somebody has told it to leave, or it has told the master."""
        self._over = False
        """Its run() has ended."""
        self._passing_on_logs = False
        self._listening = False
        self._line = Belongings()
        """The class may close what it likes, and the number of our channel may be its own then."""

    @property
    def user(self) -> UserWorker:
        assert self._user is not None
        return self._user

    def run(self) -> int:
        """See `WorkerRole`."""
        self._enter()
        try:
            with same_process(self.start):
                apply_paths(self.settings)
                self.facts.request_limit = draw_request_limit(self.settings)
                self._user = self.start.hook_arguments.make_worker(self.facts, self)
            self.hooks.post_fork()
        except OstlerError as error:
            return self._boot_failed(error)
        try:
            try:
                self.user.run()
            finally:
                self._outlive_run()
            status = 0
        except OstlerError as error:
            if not self.ready:
                return self._boot_failed(error)
            self.log.error("%s", fields("the worker class failed", worker_class=self.user.name, error=error))
            status = error.exit_status
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else int(error.code is not None)
            if not self.ready:
                return self._not_served(status, f"{self.user.name} left with status {status} before it was ready")
        except BaseException as error:  # noqa: BLE001  the border to a user's class
            summary, text = describe_exception(error)
            self.log.error("the worker class raised\n%s", text.rstrip())
            if not self.ready:
                return self._not_served(BootError.exit_status, f"{self.user.name} raised {summary}")
            status = _UNHANDLED
        if not self.ready and not self.check_failed:
            return self._not_served(0, f"{self.user.name} returned from its run() before it was ready")
        return self._end(self.worker) or status

    def _outlive_run(self) -> None:
        """Hooks and atexit functions are still to be called, and loops put the system's default back when they end."""
        self._over = True
        if self.loop is None:
            let_go_of_wakeup()
            signal.signal(signal.SIGTERM, self._end_run)

    def _not_served(self, status: int, summary: str) -> int:
        """What the class has logged itself says more."""
        status = status or BootError.exit_status
        self.start.channel.send(BootFailed(status, f"{summary}; look for its own lines above"))
        self.hooks.worker_exit()
        return status

    # -- Engine: what the class asks for

    def prepare(self) -> None:
        """See `Engine`."""
        prepare(self.user.prepares)

    def become_user(self) -> None:
        """See `Engine`."""
        self._become_user()

    def signals_are_set(self) -> None:
        """See `Engine`. What the class has put back to the system's default would end the worker by mistake."""
        if self.user.kind:
            return
        ignore(number for number in WORKER_IGNORES if signal.getsignal(number) is signal.SIG_DFL)
        stands_in: dict[signal.Signals, Handler] = {signal.SIGABRT: self._abort}
        stands_in |= dict.fromkeys((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT), self._end_run)
        for number, handler in stands_in.items():
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, handler)

    def load(self) -> object:
        """See `Engine`."""
        if self.facts.application is None:
            self.facts.application = self._load(self._prepares())
        return self.facts.application

    def booted(self) -> None:
        """See `Engine`."""
        self.hooks.post_worker_init()
        make_room_for(self.settings.worker_connections)

    def serve(self, application: object) -> None:
        """See `Engine`."""
        self.facts.request_limit = self.user.request_limit
        settings = replace(self.settings, worker_class=self.user.prepares)
        worker = self._assemble(replace(self.start, settings=settings), application, self.user.around)
        if self.user.unheard:
            self._notice("methods that are replaced and that nobody calls here", names=",".join(self.user.unheard))
        self._serve(worker)

    def beat(self) -> None:
        """See `Engine`."""
        if self.loop is not None:
            return  # our own beats
        now = _monotonic()
        self.page.beat(now)
        if not self.ready and self._user is not None and self._user.is_booted:
            self._begin_alone(now)

    def leaves(self) -> None:
        """See `Engine`."""
        if self.ready and not self._told:
            self._told = True
            self._ask_to_retire("max_requests" if self.facts.request_limit else "signal")

    def interrupted(self) -> None:
        """See `Engine`."""
        self._told = True
        self.hooks.worker_int()

    def aborted(self) -> None:
        """See `Engine`."""
        self.hooks.worker_abort()

    def ask_for_logs(self) -> None:
        """See `Engine`."""
        if self._passing_on_logs:
            self._passing_on_logs = False
        else:
            self.start.channel.send(LogsRequest())

    # -- with a loop of its own

    def _begin_alone(self, now: float) -> None:
        """It serves. Where the class says so in a thread that is not the main one, the kernel's signal stays on."""
        outlive_parent()
        if self.settings.reload:
            self.watcher = watch_files(self.settings, self._changed, self.log)
        self.ready = True
        self.page.forget_work()
        self.page.state = WorkerState.BUSY  # siblings hand connections to idle ones, and it takes none
        self.recycling = Recycling.begin(self.settings, self.page, self._ask_to_retire, self.log.log, now)
        vain = [name for name in OURS_ALONE if self.settings.origin(name) != "default"]
        if vain:
            self._notice("settings without effect on a worker class with a loop of its own", names=",".join(vain))
        self._listening = True
        self._line.add("channel to the master", self.start.channel.fileno)
        real.Thread(self._listen, "ostler-orders").start()
        self.start.channel.send(Ready(round((now - self.began) * 1000), receives=False))

    def _end_run(self, number: int, _frame: FrameType | None) -> None:
        """Instead of the system's default, with which hooks and atexit functions would not be called.

        uvicorn's server raises the signal that ended it once more when it is done, at whatever was there before it.
        """
        if self.ready and not self._over:
            raise SystemExit(0)
        if not self.ready and number != signal.SIGTERM:  # which is the master's to answer
            os._exit(0)

    def _notice(self, text: str, **more: str) -> None:
        self.start.channel.send(Notice(fields(text, worker_class=self.user.name, **more)))

    def _listen(self) -> None:
        poller = real.poll()
        poller.register(self.start.channel.fileno(), select.POLLIN)
        load = CpuShare(self.start.scoreboard.pressures.of(self.start.page))
        while self._listening:
            ready = poller.poll(_TICK_MS)
            load.tell(_monotonic())
            self._tick()
            if ready:
                self._hear_master()

    def _hear_master(self) -> None:
        if self.loop is not None:
            super()._hear_master()
            return
        messages = None if self._line.lost() else self.start.channel.receive()
        if messages is None:
            self._listening = False
            self._told = self.orphaned = True
            self.log.error("%s", parting_words(self.start.parent_pid))
            after(ORPHAN_S, lambda: end_orphans(self.start.scoreboard, self.start.parent_pid))
            _kill(_getpid(), signal.SIGTERM)
            return
        for message in messages:
            self._obey(message)

    def _hear(self, message: Message, loop: Loop) -> None:
        super()._hear(message, loop)
        if isinstance(message, Retire | Stop):
            self._told = True
            self.user.told_to_leave()
        elif isinstance(message, LogFiles):
            self._passing_on_logs = True
            self.user.logs_taken()
            self._passing_on_logs = False

    def _obey(self, message: Message) -> None:
        match message:
            case Retire() | Stop():
                self._told = True
                self.page.state = WorkerState.RETIRING
                if not self._over:
                    _kill(_getpid(), signal.SIGTERM)
            case LogFiles(names, fds, others=others):
                self.logs.take(names, fds, others=others)
                if self.user.hears_of_logs:
                    self._passing_on_logs = True
                    _kill(_getpid(), signal.SIGUSR1)
            case LogLevel(level):
                self.logs.change_level(level or None)
            case CertificateFiles(fds):
                for fd in fds:
                    os.close(fd)
            case _:
                pass

    # -- what worker.py does, with the class's methods

    def _prepares(self) -> str:
        """Greenlets are the class's to prepare: it may patch in its own way."""
        kind = self.user.prepares
        return "" if kind in ("gevent", "eventlet") else kind

    def _say_words_of_stop(self) -> None:
        self._told = True
        self.user.told_to_leave_now()

    def _say_words_of_abort(self) -> None:
        if self._user is None:
            super()._say_words_of_abort()
        else:
            self.user.told_to_abort()

    def _tick(self) -> None:
        super()._tick()
        if self.loop is not None:
            self.user.tick()
