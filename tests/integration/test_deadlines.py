"""The chapter "Deadlines" with small values: who dawdles is given up, with 408 where an answer is still possible."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.client import Client, connect, request_bytes
from tests.integration.harness import Server
from tests.integration.processes import open_targets, peak_memory
from tests.integration.secure import SERVER, TlsClient
from tests.integration.shared import running
from tests.integration.waiting import wait_until

HEADER_S = 0.5
BODY_S = 0.4
TOTAL_S = 0.9
WRITE_S = 0.4
LINGER_S = 0.06
LATE_S = 4.0  # a busy machine's
RATE = 2000
SMALL = [
    *("--timeout", "2"),  # a worker looks at its deadlines four times in it, else once a second
    *("--header-timeout", str(HEADER_S), "--body-timeout", str(BODY_S), "--body-min-rate", str(RATE)),
    *("--body-total-timeout", str(TOTAL_S), "--write-timeout", str(WRITE_S), "--write-min-rate", "4000000"),
    *("--lingering-timeout", str(LINGER_S)),
    *("--bind", "unix:HOME/other.sock"),
]
NONE = [
    *("--header-timeout", "0", "--body-timeout", "0", "--body-min-rate", "0", "--body-total-timeout", "0"),
    *("--write-timeout", "0", "--write-min-rate", "0", "--lingering-timeout", "0", "--keep-alive", "1"),
]
HALF_A_HEAD = b"GET / HTTP/1.1\r\nHost: loc"
CHUNKED = ("Transfer-Encoding", "chunked")
LARGE = 8_000_000


class Strict(Server):
    """A server with small deadlines everywhere."""

    idle: int
    """How many sockets its only worker has without clients."""

    @property
    def sockets(self) -> int:
        (worker,) = self.worker_pids()
        return sum(target.startswith("socket:") for target in open_targets(worker))

    def wait_alone(self, deadline_s: float = 10.0) -> None:
        """Until no connection is left."""
        wait_until(lambda: self.sockets <= self.idle, "all connections are closed", deadline_s)


@pytest.fixture(scope="module", params=["sync", "gthread"])
def strict(request: pytest.FixtureRequest) -> Iterator[Strict]:
    with running(Strict, kind=request.param, options=SMALL) as server:
        server.idle = server.sockets
        yield server


@pytest.fixture(scope="module", params=["sync", "gthread"])
def streaming(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The same for an application that reads bodies while they arrive."""
    with running(Server, kind=request.param, options=[*SMALL, "--no-request-buffering"]) as server:
        yield server


class Dribble:
    """`with Dribble(client, pieces, pace_s):` sends them one after the other until the server will not have them."""

    def __init__(self, client: Client, piece: bytes, pace_s: float) -> None:
        self.client = client
        self.piece = piece
        self.pace_s = pace_s
        self.enough = threading.Event()
        self.refused = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self) -> "Dribble":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.enough.set()
        self.thread.join(10)

    def run(self) -> None:
        try:
            while not self.enough.wait(self.pace_s):
                self.client.send(self.piece)
        except OSError:
            self.refused.set()


def gives_up(client: Client, least_s: float, began: float) -> None:
    """408 comes, not before `least_s` have passed and not long after, and the connection is closed."""
    response = client.read_response()
    took_s = time.monotonic() - began
    assert response.status == 408
    assert response.closes
    assert least_s * 0.95 <= took_s <= least_s + LATE_S
    assert client.at_end()


def test_a_head_that_is_not_whole_in_time_is_answered_with_408(strict: Strict) -> None:
    """Of a first request, of a later one, and one that never falls silent. Who has said nothing gets no answer."""
    with strict.client() as kept, strict.client() as first, strict.client() as slow, strict.client() as silent:
        assert kept.get("/pid").status == 200
        began = time.monotonic()
        for client in (kept, first, slow):
            client.send(HALF_A_HEAD)
        with Dribble(slow, b"a", 0.05):
            for client in (kept, first, slow):
                gives_up(client, HEADER_S, began)
        assert silent.read_response_or_end() is None


def test_who_connects_and_says_nothing_is_disconnected_without_a_word(strict: Strict) -> None:
    began = time.monotonic()
    with strict.client() as client:
        assert client.read_response_or_end() is None
        assert HEADER_S * 0.95 <= time.monotonic() - began <= HEADER_S + LATE_S


