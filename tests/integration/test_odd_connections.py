"""Connections in every state that a client can leave them in: they cost no CPU, and leave nothing behind."""

import contextlib
import os
import time
from collections.abc import Callable

from tests.integration.client import Client, connect, request_bytes
from tests.integration.harness import Server
from tests.integration.processes import cpu_seconds
from tests.integration.waiting import wait_until

LARGE = request_bytes("GET", "/bytes/3000000")
CHUNKED = [("Transfer-Encoding", "chunked")]

# What the client sends before it falls silent, and reads nothing.
STATES: dict[str, bytes] = {
    "nothing": b"",
    "half a head": request_bytes("GET", "/")[:-2],
    "keep-alive": request_bytes("GET", "/"),
    "keep-alive, and half a head": request_bytes("GET", "/") + b"GET",
    "a pipeline": request_bytes("GET", "/") * 200,
    "half a body": request_bytes("POST", "/echo", [("Content-Length", "100")]) + b"x",
    "half a body in a file": request_bytes("POST", "/echo", [("Content-Length", "500000")]) + b"x" * 300_000,
    "half a chunk": request_bytes("POST", "/echo", CHUNKED) + b"5\r\nhel",
    "an expectation": request_bytes("POST", "/echo", [("Expect", "100-continue"), ("Content-Length", "9")]),
    "a body that nobody reads": request_bytes("POST", "/", [("Content-Length", "70000")]) + b"x" * 10,
    "a response that is not read": LARGE,
    "responses that are not read": LARGE * 3,
    "a file that is not read": request_bytes("GET", "/file"),
    "blocks that are not read, and garbage": request_bytes("GET", "/blocks/20") + b"garbage" * 5000,
    "a refusal": request_bytes("POST", "/", [("Content-Length", "x")]) + b"x" * 1000,
    "a response that breaks off": request_bytes("GET", "/raise-during"),
}


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def odd_client(server: Server, sent: bytes) -> Client:
    client = server.client()
    client.socket.close()
    client.socket = connect(server.address, receive_buffer=4096)
    with contextlib.suppress(ConnectionError):
        client.send(sent)
    return client


def test_connections_in_every_state_cost_nothing_and_leave_nothing(serve: Callable[..., Server], kind: str) -> None:
    server = serve(kind=kind, workers=1)
    (server.home / "file.bin").write_bytes(b"x" * 3_000_000)
    assert server.get("/").status == 200
    (worker,) = server.worker_pids()
    wait_until(lambda: server.get("/").status == 200, "it serves")
    before = descriptors(worker)

    for _ in range(2):
        clients = []
        for sent in [*STATES.values()] * 2:
            for end in (Client.reset, Client.close, Client.finish_sending, None):
                client = odd_client(server, sent)
                clients.append(client)
                if end is not None:
                    end(client)
        assert server.get("/").text == "hello"
        used = spent_in_a_second(worker)
        print(f"{kind}: {len(clients)} odd connections, {used * 1000:.0f} ms of CPU a second")
        assert used <= 0.05
        for client in clients:
            client.close()
        wait_until(lambda: descriptors(worker) <= before, "every descriptor and file is given back")
    assert server.worker_pids() == [worker]
    assert "defect" not in server.log()


def spent_in_a_second(worker: int) -> float:
    """CPU seconds of the quietest of three half seconds: what it had to do for the clients may still go on."""

    def spent() -> float:
        started, used = time.monotonic(), cpu_seconds(worker)
        wait_until(lambda: time.monotonic() - started >= 0.5, "half a second has passed")
        return (cpu_seconds(worker) - used) * 2

    return min(spent() for _ in range(3))
