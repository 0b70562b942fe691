"""Two masters side by side (USR2): what a test does with those that it did not start itself."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.harness import Server
from tests.integration.processes import PROC, alive, kill
from tests.integration.waiting import wait_until

READY = r"new master ready, .*?\bnew_pid=(\d+)"
STARTING = r"new master starting .*?\bnew_pid=(\d+)"
PROMOTED = r"promoted, the old master is gone"


class Masters:
    """Masters that are not children of the test. What is left of them at the test's end is told to stop."""

    def __init__(self) -> None:
        self.pids: list[int] = []

    def add(self, pid: int) -> int:
        self.pids.append(pid)
        return pid

    def begin(self, server: Server, old: int | None = None) -> int:
        """USR2 to `old` (the server's first master); the pid of the process that is to become the new one."""
        since = server.log_end()
        kill(old or server.master, signal.SIGUSR2)
        return self.add(int(server.wait_log(STARTING, since)[0][1]))

    def upgrade(self, server: Server, old: int | None = None) -> int:
        """As `begin`, and wait until the old one has heard that the new one serves."""
        since = server.log_end()
        pid = self.begin(server, old)
        assert int(server.wait_log(READY, since, deadline_s=20)[0][1]) == pid
        return pid

    def succeed(self, server: Server, old: int | None = None) -> int:
        """As `upgrade`, and then the old one leaves and the new one is promoted."""
        since = server.log_end()
        pid = self.upgrade(server, old)
        self.end(old or server.master)
        server.wait_log(PROMOTED, since)
        return pid

    def end(self, pid: int, number: signal.Signals = signal.SIGTERM, deadline_s: float = 10.0) -> None:
        kill(pid, number)
        wait_until(lambda: not alive(pid), f"the master {pid} is gone", deadline_s)


@pytest.fixture
def masters(make_server: Callable[..., Server]) -> Iterator[Masters]:
    """Ended before the servers of make_server are, which insist that nothing is left."""
    made = Masters()
    yield made
    for pid in reversed(made.pids):
        made.end(pid)


def command_line(pid: int) -> str:
    """What `ps` shows."""
    return (PROC / str(pid) / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode()


def environment_of(pid: int) -> dict[str, str]:
    """The one that a process was started with."""
    entries = (PROC / str(pid) / "environ").read_bytes().decode().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def pid_in(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def open_files(pid: int) -> list[str]:
    """What the descriptors of a process are, without the numbers of sockets and pipes."""
    found = []
    for entry in (PROC / str(pid) / "fd").iterdir():
        try:
            found.append(re.sub(r"\.pid\..*|\d+", "N", os.readlink(entry)))  # the pid file was made under another name
        except OSError:
            continue
    return sorted(found)
