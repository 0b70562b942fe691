"""Which threads this process has beside the main one, and which of them would be missing after a fork.

Python knows the threads that its `threading` module made. Of others (`_thread`, C and Rust libraries) the system knows
the name, /proc/self/task/TID/comm (proc(5)). Some of those end by themselves when the process forks, and are made anew
when they are needed: OpenBLAS does so, gRPC can (pthread_atfork(3)). That cannot be seen from outside, so it is tried.

Rules for editing: off Linux there are no others, as far as anybody knows.
"""

import contextlib
import os
import signal
import threading
import time
from typing import Final

from ostler import real
from ostler.process.signals import block_all, restore_mask

_TASKS: Final = "/proc/self/task"
_FORK_S: Final = 2.0
_LOOK_S: Final = 0.001

_fork = real.fork
_waitpid = real.waitpid
_leave = os._exit
_kill = os.kill


def native_threads() -> tuple[str, ...]:
    """Names of living threads that Python's threading module does not know and that do not end when this process forks.

    Sorted. When there are such threads, a child is forked that ends at once. In the main thread.
    """
    found = _unknown()
    if found:
        _try_fork()
        found = {task: name for task, name in _unknown().items() if task in found}
    return tuple(sorted(found.values()))


def other_threads() -> tuple[str, ...]:
    """Names of all threads beside the main one that a fork would lose, as `native_threads`; daemons too. Sorted."""
    known = [each.name for each in threading.enumerate() if each is not threading.main_thread()]
    return tuple(sorted([*known, *native_threads()]))


def task_count() -> int | None:
    """How many threads the system knows of; None where it does not tell."""
    try:
        return len(os.listdir(_TASKS))
    except OSError:
        return None


def _unknown() -> dict[int, str]:
    known = {getattr(thread, "native_id", None) for thread in threading.enumerate()}  # eventlet's have none
    found = {}
    try:
        tasks = [int(name) for name in os.listdir(_TASKS)]
    except (OSError, ValueError):
        return {}
    for task in tasks:
        if task in known or task == os.getpid():
            continue
        try:
            with open(f"{_TASKS}/{task}/comm", encoding="utf-8", errors="replace") as file:
                found[task] = file.read().rstrip("\n")
        except OSError:
            continue  # it has ended
    return found


def _try_fork() -> None:
    mask = block_all()
    try:
        pid = _fork()
        if pid == 0:
            _leave(0)
    except OSError:
        return  # no process to be had: then they all count
    finally:
        restore_mask(mask)
    with contextlib.suppress(ChildProcessError):
        _end(pid)


def _end(pid: int) -> None:
    """Reap the child, which hangs only if some library's handlers of forks do."""
    until = time.monotonic() + _FORK_S
    while _waitpid(pid, os.WNOHANG)[0] == 0:
        if time.monotonic() >= until:
            _kill(pid, signal.SIGKILL)
            _waitpid(pid, 0)
            return
        real.sleep(_LOOK_S)
