"""Who dawdles is given up, and so is an application that hangs: in every kind, with small values.

One server a kind. What each deadline means exactly is in tests/integration/test_deadlines.py.
"""

import re
import time
from collections.abc import Iterator

import pytest

from tests.contract.kinds import KINDS, KindServer, serving
from tests.integration.client import Client, Cut, request_bytes
from tests.integration.processes import open_targets
from tests.integration.waiting import wait_until

HEADER_S = 0.5
BODY_S = 0.5
WRITE_S = 0.5
KEEP_S = 1
LATE_S = 5.0  # a busy machine's
SMALL = [
    *("--timeout", "2"),  # a worker looks at its deadlines four times in it
    *("--header-timeout", str(HEADER_S), "--body-timeout", str(BODY_S), "--body-min-rate", "2000"),
    *("--write-timeout", str(WRITE_S), "--write-min-rate", "4000000", "--keep-alive", str(KEEP_S)),
    *("--lingering-timeout", "0.1", "--bind", "unix:HOME/other.sock"),
]
CONFIG = """
import os
def worker_abort(worker):
    with open(os.path.join(os.environ["CONTRACT_DIR"], "aborted"), "a") as file:
        file.write(f"{worker.pid}\\n")
"""
LARGE = 8_000_000


class Strict(KindServer):
    idle: int
    """How many sockets its workers have without clients."""

    @property
    def sockets(self) -> int:
        return sum(target.startswith("socket:") for pid in self.worker_pids() for target in open_targets(pid))


@pytest.fixture(scope="module", params=KINDS, ids=str)
def server(request: pytest.FixtureRequest) -> Iterator[Strict]:
    with serving(Strict, request.param, workers=2, config=CONFIG, options=SMALL) as server:
        server.idle = server.sockets
        yield server


def gives_up(client: Client, least_s: float, began: float) -> None:
    """408 comes, not before `least_s` have passed and not long after, and the connection is closed."""
    response = client.read_response()
    took_s = time.monotonic() - began
    assert (response.status, response.closes) == (408, True)
    assert least_s * 0.95 <= took_s <= least_s + LATE_S
    assert client.at_end()


def test_heads_and_bodies_that_do_not_come_are_answered_with_408(server: Strict) -> None:
    """Who has said nothing, or nothing since the last answer, gets no answer."""
    with (
        server.client() as kept,
        server.client() as idle,
        server.client() as head,
        server.client() as silent,
        server.client() as body,
        server.client() as chunks,
    ):
        assert kept.get("/pid").status == 200
        assert idle.get("/pid").status == 200
        began = time.monotonic()
        for client in (kept, head):
            client.send(b"GET / HTTP/1.1\r\nHost: loc")
        body.send(request_bytes("POST", "/digest", [("Content-Length", "10")]) + b"hello")
        chunks.send(request_bytes("POST", "/digest", [("Transfer-Encoding", "chunked")]) + b"5\r\nh")
        for client in (kept, head):
            gives_up(client, HEADER_S, began)
        for client in (body, chunks):
            gives_up(client, BODY_S, began)
        assert silent.read_response_or_end() is None
        assert idle.read_response_or_end() is None
        assert time.monotonic() - began >= KEEP_S * 0.95
    assert server.notes("bodies") == []


def test_who_takes_nothing_of_a_response_is_disconnected(server: Strict) -> None:
    """Over the Unix socket: there the kernel takes little off the server's hands."""
    wait_until(lambda: server.sockets <= server.idle, "all connections are closed")
    clients = []
    for target in (f"/bytes/{LARGE}", "/blocks/120?name=slow"):
        client = Client(str(server.home / "other.sock"))
        server.clients.append(client)
        client.send(request_bytes("GET", target))
        assert client.fill()
        clients.append(client)
    began = time.monotonic()
    wait_until(lambda: server.sockets <= server.idle, "the readers are disconnected", LATE_S)
    assert time.monotonic() - began >= WRITE_S * 0.9
    for client in clients:
        while client.fill():
            pass
        assert len(client.buffer) < LARGE
        client.close()
    wait_until(lambda: server.notes("closed") == ["slow"], "the application hears of it")
    assert server.get("/").status == 200


def test_applications_that_hang_are_explained_aborted_and_replaced(server: Strict) -> None:
    """A worker each, at the same time: one in C code that keeps the GIL, and one in the way of the kind."""
    kind, since = server.kind, server.log_end()
    before = server.worker_pids()
    hangs = ["/hold-gil", "/sleep/30000" if kind.one_at_a_time else "/spin"] if kind.hangs else ["/hold-gil"]
    clients = []
    for target in hangs:
        clients.append(server.client())
        clients[-1].send(request_bytes("GET", f"{target}?why=contract"))
        # Until it has begun, the worker could take the next one, too.
        busy = len(clients)
        wait_until(lambda busy=busy: len(server.notes("hanging")) >= busy, "it hangs")  # type: ignore[misc]
    for client in clients:
        with pytest.raises(Cut):
            client.read_response()
        client.close()
    server.wait_ready(len(hangs), since)
    log = server.log(since)
    for target in hangs:
        assert re.search(rf'worker timeout .*request="GET {target}\?why=contract" for_s=\d', log), (
            f"not named: {target}"
        )
        assert f"in {target.split('/')[1].replace('-', '_')}" in log, f"the stack is not shown: {target}"
    victims = [int(pid) for pid in server.notes("hanging")]
    assert set(victims) <= set(before)
    if kind.hangs:  # re looks for signals now and then, in the main thread; elsewhere nobody gets the GIL for the hook
        assert set(server.notes("aborted")) == {str(pid) for pid in victims}
    wait_until(lambda: len(server.worker_pids()) == len(before), "all are replaced")
    assert not set(victims) & set(server.worker_pids())
    assert server.get("/").status == 200
