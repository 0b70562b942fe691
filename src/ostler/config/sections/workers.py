"""Chapter "Worker processes": how many, of which kind, and how long things may take."""

import inspect

from ostler.config.parse import BadValue, read_integer
from ostler.config.setting import ReloadEffect, Section, Setting

_AVAILABLE = "sync or gthread"
_LATER = frozenset({"gevent", "gevent_wsgi", "gevent_pywsgi", "eventlet", "tornado", "asgi"})


def read_worker_class(raw: object) -> str:
    """The name of a worker kind. Kinds that are still to come are refused by name."""
    if inspect.isclass(raw):
        name = f"{raw.__module__}.{raw.__qualname__}"
        raise BadValue(_AVAILABLE, name, "worker classes of your own are not built yet in this version of Ostler")
    if not isinstance(raw, str):
        raise BadValue(_AVAILABLE, raw)
    name = raw.strip()
    if name in ("sync", "gthread"):
        return name
    if name in _LATER:
        raise BadValue(_AVAILABLE, name, f"{name} workers are not built yet in this version of Ostler")
    if "." in name or ":" in name:
        raise BadValue(_AVAILABLE, name, "worker classes by path are not built yet in this version of Ostler")
    raise BadValue(_AVAILABLE, name)


SETTINGS = (
    Setting(
        name="workers",
        section=Section.WORKERS,
        flags=("-w", "--workers"),
        metavar="INT",
        read=read_integer(1),
        default=1,
        env="WEB_CONCURRENCY",
        reload=ReloadEffect.WORKERS,
        doc="The number of worker processes. Two to four per CPU core serve most applications well.",
    ),
    Setting(
        name="worker_class",
        section=Section.WORKERS,
        flags=("-k", "--worker-class"),
        metavar="STRING",
        read=read_worker_class,
        default="sync",
        reload=ReloadEffect.WORKERS,
        doc=(
            "The worker kind: `sync` (one request at a time, on the main thread) or `gthread` (a pool of `threads`). "
            "`sync` with more than one thread becomes `gthread`."
        ),
    ),
    Setting(
        name="threads",
        section=Section.WORKERS,
        flags=("--threads",),
        metavar="INT",
        read=read_integer(1),
        default=1,
        reload=ReloadEffect.WORKERS,
        doc="Threads of each worker that run the application. More than one means `gthread`.",
    ),
    Setting(
        name="worker_connections",
        section=Section.WORKERS,
        flags=("--worker-connections",),
        metavar="INT",
        read=read_integer(1),
        default=1000,
        reload=ReloadEffect.WORKERS,
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
        read=read_integer(),
        default=300,
        reload=ReloadEffect.WORKERS,
        gunicorn=False,
        doc="Seconds that a worker may take to load the application before it counts as failed; 0 turns this off.",
    ),
    Setting(
        name="keepalive",
        section=Section.WORKERS,
        flags=("--keep-alive",),
        metavar="INT",
        read=read_integer(),
        default=75,
        reload=ReloadEffect.WORKERS,
        doc=(
            "Seconds that an idle client connection is kept open for its next request. Gunicorn's default is 2; here "
            "an idle connection costs only memory, and a server that closes before its proxy does is what causes "
            "the proxy's 502 answers. A value that you set is honoured, `sync` workers included."
        ),
    ),
)
