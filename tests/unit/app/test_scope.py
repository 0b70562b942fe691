"""ASGI scopes: what a request says, and what trusted proxies say of it, which environ.py decides."""

import time

import pytest

from ostler.app.deadline import UNLIMITED
from ostler.app.environ import EnvironTemplate
from ostler.app.scope import ScopeTemplate
from ostler.config.settings import Settings
from ostler.http.connection import Peer, Proxied, Secured
from ostler.http.errors import HttpError
from ostler.http.head import RequestHead
from ostler.http.limits import Limits
from ostler.http.parse import parse_head

PROXY = Peer(("127.0.0.1", 40000), ("192.0.2.2", 8000))
STRANGER = Peer(("198.51.100.7", 40000), ("192.0.2.2", 8000))
UNIX = Peer("", "/run/ostler.sock")


def head_of(target="/", *lines, method="GET", version="1.1"):
    return parse_head("\r\n".join([f"{method} {target} HTTP/{version}", "Host: a", *lines]).encode(), Limits())


def scope_of(head, peer=STRANGER, root_path="", process_environ=None, websocket=False, **values):
    template = EnvironTemplate(Settings.defaults(**values), {}, process_environ or {})
    return ScopeTemplate(template, root_path).build(template.for_connection(peer), peer, head, {}, websocket)


def test_a_scope_has_what_the_specification_wants():
    scope = scope_of(head_of("/a%20b/%C3%A4?x=1&y=%20", "X-One: 1", "x-one: 2"))
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/a b/ä",
        "raw_path": b"/a%20b/%C3%A4",
        "query_string": b"x=1&y=%20",
        "root_path": "",
        "headers": [(b"host", b"a"), (b"x-one", b"1"), (b"x-one", b"2")],
        "client": ("198.51.100.7", 40000),
        "server": ("192.0.2.2", 8000),
        "state": {},
        "extensions": {
            "http.response.early_hint": {},
            "http.response.informational": {},
            "http.response.pathsend": {},
            "http.response.trailers": {},
        },
        "ostler.deadline": UNLIMITED,
    }


def test_a_path_that_is_no_utf8_stays_a_path():
    assert scope_of(head_of("/%ff%2F%C3"))["path"] == "/\ufffd/\ufffd"


def test_a_unix_socket_has_no_client_and_its_path_as_server():
    scope = scope_of(head_of(), UNIX)
    assert (scope["client"], scope["server"]) == (None, ("/run/ostler.sock", None))


def test_http_1_0():
    assert scope_of(head_of(version="1.0"))["http_version"] == "1.0"


@pytest.mark.parametrize(("peer", "scheme"), [(PROXY, "https"), (STRANGER, "http"), (UNIX, "https")])
def test_a_trusted_proxy_says_the_scheme(peer, scheme):
    scope = scope_of(head_of("/", "X-Forwarded-Proto: https"), peer)
    assert scope["scheme"] == scheme
    assert (b"x-forwarded-proto", b"https") in scope["headers"]


def test_proxies_that_disagree_are_refused():
    with pytest.raises(HttpError, match="disagree"):
        scope_of(head_of("/", "X-Forwarded-Proto: https", "X-Forwarded-Ssl: off"), PROXY)


def test_remote_addr_from_names_the_client():
    head = head_of("/", "X-Forwarded-For: 203.0.113.9")
    assert scope_of(head, PROXY, remote_addr_from="x-forwarded-for")["client"] == ("203.0.113.9", 0)
    assert scope_of(head, STRANGER, remote_addr_from="x-forwarded-for")["client"] == ("198.51.100.7", 40000)
    assert scope_of(head, PROXY)["client"] == ("127.0.0.1", 40000)


def test_the_source_of_a_proxy_header_is_the_client():
    peer = Peer(PROXY.address, PROXY.local, Proxied("TCP4", ("203.0.113.9", 5), ("192.0.2.9", 443)))
    assert scope_of(head_of(), peer)["client"] == ("203.0.113.9", 5)


@pytest.mark.parametrize("peer", [PROXY, STRANGER])
def test_names_with_underscores_and_proxy_are_dropped_as_for_wsgi(peer):
    headers = scope_of(head_of("/", "X_Forwarded_For: 1", "Proxy: evil", "A: 1"), peer)["headers"]
    assert headers == [(b"host", b"a"), (b"a", b"1")]


def test_header_map_refuses_and_lets_pass():
    with pytest.raises(HttpError):
        scope_of(head_of("/", "X_Y: 1"), header_map="refuse")
    assert (b"x_y", b"1") in scope_of(head_of("/", "X_Y: 1"), header_map="dangerous")["headers"]


