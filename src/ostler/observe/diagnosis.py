"""Stacks and tracebacks -> the application's place in them, and why it does not come back.

Stacks are what faulthandler writes (most recent call first), of all threads, with what a worker kind adds in the same
form (`Worker.stacks`). The application's own code is what lies below one of its roots (the working directory, `chdir`,
`pythonpath`) and is neither installed, nor Python's, nor Ostler's. What faulthandler cannot show is C code: a thread
that waits in C stands at the Python line that called it. So what the kernel says of the process helps (`Evidence`).

Rules for editing: pure text -> text; whatever is read, a torn or hostile dump too, nothing raises. Causes and cures are
in causes.py.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ostler.config.usercode import is_own_code
from ostler.observe.causes import Cause, cure_for

__all__ = [
    "Cause",
    "Evidence",
    "Finding",
    "Frame",
    "Place",
    "Stack",
    "cure_for",
    "find",
    "place_in_crash",
    "place_in_dump",
    "place_in_traceback",
    "places_in_dump",
    "stacks_of",
]

_TITLE: Final = re.compile(
    r"^(?:(Current )?[Tt]hread 0x[0-9a-fA-F]+.*|Stack|Greenlet.*|Task.*) \(most recent call first\):\s*$"
)
_FRAME: Final = re.compile(r'^  File "(.*)", line (\d+) in (.*)$')
_TRACEBACK: Final = "Traceback (most recent call last):"
_TRACEBACK_FRAME: Final = re.compile(r'^[ |+-]*File "(.*)", line (\d+), in (.*)$')
_SYNTAX_FRAME: Final = re.compile(r'^[ |+-]*File "(.*)", line (\d+)$')
_MOST_LINES: Final = 20_000
_INSTALLED: Final = ("/site-packages/", "/dist-packages/")
_OSTLER: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_DRIVERS: Final = os.path.join(_OSTLER, "drivers", "")
_PYTHON: Final = os.path.dirname(os.path.abspath(os.__file__)) + os.sep

_DATABASES: Final = frozenset(
    (
        *("MySQLdb", "aiomysql", "aiopg", "aiosqlite", "asyncpg", "cassandra", "mysql", "oracledb", "peewee.py"),
        *("pg8000", "psycopg", "psycopg2", "pymongo", "pymssql", "pymysql", "pyodbc", "redis", "sqlalchemy", "sqlite3"),
    )
)
_LOCKING: Final = ("threading.py", "queue.py", "concurrent/futures/", "multiprocessing/", "_weakrefset.py")
_TALKING: Final = ("socket.py", "ssl.py", "http/client.py", "urllib/", "ftplib.py", "smtplib.py", "imaplib.py")
_POLLING: Final = ("selectors.py", "socketserver.py")
_RUNNING: Final = ("subprocess.py", "pty.py")
_COMPUTING: Final = ("re/", "json/", "_pydecimal.py", "random.py", "statistics.py", "copy.py", "difflib.py")

_KERNEL_WAITS: Final = (
    (Cause.SLEEP, ("nanosleep",)),
    (Cause.DEADLOCK, ("futex", "do_sem", "semtimedop")),
    (Cause.SLOW_PROGRAM, ("do_wait", "kernel_wait")),
    (Cause.SLOW_PEER, ("sk_wait", "wait_woken", "stream_read", "stream_data_wait", "inet_", "tcp_", "unix_")),
    (Cause.SLOW_PEER, ("poll", "do_select", "skb_")),
    (Cause.SLOW_PROGRAM, ("pipe_",)),
    (Cause.DEADLOCK, ("setlk", "lock_inode_wait", "flock")),
    (Cause.SLOW_DISK, ("io_schedule", "nfs", "rpc_", "fuse", "folio_wait", "wait_on_page", "jbd2", "blk_")),
)
"""Parts of names of the functions of the kernel in which a thread sleeps (/proc/PID/wchan, proc(5))."""
_OF_OURS: Final = ("futex", "epoll", "ep_poll")
_STOPPED: Final = ("T", "t")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the application. file: relative to its root, if it is below one."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


@dataclass(frozen=True, slots=True)
class Frame:
    """One line of a stack, as Python names it."""

    file: str
    line: int
    function: str


@dataclass(frozen=True, slots=True)
class Stack:
    """Of one thread or greenlet, the most recent call first. current: the thread that got the signal; main: the last
    one, which is the main thread's.
    """

    frames: tuple[Frame, ...]
    current: bool = False
    main: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """What else is known of a process that hangs. main, others: of its main thread and of each other one, the state and
    the function of the kernel in which it sleeps, as /proc shows them (("S", "hrtimer_nanosleep")). gil_free: other
    threads of it run Python; None: it has none that would show.
    """

    main: tuple[str, str] = ("", "")
    others: tuple[tuple[str, str], ...] = ()
    gil_free: bool | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """place: where in the application, or None. others: places where further threads of it are."""

    place: Place | None
    cause: Cause
    others: tuple[Place, ...] = ()

    @property
    def cure(self) -> str:
        return cure_for(self.cause)


def find(stacks: str, roots: Sequence[str], evidence: Evidence = Evidence()) -> Finding:
    """Where a process that hangs is, and why."""
    all_ = stacks_of(stacks)
    candidates = _candidates(all_, roots)
    if not candidates:
        return Finding(None, _by_kernel(*evidence.main) or Cause.HANG)
    stack, at = candidates[0]
    if not any(frame.file.startswith(_DRIVERS) for each in all_ if each is not stack for frame in each.frames):
        evidence = replace(evidence, gil_free=None)  # there is no other thread of ours, which would tell
    others = [_place(each.frames[where], roots) for each, where in candidates[1:]]
    place = _place(stack.frames[at], roots)
    cause = _by_stack(stack, at, evidence) or _by_threads(candidates, evidence) or Cause.HANG
    return Finding(place, cause, tuple(dict.fromkeys(each for each in others if each != place)))


def place_in_dump(stacks: str, application_roots: Sequence[str]) -> Place | None:
    """The innermost frame of the application, of the thread that serves; without one, of the libraries in between."""
    return next(iter(places_in_dump(stacks, application_roots)), None)


def places_in_dump(stacks: str, application_roots: Sequence[str]) -> list[Place]:
    """Of each thread that serves, the one first that is most likely meant."""
    found = _candidates(stacks_of(stacks), application_roots)
    return list(dict.fromkeys(_place(stack.frames[at], application_roots) for stack, at in found))


def place_in_crash(stacks: str, application_roots: Sequence[str]) -> Place | None:
    """Of the thread that crashed, which faulthandler calls the current one."""
    for stack in stacks_of(stacks):
        if stack.current and (at := _innermost(stack, application_roots)) is not None:
            return _place(stack.frames[at], application_roots)
    return None


def place_in_traceback(text: str, application_roots: Sequence[str]) -> Place | None:
    """Where the exception that ended it all (the last one of a chain) left the application's own code; a SyntaxError
    is where it says.
    """
    own: Place | None = None
    any_: Place | None = None
    for line in _lines(text):
        if line.lstrip(" |+-") == _TRACEBACK:
            any_ = None
            continue
        found = _TRACEBACK_FRAME.match(line)
        syntax = None if found else _SYNTAX_FRAME.match(line)
        if found is None and syntax is None:
            continue
        frame = _frame(found.groups() if found else (*syntax.groups(), "<module>"))  # type: ignore[union-attr]  # one is
        if _is_own(frame.file, application_roots):
            own = _place(frame, application_roots)
        elif not _is_foundation(frame.file):
            any_ = _place(frame, application_roots)
    return own or any_


def stacks_of(text: str) -> list[Stack]:
    """The stacks of a dump, in its order."""
    titles: list[tuple[str, list[Frame]]] = []
    for line in _lines(text):
        if _TITLE.match(line):
            titles.append((line, []))
        elif titles and (found := _FRAME.match(line)):
            titles[-1][1].append(_frame(found.groups()))
    threads = [index for index, (title, _) in enumerate(titles) if not title.startswith(("Greenlet", "Task"))]
    main = threads[-1] if threads else -1
    return [
        Stack(tuple(frames), title.startswith(("Current", "Stack")), index == main)
        for index, (title, frames) in enumerate(titles)
    ]


# -- which frame of which stack


def _candidates(stacks: Sequence[Stack], roots: Sequence[str]) -> list[tuple[Stack, int]]:
    """Stacks that are in the application, with the innermost frame of it: those first that serve, the current first."""
    found: list[tuple[int, int, Stack, int]] = []
    for order, stack in enumerate(stacks):
        at = _innermost(stack, roots)
        if at is None:
            continue
        own = _is_own(stack.frames[at].file, roots)
        served = any(frame.file.startswith(_OSTLER) for frame in stack.frames[at:])
        rank = (0 if own else 2) if served else (1 if own else 3)
        if rank == 3:
            continue  # a library's own thread
        found.append((rank, order if not (stack.current or stack.main) else -1 - stack.current, stack, at))
    if any(rank == 0 for rank, *_ in found):
        found = [each for each in found if each[0] == 0]
    found.sort(key=lambda each: each[:2])
    return [(stack, at) for _, _, stack, at in found]


def _innermost(stack: Stack, roots: Sequence[str]) -> int | None:
    """The position of the application's innermost frame; else of what is installed nowhere; else of a library's."""
    elsewhere = library = None
    for at, frame in enumerate(stack.frames):
        if _is_own(frame.file, roots):
            return at
        if elsewhere is None and _is_elsewhere(frame.file):
            elsewhere = at
        if library is None and not _is_foundation(frame.file):
            library = at
    return library if elsewhere is None else elsewhere


def _is_own(file: str, roots: Sequence[str]) -> bool:
    if file.startswith(_OSTLER):
        return False
    if not is_own_code(file) or any(part in file for part in _INSTALLED):
        # An application may be installed as a package, and is its own root then.
        return any(_below(file, root) for root in roots if any(part in root for part in _INSTALLED))
    return not os.path.isabs(file) or any(_below(file, root) for root in roots)


def _is_foundation(file: str) -> bool:
    """Python's, or ours: nobody is to look there."""
    if file.startswith(_OSTLER):
        return True
    return not any(part in file for part in _INSTALLED) and not is_own_code(file)


