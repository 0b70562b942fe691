"""File descriptors: a full table pauses accepting and heals, and nothing leaks."""

import time
from collections.abc import Callable

from tests.integration.client import Client, request_bytes
from tests.integration.harness import Server
from tests.integration.load import Load
from tests.integration.processes import cpu_seconds, descriptors
from tests.integration.waiting import wait_until

LIMIT = 64


def test_full_descriptor_table_pauses_accepting_and_heals(serve: Callable[..., Server], kind: str) -> None:
    limited = ["bash", "-c", f'ulimit -n {LIMIT}; exec "$@"', "limited"]
    server = serve(kind=kind, workers=1, prefix=limited)
    (worker,) = server.worker_pids()
    # Half a head each, so that none of them counts as idle.
    crowd = [server.client() for _ in range(LIMIT + 40)]
    for client in crowd:
        client.send(b"GET / HTTP/1.1\r\n")
    wait_until(lambda: descriptors(worker) > LIMIT - 16, "the table is nearly full")
    waiting = server.client()
    waiting.send(request_bytes("GET", "/pid"))
    started, used = time.monotonic(), cpu_seconds(worker)
    wait_until(lambda: time.monotonic() - started > 0.6, "some time has passed")
    assert cpu_seconds(worker) - used < 0.3, "the worker spins while it cannot accept"
    for client in crowd:
        client.close()
    assert waiting.read_response().body == str(worker).encode()
    waiting.close()
    for _ in range(5):
        assert server.get("/pid").body == str(worker).encode()


def test_descriptors_return_to_their_number(serve: Callable[..., Server], kind: str) -> None:
    server = serve(kind=kind, workers=1)
    (worker,) = server.worker_pids()
    (server.home / "file.bin").write_bytes(b"f" * 300_000)
    for target in ("/pid", "/file", "/chunked/3", "/raise-before"):
        server.get(target)
    baseline = descriptors(worker)
    with Load(server.address, clients=8, keep_alive=False, pause_s=0) as load:
        load.wait_for(300)
    for _ in range(20):
        server.get("/file")
        server.get("/raise-before")
        client = Client(server.address)
        client.send(request_bytes("GET", "/blocks/100"))
        client.fill()
        client.reset()
        server.client().close()
        with server.client() as half:
            half.send(b"GET / HTTP/1.1\r\nHost: a")
        with server.client() as half:
            half.send(request_bytes("POST", "/echo", [("Content-Length", "3000000")]) + b"x" * 2_000_000)
    wait_until(lambda: descriptors(worker) <= baseline, "descriptors are back at their number")


def test_worker_connections_limit_makes_room_by_closing_the_longest_idle(
    serve: Callable[..., Server], kind: str
) -> None:
    server = serve(kind=kind, workers=1, options=["--worker-connections", "10"])
    idle = []
    for _ in range(10):
        client = server.client()
        assert client.get("/").status == 200
        idle.append(client)
    assert server.get("/").status == 200
    assert idle[0].at_end()
    assert idle[-1].get("/").status == 200
    for client in idle:
        client.close()


COUNTING = """
import gc
import contract

KINDS = ("Client", "H1Connection", "H1Exchange", "BodyBuffer", "Outbox")

def application(environ, start_response):
    if environ["PATH_INFO"] != "/count":
        return contract.application(environ, start_response)
    gc.collect()
    count = sum(type(each).__name__ in KINDS for each in gc.get_objects())
    return contract.text(start_response, str(count))
"""


def test_objects_of_connections_return_to_their_number(serve: Callable[..., Server], kind: str) -> None:
    server = serve("counting:application", kind=kind, workers=1, files={"counting.py": COUNTING})
    server.get("/")
    baseline = int(server.get("/count").text)
    assert baseline > 0, "the names of the classes have changed"
    crowd = [server.client() for _ in range(30)]
    for number, client in enumerate(crowd):
        if number % 3:
            assert client.get("/").status == 200
        else:
            client.send(b"GET / HTTP/1.1\r\n")
    assert int(server.get("/count").text) >= baseline + 30
    for number, client in enumerate(crowd):
        client.reset() if number % 2 else client.close()
    wait_until(lambda: int(server.get("/count").text) <= baseline, "all objects are gone")
