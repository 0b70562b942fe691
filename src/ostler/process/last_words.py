"""What a process still says when it ends without an exception: where C code crashed, and who called `os._exit`.

Both go as text into a descriptor that somebody else reads. A crash is faulthandler's to tell: SIGSEGV, SIGFPE, SIGBUS
and SIGILL; SIGABRT is its caller's to handle afterwards. `os._exit` ends a process without a word, so it is wrapped:
in the process that was asked to, and when the application calls it, the stack is written first.

Rules for editing: what the user has made of faulthandler stands, and of `os._exit` (coverage.py wraps it, too). A
process that the application forks has its crashes told on stderr, as without us: the descriptor is not its own.
"""

import contextlib
import faulthandler
import os
import sys
from typing import Final, NoReturn

from ostler import real

_OURS: Final = ("ostler.", "gunicorn.")
_getpid = os.getpid


class _Told:
    """What was set up in this process, or in the one that it was forked from."""

    pid = 0
    fd = -1
    crashes = False
    leave = os._exit
    """What it was before us, which may be somebody's own."""
    wrapped = False


def tell(fd: int) -> None:
    """From now on, into this descriptor. Again in a process that was forked from one that did."""
    if _Told.crashes or not faulthandler.is_enabled() or _enabled_by_environment():
        faulthandler.enable(fd, all_threads=True)
        if not _Told.crashes:
            _Told.crashes = True
            os.register_at_fork(after_in_child=_go_to_stderr)
    _Told.pid, _Told.fd = _getpid(), fd
    if not _Told.wrapped:  # once: what others have put around it since then stays
        _Told.wrapped = True
        _Told.leave = os._exit
        os._exit = _exit


def _enabled_by_environment() -> bool:
    """Nobody has chosen where it writes to: Python has, when it started."""
    return bool(sys.flags.dev_mode or os.environ.get("PYTHONFAULTHANDLER") or "faulthandler" in sys._xoptions)


def _go_to_stderr() -> None:
    with contextlib.suppress(Exception):  # the application may have closed or replaced it
        faulthandler.disable()
        faulthandler.enable()


def _exit(status: int) -> NoReturn:
    """os._exit: end this process at once, without calling anything."""
    if _getpid() == _Told.pid:
        with contextlib.suppress(Exception):
            caller = sys._getframe(1).f_globals.get("__name__", "")
            if not str(caller).startswith(_OURS):
                real.write(_Told.fd, f"os._exit({status}) was called\n".encode())
                faulthandler.dump_traceback(_Told.fd, all_threads=False)
    _Told.leave(status)
