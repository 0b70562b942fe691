"""A real Nginx in front, which keeps its connections to us alive and reports every one that breaks."""

import json
import signal
from collections.abc import Callable

import pytest

from tests.integration.client import Client
from tests.integration.harness import Server
from tests.integration.load import Load
from tests.integration.proxy import Nginx


@pytest.fixture
def server(serve: Callable[..., Server], pair: tuple[str, str]) -> Server:
    kind, transport = pair
    return serve(kind=kind, transport=transport, options=["--access-logfile", "-"])


def test_requests_through_nginx_say_whom_and_what_they_were_for(
    server: Server, nginx: Callable[..., Nginx]
) -> None:
    proxy = nginx(server.address)
    with Load(proxy.address, clients=4) as load:
        load.wait_for(400)
    load.tally.assert_nothing_failed()
    with Client(proxy.address) as client:
        environ = json.loads(client.get("/environ?a=b", [("X-Forwarded-Proto", "https")]).body)
    expected = {
        "HTTP_HOST": "localhost",
        "HTTP_X_FORWARDED_FOR": "127.0.0.1",
        "HTTP_X_FORWARDED_PROTO": "http",  # what Nginx saw, not what the client says
        "wsgi.url_scheme": "http",
        "QUERY_STRING": "a=b",
    }
    assert {name: environ.get(name) for name in expected} == expected


def test_scheme_that_nginx_says_is_believed(server: Server) -> None:
    """Unix peers are always trusted, and 127.0.0.1 by default."""
    with server.client() as client:
        environ = json.loads(client.get("/environ", [("X-Forwarded-Proto", "https")]).body)
    assert environ["wsgi.url_scheme"] == "https"


def test_bodies_and_streams_pass_nginx_whole(server: Server, nginx: Callable[..., Nginx]) -> None:
    proxy = nginx(server.address)
    (server.home / "file.bin").write_bytes(b"file" * 500_000)
    body = bytes(range(256)) * 8192
    with Load(proxy.address, clients=2, target="/chunked/10"), Client(proxy.address) as client:
        for _ in range(10):
            assert client.request("POST", "/echo", body=body).body == body
            assert client.get("/file").body == b"file" * 500_000
            assert client.get("/blocks/20").body == b"y" * (20 * 65536)
            assert client.request("HEAD", "/bytes/10").status == 200


def test_reloads_break_no_connection_of_nginx(server: Server, nginx: Callable[..., Nginx]) -> None:
    proxy = nginx(server.address)
    with Load(proxy.address, clients=6) as load:
        for _ in range(4):
            load.wait_for(50)
            since = server.log_end()
            server.send_signal(signal.SIGHUP)
            server.wait_ready(2, since)
        load.wait_for(100)
    load.tally.assert_nothing_failed()
    errors = [line for line in proxy.error_log().splitlines() if "[error]" in line]
    assert errors == []

