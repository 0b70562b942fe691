"""`request_timeout` where it is difficult: calls that end at that very moment, and workers that cannot act.

What every kind promises is in tests/contract/test_request_timeout.py.
"""

import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.integration.client import Client, Cut, request_bytes
from tests.integration.harness import Server
from tests.integration.waiting import wait_until

RACING = """
import threading
import time

lock = threading.Lock()

def spin(until):
    while time.monotonic() < until:
        sum(range(50))

def block(until):
    spin(until)
    yield b"ok"

def application(environ, start_response):
    how, seconds = environ["QUERY_STRING"].split(",")
    until = time.monotonic() + float(seconds)
    if how == "sleep":
        time.sleep(float(seconds))
    elif how == "spin":
        spin(until)
    elif how == "ours":  # most of the time is spent in the server's own code
        while time.monotonic() < until:
            environ["wsgi.input"].read(1)
    elif how == "locked":  # who is interrupted between the first two lines would have it for ever
        while time.monotonic() < until:
            lock.acquire()
            try:
                sum(range(300))
            finally:
                lock.release()
    start_response("200 OK", [])
    return block(until) if how == "late" else [b"ok"]
"""
RACE_S = 0.03
RACES = 78


class Racer:
    """One client: its requests end about when their time is up, and each is answered once."""

    def __init__(self, server: Server, seed: int, races: int) -> None:
        self.server = server
        self.random = random.Random(seed)
        self.races = races
        self.told: Counter[int] = Counter()
        self.faults: list[str] = []
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        client: Client | None = None
        for _ in range(self.races):
            how = self.random.choice(["sleep", "spin", "ours", "late", "locked", "locked"])
            seconds = max(0.0, self.random.gauss(RACE_S, 0.001)) if self.random.random() < 0.75 else 0.0
            if how == "locked":
                seconds *= 2
            client = client or self.server.client()
            client.send(request_bytes("GET", f"/?{how},{seconds:.6f}"))
            try:
                response = client.read_response()
            except Cut as cut:
                if how != "late":  # which may have begun to speak, and then its connection is broken off
                    self.faults.append(f"{how} {seconds}: {cut}")
                self.told[504] += 1
                client.close()
                client = None
                continue
            self.told[response.status] += 1
            if (response.status, response.body) not in ((200, b"ok"), (504, b"504 Gateway Timeout\n")):
                self.faults.append(f"{how} {seconds}: {response.status} {response.body!r}")
            if response.closes:
                client.close()
                client = None
        if client is not None:
            client.close()