def test_silence_within_a_body_is_answered_with_408(strict: Strict) -> None:
    with strict.client() as by_length, strict.client() as chunked:
        began = time.monotonic()
        by_length.send(request_bytes("POST", "/digest", [("Content-Length", "10")]) + b"hello")
        chunked.send(request_bytes("POST", "/digest", [CHUNKED]) + b"5\r\nh")
        for client in (by_length, chunked):
            gives_up(client, BODY_S, began)


def test_a_body_below_the_least_rate_is_answered_with_408_though_never_silent(strict: Strict) -> None:
    with strict.client() as client:
        began = time.monotonic()
        client.send(request_bytes("POST", "/digest", [("Content-Length", "100000")]))
        with Dribble(client, b"x", 0.05):
            gives_up(client, BODY_S, began)


def test_a_body_is_answered_with_408_when_its_whole_time_is_over_at_any_rate(strict: Strict) -> None:
    with strict.client() as client:
        began = time.monotonic()
        client.send(request_bytes("POST", "/digest", [CHUNKED]))
        with Dribble(client, b"3e8\r\n" + b"x" * 1000 + b"\r\n", 0.05):
            gives_up(client, TOTAL_S, began)


def test_a_body_that_is_slow_but_fast_enough_is_served(strict: Strict) -> None:
    with strict.client() as client:
        client.send(request_bytes("POST", "/digest", [("Content-Length", "10000")]))
        began = time.monotonic()
        for number in range(20):
            until = began + (number + 1) * BODY_S / 12  # longer than the silence that is allowed, all in all
            wait_until(lambda until=until: time.monotonic() >= until, "it is time")  # type: ignore[misc]
            client.send(b"x" * 500)
        assert client.read_response().text.startswith("10000 ")
        assert client.get("/pid").status == 200


def test_deadlines_of_bodies_hold_while_the_application_waits_for_them(streaming: Server) -> None:
    """Silence, too low a rate, and too long in all: a worker of `sync` has a thread for one of them at a time."""
    for piece, least_s in ((b"", BODY_S), (b"x", BODY_S), (b"x" * 5000, TOTAL_S)):
        with streaming.client() as client:
            began = time.monotonic()
            client.send(request_bytes("POST", "/digest", [("Content-Length", "1000000")]))
            with Dribble(client, piece, 0.05):
                gives_up(client, least_s, began)
    assert streaming.get("/pid").status == 200


def reader(server: Server, target: str) -> Client:
    """Over the Unix socket: there the kernel takes little off the server's hands."""
    client = Client(str(server.home / "other.sock"))
    server.clients.append(client)
    client.send(request_bytes("GET", target))
    return client


def test_who_takes_nothing_of_a_response_is_disconnected(strict: Strict) -> None:
    """However it was made: in one block, in many, from a file."""
    (strict.home / "file.bin").write_bytes(b"f" * LARGE)
    strict.wait_alone()
    clients = [reader(strict, target) for target in (f"/bytes/{LARGE}", "/blocks/120", "/file")]
    for client in clients:
        assert client.fill()
    began = time.monotonic()
    strict.wait_alone(LATE_S)
    assert time.monotonic() - began >= WRITE_S * 0.9
    for client in clients:
        while client.fill():
            pass
        assert len(client.buffer) < LARGE
        client.close()


def test_who_takes_a_response_too_slowly_is_disconnected_and_who_hurries_is_not(strict: Strict) -> None:
    with reader(strict, f"/bytes/{LARGE}") as slow:
        slow.socket.settimeout(20)
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while data := slow.socket.recv(4096):
                slow.buffer += data
                threading.Event().wait(0.005)
        assert len(slow.buffer) < LARGE
        assert time.monotonic() - began >= WRITE_S * 0.9
    with reader(strict, f"/bytes/{LARGE}") as quick:
        assert len(quick.read_response().body) == LARGE


@pytest.mark.parametrize("pace_s", [0.02, None], ids=["sending on", "silent"])
def test_a_refused_client_is_read_for_a_while_and_then_closed(strict: Strict, pace_s: float | None) -> None:
    strict.wait_alone()
    with strict.client() as client:
        began = time.monotonic()
        client.send(b"nonsense\r\n\r\n")
        assert client.read_response().status == 400
        assert client.at_end()
        if pace_s is None:
            strict.wait_alone(LATE_S)
            assert time.monotonic() - began >= LINGER_S * 0.95
        else:
            with Dribble(client, b"x", pace_s) as dribble:
                assert dribble.refused.wait(15 * LINGER_S + LATE_S)
            assert time.monotonic() - began >= 15 * LINGER_S * 0.95


