"""Starts a server under test as an operator would, and reads from /proc what its processes use."""

import contextlib
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from sysconfig import get_path
from typing import IO

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))  # for what tests have of other servers

from tests.faults import peers  # noqa: E402  (the path comes first)

TICKS = os.sysconf("SC_CLK_TCK")
CONNECTIONS = 4000
"""How many clients every server may have at once: more than any benchmark here brings."""
STOP_S = 10


@dataclass(frozen=True)
class Contender:
    """One column of the table."""

    program: str  # "ostler" and "gunicorn" take the same flags; "waitress"; "uwsgi"; "uvicorn"; "granian"
    kind: str
    threads: int = 1

    def __str__(self) -> str:
        kind = "" if self.kind == self.program else f" {self.kind}"
        return f"{self.program}{kind}" + (f" x{self.threads}" if self.threads > 1 else "")

    @property
    def installed(self) -> bool:
        """Whether it can be started. Granian is installed for it, where tests/faults has it, too."""
        match self.program:
            case "uwsgi":
                return shutil.which("uwsgi") is not None
            case "granian":
                return _has_granian()
            case _:
                return find_spec(self.program) is not None

    def command(self, port: int, workers: int, application: str) -> list[str]:
        match self.program:
            case "waitress":  # one process, whatever `workers` says; select(2) ends at descriptor 1023, hence poll(2)
                command = [sys.executable, "-m", "waitress", f"--listen=127.0.0.1:{port}", f"--threads={self.threads}"]
                command += [f"--connection-limit={CONNECTIONS}", "--asyncore-use-poll"]
            case "uwsgi":
                command = ["uwsgi", "--http-socket", f"127.0.0.1:{port}", "--master", "--die-on-term", "--need-app"]
                command += ["--workers", str(workers), "--threads", str(self.threads), "--disable-logging"]
                return [*command, "--listen", "100", "--pythonpath", str(HERE), "--module", application]
            case "uvicorn":
                command = [sys.executable, "-m", "uvicorn", "--host", "127.0.0.1", "--port", str(port)]
                command += ["--workers", str(workers), "--loop", "uvloop", "--http", "httptools"]
                command += ["--no-access-log", "--log-level", "warning"]
            case "granian":
                command = [str(peers.CACHE / "bin" / "granian"), "--host", "127.0.0.1", "--port", str(port)]
                command += ["--workers", str(workers), "--interface", self.kind, "--loop", "uvloop", "--http", "1"]
                command += ["--runtime-threads", str(self.threads), "--log-level", "warning"]
            case _:
                command = [sys.executable, "-m", self.program, "--bind", f"127.0.0.1:{port}", "--workers", str(workers)]
                command += ["--worker-class", self.kind, "--threads", str(self.threads), "--log-level", "warning"]
                command += ["--worker-connections", str(CONNECTIONS), "--graceful-timeout", "2"]
                if self.program == "gunicorn":
                    command += ["--no-control-socket"]
        return [*command, application]


@cache
def _has_granian() -> bool:
    try:
        peers.install("granian")
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"granian is left out: {error}", file=sys.stderr)
        return False
    return True


@dataclass(frozen=True)
class Usage:
    """What the largest process of a server holds. Sizes in bytes."""

    peak_rss: int  # VmHWM: the most that was ever resident, shared pages included
    pss: int  # now, shared pages divided among those who share them
    open_files: int
    spilled: int  # on disk, in files that have no name


@dataclass(frozen=True)
class Running:
    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """User and system time of the master and its children, those that were reaped too."""
        total = 0
        for pid in [self.pid, *children_of(self.pid)]:
            with contextlib.suppress(OSError):  # it has just ended
                values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                total += sum(int(value) for value in values[11:15])  # utime stime cutime cstime, proc_pid_stat(5)
        return total / TICKS

    def usage(self) -> Usage:
        """Of the worker (a server of one process: of that). It may be new, if the master has just replaced it."""
        found = Usage(0, 0, 0, 0)
        for pid in children_of(self.pid) or [self.pid]:
            with contextlib.suppress(OSError):
                status, rollup = (Path(f"/proc/{pid}/{name}").read_text() for name in ("status", "smaps_rollup"))
                usage = Usage(_kib(status, "VmHWM:"), _kib(rollup, "Pss:"), *_files_of(pid))
                found = max(found, usage, key=lambda one: one.peak_rss)
        return found


def _kib(text: str, name: str) -> int:
    return int(text.partition(name)[2].split(maxsplit=1)[0]) * 1024


def _files_of(pid: int) -> tuple[int, int]:
    """How many descriptors a process has, and the bytes on disk of files without a name among them."""
    nameless: dict[int, int] = {}
    entries = list(Path(f"/proc/{pid}/fd").iterdir())
    for entry in entries:
        with contextlib.suppress(OSError):
            status = entry.stat()
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 0:
                nameless[status.st_ino] = status.st_blocks * 512
    return len(entries), sum(nameless.values())


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


def allow_many_files() -> None:
    """For this process and those that it starts: as many descriptors as the system lets us have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def running(contender: Contender, workers: int, application: str = "hello:application") -> Iterator[Running]:
    """The server, once it answers; stopped at the end of the block. Its log is shown only if it does not start."""
    port = free_port()
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    # What the caller put there stays: `PYTHONPATH=/another/tree/src` measures that one.
    # Granian, which has an environment of its own, finds uvloop and FastAPI there.
    packages = get_path("platlib") if contender.program == "granian" else None
    places = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH"), packages])]
    environment["PYTHONPATH"] = os.pathsep.join(places)
    environment.pop("GUNICORN_CMD_ARGS", None)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            contender.command(port, workers, application),
            env=environment,
            cwd=HERE,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _wait_for_answer(port, process, log)
            yield Running(port, process.pid)
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # the session is ours: nobody else is in it
    process.wait()


def _wait_for_answer(port: int, process: subprocess.Popen[bytes], log: IO[bytes], deadline_s: float = 15.0) -> None:
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if process.poll() is not None:
            log.seek(0)
            raise SystemExit(f"{process.args!r} ended with {process.returncode}: {log.read().decode(errors='replace')}")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                if client.recv(4096).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"{process.args!r} did not answer within {deadline_s} s")
