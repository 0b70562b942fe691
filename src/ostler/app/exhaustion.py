"""What an application runs out of (and that it left): told from its exception, with what has been used up, by whom,
and the cure.

`hint` goes into the line of an exception that nobody handled in a request; `threads_by_origin` and `descriptors` are
also what a worker looks at once in a while, before there is an exception (roles/leaks.py).

Rules for editing: called when something failed because nothing was left: each look may fail too, and never raises. The
words of causes are those of observe/causes.py, which a test holds equal.
"""

import contextlib
import errno
import os
import re
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from ostler.config.usercode import short_path

DESCRIPTORS: Final = "too many open files"
THREADS: Final = "too many threads"
MEMORY: Final = "out of memory"
DISK: Final = "no space left on a disk"
PROCESSES: Final = "too many processes"
EXIT: Final = "the application called sys.exit()"

THREADS_CURE: Final = (
    "start threads once, not for each request, and see that they end: a concurrent.futures pool of a fixed size does "
    "both; the limit is ulimit -u, TasksMax= or pids.max"
)
DESCRIPTORS_CURE: Final = (
    "close what the application opens, with `with` or in a `finally`; only if it needs so many, raise the limit "
    "(ulimit -n, LimitNOFILE=)"
)
_MEMORY_CURE: Final = (
    "raise the limit (ulimit -v, memory.max), use fewer threads or workers, or set max_worker_memory below the limit"
)
_DISK_CURE: Final = "free space there (df -h, df -i), or let tmp_upload_dir and the logs be elsewhere"
_PROCESSES_CURE: Final = (
    "see that the processes it starts end and are waited for; the limit is ulimit -u, TasksMax= or pids.max"
)

_EXIT_CURE: Final = "return a response, or raise an exception that the framework knows; sys.exit() is for commands"

_NO_THREAD: Final = "can't start new thread"
_OURS: Final = "ostler-"
_SHOWN: Final = 3
_MOST_READ: Final = 4096
"""Of descriptors: more are counted, and not looked at one by one."""
_FD: Final = "/proc/self/fd"
_INODE: Final = re.compile(r":\[\d+\]$")


def hint(error: BaseException | None) -> dict[str, object]:
    """cause= and cure= of an exception that says that something is used up, or of sys.exit(); empty for any other."""
    find = _found(error)
    if find is None:
        return {}
    try:
        return find()
    except Exception:  # noqa: BLE001  a hint is not worth a request
        return {}


def _found(error: BaseException | None) -> Callable[[], dict[str, object]] | None:
    match error:
        case SystemExit():
            return lambda: {"cause": EXIT, "cure": _EXIT_CURE}
        case MemoryError():
            return lambda: {"cause": MEMORY, "cure": _MEMORY_CURE}
        case RuntimeError() if str(error).startswith(_NO_THREAD):
            return _of_threads
        case OSError(errno=errno.EMFILE | errno.ENFILE):
            return _of_descriptors
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return lambda: {"cause": DISK, "cure": _DISK_CURE}
        case BlockingIOError() if error.errno == errno.EAGAIN and error.filename is None and _by_fork(error):
            return lambda: {"cause": PROCESSES, "cure": _PROCESSES_CURE}
        case OSError(errno=errno.ENOMEM):
            return lambda: {"cause": MEMORY, "cure": _MEMORY_CURE}
        case _:
            return None


def _by_fork(error: BaseException) -> bool:
    """Whether the last line that ran was one that starts a process; a socket's EAGAIN is something else."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    names: tuple[str, ...] = () if trace is None else trace.tb_frame.f_code.co_names
    return any(name in ("fork", "forkpty", "fork_exec", "_fork_exec", "posix_spawn") for name in names)


def _of_threads() -> dict[str, object]:
    count, most = threads_by_origin()
    return {"threads": count, "most": most, "cause": THREADS, "cure": THREADS_CURE}


def _of_descriptors() -> dict[str, object]:
    count, most, _ = descriptors()
    seen: dict[str, object] = {"open": count, "most": most} if count else {}
    return {**seen, "cause": DESCRIPTORS, "cure": DESCRIPTORS_CURE}


def threads_by_origin() -> tuple[int, str]:
    """How many threads there are beside ours, and what most of them run: `499 shop/views.py:12 in work`."""
    origins: Counter[str] = Counter()
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.name.startswith(_OURS):
            origins[_origin(thread)] += 1
    return origins.total(), _listed(origins)


def _origin(thread: Any) -> str:
    """Where the code begins that it runs: that of its target, or of its class."""
    code = None
    with contextlib.suppress(Exception):  # Thread keeps it to itself; and a target may be any object
        target = getattr(thread, "_target", None)
        target = thread.run if target is None else getattr(target, "func", target)
        code = getattr(getattr(target, "__func__", target), "__code__", None)
    if code is None:
        return type(thread).__name__
    return f"{short_path(code.co_filename)}:{code.co_firstlineno} in {code.co_name}"


def descriptors() -> tuple[int, str, int]:
    """How many are open; what most of them are: `310 /var/cache/a.db, 200 socket`; how many are sockets.

    0 where nobody says, or no descriptor is left to ask with and none could be made.
    """
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = os.listdir(_FD)
    kinds: Counter[str] = Counter()
    for name in names[:_MOST_READ] or map(str, range(_MOST_READ) if not names else ()):
        with contextlib.suppress(OSError):  # needs no descriptor, where the list needs one
            kinds[_INODE.sub("", os.readlink(f"{_FD}/{name}"))] += 1
    return max(len(names), kinds.total()), _listed(_by_directory(kinds)), kinds["socket"]


def _by_directory(kinds: Counter[str]) -> Counter[str]:
    """Several files of one directory as `/var/cache/*`: one for each request, mostly."""
    files = Counter(os.path.dirname(name) for name in kinds if name.startswith("/"))
    found: Counter[str] = Counter()
    for name, count in kinds.items():
        directory = os.path.dirname(name)
        found[f"{directory}/*" if name.startswith("/") and files[directory] > 1 else name] += count
    return found


def _listed(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counter.most_common(_SHOWN))