def test_zero_is_no_limit(kind: str, serve: Callable[..., Server]) -> None:
    """`--keep-alive 1` is the clock: when that is over, others still have all the time in the world."""
    server = serve(kind=kind, options=NONE)
    with (
        server.client() as idle,
        server.client() as silent,
        server.client() as head,
        server.client() as body,
        server.client() as refused,
    ):
        assert idle.get("/pid").status == 200
        head.send(HALF_A_HEAD)
        body.send(request_bytes("POST", "/echo", [("Content-Length", "3")]) + b"a")
        slow = Client.__new__(Client)
        slow.socket, slow.buffer, slow.ended = connect(server.address, receive_buffer=4096), bytearray(), False
        slow.send(request_bytes("GET", f"/bytes/{LARGE}"))
        refused.send(b"nonsense\r\n\r\n")
        assert refused.read_response().status == 400
        assert idle.at_end()
        head.send(b"alhost\r\n\r\n")
        assert head.read_response().status == 200
        body.send(b"bc")
        assert body.read_response().body == b"abc"
        assert silent.get("/pid").status == 200
        assert len(slow.read_response().body) == LARGE
        slow.close()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_fast_uploader_and_readers_that_take_nothing_hold_bounded_memory(
    serve: Callable[..., Server], kind: str, tls: bool, figure: Callable[[str], None]
) -> None:
    server = serve(kind=kind, workers=1, options=SERVER if tls else ())
    (worker,) = server.worker_pids()
    connect = TlsClient if tls else Client
    with connect(server.address, timeout_s=60) as client:
        for target in ("/blocks/1", "/pid"):
            assert client.get(target).status == 200
        before = peak_memory(worker)
        size = 64 << 20
        client.send(request_bytes("POST", "/digest", [("Content-Length", str(size))]))
        block = bytes(1 << 20)
        for _ in range(size // len(block)):
            client.send(block)
        assert client.read_response().text.startswith(f"{size} ")
        uploaded = peak_memory(worker) - before
        readers = [connect(server.address) for _ in range(3)]
        for each in readers:
            each.send(request_bytes("GET", "/blocks/800"))  # 50 MiB each
            assert each.fill()
        assert client.get("/pid").status == 200
        held = peak_memory(worker) - before
        for each in readers:
            each.reset()
    how = f"{kind}, {'TLS' if tls else 'plain'}"
    figure(f"{how}: 64 MiB uploaded +{uploaded >> 10} KiB, 3 readers of 50 MiB take nothing +{held >> 10} KiB")
    assert uploaded < 16 << 20
    assert held < 32 << 20


@pytest.fixture(scope="module", params=["sync", "gthread"])
def strict_tls(request: pytest.FixtureRequest) -> Iterator[Strict]:
    with running(Strict, kind=request.param, options=[*SMALL, *SERVER]) as server:
        server.idle = server.sockets
        yield server


def test_deadlines_hold_under_tls_and_the_end_is_announced(strict_tls: Strict) -> None:
    (strict_tls.home / "file.bin").write_bytes(b"f" * LARGE)
    silent, head, body, reader = (TlsClient(strict_tls.address) for _ in range(4))
    began = time.monotonic()
    head.send(HALF_A_HEAD)
    body.send(request_bytes("POST", "/digest", [("Content-Length", "10")]) + b"abc")
    reader.send(request_bytes("GET", "/file"))
    assert reader.fill()
    gives_up(body, BODY_S, began)
    gives_up(head, HEADER_S, began)
    assert silent.at_end()
    assert silent.notified
    assert body.notified
    assert head.notified
    for client in (silent, head, body):
        client.close()
    strict_tls.wait_alone(LATE_S)
    while reader.fill():
        pass
    assert len(reader.buffer) < LARGE
    assert not reader.notified, "the response was cut"
    reader.close()


def test_spill_files_lie_in_tmp_upload_dir_without_a_name_and_go_with_their_client(
    serve: Callable[..., Server], kind: str, tmp_path: Path
) -> None:
    server = serve(kind=kind, workers=1, config=f"tmp_upload_dir = {str(tmp_path)!r}\n")
    (worker,) = server.worker_pids()
    client = server.client()
    client.send(request_bytes("POST", "/digest", [("Content-Length", "3000000")]) + bytes(2_000_000))
    found = wait_until(lambda: [each for each in open_targets(worker) if str(tmp_path) in each], "the body spills")
    assert len(found) == 1
    assert list(tmp_path.iterdir()) == []
    client.socket.shutdown(socket.SHUT_RDWR)
    wait_until(lambda: not [each for each in open_targets(worker) if str(tmp_path) in each], "the file is gone")
