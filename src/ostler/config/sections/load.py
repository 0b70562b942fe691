"""Chapter "Worker processes", its second part: what happens when there is more to do than workers can."""

from ostler.config.affinity import read_affinity
from ostler.config.parse import read_integer, read_seconds
from ostler.config.sections.reloads import read_paths
from ostler.config.setting import FlagKind, ReloadEffect, Section, Setting, Takes

HEALTH_PATHS = ("/health", "/healthz", "/livez", "/readyz", "/ready", "/ping")

SETTINGS = (
    Setting(
        name="queue_timeout",
        section=Section.WORKERS,
        flags=("--queue-timeout",),
        metavar="SECONDS",
        takes=Takes.NUMBER,
        least=0,
        read=read_seconds,
        default=0,
        reload=ReloadEffect.WORKERS,
        gunicorn=False,
        doc=(
            "Seconds that a request may wait for a worker before it is answered with 503 and `Retry-After`; 0 lets it "
            "wait. What counts is the time since all of the request was here, in the queue of the kernel or of a "
            "worker, and what `X-Request-Start` of a trusted proxy (`forwarded_allow_ips`) says of the time before. A "
            "client that sends slowly does not wait. Requests for `health_paths` and `readiness_path` are never shed."
        ),
    ),
    Setting(
        name="health_paths",
        section=Section.WORKERS,
        flags=("--health-path",),
        kind=FlagKind.REPEAT,
        metavar="PATH",
        takes=Takes.TEXTS,
        read=read_paths,
        default=list(HEALTH_PATHS),
        reload=ReloadEffect.WORKERS,
        gunicorn=False,
        doc=(
            "Paths, with a slash at their end or without, that `queue_timeout` never sheds: who asks would take a busy "
            "server for a broken one."
        ),
    ),
    Setting(
        name="workers_min",
        section=Section.WORKERS,
        flags=("--workers-min",),
        metavar="INT",
        takes=Takes.INTEGER,
        least=0,
        read=read_integer(),
        default=0,
        reload=ReloadEffect.WORKERS,
        gunicorn=False,
        doc=(
            "The fewest workers that `workers_max` may leave; 0 is `workers`. Without `workers_max` it means nothing."
        ),
    ),
    Setting(
        name="workers_max",
        section=Section.WORKERS,
        flags=("--workers-max",),
        metavar="INT",
        takes=Takes.INTEGER,
        least=0,
        read=read_integer(),
        default=0,
        reload=ReloadEffect.WORKERS,
        gunicorn=False,
        doc=(
            "The most workers that the master may start by itself when requests wait and the workers are busy; 0 "
            "leaves their number alone. It begins with `workers`, adds one at a time within seconds, and takes one "
            "away after a minute of calm, down to `workers_min`. A memory limit of cgroups is heeded."
        ),
    ),
    Setting(
        name="cpu_affinity",
        section=Section.WORKERS,
        flags=("--cpu-affinity",),
        metavar="CPUS",
        takes=Takes.TEXTS,
        read=read_affinity,
        default="",
        reload=ReloadEffect.WORKERS,
        gunicorn=False,
        doc=(
            "The CPUs that each worker may use: `auto` binds the worker of each slot to one of those that the server "
            'may use, in turn; a list such as `["0-1", "2,3"]` (on the command line `0-1;2,3`) says them slot by slot, '
            "from the beginning again after the last. Empty leaves it to the system. Linux only."
        ),
    ),
)
