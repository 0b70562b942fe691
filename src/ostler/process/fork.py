"""Children: forking, reaping, signalling them, and trying something out in one (fork(2), waitpid(2)).

A mold's children are to be the master's: they are forked by a process between, which ends at once (`fork_orphan`).

Every signal is blocked across fork: one that arrives between the fork and the child's own handlers would run the
master's handler in the child, or be lost (failures R8). The child lets them in when its handlers stand.

Rules for editing: no policy. System calls are bound at import: a config file is user code in the master and may replace
`os.fork` (gevent does).
"""

import contextlib
import errno
import gc
import os
import signal as _signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NoReturn

from ostler import real
from ostler.errors import OstlerError, reason_of
from ostler.process.parent import die_with_parent
from ostler.process.signals import block_all, name_of, restore_default, restore_mask, unblock_all

_fork = real.fork
_waitpid = real.waitpid
_wait4 = os.wait4
_kill = os.kill
_leave = os._exit
_pipe = os.pipe
_read = real.read
_write = real.write
_close = os.close
_monotonic = time.monotonic
_sleep = real.sleep

_BETWEEN_S: Final = 5.0
"""How long the process between may need to fork; less than the master's patience with a mold."""
_PAUSE_S: Final = 0.0005
_LIMIT_VERDICT_BYTES: Final = 65536
_UNHANDLED: Final = 255  # the documented exit status of an exception that nobody handled


_CURES: Final = {
    errno.EAGAIN: "raise the limit of processes (ulimit -u, TasksMax=, pids.max), or end some",
    errno.ENOMEM: "free memory, use fewer workers, or raise the limit (memory.max, ulimit -v, vm.overcommit_memory)",
    errno.EMFILE: "raise the master's limit of descriptors (ulimit -n, LimitNOFILE=)",
    errno.ENFILE: "raise the machine's limit of descriptors (sysctl fs.file-max)",
}


@dataclass(frozen=True, slots=True)
class Death:
    """A reaped child. Exactly one of `status` and `signal` (a name such as SIGKILL) is not None.

    peak_bytes: the most memory that it had at once (getrusage(2), ru_maxrss); 0 where nobody says.
    """

    pid: int
    status: int | None
    signal: str | None
    peak_bytes: int = 0


def fork(run: Callable[[], NoReturn]) -> int:
    """Run `run` in a child; returns the child's pid. Raises OSError when the system has no process to give.

    The child starts with all signals blocked (`signals.unblock_all`), and never returns from here.
    """
    mask = block_all()
    try:
        pid = _fork()
        if pid == 0:
            _be_child(run)
        return pid
    finally:
        restore_mask(mask)


def why_no_process(error: OSError) -> str:
    """Of what `fork` raised, or the making of what a child needs: the system's words, and a cure."""
    cure = _CURES.get(error.errno or 0)
    return f"{reason_of(error)}; {cure}" if cure else reason_of(error)


def _be_child(run: Callable[[], NoReturn]) -> NoReturn:
    status = _UNHANDLED
    try:
        # The child's collector need not walk, and so copy, pages that it shares with its siblings. In a mold this is
        # what was the master's; what the application is made of is frozen when it is loaded (roles/mold.py).
        gc.freeze()
        run()
    except SystemExit as request:
        status = request.code if isinstance(request.code, int) else 1
    except BaseException:  # noqa: BLE001  the last border of a process: nothing may unwind into the master's frames
        traceback.print_exc()
    finally:
        flush_standard_streams()
        _leave(status)


def fork_orphan(run: Callable[[int], NoReturn], born: Callable[[int], object] | None = None) -> None:
    """Run `run` in a grandchild, whose parent will be who adopts orphans (process/parent.py), a moment later.

    run: is called with the pid of the process between, which is its parent until that has ended. born: is called in the
    process between, with the pid of the grandchild. The end of the process between is waited for, the grandchild is
    not. Raises OSError when the system has no process to give, for the one or the other, or when that takes too long.
    """
    mother = os.getpid()
    between = fork(lambda: _be_between(run, born, mother))
    wait_status = _wait_for(between)
    if wait_status is None:
        # At-fork handlers of libraries hang there; they came before anything of ours, so nobody else would end it.
        send_signal(between, _signal.SIGKILL)
        wait_status = _wait_for(between)
        raise OSError(errno.ETIMEDOUT, f"the fork did not end within {_BETWEEN_S:.0f} s")
    status = os.waitstatus_to_exitcode(wait_status)
    if status > 0:
        raise OSError(status, os.strerror(status))
    if status < 0:
        raise OSError(errno.ECHILD, f"the process between was ended by {name_of(-status)}")


