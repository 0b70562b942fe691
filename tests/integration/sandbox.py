"""What containers take away, for servers under test: namespaces by unshare(1), a read-only root, a filter of system
calls (seccomp(2)).

Each is a command before the server's own: `server.start(..., prefix=...)`. What the machine does not allow is a reason
to skip, in words.
"""

import functools
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.integration.harness import Server
from tests.integration.processes import children_of
from tests.integration.waiting import wait_until

# The machine's numbers of the system calls that a sandbox may forbid.
_CALLS = {
    "x86_64": {
        "prctl": 157,
        "sched_setaffinity": 203,
        "sched_getaffinity": 204,
        "pidfd_send_signal": 424,
        "pidfd_open": 434,
    },
    "aarch64": {
        "prctl": 167,
        "sched_setaffinity": 122,
        "sched_getaffinity": 123,
        "pidfd_send_signal": 424,
        "pidfd_open": 434,
    },
}

# Loads the number of the call, compares it with each of these, and answers EPERM or lets it through; then becomes the
# command. The command line is: numbers, by commas; command.
_FILTER = """
import ctypes, os, sys
numbers, *command = sys.argv[1:]
numbers = [int(each) for each in numbers.split(",")]

class Step(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]

class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.POINTER(Step))]

LOAD, EQUAL, ANSWER = 0x20, 0x15, 0x06
steps = [Step(LOAD, 0, 0, 0)]
for left, number in zip(range(len(numbers), 0, -1), numbers):
    steps.append(Step(EQUAL, left, 0, number))
steps += [Step(ANSWER, 0, 0, 0x7FFF0000), Step(ANSWER, 0, 0, 0x00050000 | 1)]
program = Program(len(steps), (Step * len(steps))(*steps))
prctl = ctypes.CDLL(None, use_errno=True).prctl
if prctl(38, 1, 0, 0, 0) or prctl(22, 2, ctypes.byref(program), 0, 0):
    sys.exit("no filter: " + os.strerror(ctypes.get_errno()))
os.execvp(command[0], command)
"""


class Contained(Server):
    """A server behind `as_pid_one`: the master is unshare's child, and what it says of pids is its namespace's."""

    below = 1
    """How many processes are between the test and the master."""

    @property
    def master(self) -> int:
        assert self.process is not None
        pid = self.process.pid
        for _ in range(self.below):
            pid = wait_until(partial(children_of, pid), "the server is there")[0]
        return pid


def forbidding(*calls: str) -> list[str]:
    """A prefix: these system calls are answered with EPERM."""
    numbers = _CALLS.get(platform.machine())
    if numbers is None:
        pytest.skip(f"the numbers of system calls of {platform.machine()} are not known here")
    command = [sys.executable, "-c", _FILTER, ",".join(str(numbers[call]) for call in calls)]
    _try([*command, "true"], "seccomp(2)")
    return command


def as_pid_one(*more: str) -> list[str]:
    """A prefix: the server is PID 1 of a PID namespace with its own /proc. more: further namespaces (`--mount`).

    The process that is started is unshare(1)'s, whose only child the server is; it ends as the server does.
    """
    command = [_tool("unshare"), "--pid", "--fork", "--kill-child", "--mount-proc", *more]
    _try([*command, "true"], "a PID namespace (root can make one)")
    return command


def poor(setup: Sequence[str], user: int, *, path: Sequence[Path] = (), directory: Path = Path("/")) -> list[str]:
    """A prefix, behind `as_pid_one("--mount")`: a read-only root, /tmp and /run too, and an empty /dev/shm; then the
    commands of `setup`; then user `user`, who is in no database and has no environment but PATH and PYTHONPATH, in
    `directory`.

    He may read every file, for the interpreter may be in root's own directory.
    """
    lines = ["set -e", "mount --make-rprivate /", "mount -o remount,bind,ro /"]
    for place in filter(os.path.isdir, ("/tmp", "/var/tmp", "/run")):
        lines += [f"mount --bind {place} {place}", f"mount -o remount,bind,ro {place}"]
    lines += ["mount -t tmpfs -o ro none /dev/shm"] if os.path.isdir("/dev/shm") else []
    modules = ":".join(str(each) for each in path)
    capability = "-all,+dac_read_search"
    leave = f"setpriv --reuid {user} --regid {user} --clear-groups --inh-caps={capability} --ambient-caps={capability}"
    lines += [*setup, f"cd {directory}", f'exec {leave} env -i PATH=/usr/bin:/bin PYTHONPATH={modules} "$@"']
    _tool("setpriv")
    return ["sh", "-c", "; ".join(lines), "sh"]


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} of util-linux is not installed")
    return found


def _try(command: Sequence[str], what: str) -> None:
    why = _tried(tuple(command))
    if why:
        pytest.skip(f"this machine does not allow {what}: {why}")


@functools.cache
def _tried(command: tuple[str, ...]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip() or f"status {done.returncode}")
