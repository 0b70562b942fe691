"""Parents and children, by prctl(2), where the kernel has it (Linux): dying with one's parent, or hearing of its end,
and adopting orphans.

PR_SET_PDEATHSIG belongs to the calling thread, is lost at fork and at a change of credentials, and fires when the
*thread* of the parent that forked ends. PR_SET_CHILD_SUBREAPER is not inherited; orphans go to the nearest ancestor
that has it, and the kernel changes their parent before it lets the dead one be reaped.
"""

import ctypes
import os
import signal
import sys
import time
from typing import Final

from ostler import real

ORPHANS_ARE_ADOPTED: Final = sys.platform == "linux"
"""Whether the system has `adopt_orphans`."""

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36

_PAUSE_S: Final = 0.0005

_getppid = os.getppid
_monotonic = time.monotonic
_sleep = real.sleep


def die_with_parent(expected_parent: int) -> None:
    """Have this process killed when its parent dies; leave at once when it is dead already. Nothing off Linux."""
    _set(int(signal.SIGKILL))
    if os.getppid() != expected_parent:
        os._exit(1)


def outlive_parent() -> None:
    """Undo `die_with_parent`: from now on this process notices by itself, and finishes what it is serving."""
    _set(0)


def hear_of_parents_end() -> None:
    """Have SIGCHLD sent to this process when its parent has died; getppid() tells so by then. Nothing off Linux."""
    _set(int(signal.SIGCHLD))


def adopt_orphans() -> None:
    """From now on descendants of this process whose parent ends are its children. Raises OSError; nothing off Linux.

    PID 1 needs no leave: it adopts all that nobody else does.
    """
    if ORPHANS_ARE_ADOPTED:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        if prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0 and os.getpid() != 1:
            number = ctypes.get_errno()
            cure = "allow it in the sandbox (seccomp), or leave preload_app off"
            raise OSError(number, f"prctl(2) is denied ({os.strerror(number)}); {cure}")


def wait_for_parent(pid: int, between: int, timeout_s: float) -> bool:
    """Wait until `pid` is the parent of this process, and no longer `between`. False: somebody else is, or time is up.

    There is nothing to wait on: the end of a pipe comes before the kernel changes the parent.
    """
    deadline = _monotonic() + timeout_s
    while (parent := _getppid()) != pid:
        if parent != between or _monotonic() > deadline:
            return False
        _sleep(_PAUSE_S)
    return True


def _set(number: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