def _wait_for(pid: int) -> int | None:
    """The wait status of a child that is about to end; None: it does not. 0 when somebody else has reaped it."""
    deadline = _monotonic() + _BETWEEN_S
    while True:
        try:
            reaped, wait_status = _waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return 0  # a thread of the application was faster
        if reaped:
            return wait_status
        if _monotonic() > deadline:
            return None
        _sleep(_PAUSE_S)


def _be_between(run: Callable[[int], NoReturn], born: Callable[[int], object] | None, mother: int) -> NoReturn:
    die_with_parent(mother)
    own = os.getpid()
    try:
        pid = fork(lambda: run(own))
        if born is not None:
            born(pid)
    except OSError as error:
        _leave(error.errno or errno.EAGAIN)
    _leave(0)


def flush_standard_streams() -> None:
    """What is in their buffers, so that no child writes it again. Never raises."""
    for stream in (sys.stdout, sys.stderr):
        # closed, full, replaced by the application, or in use by the very thread that a signal has interrupted
        with contextlib.suppress(OSError, ValueError, AttributeError, RuntimeError):
            stream.flush()


def reap() -> Iterator[Death]:
    """Every child that has ended, ours or adopted (as PID 1), without waiting.

    One at a time: until it is asked for the next, the pids of the others cannot come again, and may be signalled.
    """
    while True:
        try:
            pid, wait_status, usage = _wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        peak_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)  # getrusage(2)
        if os.WIFSIGNALED(wait_status):
            yield Death(pid, None, name_of(os.WTERMSIG(wait_status)), peak_bytes)
        else:
            yield Death(pid, os.WEXITSTATUS(wait_status), None, peak_bytes)


def send_signal(pid: int, number: int) -> None:
    """Signal a child. One that has ended is a zombie until we reap it, so the pid cannot be someone else's."""
    with contextlib.suppress(ProcessLookupError):
        _kill(pid, number)


class Trial:
    """A function tried in a forked child, so that whatever it does to its process (hang, exit, crash) hurts only that.

    The child writes its verdict into a pipe: b"+" when the function returned, b"-" and a text when it raised. No
    verdict means that the process ended another way; whoever reaps `pid` knows how.
    """

    def __init__(self, attempt: Callable[[], object], prepare_child: Callable[[], None]) -> None:
        """prepare_child: closes what the child must not hold. Raises OSError when the fork fails."""
        reader, writer = _pipe()
        try:
            self.pid = fork(lambda: _try_out(attempt, prepare_child, writer))
        except OSError:
            _close(reader)
            _close(writer)
            raise
        _close(writer)
        os.set_blocking(reader, False)
        self._reader = reader
        self._verdict = bytearray()

    def fileno(self) -> int:
        return self._reader

    def ended(self) -> bool:
        """Take what has arrived; True when the child wrote all it will ever write."""
        while True:
            try:
                data = _read(self._reader, 65536)
            except BlockingIOError:
                return False
            if not data:
                return True
            self._verdict += data[: max(0, _LIMIT_VERDICT_BYTES - len(self._verdict))]

    @property
    def passed(self) -> bool:
        return self._verdict[:1] == b"+"

    @property
    def text(self) -> str | None:
        """Why the function failed; None when the process ended without saying so."""
        if self._verdict[:1] != b"-":
            return None
        return self._verdict[1:].decode("utf-8", "replace")

    def kill(self) -> None:
        """For one that takes too long, while it is not reaped."""
        send_signal(self.pid, _signal.SIGKILL)

    def close(self) -> None:
        _close(self._reader)


def _try_out(attempt: Callable[[], object], prepare_child: Callable[[], None], writer: int) -> NoReturn:
    prepare_child()
    # Handlers are the master's, and say nothing here; the default ones let TERM and INT end this child.
    restore_default((_signal.SIGTERM, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGCHLD))
    unblock_all()
    verdict = b"+"
    try:
        attempt()
    except SystemExit as request:
        verdict = f"-it ended the process (sys.exit({request.code!r}))".encode("utf-8", "replace")
    except OstlerError as error:
        verdict = f"-{error}".encode("utf-8", "replace")
    except BaseException as error:  # noqa: BLE001  the verdict is what this process is for
        verdict = f"-{type(error).__name__}: {error}".encode("utf-8", "replace")
    _write(writer, verdict[:_LIMIT_VERDICT_BYTES])
    _leave(0)
