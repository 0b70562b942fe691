"""What a process that does not die waits for in the kernel, from /proc: its state, the kernel's function, its stack.

A process in uninterruptible sleep (state D) is not ended by SIGKILL before the kernel lets go of it: a file server that
does not answer, a broken disk, a driver. A frozen cgroup of version 1 does the same (cgroups(7)).

Rules for editing: `reason` is called in the master, so it reads only files that the kernel answers without a lock of
the process: not cmdline, environ, maps, stack or syscall, on which whoever reads may hang as well. `stack` is for a
child that may.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ostler.process import proc_files

_GONE: Final = frozenset("ZX")
_FROZEN: Final = ("refrigerator", "freez")
_NETWORK: Final = ("nfs", "rpc_", "cifs", "smb", "ceph", "fuse", "p9_", "v9fs", "lustre", "request_wait_answer")
_DISK: Final = ("io_schedule", "blk_", "bio_", "jbd2", "ext4", "xfs", "btrfs", "folio_", "wait_on_page", "md_", "nvme")
_LOGGED_BYTES: Final = 4000

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")

_open = open
_listdir = os.listdir


@dataclass(frozen=True, slots=True)
class KernelWait:
    """What one task of a process does. state: proc_pid_stat(5)'s letter. wchan: the function in the kernel, or "-".
    cpu_s: the processor time that it has had.
    """

    task: int
    state: str
    wchan: str
    cpu_s: float = 0.0

    @property
    def cause(self) -> str:
        """In words, as far as the function's name tells."""
        if any(part in self.wchan for part in _FROZEN):
            return "its cgroup is frozen"
        if self.state in "Tt":
            return "a debugger holds it"
        if any(part in self.wchan for part in _NETWORK):
            return "it waits for a network or FUSE file system that does not answer"
        if any(part in self.wchan for part in _DISK):
            return "it waits for a disk that does not answer"
        return "it waits in the kernel, mostly for a file system or a device that does not answer"

    @property
    def cure(self) -> str:
        """What an operator can do."""
        if any(part in self.wchan for part in _FROZEN):
            return "thaw its cgroup (or unpause the container)"
        return "see dmesg and the mounts that the application uses; it ends when the kernel lets go, or with a reboot"


def reason(pid: int, root: str = "/") -> KernelWait | None:
    """Of the first task of `pid` that is still there; None: nobody says. root: where proc is."""
    return next(iter(tasks(pid, root)), None)


def tasks(pid: int, root: str = "/") -> Iterator[KernelWait]:
    """Of each task of `pid` that is still there."""
    proc = os.path.join(root, "proc", str(pid), "task")
    if not proc_files.are_ours(root):
        return None
    try:
        names = sorted(int(name) for name in _listdir(proc))
    except (OSError, ValueError):
        return
    for task in names:
        stat = _read(f"{proc}/{task}/stat")
        said = stat.rpartition(")")[2].split()
        if said and said[0] not in _GONE:  # the first thread may be a zombie while another one sleeps
            wchan = _read(f"{proc}/{task}/wchan").strip()
            cpu_s = sum(map(int, said[11:13])) / _TICKS_PER_S
            yield KernelWait(task, said[0], wchan if wchan not in ("", "0") else "-", cpu_s)


def stack(task: int, root: str = "/") -> str:
    """The kernel's functions that the task is in, the innermost first, and its system call; "" when nobody may see them
    (root may). Whoever asks may have to wait as long as the task does.
    """
    proc = os.path.join(root, "proc", str(task))
    shown = _read(f"{proc}/stack").strip()
    call = _read(f"{proc}/syscall").strip()
    return "\n".join(filter(None, (f"syscall: {call}" if call else "", shown)))[:_LOGGED_BYTES]


def _read(path: str) -> str:
    try:
        with _open(path, "rb", buffering=0) as file:
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
