"""FastAPI, Starlette, Quart and Django with Channels under `ostler MODULE:app`, as their users type it: without -k."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.integration.client import Browser
from tests.integration.harness import Server
from tests.integration.shared import running
from tests.integration.waiting import wait_until

REASON = "the frameworks of the dev extra are not installed"
for _package in ("fastapi", "quart", "channels", "multipart"):
    pytest.importorskip(_package, reason=REASON)


class Plain(Server):
    """Started without --worker-class."""

    def launch(self, command: Sequence[str], env: dict[str, str], cwd: Path) -> None:
        at = command.index("--worker-class")
        super().launch([*command[:at], *command[at + 2 :]], env, cwd)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for all."""
    with running(Plain, kind="", app="asgi_frameworks:app", stops=False) as server:
        yield server
        assert server.stop() == 0, server.log()
        assert server.notes("lifespan") == ["startup", "shutdown"]


@pytest.fixture
def browser(server: Server) -> Browser:
    return Browser(server.address)


def test_the_application_is_recognised_and_the_log_says_so(server: Server) -> None:
    server.wait_log(r"application recognised.* kind=asgi")


def test_fastapi_routes_depends_and_reads_the_lifespans_state(browser: Browser) -> None:
    assert json.loads(browser.get("/fast/items/7").body) == {"number": 7, "pool": "connected"}
    assert json.loads(browser.get("/fast/threaded").body) == {"ran": "in a thread"}
    assert browser.get("/fast/items/x").status == 422
    assert "/fast/openapi.json" in browser.get("/fast/docs").text


def test_fastapi_background_tasks_hold_no_connection(server: Server) -> None:
    with server.client() as client:
        answer = client.request("POST", "/fast/later", body=b"")
        assert json.loads(answer.body) == {"said": "at once"}
        assert server.notes("later") == []
        assert client.request("GET", "/fast/threaded").status == 200  # on the same connection, meanwhile
    wait_until(lambda: sorted(server.notes("later")) == ["async", "in a thread"], "both tasks ran")


def test_fastapi_takes_uploads(browser: Browser) -> None:
    answer = browser.post_file("/fast/upload", "file", bytes(range(256)) * 8000)
    assert answer.status == 422  # title is missing: the whole form was parsed
    assert "title" in answer.text


def test_fastapi_sends_files(server: Server, browser: Browser) -> None:
    answer = browser.get("/fast/file")
    assert answer.text.startswith('"""FastAPI, Starlette')
    assert answer.field("Content-Length") == str(len(answer.body))


def test_an_exception_is_a_500_with_a_traceback_in_the_log(server: Server, browser: Browser) -> None:
    since = server.log_end()
    assert browser.get("/fast/fail").status == 500
    server.wait_log(r"ZeroDivisionError: fastapi failed", since)


def test_an_event_stream_stops_when_its_client_has_left(server: Server) -> None:
    client = server.client()
    client.send(b"GET /fast/events HTTP/1.1\r\nHost: a\r\n\r\n")
    received = b""
    while b"data: 2\n" not in received:
        received += client.socket.recv(4096)
    client.close()
    wait_until(lambda: server.notes("events") == ["ended"], "the generator was ended")


def test_starlettes_middleware_and_anyios_groups_work(browser: Browser) -> None:
    answer = browser.get("/star/grouped")
    assert (json.loads(answer.body), answer.field("X-Passed")) == ([0, 1, 2], "yes")
    assert browser.get("/star/long").text == "x" * 10_000


def test_starlettes_chat_over_websockets(server: Server) -> None:
    connect = pytest.importorskip("websockets.sync.client", reason=REASON).connect
    assert not isinstance(server.address, str)
    url = f"ws://{server.address[0]}:{server.address[1]}/star/chat"
    with connect(url) as ada, connect(url) as bob:
        bob.send("hello from bob")
        assert ada.recv(timeout=5) == bob.recv(timeout=5) == "hello from bob"


def test_quart_echoes_over_http_and_websockets(server: Server, browser: Browser) -> None:
    with server.client() as client:
        body = bytes(range(256)) * 2000
        assert client.request("POST", "/quart/echo", body=body).body == body
    connect = pytest.importorskip("websockets.sync.client", reason=REASON).connect
    assert not isinstance(server.address, str)
    with connect(f"ws://{server.address[0]}:{server.address[1]}/quart/shout") as socket:
        socket.send("hello")
        assert socket.recv(timeout=5) == "HELLO"


def test_django_and_channels_answer(server: Server, browser: Browser) -> None:
    with server.client() as client:
        answer = json.loads(client.request("POST", "/django/view", body=b"body").body)
        assert answer == {"path": "/django/view", "info": "/view", "body": "body"}
        assert client.request("POST", "/django/consumer", body=b"a body").text == "channels got a body"
    assert browser.get("/django/blocking").text == "from a thread"
    assert browser.get("/django/streaming").text == "block\n" * 3


def test_channels_lets_a_room_hear_what_one_says(server: Server) -> None:
    connect = pytest.importorskip("websockets.sync.client", reason=REASON).connect
    assert not isinstance(server.address, str)
    url = f"ws://{server.address[0]}:{server.address[1]}/django/room"
    with connect(url) as ada, connect(url, subprotocols=["json"]) as bob:
        assert bob.subprotocol == "json"
        bob.send('{"said": "hello"}')
        assert json.loads(ada.recv(timeout=5)) == json.loads(bob.recv(timeout=5)) == {"said": "hello"}
    wait_until(lambda: server.notes("left") == ["1000", "1000"], "Channels heard that both have left")
