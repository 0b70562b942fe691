"""Which class `worker_class` means, and a worker of a user's class as its process sees it (workers/foreign.py).

A class is named by its path, as `egg:DIST#NAME` or NAME (entry point group gunicorn.workers), or is one of the
configuration file's own. The master never imports one: it may live in the application's package, which is to be new
in each worker.

Rules for editing: whatever a user's module raises while it is imported is a BootError with its cause; whatever a
user's method raises costs what it was called for, and no more.
"""

import importlib.metadata
import inspect
import logging
import signal
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from ostler.compat.finder import ours
from ostler.compat.logger_class import load_class
from ostler.compat.worker_view import CfgOf
from ostler.compat.workers import class_of_kind
from ostler.compat.workers.base import Worker
from ostler.compat.workers.calls import Call, around, through_pool
from ostler.config.sections.workers import GROUP, is_kind
from ostler.config.settings import Settings
from ostler.config.usercode import describe_exception
from ostler.errors import BootError, OstlerError
from ostler.observe.hooks import WorkerFacts
from ostler.workers.foreign import Around, Engine, Runner, Served

_CURE: Final = "name a class that derives from gunicorn.workers.base.Worker"
_LOOK_ALIKES: Final = "ostler.compat.workers"
_BY_KIND: Final[Mapping[str, Callable[[Any, Call], object]]] = {
    "sync": lambda worker, call: worker.handle_request(call, call.request(), call, call.getpeername()),
    "gthread": lambda worker, call: worker.handle_request(call.request(), call),
    **dict.fromkeys(
        ("gevent", "eventlet"),
        lambda worker, call: worker.handle_request(call.getsockname(), call.request(), call, call.getpeername()),
    ),
}
"""How Gunicorn's workers of each kind call handle_request."""


def known_class(settings: Settings) -> type:
    """cfg.worker_class: the class, as far as this process has imported it; else Worker."""
    given = settings.worker_class
    if not isinstance(given, str):
        return given
    if is_kind(given):
        return class_of_kind(given)  # type: ignore[no-any-return]
    module, _, name = given.rpartition(".")
    found = getattr(sys.modules.get(ours(module) or module), name, None)
    return found if inspect.isclass(found) else Worker


def name_of(settings: Settings) -> str:
    """cfg.worker_class_str."""
    given = settings.worker_class
    return given if isinstance(given, str) else given.__name__


def import_class(settings: Settings) -> type[Worker]:
    """The user's class. Raises BootError."""
    given = settings.worker_class
    name = given if isinstance(given, str) else f"{given.__module__}.{given.__qualname__}"
    try:
        found = given if not isinstance(given, str) else _found(given)
    except BaseException as error:
        summary, _ = describe_exception(error)
        cure = "install its package, or look at chdir and pythonpath" if isinstance(error, ImportError) else _CURE
        raise BootError(f"worker_class: cannot import {name}: {summary}; {cure}") from error
    if not inspect.isclass(found):
        raise BootError(f"worker_class: expected a class, {name} is of type {type(found).__name__}; {_CURE}")
    if not issubclass(found, Worker):
        bases = ", ".join(f"{base.__module__}.{base.__qualname__}" for base in found.__mro__[1:-1]) or "none"
        raise BootError(f"worker_class: expected a class that derives from Worker, bases of {name}: {bases}; {_CURE}")
    return found


def _found(path: str) -> Any:
    if path.startswith("egg:") or "." in path:
        return load_class(path, GROUP, class_of_kind("sync"))
    for entry in importlib.metadata.entry_points(group=GROUP, name=path):
        return entry.load()
    raise ImportError(f"no installed distribution has an entry point {path!r} in the group {GROUP}")


