"""The server under a service manager: what it says on a real notify socket, who says it, and when it keeps still; and
the units of the documentation, as systemd reads them.
"""

import itertools
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.harness import ROOT, Server
from tests.integration.processes import kill
from tests.integration.proxy import find_tool
from tests.integration.waiting import wait_until

HOW_TO = ROOT / "docs" / "how-to"
GOOD = "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'good']\n"
# As systemd does it: the pid is that of the process that it has started.
WATCHED = ["sh", "-c", 'WATCHDOG_PID=$$ WATCHDOG_USEC=1000000 exec "$@"', "sh"]


@dataclass(frozen=True)
class Said:
    at: float
    pid: int
    text: str


class Manager:
    """systemd's end: it knows which process has sent a message (unix(7), SO_PASSCRED)."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.heard: list[Said] = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(self.path)
        self.socket.setblocking(False)

    def listen(self) -> list[Said]:
        while True:
            try:
                data, credentials, _, _ = self.socket.recvmsg(4096, 256)
            except BlockingIOError:
                return self.heard
            pid, _, _ = struct.unpack("3i", credentials[0][2])
            self.heard.append(Said(time.monotonic(), pid, data.decode()))

    def wait(self, pattern: str, since: int = 0, deadline_s: float = 10.0) -> Said:
        def found() -> list[Said]:
            return [each for each in self.listen()[since:] if re.search(pattern, each.text, re.MULTILINE)]

        return wait_until(found, f"systemd hears {pattern!r}", deadline_s)[0]


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.socket.close()


def start(server: Server, manager: Manager, *options: str) -> None:
    (server.home / "shop.py").write_text(GOOD)
    server.start(
        "shop:application",
        options=["--chdir", str(server.home), *options],
        env={"NOTIFY_SOCKET": manager.path},
        prefix=WATCHED,
    )
    server.wait_ready()


def test_the_life_of_a_service(make_server: Callable[..., Server], manager: Manager) -> None:
    server = make_server()
    start(server, manager)
    ready = manager.wait("^READY=1$")
    assert ready.text == "READY=1\nSTATUS=2 of 2 workers, generation 1, 0 requests/s"
    manager.wait("^WATCHDOG=1$")

    before = time.monotonic_ns() // 1000
    since = len(manager.heard)
    server.send_signal(signal.SIGHUP)
    reloading = manager.wait("^RELOADING=1$", since)
    stamp = re.search(r"^MONOTONIC_USEC=(\d+)$", reloading.text, re.MULTILINE)
    assert stamp
    assert before <= int(stamp[1]) <= time.monotonic_ns() // 1000, "systemd knows by it which reload this is"
    assert "STATUS=reload complete" in manager.wait("^READY=1$", since).text
    manager.wait("^STATUS=2 of 2 workers, generation 2", since)

    (server.home / "shop.py").write_text("import nothing_of_this_name\n")
    since = len(manager.heard)
    server.send_signal(signal.SIGHUP)
    manager.wait("^RELOADING=1$", since)
    manager.wait("^READY=1\nSTATUS=reload failed: generation 3 did not start .*generation 2 keeps serving", since)
    manager.wait("^STATUS=2 of 2 workers, generation 2, .*; reload failed: generation 3", since)

    since = len(manager.heard)
    assert server.stop() == 0
    manager.wait("^STOPPING=1$", since)
    assert {each.pid for each in manager.listen()} == {server.master}, "systemd complains of words of other processes"


def test_a_service_whose_workers_all_hang_is_left_to_the_watchdog(
    make_server: Callable[..., Server], manager: Manager
) -> None:
    server = make_server()
    start(server, manager, "--timeout", "0")
    manager.wait("^READY=1$")
    pings = wait_until(lambda: ping_times(manager)[:3] if len(ping_times(manager)) > 2 else [], "it pings")
    assert max(later - sooner for sooner, later in itertools.pairwise(pings)) < 1.0
    first, second = server.worker_pids()
    kill(first, signal.SIGSTOP)
    since = len(manager.listen())
    manager.wait("^WATCHDOG=1$", since)
    kill(second, signal.SIGSTOP)
    (found,) = server.wait_log(r"\[ERROR\] the watchdog of systemd is left without a sign of life.*")
    assert 'reason="all 2 ready workers are silent"' in found[0]
    assert "cure=" in found[0]
    since = len(manager.listen())
    kill(second, signal.SIGCONT)
    server.wait_log("the watchdog of systemd hears of us again")
    manager.wait("^WATCHDOG=1$", since)
    kill(first, signal.SIGCONT)

    # The watchdog's end of a master that does not turn: where it was is told.
    server.send_signal(signal.SIGABRT)
    assert server.wait_exit() == -signal.SIGABRT
    server.wait_log(r"Fatal Python error: Aborted\n\n(?s:.*)master\.py")
    server.assert_nothing_left(3.0)


def ping_times(manager: Manager) -> list[float]:
    return [each.at for each in manager.listen() if each.text == "WATCHDOG=1"]


def test_a_service_that_does_not_start_says_why(make_server: Callable[..., Server], manager: Manager) -> None:
    server = make_server()
    env = {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
    server.start("no_such_module:application", workers=1, env=env)
    assert server.wait_exit(20) == 3
    assert "no_such_module" in manager.wait("^STATUS=Ostler ended with status 3: ").text
    server.wait_log(r"\[WARNING\] the watchdog of systemd is meant for another process.* watchdog_pid=1 cure=")
    assert not ping_times(manager)


def verified(directory: Path, **units: str) -> str:
    """What systemd-analyze says of units, with paths that are there. units: service=..., socket=..."""
    paths = [directory / f"myproject.{kind}" for kind in units]
    for path, unit in zip(paths, units.values(), strict=True):
        text = unit.replace("/srv/myproject/.venv/bin/ostler", sys.executable).replace("User=myproject", "User=root")
        path.write_text(text.replace("/srv/myproject", str(directory)))
    command = [find_tool("systemd-analyze"), "verify", "--man=no", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    about = [line for line in done.stderr.splitlines() if "myproject" in line]
    assert done.returncode == 0 or about, done.stderr
    return "\n".join(about)


def shown(name: str) -> str:
    return (HOW_TO / name).read_text()


def test_systemd_finds_nothing_wrong_with_the_units_of_the_documentation(tmp_path: Path) -> None:
    assert verified(tmp_path, service=shown("ostler.service"), socket=shown("ostler.socket")) == ""


def test_systemd_would_find_something_wrong(tmp_path: Path) -> None:
    assert "notified" in verified(tmp_path, service=shown("ostler.service").replace("Type=notify", "Type=notified"))


def test_the_drop_in_for_notify_reload_is_understood_from_version_253_on(tmp_path: Path) -> None:
    """Older ones fall back to Type=simple with a warning, so it is not what the unit itself says."""
    told = subprocess.run([find_tool("systemd-analyze"), "--version"], capture_output=True, text=True, check=True)
    known = int(told.stdout.split()[1]) >= 253
    together = shown("ostler.service") + shown("ostler-notify-reload.conf")
    said = verified(tmp_path, service=together)
    assert (said == "") if known else ("notify-reload" in said)
