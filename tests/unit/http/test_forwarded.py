"""`http/forwarded.py`: what clients and proxies may say of the scheme, and which fields become environ keys."""

import pytest

from ostler.http.errors import HttpError
from ostler.http.forwarded import FieldPolicy, scheme_of

SECURE = {"X-FORWARDED-PROTOCOL": "ssl", "X-FORWARDED-PROTO": "https", "X-FORWARDED-SSL": "on"}
FORWARDER = ("SCRIPT_NAME", "PATH_INFO")


def test_a_trusted_proxy_tells_the_scheme() -> None:
    assert scheme_of([("x-forwarded-proto", "https")], True, SECURE) == "https"
    assert scheme_of([("x-forwarded-ssl", "on")], True, SECURE) == "https"


def test_any_other_value_means_http() -> None:
    for value in ("http", "HTTPS", "", "https,http"):
        assert scheme_of([("x-forwarded-proto", value)], True, SECURE) == "http"


def test_nobody_says_anything() -> None:
    assert scheme_of([("host", "a")], True, SECURE) == "http"
    assert scheme_of([("x-forwarded-proto", "https")], True, {}) == "http"


def test_an_untrusted_client_is_not_asked() -> None:
    fields = [("x-forwarded-proto", "https"), ("x-forwarded-ssl", "off")]
    assert scheme_of(fields, False, SECURE) == "http"


def test_fields_that_agree() -> None:
    fields = [("x-forwarded-proto", "https"), ("x-forwarded-ssl", "on"), ("x-forwarded-proto", "https")]
    assert scheme_of(fields, True, SECURE) == "https"


@pytest.mark.parametrize("second", [("x-forwarded-ssl", "off"), ("x-forwarded-proto", "http")])
def test_fields_that_disagree_are_refused(second: tuple[str, str]) -> None:
    with pytest.raises(HttpError) as caught:
        scheme_of([("x-forwarded-proto", "https"), second], True, SECURE)
    assert caught.value.status == 400


def test_names_become_environ_keys() -> None:
    environ_key = FieldPolicy("drop", FORWARDER, trusted=False).environ_key
    assert environ_key("host") == "HTTP_HOST"
    assert environ_key("x-forwarded-for") == "HTTP_X_FORWARDED_FOR"
    assert environ_key("content-type") == "CONTENT_TYPE"
    assert environ_key("content-length") == "CONTENT_LENGTH"


def test_an_underscore_is_dropped() -> None:
    environ_key = FieldPolicy("drop", FORWARDER, trusted=True).environ_key
    for name in ("x_forwarded_for", "content_length", "remote_user"):
        assert environ_key(name) is None


def test_an_underscore_is_refused() -> None:
    environ_key = FieldPolicy("refuse", FORWARDER, trusted=True).environ_key
    for _ in range(2):
        with pytest.raises(HttpError) as caught:
            environ_key("x_forwarded_for")
        assert caught.value.status == 400


def test_an_underscore_is_let_through_by_a_dangerous_setting() -> None:
    environ_key = FieldPolicy("dangerous", (), trusted=False).environ_key
    assert environ_key("x_forwarded_for") == "HTTP_X_FORWARDED_FOR"
    assert environ_key("content_length") == "HTTP_CONTENT_LENGTH"


def test_a_trusted_forwarder_may_send_its_own_fields() -> None:
    assert FieldPolicy("drop", FORWARDER, trusted=True).environ_key("script_name") == "HTTP_SCRIPT_NAME"
    assert FieldPolicy("refuse", FORWARDER, trusted=True).environ_key("path_info") == "HTTP_PATH_INFO"
    assert FieldPolicy("drop", ("*",), trusted=True).environ_key("x_a") == "HTTP_X_A"


def test_an_untrusted_client_may_not() -> None:
    assert FieldPolicy("drop", FORWARDER, trusted=False).environ_key("script_name") is None
    assert FieldPolicy("drop", ("*",), trusted=False).environ_key("x_a") is None
    with pytest.raises(HttpError):
        FieldPolicy("refuse", FORWARDER, trusted=False).environ_key("script_name")


def test_hostile_names_do_not_make_it_grow() -> None:
    environ_key = FieldPolicy("drop", (), trusted=False).environ_key
    for number in range(5000):
        environ_key(f"x-{number}")
    assert len(environ_key.__self__) <= 1024  # type: ignore[attr-defined]


def test_proxy_never_becomes_what_http_clients_take_for_their_proxy() -> None:
    for header_map in ("drop", "refuse"):
        for trusted in (True, False):
            assert FieldPolicy(header_map, ("*",), trusted).environ_key("proxy") is None
    assert FieldPolicy("drop", (), trusted=False).environ_key("proxy-authorization") == "HTTP_PROXY_AUTHORIZATION"
    assert FieldPolicy("dangerous", (), trusted=False).environ_key("proxy") == "HTTP_PROXY"
