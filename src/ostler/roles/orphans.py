"""The end of workers whose master is dead, and timers for ends that may not wait.

The end of the line to the master says that it is dead, unless the application has closed it in this process: then the
master lives, this worker alone leaves, and its siblings are none of its business.

Rules for editing: real threads; what they do needs no lock that the application could hold. A sibling is killed only
when the kernel says, too, that the master is gone: whoever is wrong there ends the whole fleet.
"""

import contextlib
import os
import signal
from collections.abc import Callable
from typing import Final

from ostler import real
from ostler.logline import fields
from ostler.observe.causes import Cause, cure_for
from ostler.observe.scoreboard import Scoreboard, WorkerState
from ostler.process.belongings import LEFT_STATUS
from ostler.process.parent import ORPHANS_ARE_ADOPTED

ORPHAN_S: Final = 0.8
"""How long a worker without a master may finish what it is serving."""

_LEAST_S: Final = 0.001
"""0 would be never (setitimer(2))."""

_kill = os.kill
_getppid = os.getppid


def after(delay_s: float, action: Callable[[], object]) -> None:
    """Do `action` on a thread of its own, in `delay_s` seconds, unless the process is gone by then.

    Where the system has no thread to give, the process is ended then, by SIGALRM, if nobody handles that.
    """

    def wait() -> None:
        real.sleep(delay_s)
        action()

    try:
        real.Thread(wait, "ostler-timer").start()
    except (RuntimeError, MemoryError):
        signal.setitimer(signal.ITIMER_REAL, max(delay_s, _LEAST_S))


def parting_words(master: int) -> str:
    """The line of a worker that hears the end of the line to its master. master: its pid."""
    if _lives(master):
        sentence = "the application closed or replaced descriptors of the server, this worker leaves"
        cause = Cause.DESCRIPTORS_TAKEN
        return fields(sentence, pid=os.getpid(), lost="channel to the master", cause=cause, cure=cure_for(cause))
    return fields("master is gone, worker leaves", pid=os.getpid(), within_s=ORPHAN_S)


def end_orphans(scoreboard: Scoreboard, master: int) -> None:
    """End this process, and kill siblings of the same program that cannot: they hang in C code. master: its pid."""
    if _lives(master):
        os._exit(LEFT_STATUS)
    own = os.getpid()
    for index in range(scoreboard.pages):
        page = scoreboard.page(index)
        pid = 0 if page.state is WorkerState.FREE else page.pid
        if pid and pid != own and _is_our_orphan(pid):
            with contextlib.suppress(OSError):
                _kill(pid, signal.SIGKILL)
    os._exit(0)


def _lives(master: int) -> bool:
    """Whether it is our parent still: orphans get another one at once. False where that says nothing."""
    return ORPHANS_ARE_ADOPTED and _getppid() == master


def _is_our_orphan(pid: int) -> bool:
    """Whether `pid` still runs the program that we run: the number could belong to a stranger by now."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as theirs, open("/proc/self/cmdline", "rb") as ours:
            return theirs.read() == ours.read()
    except OSError:
        return False
