"""The uwsgi protocol behind Nginx's `uwsgi_pass`, and from peers that may not speak it, or not like that."""

import hashlib
import json
import signal
import struct
from collections.abc import Iterator

import pytest

from tests.integration.client import Address, Client, request_bytes
from tests.integration.harness import Server
from tests.integration.load import Load
from tests.integration.proxy import Nginx, uwsgi_site
from tests.integration.shared import running
from tests.integration.waiting import wait_until

PROXY = "127.0.0.9"
"""The address that may speak uwsgi; others of this machine may not."""
VARIABLES = {"REQUEST_METHOD": "GET", "REQUEST_URI": "/environ", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "a"}


@pytest.fixture(scope="module", params=["sync", "gthread"])
def uwsgi(request: pytest.FixtureRequest) -> Iterator[Server]:
    options = ["--protocol", "uwsgi", "--uwsgi-allow-from", PROXY, "--bind", "unix:HOME/other.sock"]
    options += ["--access-logfile", "HOME/access.log"]
    with running(Server, kind=request.param, workers=2, options=options) as server:
        (server.home / "file.bin").write_bytes(b"file" * 250_000)
        yield server


def site(upstream: Address, port: int) -> str:
    """Nginx binds its own end to an address only over TCP."""
    bind = "" if isinstance(upstream, str) else f"uwsgi_bind {PROXY}; "
    params = "uwsgi_param REMOTE_USER ada; uwsgi_param X_TENANT $arg_tenant;"
    return uwsgi_site(upstream, port, f"uwsgi_buffering off; {bind}{params}")


@pytest.fixture(scope="module", params=["tcp", "unix"])
def proxy(request: pytest.FixtureRequest, uwsgi: Server) -> Iterator[Nginx]:
    address = uwsgi.address if request.param == "tcp" else str(uwsgi.home / "other.sock")
    with Nginx(address, site) as nginx:
        yield nginx


def environ(proxy: Nginx, target: str = "/environ", fields: list[tuple[str, str]] | None = None) -> dict[str, str]:
    with Client(proxy.address) as client:
        response = client.request("GET", target, fields or [])
    assert response.status == 200
    return dict(json.loads(response.body))


def test_the_application_sees_what_nginx_says(proxy: Nginx) -> None:
    with Client(proxy.address) as client:
        port = str(client.socket.getsockname()[1])
        for _ in range(3):
            seen = json.loads(client.get("/%65nviron/?tenant=one&b=%2F").body)
            expected = {
                "REMOTE_ADDR": "127.0.0.1",
                "REMOTE_PORT": port,
                "REMOTE_USER": "ada",
                "X_TENANT": "one",
                "SERVER_NAME": "here.example",
                "SERVER_PORT": str(proxy.address[1]),
                "SERVER_PROTOCOL": "HTTP/1.1",
                "REQUEST_METHOD": "GET",
                "QUERY_STRING": "tenant=one&b=%2F",
                "SCRIPT_NAME": "",
                "PATH_INFO": "/environ/",
                "RAW_URI": "/%65nviron/?tenant=one&b=%2F",
                "HTTP_HOST": "localhost",
                "wsgi.url_scheme": "http",
            }
            assert {name: seen.get(name) for name in expected} == expected


def test_what_clients_forge_stays_a_field(proxy: Nginx) -> None:
    forged = [("Remote-Addr", "6.6.6.6"), ("Remote-User", "root"), ("X-Tenant", "two"), ("Https", "on")]
    forged += [("REMOTE_USER", "root"), ("X_TENANT", "two"), ("Proxy", "http://evil")]
    seen = environ(proxy, fields=forged)
    assert (seen["REMOTE_ADDR"], seen["REMOTE_USER"], seen["wsgi.url_scheme"]) == ("127.0.0.1", "ada", "http")
    assert seen.get("X_TENANT", "") == ""
    assert seen["HTTP_REMOTE_USER"] == "root"
    assert "HTTP_PROXY" not in seen


