"""Clients that do not get as far as HTTP: silent, slow, broken, or not speaking TLS at all. They harm nobody."""

import contextlib
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator

import pytest

from tests.integration.client import connect, request_bytes
from tests.integration.harness import Server
from tests.integration.load import percentile
from tests.integration.processes import cpu_seconds, descriptors
from tests.integration.secure import SERVER, RawTls, TlsClient, ask, s_client, trusting, typed_request
from tests.integration.shared import running
from tests.integration.waiting import wait_until

STALLED = 200
TIMEOUT_S = 1.0
LATE_S = 5.0


def a_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


HELLO = a_hello()


@pytest.fixture(scope="module", params=["sync", "gthread"])
def secure(request: pytest.FixtureRequest) -> Iterator[Server]:
    options = [*SERVER, "--handshake-timeout", str(TIMEOUT_S), "--timeout", "2"]
    with running(Server, kind=request.param, options=options) as server:
        yield server


def only_worker(server: Server) -> int:
    (worker,) = server.worker_pids()
    return worker


@pytest.mark.parametrize("sent", [b"", HELLO[:60]], ids=["silent", "half a hello"])
def test_two_hundred_stalled_handshakes_delay_nobody_and_are_given_up(
    secure: Server, sent: bytes, figure: Callable[[str], None]
) -> None:
    worker = only_worker(secure)
    began = time.monotonic()
    stalled = [connect(secure.address) for _ in range(STALLED)]
    for each in stalled:
        each.sendall(sent)
    took = []
    with TlsClient(secure.address) as keeping:
        for index in range(40):
            started = time.monotonic()
            if index % 2:
                assert keeping.get("/pid").status == 200
            else:
                assert ask(secure).isdigit()
            took.append(time.monotonic() - started)
    figure(f"TLS, {STALLED} stalled: p50={percentile(took, 50) * 1000:.1f}ms max={max(took) * 1000:.1f}ms")
    assert max(took) < 2.0
    for each in stalled:
        each.settimeout(TIMEOUT_S + LATE_S)
        with contextlib.suppress(ConnectionResetError):
            while each.recv(1000):
                pass
        each.close()
    assert TIMEOUT_S * 0.9 <= time.monotonic() - began <= TIMEOUT_S + LATE_S
    assert only_worker(secure) == worker


def test_bytes_that_dribble_in_do_not_prolong_a_handshake(secure: Server) -> None:
    with contextlib.closing(connect(secure.address)) as slow:
        slow.setblocking(False)
        began = time.monotonic()
        pieces = iter(HELLO)

        def cut() -> bool:
            try:
                slow.send(bytes([next(pieces)]))
                return not slow.recv(1000)
            except BlockingIOError:
                return False
            except (ConnectionError, StopIteration):
                return True

        wait_until(cut, "it is disconnected", TIMEOUT_S + LATE_S)
        assert time.monotonic() - began >= TIMEOUT_S * 0.9


def test_a_handshake_and_a_request_in_single_bytes_are_understood(secure: Server) -> None:
    with RawTls(secure.address) as client:
        client.shake_hands(piece=1)
        client.send(client.records(request_bytes("GET", "/bytes/3", [("Connection", "close")])), piece=1)
        assert client.received().endswith(b"\r\n\r\nxxx")


@pytest.mark.parametrize(
    "sent",
    [
        request_bytes("GET", "/pid"),
        request_bytes("POST", "/echo", body=b"x" * 100_000),
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"G",
    ],
    ids=["get", "post", "options", "a letter"],
)
def test_plain_http_is_answered_with_400(secure: Server, sent: bytes) -> None:
    with secure.client(timeout_s=TIMEOUT_S + LATE_S) as client:
        client.send(sent)
        response = client.read_response()
        assert response.status == 400
        assert response.closes
        assert client.at_end()
    assert ask(secure).isdigit()


@pytest.mark.parametrize(
    "sent",
    [
        b"\0" * 100,
        b"\x16\x03\x01\xff\xff" + b"\0" * 100,
        b"\x16\x03\x01\x00\x05hello" * 10,
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + b"\x01" * 50,  # as SSL 2 began
        os.urandom(50) * 4000,
        HELLO[:-3] + b"\xff\xff\xff" + b"rubbish" * 100,
        b"\x15\x03\x01\x00\x02\x02\x28",  # an alert
        b"\x14\x03\x03\x00\x01\x01" * 1000,
    ],
    ids=["zeros", "long record", "no hello", "ssl2", "random", "broken hello", "alert", "change cipher spec"],
)
def test_garbage_ends_the_connection_and_nothing_else(secure: Server, sent: bytes) -> None:
    worker = only_worker(secure)
    with (
        contextlib.closing(connect(secure.address, timeout_s=TIMEOUT_S + LATE_S)) as raw,
        contextlib.suppress(ConnectionError),
    ):
        raw.sendall(sent)
        while raw.recv(10_000):
            pass
    assert ask(secure) == str(worker)


