"""app/environ.py: heads parsed from bytes, and the environ that each makes."""

import time

import pytest

from ostler.app.environ import EnvironTemplate
from ostler.config.address import AllowList
from ostler.config.settings import Settings
from ostler.http.connection import Peer
from ostler.http.errors import HttpError
from ostler.http.limits import Limits
from ostler.http.parse import parse_head

PEER = Peer(("192.0.2.1", 40000), ("192.0.2.2", 8000))
UNIX = Peer("", "/run/app.sock")
PROXY = Peer(("127.0.0.1", 40000), ("127.0.0.1", 8000))


def build(*fields, line="GET / HTTP/1.1", peer=PEER, process_environ=(), constants=(), **settings):
    """The environ of a request with these fields."""
    lines = [line, *fields]
    if not any(field.lower().startswith("host:") for field in fields) and line.endswith("1.1"):
        lines.insert(1, "Host: a")
    head = parse_head("\r\n".join(lines).encode("latin-1"), Limits())
    template = EnvironTemplate(Settings.defaults(**settings), dict(constants), dict(process_environ))
    return template.build(template.for_connection(peer), head)


def test_every_key_of_a_simple_request():
    constants = {"wsgi.errors": None, "SERVER_SOFTWARE": "ostler/test", "wsgi.multithread": True}
    assert build("Accept: */*", line="GET /a%20b/c?x=%20&y HTTP/1.1", constants=constants) == {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b/c",
        "QUERY_STRING": "x=%20&y",
        "RAW_URI": "/a%20b/c?x=%20&y",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "192.0.2.2",
        "SERVER_PORT": "8000",
        "REMOTE_ADDR": "192.0.2.1",
        "REMOTE_PORT": "40000",
        "HTTP_HOST": "a",
        "HTTP_ACCEPT": "*/*",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.errors": None,
        "wsgi.multithread": True,
        "SERVER_SOFTWARE": "ostler/test",
    }


def test_it_is_a_plain_dict_of_its_own():
    template = EnvironTemplate(Settings.defaults(), {}, {})
    shared = template.for_connection(PEER)
    head = parse_head(b"GET / HTTP/1.1\r\nHost: a", Limits())
    first = template.build(shared, head)
    assert type(first) is dict
    first["mine"] = 1
    assert "mine" not in template.build(shared, head)


def test_content_type_and_length_have_no_prefix():
    environ = build("Content-Type: text/x", "Content-Length: 3", line="POST / HTTP/1.1")
    assert environ["CONTENT_TYPE"] == "text/x"
    assert environ["CONTENT_LENGTH"] == "3"
    assert "HTTP_CONTENT_TYPE" not in environ
    assert "HTTP_CONTENT_LENGTH" not in environ


def test_http_1_0():
    environ = build(line="GET / HTTP/1.0")
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.0"
    assert "HTTP_HOST" not in environ


def test_repeated_fields_are_joined_by_a_comma():
    assert build("X-A: 1", "X-B: -", "x-a: 2", "X-A: 3")["HTTP_X_A"] == "1,2,3"


def test_repeated_cookies_are_joined_by_a_semicolon():
    assert build("Cookie: a=1", "Cookie: b=2")["HTTP_COOKIE"] == "a=1; b=2"


def test_a_field_cannot_replace_a_key_of_the_server():
    environ = build("Remote-Addr: 6.6.6.6", "Path-Info: /x", "wsgi.input: no", peer=PROXY)
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["PATH_INFO"] == "/"
    assert environ["HTTP_REMOTE_ADDR"] == "6.6.6.6"
    assert environ["HTTP_WSGI.INPUT"] == "no"


def test_field_values_keep_their_bytes_as_latin_1():
    assert build("X-A: caf\xc3\xa9")["HTTP_X_A"].encode("latin-1") == "caf\u00e9".encode()


# -- the path ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "path_info"),
    [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a%2Fb", "/a/b"),
        ("/%41%7e", "/A~"),
        ("/caf%C3%A9", "/caf\xc3\xa9"),
        ("/%E9", "/\xe9"),
        ("/%00", "/\0"),
        ("/100%", "/100%"),
        ("/%zz", "/%zz"),
        ("/a+b", "/a+b"),
        ("/a;b=c", "/a;b=c"),
        ("//a//b/../c", "//a//b/../c"),
        ("http://other/x%20y?q", "/x y"),
        ("http://other", "/"),
    ],
)
def test_path_info_is_decoded_once(target, path_info):
    environ = build(line=f"GET {target} HTTP/1.1")
    assert environ["PATH_INFO"] == path_info
    assert environ["RAW_URI"] == target


def test_the_query_stays_encoded():
    assert build(line="GET /?a=%2F?b HTTP/1.1")["QUERY_STRING"] == "a=%2F?b"


def test_options_of_the_whole_server():
    assert build(line="OPTIONS * HTTP/1.1")["PATH_INFO"] == "*"


def test_the_host_of_an_absolute_target_wins():
    assert build("Host: a", line="GET http://b/x HTTP/1.1")["HTTP_HOST"] == "b"


# -- SCRIPT_NAME ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "path_info"), [("/app", ""), ("/app/", "/"), ("/app/x%20y", "/x y"), ("/app/app", "/app")]
)
def test_script_name_comes_from_the_process_environment(path, path_info):
    environ = build(line=f"GET {path} HTTP/1.1", process_environ={"SCRIPT_NAME": "/app"})
    assert environ["SCRIPT_NAME"] == "/app"
    assert environ["PATH_INFO"] == path_info