def _is_elsewhere(file: str) -> bool:
    """Below no root, and installed nowhere: the roots may be known by another name (symbolic links)."""
    return is_own_code(file) and not any(part in file for part in _INSTALLED)


def _below(file: str, root: str) -> bool:
    return file.startswith(root.rstrip("/") + "/")


def _place(frame: Frame, roots: Sequence[str]) -> Place:
    file = frame.file
    below = [root for root in roots if _below(file, root)]
    installed = [part for part in _INSTALLED if part in file]
    if installed:
        file = file.rpartition(installed[0])[2]
    elif below:
        file = os.path.relpath(file, max(below, key=len))
    return Place(file, frame.line, frame.function)


# -- why


def _by_stack(stack: Stack, at: int, evidence: Evidence) -> Cause | None:
    deeper = stack.frames[:at]
    if evidence.main[0] in _STOPPED:
        return Cause.STOPPED
    if evidence.gil_free is False:
        return Cause.HANG_IN_C
    if any(_library(frame.file) in _DATABASES or "/django/db/" in frame.file for frame in stack.frames[: at + 1]):
        return Cause.SLOW_QUERY
    for frame in deeper:
        cause = _of_python(frame.file)
        if cause is not None:
            return cause
    return _by_kernel(*evidence.main) if stack.main else None


