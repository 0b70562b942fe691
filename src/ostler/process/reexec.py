"""Starting the same command again beside this process, on the same descriptors, and taking that over (USR2). execve(2).

The variables are Gunicorn's, so that either server can follow the other:

    GUNICORN_PID      the old master
    GUNICORN_FD       its listening descriptors: 5,6
    OSTLER_READY_FD   where the new one says that it serves ("+"), that it has all its workers ("="), or why it ends
                      ("-" and a text); Gunicorn neither sets it nor needs it

Only a process whose parent is GUNICORN_PID takes them for its own: an application may start a server with the
environment that it has inherited. A parent that died between exec and the first look is told by its open descriptors,
and by the ready line, which nobody reads any more: its pid may live on as a zombie for as long as nobody reaps it.

Rules for editing: no policy; the caller forks, runs hooks and decides which signals are held back across exec. What is
not handed over has close-on-exec set (PEP 446).
"""

import contextlib
import os
import socket as _socket
import stat
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from ostler import real
from ostler.config.sources import start_directory
from ostler.errors import OstlerError, reason_of

PID: Final = "GUNICORN_PID"
FDS: Final = "GUNICORN_FD"
READY: Final = "OSTLER_READY_FD"

SERVES: Final = b"+"
COMPLETE: Final = b"="
FAILED: Final = b"-"
LIMIT_READY_BYTES: Final = 4000  # of a text: a pipe takes it at once

# systemd's, for the process that it started; the one that exec makes of it has another pid (sd_listen_fds(3)).
_SYSTEMD: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")

_chdir = os.chdir
_execve = os.execvpe
_set_inheritable = os.set_inheritable
_write = real.write
_close = os.close
_fstat = os.fstat
_kill = os.kill
_socket_class = real.Socket
_Poll = real.poll


class ReexecError(OstlerError):
    """The command cannot be started again, or what was handed over cannot be used."""


@dataclass(frozen=True, slots=True)
class StartContext:
    """How this process was started: taken before anything changes directory or arguments."""

    program: str
    argv: tuple[str, ...]
    """The whole command line, interpreter and its options included."""
    directory: str
    """By the name that the shell used, so that a symbolic link (`current`) leads to what it means later."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """What the old master has left for us."""

    parent_pid: int
    fds: tuple[int, ...]
    """Listening descriptors; () from a Gunicorn whose sockets are systemd's: then LISTEN_FDS has them."""
    ready_fd: int | None
    """For `ReadyLine`; None when nobody asks."""


def start_context(environ: Mapping[str, str], argv: Sequence[str] | None = None) -> StartContext:
    """The command line of this process (`sys.orig_argv`: `-m ostler` is in it) and where it was started.

    Raises ConfigError when the directory has been removed.
    """
    words = list(sys.orig_argv if argv is None else argv)
    # Not the first word: that may be a name that the shell found in PATH, or `-python`.
    program = sys.executable or words[0]
    return StartContext(program, (program, *words[1:]), start_directory(environ))


def exec_again(
    context: StartContext, environ: Mapping[str, str], fds: Sequence[int], parent_pid: int, ready_fd: int | None
) -> NoReturn:
    """Become the new master: to be called in a forked child. Raises ReexecError when there is no way to.

    environ: the original one, of which a copy is passed on. parent_pid: the old master.
    """
    passed = {name: value for name, value in environ.items() if name not in (*_SYSTEMD, READY)}
    passed[PID] = str(parent_pid)
    passed[FDS] = ",".join(map(str, fds))
    if ready_fd is not None:
        passed[READY] = str(ready_fd)
    try:
        for fd in (*fds, *(() if ready_fd is None else (ready_fd,))):
            _set_inheritable(fd, True)
        _chdir(context.directory)
    except OSError as error:
        raise ReexecError(
            f"re-exec: cannot use {context.directory}, where this server was started: {reason_of(error)}; "
            "make it again, or restart the server"
        ) from error
    try:
        _execve(context.program, context.argv, passed)
    except OSError as error:
        raise ReexecError(
            f"re-exec: cannot run {context.program}: {reason_of(error)}; "
            "put the interpreter back, or restart the server from the new place"
        ) from error


