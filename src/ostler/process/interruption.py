"""Raising an exception in another thread.

    raise_in, take_back     any thread, by CPython's PyThreadState_SetAsyncExc: it comes with the next bytecode, so a
                            thread that waits in C hears of it when that returns
    MainThread              the main one, by a signal whose handler raises: what waits in a system call is woken up

Rules for editing: whoever calls has made sure what the other thread is doing. Nothing here waits.
"""

import contextlib
import ctypes
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final

from ostler.process.signals import block_all, restore_mask

_SIGEMT: Final = 7  # on macOS, which has no real-time signals; Python has no name for it
INTERRUPT_SIGNAL: Final[int] = _SIGEMT if sys.platform == "darwin" else int(signal.SIGRTMIN) + 8
"""Nobody else's, like that of dumps (process/signals.py)."""

_set_async_exc = ctypes.pythonapi.PyThreadState_SetAsyncExc
_pthread_kill = signal.pthread_kill


def raise_in(ident: int, exception: type[BaseException]) -> bool:
    """False: there is no such thread."""
    return bool(_set_async_exc(ctypes.c_ulong(ident), ctypes.py_object(exception)))


def take_back(ident: int) -> None:
    """What `raise_in` has set, and has not come yet, does not come."""
    _set_async_exc(ctypes.c_ulong(ident), None)


class MainThread:
    """Wakes up the main thread, which calls `woken` with the frame that it was in; what that raises is raised there."""

    def __init__(self, woken: Callable[[FrameType | None], object]) -> None:
        """In the main thread."""
        self._ident = threading.main_thread().ident or 0
        mask = block_all()
        signal.signal(INTERRUPT_SIGNAL, lambda _number, frame: woken(frame))
        restore_mask(mask)

    def wake(self) -> None:
        """Any thread."""
        with contextlib.suppress(OSError):
            _pthread_kill(self._ident, INTERRUPT_SIGNAL)
