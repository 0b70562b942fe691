"""Workers that are replaced for what they have done, their age and their memory: no client notices."""

import time
from collections.abc import Callable

from tests.integration.client import request_bytes
from tests.integration.harness import Server
from tests.integration.load import Load

GROWING = """
import os, threading
kept = []

def application(environ, start_response):
    if environ["PATH_INFO"] == "/grow":
        kept.append(bytearray(os.urandom(1) * (200 << 20)))
    if environ["PATH_INFO"] == "/busy":
        threading.Event().wait(2.2)
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""


def test_age_and_memory_replace_a_worker_also_while_it_is_busy(serve: Callable[..., Server], kind: str) -> None:
    options = ["--max-worker-memory", "150M", "--max-worker-memory-jitter", "0", "--pythonpath", "."]
    server = serve("growing:application", kind=kind, workers=1, options=options, files={"growing.py": GROWING})
    (first,) = server.wait_ready()
    with Load(server.address, clients=4, target="/") as load:
        load.wait_for(20)
        assert server.get("/grow").status == 200
        measured = r"rss_mb=2\d\d limit_mb=150"
        server.wait_log(rf"asks to be replaced slot=0 gen=1 pid={first} reason=max_worker_memory {measured}")
        server.wait_log(rf"worker exited slot=0 gen=1 pid={first}")
        load.wait_for(20)
    load.tally.assert_nothing_failed()


def test_a_busy_worker_is_replaced_for_its_age(serve: Callable[..., Server]) -> None:
    options = ["--max-worker-age", "1", "--max-worker-age-jitter", "0", "--pythonpath", "."]
    server = serve("growing:application", workers=1, options=options, files={"growing.py": GROWING})
    (first,) = server.wait_ready()
    busy = server.client()
    busy.send(request_bytes("GET", "/busy"))
    server.wait_log(rf"asks to be replaced slot=0 gen=1 pid={first} reason=max_worker_age age_s=\d limit_s=1")
    server.wait_ready(2)
    assert server.get("/").text != str(first)
    assert busy.read_response().text == str(first)


def test_recycling_by_requests_loses_none(serve: Callable[..., Server], kind: str) -> None:
    """Every twentieth request or so ends a worker; connections go on in others, with what is pipelined on them."""
    server = serve(kind=kind, workers=2, options=["--max-requests", "15", "--max-requests-jitter", "10"])
    clients = [(server.client(), depth) for depth in (1, 1, 2, 5, 12)]
    served: set[str] = set()
    end = time.monotonic() + 20
    while len(served) < 8:
        assert time.monotonic() < end, f"only {served} have served"
        for client, depth in clients:
            client.send(request_bytes("GET", "/pid") * depth)
        for client, depth in clients:
            for _ in range(depth):
                response = client.read_response()
                assert response.status == 200
                assert not response.closes
                served.add(response.text)
