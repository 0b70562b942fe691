"""What a command reads of workers by itself, from /proc: PSS, processor time, what one waits for in the kernel.

Some of these files take a lock of the process: whoever reads them of one in uninterruptible sleep sleeps as well. So a
thread reads, and the command goes on without what has not come within WITHIN_S; it leaves with the thread where it is.

Rules for editing: for commands only, never in a server's process.
"""

import os
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from ostler import real
from ostler.process.kernel_wait import reason, stack
from ostler.process.memory import pss_bytes

WITHIN_S: Final = 1.0

_Lock = real.make_lock
_open = open
_T = TypeVar("_T")


def cpu_s(pid: int) -> float | None:
    """Processor time that the process has used."""
    try:
        with _open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            words = file.read().rpartition(b")")[2].split()
        return round((int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK"), 2)
    except (OSError, IndexError, ValueError):
        return None


def memory(pid: int) -> int | None:
    """Its PSS in bytes."""
    return pss_bytes(pid)


def in_kernel(pid: int) -> str:
    """Why a process may not answer: "state D, waits in io_schedule: ...", and the kernel's stack where root asks."""
    found = reason(pid)
    if found is None:
        return "it is gone"
    what = f"state {found.state}, waits in {found.wchan}"
    if found.state == "T":
        what += ": it is stopped; let it go on with SIGCONT"
    elif found.state in "Dt":
        what += f": {found.cause}; {found.cure}"
    return f"{what}\n{stack(found.task)}".rstrip()


def each(pids: Sequence[int], measure: Callable[[int], _T]) -> dict[int, _T]:
    """What could be measured of these in time."""
    found: dict[int, _T] = {}
    done = _Lock()
    done.acquire()

    def run() -> None:
        for pid in pids:
            found[pid] = measure(pid)
        done.release()

    real.start_thread(run, ())
    done.acquire(timeout=WITHIN_S)
    return dict(found)
