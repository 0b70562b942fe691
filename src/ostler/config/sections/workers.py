"""Chapter "Worker processes": how many, of which kind, and how long things may take."""

import difflib
import importlib.metadata
import inspect

from ostler.config.machine import AUTO
from ostler.config.parse import BadValue, read_bool, read_choice, read_integer
from ostler.config.setting import FlagKind, ReloadEffect, Section, Setting, Support, Takes

_PARSERS = ("auto", "fast", "python")
_read_parser = read_choice(*_PARSERS)
_read_count = read_integer(1)
KINDS = ("sync", "gthread", "gevent", "eventlet", "tornado", "asgi")
GROUP = "gunicorn.workers"
"""Entry points of this group are worker classes."""
_AVAILABLE = ", ".join(KINDS) + " or a worker class"
_CLASSES = {
    "sync": ("sync.SyncWorker", "sync"),
    "gthread": ("gthread.ThreadWorker", "gthread"),
    "gevent": ("ggevent.GeventWorker", "gevent"),
    "gevent_wsgi": ("ggevent.GeventPyWSGIWorker", "gevent"),
    "gevent_pywsgi": ("ggevent.GeventPyWSGIWorker", "gevent"),
    "eventlet": ("geventlet.EventletWorker", "eventlet"),
    "tornado": ("gtornado.TornadoWorker", "tornado"),
    "asgi": ("gasgi.ASGIWorker", "asgi"),
}
"""Gunicorn's name of a kind -> its class below gunicorn.workers, and ours."""

_ALIASES = {
    spelling: ours
    for name, (path, ours) in _CLASSES.items()
    for spelling in (name, f"gunicorn.workers.{path}", f"egg:gunicorn#{name}", f"egg:ostler#{name}")
}


def read_workers(raw: object) -> int | str:
    """A positive integer, or AUTO, which becomes a number when the settings are put together (draft.py)."""
    if isinstance(raw, str) and raw.strip().lower() == AUTO:
        return AUTO
    return _read_count(raw)


def read_worker_class(raw: object) -> str | type:
    """The name of a worker kind, by whatever name Gunicorn has for it; or what leads to a class of the user's own: the
    class, its path MODULE.CLASS, egg:DIST#NAME, or the NAME of an entry point. Nothing is imported.
    """
    if inspect.isclass(raw):
        name = f"{raw.__module__}.{raw.__qualname__}"
        if name in _ALIASES:
            return _ALIASES[name]
        if not hasattr(raw, "init_process"):
            raise BadValue(_AVAILABLE, name, "derive it from gunicorn.workers.base.Worker, or from the class of a kind")
        return raw
    if not isinstance(raw, str):
        raise BadValue(_AVAILABLE, raw)
    name = raw.strip()
    known = _ALIASES.get(name)
    if known is not None:
        return known
    if name.startswith("egg:"):
        distribution, _, entry = name.removeprefix("egg:").partition("#")
        if not (distribution and entry):
            raise BadValue(_AVAILABLE, name, f"an entry point of the group {GROUP} is written egg:DISTRIBUTION#NAME")
        return name
    if ":" in name:
        raise BadValue(_AVAILABLE, name, "a class of your own is written MODULE.CLASS, with dots only")
    if "." in name:
        if not all(part.isidentifier() for part in name.split(".")):
            raise BadValue(_AVAILABLE, name, "a class of your own is written MODULE.CLASS")
        return name
    if not importlib.metadata.entry_points(group=GROUP, name=name):
        near = difflib.get_close_matches(name.lower(), KINDS, n=1)
        cure = f"did you mean {near[0]}?" if near else f"no installed package has an entry point {GROUP}: {name}"
        raise BadValue(_AVAILABLE, name, cure)
    return name


def is_kind(worker_class: str | type) -> bool:
    """Whether it is the name of a kind of ours, and no class of the user's own."""
    return worker_class in KINDS


def read_parser(raw: object) -> str:
    """One of Gunicorn's parsers; None is `auto`."""
    return "auto" if raw is None else _read_parser(raw)


