"""The PROXY protocol behind HAProxy and Nginx, and from peers that forge, dribble or forget the header."""

import json
import signal
import socket
import struct
from collections.abc import Callable, Iterator

import pytest

from tests.integration.client import Client, request_bytes
from tests.integration.haproxy import HAProxy
from tests.integration.harness import Server
from tests.integration.load import Load
from tests.integration.proxy import Nginx
from tests.integration.secure import CERTIFICATES, SERVER, TlsClient, trusting
from tests.integration.shared import running
from tests.integration.waiting import wait_until

PROXY = "127.0.0.9"
"""The address that may send the header; others of this machine may not."""
V1 = b"PROXY TCP4 192.0.2.1 198.51.100.2 40000 443\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
GET = request_bytes("GET", "/environ")
TIMEOUT_S = 1.0


def v2(source: str = "192.0.2.1", destination: str = "198.51.100.2", local: bool = False, more: bytes = b"") -> bytes:
    ends = b"" if local else socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!HH", 40000, 443)
    body = ends + more
    return SIGNATURE + bytes([0x20 if local else 0x21, 0x00 if local else 0x11]) + struct.pack("!H", len(body)) + body


@pytest.fixture(scope="module", params=["sync", "gthread"])
def behind(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Takes both versions, from one address."""
    options = ["--proxy-protocol", "--proxy-allow-from", PROXY, "--access-logfile", "HOME/access.log"]
    options += ["--handshake-timeout", str(TIMEOUT_S), "--bind", "unix:HOME/other.sock"]
    with running(Server, kind=request.param, workers=2, options=options) as server:
        yield server


def proxy_client(server: Server, source: str = PROXY) -> Client:
    """A connection whose other end is `source`."""
    return server.client(source=source)


def environ(client: Client, target: str = "/environ") -> dict[str, str]:
    response = client.get(target)
    assert response.status == 200
    return dict(json.loads(response.body))


# Real proxies

CHECK = "check inter 500ms fall 1000"
"""A busy machine's late answer takes no server out of service."""
WAYS = ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn"]


@pytest.mark.parametrize("mode", ["http", "tcp"])
@pytest.mark.parametrize("way", WAYS)
def test_haproxy_says_who_its_clients_are(behind: Server, way: str, mode: str) -> None:
    with HAProxy(behind.address, f"source {PROXY} {way}", mode) as proxy, Client(proxy.address) as client:
        port = client.socket.getsockname()[1]
        for _ in range(3):
            seen = environ(client)
            assert (seen["REMOTE_ADDR"], seen["REMOTE_PORT"]) == ("127.0.0.1", str(port))
            assert seen["PROXY_PROTOCOL"] == "TCP4"
            assert (seen["PROXY_ADDR"], seen["PROXY_PORT"]) == ("127.0.0.1", str(proxy.address[1]))
            assert seen["ostler.peer_addr"] == PROXY


def test_what_haproxy_says_of_the_certificate_of_its_client_is_skipped(behind: Server) -> None:
    bind = f"ssl crt {CERTIFICATES / 'localhost.pem'} ca-file {CERTIFICATES / 'ca.pem'} verify required"
    with (
        HAProxy(behind.address, f"source {PROXY} send-proxy-v2-ssl-cn", bind=bind) as proxy,
        TlsClient(proxy.address, context=trusting("client")) as client,
    ):
        for _ in range(2):
            assert environ(client)["REMOTE_PORT"] == str(client.tls.getsockname()[1])


@pytest.mark.parametrize("way", ["check-send-proxy send-proxy", "check-send-proxy send-proxy-v2"])
def test_health_checks_of_haproxy_pass(behind: Server, way: str) -> None:
    """With version 2 they say LOCAL: the connection is the proxy's own."""
    check = "option httpchk GET /bytes/7"
    with HAProxy(behind.address, f"source {PROXY} {way} {CHECK}", backend=check) as proxy:
        wait_until(lambda: proxy.check()["check_status"] == "L7OK", "a check has passed")
        with Client(proxy.address) as client:
            assert environ(client)["REMOTE_ADDR"] == "127.0.0.1"


def test_haproxy_comes_over_a_unix_socket(behind: Server) -> None:
    with HAProxy(str(behind.home / "other.sock"), "send-proxy-v2") as proxy, Client(proxy.address) as client:
        assert environ(client)["REMOTE_ADDR"] == "127.0.0.1"


@pytest.mark.parametrize("way", WAYS[:2])
def test_load_through_haproxy_and_reloads_fail_no_request(behind: Server, way: str) -> None:
    with HAProxy(behind.address, f"source {PROXY} {way}") as proxy, Load(proxy.address, clients=4) as load:
        load.wait_for(50)
        since = behind.log_end()
        behind.send_signal(signal.SIGHUP)
        behind.wait_ready(2, since)
        load.wait_for(50)
    load.tally.assert_nothing_failed()


def test_nginx_streams_with_the_header(behind: Server) -> None:
    stream = f"proxy_protocol on; proxy_bind {PROXY};"
    with Nginx(behind.address, stream=stream) as proxy, Client(proxy.address) as client:
        port = client.socket.getsockname()[1]
        for _ in range(3):
            assert environ(client)["REMOTE_PORT"] == str(port)
        body = bytes(range(256)) * 8192
        assert client.request("POST", "/echo", body=body).body == body


def test_header_stands_before_tls(serve: Callable[..., Server], kind: str) -> None:
    server = serve(kind=kind, workers=1, options=[*SERVER, "--proxy-protocol", "v2"])
    with HAProxy(server.address, "send-proxy-v2", "tcp") as proxy, TlsClient(proxy.address) as client:
        port = client.tls.getsockname()[1]
        for _ in range(2):
            seen = environ(client)
            assert (seen["REMOTE_PORT"], seen["wsgi.url_scheme"]) == (str(port), "https")
    way = f"ssl ca-file {CERTIFICATES / 'ca.pem'} verify required verifyhost localhost send-proxy-v2 {CHECK}"
    with HAProxy(server.address, way, backend="option httpchk GET /bytes/7") as proxy, Client(proxy.address) as client:
        wait_until(lambda: proxy.check()["check_status"] == "L7OK", "a check has passed")
        seen = environ(client)
        port = client.socket.getsockname()[1]
        assert (seen["REMOTE_PORT"], seen["wsgi.url_scheme"]) == (str(port), "https")
    with server.client() as plain:  # the header, and then no TLS
        plain.send(v2() + GET)
        assert plain.read_response().status == 400


# What the header may be, byte by byte


@pytest.mark.parametrize("header", [V1, v2(), v2(more=b"\x04\x00\x03abc")], ids=["v1", "v2", "v2 with values"])
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_header_is_read_in_any_pieces_and_what_follows_is_http(behind: Server, header: bytes, piece: int) -> None:
    with proxy_client(behind) as client:
        data = header + GET * 2
        for at in range(0, len(data), piece):
            client.send(data[at : at + piece])
        for _ in range(2):
            seen = json.loads(client.read_response().body)
            assert (seen["REMOTE_ADDR"], seen["REMOTE_PORT"]) == ("192.0.2.1", "40000")
        assert environ(client)["REMOTE_ADDR"] == "192.0.2.1"


def test_source_is_in_the_access_log(behind: Server) -> None:
    with proxy_client(behind) as client:
        client.send(V1 + request_bytes("GET", "/bytes/3?logged"))
        assert client.read_response().status == 200
    log = behind.home / "access.log"
    lines = wait_until(
        lambda: [line for line in log.read_text().splitlines() if "?logged" in line], "the request is logged"
    )
    assert lines[0].startswith("192.0.2.1 ")


@pytest.mark.parametrize("header", [V1, v2()], ids=["v1", "v2"])
def test_a_peer_that_is_not_in_the_list_may_not_say_who_it_is(behind: Server, header: bytes) -> None:
    with behind.client() as client:
        client.send(header + GET)
        response = client.read_response()
        assert response.status == 403
        assert response.closes
        assert client.at_end()


def test_a_peer_that_is_not_in_the_list_is_served_as_itself(behind: Server) -> None:
    with behind.client() as client:
        seen = environ(client)
        assert seen["REMOTE_ADDR"] == "127.0.0.1"
        assert "PROXY_PROTOCOL" not in seen
        client.send(V1 + GET)  # later than the first bytes it is no header
        assert client.read_response().status == 400


@pytest.mark.parametrize(
    "sent",
    [
        GET,
        b"PROXY TCP4 192.0.2.1 198.51.100.2 40000\r\n" + GET,
        b"PROXY TCP4 192.0.2.1 198.51.100.2 40000 443\n" + GET,
        b"PROXY TCP4 192.0.2.999 198.51.100.2 40000 443\r\n" + GET,
        b"PROXY TCP4 192.0.2.1 198.51.100.2 40000 99999\r\n" + GET,
        b"PROXY TCP6 192.0.2.1 198.51.100.2 40000 443\r\n" + GET,
        b"PROXY " + b"x" * 200,
        SIGNATURE + b"\x31\x11\x00\x0c" + b"\0" * 12 + GET,
        SIGNATURE + b"\x21\x11\x00\x04" + b"\0" * 4 + GET,
        SIGNATURE + b"\x21\x11\xff\xff" + b"\0" * 70_000,
    ],
    ids=["none", "short", "bare lf", "address", "port", "family", "endless", "version", "truncated", "large"],
)
def test_missing_or_broken_header_is_refused(behind: Server, sent: bytes) -> None:
    """The specification forbids to guess."""
    with proxy_client(behind) as client:
        client.send(sent)
        response = client.read_response()
        assert response.status == 400
        assert response.closes
        assert client.at_end()


@pytest.mark.parametrize("mode", ["v1", "v2"])
def test_the_other_version_is_refused(serve: Callable[..., Server], mode: str) -> None:
    server = serve(workers=1, options=["--proxy-protocol", mode])
    for name, header in (("v1", V1), ("v2", v2())):
        with server.client() as client:
            client.send(header + GET)
            assert client.read_response().status == (200 if name == mode else 400)


@pytest.mark.parametrize("header", [v2(local=True), b"PROXY UNKNOWN\r\n"], ids=["local", "unknown"])
def test_a_header_without_addresses_leaves_those_of_the_transport(behind: Server, header: bytes) -> None:
    with proxy_client(behind) as client:
        client.send(header)
        assert environ(client)["REMOTE_ADDR"] == PROXY


def test_a_header_that_does_not_come_in_time_ends_the_connection(behind: Server) -> None:
    waiting = [proxy_client(behind) for _ in range(3)]
    for client, sent in zip(waiting, (b"", b"PROXY TCP", SIGNATURE), strict=True):
        client.send(sent)
    with behind.client() as other:
        assert environ(other)["REMOTE_ADDR"] == "127.0.0.1"
    for client in waiting:
        assert client.read_response_or_end() is None
        client.close()


def test_kept_connection_keeps_its_address_at_a_sibling(behind: Server) -> None:
    """A reload hands it over to another process."""
    with proxy_client(behind) as client:
        client.send(V1)
        before = client.get("/pid").text
        since = behind.log_end()
        behind.send_signal(signal.SIGHUP)
        behind.wait_ready(2, since)
        wait_until(lambda: int(before) not in behind.worker_pids(), "the old worker is gone")
        assert environ(client)["REMOTE_ADDR"] == "192.0.2.1"
        assert environ(client)["PROXY_PROTOCOL"] == "TCP4"
        assert client.get("/pid").text != before
