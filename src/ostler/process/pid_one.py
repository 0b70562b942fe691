"""Being the first process of a container, or the child of one that is only a shell. pid_namespaces(7), signal(7).

The kernel gives PID 1 no default actions: a TERM that comes before there is a handler is thrown away, and `docker stop`
would wait ten seconds and kill. A shell as PID 1 gets the TERM, and does not pass it on.

Rules for editing: imported before everything else, so it imports next to nothing; what /proc does not tell is not so.
"""

import os
import signal
from types import FrameType
from typing import Final

from ostler import real

PID_ONE: Final = 1

_SHELLS: Final = frozenset({"sh", "bash", "dash", "ash", "busybox", "ksh", "mksh", "zsh"})
_STDERR: Final = 2

_getpid = os.getpid
_getppid = os.getppid
_leave = os._exit
_write = real.write


def heed_stops() -> None:
    """As PID 1: TERM, INT and QUIT end this process, with status 0, until the master's own handlers stand."""
    if _getpid() != PID_ONE:
        return
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler}:
            signal.signal(number, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    # Nothing has begun that would have to be ended: a pid file that is left has no lock, and counts as stale.
    try:
        _write(_STDERR, f"stopped before the server was started signal={signal.Signals(number).name}\n".encode())
    finally:
        _leave(0)


def is_pid_one() -> bool:
    """Whether a container ends with this process."""
    return _getpid() == PID_ONE


def shell_above(root: str = "/") -> str | None:
    """The name of the shell that is PID 1 and started this process with `-c` or from a script, so that it will not pass
    TERM on; None: there is none. An interactive one is its user's own affair. root: where proc is.
    """
    if _getppid() != PID_ONE:
        return None
    try:
        with open(os.path.join(root, "proc/1/cmdline"), "rb") as file:
            words = os.fsdecode(file.read()).split("\0")[:-1]
    except OSError:
        return None
    name = os.path.basename(words[0]).removeprefix("-") if words else ""
    arguments = words[2:] if name == "busybox" else words[1:]
    given = any(not word.startswith("-") or (not word.startswith("--") and "c" in word) for word in arguments)
    return name if name in _SHELLS and given else None
