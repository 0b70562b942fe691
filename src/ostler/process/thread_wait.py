"""What one thread of this process does while its Python line stands still: it computes, or sleeps in the kernel.

A thread that computes needs the interpreter's lock, which whoever asks holds: it would look as if it waited for a lock.
So the question takes ten milliseconds, in which others may run, and the kernel says whether this one has (the first two
numbers of /proc/PID/task/TID/schedstat: nanoseconds on a CPU, and ready for one; proc(5)).

Rules for editing: for reports, not for every request. Where nobody says, the answer is empty.
"""

import os
import threading
from typing import Final

from ostler import real
from ostler.process import kernel_wait

LOOK_S: Final = 0.01
_BUSY_SHARE: Final = 0.25

_open = open


def of_thread(ident: int) -> tuple[str, str]:
    """("R", "") of a thread that computes, else its state and the kernel's function in which it sleeps, as
    `diagnosis.Evidence` has it; ident: as `threading.get_ident`.
    """
    task = _task(ident)
    before = None if task is None else _active_ns(task)
    if task is None or before is None:
        return "", ""
    real.sleep(LOOK_S)
    after = _active_ns(task)
    if after is None:
        return "", ""
    if after - before > _BUSY_SHARE * LOOK_S * 1e9:
        return "R", ""
    found = next((each for each in kernel_wait.tasks(os.getpid()) if each.task == task), None)
    return ("", "") if found is None or found.state == "R" else (found.state, found.wchan)


def _task(ident: int) -> int | None:
    if ident == threading.main_thread().ident:
        return os.getpid()  # Python 3.11 knows it as it was before the fork
    return next((thread.native_id for thread in threading.enumerate() if thread.ident == ident), None)


def _active_ns(task: int) -> int | None:
    try:
        with _open(f"/proc/self/task/{task}/schedstat", "rb", buffering=0) as file:
            on_cpu, ready, *_ = file.read().split()
        return int(on_cpu) + int(ready)
    except (OSError, ValueError):
        return None
