"""The processes below a process, and ending them without hitting a stranger who got one of their numbers (Linux).

A child whose parent dies gets another parent, and nobody can tell any more whose it was: so descendants are looked for
before their ancestor is killed. Each is held by a pidfd (pidfd_open(2)) where the system has them to give, else
recognised by the time of its start (proc_pid_stat(5)).

Rules for editing: no policy. What /proc does not show (hidepid, no /proc) is not there; nothing raises.
"""

import contextlib
import os
import signal as _signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ostler.process import proc_files

_MOST: Final = 4096
"""More than this many are a fork bomb, which is not ended one by one."""
_NONE: Final = -1

_kill = os.kill
_close = os.close
_listdir = os.listdir
_open = open
_pidfd_open = getattr(os, "pidfd_open", None) if sys.platform == "linux" else None
_pidfd_signal = getattr(_signal, "pidfd_send_signal", None) if sys.platform == "linux" else None


@dataclass(slots=True, eq=False)
class Descendant:
    """One process that was below another. Close it."""

    pid: int
    started: int
    """In ticks since the machine's start."""
    fd: int = _NONE

    def kill(self) -> bool:
        """KILL it, if it still lives. False: it is gone, or may not be signalled."""
        try:
            if self.fd != _NONE and _pidfd_signal is not None:
                _pidfd_signal(self.fd, _signal.SIGKILL)
            elif _start_of(self.pid) == self.started:
                _kill(self.pid, _signal.SIGKILL)
            else:
                return False
        except OSError:
            return False
        return True

    def close(self) -> None:
        """It is not needed any more."""
        if self.fd != _NONE:
            fd, self.fd = self.fd, _NONE
            with contextlib.suppress(OSError):
                _close(fd)


def descendants(pid: int) -> list[Descendant]:
    """All below process `pid` as of now, parents before their children. None where /proc is not ours."""
    found: list[Descendant] = []
    if not proc_files.are_ours():
        return found
    known = {pid}
    waiting = [pid]
    while waiting and len(found) < _MOST:
        for child in _children_of(waiting.pop(0)):
            started = None if child in known else _start_of(child)
            if started is not None:
                known.add(child)
                waiting.append(child)
                found.append(_held(child, started))
    return found


def _held(pid: int, started: int) -> Descendant:
    if _pidfd_open is None:
        return Descendant(pid, started)
    try:
        fd = _pidfd_open(pid)
    except OSError:  # an older kernel, a sandbox, no descriptor left, or gone this moment
        return Descendant(pid, started)
    if _start_of(pid) != started:
        _close(fd)
        return Descendant(pid, started)
    return Descendant(pid, started, fd)


def _children_of(pid: int) -> list[int]:
    try:
        tasks = _listdir(f"/proc/{pid}/task")
        lists = [_read(f"/proc/{pid}/task/{task}/children") for task in tasks]
    except OSError:
        return []
    if any(each is None for each in lists):
        return list(_by_parent(pid))  # a kernel without CONFIG_PROC_CHILDREN, or a thread that has just ended
    return [int(word) for each in lists for word in (each or b"").split()]


def _by_parent(pid: int) -> Iterator[int]:
    for name in _listdir("/proc"):
        if name.isdigit():
            values = _stat(int(name))
            if values is not None and int(values[1]) == pid:
                yield int(name)


def _start_of(pid: int) -> int | None:
    """None: it is gone, or waits to be reaped."""
    values = _stat(pid)
    return None if values is None or values[0] in (b"Z", b"X") else int(values[19])


def _stat(pid: int) -> list[bytes] | None:
    """From the state on; the name before it may hold anything."""
    text = _read(f"/proc/{pid}/stat")
    values = [] if text is None else text.rpartition(b")")[2].split()
    return values if len(values) > 19 else None


def _read(path: str) -> bytes | None:
    try:
        with _open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return None
