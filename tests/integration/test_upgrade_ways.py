"""USR2 in its surroundings: the environment, systemd, the ways to start a server, daemons, containers."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.harness import Server
from tests.integration.load import Load
from tests.integration.masters import Masters, environment_of, masters, pid_in
from tests.integration.processes import children_of, kill, parent_of
from tests.integration.waiting import wait_until

__all__ = ["masters"]

SURROUNDED = """
import os
raw_env = ["BY_RAW_ENV=1"]
os.environ["BY_FILE"] = "1"
os.environ.pop("GIVEN", None)
def pre_exec(server):
    os.environ["BY_HOOK"] = "1"
    with open("hooks", "a") as file:
        file.write(f"{os.getpid()} {os.getppid()} {server.pid}\\n")
"""


def test_new_master_starts_with_the_environment_of_the_first(serve: Callable[..., Server], masters: Masters) -> None:
    server = serve(config=SURROUNDED, env={"GIVEN": "by the operator", "LISTEN_FDS": "1", "LISTEN_PID": "1"})
    first = environment_of(server.master)
    current = server.master
    expected = {name: value for name, value in first.items() if not name.startswith("LISTEN_")}
    for _ in range(2):
        former, current = current, masters.succeed(server, current)
        found = environment_of(current)
        assert found.pop("GUNICORN_PID") == str(former)
        assert found.pop("GUNICORN_FD").isdigit()
        assert found.pop("OSTLER_READY_FD").isdigit()
        assert found == expected
        assert server.notes("hooks")[-1] == f"{current} {former} {former}"


def test_systemd_hears_who_serves(make_server: Callable[..., Server], masters: Masters) -> None:
    server = make_server()
    path = str(server.home / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(10)

        def hear(wanted: str) -> list[str]:
            """All up to the message that has this line."""
            said: list[str] = []
            while not said or wanted not in said[-1].splitlines():
                said.append(manager.recv(4096).decode())
            return said

        watch = {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "4242"}  # of the first master, say
        server.start("contract:application", env={"NOTIFY_SOCKET": path, **watch})
        server.wait_ready()
        hear("READY=1")
        new = masters.upgrade(server)
        said = hear(f"MAINPID={new}")
        assert not any("READY=1" in each for each in said), "the new one keeps still until it was named"
        hear("READY=1")
        hear("WATCHDOG=1")
        masters.end(new)
        hear(f"MAINPID={server.master}")
        new = masters.upgrade(server)
        hear(f"MAINPID={new}")
    assert environment_of(new)["NOTIFY_SOCKET"] == path


@pytest.mark.parametrize("way", ["relative script", "script by PATH", "module"])
def test_command_is_found_again_however_it_was_given(
    make_server: Callable[..., Server], masters: Masters, way: str
) -> None:
    """Started below a symbolic link, which then leads elsewhere: the new master serves what is there."""
    server = make_server("unix")
    script = Path(sys.executable).with_name("ostler")
    for release in ("one", "two"):
        (server.home / release).mkdir()
        (server.home / release / "release.py").write_text(
            "def application(environ, start_response):\n"
            f"    start_response('200 OK', [('Content-Length', '3')])\n    return [b'{release}']\n"
        )
        (server.home / release / "bin").symlink_to(script.parent)
    current = server.home / "current"
    current.symlink_to("one")
    env = {"PWD": str(current), "PATH": f"{script.parent}:{os.environ['PATH']}"}
    command = {
        "relative script": ["bin/ostler"],
        "script by PATH": ["ostler"],
        "module": [sys.executable, "-m", "ostler"],
    }[way]
    server.launch(
        [*command, "-b", "unix:../http.sock", "--error-logfile", "../server.log", "release:application"],
        env,
        current,
    )
    server.wait_ready(1)
    assert server.get("/").text == "one"
    current.unlink()
    current.symlink_to("two")
    masters.succeed(server)
    assert server.get("/").text == "two"


def test_daemon_goes_back_to_the_old_master(make_server: Callable[..., Server], masters: Masters) -> None:
    """Gunicorn's way back: WINCH to the old one, a look at the new one, HUP to the old one, TERM to the new one."""
    server = make_server("unix")
    server.start("contract:application", options=["-D", "-p", "pid", "--error-logfile", str(server.log_path)])
    assert server.wait_exit() == 0
    old = pid_in(server.home / "pid")
    assert old is not None
    masters.add(old)
    wait_until(lambda: len(children_of(old)) == 2, "it has two workers")
    new = masters.upgrade(server, old)
    assert parent_of(new) == old
    wait_until(lambda: len(re.findall("worker ready", server.log())) == 4, "the new workers are ready")
    with Load(server.address, clients=4) as load:
        since = server.log_end()
        kill(old, signal.SIGWINCH)
        server.wait_log("workers dismissed", since)
        # It is the old one's child, too.
        wait_until(lambda: children_of(old) == [new], "the old master has no workers")
        load.wait_for(50)
        kill(old, signal.SIGHUP)
        wait_until(lambda: len(children_of(old)) == 3, "HUP brings the old master's workers back")
        server.wait_log(rf"\[{old}\] .*worker ready", since, count=2)
        masters.end(new)
        server.wait_log("new master ended, this one goes on", since)
        load.wait_for(50)
    load.tally.assert_nothing_failed()
    assert pid_in(server.home / "pid") == old
    masters.succeed(server, old)


def test_winch_is_ignored_by_a_server_with_a_terminal(serve: Callable[..., Server]) -> None:
    server = serve(options=["--log-level", "debug"])
    before = server.worker_pids()
    server.send_signal(signal.SIGWINCH)
    server.wait_log("WINCH ignored")
    assert server.worker_pids() == before


def test_usr2_is_refused_as_pid_1(make_server: Callable[..., Server]) -> None:
    unshare = shutil.which("unshare")
    probe = [unshare or "unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "true"]
    if unshare is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("a PID namespace needs unshare(1) and root")
    server = make_server()
    server.start("contract:application", prefix=probe[:-1])
    wait_until(lambda: len(re.findall("worker ready", server.log())) == 2, "the workers are ready")
    (master,) = children_of(server.master)
    kill(master, signal.SIGUSR2)
    server.wait_log("USR2 ignored .*PID 1")
    assert server.get("/").status == 200
    kill(master, signal.SIGTERM)
    server.wait_exit()
