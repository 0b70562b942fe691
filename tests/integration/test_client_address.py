"""`remote_addr_from` and `trusted_hops` behind real chains: the client's address, and never what the client forges."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.integration.client import Address, Client, Fields
from tests.integration.haproxy import HAProxy
from tests.integration.harness import Server
from tests.integration.proxy import Nginx, site
from tests.integration.shared import running
from tests.integration.waiting import wait_until

CLIENT = "127.0.0.5"
OUTER, INNER = "127.0.0.6", "127.0.0.7"
"""The addresses from which the two proxies speak on."""
XFF = ["--remote-addr-from", "x-forwarded-for"]
FORWARDED = ["--remote-addr-from", "forwarded"]
NETWORKS = f"{OUTER},{INNER}"
FORGED = [("X-Forwarded-For", "6.6.6.6, 127.0.0.7"), ("Forwarded", 'for=6.6.6.6;proto=https, for="broken')]

CASES = {
    "as Gunicorn": ("sync", [], INNER),
    "one hop": ("gthread", XFF, OUTER),
    "two hops": ("sync", [*XFF, "--trusted-hops", "2"], CLIENT),
    "two hops, threads": ("gthread", [*XFF, "--trusted-hops", "2"], CLIENT),
    "networks": ("sync", [*XFF, "--trusted-hops", NETWORKS], CLIENT),
    "one network": ("gthread", [*XFF, "--trusted-hops", INNER], OUTER),
    "forwarded, two hops": ("sync", [*FORWARDED, "--trusted-hops", "2"], CLIENT),
    "forwarded, networks": ("gthread", [*FORWARDED, "--trusted-hops", NETWORKS], CLIENT),
}


def environ(address: Address, source: str = CLIENT, fields: Fields = ()) -> dict[str, str]:
    with Client(address, source=source) as client:
        response = client.request("GET", "/environ", fields)
    assert response.status == 200, response
    return dict(json.loads(response.body))


def bound(source: str) -> Callable[[Address, int], str]:
    """The documented site, from an address of its own, and with Forwarded beside X-Forwarded-For."""
    before = "proxy_set_header X-Forwarded-Proto $scheme;"
    forwarded = f'proxy_set_header Forwarded "$http_forwarded, for=$remote_addr;proto=$scheme"; proxy_bind {source};'
    return lambda upstream, port: site(upstream, port).replace(before, f"{before} {forwarded}")


@pytest.fixture(scope="module", params=CASES)
def chain(request: pytest.FixtureRequest) -> Iterator[tuple[Server, Nginx, str]]:
    """client -> Nginx -> Nginx -> server, and the address that the server takes for the client's."""
    kind, options, expected = CASES[request.param]
    options = [*options, "--forwarded-allow-ips", INNER, "--access-logfile", "HOME/access.log"]
    with ExitStack() as stack:
        server = stack.enter_context(running(Server, kind=kind, options=options))
        inner = stack.enter_context(Nginx(server.address, bound(INNER)))
        yield server, stack.enter_context(Nginx(inner.address, bound(OUTER))), expected


@pytest.mark.parametrize("fields", [[], FORGED], ids=["honest", "forging"])
def test_client_is_whom_the_trusted_proxies_saw(chain: tuple[Server, Nginx, str], fields: Fields) -> None:
    _, outer, expected = chain
    for _ in range(2):
        seen = environ(outer.address, CLIENT, fields)
        assert seen["REMOTE_ADDR"] == expected
        assert seen.get("ostler.peer_addr", INNER) == INNER
        assert seen["wsgi.url_scheme"] == "http"


def test_whoever_is_not_trusted_is_taken_for_himself(chain: tuple[Server, Nginx, str]) -> None:
    server, _, _ = chain
    forged = [*FORGED, ("X-Forwarded-Proto", "https")]
    for _ in range(2):
        seen = environ(server.address, CLIENT, forged)
        assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]) == (CLIENT, "http")


def test_the_access_log_names_the_client(chain: tuple[Server, Nginx, str]) -> None:
    server, outer, expected = chain
    with Client(outer.address, source=CLIENT) as client:
        assert client.request("GET", "/bytes/1?logged", FORGED).status == 200
    log = server.home / "access.log"
    lines = wait_until(lambda: [line for line in log.read_text().splitlines() if "?logged" in line], "it is logged")
    assert lines[0].startswith(f"{expected} ")


def test_haproxy_behind_haproxy(kind: str) -> None:
    """It adds a field of its own where Nginx goes on with the one that is there."""
    options = [*XFF, "--trusted-hops", "2", "--forwarded-allow-ips", INNER]
    with (
        running(Server, kind=kind, options=options) as server,
        HAProxy(server.address, f"source {INNER}", frontend="option forwardfor") as inner,
        HAProxy(inner.address, f"source {OUTER}", frontend="option forwardfor") as outer,
    ):
        for fields in ([], FORGED):
            assert environ(outer.address, CLIENT, fields)["REMOTE_ADDR"] == CLIENT


def test_forwarded_names_client_port_and_scheme(kind: str) -> None:
    frontend = "http-request add-header Forwarded for=\"\\\"%[src]:%[src_port]\\\"\";proto=https"
    options = [*FORWARDED, "--forwarded-allow-ips", INNER]
    with (
        running(Server, kind=kind, options=options) as server,
        HAProxy(server.address, f"source {INNER}", frontend=frontend) as proxy,
        Client(proxy.address, source=CLIENT) as client,
    ):
        seen = json.loads(client.get("/environ").body)
        port = client.socket.getsockname()[1]
        assert (seen["REMOTE_ADDR"], seen["REMOTE_PORT"], seen["wsgi.url_scheme"]) == (CLIENT, str(port), "https")


def test_source_of_a_proxy_header_is_the_first_hop(kind: str) -> None:
    """client -> HAProxy (adds the field) -> HAProxy (adds the header): the peer is the second one."""
    options = [*XFF, "--trusted-hops", f"{OUTER},{INNER}", "--forwarded-allow-ips", INNER]
    options += ["--proxy-protocol", "--proxy-allow-from", INNER]
    with (
        running(Server, kind=kind, options=options) as server,
        HAProxy(server.address, f"source {INNER} send-proxy-v2", "tcp") as inner,
        HAProxy(inner.address, f"source {OUTER}", frontend="option forwardfor") as outer,
    ):
        for fields in ([], FORGED):
            seen = environ(outer.address, CLIENT, fields)
            assert (seen["REMOTE_ADDR"], seen["ostler.peer_addr"]) == (CLIENT, INNER)
        assert environ(inner.address, CLIENT, FORGED)["REMOTE_ADDR"] == CLIENT, "it came past the outer proxy"
