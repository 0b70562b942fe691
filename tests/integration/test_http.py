"""What HTTP/1.1 and PEP 3333 promise to WSGI applications, asked over real sockets.

One server a kind: a test that leaves something behind disturbs the next one. tests/contract asks every kind, also those
of other interfaces.
"""

import json
from collections.abc import Callable, Iterator

import pytest

from tests.integration.client import Cut, request_bytes
from tests.integration.harness import Server
from tests.integration.shared import running
from tests.integration.waiting import wait_until

MEGABYTE = bytes(range(256)) * 4096


class Shared(Server):
    kind: str


@pytest.fixture(scope="module", params=["sync", "gthread"])
def server(request: pytest.FixtureRequest) -> Iterator[Shared]:
    with running(Shared, kind=request.param) as server:
        server.kind = request.param
        (worker,) = server.worker_pids()
        yield server
        assert server.worker_pids() == [worker]


def test_keep_alive_serves_many_requests_on_one_connection(serve: Callable[..., Server], pair: tuple[str, str]) -> None:
    kind, transport = pair
    server = serve(kind=kind, transport=transport, workers=1)
    with server.client() as client:
        for _ in range(50):
            response = client.get("/")
            assert (response.status, response.body, response.closes) == (200, b"hello", False)


def test_environ_says_what_was_asked(server: Shared) -> None:
    response = server.get("/environ/?a=1&b=%20")
    environ = json.loads(response.body)
    expected = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/environ/",
        "QUERY_STRING": "a=1&b=%20",
        "RAW_URI": "/environ/?a=1&b=%20",
        "SCRIPT_NAME": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.multiprocess": False,
        "wsgi.multithread": server.kind == "gthread",
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    assert {name: environ.get(name) for name in expected} == expected


def test_forwarded_scheme_of_a_trusted_peer_is_believed(server: Server) -> None:
    with server.client() as client:
        environ = json.loads(client.get("/environ", [("X-Forwarded-Proto", "https")]).body)
    assert environ["wsgi.url_scheme"] == "https"


def test_forwarded_scheme_of_others_is_ignored(serve: Callable[..., Server], kind: str) -> None:
    server = serve(kind=kind, workers=1, options=["--forwarded-allow-ips", "10.0.0.1"])
    with server.client() as client:
        environ = json.loads(client.get("/environ", [("X-Forwarded-Proto", "https")]).body)
    assert environ["wsgi.url_scheme"] == "http"


def test_body_with_length_arrives_whole(server: Server) -> None:
    with server.client() as client:
        for body in (b"", b"x", MEGABYTE):
            assert client.request("POST", "/echo", body=body).body == body


def test_body_in_chunks_arrives_whole(server: Server) -> None:
    with server.client() as client:
        client.send(request_bytes("POST", "/echo", [("Transfer-Encoding", "chunked")]))
        for _ in range(100):
            client.send(b"a\r\n0123456789\r\n")
        client.send(b"0\r\n\r\n")
        assert client.read_response().body == b"0123456789" * 100
        assert client.get("/").body == b"hello"


def test_body_that_is_not_read_does_not_become_a_request(server: Server) -> None:
    inner = request_bytes("GET", "/echo")
    with server.client() as client:
        assert client.request("POST", "/read/3", body=inner).body == inner[:3]
        assert client.get("/").body == b"hello"


def test_large_body_that_is_not_read_never_becomes_a_request(server: Server) -> None:
    with server.client() as client:
        response = client.request("POST", "/read/3", body=request_bytes("GET", "/pid") * 20000)
        assert response.body == b"GET"
        if not response.closes:
            assert client.get("/").body == b"hello"


def test_client_in_the_middle_of_an_unread_body_gets_its_answer_and_no_reset(
    serve: Callable[..., Server], kind: str
) -> None:
    server = serve(kind=kind, workers=1, options=["--no-request-buffering"])
    with server.client() as client:
        client.send(request_bytes("POST", "/read/3", [("Content-Length", "50000000")]) + b"x" * 300_000)
        response = client.read_response()
        assert (response.status, response.body, response.closes) == (200, b"xxx", True)
        for _ in range(5):
            client.send(b"x" * 10_000)  # it does not know yet
        assert client.socket.recv(100) == b"", "the end of the response is a FIN, never a reset"
    assert server.get("/").status == 200


def test_early_hints_come_before_the_response(server: Server) -> None:
    with server.client() as client:
        response = client.get("/early-hints")
    assert [(hint.status, hint.field("Link")) for hint in response.interim] == [
        (103, "</style.css>; rel=preload; as=style")
    ]
    assert response.body == b"hinted"


def test_response_of_unknown_length_is_chunked(server: Server) -> None:
    with server.client() as client:
        response = client.get("/chunked/20")
        assert response.field("Transfer-Encoding") == "chunked"
        assert response.body == b"".join(b"block %d\n" % index for index in range(20))
        assert client.get("/").body == b"hello"


def test_response_of_unknown_length_ends_with_the_connection_for_http_1_0(server: Server) -> None:
    with server.client() as client:
        response = client.request("GET", "/chunked/20", version="HTTP/1.0")
        assert response.until_close
        assert response.body == b"".join(b"block %d\n" % index for index in range(20))


