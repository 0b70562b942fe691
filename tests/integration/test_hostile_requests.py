"""Requests that must not reach an application, over real sockets: shared/http-security.md, row by row.

The parser's verdicts are the corpus's business (tests/corpus/http1). Here is what a client can see of them: the status,
an answer without its own bytes, the end of the connection; and what the application and the log say: no call, no
traceback. Each row is sent whole, with a request behind it, byte by byte, and in two pieces, to each worker kind.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.client import Client
from tests.integration.harness import Server

BEHIND = b"GET /behind HTTP/1.1\r\nHost: behind\r\n\r\n"
LONGEST_BYTE_BY_BYTE = 400


@pytest.fixture(scope="module", params=["sync-tcp", "gthread-unix"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One server for all rows: what one row leaves behind, the next one would meet.

    Each kind over one transport; tests/contract has the corpus for every kind over TCP.
    """
    kind, transport = request.param.split("-")
    server = Server(transport)
    # 10.0.0.1: a TCP client of these tests is nobody's proxy.
    server.start("recorder:application", kind=kind, workers=2, options=["--forwarded-allow-ips", "10.0.0.1"])
    try:
        server.wait_ready()
        workers = server.worker_pids()
        yield server
        assert server.worker_pids() == workers
        assert server.get("/").text == "ok\n"
        assert server.stop() == 0
        assert "Traceback" not in server.log()
        assert "defect" not in server.log()
    finally:
        server.kill_leftovers()
        server.hang_up()
        server.remove()


def whole(request: bytes) -> list[bytes]:
    return [request]


def with_a_request_behind(request: bytes) -> list[bytes]:
    return [request + BEHIND]


def then_a_request(request: bytes) -> list[bytes]:
    return [request, BEHIND]


def byte_by_byte(request: bytes) -> list[bytes]:
    return [request[at : at + 1] for at in range(len(request))] if len(request) <= LONGEST_BYTE_BY_BYTE else [request]


