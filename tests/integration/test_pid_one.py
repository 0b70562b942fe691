"""The server as the first process of a container: a PID namespace, where the kernel gives PID 1 no default actions, and
everybody's orphans.
"""

import re
import signal
from collections.abc import Callable, Iterator

import pytest

from tests.integration.processes import PROC, children_of
from tests.integration.sandbox import Contained, as_pid_one
from tests.integration.waiting import wait_until

ORPHAN = "import subprocess; subprocess.run(['sh', '-c', '(sleep 0.1; exit 3) & exit 0'])"
HANGS = "open('reached', 'w').close()\nimport time\ntime.sleep(60)\n"


@pytest.fixture
def make() -> Iterator[Callable[..., Contained]]:
    """Servers that the test starts; each is gone at its end."""
    made: list[Contained] = []

    def one(below: int = 1) -> Contained:
        server = Contained()
        server.below = below
        made.append(server)
        return server

    yield one
    for server in made:
        left = server.kill_leftovers()
        server.hang_up()
        server.remove()
        assert not left, server.log()


def zombies(parent: int) -> list[str]:
    """Children of a process that nobody has reaped yet."""
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                state, above = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state == "Z" and int(above) == parent:
                found.append(entry.name)
    return found


def test_the_life_of_a_container(make: Callable[..., Contained]) -> None:
    server = make()
    options = ["--log-level", "debug"]
    server.start("abuse:application", options=options, prefix=as_pid_one())
    workers = server.wait_ready()
    assert "pid=1" in server.log()

    with server.client() as client:
        for _ in range(3):
            client.request("POST", "/run", body=ORPHAN.encode())
    server.wait_log("reaped a process that is none of ours", count=3)
    wait_until(lambda: not zombies(server.master), "no orphan stays a zombie")
    assert len(children_of(server.master)) == len(workers)
    assert not re.search(r"\[(WARNING|ERROR)\]", server.log()), "a foreign exit status is no news"
    assert server.get("/").status == 200

    server.send_signal(signal.SIGUSR2)
    server.wait_log("USR2 ignored .*this master is PID 1")
    server.send_signal(signal.SIGHUP)
    server.wait_log("reload complete")
    server.send_signal(signal.SIGTTIN)
    server.wait_ready(5)
    assert server.stop() == 0


def test_a_stop_before_the_server_was_started_is_heard(make: Callable[..., Contained]) -> None:
    """`docker stop` a moment after `docker run`: without a handler PID 1 would ignore it until it is killed."""
    server = make()
    config = server.home / "slow.conf.py"
    config.write_text(HANGS)
    server.start("contract:application", options=["--config", str(config)], prefix=as_pid_one())
    wait_until((server.home / "reached").exists, "the configuration is being read")
    assert server.stop() == 0
    assert server.log() == "stopped before the server was started signal=SIGTERM\n"


def test_exit_statuses_are_the_containers(make: Callable[..., Contained]) -> None:
    server = make()
    (server.home / "broken.py").write_text("import nothing_of_this_name\n")
    server.start("broken:application", prefix=as_pid_one())
    assert server.wait_exit() == 3
    assert "No module named 'nothing_of_this_name'" in server.log()
    server.start("contract:application", prefix=as_pid_one())
    server.wait_ready(since=server.log_end())
    assert server.stop(signal.SIGINT) == 0


def test_a_daemon_would_end_its_container_and_is_none(make: Callable[..., Contained]) -> None:
    server = make()
    server.start("contract:application", options=["--daemon"], prefix=as_pid_one())
    server.wait_ready()
    assert re.search(r"\[WARNING\] daemon is ignored: this is PID 1.* cure=", server.log())
    assert server.get("/").status == 200
    assert server.stop() == 0


def test_a_shell_that_is_pid_1_is_named_with_the_cure(make: Callable[..., Contained]) -> None:
    """Row S7: it gets the TERM of `docker stop`, and does nothing with it."""
    server = make(below=2)
    server.start("contract:application", prefix=[*as_pid_one(), "sh", "-c", '"$@"; exit 0', "sh"])
    server.wait_ready()
    (line,) = [line for line in server.log().splitlines() if "the parent is a shell and PID 1" in line]
    assert "[WARNING]" in line
    assert "shell=sh cure=\"start ostler by exec, or in the exec form: CMD ['ostler', 'app:app']\"" in line
    assert server.stop() == 0
