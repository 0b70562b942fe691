"""A tornado application under `-k tornado`: handlers, uploads, WebSockets and protocols of its own."""

import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.client import Cut, request_bytes
from tests.integration.harness import Server
from tests.integration.secure import SERVER as TLS
from tests.integration.secure import TlsClient, trusting_of_threads
from tests.integration.shared import running
from tests.integration.waiting import wait_until

pytest.importorskip("tornado", reason="the dev extra has it")
websockets = pytest.importorskip("websockets.sync.client", reason="the dev extra has it")
websockets_exceptions = pytest.importorskip("websockets.exceptions", reason="the dev extra has it")

BODY = os.urandom(3_000_000)
DIGEST = hashlib.sha256(BODY).hexdigest()
APP = "tornado_app:app"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    options = ["--access-logfile", "-", "--write-timeout", "60"]
    with running(Server, kind="tornado", app=APP, options=options) as made:
        yield made


def connect(server: Server, path: str = "/chat", scheme: str = "ws", **options: object) -> Any:
    assert not isinstance(server.address, str)
    return websockets.connect(f"{scheme}://localhost:{server.address[1]}{path}", max_size=None, **options)


# -- requests ------------------------------------------------------------------------------------------------


def test_handlers_answer_one_after_the_other_on_one_connection(server: Server) -> None:
    with server.client() as client:
        for path, expected in (("/slow", "slow"), ("/ticks", "True"), ("/nope", "Not Found"), ("/slow", "slow")):
            assert expected in client.get(path).text
        head = client.request("HEAD", "/")
        assert (head.status, head.body) == (405, b"")
        client.send(request_bytes("GET", "/slow") * 3)
        assert [client.read_response().text for _ in range(3)] == ["slow"] * 3
        assert client.request("GET", "/slow", version="HTTP/1.0").closes


def test_a_form_with_a_file(server: Server) -> None:
    parts = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    parts += b'--b\r\nContent-Disposition: form-data; name="f"; filename="up"\r\n\r\nxyz\r\n--b--\r\n'
    with server.client() as client:
        said = json.loads(
            client.request("POST", "/", [("Content-Type", "multipart/form-data; boundary=b")], parts).body
        )
    assert said == {"argument": "1", "files": {"f": ["up"]}, "body": hashlib.sha256(parts).hexdigest()}


def test_uploads_stream_to_the_handler(server: Server) -> None:
    with server.client() as client:
        assert client.request("POST", "/upload", [], BODY).text == DIGEST
        client.send(request_bytes("POST", "/upload", [("Transfer-Encoding", "chunked"), ("Expect", "100-continue")]))
        assert client.read_head().status == 100
        for start in range(0, len(BODY), 400_000):
            block = BODY[start : start + 400_000]
            client.send(b"%x\r\n%b\r\n" % (len(block), block))
        client.send(b"0\r\n\r\n")
        assert client.read_response().text == DIGEST


def test_a_body_beyond_the_handler_s_limit_is_refused(server: Server) -> None:
    with server.client() as client:
        assert client.request("POST", "/upload?limit=1000", [], b"x" * 1001).status == 413
    with server.client() as client:
        client.send(request_bytes("POST", "/upload?limit=1000", [("Transfer-Encoding", "chunked")]))
        client.send(b"3e9\r\n" + b"x" * 1001)
        assert client.read_response().status == 413


def test_a_body_that_breaks_off_costs_its_request_only(server: Server) -> None:
    since = server.log_end()
    with server.client() as client:
        client.send(request_bytes("POST", "/upload", [("Content-Length", "10")]) + b"12345")
        client.finish_sending()
        assert client.read_response().status == 400
    server.wait_log("request ended early method=POST path=/upload", since)
    assert "Traceback" not in server.log(since)


def test_a_handler_that_flushes_is_as_slow_as_its_client(server: Server) -> None:
    with server.client() as client:
        client.send(request_bytes("GET", "/pieces?count=1000"))
        assert client.read_head().status == 200
        made = wait_until(lambda: progress(server), "some is made")
        wait_until(lambda: progress(server) == progress(server), "it stands still")
        assert 0 < made <= progress(server) < 900
        assert len(client.read_chunks()) == 1000 * 65536 + len("end")


def progress(server: Server) -> int:
    return int(server.get("/progress").text)