@pytest.mark.parametrize("path", ["/", "/application", "/other/app"])
def test_a_path_outside_of_script_name_is_a_500(path):
    with pytest.raises(HttpError) as caught:
        build(line=f"GET {path} HTTP/1.1", process_environ={"SCRIPT_NAME": "/app"})
    assert caught.value.status == 500


@pytest.mark.parametrize("peer", [PROXY, UNIX])
def test_a_trusted_proxy_sets_script_name(peer):
    environ = build("SCRIPT_NAME: /app", line="GET /app/x HTTP/1.1", peer=peer, process_environ={"SCRIPT_NAME": "/env"})
    assert environ["SCRIPT_NAME"] == "/app"
    assert environ["PATH_INFO"] == "/x"


def test_anybody_else_does_not():
    environ = build("SCRIPT_NAME: /app", line="GET /app/x HTTP/1.1")
    assert environ["SCRIPT_NAME"] == ""
    assert "HTTP_SCRIPT_NAME" not in environ


def test_a_field_that_only_looks_like_script_name_does_not_either():
    # A proxy passes a client's Script-Name on, which has the same key in the environ.
    environ = build("Script-Name: /admin", line="GET /admin/x HTTP/1.1", peer=PROXY)
    assert environ["SCRIPT_NAME"] == ""
    assert environ["PATH_INFO"] == "/admin/x"
    both = build("Script-Name: /admin", "SCRIPT_NAME: /app", line="GET /app/x HTTP/1.1", peer=PROXY)
    assert both["SCRIPT_NAME"] == "/app"


# -- trust and scheme ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("peer", [PROXY, UNIX])
@pytest.mark.parametrize(
    ("field", "scheme"),
    [
        ("X-Forwarded-Proto: https", "https"),
        ("X-Forwarded-Proto: http", "http"),
        ("X-Forwarded-Protocol: ssl", "https"),
        ("X-Forwarded-Ssl: on", "https"),
        ("X-Forwarded-Ssl: off", "http"),
        ("X-Other: https", "http"),
    ],
)
def test_a_trusted_proxy_tells_the_scheme(peer, field, scheme):
    assert build(field, peer=peer)["wsgi.url_scheme"] == scheme


def test_anybody_else_does_not_tell_the_scheme():
    assert build("X-Forwarded-Proto: https")["wsgi.url_scheme"] == "http"


def test_schemes_that_disagree_are_refused():
    with pytest.raises(HttpError) as caught:
        build("X-Forwarded-Proto: https", "X-Forwarded-Ssl: off", peer=PROXY)
    assert caught.value.status == 400


def test_the_operator_names_the_scheme_fields():
    environ = build("X-Scheme: tls", peer=PROXY, secure_scheme_headers={"X-SCHEME": "tls"})
    assert environ["wsgi.url_scheme"] == "https"


def test_everybody_can_be_trusted():
    environ = build("X-Forwarded-Proto: https", forwarded_allow_ips=AllowList(everybody=True))
    assert environ["wsgi.url_scheme"] == "https"


# -- names with underscores ----------------------------------------------------------------------------------


def test_underscores_are_dropped():
    assert "HTTP_X_A" not in build("X_A: 1")
    assert build("X_A: 1", "X-A: 2")["HTTP_X_A"] == "2"


def test_underscores_are_refused():
    with pytest.raises(HttpError) as caught:
        build("X_A: 1", header_map="refuse")
    assert caught.value.status == 400


def test_underscores_pass():
    assert build("X_A: 1", "X-A: 2", header_map="dangerous")["HTTP_X_A"] == "1,2"


def test_forwarder_headers_pass_from_a_trusted_proxy_only():
    settings = {"forwarder_headers": ("X_USER",), "header_map": "drop"}
    assert build("X_User: me", peer=PROXY, **settings)["HTTP_X_USER"] == "me"
    assert "HTTP_X_USER" not in build("X_User: me", peer=PEER, **settings)
    assert build("X_Other: me", peer=PROXY, forwarder_headers=("*",))["HTTP_X_OTHER"] == "me"


# -- both ends -----------------------------------------------------------------------------------------------


def test_a_unix_peer_has_no_port():
    environ = build(peer=UNIX)
    assert environ["REMOTE_ADDR"] == ""
    assert "REMOTE_PORT" not in environ


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [
        ("example.com", "example.com", "80"),
        ("example.com:8080", "example.com", "8080"),
        ("[::1]", "[::1]", "80"),
        ("[::1]:8080", "[::1]", "8080"),
    ],
)
def test_host_names_the_server_behind_a_unix_socket(host, name, port):
    environ = build(f"Host: {host}", peer=UNIX)
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (name, port)


def test_the_port_of_https_behind_a_unix_socket():
    environ = build("Host: example.com", "X-Forwarded-Proto: https", peer=UNIX)
    assert environ["SERVER_PORT"] == "443"


def test_a_unix_socket_without_host():
    environ = build(line="GET / HTTP/1.0", peer=UNIX)
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("localhost", "80")


def test_ipv6_ends():
    environ = build(peer=Peer(("2001:db8::1", 1), ("::", 8000)))
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"], environ["SERVER_NAME"]) == ("2001:db8::1", "1", "::")


def test_how_long_it_waited_is_told_by_trusted_proxies_only():
    field = f"X-Request-Start: t={time.time() - 5:.3f}"
    for peer in (PROXY, UNIX):
        assert build(field, peer=peer)["ostler.queue_time"] == pytest.approx(5, abs=1)
    assert "ostler.queue_time" not in build(field)
    assert "ostler.queue_time" not in build(peer=PROXY)
    assert "ostler.queue_time" not in build("X-Request-Start: soon", peer=PROXY)
