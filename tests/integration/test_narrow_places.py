"""What containers leave out: a file system that can be written to, a home, a name for the user, /proc, system calls.
The server starts, serves and stops; the log says what it does without.
"""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.harness import APPS, ROOT, Server
from tests.integration.processes import alive, kill
from tests.integration.sandbox import Contained, as_pid_one, forbidding, poor
from tests.integration.waiting import wait_until

EXAMPLE = ROOT / "examples" / "container"
STRANGER = 54321
# A body and a response, both larger than what is buffered in memory.
LARGE = b"result = 'x' * 3_000_000 #" + b"x" * 3_000_000


@pytest.fixture
def contained() -> Iterator[Contained]:
    server = Contained()
    yield server
    # The environment, by which leftovers are found, is empty there; with PID 1 everything of the namespace ends.
    if server.process is not None and server.process.poll() is None:
        server.process.kill()
        server.process.wait(10)
    server.hang_up()
    server.remove()


def problems(server: Server) -> list[str]:
    return [line for line in server.log().splitlines() if re.search(r"\[(WARNING|ERROR|CRITICAL)\]|Traceback", line)]


@pytest.mark.parametrize("proc", ["proc", "no proc"])
def test_a_container_with_nothing_but_the_program(contained: Contained, proc: str) -> None:
    """All is read-only, /dev/shm takes nothing, there is no HOME, and the user is in no database."""
    server = contained
    setup = ["mount -t tmpfs -o ro none /proc"] if proc == "no proc" else []
    options = ["--preload"] if proc == "proc" else ["--max-worker-memory", "500M", "-k", "gthread"]
    prefix = [*as_pid_one("--mount"), *poor(setup, STRANGER, path=[APPS])]
    server.start("abuse:application", options=options, prefix=prefix)
    server.wait_ready()
    with server.client() as client:
        assert len(client.request("POST", "/run", body=LARGE).body) == 3_000_000
    assert "no directory takes temporary files: large bodies stream" in server.log()
    since = server.log_end()
    kill(server.master, signal.SIGHUP)
    server.wait_log("reload complete", since)
    assert server.get("/").status == 200
    kill(server.master, signal.SIGTERM)
    assert server.wait_exit() == 0
    if proc == "proc":
        assert problems(server) == []
    else:
        (said,) = problems(server)
        assert "there is no /proc of this PID namespace, so max_worker_memory cannot be kept cure=" in said


def test_a_sandbox_that_forbids_system_calls(make_server: Callable[..., Server]) -> None:
    """prctl(2), pidfds and the affinity: workers that hang are ended all the same, with what they wait for."""
    server = make_server()
    prefix = forbidding("prctl", "sched_getaffinity", "sched_setaffinity", "pidfd_open", "pidfd_send_signal")
    server.start("abuse:application", workers=1, options=["--graceful-timeout", "0"], prefix=prefix)
    server.wait_ready()
    note = Path(server.home, "child")
    body = f"import subprocess; subprocess.run(['sh', '-c', 'echo $$ > {note}; exec sleep 1000'])".encode()
    server.client().send(b"POST /run HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    wait_until(lambda: note.exists() and note.read_text().endswith("\n"), "it has started")
    child = int(note.read_text())
    server.send_signal(signal.SIGHUP)
    wait_until(lambda: not alive(child), "the child of the hung worker is gone")
    assert server.get("/").status == 200
    assert server.stop() == 0


def test_the_container_of_the_documentation(contained: Contained) -> None:
    """Its CMD and its HEALTHCHECK, as the Dockerfile has them; only the directory is another."""
    server = contained
    dockerfile = (EXAMPLE / "Dockerfile").read_text()
    commands = [json.loads(found) for found in re.findall(r"CMD (\[.*\])$", dockerfile, re.MULTILINE)]
    health, (program, *arguments) = commands
    assert program == "ostler"
    (user,) = re.findall(r"^USER (\d+)$", dockerfile, re.MULTILINE)
    prefix = [*as_pid_one("--mount", "--net"), *poor(["ip link set lo up"], int(user), directory=EXAMPLE)]
    server.launch([*prefix, sys.executable, "-m", program, *arguments, "--lame-duck", "0.1"], {}, server.home)
    server.wait_ready(1)

    def healthy() -> bool:
        inside = ["nsenter", f"--net=/proc/{server.master}/ns/net", sys.executable, str(EXAMPLE / health[1])]
        return subprocess.run(inside, check=False).returncode == 0

    assert healthy()
    assert '"GET /healthz HTTP/1.1" 200' in server.log()
    kill(server.master, signal.SIGTERM)
    assert server.wait_exit() == 0
    assert problems(server) == []
