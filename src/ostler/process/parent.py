"""Dying with the parent: prctl(2)'s PR_SET_PDEATHSIG, where the kernel has it (Linux).

The setting belongs to the calling thread and is lost at fork and at a change of credentials.
"""

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def die_with_parent(expected_parent: int) -> None:
    """Have this process killed when its parent dies; leave at once when it is dead already. Nothing off Linux."""
    _set(int(signal.SIGKILL))
    if os.getppid() != expected_parent:
        os._exit(1)


def outlive_parent() -> None:
    """Undo `die_with_parent`: from now on this process notices by itself, and finishes what it is serving."""
    _set(0)


def _set(number: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
