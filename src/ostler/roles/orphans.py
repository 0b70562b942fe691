"""The end of workers whose master is dead, and timers for ends that may not wait.

Rules for editing: real threads; what they do needs no lock that the application could hold.
"""

import contextlib
import os
import signal
from collections.abc import Callable
from typing import Final

from ostler import real
from ostler.observe.scoreboard import Scoreboard, WorkerState

ORPHAN_S: Final = 0.8
"""How long a worker without a master may finish what it is serving."""

_kill = os.kill


def after(delay_s: float, action: Callable[[], object]) -> None:
    """Do `action` on a thread of its own, in `delay_s` seconds, unless the process is gone by then."""

    def wait() -> None:
        real.sleep(delay_s)
        action()

    real.Thread(wait, "ostler-timer").start()


def end_orphans(scoreboard: Scoreboard) -> None:
    """End this process, and kill siblings of the same program that cannot: they hang in C code."""
    own = os.getpid()
    for index in range(scoreboard.pages):
        page = scoreboard.page(index)
        pid = 0 if page.state is WorkerState.FREE else page.pid
        if pid and pid != own and _is_our_orphan(pid):
            with contextlib.suppress(OSError):
                _kill(pid, signal.SIGKILL)
    os._exit(0)


def _is_our_orphan(pid: int) -> bool:
    """Whether `pid` still runs the program that we run: the number could belong to a stranger by now."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as theirs, open("/proc/self/cmdline", "rb") as ours:
            return theirs.read() == ours.read()
    except OSError:
        return False
