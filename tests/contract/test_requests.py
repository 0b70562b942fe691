"""What HTTP promises to a client, and the server to an application and its operator: asked of every kind.

One server a kind, whose applications read bodies while they arrive (`request_buffering` off; test_corpus.py and
test_life.py have it on). What PEP 3333 promises besides is in tests/integration/test_http.py.
"""

import hashlib
import re
import socket
from collections.abc import Iterator
from contextlib import nullcontext, suppress

import pytest

from tests.contract.kinds import KINDS, Kind, KindServer, serving
from tests.integration.client import Cut, request_bytes
from tests.integration.waiting import wait_until

MEGABYTE = bytes(range(256)) * 4096
LARGEST_BODY = 30_000_000
FORM = '%(h)s %(m)s "%(r)s" %(U)s %(q)s %(H)s %(s)s %(B)s "%(f)s" "%(a)s" <%(p)s> %(D)s %({x-test}i)s %({x-none}o)s'
CONFIG = f"""
accesslog = "HOME/access"
access_log_format = '{FORM}'
statsd_host = "127.0.0.1:PORT"
statsd_prefix = "contract"
limit_request_body = {LARGEST_BODY}
limit_request_fields = 50
limit_request_field_size = 2000
limit_request_line = 1000
request_buffering = False
"""


class Watched(KindServer):
    """With a StatsD of its own."""

    statsd: socket.socket

    def metrics(self) -> list[str]:
        """What has come since the last look."""
        found = []
        while True:
            try:
                found.append(self.statsd.recv(4096).decode())
            except BlockingIOError:
                return found


@pytest.fixture(scope="module", params=KINDS, ids=str)
def server(request: pytest.FixtureRequest) -> Iterator[Watched]:
    kind: Kind = request.param
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.setblocking(False)
        with serving(Watched, kind, config=CONFIG.replace("PORT", str(statsd.getsockname()[1]))) as server:
            server.statsd = statsd
            yield server


def test_many_requests_on_one_connection(server: KindServer) -> None:
    with server.client() as client:
        for _ in range(50):
            response = client.get("/")
            assert (response.status, response.body, response.closes) == (200, b"hello", False)


def test_pipelined_requests_are_answered_in_order(server: KindServer) -> None:
    with server.client() as client:
        client.send(b"".join(request_bytes("GET", f"/bytes/{size}") for size in range(1, 30)))
        for size in range(1, 30):
            assert client.read_response().body == b"x" * size
        client.send(request_bytes("POST", "/echo", body=b"a") + request_bytes("GET", "/", [("Connection", "close")]))
        assert client.read_response().body == b"a"
        assert client.read_response().closes
        assert client.at_end()


def test_head_has_the_head_of_get_and_no_body(server: KindServer) -> None:
    with server.client() as client:
        response = client.request("HEAD", "/bytes/1000")
        assert (response.field("Content-Length"), response.body) == ("1000", b"")
        assert client.get("/").body == b"hello"


def test_bodies_arrive_whole(server: KindServer) -> None:
    """By length and in chunks, small and large, and what is behind them is the next request."""
    with server.client() as client:
        for body in (b"", b"x", MEGABYTE):
            assert client.request("POST", "/echo", body=body).body == body
        client.send(request_bytes("POST", "/echo", [("Transfer-Encoding", "chunked")]))
        for _ in range(100):
            client.send(b"a\r\n0123456789\r\n")
        client.send(b"0\r\n\r\n")
        assert client.read_response().body == b"0123456789" * 100
        body = MEGABYTE * 20
        digest = f"{len(body)} {hashlib.sha256(body).hexdigest()}"
        assert client.request("POST", "/digest", body=body).text == digest
        assert client.get("/").body == b"hello"


def test_unread_body_is_no_request(server: KindServer) -> None:
    with server.client() as client:
        assert client.request("POST", "/read/3", body=request_bytes("GET", "/echo")).body == b"GET"
        assert client.get("/").body == b"hello"


def test_truncated_body_is_never_complete(server: KindServer) -> None:
    since = len(server.notes("bodies"))
    for head, part in (
        ([("Content-Length", "100")], b"only half of what was promised"),
        ([("Transfer-Encoding", "chunked")], b"5\r\nhello\r\n"),
    ):
        with server.client() as client:
            client.send(request_bytes("POST", "/echo", head) + part)
            client.finish_sending()
            response = client.read_response_or_end()
            assert response is None or response.status == 400
    assert server.get("/").status == 200
    assert server.notes("bodies")[since:] == []


