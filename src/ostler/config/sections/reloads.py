"""Chapter "Preloading and reloads": one import for all workers, how a reload goes, and when workers are replaced."""

import re
from typing import Any, Final

from ostler.config.parse import BadValue, read_choice, read_integer, read_list, read_seconds, read_texts
from ostler.config.sections.rotation import read_size
from ostler.config.sections.shapes import switch
from ostler.config.setting import FlagKind, ReloadEffect, Section, Setting, Support, Takes

_UNSAFE = ("warn", "refuse", "lazy")
_MEASURES = ("rss", "pss")
_COMMON: dict[str, Any] = {"section": Section.RELOADS, "reload": ReloadEffect.WORKERS, "gunicorn": False}

_PATH: Final = re.compile(r"/[!-~]*", re.ASCII)  # what may stand in a request line
# With a host as RFC 3986 section 3.2.2 has it: a name, an IPv4 address, or an IPv6 address in brackets; and a port.
_TARGET: Final = re.compile(r"(http://([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?)?/[!-~]*", re.ASCII)


def read_targets(raw: object) -> tuple[str, ...]:
    """Paths of requests, each "/PATH" or "http://HOST/PATH"."""
    targets = read_texts(raw)
    for target in targets:
        if not _TARGET.fullmatch(target):
            raise BadValue('paths such as "/health" or "http://example.org/health"', target)
    return targets


def read_paths(raw: object) -> tuple[str, ...]:
    """Paths of requests."""
    paths = read_texts(raw)
    for path in paths:
        if not _PATH.fullmatch(path):
            raise BadValue('paths such as "/health"', path)
    return paths


def read_thresholds(raw: object) -> tuple[int, ...]:
    """Positive numbers; a last 0 is allowed. Text with commas, a number, or a list of numbers."""
    expected = "numbers of requests such as 500,2000"
    entries = read_list(raw) if raw is None or isinstance(raw, str) else raw if isinstance(raw, list | tuple) else [raw]
    read = read_integer()
    try:
        numbers = tuple(read(entry) for entry in entries)
    except BadValue:
        raise BadValue(expected, raw) from None
    if 0 in numbers[:-1] or numbers == (0,):
        raise BadValue(f"{expected}, 0 only as the last of several", raw)
    return numbers


def _flag(name: str) -> tuple[str, ...]:
    return (f"--{name.replace('_', '-')}",)


def _seconds(name: str, doc: str, default: float | None = 0, **more: Any) -> Setting:
    fields = _COMMON | {"metavar": "SECONDS", "takes": Takes.NUMBER, "least": 0, "read": read_seconds} | more
    return Setting(name=name, flags=_flag(name), default=default, doc=doc, **fields)


def _count(name: str, default: int, doc: str) -> Setting:
    fields = _COMMON | {"metavar": "INT", "takes": Takes.INTEGER, "least": 0, "read": read_integer()}
    return Setting(name=name, flags=_flag(name), default=default, doc=doc, **fields)


def _size(name: str, doc: str, default: int | None = 0, **more: Any) -> Setting:
    fields = _COMMON | {"metavar": "SIZE", "takes": Takes.INTEGER_OR_TEXT, "least": 0, "read": read_size} | more
    return Setting(name=name, flags=_flag(name), default=default, doc=doc, **fields)


def _word(name: str, choices: tuple[str, ...], default: str, doc: str) -> Setting:
    fields = _COMMON | {"read": read_choice(*choices), "choices": choices}
    return Setting(name=name, flags=_flag(name), metavar="NAME", default=default, doc=doc, **fields)


def _paths(name: str, doc: str, **more: Any) -> Setting:
    fields = _COMMON | {"read": read_paths, "kind": FlagKind.REPEAT, "takes": Takes.TEXTS} | more
    return Setting(name=name, flags=_flag(name), metavar="PATH", default=(), default_text="none", doc=doc, **fields)


