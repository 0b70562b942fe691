"""Settings and signals that need a server of their own: daemons, users, development, and a second master."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.compat.command import run, wait_serving, wait_text
from tests.compat.covering import covers
from tests.integration.harness import Server
from tests.integration.processes import alive, children_of, kill, parent_of
from tests.integration.waiting import wait_until

ROOT = os.geteuid() == 0


class Daemon:
    """A server that left its terminal: known by its pid file."""

    def __init__(self, server: Server) -> None:
        self.server = server
        assert server.wait_exit(20) == 0, server.log()
        self.pid = int((server.home / "pid").read_text())
        assert parent_of(self.pid) not in (None, os.getpid())

    def stop(self) -> None:
        kill(self.pid, signal.SIGTERM)
        wait_until(lambda: not alive(self.pid), "the daemon is gone")


@pytest.fixture
def daemonize(start: Callable[..., Server]) -> Iterator[Callable[..., Daemon]]:
    """daemonize(*options): a daemon whose foreground command has returned."""
    daemons: list[Daemon] = []

    def begin(*options: str) -> Daemon:
        logs = ("--pid", "HOME/pid", "--error-logfile", "HOME/errors")
        daemons.append(Daemon(start("--daemon", *logs, *options, ready=0)))
        return daemons[-1]

    yield begin
    for daemon in daemons:
        daemon.stop()


@covers("setting:daemon", "signal:WINCH:master")
def test_a_daemon_serves_behind_its_command_and_winch_takes_its_workers(daemonize: Callable[..., Daemon]) -> None:
    daemon = daemonize()
    server = daemon.server
    wait_serving(server)
    assert os.getsid(daemon.pid) != os.getsid(0), "it has a session of its own"
    assert server.get("/print").status == 200
    assert "printed by the application" not in server.log(), "its output goes nowhere"
    kill(daemon.pid, signal.SIGWINCH)
    wait_until(lambda: children_of(daemon.pid) == [], "it has no workers any more")
    assert alive(daemon.pid)


@covers("setting:enable_stdio_inheritance")
def test_a_daemon_may_keep_the_output_of_its_command(daemonize: Callable[..., Daemon]) -> None:
    server = daemonize("--enable-stdio-inheritance").server
    wait_serving(server)
    assert server.get("/print").status == 200
    server.wait_log("printed by the application")


PLAIN = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""


@covers("setting:user", "setting:group", "setting:initgroups")
def test_workers_have_the_user_and_the_groups_that_were_asked_for(start: Callable[..., Server]) -> None:
    if not ROOT:
        ended = start("--user", "0", ready=0)
        assert ended.wait_exit() != 0, "nobody becomes root"
        ended.wait_log("user")
        return
    # An application without imports: the interpreter itself may be in a directory that only root may read.
    options = ("--user", "65534", "--group", "65534", "--initgroups")
    server = start(*options, app="plain:application", files={"plain.py": PLAIN})
    assert server.get("/").status == 200
    (worker,) = server.worker_pids()
    lines = Path(f"/proc/{worker}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines)
    assert status["Uid"].split() == ["65534"] * 4
    assert status["Gid"].split() == ["65534"] * 4
    assert "0" not in status["Groups"].split(), "none of root's groups is left"
    assert Path(f"/proc/{server.master}").stat().st_uid == 0


@covers("exit:1 pidfile")
def test_the_pid_file_of_a_living_server_is_not_taken(start: Callable[..., Server]) -> None:
    server = start("--pid", "HOME/pid")
    second = run(
        ["--pid", str(server.home / "pid"), "--bind", "127.0.0.1:0", "contract:application"], server.home
    )
    assert second.returncode == 1
    assert "pid" in second.stderr
    assert int((server.home / "pid").read_text()) == server.master


@covers("setting:reload_engine", "setting:reload_extra_files")
@pytest.mark.parametrize("engine", ["poll", "inotify"])
def test_extra_files_are_watched_by_either_engine(start: Callable[..., Server], engine: str) -> None:
    options = ["--reload", "--reload-engine", engine, "--reload-extra-file", "HOME/pages/*.html"]
    server = start(*options, files={"pages/a.html": "old"})
    since = server.log_end()
    (server.home / "pages" / "b.html").write_text("a file that was not there at the start")
    server.wait_ready(1, since)
    server.wait_log(r"b\.html", since)


@covers("setting:spew")
def test_spew_shows_every_line_that_runs(start: Callable[..., Server]) -> None:
    server = start("--spew", ready=0)
    wait_serving(server, "/bytes/3")
    server.wait_log(r"contract:\d+: +return text\(")


@covers("setting:reuse_port")
def test_reuse_port_is_one_listener_for_each_worker(start: Callable[..., Server]) -> None:
    server = start("--reuse-port", "--workers", "2", ready=2)
    port = f":{server.address[1]:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert len([row for row in rows if row[1].endswith(port) and row[3] == "0A"]) == 2
    for _ in range(4):
        assert server.get("/").status == 200


HOOK = """
import os

def pre_exec(server):
    with open("HOME/hooks", "a") as file:
        file.write(f"{os.getpid()} pre_exec {server.pid}\\n")
"""


@covers("signal:USR2:master", "hook:pre_exec", "env:GUNICORN_PID", "env:GUNICORN_FD")
def test_usr2_starts_a_second_master_on_the_same_listeners(start: Callable[..., Server]) -> None:
    server = start("--pid", "HOME/pid", config=HOOK)
    since = server.log_end()
    server.send_signal(signal.SIGUSR2)
    second = int(wait_text(server.home / "pid.2", str.strip, "has the new master's pid"))
    server.wait_ready(1, since)
    try:
        assert server.notes("hooks") == [f"{second} pre_exec {server.master}"]
        server.send_signal(signal.SIGTERM)
        assert server.wait_exit() == 0
        assert server.get("/").status == 200
        wait_text(server.home / "pid", lambda text: text.strip() == str(second), "the new master has its name")
        assert not (server.home / "pid.2").exists()
    finally:
        kill(second, signal.SIGTERM)
        wait_until(lambda: not alive(second), "the new master is gone")
