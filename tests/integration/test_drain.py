"""What clients have pipelined is answered, whoever leaves, and however TERM came."""

import signal
from collections.abc import Callable

from tests.integration.client import request_bytes
from tests.integration.harness import Server
from tests.integration.processes import kill

BATCH = 8


def test_term_to_every_process_cuts_no_pipeline(serve: Callable[..., Server], pair: tuple[str, str]) -> None:
    """As systemd does it by default, and `pkill`; the master may be the last one to hear of it, and hear it twice."""
    kind, transport = pair
    server = serve(kind=kind, transport=transport)
    workers = server.wait_ready()
    clients = [server.client() for _ in range(4)]
    for client in clients:
        client.send(request_bytes("GET", "/sleep/15") * BATCH)
    idle = server.client()
    assert idle.get("/").status == 200
    for pid in [*workers, server.master, server.master]:
        kill(pid, signal.SIGTERM)
    idle.send(request_bytes("GET", "/"))
    closed = []
    for client in clients:
        answers = [client.read_response() for _ in range(BATCH)]
        assert [answer.status for answer in answers] == [200] * BATCH
        closed += [answer.closes for answer in answers[:-1]]
    assert not any(closed)
    assert idle.read_response().status == 200
    assert server.wait_exit() == 0
    server.assert_nothing_left()


def test_a_full_fleet_takes_what_a_retiring_worker_hands_over(serve: Callable[..., Server], kind: str) -> None:
    """No idle connection is closed for another one while a sibling has a place."""
    server = serve(kind=kind, workers=2, options=["--worker-connections", "12"])
    clients = [server.client() for _ in range(18)]
    for client in clients:
        assert client.get("/").status == 200
    since = server.log_end()
    server.send_signal(signal.SIGHUP)
    server.wait_log("reload complete", since)
    for client in clients:
        assert client.get("/").status == 200
