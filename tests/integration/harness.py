"""A real Ostler as a child process, as an operator starts it: command line, signals, log, exit status.

Rules: nothing sleeps to synchronise (see waiting.py); only processes that this harness started are signalled, by pid;
stop() and the fixture's end fail when a process or a Unix socket is left.
"""

import itertools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

from tests.integration.client import Address, Client, Response
from tests.integration.processes import alive, children_of, kill, marked
from tests.integration.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
APPS = ROOT / "tests" / "apps"
READY = re.compile(r"worker ready .*?\bpid=(\d+)")
MOLD = re.compile(r"mold booting .*?\bpid=(\d+)")
# What the caller's shell may hold and the server would read.
FOREIGN = ("GUNICORN_CMD_ARGS", "OSTLER_CMD_ARGS", "PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS", "SCRIPT_NAME")

# Below the kernel's ephemeral ports, so that no client's own port is in the way between the look and the bind.
# Processes of one test run (pytest-xdist) must not meet on a port between `free_port` and its use.
_process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_ports = itertools.cycle(random.sample(range(18000 + _process, 30000, _processes), 12000 // _processes))


def free_port() -> int:
    """A port of 127.0.0.1 where nobody listens now."""
    for port in _ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("unreachable")


def bind_value(address: Address) -> str:
    return f"unix:{address}" if isinstance(address, str) else f"{address[0]}:{address[1]}"


class Server:
    """One `python -m ostler`. `home` is its own directory: log, configuration file, Unix socket, the app's notes."""

    def __init__(self, transport: str = "tcp") -> None:
        self.home = Path(tempfile.mkdtemp(prefix="ostler-"))
        self.address: Address = (
            str(self.home / "http.sock") if transport == "unix" else ("127.0.0.1", free_port())
        )
        self.runtime = Path(f"{self.home}.run")
        """Its XDG_RUNTIME_DIR, where its control socket is: servers of other tests must not meet it."""
        self.runtime.mkdir()
        self.log_path = self.home / "server.log"
        self.error_log = self.log_path
        """Where the server writes it, if a test has it elsewhere."""
        self.mark_text = f"OSTLER_TEST_MARK={uuid.uuid4().hex}"
        self.process: subprocess.Popen[bytes] | None = None
        self.workers = 0
        self.clients: list[Client] = []

    # Starting

    def start(
        self,
        app: str | None,
        *,
        kind: str = "sync",
        workers: int = 2,
        threads: int = 4,
        options: Sequence[str] = (),
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        """Start without waiting. `prefix` is a command that runs the server, such as a shell with a ulimit."""
        command = [sys.executable, "-m", "ostler", "--bind", bind_value(self.address)]
        command += ["--workers", str(workers), "--worker-class", kind]
        if kind == "gthread":
            command += ["--threads", str(threads)]
        command += options
        if app is not None:
            command.append(app)
        self.launch([*prefix, *command], env or {}, cwd or self.home)
        self.workers = workers

    def launch_config(self, config: Path, kind: str) -> None:
        """Start with all but address and kind left to a configuration file."""
        command = [sys.executable, "-m", "ostler", "--bind", bind_value(self.address), "--worker-class", kind]
        self.launch([*command, "--config", str(config), "contract:application"], {}, self.home)

    def launch(self, command: Sequence[str], env: dict[str, str], cwd: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        environment.update(
            PYTHONPATH=str(APPS),
            PYTHONDONTWRITEBYTECODE="1",  # tests rewrite applications faster than the caches' clock ticks
            PYTHONUNBUFFERED="1",
            SPT_NOENV="1",  # else setproctitle overwrites the environment by which processes are found
            CONTRACT_DIR=str(self.home),
            DJANGO_SITE_DIR=str(self.home),
            XDG_RUNTIME_DIR=str(self.runtime),
        )
        environment.update(env)
        name, _, value = self.mark_text.partition("=")
        environment[name] = value
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=cwd
            )

    def wait_ready(self, count: int | None = None, since: int = 0, deadline_s: float = 15.0) -> list[int]:
        """Wait until `count` workers have said `worker ready` in the log after the offset `since`; their pids."""
        wanted = self.workers if count is None else count

        def ready() -> list[int]:
            if self.exited:
                raise AssertionError(f"the server ended with {self.exit_status} instead of getting ready")
            pids = [int(pid) for pid in READY.findall(self.log(since))]
            return pids if len(pids) >= wanted else []

        return wait_until(ready, f"{wanted} workers are ready", deadline_s)

    # Looking

    @property
    def control_socket(self) -> Path:
        return self.runtime / "gunicorn.ctl"

    @property
    def master(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def exited(self) -> bool:
        assert self.process is not None
        return self.process.poll() is not None

    @property
    def exit_status(self) -> int | None:
        assert self.process is not None
        return self.process.poll()

    def worker_pids(self) -> list[int]:
        """The master's children but for its molds."""
        told = self.error_log.read_text(errors="replace") if self.error_log.exists() else ""
        molds = {int(pid) for pid in MOLD.findall(told)}
        return [pid for pid in children_of(self.master) if pid not in molds]

    def log(self, since: int = 0) -> str:
        try:
            with self.log_path.open("rb") as log:
                log.seek(since)
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def log_end(self) -> int:
        """The present length of the log: what comes later is log(since=...)."""
        return self.log_path.stat().st_size if self.log_path.exists() else 0

    def wait_log(self, pattern: str, since: int = 0, count: int = 1, deadline_s: float = 10.0) -> list[re.Match[str]]:
        compiled = re.compile(pattern)

        def found() -> list[re.Match[str]]:
            matches = list(compiled.finditer(self.log(since)))
            return matches if len(matches) >= count else []

        return wait_until(found, f"the log has {pattern!r} {count} times", deadline_s)

    def notes(self, name: str) -> list[str]:
        """The lines that the contract application noted in a file."""
        path = self.home / name
        return path.read_text().splitlines() if path.exists() else []

    # Talking

    def client(self, timeout_s: float = 20.0, source: str | None = None) -> Client:
        client = Client(self.address, timeout_s, source)
        self.clients.append(client)
        return client

    def get(self, target: str, timeout_s: float = 20.0) -> Response:
        """One request on a connection of its own."""
        with self.client(timeout_s) as client:
            return client.request("GET", target, [("Connection", "close")])

    # Stopping

    def send_signal(self, number: signal.Signals) -> None:
        kill(self.master, number)

    def wait_exit(self, deadline_s: float = 10.0) -> int:
        assert self.process is not None
        try:
            return self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the master still runs after {deadline_s} s") from None

    def stop(self, number: signal.Signals = signal.SIGTERM, deadline_s: float = 10.0) -> int:
        """Stop the server, return its exit status, and insist that no process of it is left."""
        self.send_signal(number)
        status = self.wait_exit(deadline_s)
        self.assert_nothing_left()
        assert not list(self.runtime.iterdir()), "the control socket was left behind"
        return status

    def assert_nothing_left(self, deadline_s: float = 1.0) -> None:
        wait_until(lambda: not marked(self.mark_text), "no process of the server is left", deadline_s)
        if isinstance(self.address, str):
            assert not Path(self.address).exists(), f"{self.address} was left behind"

    def kill_leftovers(self) -> list[int]:
        """Kill every process of this server that still runs; returns their pids."""
        left = marked(self.mark_text)
        for pid in left:
            kill(pid)
        if self.process is not None:
            self.process.wait(10)
        wait_until(lambda: not any(alive(pid) for pid in left), "the killed processes are gone")
        return left

    def hang_up(self) -> None:
        """Close the clients that the test left open, which it does when it fails."""
        for client in self.clients:
            client.close()

    def remove(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.rmtree(self.runtime, ignore_errors=True)
