"""Chapter "Server hooks": the user's callables. They stand in a configuration file, as functions or as dotted paths.

The number of parameters is checked when the file is read, as in Gunicorn: a hook that cannot be called is found at the
start and not in the night. Called in one place only: `observe/hooks.py`.
"""

import importlib
import inspect
from collections.abc import Callable

from ostler.config.parse import BadValue
from ostler.config.sections.dirty import NOTE as DIRTY
from ostler.config.sections.shapes import OFF_TEXT, later
from ostler.config.setting import ReloadEffect, Section, Setting, Support
from ostler.config.usercode import describe_exception

Hook = Callable[..., object]
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def read_hook(*parameters: str) -> Callable[[object], Hook]:
    """A reader of a callable with exactly these positional parameters (their names are free)."""
    expected = f"a callable with {_counted(len(parameters))} ({', '.join(parameters)})"

    def read(raw: object) -> Hook:
        hook = _callable(raw, expected)
        arity = _arity(hook, expected)
        if arity != len(parameters):
            raise BadValue(expected, f"{_name(hook)} with {_counted(arity)}")
        return hook

    return read


def read_post_request(raw: object) -> Hook:
    """A callable for (worker, request[, environ[, response]]); the result always takes all four."""
    expected = "a callable with 2, 3 or 4 parameters (worker, request, environ, response)"
    hook = _callable(raw, expected)
    arity = _arity(hook, expected)
    if arity == 4:
        return hook
    if arity not in (2, 3):
        raise BadValue(expected, f"{_name(hook)} with {_counted(arity)}")

    def post_request(worker: object, request: object, environ: object, response: object) -> object:
        return hook(*(worker, request, environ)[:arity])

    # Not functools.wraps: the signature of this one is the one that counts.
    post_request.__qualname__ = post_request.__name__ = _name(hook)
    return post_request


def _callable(raw: object, expected: str) -> Hook:
    hook = _imported(raw, expected) if isinstance(raw, str) else raw
    if not callable(hook):
        raise BadValue(expected, raw)
    return hook


def _imported(path: str, expected: str) -> object:
    module_name, _, name = path.strip().rpartition(".")
    if not module_name or module_name.startswith("."):
        raise BadValue(expected, path, "a hook as text is MODULE.NAME")
    try:
        module = importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        summary, _ = describe_exception(error)
        raise BadValue(expected, path, f"importing {module_name} failed: {summary}") from error
    try:
        found: object = vars(module)[name]
    except KeyError:
        raise BadValue(expected, path, f"module {module_name} has no {name}") from None
    return found


def _arity(hook: Hook, expected: str) -> int:
    try:
        parameters = inspect.signature(hook).parameters.values()
    except (TypeError, ValueError):
        raise BadValue(expected, hook, "its parameters cannot be inspected; wrap it in a function") from None
    return sum(parameter.kind in _POSITIONAL for parameter in parameters)


def _name(hook: Hook) -> str:
    name = getattr(hook, "__qualname__", None)
    return name if isinstance(name, str) else type(hook).__qualname__


def _counted(count: int) -> str:
    return "1 parameter" if count == 1 else f"{count} parameters"


_GOES_ON = "one that raises is logged and the server goes on; in Gunicorn it ends the master"
_NOTES = {
    "on_reload": _GOES_ON,
    "pre_fork": _GOES_ON,
    "child_exit": _GOES_ON,
    "nworkers_changed": _GOES_ON,
    "worker_int": "not called when `reload` replaces a worker: that one retires in order",
    "worker_exit": "never called in the master; a worker that was killed has `child_exit` only",
    "pre_exec": "one that raises starts no new master, and the old one goes on",
    "ssl_context": (
        "called in the master when a generation is made, and not in the workers for each connection; what it returns "
        "is used for all of them"
    ),
}
"""Where ours differ from Gunicorn's, for the compatibility page."""


def _entry(name: str, read: Callable[[object], Hook], doc: str, reload: ReloadEffect = ReloadEffect.WORKERS) -> Setting:
    return Setting(
        support=Support.DIFFERS if name in _NOTES else Support.WORKS,
        note=_NOTES.get(name, ""),
        name=name,
        section=Section.HOOKS,
        read=read,
        default=None,
        default_text="none",
        reload=reload,
        doc=doc,
    )


_MASTER = ReloadEffect.MASTER
SETTINGS = (
    _entry("on_starting", read_hook("server"), "`(server)`: in the master, before anything is opened.", _MASTER),
    _entry("on_reload", read_hook("server"), "`(server)`: in the master, at HUP, before new workers start.", _MASTER),
    _entry("when_ready", read_hook("server"), "`(server)`: in the master, when the sockets are bound.", _MASTER),
    _entry("pre_fork", read_hook("server", "worker"), "`(server, worker)`: in the master, before each fork."),
    _entry("post_fork", read_hook("server", "worker"), "`(server, worker)`: in the worker, right after the fork."),
    _entry("post_worker_init", read_hook("worker"), "`(worker)`: in the worker, when the application is loaded."),
    _entry("worker_int", read_hook("worker"), "`(worker)`: in the worker, on INT or QUIT."),
    _entry("worker_abort", read_hook("worker"), "`(worker)`: in the worker, on ABRT, which is how a timeout ends."),
    _entry("pre_request", read_hook("worker", "request"), "`(worker, request)`: in the worker, before each request."),
    _entry(
        "post_request",
        read_post_request,
        "`(worker, request[, environ[, response]])`: in the worker, after each request.",
    ),
    _entry("child_exit", read_hook("server", "worker"), "`(server, worker)`: in the master, a worker died."),
    _entry("worker_exit", read_hook("server", "worker"), "`(server, worker)`: in the worker, before it exits."),
    _entry(
        "pre_exec",
        read_hook("server"),
        "`(server)`: at USR2, in the process that is about to become the new master.",
        _MASTER,
    ),
    _entry(
        "nworkers_changed",
        read_hook("server", "new_value", "old_value"),
        "`(server, new_value, old_value)`: in the master, when the number of workers to run has changed; the old "
        "value is None the first time.",
        _MASTER,
    ),
    _entry("on_exit", read_hook("server"), "`(server)`: in the master, last of all.", _MASTER),
    _entry(
        "ssl_context",
        read_hook("config", "default_ssl_context_factory"),
        "`(config, default_ssl_context_factory)`: in the master, for each generation, when `certfile` or `keyfile` is "
        "set; returns the `ssl.SSLContext` to use. With `sni_certificates` it is called for each of them too.",
    ),
    later("on_dirty_starting", Section.HOOKS, DIRTY, read=OFF_TEXT),
    later("dirty_post_fork", Section.HOOKS, DIRTY, read=OFF_TEXT),
    later("dirty_worker_init", Section.HOOKS, DIRTY, read=OFF_TEXT),
    later("dirty_worker_exit", Section.HOOKS, DIRTY, read=OFF_TEXT),
)