@pytest.mark.parametrize("stage", ["connected", "a byte", "half a hello", "hello", "handshake", "request"])
@pytest.mark.parametrize("way", ["close", "reset", "shutdown"])
def test_leaving_at_any_point_hurts_nobody(secure: Server, stage: str, way: str) -> None:
    worker = only_worker(secure)
    with RawTls(secure.address, timeout_s=TIMEOUT_S + LATE_S) as client:
        match stage:
            case "a byte":
                client.send(HELLO[:1])
            case "half a hello":
                client.send(HELLO[:100])
            case "hello":
                client.send(HELLO)
            case "handshake" | "request":
                client.shake_hands()
                if stage == "request":
                    client.send(client.records(request_bytes("GET", "/blocks/20")))
        if way == "reset":
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        elif way == "shutdown":
            client.socket.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                while client.socket.recv(100_000):
                    pass
    assert ask(secure) == str(worker)


def test_a_truncated_body_is_no_whole_one(secure: Server) -> None:
    """The transport ends without close_notify, as an attacker would have it."""
    before = len(secure.notes("bodies"))
    client = TlsClient(secure.address)
    client.send(request_bytes("POST", "/digest", [("Transfer-Encoding", "chunked")]) + b"5\r\nhello\r\n")
    client.tls.shutdown(socket.SHUT_WR)
    client.close()
    assert ask(secure).isdigit()
    assert len(secure.notes("bodies")) == before


@pytest.mark.parametrize("suppress", [True, False])
def test_an_end_that_was_not_announced_is_an_end_unless_told_otherwise(
    serve: Callable[..., Server], suppress: bool
) -> None:
    """In the middle of a body, so that an end is worth an answer: 400. An error is not."""
    server = serve(workers=1, options=SERVER, config=f"suppress_ragged_eofs = {suppress}\n")
    with RawTls(server.address) as client:
        client.shake_hands()
        client.send(client.records(request_bytes("POST", "/digest", [("Content-Length", "5")]) + b"abc"))
        client.socket.shutdown(socket.SHUT_WR)
        if suppress:
            assert client.received().startswith(b"HTTP/1.1 400 ")
        else:
            with pytest.raises(ssl.SSLError, match="EOF"):
                client.received()
            assert client.plain == b""


@pytest.mark.parametrize("target", ["/bytes/3", "/sleep/100"])
def test_who_asks_and_ends_his_side_gets_the_answer_and_a_proper_end(secure: Server, target: str) -> None:
    with RawTls(secure.address) as client:
        client.shake_hands()
        client.send(client.records(request_bytes("GET", target)))
        client.socket.shutdown(socket.SHUT_WR)
        assert client.received().startswith(b"HTTP/1.1 200 "), "received() raises when close_notify is missing"


def test_records_that_were_tampered_with_end_the_connection(secure: Server) -> None:
    worker = only_worker(secure)
    with RawTls(secure.address, timeout_s=TIMEOUT_S + LATE_S) as client:
        client.shake_hands()
        record = bytearray(client.records(request_bytes("GET", "/pid")))
        record[-1] ^= 1
        client.send(bytes(record))
        with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
            client.received()
    assert ask(secure) == str(worker)


def test_descriptors_return_after_failed_handshakes_and_idle_ones_cost_no_cpu(secure: Server) -> None:
    worker = only_worker(secure)
    stalled = [connect(secure.address) for _ in range(50)]
    for number, each in enumerate(stalled):
        each.sendall(HELLO[: number * 5])
    assert ask(secure) == str(worker)
    many = descriptors(worker)
    started, used = time.monotonic(), cpu_seconds(worker)
    wait_until(lambda: time.monotonic() - started > 0.5, "half a second has passed")
    assert cpu_seconds(worker) - used < 0.15
    for each in stalled:
        each.close()
    wait_until(lambda: descriptors(worker) <= many - 50, "their descriptors are given back")


def test_openssl_still_speaks_with_it(secure: Server) -> None:
    assert "xxxxx" in s_client(secure, typed=typed_request("/bytes/5")).text