def test_expect_continue_gets_its_interim_response(server: KindServer) -> None:
    with server.client() as client:
        client.send(request_bytes("POST", "/echo", [("Expect", "100-continue"), ("Content-Length", "5")]))
        assert client.read_head().status == 100
        client.send(b"hello")
        assert client.read_response().body == b"hello"


def test_early_hints_come_before_the_response(server: KindServer) -> None:
    if not server.kind.hints:
        assert server.get("/early-hints").status == 404
        return
    with server.client() as client:
        response = client.get("/early-hints")
    assert [(hint.status, hint.field("Link")) for hint in response.interim] == [
        (103, "</style.css>; rel=preload; as=style")
    ]
    assert response.body == b"hinted"


def test_length_that_nobody_knows_is_chunked_or_ends_with_the_connection(server: KindServer) -> None:
    expected = b"".join(b"block %d\n" % index for index in range(20))
    with server.client() as client:
        response = client.get("/chunked/20")
        assert response.field("Transfer-Encoding") == "chunked"
        assert response.body == expected
        old = client.request("GET", "/chunked/20", version="HTTP/1.0")
        assert (old.until_close, old.body) == (True, expected)


def test_each_block_is_sent_before_the_next_is_made(server: KindServer) -> None:
    with server.client() as client:
        client.send(request_bytes("GET", "/chunked/4/120"))
        client.read_head()
        while b"block 0\n" not in client.buffer:
            assert client.fill()
        assert b"block 3\n" not in client.buffer
        assert len(client.read_chunks()) == 32


class Talk:
    """A request and its response that go on at the same time, line by line."""

    def __init__(self, server: KindServer) -> None:
        self.client = server.client()
        self.client.send(request_bytes("POST", "/lines", [("Transfer-Encoding", "chunked")]))
        self.got = b""
        self.begun = False

    def say(self, line: bytes) -> None:
        self.client.send(b"%x\r\n%s\r\n" % (len(line), line))
        if not self.begun:
            assert self.client.read_head().status == 200
            self.begun = True
        wanted = self.got + line.upper()
        while len(self.got) < len(wanted):
            size = int(self.client.take_until(b"\r\n"), 16)
            self.got += self.client.take(size)
            assert self.client.take(2) == b"\r\n"
        assert self.got == wanted

    def end(self) -> None:
        self.client.send(b"0\r\n\r\n")
        if not self.begun:
            assert self.client.read_head().status == 200
        assert self.client.read_chunks() == b""
        assert self.client.get("/").body == b"hello"
        self.client.close()


def test_request_and_response_stream_at_the_same_time(server: KindServer) -> None:
    """Of several clients at once, where the kind runs more than one request at a time."""
    talks = [Talk(server) for _ in range(1 if server.kind.one_at_a_time else 3)]
    for number in range(5):
        for talk in talks:
            talk.say(b"line %d\n" % number)
    for talk in talks:
        talk.end()


def test_large_responses_arrive_whole(server: KindServer) -> None:
    with server.client() as client:
        assert client.get("/bytes/5000000").body == b"x" * 5_000_000
        assert client.get("/blocks/40/100000").body == b"y" * 4_000_000
        assert client.get("/").body == b"hello"


@pytest.mark.parametrize("leaves", ["close", "reset"])
def test_application_hears_that_its_client_has_left(server: KindServer, leaves: str) -> None:
    for target in ("/endless", "/blocks/1000"):
        client = server.client()
        name = f"{leaves}{target.replace('/', '-')}"
        client.send(request_bytes("GET", f"{target}?name={name}"))
        assert client.fill()
        client.close() if leaves == "close" else client.reset()
        wait_until(lambda name=name: server.notes("closed").count(name) == 1, "it ends")  # type: ignore[misc]
    assert server.get("/").status == 200


def test_application_that_fails_costs_its_own_request(server: KindServer) -> None:
    (before,) = server.worker_pids()
    since = server.log_end()
    response = server.get("/raise-before")
    assert response.status == 500
    assert b"raised before" not in response.body
    assert server.get("/exit/3").status == 500
    with server.client() as client:
        client.send(request_bytes("GET", "/raise-during?name=during"))
        with nullcontext() if server.kind.name == "tornado" else pytest.raises(Cut):  # whose handlers end it themselves
            client.read_response()
    with server.client() as client:
        client.send(request_bytes("GET", "/short?name=short"))
        with suppress(Cut):
            assert client.read_response().status == 500  # nothing of it had been sent
    with server.client() as client:
        client.send(request_bytes("GET", "/over?name=over") + request_bytes("GET", "/"))
        assert client.read_response().body == b"12345"
        second = client.read_response_or_end()
        assert second is None or second.body == b"hello"
    for text in ("raised before start_response", "raised while the body was made", "/short"):
        server.wait_log(text, since)
    wait_until(lambda: {"during", "short", "over"} <= set(server.notes("closed")), "all have ended")
    assert server.worker_pids() == [before]