def set_up(found: type[Worker], cfg: Any, log: Any) -> None:
    """Call its classmethods setup() and check_config(cfg, log), if it has them. Raises BootError."""
    for name, arguments in (("setup", ()), ("check_config", (cfg, log))):
        method = getattr(found, name, None)
        if method is not None:
            try:
                method(*arguments)
            except OstlerError:
                raise
            except BaseException as error:
                summary, _ = describe_exception(error)
                text = f"worker_class: {found.__module__}.{found.__qualname__}.{name}() raised {summary}"
                raise BootError(text) from error


def prepares(found: type[Worker]) -> str:
    """See UserWorker.prepares."""
    return found._kind


class OwnWorker:
    """A UserWorker: an object of a user's class, in its process."""

    def __init__(self, found: type[Worker], facts: WorkerFacts, cfg_of: CfgOf, engine: Engine) -> None:
        """Raises BootError."""
        self._log: logging.Logger = logging.getLogger("gunicorn.error")
        try:
            self.worker = found.in_process(facts, cfg_of, engine)
        except OstlerError:
            raise
        except BaseException as error:
            summary, text = describe_exception(error)
            self._log.error("the worker class raised\n%s", text.rstrip())
            name = f"{found.__module__}.{found.__qualname__}"
            raise BootError(f"worker_class: {name}() raised {summary}") from error
        self.name = f"{found.__module__}.{found.__qualname__}"
        self.prepares = prepares(found)
        self.kind = found._kind if self.worker._is_served() else ""

    @property
    def unheard(self) -> tuple[str, ...]:
        return tuple(name for name in type(self.worker)._unheard if self._replaces(name))

    @property
    def around(self) -> Around | None:
        handles = self.prepares in _BY_KIND and self._replaces("handle_request")
        pool = getattr(self.worker, "tpool", None) if self.prepares == "gthread" else None
        return partial(self._runner, handles, pool) if handles or pool is not None else None

    def _runner(self, handles: bool, pool: Any, run: Served) -> Runner:
        runner: Runner = run
        if handles:
            runner = around(partial(_BY_KIND[self.prepares], self.worker), self._log, run)
        return runner if pool is None else through_pool(pool, runner, run)

    @property
    def request_limit(self) -> int:
        limit = self.worker.max_requests
        return 0 if limit == sys.maxsize else int(limit)

    @property
    def is_booted(self) -> bool:
        """Classes that do not call Worker.init_process never say that they have."""
        worker = self.worker
        return bool(worker.booted) or ("wait_fds" not in vars(worker) and "wsgi" in vars(worker))

    @property
    def hears_of_logs(self) -> bool:
        return self._replaces("handle_usr1")

    def run(self) -> None:
        self.worker.init_process()

    def told_to_leave(self) -> None:
        if self._replaces("handle_exit"):
            self._call("handle_exit", signal.SIGTERM, None)

    def told_to_leave_now(self) -> None:
        self._call("handle_quit", signal.SIGQUIT, None)

    def told_to_abort(self) -> None:
        self._call("handle_abort", signal.SIGABRT, None)

    def logs_taken(self) -> None:
        if self._replaces("handle_usr1"):
            self._call("handle_usr1", signal.SIGUSR1, None)

    def tick(self) -> None:
        if self._replaces("notify") and self._call("notify"):
            self.worker.alive = False

    def _replaces(self, method: str) -> bool:
        """Whether the class has put something else in the place of the look-alikes' method."""
        return _owner(type(self.worker), method) != _LOOK_ALIKES

    def _call(self, method: str, *arguments: object) -> bool:
        """Whether it wanted to end the process, as Gunicorn's own do at an end; ours has more to do than that."""
        try:
            getattr(self.worker, method)(*arguments)
        except SystemExit:
            return True
        except BaseException as error:  # noqa: BLE001  a user's method
            self._log.error("%s.%s() raised", self.name, method, exc_info=error)
        return False


def _owner(found: type, method: str) -> str:
    """The package of the function that `method` of the class is; those that are absent count as ours."""
    for base in found.__mro__:
        if method in vars(base):
            return getattr(vars(base)[method], "__module__", "").rpartition(".")[0]
    return _LOOK_ALIKES
