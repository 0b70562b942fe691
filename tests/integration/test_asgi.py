"""asgi over real processes: both event loops, streaming with backpressure, disconnects, lifespan, drain, signals.

Frameworks are in test_asgi_frameworks.py; what holds for every kind is in tests/contract.
"""

import hashlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.integration.client import Client
from tests.integration.harness import Server
from tests.integration.shared import running
from tests.integration.waiting import wait_until

APP = "asgi_app:app"
BODY = os.urandom(1 << 20) * 6


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One for each loop."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop of the dev extra is not installed")
    options = ["--asgi-loop", request.param, "--root-path", "/api", "--asgi-disconnect-grace-period", "0"]
    with running(Server, kind="asgi", app=APP, options=[*options], stops=False) as server:
        yield server
        assert server.stop() == 0, server.log()
        assert server.notes("lifespan")[-1] == "shutdown"


def ask(server: Server, target: str) -> Client:
    client = server.client()
    client.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    return client


def until_text(client: Client, text: bytes) -> bytes:
    received = b""
    while text not in received:
        data = client.socket.recv(65536)
        assert data, received
        received += data
    return received


def ended(client: Client) -> bytes:
    """All that still comes, to the end of the connection."""
    received = b""
    while data := client.socket.recv(65536):
        received += data
    return received


def test_the_scope_says_who_asks_for_what(server: Server) -> None:
    with server.client() as client:
        answer = client.request("GET", "/scope/%C3%A4%2F?q=1", [("X-Forwarded-Proto", "https"), ("X_Dropped", "1")])
    scope = json.loads(answer.body)
    assert not isinstance(server.address, str)
    assert scope["path"] == "/api/scope/ä/"
    assert (scope["raw_path"], scope["root_path"], scope["query_string"]) == ("/api/scope/%C3%A4%2F", "/api", "q=1")
    assert (scope["scheme"], scope["http_version"], scope["method"]) == ("https", "1.1", "GET")
    assert (scope["server"], scope["client"][0]) == (list(server.address), "127.0.0.1")
    assert scope["state"] == ["since"]
    assert ["x_dropped", "1"] not in scope["headers"]


def test_the_loop_is_the_one_that_was_asked_for(server: Server, request: pytest.FixtureRequest) -> None:
    assert json.loads(server.get("/scope").body)["loop"] == request.node.callspec.params["server"]


def test_a_large_upload_is_streamed_and_its_client_waits_for_a_slow_application(server: Server) -> None:
    digest = hashlib.sha256(BODY).hexdigest()
    with server.client() as client:
        size, found, most = client.request("POST", "/digest", body=BODY).text.split()
        assert (int(size), found) == (len(BODY), digest)
        assert int(most) <= 65536
        client.send(f"POST /digest?pause=0.5 HTTP/1.1\r\nHost: a\r\nContent-Length: {1 << 40}\r\n\r\n".encode())
        client.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):  # the kernel's buffers are full: nobody reads ahead without an end
            client.send(BODY * 40)
        client.reset()


def test_a_client_that_reads_nothing_stops_the_application(server: Server) -> None:
    server_notes = len(server.notes("streamed"))
    client = ask(server, "/stream?blocks=10000")
    until_text(client, b"xxxx")
    wait_until(lambda: len(server.notes("streamed")) > server_notes, "some blocks were sent")

    def still() -> bool:
        before = len(server.notes("streamed"))
        return server.get("/").status == 404 or len(server.notes("streamed")) == before

    wait_until(still, "the application waits", 5.0)
    assert len(server.notes("streamed")) < 2000
    client.close()
    wait_until(lambda: server.notes("streamed")[-1] == "stopped", "it was stopped")


def test_who_leaves_is_told_and_cancelled(server: Server) -> None:
    begun = len(server.notes("waiting"))
    client = ask(server, "/waiting")
    wait_until(lambda: len(server.notes("waiting")) > begun, "it runs")
    client.close()
    wait_until(lambda: server.notes("waiting")[begun:] == ["began", "disconnect", "cancelled"], "it was cancelled")