def in_two_pieces(request: bytes) -> list[bytes]:
    return [request[: len(request) // 2], request[len(request) // 2 :]]


Sending = Callable[[bytes], list[bytes]]
SENDING: list[Sending] = [whole, with_a_request_behind, then_a_request, byte_by_byte, in_two_pieces]


def send(client: Client, pieces: list[bytes]) -> None:
    """Send what the server takes: it may refuse before it has all."""
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            client.send(piece)


def calls(server: Server) -> list[dict[str, Any]]:
    """What the application was asked since the last look."""
    found = [json.loads(line) for line in server.notes("calls")]
    (server.home / "calls").unlink(missing_ok=True)
    return found


def post(*fields: str, body: bytes = b"", version: str = "HTTP/1.1", target: str = "/") -> bytes:
    return "\r\n".join([f"POST {target} {version}", "Host: a", *fields, "", ""]).encode("latin-1") + body


def get(*fields: str, line: str = "GET / HTTP/1.1", host: str | None = "a") -> bytes:
    hosts = [] if host is None else [f"Host: {host}"]
    return "\r\n".join([line, *hosts, *fields, "", ""]).encode("latin-1")


def chunks(body: bytes, *fields: str) -> bytes:
    return post("Transfer-Encoding: chunked", *fields, body=body)


TE = "Transfer-Encoding"
CL = "Content-Length"
FIVE = b"5\r\nhello\r\n0\r\n\r\n"

REFUSED: dict[str, bytes] = {
    # Content-Length and Transfer-Encoding together (RFC 9112 section 6.3)
    "CL and TE": post(f"{CL}: 5", f"{TE}: chunked", body=FIVE),
    "TE and CL": post(f"{TE}: chunked", f"{CL}: 5", body=FIVE),
    "CL 0 and TE": post(f"{CL}: 0", f"{TE}: chunked", body=FIVE),
    "TE in HTTP/1.0": post(f"{TE}: chunked", body=FIVE, version="HTTP/1.0"),
    "TE in HTTP/1.0 with keep-alive": post(f"{TE}: chunked", "Connection: keep-alive", body=FIVE, version="HTTP/1.0"),
    # Transfer-Encoding that is not exactly chunked (section 6.1)
    **{
        f"TE {value!r}": post(f"{TE}: {value}", body=FIVE)
        for value in (
            "\x0bchunked", "\xa0chunked", '"chunked"', "xchunked", "chunked\0", "chunked\x0b", "chunked\x85", "x", "",
            "chunked, identity", "chunked, chunked", "identity", "identity, chunked", "gzip", "gzip, chunked",
            "chunked;q=1", "chunke\xcc\x81d", "chunked,", ",chunked", "\u00e7hunked", "chunked\r\n ,x",
        )
    },
    "two TE": post(f"{TE}: chunked", f"{TE}: chunked", body=FIVE),
    "two TE, one unknown": post(f"{TE}: x", f"{TE}: chunked", body=FIVE),
    "TE with a space before the colon": post(f"{TE} : chunked", body=FIVE),
    "TE with a tab before the colon": post(f"{TE}\t: chunked", body=FIVE),
    # Content-Length (RFC 9110 section 8.6)
    "two CL that differ": post(f"{CL}: 0", f"{CL}: 5", body=b"hello"),
    "two CL alike": post(f"{CL}: 5", f"{CL}: 5", body=b"hello"),
    **{
        f"CL {value[:20]!r}": post(f"{CL}: {value}", body=b"hello")
        for value in (
            "0, 5", "5, 5", "+5", "-0", "-5", "0x5", "5_0", "5 5", '""', '"5"', "", "\xb2", "5\x0b", "\x0b5", "5\0",
            "\xa05", "5\x85", "5;", "5.0", "5e0", str(2**64 + 5), str(2**63), "9" * 5000, "Infinity", "5\r\n 5",
        )
    },
    "CL with a space before the colon": post(f"{CL} : 5", body=b"hello"),
    # Chunks (section 7.1)
    **{
        f"chunk size {size!r}": chunks(size + b"\r\nhello\r\n0\r\n\r\n")
        for size in (
            b"0x5", b"+5", b"-5", b"5_0", b" 5", b"5 ", b"\t5", b"", b"5\0", b"\x005", b"g", b"5,", b"\xb2", b"05_",
            b"1" + b"0" * 16, b"F" * 17, b"0" * 17 + b"5",
        )
    },
    **{
        f"chunk framing {body!r}": chunks(body)
        for body in (
            b"5\nhello\r\n0\r\n\r\n", b"5\rhello\r\n0\r\n\r\n", b"5\r\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhelloXX0\r\n\r\n", b"5\r\nhelloX\r\n0\r\n\r\n", b"5\r\nhello\r0\r\n\r\n", b"5\r\nhello0\r\n\r\n",
            b"5\r\nhello\r\n0\n\r\n", b"5\r\nhello\r\n0\r\n\n", b"5\r\nhello\r\n0\r\nX\r\n",
            b"5\r\nhello\r\n0\r\n\rX\r\n", b"4\r\nhello\r\n0\r\n\r\n", b"\r\n5\r\nhello\r\n0\r\n\r\n",
            b"5\r\nhello\r\n\r\n0\r\n\r\n",
        )
    },
    **{
        f"chunk extension {extension[:20]!r}": chunks(b"5;" + extension + b"\r\nhello\r\n0\r\n\r\n")
        for extension in (
            b"", b"\n", b"a\rb", b'a="\r\n"', b'a="', b"a=\0", b"a=b c", b";", b"=b", b'a="\x7f"', b"a\n5",
            b"a=" + b"x" * 2_000_000, b";a" * 20_000,
        )
    },
    "many extensions that are large together": chunks((b"1;" + b"a" * 1000 + b"\r\nx\r\n") * 100 + b"0\r\n\r\n"),
    # Trailers (section 7.1.2)
    **{
        f"trailer {trailer[:30]!r}": chunks(b"5\r\nhello\r\n0\r\n" + trailer + b"\r\n\r\n")
        for trailer in (
            b"Content-Length: 5", b"content-length: 50", b"Transfer-Encoding: chunked", b"Host: b",
            b"Authorization: Basic x", b"TE: trailers", b"no colon", b"X : a", b" X: a", b"X: a\rb", b"X: a\0", b": a",
            b"X: a\nY: b", b"X\xff: a", b"X: " + b"a" * 1_000_000, b"\r\n".join([b"X: a"] * 20_000),
        )
    },
    # Fields (section 5)
    **{
        f"field {field!r}": get(field)
        for field in (
            "X A: b", "X\0: b", "X\x85: b", "Content-Length\x85: 5", ": b", ":", "X", "X;: b", "X\x7f: b", "X(: b",
            "\x0bX: b", "\xa0X: b", "X\u00e9: b", '"X": b', "X : b", "X\t: b", "X: a\rb", "X: a\0b", "X: a\nB: c",
            "X: a\x0bb", "X: a\x7f", "X: a\x1bb", "X: a\r\n b", "X: a\r\n\tb", "X: a\r", "\nX: a", "\rX: a",
        )
    },
    "white space before the first field": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "tab before the first field": b"GET / HTTP/1.1\r\n\tX: a\r\nHost: a\r\n\r\n",
    "bare LF everywhere": b"GET / HTTP/1.1\nHost: a\n\n",
    "bare LF behind the request line": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "bare LF behind a field": b"GET / HTTP/1.1\r\nHost: a\n\r\n",
    "bare LF as the empty line": b"GET / HTTP/1.1\r\nHost: a\r\n\n",
    # Host (section 3.2)
    "no Host": get(host=None),
    "two Hosts": get("Host: b"),
    "two Hosts alike": get("Host: a"),
    "two Hosts in HTTP/1.0": get("Host: b", line="GET / HTTP/1.0"),
    **{
        f"Host {host!r}": get(host=host)
        for host in (
            "a b", "u@h", "h:x", "h/x", "<h>", "h\xe9", "h:80:80", "h:123456", "[::1", "::1", "[x]", "h\\x", "h#", "h?",
            "a, b", "h:-1", "h:+1", "%zz", "[::1]x", "[]", "h\x7f", '"h"', "h|", "{h}", "h^", "h`",
        )
    },
    # Targets and request lines (section 3)
    **{
        f"request line {line!r}": get(line=line)
        for line in (
            "GET * HTTP/1.1", "GET h:80 HTTP/1.1", "GET foo HTTP/1.1", "GET ?x HTTP/1.1", "CONNECT /x HTTP/1.1",
            "CONNECT h HTTP/1.1", "CONNECT http://h:80/ HTTP/1.1", "GET http:///x HTTP/1.1", "GET http://u@h/ HTTP/1.1",
            "GET ftp://h/ HTTP/1.1", "GET http:/h HTTP/1.1", "GET http://h\\x/ HTTP/1.1", "GET /# HTTP/1.1",
            "GET /\0 HTTP/1.1", "GET /\x01 HTTP/1.1", "GET /\x7f HTTP/1.1", "GET /\xe9 HTTP/1.1", "GET /\t HTTP/1.1",
            "GET /a b HTTP/1.1", "GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET\t/ HTTP/1.1", "GET / HTTP/1.1 ",
            " GET / HTTP/1.1", "GET /", "GET", "GET / ", "G\xe9T / HTTP/1.1", "get / HTTP/1.1", "G(T / HTTP/1.1",
            "GET / HTTP/1.10", "GET / HTTP/01.1", "GET / http/1.1", "GET / HTTP/2.0", "GET / HTTP/0.9", "GET / HTTP/1",
            "GET / HTTP/1.x", "GET / HTTP/1,1", "GET / HTTP /1.1", "GET / HTTPS/1.1", "GET / HTTP/3.1",
            "GET / HTTP/1.\xb2", "GET /\r HTTP/1.1", "\x0bGET / HTTP/1.1", "\0GET / HTTP/1.1",
            "\xef\xbb\xbfGET / HTTP/1.1",
        )
    },
    "CONNECT with an authority": get(line="CONNECT h:443 HTTP/1.1"),
    "HTTP/0.9": b"GET /\r\n",
    "HTTP/0.9 with LF": b"GET /\n",
    "garbage": b"\xff\xfe\xfd garbage\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x55" * 200,
    "an SSL 2 hello": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
    "HTTP/2 with prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    "PROXY version 1": b"PROXY TCP4 1.2.3.4 5.6.7.8 80 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "PROXY version 2": b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + b"\1" * 12 + get(),
    "a response": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "SMTP": b"EHLO x\r\n",
    "many empty lines": b"\r\n" * 50 + get(),
    # Limits
    "a request line of a megabyte": get(line=f"GET /{'a' * 1_000_000} HTTP/1.1"),
    "a method of a megabyte": b"A" * 1_000_000,
    "20,000 fields": get(*["X: a"] * 20_000),
    "a field of a megabyte": get("X: " + "a" * 1_000_000),
    "a name of a megabyte": get("X" * 1_000_000 + ": a"),
    "empty fields without an end": get()[:-2] + b"a:\r\n" * 500_000,
    # Expect (RFC 9110 section 10.1.1)
    "an unknown expectation": post("Expect: 200-ok", f"{CL}: 5", body=b"hello"),
    "an unknown expectation beside a known one": post("Expect: 100-continue, x", f"{CL}: 5", body=b"hello"),
}  # fmt: skip


UNFINISHED: dict[str, bytes] = {
    "half a body": post(f"{CL}: 10", body=b"hello"),
    "no body": post(f"{CL}: 10"),
    "no last chunk": chunks(b"5\r\nhello\r\n"),
    "half a chunk": chunks(b"5\r\nhel"),
    "no end of a chunk": chunks(b"5\r\nhello\r"),
    "no end behind the last chunk": chunks(b"5\r\nhello\r\n0\r\n"),
    "half an end behind the last chunk": chunks(b"5\r\nhello\r\n0\r\n\r"),
    "no end behind a trailer": chunks(b"5\r\nhello\r\n0\r\nX: a\r\n"),
    "no body behind 100 Continue": post(f"{CL}: 10", "Expect: 100-continue"),
    "half a head": get()[:-2],
    "half a request line": b"GET / HT",
    "bare CR everywhere": b"GET / HTTP/1.1\rHost: a\r\r",
}


@dataclass(frozen=True)
class Served:
    """What the application must see of a request, and whether the connection goes on behind it."""

    request: bytes
    call: dict[str, Any]
    stays: bool = True


INNER = b"GET /inner HTTP/1.1\r\nHost: a\r\n\r\n"

SERVED: dict[str, Served] = {
    "CL with white space around it": Served(post(f"{CL}: \t5 ", body=b"hello"), {"body": "hello", "length": "5"}),
    "CL with leading zeros": Served(post(f"{CL}: 0005", body=b"hello"), {"body": "hello"}),
    "TE in another case": Served(post(f"{TE.upper()}: CHUNKED", body=FIVE), {"body": "hello", "length": None}),
    "many tiny chunks": Served(chunks(b"1\r\nx\r\n" * 2000 + b"0\r\n\r\n"), {"body": "x" * 2000}),
    "chunk extensions": Served(chunks(b'5;a;b=c ; d="e\\";\xff"\r\nhello\r\n0;z\r\n\r\n'), {"body": "hello"}),
    "chunk size with zeros": Served(chunks(b"0" * 15 + b"5\r\nhello\r\n000\r\n\r\n"), {"body": "hello"}),
    "trailers": Served(
        chunks(b"5\r\nhello\r\n0\r\nX-Real-IP: evil\r\nCookie: a=b\r\n\r\n", "Trailer: X-Real-IP"),
        {
            "body": "hello",
            "fields": {"HTTP_HOST": "a", "HTTP_TRAILER": "X-Real-IP", "HTTP_TRANSFER_ENCODING": "chunked"},
        },
    ),
    "a request as a body": Served(post(f"{CL}: {len(INNER)}", body=INNER), {"body": INNER.decode()}),
    "a request as a body that nobody reads": Served(
        post(f"{CL}: {len(INNER)}", body=INNER, target="/unread"), {"path": "/unread", "body": ""}
    ),
    "a request as a chunk that nobody reads": Served(
        post(f"{TE}: chunked", body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER), target="/unread"),
        {"path": "/unread", "body": ""},
    ),
    "a request as the body of an upgrade": Served(
        post("Connection: upgrade", "Upgrade: h2c", f"{CL}: {len(INNER)}", body=INNER), {"body": INNER.decode()}
    ),
    "an expectation whose body comes at once": Served(
        post("Expect: 100-continue", f"{CL}: 5", body=b"hello"), {"body": "hello"}
    ),
    "a URI as the target": Served(get(line="GET http://b.example:8/x HTTP/1.1"), {"host": "b.example:8", "path": "/x"}),
    "a URI without a path": Served(get(line="GET http://b.example?y HTTP/1.1"), {"host": "b.example", "path": "/"}),
    "the server as a whole": Served(get(line="OPTIONS * HTTP/1.1"), {"target": "*"}),
    "two slashes": Served(get(line="GET //evil.example/x HTTP/1.1"), {"path": "//evil.example/x", "host": "a"}),
    "encoded bytes in the target": Served(get(line="GET /%00%0d%0a%2e%2e HTTP/1.1"), {"path": "/\0\r\n.."}),
    "a later minor version": Served(get(line="GET / HTTP/1.9"), {"method": "GET"}),
    "one empty line before it": Served(b"\r\n" + get(), {"method": "GET"}),
    "an empty value": Served(get("X:"), {"fields": {"HTTP_HOST": "a", "HTTP_X": ""}}),
    "8-bit bytes in a value": Served(get("X: \xe9\x85"), {"fields": {"HTTP_HOST": "a", "HTTP_X": "\xe9\x85"}}),
    "an IPv6 host": Served(get(host="[::1]:80"), {"host": "[::1]:80"}),
    "close among the options": Served(get("Connection: foo, close"), {"method": "GET"}, stays=False),
    "close in another case": Served(get("Connection: CLOSE"), {"method": "GET"}, stays=False),
    "close in a second field": Served(get("Connection: keep-alive", "Connection: close"), {}, stays=False),
    "HTTP/1.0": Served(get(line="GET / HTTP/1.0"), {"method": "GET"}, stays=False),
    "HTTP/1.0 without Host": Served(get(line="GET / HTTP/1.0", host=None), {"host": None}, stays=False),
    "HTTP/1.0 with keep-alive": Served(get("Connection: Keep-Alive", line="GET / HTTP/1.0"), {"method": "GET"}),
    "HTTP/1.0 that expects": Served(
        post("Expect: 100-continue", f"{CL}: 5", body=b"hello", version="HTTP/1.0"), {"body": "hello"}, stays=False
    ),
    "names with an underscore": Served(
        get("X_Forwarded_For: evil", "X-Forwarded-For: good", "Content_Length: 5", "Transfer_Encoding: chunked"),
        {"length": None, "fields": {"HTTP_HOST": "a", "HTTP_X_FORWARDED_FOR": "good"}},
    ),
}  # fmt: skip

SERVED_TO_STRANGERS: dict[str, Served] = {
    "names of CGI": Served(
        get("SCRIPT_NAME: /x", "PATH_INFO: /x", "REMOTE_USER: root", "Remote-User: root", "Script-Name: /x"),
        {
            "path": "/",
            "script_name": "",
            "fields": {"HTTP_HOST": "a", "HTTP_REMOTE_USER": "root", "HTTP_SCRIPT_NAME": "/x"},
        },
    ),
    "a scheme": Served(get("X-Forwarded-Proto: https", "X-Forwarded-Ssl: on"), {"scheme": "http"}),
}


def assert_refused(client: Client, sending: Sending) -> None:
    response = client.read_response()
    assert 400 <= response.status < 500 or response.status in (501, 505), sending.__name__
    # Status and reason, and nothing of what the client sent.
    assert response.text == f"{response.status} {response.reason}\n", sending.__name__
    assert response.field("Connection") == "close", sending.__name__
    assert client.at_end(), sending.__name__


def assert_served(server: Server, row: Served) -> None:
    for sending in SENDING:
        behind = sending in (with_a_request_behind, then_a_request)
        with server.client(5.0) as client:
            send(client, sending(row.request))
            response = client.read_response()
            assert (response.status, response.minor, response.text) == (200, 1, "ok\n"), sending.__name__
            assert response.closes is not row.stays, sending.__name__
            if behind and row.stays:
                assert client.read_response().text == "ok\n", sending.__name__
            elif not row.stays:
                assert client.at_end(), sending.__name__
        first, *rest = calls(server)
        assert {key: first[key] for key in row.call} == row.call, sending.__name__
        assert "REMOTE_USER" not in first["other"], sending.__name__
        assert [call["path"] for call in rest] == (["/behind"] if behind and row.stays else []), sending.__name__


@pytest.mark.parametrize("name", REFUSED)
def test_request_is_refused_and_nothing_behind_it_served(server: Server, name: str) -> None:
    for sending in SENDING:
        with server.client(5.0) as client:
            send(client, sending(REFUSED[name]))
            assert_refused(client, sending)
    assert calls(server) == []


@pytest.mark.parametrize("name", UNFINISHED)
def test_request_that_ends_early_never_reaches_the_application(server: Server, name: str) -> None:
    for sending in (whole, byte_by_byte):
        with server.client(5.0) as client:
            send(client, sending(UNFINISHED[name]))
            client.finish_sending()
            assert_refused(client, sending)
    assert calls(server) == []


@pytest.mark.parametrize("name", SERVED)
def test_request_is_served_as_it_was_meant(server: Server, name: str) -> None:
    assert_served(server, SERVED[name])


@pytest.mark.parametrize("server", ["sync-tcp", "gthread-tcp"], indirect=True)
@pytest.mark.parametrize("name", SERVED_TO_STRANGERS)
def test_request_of_a_stranger_is_not_believed(server: Server, name: str) -> None:
    """A Unix peer is never a stranger."""
    assert_served(server, SERVED_TO_STRANGERS[name])


def test_refusal_reaches_a_client_that_sends_on(server: Server) -> None:
    """Nginx makes a 502 of an answer when the rest of its upload meets a reset."""
    with server.client() as client:
        client.send(post(f"{CL}: 8000000, 8000000") + b"x" * 8_000_000)
        assert_refused(client, whole)
    assert calls(server) == []
