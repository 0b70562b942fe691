"""Reloads, recycles and stops: no client of any kind loses a request, and the hooks are told in their order.

One server a kind, and its tests follow one another: the last one stops it.
"""

import re
import signal
from collections.abc import Iterator

import pytest

from tests.contract.kinds import KINDS, KindServer, serving
from tests.integration.client import request_bytes
from tests.integration.inflight import InFlight
from tests.integration.load import Load
from tests.integration.processes import kill
from tests.integration.waiting import wait_until

WORKERS = 2
CANARY_S = 1.5  # pages are looked at about once a second
HOOKS = """
import os
def note(text):
    fd = os.open(os.path.join(os.environ["CONTRACT_DIR"], "hooks"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(fd, f"{os.getpid()} {text}\\n".encode())
    os.close(fd)
def on_starting(server): note("on_starting")
def on_reload(server): note("on_reload")
def when_ready(server): note("when_ready")
def pre_fork(server, worker): note(f"pre_fork {worker.age}")
def post_fork(server, worker): note(f"post_fork {worker.age} {worker.pid == os.getpid()} {server.pid == os.getppid()}")
def post_worker_init(worker): note(f"post_worker_init {worker.age}")
def pre_request(worker, req): note(f"pre_request {req.method} {req.path}") if req.query == "hooks" else None
def post_request(worker, req, environ, resp):
    if req.query == "hooks":
        note(f"post_request {environ['PATH_INFO']} {resp.status} {worker.pid == os.getpid()}")
def worker_exit(server, worker): note(f"worker_exit {worker.age}")
def child_exit(server, worker): note(f"child_exit {worker.age}")
def on_exit(server): note("on_exit")
"""


@pytest.fixture(scope="module", params=KINDS, ids=str)
def server(request: pytest.FixtureRequest) -> Iterator[KindServer]:
    with serving(KindServer, request.param, workers=WORKERS, config=HOOKS, stops=False) as server:
        yield server


def change(server: KindServer, setting: str) -> None:
    """Reload with one more setting, and wait until that is complete."""
    with (server.home / "ostler.conf.py").open("a") as file:
        file.write(f"{setting}\n")
    since = server.log_end()
    server.send_signal(signal.SIGHUP)
    server.wait_log("reload complete", since, deadline_s=20)
    wait_until(lambda: len(server.worker_pids()) == WORKERS, "the former workers are gone")


def load_of(server: KindServer) -> Load:
    """Some requests take a while, so that some are in flight whenever something happens."""
    return Load(server.address, clients=6, target=lambda number: "/sleep/20" if number % 5 == 0 else "/pid")


def hooks_of(server: KindServer, pid: int) -> list[str]:
    return [
        text for noted_by, text in (line.split(maxsplit=1) for line in server.notes("hooks")) if int(noted_by) == pid
    ]


def test_hooks_are_called_in_their_process_in_order(server: KindServer) -> None:
    master = server.master
    with server.client() as client:
        pid = int(client.get("/pid?hooks").text)
        assert client.request("POST", "/echo?hooks", body=b"x").status == 200
        assert client.get("/raise-before?hooks").status == 500
    wait_until(lambda: len(hooks_of(server, pid)) >= 8, "the hooks of the requests are called")
    noted = hooks_of(server, pid)
    age = noted[0].split()[1]
    assert noted == [
        f"post_fork {age} True True",
        f"post_worker_init {age}",
        "pre_request GET /pid",
        "post_request /pid 200 OK True",
        "pre_request POST /echo",
        "post_request /echo 200 OK True",
        "pre_request GET /raise-before",
        "post_request /raise-before 500 Internal Server Error True",
    ]
    assert sorted(hooks_of(server, master)) == sorted(["on_starting", "when_ready", "pre_fork 1", "pre_fork 2"])
    before = server.worker_pids()
    since = server.log_end()
    kill(pid, signal.SIGTERM)  # as an operator may do: it retires, and is replaced
    server.wait_ready(1, since)
    wait_until(lambda: pid not in server.worker_pids(), "it is gone")
    assert len(set(before) & set(server.worker_pids())) == WORKERS - 1
    wait_until(lambda: f"child_exit {age}" in hooks_of(server, master), "the master has buried it")
    assert hooks_of(server, pid)[-1] == f"worker_exit {age}"


def test_reloads_lose_no_request(server: KindServer) -> None:
    """Nor what the reload counts of it: a canary's requests come from the scoreboard."""
    first = set(server.worker_pids())
    with load_of(server) as load, Load(server.address, clients=2, keep_alive=False) as short:
        load.wait_for(20)
        change(server, f"reload_canary = {CANARY_S}")
        change(server, "reload_canary = 0")
        load.wait_for(20)
    load.tally.assert_nothing_failed()
    short.tally.assert_nothing_failed()
    assert not first & set(server.worker_pids())
    assert hooks_of(server, server.master).count("on_reload") == 2
    (*_, seen) = server.wait_log(r"canary .*?\brequests=(\d+) 5xx=0 .*?\bothers_requests=(\d+) others_5xx=0")
    assert min(map(int, seen.groups())) > 0


def test_broken_code_is_never_served(server: KindServer) -> None:
    before = server.worker_pids()
    config = server.home / "ostler.conf.py"
    kept = config.read_text()
    config.write_text(f"{kept}wsgi_app = 'no_such_module:application'\n")
    since = server.log_end()
    with load_of(server) as load:
        server.send_signal(signal.SIGHUP)
        server.wait_log("reload failed", since)
        load.wait_for(20)
    config.write_text(kept)
    load.tally.assert_nothing_failed()
    assert server.worker_pids() == before


def test_recycling_by_requests_loses_none(server: KindServer) -> None:
    """Connections go on in others, with what is pipelined on them."""
    change(server, "max_requests = 40; max_requests_jitter = 10")
    since = server.log_end()
    clients = [server.client() for _ in range(3)]
    with load_of(server) as load:
        while len(re.findall("asks to be replaced .*reason=max_requests", server.log(since))) < 3:
            for client in clients:
                client.send(request_bytes("GET", "/pid") * 4)
            for client in clients:
                for _ in range(4):
                    response = client.read_response()
                    assert (response.status, response.closes) == (200, False)
        load.wait_for(20)
    for client in clients:
        client.close()
    load.tally.assert_nothing_failed()
    change(server, "max_requests = 0")


def test_stop_answers_everything_that_has_come(server: KindServer) -> None:
    """Requests that run, bodies half sent, pipelines; idle clients do not hold it up. The exit hooks are called."""
    workers = server.worker_pids()
    idle = [server.client() for _ in range(5)]
    half = server.client()
    pipelines = [server.client() for _ in range(3)]
    for client in (*idle, half, *pipelines):
        assert client.get("/").status == 200
    half.send(request_bytes("POST", "/echo", [("Content-Length", "10")]) + b"01234")
    running = [InFlight(server, 600) for _ in range(2)]
    for client in pipelines:
        client.send(request_bytes("GET", "/sleep/15") * 8)
    server.send_signal(signal.SIGTERM)
    half.send(b"56789")
    for client in pipelines:
        assert [client.read_response().status for _ in range(8)] == [200] * 8
    assert half.read_response().body == b"0123456789"
    assert [one.join().text for one in running] == ["slept 600"] * 2
    for client in idle:
        assert client.at_end()
    assert server.wait_exit() == 0
    for pid in workers:
        assert hooks_of(server, pid)[-1].startswith("worker_exit ")
    assert hooks_of(server, server.master)[-1] == "on_exit"
    for client in (*idle, half, *pipelines):
        client.close()
