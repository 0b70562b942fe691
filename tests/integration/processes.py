"""What /proc says about the processes of one server: found by parent, or by a mark in their environment."""

import contextlib
import os
import signal
from pathlib import Path

PROC = Path("/proc")


def parent_of(pid: int) -> int | None:
    """The parent's pid; None when the process is gone or waits to be reaped."""
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    state, parent = stat.rpartition(")")[2].split()[:2]
    return None if state in "ZX" else int(parent)


def alive(pid: int) -> bool:
    return parent_of(pid) is not None


def all_pids() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]


def children_of(pid: int) -> list[int]:
    return sorted(child for child in all_pids() if parent_of(child) == pid)


def marked(mark: str) -> list[int]:
    """Every living process that has `mark` in its first environment, adopted orphans too."""
    found = []
    wanted = mark.encode()
    for pid in all_pids():
        try:
            if wanted in (PROC / str(pid) / "environ").read_bytes() and alive(pid):
                found.append(pid)
        except OSError:
            continue
    return sorted(found)


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to one process that a test started; gone already is as good."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def descriptors(pid: int) -> int:
    return len(list((PROC / str(pid) / "fd").iterdir()))


def open_targets(pid: int) -> list[str]:
    """What the descriptors of a process are."""
    found = []
    for entry in (PROC / str(pid) / "fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(entry.readlink()))
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time that the process itself has used."""
    values = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")


def peak_memory(pid: int) -> int:
    """The most bytes that were ever resident, shared ones included."""
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no VmHWM of {pid}")
