"""The one place that calls users' hooks.

Facts in, calls out: the master and the workers describe themselves with the small classes below, `HookArguments`
(made in `compat/hook_views.py`, injected by the cli) turns them into the Gunicorn-shaped objects that hooks expect.

Rules for editing. Hooks are not observers: they have an order, and what they raise matters:

    on_starting, when_ready          ConfigError: the server does not start
    ssl_context                      ConfigError: the server, or the new generation, does not start
    pre_exec                         the new master is not started
    post_fork, post_worker_init      BootError: the worker fails to boot
    pre_request                      goes on to the caller, the request becomes a 500
    all others                       logged with the hook's name and the user's traceback; the server goes on

SystemExit is treated as any exception: a hook cannot end a process silently. A generation pins its hooks, so
those about a worker come from that worker's settings, those about the server from the master's current ones.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from socket import socket
from typing import Any, Protocol

from ostler.config.address import Address
from ostler.config.settings import Settings
from ostler.config.usercode import describe_exception
from ostler.errors import BootError, ConfigError
from ostler.http.connection import Proxied
from ostler.lifecycle import Observer
from ostler.logline import escape, fields
from ostler.observe.logs import Logs
from ostler.observe.scoreboard import Page


class ListenerFacts(Protocol):
    """What hooks may know of a listener; `process.listeners.Listener` fits."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> Address: ...
    @property
    def socket(self) -> socket: ...


@dataclass(slots=True, eq=False)
class MasterFacts:
    """The server. One object for its whole life, kept up to date by the master: hooks read it when they look."""

    pid: int
    settings: Settings
    num_workers: int  # the goal, as TTIN and TTOU changed it
    listeners: tuple[ListenerFacts, ...]
    log: object  # what HookArguments.open_logger made for the current generation
    worker_age: int = 0  # of the youngest worker
    old_master_pid: int = 0  # we are its successor (USR2), and it still lives
    new_master_pid: int = 0  # our successor
    workers: "dict[int, WorkerFacts]" = field(default_factory=dict)  # live ones by pid


@dataclass(slots=True, eq=False)
class WorkerFacts:
    """One worker process: made by the master before the fork, and again by the child for itself.

    age: counts the workers of this master, never repeats; by it both are known to be the same worker.
    pid: 0 before the fork. application: None until it is loaded, and always in the master. request_limit: after so many
    requests it asks to be replaced, jitter included; 0: never, or (in the master, and until it is drawn) not known.
    """

    age: int
    ppid: int
    settings: Settings
    listeners: tuple[ListenerFacts, ...]
    page: Page
    log: object  # as in MasterFacts, of the worker's generation
    pid: int = 0
    booted: bool = False
    aborted: bool = False
    alive: bool = True
    application: object = None
    request_limit: int = 0


@dataclass(slots=True, eq=False)
class RequestFacts:
    """A request as its hooks may see it. peer: address as accepted, "" for unix. fields: names lower-cased."""

    method: str
    target: str
    path: str
    query: str
    fields: Sequence[tuple[str, str]]
    minor: int
    peer: tuple[str, int] | str
    scheme: str
    proxied: Proxied | None = None  # what a PROXY header said of the connection
    look_alike: object = None  # kept between pre_request and post_request: hooks store attributes on it


@dataclass(slots=True, eq=False)
class ResponseFacts:
    """A response when its last byte was queued. status: "200 OK", "" if none was started. sent: body bytes."""

    status: str
    fields: Sequence[tuple[str, str]]
    started: bool
    chunked: bool
    sent: int


class Orders(Protocol):
    """What the server object of hooks may have the master do: called in the master's one thread."""

    def spawn(self) -> int | None:
        """One worker more than the goal, for now. Its pid; None while it has none."""

    def send_away(self, pid: int) -> None:
        """This worker is to be replaced, by one of `spawn` if there is one."""

    def end_extras(self) -> None:
        """No more than the goal: as many of the oldest are sent away."""

    def change_goal(self, delta: int) -> None: ...

    def do_signal(self, number: int) -> bool:
        """While the server answers a signal in a way of its own: do what the master does at this one; else False."""

    def end_with(self, status: int) -> None:
        """The exit status of a stop that is to come."""


