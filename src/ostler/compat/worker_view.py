"""worker, as the hooks get it, and what hangs on it: its sockets and app. See look_alike.py for the rules.

A worker is an object of the class that Gunicorn's worker of the same kind is called, and that is what
server.worker_class and cfg.worker_class are.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from ostler.compat.look_alike import LookAlike
from ostler.compat.shapes import bound_address
from ostler.config.settings import Settings
from ostler.observe.hooks import ListenerFacts, WorkerFacts

CfgOf = Callable[[Settings, object], Any]
"""From settings and their log to the cfg that shows them; the same one each time."""

_LATE: Final = {
    "wsgi": "the application is loaded in the worker, and is to be had from post_worker_init on",
    "max_requests": "its jitter is not drawn yet",
}

_kill = os.kill
_getpid = os.getpid


class ListenerView:
    """A listening socket: str() is its URL, everything else is the socket's."""

    def __init__(self, facts: ListenerFacts, cfg: Any) -> None:
        self.sock = facts.socket
        self.conf = cfg
        self.FAMILY = facts.socket.family
        self.cfg_addr = bound_address(facts.address)
        self._name = facts.name

    def __str__(self) -> str:
        return self._name

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)


class ApplicationView(LookAlike):
    """server.app and worker.app."""

    _called = "app"
    _absent = "usage prog logger load reload run init load_config do_load_config load_default_config chdir"

    def __init__(self, settings: Settings, cfg: Any, application: object) -> None:
        self.cfg = cfg
        self.app_uri = settings.wsgi_app
        self.callable = application

    def wsgi(self) -> Any:
        """Raises RuntimeError where it is not loaded."""
        if self.callable is None:
            cure = "ask for it in a worker, from post_worker_init on"
            raise RuntimeError(f"app.wsgi: the application is loaded in the workers only, never in the master; {cure}")
        return self.callable


class HeartView(LookAlike):
    """worker.tmp: Gunicorn's workers show that they live by touching a file, ours in shared memory, by themselves."""

    _called = "worker.tmp"
    _reasons: ClassVar[Mapping[str, str]] = {"fileno": "a worker's heart beats in shared memory, there is no file"}

    def __init__(self, worker: "WorkerView") -> None:
        self._worker = worker

    def notify(self) -> None:
        """Nothing is left to do."""

    def last_update(self) -> float:
        """Seconds, of time.monotonic()."""
        return self._worker.last_beat

    def close(self) -> None:
        """Nothing is open."""


class WorkerView(LookAlike):
    """The Worker of all hooks that get one."""

    _called = "worker"
    _absent = (
        "PIPE wait_fds SIGNALS init_process load_wsgi init_signals run handle_exit handle_quit handle_abort"
        " handle_usr1 handle_winch handle_error handle handle_request get_thread_pool"
    )

    def __init__(self, facts: WorkerFacts, cfg_of: CfgOf) -> None:
        self._facts = facts
        self._cfg_of = cfg_of
        self._leaving = False
        self.tmp = HeartView(self)
        self.reloader = None  # the server's, and not to be had
        self._own = frozenset(vars(self)) | {"_own"}

    def see(self, facts: WorkerFacts) -> None:
        self._facts = facts

    def __getattr__(self, name: str) -> Any:
        if name == "wsgi" and self._facts.application is not None:
            return self._facts.application
        problem = f"worker.{name}: {_LATE[name]}" if name in _LATE else self._problem(name)
        raise AttributeError(problem, name=name, obj=self)

    def __str__(self) -> str:
        return f"<Worker {self.pid}>"

    @property
    def pid(self) -> int | str:
        return self._facts.pid or "[booting]"

    @property
    def ppid(self) -> int:
        return self._facts.ppid

    @property
    def age(self) -> int:
        return self._facts.age

    @property
    def cfg(self) -> Any:
        return self._cfg_of(self._facts.settings, self._facts.log)

    @property
    def log(self) -> Any:
        return self._facts.log

    @property
    def app(self) -> ApplicationView:
        return ApplicationView(self._facts.settings, self.cfg, self._facts.application)

    @property
    def timeout(self) -> float:
        return self._facts.settings.timeout / 2

    @property
    def sockets(self) -> list[ListenerView]:
        return [ListenerView(listener, self.cfg) for listener in self._facts.listeners]

    @property
    def nr(self) -> int:
        return self._facts.page.requests

    @property
    def max_requests(self) -> int:
        settings, limit = self._facts.settings, self._facts.request_limit
        if settings.max_requests == 0:
            return sys.maxsize
        if limit == 0 and settings.max_requests_jitter:
            raise AttributeError  # Python asks __getattr__ then, which says why
        return limit or settings.max_requests

    @property
    def alive(self) -> bool:
        return self._facts.alive and not self._leaving

    @alive.setter
    def alive(self, alive: bool) -> None:
        """False in the worker itself: it finishes what it serves and is replaced, as after `max_requests`."""
        if bool(alive) == self.alive:
            return
        if alive or self._facts.pid != _getpid() or not self._facts.booted:
            raise AttributeError("worker.alive: only a worker that serves can set it, to False", name="alive", obj=self)
        self._leaving = True
        _kill(self._facts.pid, signal.SIGTERM)

    @property
    def booted(self) -> bool:
        return self._facts.booted

    @property
    def aborted(self) -> bool:
        return self._facts.aborted

    @property
    def last_beat(self) -> float:
        return self._facts.page.last_beat

    def notify(self) -> None:
        """Nothing is left to do: the heart beats by itself."""


def stored_on(worker: WorkerView) -> dict[str, Any]:
    """The attributes that hooks have put there."""
    own = vars(worker)["_own"]
    return {name: value for name, value in vars(worker).items() if name not in own}


class SyncWorker(WorkerView):
    __module__ = "gunicorn.workers.sync"


class ThreadWorker(WorkerView):
    __module__ = "gunicorn.workers.gthread"


KINDS: Final[dict[str, type[WorkerView]]] = {"sync": SyncWorker, "gthread": ThreadWorker}
