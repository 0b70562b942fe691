"""WebSockets under WSGI: the libraries that take `environ["gunicorn.socket"]`, with the clients that people use."""

import signal
from collections.abc import Iterator

import pytest
import requests

from tests.integration.client import request_bytes
from tests.integration.harness import Server
from tests.integration.secure import CA, trusting_of_threads
from tests.integration.secure import SERVER as TLS
from tests.integration.shared import running

REASON = "the dev extra has it"
pytest.importorskip("flask_sock", reason=REASON)
socketio = pytest.importorskip("socketio", reason=REASON)
websocket = pytest.importorskip("websocket", reason=REASON)
websockets = pytest.importorskip("websockets.sync.client", reason=REASON)

HANDSHAKE = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
]
FRAME = b"\x81\x85\0\0\0\0early"
"""Text, masked with nothing."""


@pytest.fixture(scope="module", params=["sync", "gthread", "gevent", "eventlet"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The last test ends it."""
    with running(Server, kind=request.param, app="sockets:app", options=["--access-logfile", "-"], stops=False) as made:
        yield made
        if not made.exited:  # the last test was not selected
            made.stop()


@pytest.fixture(scope="module", params=["gthread", "gevent"])
def secure(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running(Server, kind=request.param, app="sockets:app", options=TLS) as made:
        yield made


def url(server: Server, path: str, scheme: str = "ws") -> str:
    assert not isinstance(server.address, str)
    return f"{scheme}://localhost:{server.address[1]}{path}"


def echoes(connection: object, *messages: str | bytes) -> None:
    for message in messages:
        connection.send(message)  # type: ignore[attr-defined]  # of two libraries, which agree here
        assert connection.recv() == message  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", ["/echo", "/simple"])
def test_a_conversation_of_any_length_and_then_requests_again(server: Server, path: str) -> None:
    with websockets.connect(url(server, path), max_size=None) as connection:
        echoes(connection, "hello", b"\0\xff", "x" * 500_000, "bye")
    assert server.get("/").status == 200
    server.wait_log(rf'"GET {path} HTTP/1.1" 101 ')


def test_a_view_that_ends_closes_the_connection(server: Server) -> None:
    connection = websocket.create_connection(url(server, "/greet"))
    assert connection.recv() == "hello"
    opcode, payload = connection.recv_data()
    assert (opcode, payload[:2]) == (websocket.ABNF.OPCODE_CLOSE, b"\x03\xe8")
    connection.shutdown()


def test_a_client_that_vanishes_ends_its_call_and_nothing_else(server: Server) -> None:
    connection = websocket.create_connection(url(server, "/echo"))
    connection.send("x")
    connection.sock.close()
    assert server.get("/").status == 200


def test_a_frame_that_comes_with_the_handshake_is_not_lost(server: Server) -> None:
    with server.client() as client:
        client.send(request_bytes("GET", "/echo", HANDSHAKE) + FRAME)
        assert client.read_head().status == 101
        assert client.take(7) == b"\x81\x05early"


def test_an_error_of_a_view_is_logged_and_closes_the_connection(server: Server) -> None:
    since = server.log_end()
    connection = websocket.create_connection(url(server, "/fail"))
    assert connection.recv() == "before"
    server.wait_log("ValueError: of the application", since)
    connection.close()
    assert server.get("/").status == 200
    assert "HTTP/1.1 500" not in server.log(since)


@pytest.mark.parametrize("transports", [["websocket"], ["polling", "websocket"]])
def test_flask_socketio_answers_and_sends(secure: Server, transports: list[str]) -> None:
    with requests.Session() as session:
        session.trust_env = False  # a bundle that is named there would win
        session.verify = str(CA)
        with socketio.SimpleClient(http_session=session, request_timeout=20) as client:
            client.connect(url(secure, "", "https"), transports=transports, wait_timeout=20)
            assert client.call("question", {"who": "Ada"}) == "hello Ada"
            assert client.receive(timeout=20) == ["news", {"to": "Ada"}]
            assert client.transport == "websocket"


@pytest.mark.parametrize("path", ["/echo", "/simple"])
def test_over_tls(secure: Server, path: str) -> None:
    with websockets.connect(url(secure, path, "wss"), ssl=trusting_of_threads(), max_size=None) as connection:
        echoes(connection, "hello", "x" * 500_000)
    connections = [websockets.connect(url(secure, path, "wss"), ssl=trusting_of_threads()) for _ in range(2)]
    for number, connection in enumerate(connections):
        with connection:
            echoes(connection, f"number {number}")


def test_a_stop_waits_for_a_conversation_to_end(server: Server) -> None:
    """Behind it the server is gone: the last test of this file."""
    connection = websocket.create_connection(url(server, "/echo"))
    echoes(connection, "before")
    server.send_signal(signal.SIGTERM)
    server.wait_log("stopping signal=SIGTERM")
    echoes(connection, "while it stops")
    assert not server.exited
    connection.close()
    assert server.wait_exit() == 0
