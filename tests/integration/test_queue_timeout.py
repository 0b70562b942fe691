"""`queue_timeout`: who has waited too long gets a 503 with Retry-After; health checks wait, and uploads may be slow."""

import time
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.integration.client import Client, Response, request_bytes
from tests.integration.harness import Server
from tests.integration.shared import running
from tests.integration.waiting import wait_until

TIMEOUT_S = 0.4
OPTIONS = ("--queue-timeout", str(TIMEOUT_S), "--access-logfile", "-", "--timeout", "0")
LOOPS = [
    ("asgi", "contract_asgi:application"),
    ("tornado", "contract_tornado:application"),
    ("gevent", "contract:application"),
    ("eventlet", "contract:application"),
]
LINE = r"requests shed, they waited longer than queue_timeout shed=\d+ waited_s=[\d.]+ .*cure="


def occupy(server: Server, ms: int, count: int) -> list[Client]:
    """Every thread runs the application for so long."""
    before = len(server.notes("sleeping"))
    clients = [server.client() for _ in range(count)]
    for client in clients:
        client.send(request_bytes("GET", f"/sleep/{ms}"))
    wait_until(lambda: len(server.notes("sleeping")) == before + count, "all threads are busy")
    return clients


def answered(clients: list[Client]) -> list[int]:
    statuses = [client.read_response().status for client in clients]
    for client in clients:
        client.close()
    return statuses


def timed(client: Client, target: str) -> tuple[Response, float]:
    began = time.monotonic()
    return client.get(target), time.monotonic() - began


def assert_shed(response: Response, took_s: float) -> None:
    assert response.status == 503
    assert response.field("Retry-After") == "1"
    assert TIMEOUT_S * 0.9 < took_s < TIMEOUT_S + 1


@pytest.fixture(scope="module", params=[("sync", "tcp", 2), ("gthread", "unix", 2)], ids=lambda each: each[0])
def busy(request: pytest.FixtureRequest) -> Iterator[tuple[Server, int]]:
    """A server of two workers, and how many calls it runs at a time."""
    kind, transport, workers = request.param
    options = (*OPTIONS, "--threads", "2") if kind == "gthread" else OPTIONS
    with running(Server, kind=kind, transport=transport, workers=workers, options=options) as server:
        yield server, workers * (2 if kind == "gthread" else 1)


def test_who_waits_too_long_is_told_so_while_every_thread_is_busy(busy: tuple[Server, int]) -> None:
    server, threads = busy
    since = server.log_end()
    sleepers = occupy(server, 1500, threads)
    with server.client() as client:
        response, took_s = timed(client, "/fast")
        assert_shed(response, took_s)
        assert not response.closes
        response, took_s = timed(client, "/again")  # on the same connection, which is in the worker by now
        assert_shed(response, took_s)
    assert answered(sleepers) == [200] * threads
    log = server.log(since)
    assert log.count('"GET /fast HTTP/1.1" 503') == 1, log
    server.wait_log(LINE)


def test_health_checks_wait_for_as_long_as_it_takes(busy: tuple[Server, int]) -> None:
    server, threads = busy
    sleepers = occupy(server, 1200, threads)
    with server.client() as health, server.client() as other:
        health.send(request_bytes("GET", "/health?full=1"))
        assert_shed(*timed(other, "/"))
        assert health.read_response().status != 503
    assert answered(sleepers) == [200] * threads


def test_who_gets_a_thread_in_time_is_served(busy: tuple[Server, int]) -> None:
    server, threads = busy
    sleepers = occupy(server, 250, threads)
    with server.client() as client:
        response, took_s = timed(client, "/")
    assert response.status == 200
    assert took_s < TIMEOUT_S
    assert answered(sleepers) == [200] * threads


def test_a_slow_upload_is_the_clients_time(busy: tuple[Server, int]) -> None:
    server, _ = busy
    whole = request_bytes("POST", "/echo", body=b"slowly but surely")
    with server.client() as client:
        for piece in (whole[:10], whole[10:-9]):
            client.send(piece)
            time.sleep(TIMEOUT_S)
        client.send(whole[-9:])
        response = client.read_response()
    assert (response.status, response.body) == (200, b"slowly but surely")


def test_time_at_a_proxy_counts(busy: tuple[Server, int]) -> None:
    server, _ = busy
    with server.client() as client:
        late, in_time = (f"t={time.time() - ago:.3f}" for ago in (TIMEOUT_S * 2, 0))
        assert client.get("/", [("X-Request-Start", in_time)]).status == 200
        assert client.get("/", [("X-Request-Start", late)]).status == 503
        assert client.get("/health", [("X-Request-Start", late)]).status != 503


def test_a_body_that_came_with_a_shed_request_is_no_request(busy: tuple[Server, int]) -> None:
    server, threads = busy
    with server.client() as client:
        assert client.get("/", [("X-Request-Start", f"t={time.time():.3f}")]).status == 200
        sleepers = occupy(server, 800, threads)
        assert client.request("POST", "/echo", [], b"GET /smuggled HTTP/1.1\r\n\r\n").status == 503
        assert answered(sleepers) == [200] * threads
        assert client.get("/").status == 200
        late = [("X-Request-Start", f"t={time.time() - 5:.3f}")]
        assert client.request("POST", "/echo", late, b"stamped before its upload").status == 200
        assert client.request("HEAD", "/", late).body == b""
        assert client.get("/").status == 200
        assert client.request("GET", "/", [*late, ("Connection", "close")]).closes
    assert "smuggled" not in server.log()


@pytest.mark.parametrize(("kind", "app"), LOOPS)
def test_an_event_loop_sheds_what_waited_in_the_kernel(kind: str, app: str) -> None:
    if kind in {"gevent", "eventlet", "tornado"} and find_spec(kind) is None:  # imported, eventlet warns of every fork
        pytest.skip(f"needs {kind}, of the extra dev")
    with running(Server, kind=kind, workers=1, app=app, options=OPTIONS) as server, server.client() as kept:
        assert kept.get("/").status == 200
        with server.client() as burner, server.client() as fresh:
            burner.send(request_bytes("GET", "/cpu/600"))
            wait_until(lambda: server.notes("burning"), "the loop is blocked")
            kept.send(request_bytes("GET", "/kept"))
            fresh.send(request_bytes("GET", "/fresh"))
            assert [client.read_response().status for client in (burner, kept, fresh)] == [200, 503, 503]
        assert kept.get("/").status == 200
