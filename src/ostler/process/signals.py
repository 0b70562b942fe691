"""Signals as facts: a handler that does nothing, a file descriptor that wakes a loop, and the mask held across fork.

Python's C handler writes each signal's number into the wakeup descriptor at once, whatever the main thread does, so a
loop in any thread reads them in order (signal(7), signal.set_wakeup_fd). No handler of ours ever runs policy.

Rules for editing: names and numbers are computed here only; the system calls are bound at import, before a config file
could monkey patch them.
"""

import contextlib
import os
import signal as _signal
import sys
import threading
from collections.abc import Iterable
from types import FrameType
from typing import Final

from ostler import real
from ostler.process.belongings import close_detached
from ostler.process.signal_stack import widen

_install = _signal.signal
_set_wakeup_fd = _signal.set_wakeup_fd
_set_mask = _signal.pthread_sigmask

# faulthandler.register() listens to it in the worker, with the channel as its file: that works while C code holds the
# GIL. A real-time signal, since applications and libraries use the named ones. macOS has none; SIGINFO is unused there.
if sys.platform == "darwin":
    DUMP_SIGNAL: Final[int] = int(_signal.SIGINFO)
else:
    DUMP_SIGNAL: Final[int] = int(_signal.SIGRTMIN) + 7

# Ends a worker that boots and is not needed any more; one that serves ignores it, which is the default (signal(7)).
CANCEL_SIGNAL: Final[int] = int(_signal.SIGURG)

# What the master listens to.
MASTER_SIGNALS: Final[tuple[_signal.Signals, ...]] = (
    _signal.SIGCHLD,
    _signal.SIGHUP,
    _signal.SIGINT,
    _signal.SIGQUIT,
    _signal.SIGTERM,
    _signal.SIGTTIN,
    _signal.SIGTTOU,
    _signal.SIGUSR1,
    _signal.SIGUSR2,
    _signal.SIGWINCH,
)

_COUNTED: Final = frozenset((_signal.SIGTTIN, _signal.SIGTTOU))
_CROWD: Final = 64
"""So many numbers at once are a storm, of which some may be lost."""
_AFTER_A_STORM: Final = 3
"""For so many looks, handlers may tell of numbers that were dropped in it."""

# What a worker ignores, because the kernel, systemd or `pkill` send it to every process (failures R9).
WORKER_IGNORES: Final[tuple[_signal.Signals, ...]] = (
    _signal.SIGHUP,
    _signal.SIGTTIN,
    _signal.SIGTTOU,
    _signal.SIGUSR2,
    _signal.SIGWINCH,
)


def name_of(number: int) -> str:
    """SIGTERM for 15; SIGRTMIN+7 and the like for real-time signals."""
    try:
        return _signal.Signals(number).name
    except ValueError:
        if sys.platform != "darwin" and _signal.SIGRTMIN < number < _signal.SIGRTMAX:
            return f"SIGRTMIN+{number - _signal.SIGRTMIN}"
        return f"signal {number}"


def block_all() -> set[int]:
    """Hold back every signal in this thread; returns the former mask for `restore_mask`."""
    return set(_set_mask(_signal.SIG_SETMASK, _signal.valid_signals()))


def restore_mask(mask: Iterable[int]) -> None:
    _set_mask(_signal.SIG_SETMASK, mask)


def hold_back(numbers: Iterable[int]) -> None:
    """Hold back these signals and no others; the mask survives exec (sigprocmask(2))."""
    _set_mask(_signal.SIG_SETMASK, numbers)


def unblock_all() -> None:
    """Let held signals in: the last step of a child that has set its handlers."""
    _set_mask(_signal.SIG_SETMASK, ())


def ignore(numbers: Iterable[int]) -> None:
    """With a handler, which exec takes away: SIG_IGN would stay with whatever the application starts (execve(2))."""
    for number in numbers:
        _install(number, _do_nothing)


def restore_default(numbers: Iterable[int]) -> None:
    for number in numbers:
        _install(number, _signal.SIG_DFL)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """Installed so that the signal is caught, and not ignored."""


class SignalEdge:
    """Turns `numbers` into bytes on a descriptor. One per process; made in the main thread.

    In a forked child: close the inherited edge first (signals are still blocked), then make the child's own.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        self._noticed: set[int] = set()
        self._crowded = 0
        widen()  # faulthandler may be on, by PYTHONFAULTHANDLER or a configuration file
        self._reader, self._writer = real.pair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        _set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            _install(number, self._notice)

    def _notice(self, number: int, _frame: FrameType | None) -> None:
        """The number has gone through the wakeup descriptor already, if that is still ours: there is one for the whole
        process, and event loops take it (uvloop while it runs, asyncio with its first `add_signal_handler`).
        """
        ours = self._writer.fileno()
        if ours == -1:
            return
        self._noticed.add(number)
        former = _set_wakeup_fd(ours, warn_on_full_buffer=False)
        if former == ours:
            return
        if former != -1:
            _set_wakeup_fd(former, warn_on_full_buffer=False)
        with contextlib.suppress(OSError):
            self._writer.send(bytes((number,)))

    def fileno(self) -> int:
        return self._reader.fileno()

    def take(self) -> list[int]:
        """Signals since the last call, oldest first. Never blocks; any thread."""
        taken = bytearray()
        while True:
            try:
                data = self._reader.recv(4096)
            except BlockingIOError:
                break
            if not data:
                break
            taken += data
        if not self._crowded and len(taken) < _CROWD:
            self._noticed.clear()
            return list(taken)
        return self._of_a_storm(taken)

    def _of_a_storm(self, taken: bytearray) -> list[int]:
        """The kernel takes some hundred numbers at a time, and drops the others: TERM may be among those. So whatever a
        handler has noticed is heard once at least; and many of a kind once, unless they are counted.
        """
        self._crowded = _AFTER_A_STORM if len(taken) >= _CROWD else self._crowded - 1
        found: list[int] = []
        for number in (*taken, *sorted(self._noticed.difference(taken))):
            self._noticed.discard(number)
            if number in _COUNTED or number not in found:
                found.append(number)
        return found

    def disown(self) -> None:
        """In a process that the application has forked, which has let go of the wakeup (`leave_to_forks`)."""
        close_detached(self._reader)
        close_detached(self._writer)

    def close(self) -> None:
        """Stop listening. Handlers stay installed: they do nothing."""
        _set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()


def let_go_of_wakeup() -> None:
    """Whoever has set a wakeup descriptor in this process (an event loop, a SignalEdge): signals are not for it now."""
    _set_wakeup_fd(-1)


def leave_to_forks(numbers: Iterable[int]) -> None:
    """Processes that the application forks from now on have the default actions, and no wakeup descriptor of ours.

    Otherwise a TERM for such a child would be heard by this process, and not end the child. The signals are held back
    across the fork, for one may come before the child has let go. Once per process.
    """
    given_back = tuple(numbers)
    masks = threading.local()  # any thread may fork

    def before() -> None:
        masks.former = _set_mask(_signal.SIG_BLOCK, given_back)

    def after_in_child() -> None:
        _set_wakeup_fd(-1)
        restore_default(given_back)
        _set_mask(_signal.SIG_SETMASK, masks.former)

    def after_in_parent() -> None:
        _set_mask(_signal.SIG_SETMASK, masks.former)

    os.register_at_fork(before=before, after_in_child=after_in_child, after_in_parent=after_in_parent)