class HookArguments(Protocol):
    """Makes what hooks are called with. One object for master and workers, inherited through fork."""

    def open_logger(self, settings: Settings, logs: Logs) -> object:
        """The log that hooks are given, made by `logger_class` over the logs of a generation, which it may set up in
        its own way. Raises ConfigError when it cannot be made.
        """

    def access_observer(self, log: object) -> Observer | None:
        """Who writes the access log when `logger_class` does that in its own way; None: the usual one."""

    def introduce(self, master: MasterFacts) -> None:
        """The server of all later calls; once, before the first hook."""

    def server(self) -> object:
        """The same object each time."""

    def take_orders(self, orders: Orders) -> None:
        """Who does what the server object is asked for; once, in the master, before its loop."""

    def own(self, method: str) -> Callable[[], object] | None:
        """What the server object of a program that embeds us does in a way of its own; None: what everybody's does."""

    def config(self, settings: Settings, log: object) -> object:
        """What hooks know as cfg. The same object for each settings object."""

    def worker(self, facts: WorkerFacts) -> object:
        """The same object for each worker, also after the fork: what pre_fork stored on it, post_fork finds."""

    def attributes(self, facts: WorkerFacts) -> str:
        """What hooks have stored on this worker's object, as far as it can be sent to another process; "" is nothing.

        For `arrive`. What cannot be sent is named in the log of the worker's generation.
        """

    def arrive(self, facts: WorkerFacts, attributes: str) -> None:
        """In a worker that a mold has forked, before its first hook: what the mold had of the master is old."""

    def forget(self, facts: WorkerFacts) -> None:
        """No hook will ask for this worker again."""

    def request(self, facts: RequestFacts) -> object: ...
    def response(self, facts: ResponseFacts) -> object: ...


class MasterHooks:
    """The hooks that run in the master."""

    def __init__(self, facts: MasterFacts, arguments: HookArguments, log: logging.Logger) -> None:
        self._facts = facts
        self._arguments = arguments
        self._log = log
        arguments.introduce(facts)

    def on_starting(self) -> None:
        """Raises ConfigError when the hook raises."""
        self._start_hook("on_starting", self._facts.settings.hooks.on_starting)

    def when_ready(self) -> None:
        """Raises ConfigError when the hook raises."""
        self._start_hook("when_ready", self._facts.settings.hooks.when_ready)

    def on_reload(self) -> None:
        self._server_hook("on_reload", self._facts.settings.hooks.on_reload)

    def pre_exec(self) -> None:
        """In the child that becomes the new master. Raises SystemExit when the hook raises."""
        if (hook := self._facts.settings.hooks.pre_exec) is not None:
            try:
                hook(self._arguments.server())
            except (Exception, SystemExit) as error:
                log_failure(self._log, "hook failed, no new master is started", "pre_exec", error)
                raise SystemExit(1) from error

    def on_exit(self) -> None:
        self._server_hook("on_exit", self._facts.settings.hooks.on_exit)

    def pre_fork(self, worker: WorkerFacts) -> None:
        self._worker_hook("pre_fork", worker.settings.hooks.pre_fork, worker)

    def child_exit(self, worker: WorkerFacts) -> None:
        """The worker was reaped; nothing is asked about it any more."""
        self._worker_hook("child_exit", worker.settings.hooks.child_exit, worker)
        self._arguments.forget(worker)

    def nworkers_changed(self, new: int, old: int | None) -> None:
        """old: None the first time."""
        if (hook := self._facts.settings.hooks.nworkers_changed) is not None:
            call_logged(self._log, "nworkers_changed", hook, self._arguments.server(), new, old)

    def _start_hook(self, name: str, hook: Callable[..., object] | None) -> None:
        if hook is not None:
            try:
                hook(self._arguments.server())
            except (Exception, SystemExit) as error:
                log_failure(self._log, "hook failed, the server does not start", name, error)
                raise ConfigError(_summary(name, error)) from error

    def _server_hook(self, name: str, hook: Callable[..., object] | None) -> None:
        if hook is not None:
            call_logged(self._log, name, hook, self._arguments.server())

    def _worker_hook(self, name: str, hook: Callable[..., object] | None, worker: WorkerFacts) -> None:
        if hook is not None:
            call_logged(self._log, name, hook, self._arguments.server(), self._arguments.worker(worker))