@pytest.mark.parametrize(("kind", "threads", "racers"), [("sync", 1, 1), ("gthread", 6, 3)])
def test_calls_that_end_at_the_deadline_are_answered_once_and_hurt_nobody_else(
    make_server: Callable[..., Server], kind: str, threads: int, racers: int
) -> None:
    server = make_server()
    (server.home / "racing.py").write_text(RACING)
    access = server.home / "access"
    options = ["--request-timeout", str(RACE_S), "--request-timeout-hard", "10", "--access-logfile", str(access)]
    server.start("racing:application", kind=kind, workers=1, options=options, threads=threads)
    server.wait_ready()
    running = [Racer(server, seed, RACES // racers) for seed in range(racers)]
    for racer in running:
        racer.thread.join(60)
    told = sum((racer.told for racer in running), Counter[int]())
    assert [fault for racer in running for fault in racer.faults] == []
    assert told.total() == RACES
    assert min(told[200], told[504]) > 0
    # The last one of each client may be told a moment later.
    wait_until(lambda: access.read_text().count("\n") == RACES, "each is in the access log once")
    log = server.log()
    assert "Traceback" not in log, log
    assert "asks to be replaced" not in log, log
    assert server.get("/?locked,0.001").body == b"ok"


def test_a_worker_that_cannot_act_is_shown_and_then_ended_by_the_master(make_server: Callable[..., Server]) -> None:
    """C code holds the GIL: no thread of the worker runs. `timeout` is far away."""
    server = make_server()
    options = ["--request-timeout", "0.1", "--request-timeout-hard", "1.2", "--timeout", "60"]
    server.start("contract:application", kind="gthread", workers=1, options=options)
    (worker,) = server.wait_ready()
    since = server.log_end()
    with server.client() as client:
        client.send(request_bytes("GET", "/hold-gil"))
        server.wait_log(r"request timeout, and its worker cannot act .*request=\"GET /hold-gil\".* in hold_gil", since)
        assert server.worker_pids() == [worker]
        with pytest.raises(Cut):
            client.read_response()
    server.wait_log(rf"worker died .*pid={worker} cause=\"killed by master: request timeout\"", since)
    server.wait_ready(1, since)
    log = server.log(since)
    assert log.count("request timeout, and its worker cannot act") == 1, log
    assert "request timeout, and its worker could not act" in log
    assert server.get("/").status == 200


def test_a_sync_worker_whose_main_thread_does_not_come_back_leaves_without_it(
    serve: Callable[..., Server],
) -> None:
    """And others of its connections are served by its successor. Other paths have other deadlines."""
    options = ["--request-timeout", "0.2", "--request-timeout-hard", "0.4", "--access-logfile", "-"]
    server = serve(workers=1, options=options, config='request_timeout_paths = {"/sleep": 0}')
    (worker,) = server.worker_pids()
    since = server.log_end()
    with server.client() as kept:
        assert kept.get("/sleep/300").status == 200
        assert server.get("/stubborn/30000").status == 504
        assert kept.get("/pid").text != str(worker)
    server.wait_log(rf"worker exited .*pid={worker} ", since)
    assert re.findall(r'"GET /stubborn/30000 HTTP/1.1" (\d+)', server.log(since)) == ["504"]


WEBSOCKETS = """
import asyncio

async def application(scope, receive, send):
    assert scope["type"] == "websocket"
    await receive()
    if scope["path"] == "/slow":
        await asyncio.sleep(20)
    await send({"type": "websocket.accept"})
    await asyncio.sleep(0.3)
    await send({"type": "websocket.send", "text": "still here"})
    await send({"type": "websocket.close"})
"""
HANDSHAKE = [
    *(("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
]


def test_a_websocket_has_a_deadline_until_it_is_accepted(serve: Callable[..., Server]) -> None:
    options = ["--request-timeout", "0.2", "--asgi-lifespan", "off"]
    server = serve("chat:application", kind="asgi", workers=1, options=options, files={"chat.py": WEBSOCKETS})
    with server.client() as client:
        client.send(request_bytes("GET", "/", HANDSHAKE))
        assert client.read_head().status == 101
        while b"still here" not in client.buffer:
            assert client.fill()
    with server.client() as client:
        client.send(request_bytes("GET", "/slow", HANDSHAKE))
        assert client.read_response().status == 504
    server.wait_log(r'request timeout: .*request="GET /slow"')
    assert "Traceback" not in server.log()


def test_a_worker_all_of_whose_threads_wait_is_shown_and_then_replaced(make_server: Callable[..., Server]) -> None:
    """It lives, and serves nobody. Its long polls may end."""
    server = make_server()
    options = ["--timeout", "1", "--graceful-timeout", "20"]
    server.start("contract:application", kind="gthread", workers=1, threads=2, options=options)
    (worker,) = server.wait_ready()
    since = server.log_end()
    polls = [server.client() for _ in range(2)]
    for poll in polls:
        poll.send(request_bytes("GET", "/sleep/4300"))
    wait_until(lambda: len(server.notes("sleeping")) == 2, "all threads are in use")
    began = time.monotonic()
    assert server.get("/").status == 200
    assert 2.0 <= time.monotonic() - began < 5.0
    log = server.log(since)
    assert re.search(r'serves nobody: all its threads are busy .*request="GET /sleep/4300".* in sleep', log), log
    assert f"worker serves nobody, it is to be replaced slot=0 gen=1 pid={worker}" in log
    for poll in polls:
        assert poll.read_response().text == "slept 4300"
        poll.close()
    server.wait_log(rf"worker exited .*pid={worker} ", since)
    assert "Killed" not in server.log(since)
