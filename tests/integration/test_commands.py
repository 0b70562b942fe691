"""`ostler reload` and `ostler upgrade`: they wait, show what happens, and their exit status says how it ended."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.integration.harness import FOREIGN, Server
from tests.integration.load import Load
from tests.integration.masters import PROMOTED, STARTING, Masters, masters, pid_in
from tests.integration.processes import alive, kill
from tests.integration.waiting import wait_until

__all__ = ["masters"]

NOBODY = 65534
# Its import waits as long as there is a file `gate` (after a reload wrote one), and it answers what `text` was then.
APP = """
import os, time

home = os.environ["CONTRACT_DIR"]
text = open(os.path.join(home, "text"), "rb").read()
while os.path.exists(os.path.join(home, "gate")):
    time.sleep(0.01)
if text == b"broken":
    raise RuntimeError("broken on purpose")

def application(environ, start_response):
    if environ["PATH_INFO"] == "/check":
        while text == b"hangs":
            time.sleep(1)
        if text == b"ill":
            start_response("500 Ill", [("Content-Length", "0")])
            return []
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]
"""
# An operator who is not root, with an interpreter that root's directory may hide.
AS_NOBODY = """
import os, sys
from ostler.cli import main
os.setgroups([]); os.setgid({0}); os.setuid({0})
sys.exit(main(["reload", {1!r}]))
"""


class Operator:
    """A server with APP, and commands for it as child processes."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.running: list[subprocess.Popen[str]] = []

    def start(self, *words: str) -> subprocess.Popen[str]:
        return self.launch([sys.executable, "-m", "ostler", *words])

    def launch(self, command: list[str]) -> subprocess.Popen[str]:
        environ = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.server.home,
            env=environ,
        )
        self.running.append(process)
        return process

    def run(self, *words: str) -> tuple[int, list[str], str]:
        """Exit status, lines of progress, stderr."""
        return ended(self.start(*words))

    def write(self, text: str) -> None:
        (self.server.home / "text").write_text(text)

    @property
    def text(self) -> str:
        return self.server.get("/").text

    def shut_gate(self) -> None:
        (self.server.home / "gate").touch()

    def open_gate(self) -> None:
        (self.server.home / "gate").unlink()

    def waiting_command(self, *words: str, until: str) -> subprocess.Popen[str]:
        """A command behind the shut gate that has shown a line with `until`."""
        self.shut_gate()
        command = self.start(*words)
        assert command.stdout is not None
        for line in command.stdout:
            if until in line:
                return command
        raise AssertionError(f"it ended: {ended(command)}")


def ended(command: subprocess.Popen[str]) -> tuple[int, list[str], str]:
    out, err = command.communicate(timeout=40)
    return command.returncode, out.splitlines(), err


@pytest.fixture
def operate(serve: Callable[..., Server]) -> Iterator[Callable[..., Operator]]:
    """operate(options=..., ...): an operator of a server that was started so."""
    made: list[Operator] = []

    def start(*options: str, workers: int = 2, config: str | None = None) -> Operator:
        server = serve(
            "app:application",
            workers=workers,
            options=options,
            config=config,
            files={"app.py": APP, "text": "first"},
        )
        made.append(Operator(server))
        return made[-1]

    yield start
    for operator in made:
        for command in operator.running:
            if command.poll() is None:
                command.kill()
            command.communicate()
        (operator.server.home / "gate").unlink(missing_ok=True)


@pytest.fixture(params=[(), ("--preload",)], ids=["plain", "preload"])
def preload(request: pytest.FixtureRequest) -> tuple[str, ...]:
    options: tuple[str, ...] = request.param
    return options


# -- reload


