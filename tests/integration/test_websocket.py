"""WebSocket in an asgi worker over real sockets: the `websockets` package as the client, raw bytes, and a browser."""

import json
import os
import re
import shutil
import signal
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ostler.http.websocket_events import Binary, Closed, Ping, Text
from tests.integration.client import Client
from tests.integration.harness import Server
from tests.integration.secure import CERTIFICATES, trusting_of_threads
from tests.integration.shared import running
from tests.integration.waiting import wait_until
from tests.websocket.cases import FRAMES, Case
from tests.websocket.wire import Sent, close, frame, text

websockets = pytest.importorskip("websockets", reason="the websockets package (extra dev) is the client of these tests")
client_module = pytest.importorskip("websockets.sync.client", reason="needs websockets 11 or later")

connect = client_module.connect
ConnectionClosed = websockets.exceptions.ConnectionClosed
InvalidStatus = websockets.exceptions.InvalidStatus

APP = "websocket_app:app"
EXAMPLES = Path(__file__).parents[2] / "examples"
LIMIT = 200_000
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def running_app(*options: str) -> Iterator[Server]:
    options = ("--websocket-max-message-size", str(LIMIT), *options)
    with running(Server, kind="asgi", app=APP, options=options) as server:
        yield server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The usual one. Grace is short, so that what it ends need not be waited for."""
    yield from running_app("--asgi-disconnect-grace-period", "1", "--access-logfile", "-", "--ws-ping-interval", "0")


@pytest.fixture(scope="module")
def pinging() -> Iterator[Server]:
    """Pings all the time, and compresses nothing."""
    pings = "--ws-ping-interval", "0.05", "--ws-ping-timeout", "0.5"
    yield from running_app(*pings, "--no-ws-per-message-deflate")


def url(server: Server, path: str) -> str:
    assert isinstance(server.address, tuple)
    return f"ws://{server.address[0]}:{server.address[1]}{path}"


def notes(server: Server, name: str) -> list[list[object]]:
    return [note for note in json.loads(server.get("/notes").body) if note[0] == name]


def handshake(path: str = "/echo", *fields: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: a", "Upgrade: websocket", "Connection: Upgrade"]
    more = [f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13", *fields, "", ""]
    return "\r\n".join(lines + more).encode()


def opened(server: Server, path: str = "/echo", *fields: str) -> Client:
    """A raw client whose handshake was accepted."""
    client = server.client()
    client.send(handshake(path, *fields))
    assert client.read_head().status == 101
    return client


def next_frame(client: Client) -> Sent:
    first, size = client.take(2)
    if size > 125:
        size = int.from_bytes(client.take(2 if size == 126 else 8), "big")
    return Sent(first, client.take(size))


# -- the websockets package ----------------------------------------------------------------------------------------


def test_messages_come_back(server: Server) -> None:
    with connect(url(server, "/echo")) as client:
        assert client.response.headers["x-from"] == "the application"
        for message in ("hello", "", "héllo €😀", b"", b"\x00\xff", "x" * 130, b"y" * 70_000, "€" * 60_000):
            client.send(message)
            assert client.recv() == message
        client.send(["frag", "men", "", "ted"])
        assert client.recv() == "fragmented"
        client.send([b"\x00", b"\xff"] * 50)
        assert client.recv() == b"\x00\xff" * 50
        assert client.ping("are you there?").wait(10)


def test_compression_is_agreed_on_and_kept_up(server: Server) -> None:
    with connect(url(server, "/echo")) as client:
        (extension,) = client.protocol.extensions
        assert extension.name == "permessage-deflate"
        assert client.response.headers["Sec-WebSocket-Extensions"] == "permessage-deflate; client_max_window_bits=12"
        for number in range(50):
            message = json.dumps({"number": number, "text": "the same words " * 20})
            client.send(message)
            assert client.recv() == message
    with connect(url(server, "/echo"), compression=None) as client:
        assert "Sec-WebSocket-Extensions" not in client.response.headers
        client.send("plain")
        assert client.recv() == "plain"


def test_the_first_subprotocol_that_both_know_is_chosen(server: Server) -> None:
    with connect(url(server, "/echo"), subprotocols=["chat", "superchat"]) as client:
        assert client.subprotocol == "chat"
    with connect(url(server, "/echo")) as client:
        assert client.subprotocol is None


def test_the_scope_says_what_was_asked(server: Server) -> None:
    with connect(url(server, "/show/it?a=1&b=%20"), subprotocols=["a", "b"]) as client:
        assert json.loads(client.recv()) == {
            "type": "websocket",
            "scheme": "ws",
            "path": "/show/it",
            "query_string": "a=1&b=%20",
            "subprotocols": ["a", "b"],
            "extensions": {"websocket.http.response": {}},
        }


def test_the_application_closes_with_a_code_and_a_reason(server: Server) -> None:
    with connect(url(server, "/echo")) as client:
        client.send("leave")
        with pytest.raises(ConnectionClosed) as caught:
            client.recv()
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4000, "as you asked")
    assert notes(server, "echo")[-1] == ["echo", 4000, "as you asked"]


def test_the_application_hears_code_and_reason_of_the_client(server: Server) -> None:
    with connect(url(server, "/echo")) as client:
        client.close(4321, "späte Züge")
    wait_until(lambda: ["echo", 4321, "späte Züge"] in notes(server, "echo"), "the application has heard the code")


@pytest.mark.parametrize(
    ("path", "code"), [("/broken/return", 1000), ("/broken/raise", 1011), ("/broken/protocol", 1011)]
)
def test_an_application_that_ends_closes(server: Server, path: str, code: int) -> None:
    with connect(url(server, path)) as client:
        with pytest.raises(ConnectionClosed) as caught:
            client.recv()
        assert caught.value.rcvd.code == code
    if path == "/broken/raise":
        server.wait_log(r"error in a websocket application path=/broken/raise error=.*broken raise")


@pytest.mark.parametrize("path", ["/broken/early", "/broken/silent", "/none"])
def test_an_application_that_ends_before_it_accepts_is_a_500(server: Server, path: str) -> None:
    with pytest.raises(InvalidStatus) as caught, connect(url(server, path)):
        pass
    assert caught.value.response.status_code == 500
    if path == "/broken/silent":
        server.wait_log("ended without an answer to the handshake path=/broken/silent")


def test_a_handshake_is_denied(server: Server) -> None:
    with pytest.raises(InvalidStatus) as caught, connect(url(server, "/deny/plain")):
        pass
    assert caught.value.response.status_code == 403
    with pytest.raises(InvalidStatus) as caught, connect(url(server, "/deny/late")):
        pass
    assert caught.value.response.status_code == 403
    wait_until(lambda: notes(server, "late") == [["late", "ClientGone", "websocket.disconnect"]], "it was told")
    with pytest.raises(InvalidStatus) as caught, connect(url(server, "/deny/response")):
        pass
    response = caught.value.response
    assert (response.status_code, response.body) == (401, b"who are you?")
    assert response.headers["WWW-Authenticate"] == "Basic"


def test_a_denied_connection_serves_the_next_request(server: Server) -> None:
    with server.client() as client:
        for path, status in (("/deny/plain", 403), ("/deny/response", 401), ("/broken/silent", 500)):
            client.send(handshake(path))
            response = client.read_response()
            assert (response.status, response.closes) == (status, False)
        assert client.get("/page").status == 200


def test_two_clients_talk_to_each_other(server: Server) -> None:
    with connect(url(server, "/chat/ann")) as ann, connect(url(server, "/chat/bob")) as bob:
        bob.send("hello")
        assert bob.recv() == "bob: hello"
        ann.send("hi")
        assert bob.recv() == "ann: hi"
        assert [ann.recv() for _ in range(1)][-1] in ("bob: hello", "ann: hi")


def test_a_message_above_the_limit_is_1009(server: Server) -> None:
    for compression in (None, "deflate"):
        with connect(url(server, "/echo"), compression=compression) as client:
            client.send("x" * LIMIT)
            assert client.recv() == "x" * LIMIT
            client.send("x" * (LIMIT + 1))
            with pytest.raises(ConnectionClosed) as caught:
                client.recv()
            assert caught.value.rcvd.code == 1009


def test_the_access_log_has_one_line_for_a_connection(server: Server) -> None:
    with connect(url(server, "/echo/logged")) as client:
        client.send("hello")
        client.recv()
    server.wait_log(r'"GET /echo/logged HTTP/1.1" 101 5 ')


# -- raw bytes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (handshake().replace(b"Version: 13", b"Version: 12"), 426),
        (handshake().replace(KEY.encode(), b"short"), 400),
        (handshake("/echo", "Content-Length: 2") + b"hi", 400),
        (handshake("/echo", "Sec-WebSocket-Extensions: ;;"), 400),
        (handshake("/echo", f"Sec-WebSocket-Key: {KEY}"), 400),
    ],
)
def test_a_bad_handshake_is_refused(server: Server, request_bytes: bytes, status: int) -> None:
    with server.client() as client:
        client.send(request_bytes)
        response = client.read_response()
        assert response.status == status
        if status == 426:
            assert (response.field("Sec-WebSocket-Version"), response.field("Upgrade")) == ("13", "websocket")


def test_frames_may_come_with_the_handshake(server: Server) -> None:
    with server.client() as client:
        client.send(handshake() + text("early") + text("bird"))
        assert client.read_head().status == 101
        assert [next_frame(client).payload for _ in range(2)] == [b"early", b"bird"]


WIRE = [case for case in FRAMES if not case.limit]


def test_the_written_cases_hold_over_the_wire(server: Server) -> None:
    """All connections at once, and each must have what its case says and nothing else."""

    def expected(case: Case) -> list[tuple[int, bytes]]:
        frames = []
        for event in case.events:
            match event:
                case Text(data):
                    frames.append((0x81, data.encode()))
                case Binary(data):
                    frames.append((0x82, data))
                case Ping(data):
                    frames.append((0x8A, data))
                case Closed(code):
                    frames.append((0x88, b"" if code == 1005 else code.to_bytes(2, "big")))
        return frames

    for at in range(0, len(WIRE), 50):
        batch = [(case, server.client()) for case in WIRE[at : at + 50]]
        for case, client in batch:
            client.send(handshake() + case.sent)
        for case, client in batch:
            with client:
                assert client.read_head().status == 101
                wanted = expected(case)
                found: list[Sent] = []
                while len(found) < len(wanted) and (not found or found[-1].opcode != 8):
                    found.append(next_frame(client))
                if not isinstance(case.events[-1], Closed):
                    client.send(close(1000))
                    wanted.append((0x88, b"\x03\xe8"))
                    found.append(next_frame(client))
                assert client.at_end(), case.id
                shown = [(each.first, each.payload[:2] if each.opcode == 8 else each.payload) for each in found]
                assert shown[-1] == wanted[-1], case.id
                if len(shown) == len(wanted):
                    # Pongs may pass messages that wait for the application.
                    assert sorted(shown) == sorted(wanted), case.id
                else:  # it was closed before the application could answer
                    assert isinstance(case.events[-1], Closed), case.id


def test_a_bomb_is_1009_and_little_memory(server: Server) -> None:
    stream = zlib.compressobj(wbits=-15)
    bomb = (stream.compress(bytes(50_000_000)) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
    (worker,) = server.worker_pids()

    def peak_kib() -> int:
        with open(f"/proc/{worker}/status") as status:
            (found,) = re.findall(r"VmHWM:\s*(\d+)", status.read())
        return int(found)

    before = peak_kib()
    with opened(server, "/echo", "Sec-WebSocket-Extensions: permessage-deflate") as client:
        client.send(frame(0xC2, bomb))
        answer = next_frame(client)
    assert (answer.first, answer.payload[:2]) == (0x88, (1009).to_bytes(2, "big"))
    assert peak_kib() - before < 20_000


def test_a_client_that_vanishes_is_1006(server: Server) -> None:
    before = len(notes(server, "echo"))
    client = opened(server)
    client.send(text("hello")[:4])
    client.close()
    wait_until(lambda: notes(server, "echo")[before:] == [["echo", 1006, ""]], "the application knows")
    client = opened(server)
    client.reset()
    wait_until(lambda: notes(server, "echo")[before + 1 :] == [["echo", 1006, ""]], "the application knows")


def test_sending_to_a_client_that_left_is_an_oserror(server: Server) -> None:
    before = len(notes(server, "deaf"))
    client = opened(server, "/deaf")
    next_frame(client)
    client.send(close(1001))
    wait_until(lambda: len(notes(server, "deaf")) > before, "its send has failed")
    assert notes(server, "deaf")[before:] == [["deaf", "ClientGone", 1001, "websocket.disconnect"]]
    client.close()


def test_an_application_that_does_not_look_is_cancelled_some_time_after(server: Server) -> None:
    client = opened(server, "/stubborn")
    client.close()
    wait_until(lambda: notes(server, "stubborn"), "the application was cancelled")


def test_who_does_not_read_stops_who_sends(server: Server) -> None:
    with opened(server, "/flood/600") as client:

        def stalled() -> int:
            """The count, once it stands still for twenty looks."""
            (note,) = notes(server, "flood")
            seen.append(int(str(note[1])))
            return seen[-1] if len(seen) > 20 and seen[-1] == seen[-20] > 0 else 0

        seen: list[int] = []
        sent = wait_until(stalled, "the application waits")
        assert sent < 300, "what the kernel holds, and no more"
        for number in range(600):
            assert next_frame(client).payload == number.to_bytes(4, "big") * 16384
        assert next_frame(client).first == 0x88
        client.send(close(1000))


def test_who_does_not_receive_stops_who_sends(server: Server) -> None:
    block = frame(0x82, bytes(65536))
    with opened(server, "/lazy") as client:
        client.socket.settimeout(0.3)
        sent = 0
        rest = b""
        try:
            while sent < 50_000_000:
                sent += client.socket.send(block[sent % len(block) :])
        except TimeoutError:
            rest = block[sent % len(block) :] if sent % len(block) else b""
        assert sent < 50_000_000
        client.socket.settimeout(20)
        server.get("/open")
        client.send(rest + text("end"))
        frames = (sent + len(rest)) // len(block)
        assert next_frame(client).payload == str(frames * 65536).encode()


# -- pings, the drain ----------------------------------------------------------------------------------------------


def test_a_silent_client_is_pinged_and_then_given_up(pinging: Server) -> None:
    with opened(pinging) as client:
        assert next_frame(client) == Sent(0x89, b"")
        answer = next_frame(client)
        assert (answer.first, answer.payload[:2]) == (0x88, (1011).to_bytes(2, "big"))
        pinging.wait_log("no answer to a ping")
    assert notes(pinging, "echo")[-1] == ["echo", 1011, "no answer to a ping"]


def test_a_client_that_answers_its_pings_stays(pinging: Server) -> None:
    with opened(pinging) as client:
        for _ in range(12):  # longer than the timeout
            assert next_frame(client) == Sent(0x89, b"")
            client.send(frame(0x8A))
        client.send(text("still there"))
        frames = [next_frame(client)]
        while frames[-1].first == 0x89:
            frames.append(next_frame(client))
        assert frames[-1].payload == b"still there"


def test_compression_can_be_turned_off(pinging: Server) -> None:
    with connect(url(pinging, "/echo")) as client:
        assert client.protocol.extensions == []
        client.send("plain")
        assert client.recv() == "plain"


def test_a_drain_says_1012_to_every_client_also_over_tls(make_server: Callable[..., Server]) -> None:
    """Of the documentation's example."""
    server = make_server()
    options = ["--certfile", str(CERTIFICATES / "localhost.pem")]
    server.start("chat:app", kind="asgi", workers=1, options=options, cwd=EXAMPLES / "websockets")
    server.wait_ready()
    context = trusting_of_threads()
    where = url(server, "/").replace("ws:", "wss:").replace("127.0.0.1", "localhost")
    with connect(where, ssl=context) as ann, connect(where, ssl=context) as bob:
        for said in ("hello", "x" * 100_000):
            ann.send(said)
            assert (ann.recv(), bob.recv()) == (said, said)
        server.send_signal(signal.SIGTERM)
        for client in (ann, bob):
            with pytest.raises(ConnectionClosed) as caught:
                client.recv(timeout=10)
            assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1012, "service restart")
    assert server.wait_exit() == 0


# -- a browser -----------------------------------------------------------------------------------------------------

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium (apt-get install chromium)")
def test_a_browser_talks_to_us(server: Server) -> None:
    assert CHROMIUM is not None
    quiet = "--no-first-run --disable-background-networking --disable-component-update --disable-sync --disable-quic"
    command = f"{CHROMIUM} --headless --no-sandbox --disable-gpu --disable-dev-shm-usage {quiet}"
    page = url(server, "/page").replace("ws:", "http:")
    browser = subprocess.Popen(
        [*command.split(), f"--user-data-dir={server.home / 'profile'}", page],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        ((_, told),) = wait_until(lambda: notes(server, "browser"), "the browser has reported", deadline_s=40)
    finally:
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()
    assert told == "open chat permessage-deflate|text héllo|binary 1,2,255|big|close 4000 as you asked true"