class WorkerHooks:
    """The hooks that run in a worker; keeps the booted and alive of its facts as Gunicorn's hooks see them."""

    def __init__(self, facts: WorkerFacts, arguments: HookArguments, log: logging.Logger) -> None:
        self._facts = facts
        self._arguments = arguments
        self._log = log
        self._hooks = facts.settings.hooks
        # False: the server builds no facts and calls nothing for requests
        self._says_requests = self._hooks.pre_request is None and log.isEnabledFor(logging.DEBUG)
        self.wants_requests = (
            self._says_requests or self._hooks.pre_request is not None or self._hooks.post_request is not None
        )

    def post_fork(self) -> None:
        """Raises BootError when the hook raises."""
        if (hook := self._hooks.post_fork) is not None:
            self._boot("post_fork", hook, self._arguments.server(), self._arguments.worker(self._facts))

    def post_worker_init(self) -> None:
        """The application is loaded. Raises BootError when the hook raises."""
        if (hook := self._hooks.post_worker_init) is not None:
            self._boot("post_worker_init", hook, self._arguments.worker(self._facts))
        self._facts.booted = True

    def worker_int(self) -> None:
        self._facts.alive = False
        self._last_words("worker_int", self._hooks.worker_int)

    def worker_abort(self) -> None:
        self._facts.alive = False
        self._facts.aborted = True
        self._last_words("worker_abort", self._hooks.worker_abort)

    def worker_exit(self) -> None:
        self._facts.alive = False
        if (hook := self._hooks.worker_exit) is not None:
            server, worker = self._arguments.server(), self._arguments.worker(self._facts)
            call_logged(self._log, "worker_exit", hook, server, worker)

    def pre_request(self, facts: RequestFacts) -> None:
        """Raises what the hook raises, SystemExit as RuntimeError: the request is to be answered with a 500.

        Without a hook, Gunicorn's own stands: a line for each request at level debug.
        """
        if self._says_requests:
            self._log.debug("%s %s", facts.method, escape(facts.path))
        if (hook := self._hooks.pre_request) is not None:
            try:
                hook(self._arguments.worker(self._facts), self._request(facts))
            except SystemExit as error:
                raise RuntimeError(_summary("pre_request", error)) from error

    def post_request(self, facts: RequestFacts, environ: Mapping[str, Any], response: ResponseFacts) -> None:
        # it takes four arguments: the settings have wrapped one that was written for two or three
        if (hook := self._hooks.post_request) is not None:
            worker, request = self._arguments.worker(self._facts), self._request(facts)
            call_logged(self._log, "post_request", hook, worker, request, environ, self._arguments.response(response))

    def _request(self, facts: RequestFacts) -> object:
        if facts.look_alike is None:
            facts.look_alike = self._arguments.request(facts)
        return facts.look_alike

    def _boot(self, name: str, hook: Callable[..., object], *arguments: object) -> None:
        try:
            hook(*arguments)
        except (Exception, SystemExit) as error:
            log_failure(self._log, "hook failed, the worker does not boot", name, error)
            raise BootError(_summary(name, error)) from error

    def _last_words(self, name: str, hook: Callable[..., object] | None) -> None:
        if hook is not None:
            call_logged(self._log, name, hook, self._arguments.worker(self._facts))


def call_ssl_context(
    hook: Callable[..., object], config: object, factory: Callable[[], object], log: logging.Logger
) -> object:
    """What the hook returned. Raises ConfigError: the hook raised, or the default context could not be made."""
    try:
        return hook(config, factory)
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        log_failure(log, "hook failed, there is no SSL context", "ssl_context", error)
        raise ConfigError(_summary("ssl_context", error)) from error


def call_logged(log: logging.Logger, name: str, hook: Callable[..., object], *arguments: object) -> None:
    """Call a hook whose failure changes nothing."""
    try:
        hook(*arguments)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a border; log_failure tells everything
        log_failure(log, "hook failed, the server goes on", name, error)


def log_failure(log: logging.Logger, sentence: str, name: str, error: BaseException) -> None:
    """One line that names the hook, then the user's stack without our own frame."""
    _, text = describe_exception(error)
    log.error("%s\n%s", fields(sentence, hook=name), text.rstrip("\n"))


def _summary(name: str, error: BaseException) -> str:
    summary, _ = describe_exception(error)
    return f"{name}: the hook raised {summary}"