def handed_over(environ: MutableMapping[str, str], parent_pid: int) -> HandOver | None:
    """What the master `parent_pid` (getppid) left for us; None when nobody did. The variables are removed either way.

    Call it before anything forks or becomes a daemon. Closes on exec what it returns. Raises ReexecError when a
    descriptor is not open.
    """
    claimed, listed, ready = (environ.pop(name, "").strip() for name in (PID, FDS, READY))
    if not _is_number(claimed):
        return None
    words = listed.split(",") if listed else []
    fds = [int(each) for each in words if _is_number(each)]
    ready_fd = int(ready) if _is_number(ready) else None
    if int(claimed) != parent_pid:
        gone = _is_gone(int(claimed)) or _nobody_reads(ready_fd)
        if not (gone and fds and all(map(_listens, fds))):
            return None
    if len(fds) != len(words):
        raise ReexecError(f'{FDS}: expected numbers such as 5,6, got "{listed}"; start without {PID} and {FDS}')
    for fd in fds:
        try:
            _set_inheritable(fd, False)
        except OSError as error:
            raise ReexecError(
                f'{FDS}: expected open descriptors from pid {claimed}, got "{listed}", of which {fd} is not '
                f"({reason_of(error)}); start the server without {PID} and {FDS}"
            ) from error
    if ready_fd is not None:
        try:
            _set_inheritable(ready_fd, False)
        except OSError:
            ready_fd = None
    return HandOver(int(claimed), tuple(fds), ready_fd)


class ReadyLine:
    """What the new master tells the old one, which watches the other end: that it serves, that it has all its workers,
    or why it ends. An old master that is gone, or never listened, is no error.
    """

    def __init__(self, fd: int | None) -> None:
        """fd: of HandOver; it is closed here."""
        self._fd = fd
        self._file = _identity(fd)

    @classmethod
    def of(cls, environ: Mapping[str, str], parent_pid: int) -> "ReadyLine":
        """For who fails before `handed_over` is called. parent_pid: as of `handed_over`."""
        claimed, ready = (environ.get(name, "").strip() for name in (PID, READY))
        return cls(int(ready) if claimed == str(parent_pid) and _is_number(ready) else None)

    def serves(self) -> None:
        """The first worker is ready."""
        self._write(SERVES)

    def complete(self) -> None:
        """All workers are ready: the last word."""
        self._write(COMPLETE)
        self.close()

    def failed(self, text: str) -> None:
        """This master ends: the last word."""
        self._write(FAILED + text.encode("utf-8", "backslashreplace")[:LIMIT_READY_BYTES])
        self.close()

    def close(self) -> None:
        """Also in a child."""
        if self._open():
            assert self._fd is not None
            _close(self._fd)
        self._fd = None

    def _write(self, what: bytes) -> None:
        if self._open():
            assert self._fd is not None
            with contextlib.suppress(OSError):
                _write(self._fd, what)

    def _open(self) -> bool:
        """Somebody else may have closed it, and the number may be another file's by now."""
        return self._file is not None and _identity(self._fd) == self._file


def _identity(fd: int | None) -> tuple[int, int] | None:
    """Of an open pipe."""
    if fd is None:
        return None
    try:
        found = _fstat(fd)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISFIFO(found.st_mode) else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


def _is_gone(pid: int) -> bool:
    """There is no such process, or only what nobody has reaped (Linux tells; elsewhere `_nobody_reads` does)."""
    try:
        _kill(pid, 0)
    except ProcessLookupError:
        return pid > 1
    except OSError:
        pass
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state = file.read().rpartition(b")")[2].split()[:1]  # proc_pid_stat(5); the name in () may hold anything
    except OSError:
        return False
    return state in ([b"Z"], [b"X"])


def _nobody_reads(fd: int | None) -> bool:
    """Whether it is a pipe whose reader has closed it. A process that ends does this before it loses its children."""
    if fd is None or _identity(fd) is None:
        return False
    poller = _Poll()
    poller.register(fd, 0)
    return bool(poller.poll(0))


def _listens(fd: int) -> bool:
    """Whether a descriptor is a listening socket."""
    try:
        sock = _socket_class(fileno=os.dup(fd))
    except OSError:
        return False
    with sock:
        try:
            return sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ACCEPTCONN) != 0
        except OSError:
            return False