def test_a_reload_is_shown_waited_for_and_ends_with_zero(
    operate: Callable[..., Operator], preload: tuple[str, ...]
) -> None:
    operator = operate(*preload, "--pid", "server.pid")
    operator.write("second")
    status, shown, err = operator.run("reload", "--pid", "server.pid")
    assert (status, err) == (0, "")
    assert shown[0].startswith("reloading command=reload uid=")
    assert any(line.startswith("worker ready slot=0 gen=2 ") for line in shown)
    assert shown.count("reload complete: generation 2 serves workers=2") == 1 == len(shown) - shown.index(shown[-1])
    assert {operator.text for _ in range(4)} == {"second"}


def test_a_reload_that_fails_keeps_the_former_generation_and_ends_with_the_reason(
    operate: Callable[..., Operator], preload: tuple[str, ...]
) -> None:
    operator = operate(*preload, "--reload-check", "/check", config="boot_timeout = 3\n")
    master = str(operator.server.master)
    reasons = {"broken": r"RuntimeError: broken on purpose in app\.py:\d+", "ill": "check /check answered 500"}
    if preload:
        reasons = {"hangs": "boot timeout: not ready after 3 s"}
    for text, reason in reasons.items():
        operator.write(text)
        status, _, err = operator.run("reload", master)
        assert status == 1
        assert re.fullmatch(
            rf"Error: reload failed: generation \d did not start \(.*{reason}.*\); generation 1 keeps serving\n", err
        )
        assert operator.text == "first"
    config = operator.server.home / "ostler.conf.py"
    config.write_text("workers = 'four'\n")
    status, _, err = operator.run("reload", master)
    assert status == 1
    assert err.startswith("Error: reload failed: workers: expected a positive integer")


def test_a_command_that_ends_before_the_reload_does_not_end_the_reload(operate: Callable[..., Operator]) -> None:
    operator = operate()
    operator.write("second")
    command = operator.waiting_command("reload", str(operator.server.master), until="worker booting")
    command.kill()
    ended(command)
    operator.open_gate()
    operator.server.wait_log("reload complete: generation 2 serves")
    assert operator.text == "second"


def test_two_reloads_at_once_both_hear_of_the_end(operate: Callable[..., Operator]) -> None:
    operator = operate()
    master = str(operator.server.master)
    first = operator.waiting_command("reload", master, until="worker booting")
    operator.write("second")
    second = operator.waiting_command("reload", master, until="gen=3")  # the first one's generation was given up
    operator.open_gate()
    assert ended(first)[0] == 0
    assert ended(second)[0] == 0
    assert operator.text == "second"
    operator.write("broken")
    both = [operator.start("reload", master) for _ in range(2)]
    assert [ended(command)[0] for command in both] == [1, 1]


def test_a_master_that_is_stopped_is_told_from_one_that_works(operate: Callable[..., Operator]) -> None:
    operator = operate()
    master = operator.server.master
    kill(master, signal.SIGSTOP)
    try:
        status, _, err = operator.run("reload", str(master), "--timeout", "0.3")
    finally:
        kill(master, signal.SIGCONT)
    assert status == 1
    assert err.endswith(f"the master {master} has not answered, and does it when it runs again\n")
    operator.server.wait_log("reload complete: generation 2 serves")


def test_waiting_ends_with_the_timeout_and_with_the_master(operate: Callable[..., Operator]) -> None:
    operator = operate()
    master = operator.server.master
    operator.shut_gate()
    status, _, err = operator.run("reload", str(master), "--timeout", "2")
    assert status == 1
    assert err == f"Error: reload: not done within --timeout; the master {master} goes on with it\n"
    stopped = operator.waiting_command("reload", str(master), until="worker booting")
    kill(master, signal.SIGTERM)
    assert ended(stopped)[::2] == (1, "Error: reload ended: the server stops\n")


def test_a_master_that_dies_is_an_error(operate: Callable[..., Operator]) -> None:
    operator = operate()
    command = operator.waiting_command("reload", str(operator.server.master), until="worker booting")
    kill(operator.server.master, signal.SIGKILL)
    status, _, err = ended(command)
    assert status == 1
    assert err.startswith(f"Error: reload: the master {operator.server.master} ended, or dropped this command, before")


