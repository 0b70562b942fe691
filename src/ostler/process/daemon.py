"""Becoming a daemon: fork twice, a session of its own, standard files to the null device. daemon(7), setsid(2).

Other than Gunicorn's, the command that was typed ends only when the server serves, or with the status and the text of
its failure (failures W18): a pipe carries them. The text travels, since the daemon's standard error leads nowhere.

    daemon -> command    "PID\\n", then "+" (ready) or "-STATUS\\nTEXT" (failed); the end of file says that it died

Rules for editing: the command's own process runs nothing of the user's after the fork (no atexit function, no hook).
"""

import contextlib
import os
import select
import signal as _signal
import sys
import time
from collections.abc import Iterator
from typing import Final, NoReturn

from ostler import real
from ostler.process.signals import SignalEdge, block_all, restore_mask

_fork = real.fork
_setsid = os.setsid
_waitpid = real.waitpid
_leave = os._exit
_pipe = os.pipe
_read = real.read
_write = real.write
_close = os.close
_open = real.open_file
_dup2 = os.dup2
_isatty = os.isatty
_umask = os.umask
_kill = os.kill
_getpid = os.getpid
_poll = real.poll
_install = _signal.signal
_monotonic = time.monotonic

_UMASK: Final = 0o22
_LOOK_MS: Final = 500
"""How often the command looks whether the daemon lives: something that it started may hold the pipe open."""
_PAUSE_MS: Final = 20
_KILL_AFTER_S: Final = 10.0
_INTERRUPTS: Final = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP)
_LIMIT_VERDICT_BYTES: Final = 1 << 20


class Readiness:
    """What the daemon tells the command that started it. Each but the first call does nothing."""

    def __init__(self, writer: int | None) -> None:
        self._writer = writer

    @classmethod
    def of_nobody(cls) -> "Readiness":
        """For a server that is no daemon, or one that USR2 has started: nobody waits for it."""
        return cls(None)

    def ready(self) -> None:
        """The server serves: the command ends with status 0."""
        self._tell(b"+")

    def failed(self, status: int, text: str) -> bool:
        """The command prints `text` (whole lines) to its stderr and ends with `status`. False: nobody waits for it."""
        return self._tell(b"-%d\n" % status + text.encode("utf-8", "backslashreplace"))

    def close_in_child(self) -> None:
        """A worker's copy would hide that the master died."""
        self._tell(b"")

    def _tell(self, verdict: bytes) -> bool:
        if self._writer is None:
            return False
        writer, self._writer = self._writer, None
        try:
            while verdict:
                verdict = verdict[_write(writer, verdict) :]
        except OSError:  # the command is gone: killed, or its terminal closed
            return False
        finally:
            _close(writer)
        return True


