"""Where signals are handled: a stack that is large enough for all of them at once (sigaltstack(2)).

Python's handlers run on the alternate stack of the main thread, if there is one, and faulthandler makes one of 16 KiB:
room for a few signals of different kinds that wait at the same time, since the kernel lays all their frames down before
the first one is handled. One more (HUP, USR1, TERM, CHLD, WINCH for a process that was stopped, or swapped out), and
the process dies of SIGSEGV. So the main thread gets a larger one. Pages that are not touched cost nothing.

Rules for editing: in the main thread, after faulthandler has made its own. Linux; elsewhere nothing is done.
"""

import ctypes
import mmap
import sys
from typing import Any, ClassVar, Final

SIZE_BYTES: Final = 1 << 20
"""64 signals, of up to 11 KiB each where the processor has that many registers (AMX), and some."""


class _Stack(ctypes.Structure):
    """stack_t."""

    _fields_: ClassVar = [("base", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


class _Kept:
    """The memory; it is the kernel's to use as long as the process lives."""

    memory: ClassVar[Any] = None


def widen() -> bool:
    """Whether the main thread's signal stack is large enough now. Without one, the thread's own is used, which is."""
    if sys.platform != "linux":
        return True
    try:
        sigaltstack = ctypes.CDLL(None, use_errno=True).sigaltstack
        present = _Stack()
        if sigaltstack(None, ctypes.byref(present)) or not present.base or present.size >= SIZE_BYTES:
            return True
        memory = mmap.mmap(-1, SIZE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        wide = _Stack(ctypes.addressof(ctypes.c_char.from_buffer(memory)), 0, SIZE_BYTES)
        if sigaltstack(ctypes.byref(wide), None):
            return False
    except (OSError, AttributeError, ValueError):
        return False
    _Kept.memory = memory
    return True