SETTINGS = (
    switch(
        "preload_app",
        Section.RELOADS,
        "--preload",
        "Load the application once for all workers, in a process of its own (the mold) that forks them. They share its "
        "memory and start in milliseconds, and a reload makes a new mold, so that it loads new code.",
        reload=ReloadEffect.WORKERS,
        support=Support.DIFFERS,
        note="a HUP loads new code; the application is loaded in a process of its own and not in the master",
    ),
    _word(
        "preload_unsafe",
        _UNSAFE,
        "warn",
        "What to do when the preloaded application has threads, event loops, connections or pools, which workers must "
        "not share. `warn` names them in the error log; `refuse` does not start the generation; `lazy` lets each "
        "worker load the application by itself, as without `preload_app`.",
    ),
    Setting(
        name="refork_after",
        flags=("--refork-after",),
        metavar="REQUESTS",
        read=read_thresholds,
        takes=Takes.TEXTS,
        default="",
        default_text="none",
        doc=(
            "Numbers of requests, separated by commas, after which a warm worker becomes the new mold and the others "
            "are replaced from it, so that what it has cached is shared. `500,2000`: the first time when a worker has "
            "answered 500, from then on each time that one has answered 2000; a last 0 ends it. Needs `preload_app`, "
            "`sync` workers, and workers that run as the user of the server."
        ),
        **_COMMON,
    ),
    _paths(
        "reload_check",
        "Paths that each new worker has to answer, with a status below 400, before it takes clients. A worker that "
        "does not counts as one that did not start. `http://HOST/PATH` names the host to ask for; otherwise it is "
        "`localhost`.",
        read=read_targets,
    ),
    _count(
        "reload_surge",
        1,
        "Workers beyond `workers` that may run while others are replaced. More make a reload faster, and need memory. "
        "0 retires a worker before its successor starts (but never the only one), and needs `reload_max_unavailable`.",
    ),
    _count(
        "reload_max_unavailable",
        0,
        "Workers that may be missing while others are replaced. With 0 a worker retires when its successor is ready.",
    ),
    _seconds(
        "reload_canary",
        "Seconds that the first worker of a new generation serves beside the old ones before the others are replaced; "
        "0 goes on at once. If it dies, answers with more 5xx or is clearly slower than they are, the old generation "
        "stays.",
    ),
    _seconds(
        "max_worker_age",
        "Seconds after which a worker is replaced; 0 is never.",
    ),
    _seconds(
        "max_worker_age_jitter",
        "Up to this many seconds are added at random to `max_worker_age`, so that workers do not all go at once.",
        None,
        default_text="a tenth of `max_worker_age`",
    ),
    _size(
        "max_worker_memory",
        "Memory, in bytes or as `512M` or `2G`, above which a worker is replaced; 0 is never. It finishes what it "
        "serves, and goes when its successor is ready.",
    ),
    _size(
        "max_worker_memory_jitter",
        "Up to this many bytes are added at random to `max_worker_memory`, so that workers do not all go at once.",
        None,
        default_text="a twentieth of `max_worker_memory`",
    ),
    _word(
        "max_worker_memory_measure",
        _MEASURES,
        "rss",
        "What `max_worker_memory` looks at. `rss` is all memory that the worker has in RAM, shared pages included, "
        "looked at each second; `pss` counts a shared page only in part, takes longer to find, and is looked at every "
        "ten seconds.",
    ),
    switch(
        "trace_memory",
        Section.RELOADS,
        "--trace-memory",
        "Have Python note which line allocates what in a worker that has grown half of the way to `max_worker_memory`, "
        "so that it says which line of the application has made most of what stays when it is replaced. Python code "
        "becomes ten times slower and more in such a worker: to find a leak, not for ever.",
        reload=ReloadEffect.WORKERS,
        gunicorn=False,
    ),
    _seconds(
        "lame_duck",
        "Seconds after TERM in which everything is still served, while load balancers find out that this server goes "
        "away; 0 stops at once. A second TERM, a second or more after the first, ends the wait.",
    ),
    _paths(
        "readiness_path",
        "Paths that are answered with 503 during `lame_duck`, without asking the application. At all other times the "
        "application answers them.",
    ),
)