def test_whoever_is_no_master_is_told_from_one(operate: Callable[..., Operator]) -> None:
    operator = operate()
    worker = operator.server.worker_pids()[0]
    for words, reason in {
        (str(os.getpid()),): f"process {os.getpid()} does not answer: it is no master of Ostler",
        (str(worker),): f"process {worker} does not answer: it is no master of Ostler",
        ("app:application",): "the configuration has no pidfile",
    }.items():
        status, shown, err = operator.run("reload", *words)
        assert (status, shown) == (1, [])
        assert err.startswith(f"Error: reload: {reason}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_may_not_reload(operate: Callable[..., Operator]) -> None:
    operator = operate()
    script = AS_NOBODY.format(NOBODY, str(operator.server.master))
    status, _, err = ended(operator.launch([sys.executable, "-c", script]))
    assert status == 1
    assert err.startswith("Error: only root and the user that the server runs as may do this")
    assert "reloading" not in operator.server.log()


# -- upgrade


def test_an_upgrade_replaces_the_master_without_a_failed_request(
    operate: Callable[..., Operator], masters: Masters, preload: tuple[str, ...]
) -> None:
    operator = operate(*preload, config="pidfile = 'server.pid'\n")
    server = operator.server
    old, pid_file = server.master, server.home / "server.pid"
    operator.write("second")
    with Load(server.address, clients=4) as load:
        load.wait_for(20)
        command = operator.start("upgrade", "-c", "ostler.conf.py")
        named = {pid_in(pid_file)}
        while command.poll() is None:
            named.add(pid_in(pid_file))
            time.sleep(0.001)
        status, shown, err = ended(command)
        assert (status, err) == (0, "")
        new = masters.add(int(server.wait_log(STARTING)[0][1]))
        load.wait_for(20)
    load.tally.assert_nothing_failed()
    assert shown[-1] == f"upgrade complete: the master {new} serves, the old master {old} is gone"
    assert server.exit_status == 0
    assert pid_in(pid_file) == new
    assert named <= {old, new}, "one of both at any time"
    assert operator.text == "second"
    assert operator.run("reload", "-p", "server.pid")[0] == 0


def test_an_upgrade_that_fails_leaves_the_old_master_as_it_was(
    operate: Callable[..., Operator], masters: Masters
) -> None:
    operator = operate(config="")
    server, master = operator.server, str(operator.server.master)
    before = server.worker_pids()
    operator.write("broken")
    status, _, err = operator.run("upgrade", master)
    assert status == 1
    assert re.match(r"Error: upgrade failed: .*RuntimeError: broken on purpose.*; the old master keeps serving\n", err)
    (server.home / "ostler.conf.py").write_text("workers = 'four'\n")
    status, _, err = operator.run("upgrade", master)
    assert (status, err[:46]) == (1, "Error: upgrade failed: workers: expected a pos")
    (server.home / "ostler.conf.py").write_text("")
    command = operator.waiting_command("upgrade", master, until="new master starting")
    new = masters.add(int(server.wait_log(STARTING, count=3)[2][1]))
    status, _, err = operator.run("upgrade", master)
    assert (status, err[:62]) == (1, f"Error: upgrade refused: a new master runs already (pid {new}); "[:62])
    kill(new, signal.SIGKILL)
    assert ended(command)[::2] == (
        1,
        "Error: upgrade failed: the new master ended; the old master keeps serving\n",
    )
    assert not alive(new)
    assert operator.text == "first"
    assert server.worker_pids() == before


def test_an_upgrade_goes_on_without_the_command(operate: Callable[..., Operator], masters: Masters) -> None:
    operator = operate()
    server = operator.server
    command = operator.waiting_command("upgrade", str(server.master), until="new master starting")
    new = masters.add(int(server.wait_log(STARTING)[0][1]))
    command.kill()
    operator.open_gate()
    server.wait_log(PROMOTED)
    assert server.wait_exit() == 0
    wait_until(lambda: operator.text == "first", "the new master serves")
    assert alive(new)
