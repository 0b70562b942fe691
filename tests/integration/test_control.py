"""The operator's commands on one server: what they show, what they do, also while all of its workers hang."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ostler.config.settings import Settings
from ostler.control.client import ControlError
from ostler.control.running import is_master
from ostler.control.subcommands import Run
from tests.integration.client import Client
from tests.integration.harness import Server
from tests.integration.masters import Masters, masters
from tests.integration.processes import kill
from tests.integration.shared import running
from tests.integration.waiting import wait_until

__all__ = ["masters"]

APP = """
import ctypes, logging, os, time

if os.path.exists(os.path.join(os.environ["CONTRACT_DIR"], "gate")):
    time.sleep(60)
if os.path.exists(os.path.join(os.environ["CONTRACT_DIR"], "broken")):
    raise RuntimeError("broken on purpose")

def begun(path):
    with open(os.path.join(os.environ["CONTRACT_DIR"], "begun"), "a") as file:
        file.write(path + "\\n")

def wait_here():
    time.sleep(60)

def hang_in_c():
    ctypes.PyDLL(None).sleep(60)

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path in ("/wait", "/c"):
        begun(path)
        (wait_here if path == "/wait" else hang_in_c)()
    if path == "/a":
        time.sleep(0.1)
    if path == "/log":
        logging.getLogger("gunicorn.error").debug("a word of worker %d", os.getpid())
    start_response("500 No" if path == "/bad" else "200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


class Operator:
    """Who types commands for one server."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def run(self, *words: str) -> tuple[int, str, str]:
        """Exit status, stdout, stderr; XDG_RUNTIME_DIR is the server's."""
        done = subprocess.run(
            [sys.executable, "-m", "ostler", *words],
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
            cwd=self.server.home,
            env={**os.environ, "XDG_RUNTIME_DIR": str(self.server.runtime), "COLUMNS": "80"},
        )
        return done.returncode, done.stdout, done.stderr

    def told(self, name: str, *words: str) -> dict[str, Any]:
        """What --json prints; asked from within this process, of the control socket unless `words` say another one."""
        out: list[str] = []
        targets = words if any(word in ("-s", str(self.server.master)) for word in words) else (*words, *self.socket)
        assert Run(name, out.append, out.append, None).run([*targets, "--json"], lambda words: Settings.defaults()) == 0
        found: dict[str, Any] = json.loads("".join(out))
        return found

    @property
    def socket(self) -> tuple[str, str]:
        return "-s", str(self.server.control_socket)

    def refused(self, name: str, *words: str) -> str:
        with pytest.raises(ControlError) as caught:
            self.told(name, *words)
        return str(caught.value)

    def hold(self, path: str) -> Client:
        """A request that the application has, and does not end."""
        before = len(self.server.notes("begun"))
        client = self.server.client()
        client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        wait_until(lambda: len(self.server.notes("begun")) > before, "the application has it")
        return client

    def busy(self) -> int:
        """Workers without a free thread. One that is asked in the first milliseconds of a call still shows as idle."""
        return [each["state"] for each in self.told("workers")["workers"]].count("busy")

    def done(self, *words: str) -> str:
        status, out, err = self.run(*words)
        assert (status, err) == (0, ""), out
        return out


class ControlServer(Server):
    """With the application of this file."""

    def __init__(self, transport: str = "tcp") -> None:
        super().__init__(transport)
        (self.home / "app.py").write_text(APP)


@pytest.fixture(scope="module")
def operator() -> Iterator[Operator]:
    """Of two workers, with a pid file."""
    config = "pidfile = 'HOME/server.pid'\ntimeout = 60\nmask_query = True\ngraceful_timeout = 1\n"
    with running(ControlServer, kind="sync", workers=2, config=config, app="app:application") as server:
        yield Operator(server)


def test_status_and_workers_and_slow_show_what_is_served(operator: Operator) -> None:
    server = operator.server
    assert [server.get(path).status for path in ("/", "/bad", "/a?token=secret")] == [200, 500, 200]
    with operator.hold("/wait?token=secret"):
        wait_until(operator.busy, "its standby leads")
        found = operator.told("status")
        assert (found["state"], found["pid"], found["application"]) == ("serving", server.master, "app:application")
        assert (found["workers"]["goal"], found["workers"]["ready"]) == (2, 2)
        assert (found["requests"], found["errors"], found["in_flight"]) == (3, 1, 1)
        assert found["control_socket"] == str(server.control_socket)
        [listener] = found["listeners"]
        assert listener["address"].endswith(f":{server.address[1]}")
        assert listener["backlog"] > 0
        workers = operator.told("workers")["workers"]
        assert sorted(each["pid"] for each in workers) == sorted(server.worker_pids())
        [busy] = [each for each in workers if each["in_flight"]]
        assert (busy["state"], busy["longest"]["request"]) == ("busy", "GET /wait?***")
        assert all(each["pss"] and each["rss"] and each["cpu_s"] is not None for each in workers)
        slow = operator.told("slow")
        assert [each["request"] for each in slow["in_flight"]] == ["GET /wait?***"]
        seen = {(each["request"], each["status"]) for each in slow["finished"]}
        assert ("GET /a?***", 200) in seen
        assert "2 of 2 ready: 1 busy, 1 idle" in operator.done("status")
        assert "GET /wait?***" in operator.done("workers")
        assert "GET /a?***" in operator.done("slow")
        since = server.log_end()
        kill(busy["pid"], signal.SIGKILL)
        server.wait_log("worker ready", since)
    found = operator.told("status")
    assert found["requests"] == 3, "what the dead one has done is counted"
    assert re.search(r"worker died .*/wait\?\*\*\*", found["incidents"][0]["text"])


def test_stacks_show_where_each_worker_is_though_all_of_them_hang(operator: Operator) -> None:
    server = operator.server
    since = server.log_end()
    with operator.hold("/wait"), operator.hold("/c"):
        found = operator.told("stacks")["processes"]
        texts = "\n".join(each["stacks"] for each in found)
        assert [each["answered"] for each in found] == [True, True]
        assert " in wait_here\n" in texts
        assert " in hang_in_c\n" in texts, "also while C code holds the GIL"
        pid = next(each["pid"] for each in found if "hang_in_c" in each["stacks"])
        kill(pid, signal.SIGSTOP)
        silent = operator.done("stacks", str(pid))
        kill(pid, signal.SIGCONT)
        assert re.match(rf"== worker slot=\d gen=\d pid={pid} ready\n", silent)
        assert "no stacks came: state T" in silent
        assert "SIGCONT" in silent
        assert operator.told("status")["workers"]["ready"] == 2
        for each in found:
            kill(each["pid"], signal.SIGKILL)
        server.wait_log("worker ready", since, count=2)
    assert "wait_here" not in server.log(since), "stacks that were asked for are no last words"
    assert "process 1 is no worker" in operator.refused("stacks", "1")


def test_a_worker_that_boots_survives_the_question_for_its_stacks(operator: Operator) -> None:
    server = operator.server
    gate = server.home / "gate"
    gate.touch()
    try:
        since = server.log_end()
        kill(server.worker_pids()[0], signal.SIGKILL)
        booting = int(server.wait_log(r"worker booting .*?pid=(\d+)", since)[0][1])
        operator.told("stacks")
        found = {each["pid"]: each for each in operator.told("stacks")["processes"]}
        assert " in <module>" in found[booting]["stacks"], "it sleeps in its import"
        assert {each["pid"]: each["state"] for each in operator.told("workers")["workers"]}[booting] == "booting"
        gate.unlink()
        kill(booting, signal.SIGKILL)
        server.wait_log("worker ready", since)
    finally:
        gate.unlink(missing_ok=True)


def test_scale_waits_until_so_many_serve(operator: Operator) -> None:
    server = operator.server
    shown = operator.done("scale", "4").splitlines()
    assert shown[-1] == "scale complete: 4 workers serve"
    assert sum(line.startswith("worker ready") for line in shown) == 2
    assert len(server.worker_pids()) == 4
    assert operator.refused("scale", "100000").startswith("scale: refused, 4 workers it stays: ")
    (server.home / "broken").touch()
    refusal = operator.refused("scale", "5")
    (server.home / "broken").unlink()
    assert "workers do not start, 4 of 5 serve" in refusal
    assert "RuntimeError: broken on purpose" in refusal
    assert operator.told("scale", "2")["text"] == "scale complete: 2 workers serve"
    wait_until(lambda: len(server.worker_pids()) == 2, "the others left")
    assert operator.run("scale", "none")[0] == 2


def test_the_log_level_is_changed_everywhere_until_the_next_reload(operator: Operator) -> None:
    server = operator.server

    def says_debug() -> bool:
        since = server.log_end()
        assert server.get("/log").status == 200
        return "a word of worker" in server.log(since)

    assert not says_debug()
    assert operator.done("log-level", "DEBUG", str(server.master)) == "log level is debug until the next reload\n"
    wait_until(says_debug, "the order has come")
    since = server.log_end()
    for pid in server.worker_pids():
        kill(pid, signal.SIGKILL)
    server.wait_log("worker ready", since, count=2)
    assert says_debug(), "those that came later, too"
    operator.done("reload", "--pid", "server.pid")
    assert not says_debug()


@pytest.mark.parametrize("words", [["-c", "ostler.conf.py"], []], ids=["arguments", "nothing"])
def test_the_ways_to_say_which_server(operator: Operator, words: list[str]) -> None:
    assert f"pid {operator.server.master}," in operator.done("status", *words)


def test_a_master_that_is_stopped_is_told(operator: Operator) -> None:
    kill(operator.server.master, signal.SIGSTOP)
    try:
        refusal = operator.refused("status", "--timeout", "0.3")
    finally:
        kill(operator.server.master, signal.SIGCONT)
    assert "has not answered, and does it when it runs again" in refusal


# -- servers of their own


@pytest.fixture
def begin(make_server: Callable[..., Server]) -> Callable[..., Operator]:
    def start(*options: str) -> Operator:
        server = make_server()
        (server.home / "app.py").write_text(APP)
        server.start("app:application", workers=1, options=options)
        server.wait_ready(1)
        return Operator(server)

    return start


def test_stop_waits_until_the_master_is_gone(begin: Callable[..., Operator]) -> None:
    operator = begin("--control-socket", "/proc/none/x.ctl", "--graceful-timeout", "30")
    server = operator.server
    master = str(server.master)
    [line] = server.wait_log(r"\[WARNING\] no control socket; .*")
    assert "control_socket: cannot listen on unix:/proc/none/x.ctl: no such file or directory; create its d" in line[0]
    with operator.hold("/wait"):
        refusal = operator.refused("stop", master, "--timeout", "0.2")
        assert refusal == f"stop: not done within --timeout; the master {master} goes on with it"
        assert operator.told("status", master)["state"] == "stopping"
        assert operator.refused("scale", "3", master) == "scale refused: the server stops"
        assert operator.done("stop", "--quick", master).splitlines()[-1] == "stopped"
        assert server.wait_exit(0.5) == 0
    assert operator.run("status", master)[::2] == (1, f"Error: status: there is no process {master}\n")


def test_the_control_socket_is_handed_over_at_an_upgrade(begin: Callable[..., Operator], masters: Masters) -> None:
    operator = begin()
    old = operator.server.master
    new = masters.upgrade(operator.server)
    assert operator.told("status")["pid"] == old, "the old one still has it"
    assert operator.told("status")["new_master"] == new
    masters.end(old)
    operator.server.wait_log("promoted")
    wait_until(lambda: is_master(str(operator.server.control_socket)), "the new one has it")
    assert operator.told("status")["pid"] == new