def test_who_asks_and_how_is_what_trusted_proxies_say(server: Server) -> None:
    with server.client() as client:
        said = json.loads(client.get("/", [("X-Forwarded-Proto", "https")]).body)
    assert said == {"ip": "127.0.0.1", "protocol": "https", "path": "/"}


# -- what goes wrong -----------------------------------------------------------------------------------------


def test_errors_of_handlers_are_logged_and_answered(server: Server) -> None:
    since = server.log_end()
    with server.client() as client:
        assert client.get("/fail").status == 500
        assert client.get("/slow").status == 200
    assert server.get("/fail?exit=1").status == 500
    server.wait_log("ValueError: of the handler", since)
    server.wait_log("a handler wanted to end the worker, which goes on error=SystemExit", since)
    with server.client() as client, pytest.raises(Cut):
        client.get("/short")
    assert server.get("/slow").status == 200
    assert server.log(since).count("wanted to end the worker") == 1  # tornado lets it out of the loop twice


def test_a_handler_is_told_when_its_client_leaves(server: Server) -> None:
    before = int(server.get("/left").text)
    with server.client() as client:
        client.send(request_bytes("GET", "/waiting"))
        assert server.get("/slow").status == 200
    wait_until(lambda: int(server.get("/left").text) == before + 1, "the handler is told")


def test_half_a_connection_gets_its_response(server: Server) -> None:
    with server.client() as client:
        client.send(request_bytes("GET", "/slow"))
        client.finish_sending()
        assert client.read_response().text == "slow"


# -- other protocols -----------------------------------------------------------------------------------------


def test_a_chat(server: Server) -> None:
    with connect(server) as ada, connect(server, compression=None) as bob:
        ada.send("x")
        assert (ada.recv(), bob.recv()) == ("x", "x")
        large = "y" * 5_000_000
        bob.send(large)
        assert (ada.recv(), bob.recv()) == (large, large)
        bob.send(b"\0\xff")
        assert (ada.recv(), bob.recv()) == (b"\0\xff", b"\0\xff")
    server.wait_log(r'"GET /chat HTTP/1.1" 101 5\d{6} ', count=2)


def test_a_protocol_of_the_application(server: Server) -> None:
    with server.client() as client:
        client.send(request_bytes("GET", "/raw") + b"early\n")
        assert client.read_head().reason == "Go ahead"
        assert client.take(6) == b"EARLY\n"
        client.send(b"quit\n")
        assert client.take(5) == b"QUIT\n"
        assert client.at_end()
    with server.client() as client:
        client.send(request_bytes("GET", "/raw"))
        assert client.read_head().reason == "Go ahead"
        client.send(b"x" * 101)  # more than it reads of a line
        assert client.at_end()


def test_over_tls_and_from_a_mold(make_server: Callable[..., Server]) -> None:
    server = make_server()
    server.start(APP, kind="tornado", workers=1, options=[*TLS, "--preload"])
    server.wait_ready()
    with TlsClient(server.address) as client:
        assert json.loads(client.get("/").body)["protocol"] == "https"
        assert client.request("POST", "/upload", [], BODY).text == DIGEST
    with connect(server, scheme="wss", ssl=trusting_of_threads()) as ada:
        for message in ("hello", "z" * 1_000_000):
            ada.send(message)
            assert ada.recv() == message
    assert server.stop() == 0


# -- the end -------------------------------------------------------------------------------------------------


def test_reload_and_stop_tell_whoever_waits_without_end(make_server: Callable[..., Server]) -> None:
    server = make_server()
    server.start(APP, kind="tornado", workers=1)
    server.wait_ready()
    for number in (signal.SIGHUP, signal.SIGTERM):
        since = server.log_end()
        with connect(server) as ada, server.client() as events, server.client() as slow, server.client() as idle:
            ada.send("x")
            assert ada.recv() == "x"
            assert idle.get("/slow").status == 200
            slow.send(request_bytes("GET", "/slow?s=0.5"))
            events.send(request_bytes("GET", "/events"))
            assert events.read_head().status == 200
            server.send_signal(number)
            events.read_chunks()
            with pytest.raises(websockets_exceptions.ConnectionClosed):
                ada.recv()
            assert ada.close_code == 1012
            assert slow.read_response().text == "slow"
            if number == signal.SIGHUP:
                server.wait_log("worker exited", since)
                assert idle.get("/slow").status == 200
    assert server.wait_exit() == 0
