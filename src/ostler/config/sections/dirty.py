"""Chapter "Dirty arbiters": Gunicorn's second pool of processes. Not built yet. Its hooks are in `hooks.py`."""

from ostler.config.sections.shapes import LATER, OFF_LIST, OffNumber, later
from ostler.config.setting import FlagKind, Section, Setting, Takes

NOTE = f"the dirty pool is {LATER}"


def _number(name: str, default: int) -> Setting:
    flag = f"--{name.replace('_', '-')}"
    return later(
        name, Section.DIRTY, NOTE, read=OffNumber(default), flags=(flag,), metavar="INT", takes=Takes.INTEGER
    )


SETTINGS = (
    later(
        "dirty_apps",
        Section.DIRTY,
        NOTE,
        read=OFF_LIST,
        flags=("--dirty-app",),
        kind=FlagKind.REPEAT,
        takes=Takes.TEXTS,
    ),
    _number("dirty_workers", 0),
    _number("dirty_timeout", 300),
    _number("dirty_threads", 1),
    _number("dirty_graceful_timeout", 30),
)
