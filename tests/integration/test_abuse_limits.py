"""The system gives no more: descriptors, processes, memory. The fleet serves on, the log names the limit, it heals."""

import os
import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.abuse import Abused
from tests.integration.client import request_bytes
from tests.integration.harness import APPS, Server
from tests.integration.processes import cpu_seconds, descriptors, kill
from tests.integration.waiting import wait_until

GROUPS = map(Path, ("/sys/fs/cgroup/pids", "/sys/fs/cgroup"))
PIDS = next((each for each in GROUPS if (each / "cgroup.procs").exists()), None)


LEAK = b"""
import os, time
leaked = []
try:
    while True: leaked.append(open("/etc/hostname"))
except OSError:
    while not os.path.exists("go"): time.sleep(0.01)
"""


@contextmanager
def abused(kind: str, workers: int = 2, prefix: Sequence[str] = ()) -> Iterator[Abused]:
    server = Abused()
    try:
        server.begin(kind, workers, prefix=prefix)
        yield server
        assert server.stop() == 0
        assert "defect" not in server.log(), server.log()
    finally:
        server.kill_leftovers()
        server.hang_up()
        server.remove()


@contextmanager
def limited(pid: int, which: int, soft: int) -> Iterator[None]:
    before = resource.prlimit(pid, which)
    resource.prlimit(pid, which, (soft, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, which, before)


def test_a_master_without_descriptors_serves_on_says_why_and_heals() -> None:
    with abused("gthread") as server:
        used = cpu_seconds(server.master)
        with limited(server.master, resource.RLIMIT_NOFILE, descriptors(server.master)):
            kill(server.worker_pids()[0])
            server.wait_log(r"fork failed slot=\d gen=1 .*too many open files; raise the master's limit of descriptors")
            for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN):
                server.send_signal(number)
            server.wait_log(r"reload failed: cannot fork: too many open files; raise")
            server.wait_log(r"USR2 ignored reason=\".*too many open files; raise")
            assert server.pid()
            assert cpu_seconds(server.master) - used < 1
        wait_until(lambda: len(server.worker_pids()) == 3, "the workers are there again", 15)
        since = server.log_end()
        server.send_signal(signal.SIGHUP)
        server.wait_log(r"reload complete: generation \d serves workers=3", since)
        assert server.log().count("fork failed") < 12


FORKS = """
import errno, os

really = os.fork

def fork():
    if os.path.exists(os.path.join(os.environ["CONTRACT_DIR"], "no-memory")):
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    return really()

os.fork = fork
"""
"""No limit makes fork(2) alone say so since the kernel has dropped memory.kmem.limit_in_bytes; so it is said for it."""


def test_a_machine_without_memory_for_a_fork_keeps_those_that_serve(make_server: Callable[..., Server]) -> None:
    server = make_server()
    (server.home / "sitecustomize.py").write_text(FORKS)
    server.start("abuse:application", kind="sync", workers=2, env={"PYTHONPATH": f"{server.home}:{APPS}"})
    server.wait_ready()
    first, second = server.worker_pids()
    used, since = cpu_seconds(server.master), server.log_end()
    (server.home / "no-memory").touch()
    kill(first)
    server.wait_log(
        r"fork failed slot=\d gen=1 .*annot allocate memory; free memory, use fewer workers, or raise", since
    )
    server.send_signal(signal.SIGHUP)
    server.wait_log(r"reload failed: cannot fork: .*annot allocate memory; free memory", since)
    server.wait_log("fork failed", since, count=3)
    assert {int(server.get("/").body) for _ in range(5)} == {second}
    assert cpu_seconds(server.master) - used < 1, "the master spins"
    (server.home / "no-memory").unlink()
    wait_until(lambda: len(server.worker_pids()) == 2, "the workers are there again", 15)
    since = server.log_end()
    server.send_signal(signal.SIGHUP)
    server.wait_log("reload complete", since)


@contextmanager
def cgroup() -> Iterator[Path]:
    """A new one that limits processes."""
    if PIDS is None:
        pytest.skip("no cgroup file system")
    path = PIDS / f"ostler-test-{os.getpid()}"
    try:
        path.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made: {error}")
    try:
        if not (path / "pids.max").exists():
            pytest.skip("this cgroup does not limit processes")
        yield path
    finally:
        wait_until(lambda: not (path / "cgroup.procs").read_text(), "the group is empty")
        path.rmdir()


def test_a_machine_without_processes_keeps_those_that_serve_and_says_which_limit() -> None:
    with cgroup() as group, abused("sync") as server:
        for pid in (*server.worker_pids(), server.master):
            (group / "cgroup.procs").write_text(str(pid))
        (group / "pids.max").write_text(str(int((group / "pids.current").read_text()) - 2))
        kill(server.worker_pids()[0])
        server.wait_log(
            r"fork failed slot=\d gen=1 .*temporarily unavailable; raise the limit of processes \(ulimit -u"
        )
        assert server.run("import threading; threading.Thread(target=print).start()").status == 500
        server.wait_log(r"can't start new thread.* threads=\d+ .*cause=\"too many threads\" cure=")
        assert server.run("import subprocess; subprocess.run(['true'])").status == 500
        server.wait_log(r"cause=\"too many processes\" cure=")
        (group / "pids.max").write_text("max")
        wait_until(lambda: len(server.worker_pids()) == 2, "the workers are there again", 15)


def test_who_waits_too_long_for_a_descriptor_is_turned_away() -> None:
    prefix = ["bash", "-c", 'ulimit -n 128; exec "$@"', "limited"]
    with abused("gthread", workers=1, prefix=prefix) as server:
        (worker,) = server.worker_pids()
        with server.client() as leaky:
            leaky.send(request_bytes("POST", "/run", (), LEAK))
            wait_until(lambda: descriptors(worker) == 128, "the table is full")
            used = cpu_seconds(worker)
            answer = server.get("/")
            assert (answer.status, answer.field("Retry-After")) == (503, "5")
            assert cpu_seconds(worker) - used < 1, "the worker spins"
            (server.home / "go").touch()
            assert leaky.read_response().status == 200
        server.wait_log(r"accepting paused, .*too many open files.*cause=\"too many open files\" cure=")
        wait_until(lambda: server.get("/").status == 200, "the server serves again")
        server.wait_log(r"descriptors are running out used=\d+ limit=128 .*most=\"\d+ /etc/hostname")


@pytest.mark.parametrize("kind", ["gthread", "asgi"])
def test_memory_that_runs_out_in_our_own_code_costs_no_worker(kind: str) -> None:
    with abused(kind, workers=1) as server:
        (worker,) = server.worker_pids()
        server.run("""
import resource
with open("/proc/self/statm") as file:
    pages = int(file.read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (8 << 20), resource.RLIM_INFINITY))
""")
        answers = []
        for _ in range(20):  # each body asks the server for more memory than there is
            with server.client() as client:
                client.send(request_bytes("POST", "/run", [("Content-Length", "40000000")]) + b"#" * 300_000)
                client.close()
            answers.append(server.get("/").status)
        assert set(answers) <= {200, 500, 503}
        assert server.worker_pids() == [worker]
