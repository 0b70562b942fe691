"""`request_timeout` in every kind: the client is told in time, the log says where it was, and the worker lives.

One server a kind, and its tests follow one another: the last one has its worker replaced. The worker that cannot act by
itself (C code holds the GIL) is in tests/integration/test_request_timeout.py, races at the deadline too.
"""

import re
import time
from collections.abc import Iterator

import pytest

from tests.contract.kinds import KINDS, KindServer, serving
from tests.integration.client import Cut, request_bytes
from tests.integration.waiting import wait_until

SOFT_S = 0.2
HARD_S = 0.6
LATE_S = 3.0  # a busy machine's
CONFIG = f"""
request_timeout = {SOFT_S}
request_timeout_hard = {HARD_S}
request_timeout_paths = {{"/stubborn/": {SOFT_S}, "/pid": 0}}
accesslog = "HOME/access"
statsd_host = None
import os
def post_request(worker, req, environ, resp):
    with open("HOME/ended", "a") as file:
        file.write(f"{{req.path}} {{resp.status}}\\n")
"""


@pytest.fixture(scope="module", params=KINDS, ids=str)
def server(request: pytest.FixtureRequest) -> Iterator[KindServer]:
    with serving(KindServer, request.param, config=CONFIG, options=["--graceful-timeout", "5"]) as server:
        yield server


def ended(server: KindServer, path: str) -> list[str]:
    """With which statuses the hook was told of requests for `path`."""
    file = server.home / "ended"
    lines = file.read_text().splitlines() if file.exists() else []
    return [line.split(maxsplit=1)[1] for line in lines if line.split()[0] == path]


def test_a_call_that_takes_too_long_is_answered_with_504_and_the_worker_lives(server: KindServer) -> None:
    (worker,) = server.worker_pids()
    began, since = time.monotonic(), server.log_end()
    # A sleep in a thread is not interrupted; what follows it is.
    path = "/sleep/550" if server.kind.name == "gthread" else "/sleep/2500"
    with server.client() as client:
        client.send(request_bytes("GET", f"{path}?why=contract"))
        response = client.read_response()
        took_s = time.monotonic() - began
        assert (response.status, response.closes, response.text) == (504, True, "504 Gateway Timeout\n")
        assert client.at_end()
    assert SOFT_S * 0.9 <= took_s <= SOFT_S + LATE_S
    (said,) = server.wait_log(rf"request timeout: .*request=\"GET {path}\?why=contract\".*", since)
    line = said.group()
    assert "answer=504" in line
    assert re.search(r'at="\S*contract\w*\.py:\d+ in sleep"', line), line
    assert "cause=" in line
    assert "cure=" in line
    wait_until(lambda: ended(server, path) == ["504 Gateway Timeout"], "its end is told once")
    access = (server.home / "access").read_text()
    assert len(re.findall(rf'"GET {path}\S* HTTP/1.1" 504 20 ', access)) == 1
    assert server.get("/").status == 200
    assert server.worker_pids() == [worker]


def test_a_call_in_python_code_is_ended(server: KindServer) -> None:
    """Where an exception can reach it: in a kind with threads at any bytecode, elsewhere where it waits."""
    since = server.log_end()
    target = "/sleep/2400" if server.kind.on_a_loop else "/cpu/30000"
    assert server.get(target).status == 504
    wait_until(lambda: ended(server, target) == ["504 Gateway Timeout"], "it is ended", 5.0)
    log = server.log(since)
    assert "Traceback" not in log, log
    assert f'hard timeout, the worker is to be replaced request="GET {target}' not in log, log


def test_a_response_that_has_begun_is_broken_off(server: KindServer) -> None:
    with server.client() as client:
        client.send(request_bytes("GET", "/chunked/40/30?name=cut"))
        assert client.read_head().status == 200
        with pytest.raises(Cut):
            client.read_chunks()
    wait_until(lambda: server.notes("closed").count("cut") == 1, "close() is called once")
    wait_until(lambda: ended(server, "/chunked/40/30") == ["200 OK"], "its end is told once")
    assert server.get("/").status == 200


def test_the_budget_can_be_read_and_extended(server: KindServer) -> None:
    left = int(server.get("/budget").text.split()[0])
    assert 0 < left <= SOFT_S * 1000
    response = server.get("/budget/3000/250")
    assert response.status == 200
    assert 0 < int(response.text.split()[0]) <= 2750


def test_the_time_before_it_came_can_be_read_where_a_proxy_tells_it(server: KindServer) -> None:
    assert server.get("/budget").text.split()[1] == "None"
    with server.client() as client:
        for value in (f"t={time.time() - 2:.3f}", f"{(time.time() - 2) * 1000:.0f}"):
            response = client.request("GET", "/budget", [("X-Request-Start", value)])
            assert 1990 <= int(response.text.split()[1]) <= 2000 + LATE_S * 1000
        assert client.request("GET", "/budget", [("X-Request-Start", "t=yesterday")]).text.split()[1] == "None"


def test_a_worker_is_replaced_whose_call_outlives_the_hard_deadline(server: KindServer) -> None:
    """And a call that does not end does not hold it up."""
    (worker,) = server.worker_pids()
    since = server.log_end()
    assert server.get("/stubborn/20000").status == 504
    server.wait_log(r"asks to be replaced .*reason=request_timeout request=\"GET /stubborn/20000\"", since)
    server.wait_ready(1, since)
    began = time.monotonic()
    server.wait_log(rf"worker exited .*pid={worker} ", since)
    assert time.monotonic() - began < LATE_S
    assert server.get("/").status == 200
    assert worker not in server.worker_pids()
    assert ended(server, "/stubborn/20000") == ["504 Gateway Timeout"]
    raised = server.notes("raised")
    # The end of a loop cancels whatever is left, once more.
    told = {"CancelledError"} if server.kind.name in ("asgi", "tornado") else {"RequestTimeout"}
    assert set(raised) == told, raised
    assert len(raised) <= 2 if server.kind.on_a_loop else 1, raised