@pytest.mark.parametrize("size", [0, 5, 100_000, 5_000_000])
def test_bodies_pass_whole(proxy: Nginx, size: int) -> None:
    body = bytes(index % 251 for index in range(1000)) * (size // 1000) + b"x" * (size % 1000)
    with Client(proxy.address) as client:
        response = client.request("POST", "/echo", [("Content-Type", "a/b")], body)
        assert hashlib.sha256(response.body).digest() == hashlib.sha256(body).digest()
        assert client.get("/pid").status == 200


def test_a_body_in_chunks_is_passed_on_by_its_length(proxy: Nginx) -> None:
    with Client(proxy.address) as client:
        chunks = b"".join(b"%x\r\n%b\r\n" % (1000, b"c" * 1000) for _ in range(50))
        client.send(request_bytes("POST", "/digest", [("Transfer-Encoding", "chunked")]) + chunks + b"0\r\n\r\n")
        assert client.read_response().text.startswith("50000 ")


def test_responses_of_every_framing_arrive_whole(proxy: Nginx) -> None:
    with Client(proxy.address) as client:
        for _ in range(3):
            assert client.get("/bytes/100000").body == b"x" * 100_000
            assert client.get("/chunked/20").body.count(b"block") == 20
            assert client.get("/blocks/20").body == b"y" * (20 * 65536)
            assert client.get("/file").body == b"file" * 250_000
            head = client.request("HEAD", "/bytes/100")
            assert (head.status, head.field("Content-Length"), head.body) == (200, "100", b"")
            assert client.get("/nothing-here").status == 404


def test_a_response_streams_while_it_is_made(proxy: Nginx) -> None:
    with Client(proxy.address) as client:
        client.send(request_bytes("GET", "/chunked/3/300"))
        assert client.read_head().status == 200
        assert b"block 0" in client.buffer or client.fill()
        assert b"block 2" not in client.buffer


def test_an_error_of_the_application_is_a_500_and_a_broken_response_is_seen(proxy: Nginx) -> None:
    with Client(proxy.address) as client:
        assert client.get("/raise-before").status == 500
    assert environ(proxy)["REQUEST_METHOD"] == "GET"


def test_the_access_log_names_the_client(proxy: Nginx, uwsgi: Server) -> None:
    with Client(proxy.address) as client:
        assert client.get("/bytes/4?seen-by-nginx").status == 200
    log = uwsgi.home / "access.log"
    lines = wait_until(
        lambda: [line for line in log.read_text().splitlines() if "seen-by-nginx" in line], "the request is logged"
    )
    assert lines[-1].startswith("127.0.0.1 ")
    assert '"GET /bytes/4?seen-by-nginx HTTP/1.1" 200 4 ' in lines[-1]


def test_reload_under_load_fails_no_request(proxy: Nginx, uwsgi: Server) -> None:
    with Load(proxy.address, clients=4) as load:
        load.wait_for(50)
        since = uwsgi.log_end()
        uwsgi.send_signal(signal.SIGHUP)
        uwsgi.wait_ready(2, since)
        load.wait_for(50)
    load.tally.assert_nothing_failed()


# Packets, byte by byte


def packet(variables: dict[str, str], modifier1: int = 0, modifier2: int = 0) -> bytes:
    block = b""
    for text in (part for pair in variables.items() for part in pair):
        block += struct.pack("<H", len(text.encode())) + text.encode()
    return struct.pack("<BHB", modifier1, len(block), modifier2) + block


def connected(server: Server, source: str = PROXY) -> Client:
    return server.client(source=source)


@pytest.mark.parametrize("piece", [1, 13, 10_000])
def test_packets_are_read_in_any_pieces(uwsgi: Server, piece: int) -> None:
    data = packet({**VARIABLES, "REQUEST_METHOD": "POST", "REQUEST_URI": "/echo", "CONTENT_LENGTH": "5"}) + b"hello"
    with connected(uwsgi) as client:
        for at in range(0, len(data), piece):
            client.send(data[at : at + piece])
        response = client.read_response()
        assert (response.status, response.body) == (200, b"hello")
        assert client.at_end()


def test_a_connection_carries_one_request(uwsgi: Server) -> None:
    with connected(uwsgi) as client:
        client.send(packet(VARIABLES) * 3)
        assert client.read_response().status == 200
        assert client.at_end()


BROKEN = {
    "modifier1": packet(VARIABLES, modifier1=5),
    "modifier2": packet(VARIABLES, modifier2=1),
    "empty": packet({}),
    "half": packet(VARIABLES)[:40],
    "size": b"\0\x04\0\0\xff\xffab",
    "method": packet({**VARIABLES, "REQUEST_METHOD": "G T"}),
    "field": packet({**VARIABLES, "HTTP_X": "a\r\nEvil: 1"}),
    "length": packet({**VARIABLES, "CONTENT_LENGTH": "-5"}),
    "two lengths": packet({**VARIABLES, "CONTENT_LENGTH": "5", "HTTP_CONTENT_LENGTH": "7"}),
    "target": packet({**VARIABLES, "REQUEST_URI": "/a b"}),
    "zeros": b"\0" * 5000,
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_packets_are_refused_and_never_reach_the_application(uwsgi: Server, name: str) -> None:
    with connected(uwsgi) as client:
        client.send(BROKEN[name])
        client.finish_sending()
        response = client.read_response()
        assert response.status in (400, 501)
        assert client.at_end()


def test_http_is_refused(uwsgi: Server) -> None:
    with connected(uwsgi) as client:
        client.send(request_bytes("GET", "/environ"))
        assert client.read_response().status in (400, 501)
        assert client.at_end()


def test_a_peer_that_is_not_in_the_list_is_refused(uwsgi: Server) -> None:
    with uwsgi.client() as client:
        client.send(packet(VARIABLES))
        response = client.read_response()
        assert response.status == 403
        assert client.at_end()


def test_a_body_that_ends_early_is_no_whole_one(uwsgi: Server) -> None:
    before = len(uwsgi.notes("bodies"))
    with connected(uwsgi) as client:
        post = {**VARIABLES, "REQUEST_METHOD": "POST", "REQUEST_URI": "/digest", "CONTENT_LENGTH": "50"}
        client.send(packet(post) + b"x" * 10)
        client.finish_sending()
        answer = client.read_response_or_end()
        assert answer is None or answer.status == 400
    assert len(uwsgi.notes("bodies")) == before