def daemonize(keep_stdio: bool) -> Readiness:
    """Return in a daemon; the process that called waits for `Readiness`, then ends. umask becomes 022.

    Standard input is the null device from now on, and so are the outputs; with `keep_stdio` only those that are
    terminals. The directory stays. Call it while there is one thread, before files are locked and sockets bound, and
    not in a process that USR2 has started: it is a daemon already, and a fork would part it from the old master.
    Raises OSError when the first fork fails.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()  # else both processes would write what is buffered
    reader, writer = _pipe()
    _install(_signal.SIGCHLD, _signal.SIG_DFL)  # inherited as ignored it would leave nothing to wait for
    mask = block_all()
    try:
        child = _fork()
    except OSError:
        restore_mask(mask)
        _close(reader)
        _close(writer)
        raise
    if child:
        _close(writer)
        _be_command(child, reader, mask)
    _close(reader)
    _detach(writer)
    _umask(_UMASK)
    _redirect(keep_stdio)
    _write(writer, b"%d\n" % _getpid())
    restore_mask(mask)
    return Readiness(writer)


def _detach(writer: int) -> None:
    """Lead a session, and leave it to a child: who leads none never gets a terminal by opening one."""
    _setsid()
    try:
        if _fork():
            _leave(0)
    except OSError as error:
        _write(writer, f"{_getpid()}\n-1\nError: daemon: cannot fork: {error.strerror}\n".encode())
        _leave(1)


def _redirect(keep_stdio: bool) -> None:
    null = _open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        if number == 0 or not keep_stdio or _isatty(number):
            _dup2(null, number)  # inheritable
    if null > 2:
        _close(null)


class _Interrupted(Exception):
    """Signals ask the waiting command to end; the arguments are their numbers. No handler raises it: it would do so
    anywhere, also where the daemon is being ended.
    """


def _be_command(child: int, reader: int, mask: set[int]) -> NoReturn:
    status = 1
    try:
        _waitpid(child, 0)
        # Signals are still blocked: the daemon writes its pid at once. What follows stays in the pipe.
        text = b""
        while not text.endswith(b"\n") and (byte := _read(reader, 1)):
            text += byte
        pid = int(text or 0)
        status = _wait(reader, pid, mask) if pid else _conclude(pid, b"")
    finally:
        _leave(status)


def _wait(reader: int, pid: int, mask: set[int]) -> int:
    """The exit status of the command. A signal ends the daemon first: quickly, and by force at the second one."""
    verdict = b""
    edge = SignalEdge(number for number in _INTERRUPTS if _signal.getsignal(number) != _signal.SIG_IGN)  # nohup
    restore_mask(mask)
    try:
        for data in _arrivals(reader, pid, edge):
            verdict += data[: max(0, _LIMIT_VERDICT_BYTES - len(verdict))]
            if verdict == b"+":
                return 0
        return _conclude(pid, verdict)
    except _Interrupted as interrupted:
        _close(reader)  # nobody listens any more: the daemon must not wait for that
        _end(pid, edge, forced=len(interrupted.args) > 1)
        return 128 + int(interrupted.args[0])


def _arrivals(reader: int, pid: int, edge: SignalEdge) -> Iterator[bytes]:
    """What the daemon writes, until it ends. Raises _Interrupted."""
    poller = _poll()
    poller.register(reader, select.POLLIN)
    poller.register(edge, select.POLLIN)
    while True:
        ready = [fd for fd, _ in poller.poll(_LOOK_MS)]
        if edge.fileno() in ready and (numbers := edge.take()):
            raise _Interrupted(*numbers)
        if reader in ready:
            data = _read(reader, 65536)
            if not data:
                return
            yield data
        elif not _lives(pid):
            return


def _end(pid: int, edge: SignalEdge, forced: bool) -> None:
    """Stop the daemon quickly and wait until it is gone; by force after a while, or when another signal asks."""
    _signal_daemon(pid, _signal.SIGINT)
    poller = _poll()
    poller.register(edge, select.POLLIN)
    until = _monotonic() + _KILL_AFTER_S
    while not forced and _lives(pid) and _monotonic() < until:
        forced = bool(poller.poll(_PAUSE_MS))
    if _lives(pid):
        _signal_daemon(pid, _signal.SIGKILL)


def _conclude(pid: int, verdict: bytes) -> int:
    if verdict[:1] == b"-":
        status, _, text = verdict[1:].partition(b"\n")
        _print(text)
        return int(status)
    which = f" (pid {pid})" if pid else ""
    _print(f"Error: daemon: the server ended before it was ready{which}; see its error log\n".encode())
    return 1


def _print(text: bytes) -> None:
    with contextlib.suppress(OSError):
        while text:
            text = text[_write(2, text) :]


def _signal_daemon(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        _kill(pid, number)


def _lives(pid: int) -> bool:
    """Whether the process runs. One that waits to be reaped does not: in a container nobody may ever do that."""
    try:
        _kill(pid, 0)
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in b"ZX"
    except ProcessLookupError:
        return False
    except OSError:  # no /proc, or gone this moment: the next look tells
        return not os.path.exists("/proc/self/stat")