@pytest.mark.parametrize(
    ("target", "path", "raw_path"),
    [
        ("/api/users", "/api/users", b"/api/users"),  # the proxy has left it there
        ("/users%20", "/api/users ", b"/api/users%20"),  # the proxy has taken it off
        ("/api", "/api", b"/api"),
        ("/apis", "/api/apis", b"/api/apis"),
        ("/", "/api/", b"/api/"),
    ],
)
def test_the_path_holds_the_root_path(target, path, raw_path):
    scope = scope_of(head_of(target), root_path="/api")
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/api", path, raw_path)


def test_the_asterisk_has_no_root_path_in_front():
    assert scope_of(head_of("*", method="OPTIONS"), root_path="/api")["path"] == "*"


def test_script_name_of_a_trusted_proxy_is_the_root_path():
    head = head_of("/shop/a", "SCRIPT_NAME: /shop/")
    scope = scope_of(head, PROXY, root_path="/api")
    assert (scope["root_path"], scope["path"]) == ("/shop", "/shop/a")
    assert scope_of(head, STRANGER)["root_path"] == ""
    with pytest.raises(HttpError) as refused:
        scope_of(head_of("/other", "SCRIPT_NAME: /shop"), PROXY)
    assert refused.value.status == 500


def test_script_name_of_the_process_is_the_root_path():
    scope = scope_of(head_of("/shop/a"), process_environ={"SCRIPT_NAME": "/shop"})
    assert (scope["root_path"], scope["path"]) == ("/shop", "/shop/a")


def test_a_uwsgi_request_says_what_its_parameters_say():
    params = {"REMOTE_ADDR": "203.0.113.9", "REMOTE_PORT": "7", "SERVER_NAME": "shop", "SERVER_PORT": "443"}
    params |= {"HTTPS": "on", "PATH_INFO": "/a b", "SCRIPT_NAME": "/shop"}
    head = RequestHead("GET", "/shop/a%20b", "/shop/a%20b", "", 1, [("host", "a")], "a", 0, True, False, None, params)
    scope = scope_of(head, PROXY)
    assert (scope["client"], scope["server"], scope["scheme"]) == (("203.0.113.9", 7), ("shop", 443), "https")
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/shop", "/shop/a b", b"/shop/a%20b")


def test_tls_is_an_extension():
    certificate = {"subject": ((("organizationName", "Example, Inc."),), (("commonName", "ada"),))}
    secured = Secured("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, "a", False, certificate, b"der")
    scope = scope_of(head_of(), Peer(STRANGER.address, STRANGER.local, secured=secured))
    tls = scope["extensions"]["tls"]
    assert scope["scheme"] == "https"
    assert (tls["tls_version"], tls["cipher_suite"]) == (0x0304, 0x1302)
    assert tls["client_cert_name"] == "CN=ada,O=Example\\, Inc."
    assert tls["client_cert_chain"][0].startswith("-----BEGIN CERTIFICATE-----")
    assert (tls["server_cert"], tls["client_cert_error"]) == (None, None)


def test_a_websocket_has_a_scope_of_its_own():
    scope = scope_of(head_of("/chat", "X-Forwarded-Proto: https"), PROXY, websocket=True)
    assert (scope["type"], scope["scheme"], scope["subprotocols"]) == ("websocket", "wss", [])
    assert "method" not in scope
    assert scope["extensions"] == {}
    assert scope["ostler.deadline"] is UNLIMITED


def test_requests_of_one_connection_share_nothing_that_they_may_change():
    template = EnvironTemplate(Settings.defaults(), {}, {})
    scopes, shared = ScopeTemplate(template), template.for_connection(STRANGER)
    first, second = (scopes.build(shared, STRANGER, head_of(), {}) for _ in range(2))
    assert first["headers"] is not second["headers"]
    assert first["client"] is second["client"]


@pytest.mark.parametrize("websocket", [False, True])
def test_how_long_it_waited_is_told_by_trusted_proxies_only(websocket):
    head = head_of("/", f"X-Request-Start: t={time.time() - 5:.3f}")
    for peer in (PROXY, UNIX):
        assert scope_of(head, peer, websocket=websocket)["ostler.queue_time"] == pytest.approx(5, abs=1)
    assert "ostler.queue_time" not in scope_of(head, STRANGER, websocket=websocket)
    assert "ostler.queue_time" not in scope_of(head_of(), PROXY)
    assert "ostler.queue_time" not in scope_of(head_of("/", "X-Request-Start: soon"), PROXY)
