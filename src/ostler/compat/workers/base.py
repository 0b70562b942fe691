"""`gunicorn.workers.base`: Worker, from which users derive their own, and which hooks are given.

Three lives of one class:

    a view       of a worker, as the server knows it (hooks in the master; the usual kinds): `Worker.of_facts`; __init__
                 is not called, what can be known is read from the facts
    of a server  an object of a user's class in its own process: made with Gunicorn's arguments and `link`ed first, so
                 that the methods below ask the process (workers/foreign.py: Engine) for what they do
    by itself    made by a script or a test: attributes only

Rules for editing: methods call each other as Gunicorn's do: init_process -> init_signals, load_wsgi, run. What derives
from this overrides any of them. Attributes that the server knows (`_Known`) give way to what a class sets itself.
"""

import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Self

from ostler.compat.look_alike import LookAlike
from ostler.compat.worker_view import ApplicationView, CfgOf, HeartView, ListenerView
from ostler.observe.hooks import WorkerFacts
from ostler.workers.foreign import Engine

_LATE: Final = {
    "wsgi": "the application is loaded in the worker, and is to be had from post_worker_init on",
    "max_requests": "its jitter is not drawn yet",
}
_LAST_WORDS_S: Final = 0.1  # what Gunicorn's workers wait before a quick stop

_kill = os.kill
_getpid = os.getpid
_sleep = time.sleep


class Link:
    """How a worker hangs on a server. engine: None for a view."""

    def __init__(self, facts: WorkerFacts, cfg_of: CfgOf, engine: Engine | None = None) -> None:
        self.facts = facts
        self.cfg_of = cfg_of
        self.engine = engine
        self.leaving = False

    @property
    def cfg(self) -> Any:
        return self.cfg_of(self.facts.settings, self.facts.log)

    @property
    def sockets(self) -> list[ListenerView]:
        engine, cfg = self.engine, self.cfg
        left = None if engine is None else engine.leaves
        return [ListenerView(listener, cfg, left) for listener in self.facts.listeners]

    @property
    def app(self) -> Any:
        cfg, load = self.cfg, None if self.engine is None else self.engine.load
        if cfg.ostler_app is not None and load is None:
            return cfg.ostler_app
        return ApplicationView(self.facts.settings, cfg, self.facts.application, load)

    @property
    def max_requests(self) -> int:
        settings, limit = self.facts.settings, self.facts.request_limit
        if settings.max_requests == 0:
            return sys.maxsize
        if limit == 0 and settings.max_requests_jitter:
            raise AttributeError  # Python asks __getattr__ then, which says why
        return limit or settings.max_requests


class _Known:
    """An attribute that the server knows, as long as nobody has set it on the worker."""

    def __init__(self, read: Callable[[Link], Any], alone: Any = None) -> None:
        """alone: its value where there is no server."""
        self._read = read
        self._alone = alone

    def __get__(self, worker: "Worker | None", _: object = None) -> Any:
        link = None if worker is None else vars(worker).get("_link")
        return self._alone if link is None else self._read(link)