@pytest.mark.parametrize(
    ("status", "head"),
    [
        (400, b"GET / HTTP/1.1\r\n\r\n"),
        (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        (413, b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (LARGEST_BODY + 1)),
        (414, b"GET /" + b"a" * 1000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
        (431, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 2000 + b"\r\n\r\n"),
        (431, b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 50 + b"\r\n"),
        (501, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
        (505, b"GET / HTTP/3.0\r\nHost: a\r\n\r\n"),
    ],
    ids=["no host", "TLS", "body", "request line", "field", "fields", "coding", "version"],
)
def test_limits_are_kept(server: KindServer, status: int, head: bytes) -> None:
    with server.client() as client:
        assert client.get("/").status == 200
        client.send(head)
        client.finish_sending()
        response = client.read_response()
        assert (response.status, response.closes) == (status, True)
        assert client.at_end()


def test_body_in_chunks_is_refused_when_it_grows_over_the_limit(server: KindServer) -> None:
    since = len(server.notes("bodies"))
    with server.client() as client:
        client.send(request_bytes("POST", "/echo", [("Transfer-Encoding", "chunked")]))
        client.send(b"%x\r\n" % (LARGEST_BODY + 1))
        response = client.read_response()
        assert (response.status, response.closes) == (413, True)
    assert server.notes("bodies")[since:] == []


def test_access_log_has_one_line_for_each_request(server: KindServer) -> None:
    (pid,) = server.worker_pids()
    agent = ("User-Agent", 'a "quoted" agent')
    with server.client() as client:
        client.get("/bytes/17?logged=1", [agent, ("X-Test", "yes"), ("Referer", "http://example.org/")])
        client.request("POST", "/chunked/2?logged=2", body=b"abc")
        client.get("/raise-before?logged=3")
    with server.client() as client:
        client.send(b"GET /bad?logged=4 HTTP/1.1\r\n\r\n")
        assert client.read_response().status == 400

    def logged() -> list[str]:
        lines = [line for line in (server.home / "access").read_text().splitlines() if "logged=" in line]
        return lines if len(lines) >= 3 else []

    lines = wait_until(logged, "three requests are logged")
    quoted = re.escape('a \\"quoted\\" agent')
    assert re.fullmatch(
        rf'127\.0\.0\.1 GET "GET /bytes/17\?logged=1 HTTP/1\.1" /bytes/17 logged=1 HTTP/1\.1 200 17 '
        rf'"http://example\.org/" "{quoted}" <<?{pid}>?> \d+ yes -',
        lines[0],
    ), lines[0]
    chunked = r'127\.0\.0\.1 POST "POST /chunked/2\?logged=2 HTTP/1\.1" /chunked/2 logged=2 HTTP/1\.1 200 16 "-" "-"'
    assert re.match(chunked, lines[1]), lines[1]
    failed = r'127\.0\.0\.1 GET "GET /raise-before\?logged=3 HTTP/1\.1" /raise-before logged=3 HTTP/1\.1 500 '
    assert re.match(failed, lines[2]), lines[2]
    assert len(lines) == 3


def test_every_request_is_counted_by_statsd(server: Watched) -> None:
    server.metrics()
    statuses = [server.get(target).status for target in ("/", "/bytes/3", "/raise-before")]
    assert statuses == [200, 200, 500]
    got: list[str] = []

    def counted() -> bool:
        got.extend(server.metrics())
        return sum("contract.gunicorn.requests:" in each for each in got) >= 3

    wait_until(counted, "three requests are counted")
    text = "\n".join(got)
    assert re.findall(r"contract\.gunicorn\.request\.status\.(\d+):1\|c", text) == ["200", "200", "500"]
    assert len(re.findall(r"contract\.gunicorn\.request\.duration:[\d.]+\|ms", text)) == 3
    assert len(re.findall(r"contract\.gunicorn\.requests:1\|c", text)) == 3
