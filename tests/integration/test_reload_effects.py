"""What is seen of a changed setting after HUP, and that it goes away again with the line in the file.

That all settings follow the table is shown in test_reload_table.py; here are some of each effect, as clients, operators
and `ps` see them.
"""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.client import Cut
from tests.integration.harness import bind_value
from tests.integration.lab import Lab
from tests.integration.masters import command_line, pid_in
from tests.integration.processes import descriptors
from tests.integration.proxy import find_tool
from tests.integration.waiting import wait_until

ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def shared() -> Iterator[Lab]:
    lab = Lab()
    lab.start()
    try:
        yield lab
    finally:
        lab.end()


@pytest.fixture
def lab(shared: Lab) -> Iterator[Lab]:
    """Afterwards the server is as it was started."""
    yield shared
    shared.change()
    assert shared.server.get("/variable/ADDED").text == "not set"


def test_raw_env_comes_and_goes(lab: Lab) -> None:
    def values() -> list[str]:
        return [lab.server.get(f"/variable/{name}").text for name in ("ADDED", "OTHER", "PYTHONUNBUFFERED")]

    assert values() == ["not set", "not set", "1"]
    lab.change("raw_env = ['ADDED=1', 'PYTHONUNBUFFERED=changed']")
    assert values() == ["1", "not set", "changed"]
    lab.change("raw_env = ['OTHER=2']")
    assert values() == ["not set", "2", "1"]


@pytest.mark.skipif(not ROOT, reason="only root can change the user of workers")
def test_user_and_group_come_and_go(lab: Lab) -> None:
    own = f"{os.getuid()} {os.getgid()}"
    assert lab.server.get("/ids").text == own
    lab.change("user = 65534\ngroup = 65534")
    assert lab.server.get("/ids").text == "65534 65534"
    lab.change("group = 65534")
    assert lab.server.get("/ids").text == f"{os.getuid()} 65534"


def test_access_log_comes_changes_and_goes(lab: Lab) -> None:
    access, moved = lab.home / "access", lab.home / "moved"

    def written(path: Path, query: str) -> None:
        lab.server.get(f"/plain?{query}")
        wait_until(lambda: query in path.read_text(), f"{query} is logged")

    lab.change(f"accesslog = '{access}'")
    written(access, "one")
    lab.change(f"accesslog = '{access}'\naccess_log_format = '<%(q)s>'\naccess_log_skip = ['/ids']")
    lab.server.get("/ids?skipped")
    written(access, "two")
    assert access.read_text().splitlines()[-1] == "<two>"
    assert "skipped" not in access.read_text()
    lab.change(f"accesslog = '{moved}'\naccess_log_format = 'json'")
    written(moved, "three")
    assert json.loads(moved.read_text().splitlines()[-1])
    lab.change()
    lab.server.get("/plain?four")
    assert "four" not in access.read_text() + moved.read_text()
    lab.change(f"accesslog = '{access}'")
    written(access, "five")


def test_timeout_comes(lab: Lab) -> None:
    lab.change("timeout = 1")
    since = lab.server.log_end()
    with lab.server.client() as client, pytest.raises(Cut):
        client.get("/sleep/20000")
    lab.server.wait_log("worker timeout", since)
    lab.server.wait_ready(1, since)