SETTINGS = (
    Setting(
        name="workers",
        section=Section.WORKERS,
        flags=("-w", "--workers"),
        metavar="INT",
        takes=Takes.INTEGER_OR_TEXT,
        least=1,
        read=read_workers,
        default=1,
        env="WEB_CONCURRENCY",
        reload=ReloadEffect.WORKERS,
        support=Support.DIFFERS,
        note="0 is an error: nobody would answer; `auto` is a value of Ostler's own",
        doc=(
            "The number of worker processes, or `auto`. Two to four per CPU core serve most applications well. `auto` "
            "is two for each CPU that this process may use and one more: it heeds the CPU affinity and the quotas of "
            "cgroups (version 1 or 2), so that a container does not count the cores of its host. A memory limit of "
            "cgroups allows one worker for each 64 MiB of it, but always one. The number is found when the "
            "configuration is read, anew at each reload; `--print-config` shows it and what it was made of."
        ),
    ),
    Setting(
        name="worker_class",
        section=Section.WORKERS,
        flags=("-k", "--worker-class"),
        metavar="STRING",
        read=read_worker_class,
        default="sync",
        reload=ReloadEffect.WORKERS,
        support=Support.DIFFERS,
        note="`eventlet` is a kind again; an ASGI application is recognised; all kinds keep connections alive",
        doc=(
            "The worker kind: `sync` (one request at a time, on the main thread), `gthread` (a pool of `threads`), "
            "`gevent` or `eventlet` (a greenlet for each request), `tornado` (a tornado application), or `asgi` (an "
            "ASGI application, on an event loop). `sync` with more than one thread becomes `gthread`. Without it, an "
            "ASGI application is recognised and served by `asgi`.\n\n"
            "Or a worker class of another package or your own, written for Gunicorn: its path `MODULE.CLASS` "
            "(`uvicorn.workers.UvicornWorker`), `egg:DISTRIBUTION#NAME`, the name of an entry point of the group "
            "`gunicorn.workers`, or in a configuration file the class itself."
        ),
    ),
    Setting(
        name="threads",
        section=Section.WORKERS,
        flags=("--threads",),
        metavar="INT",
        takes=Takes.INTEGER,
        least=1,
        read=read_integer(1),
        default=1,
        reload=ReloadEffect.WORKERS,
        support=Support.DIFFERS,
        note="0 is an error, as it is in effect in Gunicorn",
        doc="Threads of each worker that run the application. More than one means `gthread`.",
    ),
    Setting(
        name="worker_connections",
        section=Section.WORKERS,
        flags=("--worker-connections",),
        metavar="INT",
        takes=Takes.INTEGER,
        least=1,
        read=read_integer(1),
        default=1000,
        reload=ReloadEffect.WORKERS,
        support=Support.DIFFERS,
        note="it limits `sync` workers too, and 0 is an error",
        doc=(
            "The most client connections that one worker holds, `sync` included. When it is reached the connection "
            "that has been idle longest is closed."
        ),
    ),
    Setting(
        name="max_requests",
        section=Section.WORKERS,
        flags=("--max-requests",),
        metavar="INT",
        takes=Takes.INTEGER,
        least=0,
        read=read_integer(),
        default=0,
        reload=ReloadEffect.WORKERS,
        doc="A worker is replaced after this many requests; 0 is never. A remedy for leaks of memory.",
    ),
    Setting(
        name="max_requests_jitter",
        section=Section.WORKERS,
        flags=("--max-requests-jitter",),
        metavar="INT",
        takes=Takes.INTEGER,
        least=0,
        read=read_integer(),
        default=0,
        reload=ReloadEffect.WORKERS,
        doc="Up to this many requests are added at random to `max_requests`, so that workers do not all go at once.",
    ),
    Setting(
        name="timeout",
        section=Section.WORKERS,
        flags=("-t", "--timeout"),
        metavar="INT",
        takes=Takes.INTEGER,
        least=0,
        read=read_integer(),
        default=30,
        reload=ReloadEffect.WORKERS,
        doc=(
            "A worker that is silent for this many seconds is killed and replaced; 0 turns this off. The stacks of "
            "its threads and the request that it was serving go to the error log first."
        ),
    ),
    Setting(
        name="graceful_timeout",
        section=Section.WORKERS,
        flags=("--graceful-timeout",),
        metavar="INT",
        takes=Takes.INTEGER,
        least=0,
        read=read_integer(),
        default=30,
        reload=ReloadEffect.WORKERS,
        doc=(
            "Seconds that a retiring worker, or the whole server on TERM, has to finish its requests. What is still "
            "running then is killed."
        ),
    ),
    Setting(
        name="boot_timeout",
        section=Section.WORKERS,
        flags=("--boot-timeout",),
        metavar="INT",
        takes=Takes.INTEGER,
        least=0,
        read=read_integer(),
        default=300,
        reload=ReloadEffect.WORKERS,
        gunicorn=False,
        doc="Seconds that a worker may take to load the application before it counts as failed; 0 turns this off.",
    ),
    Setting(
        name="kill_worker_children",
        section=Section.WORKERS,
        flags=("--no-kill-worker-children",),
        kind=FlagKind.OFF,
        takes=Takes.SWITCH,
        read=read_bool,
        default=True,
        reload=ReloadEffect.WORKERS,
        gunicorn=False,
        doc=(
            "When a hung worker is killed, kill the processes below it as well (a converter, a browser, ssh), which "
            "would keep its memory and sockets. Processes that were made daemons live on, and so do the children of "
            "a worker that leaves in order."
        ),
    ),
    Setting(
        name="keepalive",
        section=Section.WORKERS,
        flags=("--keep-alive",),
        metavar="INT",
        takes=Takes.INTEGER,
        least=0,
        read=read_integer(),
        default=75,
        reload=ReloadEffect.WORKERS,
        support=Support.DIFFERS,
        note="the default is 75 instead of 2, and `sync` workers honour it: a server that closes first makes 502s",
        doc=(
            "Seconds that an idle client connection is kept open for its next request. Gunicorn's default is 2; here "
            "an idle connection costs only memory, and a server that closes before its proxy does is what causes "
            "the proxy's 502 answers. A value that you set is honoured, `sync` workers included."
        ),
    ),
    Setting(
        name="http_parser",
        section=Section.WORKERS,
        flags=("--http-parser",),
        metavar="NAME",
        read=read_parser,
        choices=_PARSERS,
        default="auto",
        reload=ReloadEffect.WORKERS,
        support=Support.UNUSED,
        note="there is one parser, which needs no package",
        doc="Without meaning here: there is one parser. Accepted with one info line.",
    ),
)