def test_each_block_is_sent_before_the_next_is_asked_for(server: Server) -> None:
    """The application waits 150 ms before each block; the first must not wait for the fifth."""
    with server.client() as client:
        client.send(request_bytes("GET", "/chunked/5/150"))
        client.read_head()
        while b"block 0\n" not in client.buffer:
            assert client.fill()
        assert b"block 4\n" not in client.buffer
        assert len(client.read_chunks()) == 40


def test_write_callable_sends(server: Server) -> None:
    assert server.get("/write/3").body == b"block 0\nblock 1\nblock 2\nend\n"


def test_file_wrapper_sends_the_whole_file(server: Server) -> None:
    (server.home / "file.bin").write_bytes(MEGABYTE * 3)
    with server.client() as client:
        for _ in range(3):
            assert client.get("/file").body == MEGABYTE * 3


def test_large_responses_arrive_whole_whatever_their_shape(server: Server) -> None:
    with server.client() as client:
        assert client.get("/bytes/5000000").body == b"x" * 5_000_000
        assert client.get("/blocks/40/100000").body == b"y" * 4_000_000
        assert client.get("/").body == b"hello"


def test_exception_before_the_response_is_a_500_with_its_traceback_in_the_log(server: Server) -> None:
    with server.client() as client:
        response = client.get("/raise-before")
        assert response.status == 500
        assert b"raised before" not in response.body
    server.wait_log("RuntimeError: raised before start_response")
    assert server.get("/").status == 200


def test_exception_within_the_body_never_looks_complete(server: Server) -> None:
    with server.client() as client:
        client.send(request_bytes("GET", "/raise-during?name=during"))
        with pytest.raises(Cut):
            client.read_response()
    server.wait_log("RuntimeError: raised while the body was made")
    assert server.notes("closed").count("during") == 1
    assert server.get("/").status == 200


def test_body_shorter_than_its_length_is_cut_and_logged(server: Server) -> None:
    since = server.log_end()
    with server.client() as client:
        client.send(request_bytes("GET", "/short?name=short"))
        with pytest.raises(Cut):
            client.read_response()
    server.wait_log("/short.*shorter than its Content-Length", since)
    assert server.notes("closed").count("short") == 1


def test_body_longer_than_its_length_sends_exactly_its_length(server: Server) -> None:
    with server.client() as client:
        client.send(request_bytes("GET", "/over?name=over") + request_bytes("GET", "/"))
        assert client.read_response().body == b"12345"
        second = client.read_response_or_end()
        assert second is None or second.body == b"hello"  # never the surplus bytes
    wait_until(lambda: server.notes("closed").count("over") == 1, "close() is called")


def test_truncated_body_never_reaches_the_application_as_complete(server: Server) -> None:
    before = server.notes("bodies")
    for head, part in (
        ([("Content-Length", "100")], b"only half of what was promised"),
        ([("Transfer-Encoding", "chunked")], b"5\r\nhello\r\n"),
        ([("Transfer-Encoding", "chunked")], b"5\r\nhello\r\n0\r\n"),
    ):
        with server.client() as client:
            client.send(request_bytes("POST", "/echo", head) + part)
            client.finish_sending()
            response = client.read_response_or_end()
            assert response is None or response.status == 400
    assert server.get("/").status == 200
    assert server.notes("bodies") == before


def test_client_that_leaves_ends_the_iteration_with_one_close(server: Server) -> None:
    for name in ("reset", "closed"):
        client = server.client()
        client.send(request_bytes("GET", f"/endless?name={name}"))
        assert client.fill()
        client.reset() if name == "reset" else client.close()
        wait_until(lambda name=name: name in server.notes("closed"), "close() is called")  # type: ignore[misc]
    with server.client() as client:
        for _ in range(5):
            assert client.get("/").status == 200
    assert [server.notes("closed").count(name) for name in ("closed", "reset")] == [1, 1]


def test_close_is_called_once_when_the_client_leaves_in_a_large_response(server: Server) -> None:
    client = server.client()
    client.send(request_bytes("GET", "/blocks/1000?name=large"))
    assert client.fill()
    client.reset()
    wait_until(lambda: "large" in server.notes("closed"), "close() is called")
    assert server.get("/").status == 200
    assert server.notes("closed").count("large") == 1


def test_close_is_called_once_after_a_complete_response(server: Server) -> None:
    before = len(server.notes("closed"))
    with server.client() as client:
        for index in range(5):
            client.get(f"/blocks/3?name={index}")
            client.get(f"/chunked/3?name=c{index}")
    wait_until(lambda: len(server.notes("closed")) == before + 10, "close() is called ten times")
    assert len(set(server.notes("closed")[before:])) == 10


@pytest.mark.parametrize(
    ("head", "statuses"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", {400}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {400}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", {400}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", {400}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", {400, 501}),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", {400, 505}),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", {400}),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", {414}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000 + b"\r\n\r\n", {431}),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 200 + b"\r\n", {431}),
    ],
)
def test_wrong_heads_are_refused_and_the_connection_closed(
    server: Server, head: bytes, statuses: set[int]
) -> None:
    with server.client() as client:
        client.send(head)
        client.finish_sending()
        response = client.read_response()
        assert response.status in statuses
        assert response.closes
        assert client.at_end()
    assert server.get("/").status == 200