def test_rules_of_http_come_and_go(lab: Lab) -> None:
    def answered(line: str) -> int:
        with lab.server.client() as client:
            client.send(f"{line}\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            return client.read_response().status

    requests = [f"GET /plain?{'a' * 100} HTTP/1.1", "longlonglonglonglonglong /plain HTTP/1.1", "GET /plain HTTP/2.3"]
    usual = list(map(answered, requests))
    assert usual[0] == 200
    assert usual[1] >= 400
    assert usual[2] >= 400
    permitted = "permit_unconventional_http_{0} = True\n"
    lab.change("limit_request_line = 60\n" + permitted.format("method") + permitted.format("version"))
    assert list(map(answered, requests)) == [414, 200, 200]
    lab.change()
    assert list(map(answered, requests)) == usual


def test_statsd_comes_and_goes(lab: Lab) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(10)
        lab.change(f"statsd_host = '127.0.0.1:{daemon.getsockname()[1]}'\nstatsd_prefix = 'mine'")
        lab.server.get("/plain")
        while not (heard := daemon.recv(2048)).startswith(b"mine.gunicorn.request"):
            pass
        assert heard
        lab.change()
        daemon.settimeout(0.05)
        while True:
            try:
                daemon.recv(2048)
            except TimeoutError:
                break
        for _ in range(3):
            lab.server.get("/plain")
        with pytest.raises(TimeoutError):
            daemon.recv(2048)


def test_pid_file_moves(lab: Lab) -> None:
    first, second = lab.home / "first.pid", lab.home / "second.pid"
    for given, there, gone in ((first, first, second), (second, second, first), (None, None, second)):
        lab.change("" if given is None else f"pidfile = '{given}'")
        assert there is None or pid_in(there) == lab.server.master
        assert not gone.exists()
    second.mkdir()
    lab.change(f"pidfile = '{first}'")
    since = lab.change(f"pidfile = '{second}'")
    lab.server.wait_log("the former pid file is kept", since)
    assert pid_in(first) == lab.server.master
    second.rmdir()


def test_names_of_the_processes_change(lab: Lab) -> None:
    lab.change("proc_name = 'renamed'")
    (worker,) = lab.server.worker_pids()
    assert command_line(lab.server.master) == "gunicorn: master [renamed]"
    wait_until(lambda: command_line(worker) == "gunicorn: worker [renamed]", "the worker has its title")
    lab.change("default_proc_name = 'usual'")
    assert command_line(lab.server.master) == "gunicorn: master [usual]"


def test_error_log_changes_its_level_shape_and_file(lab: Lab) -> None:
    moved = lab.home / "errors.json"
    since = lab.change("loglevel = 'debug'")
    lab.server.send_signal(signal.SIGWINCH)
    lab.server.wait_log("WINCH ignored", since)
    since = lab.change(f"errorlog = '{moved}'\nerror_log_json = True")
    wait_until(lambda: "reload complete" in moved.read_text(), "the reload is told there")
    assert all(json.loads(line) for line in moved.read_text().splitlines())
    lab.server.send_signal(signal.SIGWINCH)  # a debug line no more
    assert lab.server.get("/raise-before").status == 500
    wait_until(lambda: "raised before start_response" in moved.read_text(), "the worker writes there")
    assert "raised before start_response" not in lab.server.log(since)
    assert "WINCH ignored" not in moved.read_text()
    since = lab.change()
    lab.server.wait_log("reload complete", since)
    end = moved.stat().st_size
    assert lab.server.get("/raise-before").status == 500
    lab.server.wait_log("raised before start_response", since)
    assert moved.stat().st_size == end
    moved.unlink()


def test_output_of_the_application_is_captured_and_let_go(lab: Lab) -> None:
    moved = lab.home / "captured"
    since = lab.change(f"errorlog = '{moved}'\ncapture_output = True")
    lab.server.get("/print")
    wait_until(lambda: "printed by the application" in moved.read_text(), "it is in the error log")
    assert "printed by the application" not in lab.server.log(since)
    since = lab.change()
    lab.server.get("/print")
    lab.server.wait_log("printed by the application", since)
    moved.unlink()


HOOKS = """
def _told(text):
    with open("HOME/told", "a") as file:
        file.write(text + "\\n")

def on_reload(server):
    _told("{0} on_reload")

def nworkers_changed(server, new_value, old_value):
    _told(f"{0} {{old_value}} {{new_value}}")
"""


def test_hooks_of_the_master_are_those_of_the_new_file(lab: Lab) -> None:
    lab.change(HOOKS.format("first"))
    assert lab.server.notes("told") == ["first on_reload"]
    lab.change(HOOKS.format("second") + "workers = 2\n")
    wait_until(lambda: len(lab.server.notes("told")) == 3, "both hooks are called")
    assert sorted(lab.server.notes("told")[1:]) == ["second 1 2", "second on_reload"]
    lab.change()
    assert len(lab.server.notes("told")) == 3


def test_backlog_of_a_listener_changes(lab: Lab) -> None:
    assert not isinstance(lab.server.address, str)

    def backlog() -> str:
        port = f"sport = :{lab.server.address[1]}"
        command = [find_tool("ss"), "-ltnH", port]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[2]

    lab.change("backlog = 77")
    assert backlog() == "77"
    lab.change("backlog = 99")
    assert backlog() == "99"


def test_descriptors_do_not_grow_by_reloads(lab: Lab) -> None:
    """Logs, StatsD, sockets and the pid file come and go; their descriptors too."""

    lines = [f"accesslog = '{lab.home}/access'", f"pidfile = '{lab.home}/first.pid'", "statsd_host = '127.0.0.1:9'"]
    more = [f"bind = ['{bind_value(lab.server.address)}', 'unix:{lab.home}/more']", "loglevel = 'debug'"]
    lab.change()
    first = descriptors(lab.server.master)
    for _ in range(3):
        lab.change("\n".join(lines + more))
        lab.server.get("/plain")
        lab.change()
    wait_until(lambda: descriptors(lab.server.master) <= first, "the descriptors are as many as before")
