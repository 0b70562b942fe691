"""Starts a server under test as an operator would, and reads its processes' CPU time from /proc."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Contender:
    """One column of the table."""

    program: str  # "ostler" or "gunicorn": both take the same flags
    kind: str
    threads: int = 1

    def __str__(self) -> str:
        return f"{self.program} {self.kind}" + (f" x{self.threads}" if self.threads > 1 else "")

    def command(self, port: int, workers: int) -> list[str]:
        command = [sys.executable, "-m", self.program, "--bind", f"127.0.0.1:{port}", "--workers", str(workers)]
        command += ["--worker-class", self.kind, "--threads", str(self.threads), "--log-level", "warning"]
        if self.program == "gunicorn":
            command += ["--no-control-socket"]
        return [*command, "hello:application"]


@dataclass(frozen=True)
class Running:
    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """User and system time of the master and its children, those that were reaped too."""
        total = 0
        for pid in [self.pid, *children_of(self.pid)]:
            values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(value) for value in values[11:13])
        return total / TICKS


def children_of(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, ppid = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state not in "ZX" and int(ppid) == parent:
                found.append(int(entry.name))
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(contender: Contender, workers: int) -> Iterator[Running]:
    """The server, once it answers; stopped at the end of the block."""
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("GUNICORN_CMD_ARGS", None)
    process = subprocess.Popen(contender.command(port, workers), env=environment, cwd=HERE, stdin=subprocess.DEVNULL)
    try:
        wait_for_answer(port, process)
        yield Running(port, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_answer(port: int, process: subprocess.Popen[bytes], deadline_s: float = 15.0) -> None:
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit(f"{process.args!r} ended with {process.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                if client.recv(4096).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"{process.args!r} did not answer within {deadline_s} s")