def test_requests_run_beside_each_other_and_pipelined_ones_in_order(server: Server) -> None:
    slow = ask(server, "/slow?ms=300")
    assert server.get("/").text == "Hello, world!"
    with server.client() as client:
        client.send(b"GET /slow?ms=20 HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        received = until_text(client, b"Hello, world!")
    assert received.index(b"slept 20") < received.index(b"Hello, world!")
    until_text(slow, b"slept 300")
    slow.close()


def test_a_task_that_raises_system_exit_ends_nothing(server: Server) -> None:
    assert server.get("/leave").text == "still here"
    assert server.get("/").text == "Hello, world!"


def test_signals_are_heard_whoever_has_the_wakeup_descriptor(server: Server) -> None:
    assert server.get("/handlers").text == "installed"
    for number, said in ((signal.SIGTERM, "exited"), (signal.SIGINT, "died"), (signal.SIGABRT, "died")):
        (worker,) = server.worker_pids()
        since = server.log_end()
        assert server.get("/handlers").text == "installed"
        os.kill(worker, signal.SIGUSR1)
        os.kill(worker, number)
        server.wait_ready(1, since)
        server.wait_log(rf"worker {said} .*pid={worker}\b", since)


# -- one server each ------------------------------------------------------------------------------------------------


def test_a_drain_ends_event_streams_and_lets_the_rest_finish(make_server: Callable[..., Server]) -> None:
    server = make_server()
    server.start(APP, kind="asgi", workers=1, options=["--graceful-timeout", "2"])
    server.wait_ready()
    events, slow, endless = ask(server, "/events"), ask(server, "/slow?ms=400"), ask(server, "/slow?ms=60000")
    until_text(events, b"data: first\n\n")
    wait_until(lambda: server.notes("slow") == ["began"] * 2, "they run")
    assert server.get("/background?ms=500").text == "answered"
    server.send_signal(signal.SIGTERM)
    assert ended(events).endswith(b"0\r\n\r\n")
    assert b"slept 400" in ended(slow)
    assert ended(endless).startswith(b"HTTP/1.1 503 ")
    assert server.wait_exit() == 0
    assert server.notes("events") == ["disconnect"]
    assert server.notes("background") == ["done"]
    assert server.notes("lifespan") == ["startup", "shutdown"]


def test_a_quick_stop_ends_the_lifespan(make_server: Callable[..., Server]) -> None:
    server = make_server()
    server.start(APP, kind="asgi", workers=1)
    server.wait_ready()
    slow = ask(server, "/slow?ms=60000")
    wait_until(lambda: server.notes("slow"), "it runs")
    assert server.stop(signal.SIGINT) == 0
    slow.close()
    assert server.notes("slow") == ["began", "cancelled"]
    assert server.notes("lifespan") == ["startup", "shutdown"]


def test_an_application_that_does_not_start_is_never_served(make_server: Callable[..., Server]) -> None:
    server = make_server()
    server.start(APP, kind="asgi", workers=1, env={"LIFESPAN": "fails"})
    assert server.wait_exit() == 3
    assert "(the application did not start (lifespan.startup.failed): at 192.0.2.7)" in server.log()


def test_a_reload_loses_no_request_and_moves_idle_connections(make_server: Callable[..., Server]) -> None:
    server = make_server()
    server.start(APP, kind="asgi", workers=2, options=["--reload-check", "/scope", "--preload"])
    server.wait_ready()
    stop, failures, answered = threading.Event(), [], []

    def keep_asking() -> None:
        with server.client() as client:
            while not stop.is_set():
                try:
                    answered.append(client.request("GET", "/slow?ms=5").status)
                except Exception as error:  # noqa: BLE001  whatever it is, it is a lost request
                    failures.append(repr(error))
                    return

    idle = server.client()
    assert idle.request("GET", "/").status == 200
    threads = [threading.Thread(target=keep_asking) for _ in range(4)]
    for thread in threads:
        thread.start()
    since = server.log_end()
    try:
        server.send_signal(signal.SIGHUP)
        server.wait_ready(2, since)
        server.wait_log("worker exited", since, count=2)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert set(answered) == {200}
    assert idle.request("GET", "/").status == 200  # its worker is gone, and its connection is not
    idle.close()


def test_a_wsgi_application_under_asgi_runs_in_threads_and_the_log_says_so(make_server: Callable[..., Server]) -> None:
    server = make_server()
    server.start("contract:application", kind="asgi", workers=1)
    server.wait_ready()
    assert server.get("/").status in (200, 404)
    server.wait_log(r"a WSGI application is served in threads.* kind=sync")


def test_an_asgi_application_under_a_kind_for_wsgi_is_refused_with_the_cure(make_server: Callable[..., Server]) -> None:
    server = make_server()
    server.start(APP, kind="gthread", workers=1)
    assert server.wait_exit() == 4
    assert "use --worker-class asgi" in server.log()