def _by_threads(candidates: Sequence[tuple[Stack, int]], evidence: Evidence) -> Cause | None:
    """Nobody knows which of the kernel's threads are those whose stacks end in the application; but if all of them do
    the same, it does not matter. Ours wait for a lock, or poll.
    """
    busy = [(state, wchan) for state, wchan in evidence.others if not any(part in wchan for part in _OF_OURS)]
    if len(busy) not in (0, len(candidates)) or not evidence.others:
        return None
    causes = {_by_kernel(state, wchan) for state, wchan in busy} or {Cause.DEADLOCK}
    return causes.pop() if len(causes) == 1 else None


def _of_python(file: str) -> Cause | None:
    """Of the innermost frame that says something: what one does who is in this module of Python's library."""
    if not file.startswith(_PYTHON):
        return None
    name = file[len(_PYTHON) :]
    for cause, modules in (
        (Cause.DEADLOCK, _LOCKING),
        (Cause.SLOW_PROGRAM, _RUNNING),
        (Cause.SLOW_PEER, _TALKING + _POLLING),
        (Cause.BUSY_LOOP, _COMPUTING),
    ):
        if name.startswith(modules):
            return cause
    return None


def _by_kernel(state: str, wchan: str) -> Cause | None:
    match state:
        case "T" | "t":
            return Cause.STOPPED
        case "D":
            return Cause.SLOW_DISK
        case "R":
            return Cause.BUSY_LOOP
        case _:
            pass
    for cause, parts in _KERNEL_WAITS:
        if any(part in wchan for part in parts):
            return cause
    return None


def _library(file: str) -> str:
    """The name of the installed package of a file, "" of none; of Python's own, that of the package or module."""
    for part in _INSTALLED:
        if part in file:
            return file.rpartition(part)[2].partition("/")[0]
    return file[len(_PYTHON) :].partition("/")[0] if file.startswith(_PYTHON) else ""


# -- text


def _lines(text: str) -> Iterator[str]:
    return iter(text.split("\n", _MOST_LINES)[:_MOST_LINES])


def _frame(groups: Sequence[str | None]) -> Frame:
    file, line, function = (each or "" for each in groups)
    return Frame(file, int(line[:9]) if line.isdecimal() else 0, function)