class Worker(LookAlike):
    """See the module; the arguments are those of Gunicorn's."""

    _called = "worker"
    _absent = "wait_fds"
    _kind: ClassVar[str] = ""
    """The kind of ours that serves those that leave `run` alone."""
    _unheard: ClassVar[tuple[str, ...]] = ()
    """Methods of Gunicorn's class that nobody calls where we serve."""

    SIGNALS: ClassVar[list[signal.Signals]] = [
        signal.Signals[f"SIG{name}"] for name in ["ABRT", "HUP", "QUIT", "INT", "TERM", "USR1", "USR2", "WINCH", "CHLD"]
    ]
    PIPE: Any = ()
    reloader: Any = None  # the server's, and not to be had

    pid: Any = _Known(lambda link: link.facts.pid or "[booting]", "[booting]")
    ppid: Any = _Known(lambda link: link.facts.ppid)
    age: Any = _Known(lambda link: link.facts.age)
    cfg: Any = _Known(lambda link: link.cfg)
    log: Any = _Known(lambda link: link.facts.log)
    app: Any = _Known(lambda link: link.app)
    sockets: Any = _Known(lambda link: link.sockets)
    timeout: Any = _Known(lambda link: link.facts.settings.timeout / 2)
    nr: Any = _Known(lambda link: link.facts.page.requests, 0)
    max_requests: Any = _Known(lambda link: link.max_requests)
    alive: Any = _Known(lambda link: link.facts.alive and not link.leaving, True)
    booted: Any = _Known(lambda link: link.facts.booted, False)
    aborted: Any = _Known(lambda link: link.facts.aborted, False)
    last_beat: Any = _Known(lambda link: link.facts.page.last_beat, 0.0)

    def __init__(  # noqa: PLR0913, PLR0917  Gunicorn's arguments
        self, age: Any, ppid: Any, sockets: Any, app: Any, timeout: Any, cfg: Any, log: Any
    ) -> None:
        self.age = age
        self.ppid = ppid
        self.sockets = sockets
        self.app = app
        self.timeout = timeout
        self.cfg = cfg
        self.log = log
        self.tmp = HeartView(self)
        if "_link" not in vars(self):
            limit = cfg.max_requests
            self.max_requests = limit + random.randint(0, cfg.max_requests_jitter) if limit else sys.maxsize

    @classmethod
    def of_facts(cls, facts: WorkerFacts, cfg_of: CfgOf) -> Self:
        """A view."""
        made = cls.__new__(cls)
        vars(made)["_link"] = Link(facts, cfg_of)
        vars(made)["tmp"] = HeartView(made)
        return made

    @classmethod
    def in_process(cls, facts: WorkerFacts, cfg_of: CfgOf, engine: Engine) -> Self:
        """A worker of this class, in its own process. Raises what its __init__ raises."""
        made = cls.__new__(cls)
        link = vars(made)["_link"] = Link(facts, cfg_of, engine)
        timeout = facts.settings.timeout / 2
        cls.__init__(made, facts.age, facts.ppid, link.sockets, link.app, timeout, link.cfg, facts.log)
        return made

    def __getattr__(self, name: str) -> Any:
        link = vars(self).get("_link")
        if name == "wsgi" and link is not None and link.facts.application is not None:
            return link.facts.application
        problem = f"worker.{name}: {_LATE[name]}" if name in _LATE else self._problem(name)
        raise AttributeError(problem, name=name, obj=self)

    def __setattr__(self, name: str, value: object) -> None:
        link = vars(self).get("_link")
        if link is None or name not in _KNOWN:
            super().__setattr__(name, value)
        elif name == "alive":
            self._set_alive(link, bool(value))
        elif link.engine is None:
            raise AttributeError(f"worker.{name} is the server's, and cannot be set by a hook", name=name, obj=self)
        else:
            super().__setattr__(name, value)

    def _set_alive(self, link: Link, alive: bool) -> None:
        """False in the worker itself: it finishes what it serves and is replaced, as after `max_requests`."""
        if alive == self.alive:
            return
        if link.engine is not None:
            vars(self)["alive"] = alive
            if not alive:
                link.engine.leaves()
            return
        if alive or link.facts.pid != _getpid() or not link.facts.booted:
            raise AttributeError("worker.alive: only a worker that serves can set it, to False", name="alive", obj=self)
        link.leaving = True
        _kill(link.facts.pid, signal.SIGTERM)

    def __str__(self) -> str:
        return f"<Worker {self.pid}>"

    def _engine(self, method: str) -> Engine:
        """The process. Raises RuntimeError where `method` would do things to another worker, or to none."""
        link = vars(self).get("_link")
        if link is None or link.engine is None:
            raise RuntimeError(f"worker.{method}: only the process of a worker can call this, and only of its own")
        return link.engine  # type: ignore[no-any-return]

    def _is_served(self) -> bool:
        """Whether our own loop serves, which it does in `run`."""
        return bool(self._kind) and type(self).run is Worker.run

    # -- what Gunicorn's arbiter calls, and users override ----------------------------------------------------

    def notify(self) -> None:
        """I live. To be called at least every `timeout` seconds by a class with a loop of its own."""
        self._beat()

    def _beat(self) -> None:
        link = vars(self).get("_link")
        if link is not None and link.engine is not None:
            link.engine.beat()

    def init_process(self) -> None:
        """Boot, and serve; returns when that is over."""
        engine = self._engine("init_process")
        engine.become_user()
        if not self._is_served():
            self.PIPE = os.pipe()
            for end in self.PIPE:
                os.set_blocking(end, False)
            self.wait_fds = [*self.sockets, self.PIPE[0]]
        self.init_signals()
        engine.signals_are_set()
        self.load_wsgi()
        engine.booted()
        self.booted = True
        self.run()

    def init_signals(self) -> None:
        """The handlers of a loop of one's own; where we serve, ours are installed by the server."""
        if self._is_served():
            return
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        handlers = {
            signal.SIGQUIT: self.handle_quit,
            signal.SIGTERM: self.handle_exit,
            signal.SIGINT: self.handle_quit,
            signal.SIGWINCH: self.handle_winch,
            signal.SIGUSR1: self.handle_usr1,
            signal.SIGABRT: self.handle_abort,
        }
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in (signal.SIGTERM, signal.SIGUSR1):  # system calls of requests that run are not broken off
            signal.siginterrupt(number, False)
        if self.PIPE:
            signal.set_wakeup_fd(self.PIPE[1])

    def load_wsgi(self) -> None:
        """Raises AppLoadError, AppBootError."""
        self.wsgi = self.app.wsgi()

    def run(self) -> None:
        """Serve until it is time to leave."""
        engine = self._engine("run")
        if not self._kind:
            name = type(self).__qualname__
            raise NotImplementedError(f"{name} has no method run(), and derives from no class that has one")
        engine.serve(self._application())

    def _application(self) -> Any:
        return self.wsgi

    def handle_exit(self, sig: Any, frame: Any) -> None:
        """TERM: finish what is served, and leave."""
        self.alive = False

    def handle_quit(self, sig: Any, frame: Any) -> None:
        """QUIT or INT: leave now. Raises SystemExit."""
        vars(self)["alive"] = False
        self._engine("handle_quit").interrupted()
        _sleep(_LAST_WORDS_S)
        sys.exit(0)

    def handle_abort(self, sig: Any, frame: Any) -> None:
        """ABRT: the master takes this worker for hung. Raises SystemExit."""
        vars(self)["alive"] = False
        self._engine("handle_abort").aborted()
        sys.exit(1)

    def handle_usr1(self, sig: Any, frame: Any) -> None:
        """New log files: the master opens them, for all."""
        self._engine("handle_usr1").ask_for_logs()

    def handle_winch(self, sig: Any, fname: Any) -> None:
        """Nothing is left to do."""

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Of a loop of one's own: log what went wrong with a request, and answer it with a 500."""
        what = f"{req.method} {req.uri}" if hasattr(req, "method") and hasattr(req, "uri") else "(no request line)"
        self.log.error("Error handling request %s", what, exc_info=exc)
        head = b"HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        with contextlib.suppress(OSError):
            client.sendall(head)


_KNOWN: Final[Mapping[str, _Known]] = {name: value for name, value in vars(Worker).items() if isinstance(value, _Known)}


def see(worker: Worker, facts: WorkerFacts) -> None:
    """From now on these are its facts."""
    vars(worker)["_link"].facts = facts


def stored_on(worker: Worker) -> dict[str, Any]:
    """The attributes that hooks have put on a view."""
    return {name: value for name, value in vars(worker).items() if name not in ("_link", "tmp")}
