"""gevent and eventlet workers: an application that blocks in Python's own calls shares one process with many others."""

import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec

import pytest

from tests.integration.client import Client, Cut, connect, request_bytes
from tests.integration.harness import Server, bind_value
from tests.integration.load import Load
from tests.integration.processes import alive, children_of, kill
from tests.integration.secure import SERVER as TLS
from tests.integration.secure import TlsClient
from tests.integration.waiting import wait_until

# find_spec, for importing eventlet warns that it is deprecated.
KINDS = [
    pytest.param(kind, marks=pytest.mark.skipif(find_spec(kind) is None, reason=f"needs {kind}, of the extra dev"))
    for kind in ("gevent", "eventlet")
]
APP = "green:application"
LARGE = 100 * 65536


@pytest.fixture(scope="module", params=KINDS)
def green(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One server of each kind, with one worker."""
    server = Server()
    options = ["--graceful-timeout", "2"]  # a long poll of Socket.IO may be left
    server.start(APP, kind=request.param, workers=1, options=options, env={"GREEN": request.param})
    try:
        server.wait_ready()
        yield server
        assert server.stop() == 0
        assert "defect of Ostler" not in server.log()
    finally:
        server.kill_leftovers()
        server.hang_up()
        server.remove()


@pytest.fixture(params=KINDS)
def green_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# -- what the application may do


def test_the_application_is_imported_patched_and_told_that_it_is_not_alone(green: Server) -> None:
    _, state, multithread = green.get("/").text.split()
    assert (state, multithread) == ("patched", "True")


def test_a_hundred_requests_that_sleep_are_served_together(green: Server) -> None:
    clients = [green.client() for _ in range(100)]
    began = time.monotonic()
    for client in clients:
        client.send(request_bytes("GET", "/sleep"))
    assert all(client.read_response().status == 200 for client in clients)
    assert time.monotonic() - began < 5  # one after the other: ten seconds
    for client in clients:
        client.close()


def test_sleep_events_queues_threads_locals_children_and_names_let_others_run(green: Server) -> None:
    assert green.get("/primitives").text == "7 mine child 0 127.0.0.1:80 False"


def test_requests_inside_the_application_may_ask_its_own_worker(green: Server) -> None:
    fields = [("X-Url", f"http://{bind_value(green.address)}/"), ("Connection", "close")]
    with green.client() as client:
        assert client.get("/fetch", fields).text == green.get("/").text


@pytest.mark.parametrize("way", ["websocket", "polling"])
def test_flask_socketio_in_the_mode_of_the_kind(green: Server, way: str) -> None:
    socketio = pytest.importorskip("socketio", reason="the dev extra has it")
    pytest.importorskip("flask_socketio", reason="the dev extra has it")
    assert green.get("/socket.io/?EIO=4&transport=polling").status == 200  # imported now: that takes its time
    client = socketio.SimpleClient()
    client.connect(f"http://{bind_value(green.address)}", transports=[way], wait_timeout=20)
    try:
        client.emit("shout", "hello")
        assert client.receive(timeout=10) == ["heard", "HELLO"]
    finally:
        client.disconnect()


def test_what_a_request_has_spawned_outlives_it(green: Server) -> None:
    assert green.get("/background").text == "begun"
    wait_until(lambda: "background" in green.notes("notes"), "the greenlet is done")


@pytest.mark.parametrize(("target", "status"), [("/exit", 500), ("/killed", 500), ("/late", 500), ("/leave", 200)])
def test_what_ends_a_greenlet_costs_one_request(green: Server, target: str, status: int) -> None:
    (worker,) = green.worker_pids()
    assert green.get(target).status == status
    assert green.get("/").text.split()[0] == str(worker)


def test_a_process_that_the_application_forks_is_no_second_worker(green: Server) -> None:
    (worker,) = green.worker_pids()
    with green.client() as waiting:
        waiting.send(request_bytes("GET", "/wait-a-little"))
        wait_until(lambda: "waits a little" in green.notes("notes"), "its greenlet is there when the other forks")
        child = int(green.get("/fork").text)
        assert child != worker
        assert {int(green.get("/pid").text) for _ in range(40)} == {worker}
        assert int(waiting.read_response().text) == worker
        waiting.send(request_bytes("GET", "/pid", [("Connection", "close")]))
        assert int(waiting.read_response().text) == worker, "and nobody else has written to it"
    (green.home / "release").touch()
    wait_until(lambda: "reaped" in green.notes("notes"), "the child is gone")


# -- clients


def test_a_block_reaches_the_client_before_the_next_is_made(green: Server) -> None:
    with green.client() as client:
        client.send(request_bytes("GET", "/stream"))
        assert client.read_head().status == 200
        assert client.take_until(b"\r\n") == b"5"
        assert client.take(5) == b"first"
        assert green.get("/open").text == "opened"
        assert client.take_until(b"second\r\n0\r\n\r\n") == b"\r\n6\r\n"


def test_readers_who_dawdle_stop_nobody_and_get_all_of_it(green: Server) -> None:
    dawdlers = [Client(green.address) for _ in range(5)]
    for dawdler in dawdlers:
        dawdler.send(request_bytes("GET", "/large", [("Connection", "close")]))
    for dawdler in dawdlers:
        assert dawdler.read_head().status == 200
    assert green.get("/primitives").status == 200
    for dawdler in dawdlers[:2]:
        assert len(dawdler.take(LARGE)) == LARGE
    for dawdler in dawdlers:
        dawdler.close()
    assert green.get("/").status == 200


def test_a_body_is_collected_before_the_application_has_it(green: Server) -> None:
    body = b"y" * 3_000_000
    head = request_bytes("POST", "/upload", [("Content-Length", str(len(body))), ("Connection", "close")])
    before = len(green.notes("notes"))
    with green.client() as client:
        client.send(head + body[:-1])
        assert green.get("/").status == 200
        assert green.notes("notes")[before:] == []
        client.send(body[-1:])
        assert client.read_response().text == str(len(body))


def test_bodies_stream_over_tls_and_no_more_clients_come_in_than_may(
    serve: Callable[..., Server], green_kind: str
) -> None:
    options = [*TLS, "--no-request-buffering", "--worker-connections", "3"]
    server = serve(APP, kind=green_kind, workers=1, options=options, env={"GREEN": green_kind})
    body = b"z" * 2_000_000
    upload = [("Content-Length", str(len(body))), ("Connection", "close")]
    with TlsClient(server.address) as first, TlsClient(server.address) as second, TlsClient(server.address) as third:
        for client in (first, second):
            client.send(request_bytes("POST", "/upload", upload) + body[:1_000_000])
        wait_until(lambda: server.notes("notes") == ["upload"] * 2, "the application reads both")
        assert third.get("/primitives").status == 200
        third.send(request_bytes("POST", "/upload", upload) + body[:1_000_000])
        wait_until(lambda: server.notes("notes") == ["upload"] * 3, "the application reads the third, too")
        with connect(server.address, 0.3) as fourth:
            fourth.send(b"GET / HTTP/1.1\r\n\r\n")  # which is refused as soon as it is let in
            with pytest.raises(TimeoutError):
                fourth.recv(1)
            fourth.settimeout(10)
            first.send(body[1_000_000:])
            assert first.read_response().text == str(len(body))
            assert fourth.recv(12) == b"HTTP/1.1 400"
        for client in (second, third):
            client.send(body[1_000_000:])
            assert client.read_response().text == str(len(body))


# -- the worker's life


def gone(pid: int) -> bool:
    return not alive(pid)


def held(server: Server, clients: int) -> list[Client]:
    """So many clients whose requests wait in the application."""
    found = [server.client() for _ in range(clients)]
    before = server.notes("notes").count("held")
    for client in found:
        client.send(request_bytes("GET", "/hold"))
    wait_until(lambda: server.notes("notes").count("held") == before + clients, "the application holds them")
    return found


def test_molds_make_workers_and_no_request_is_lost(serve: Callable[..., Server], green_kind: str) -> None:
    options = ["--preload", "--max-requests", "50", "--graceful-timeout", "5"]
    server = serve(APP, kind=green_kind, workers=2, options=options, env={"GREEN": green_kind})
    assert server.get("/").text.split()[1] == "patched"
    assert server.get("/primitives").status == 200
    with Load(server.address, clients=6) as load:
        server.wait_log("max_requests")
        since = server.log_end()
        server.send_signal(signal.SIGHUP)
        server.wait_log("reload complete", since)
        load.wait_for(10)
    load.tally.assert_nothing_failed()
    waiting = held(server, 10)
    since = server.log_end()
    server.send_signal(signal.SIGTERM)
    server.wait_log("stopping signal=SIGTERM", since)
    for client in waiting:
        assert client.read_response().text == "False"
    assert server.wait_exit() == 0
    assert "defect of Ostler" not in server.log()
    assert "preloading" not in server.log()


def test_a_greenlet_that_never_lets_go_is_a_hang(serve: Callable[..., Server], green_kind: str) -> None:
    options = ["--timeout", "1"]
    server = serve(APP, kind=green_kind, workers=1, options=options, env={"GREEN": green_kind})
    since = server.log_end()
    with server.client() as waiting:
        waiting.send(request_bytes("GET", "/wait"))
        wait_until(lambda: "waits" in server.notes("notes"), "the other greenlet waits")
        with pytest.raises(Cut):
            server.get("/hog")
        with pytest.raises(Cut):
            waiting.read_response()
    server.wait_log(r"(?s)worker timeout .*GET /hog", since)
    server.wait_log("in hog", since)  # the dump shows where it hangs, and what else waits for it
    server.wait_log("in wait_long", since)
    server.wait_ready(1, since)


HOOKS = """
import os, socket
errorlog = os.environ["CONTRACT_DIR"] + "/server.log"

def post_fork(server, worker):
    worker.log.info("post_fork %s", socket.socket.__module__)

def post_worker_init(worker):
    worker.log.info("post_worker_init %s", socket.socket.__module__)

def worker_int(worker):
    worker.log.info("interrupted")

def worker_abort(worker):
    worker.log.info("aborted")
"""


def test_signals_are_heard_while_the_hub_sleeps_and_while_greenlets_run(
    serve: Callable[..., Server], green_kind: str
) -> None:
    server = serve(APP, kind=green_kind, workers=1, config=HOOKS, env={"GREEN": green_kind})
    server.wait_log("post_fork socket\n")  # the patches of hooks come first, as with Gunicorn
    server.wait_log(f"post_worker_init {green_kind}")
    for number, told, idle in (
        (signal.SIGTERM, "worker retiring|worker exited", True),
        (signal.SIGABRT, "aborted", True),
        (signal.SIGINT, "interrupted", False),
    ):
        since = server.log_end()
        (worker,) = server.worker_pids()
        clients = [] if idle else held(server, 3)
        kill(worker, number)
        server.wait_log(told, since)
        server.wait_ready(1, since)
        wait_until(partial(gone, worker), "the worker is gone")
        for client in clients:
            with pytest.raises(Cut):
                client.read_response()
    server.log_path.rename(server.home / "old.log")
    server.send_signal(signal.SIGUSR1)
    wait_until(server.log_path.exists, "the log is opened again")
    kill(server.worker_pids()[0], signal.SIGABRT)
    server.wait_log("aborted")


# -- who patches, and when

PATCHES = """
from gevent import monkey
monkey.patch_all()
import time
time.sleep(0.001)  # makes a hub in the master
"""


@pytest.mark.skipif(find_spec("gevent") is None, reason="needs gevent, of the extra dev")
@pytest.mark.parametrize("kind", ["gevent", "gthread", "sync"])
def test_a_configuration_file_that_patches_the_master_hurts_no_kind(serve: Callable[..., Server], kind: str) -> None:
    server = serve(APP, kind=kind, config=PATCHES, workers=1, env={"GREEN": "gevent"})
    assert server.get("/").text.split()[1] == "patched"
    if kind != "gthread":  # gevent watches over child processes in the main thread only
        assert server.get("/primitives").status == 200
    since = server.log_end()
    server.send_signal(signal.SIGHUP)
    server.wait_ready(1, since)
    assert server.get("/sleep").status == 200
    wait_until(lambda: len(children_of(server.master)) == 1, "the former worker is gone")
