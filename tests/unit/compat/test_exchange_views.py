"""compat/exchange_views.py"""

import pytest

from ostler.compat.exchange_views import RequestView, ResponseView
from ostler.http.connection import Proxied
from ostler.observe.hooks import ResponseFacts
from tests.unit.compat.facts import request


def test_a_request_has_gunicorns_attributes():
    req = RequestView(request())
    assert (req.method, req.uri, req.path, req.query, req.fragment) == ("POST", "/a%20b?x=1", "/a%20b", "x=1", "")
    assert req.version == (1, 1)
    assert req.headers == [("HOST", "h"), ("X-ID", "1"), ("X-ID", "2")]
    assert req.peer_addr == req.remote_addr == ("192.0.2.7", 5000)
    assert (req.scheme, req.trailers, req.proxy_protocol_info) == ("https", [], None)


def test_a_request_behind_a_proxy_has_gunicorns_info_of_its_header():
    proxied = Proxied("TCP4", ("192.0.2.7", 5000), ("198.51.100.1", 443))
    assert RequestView(request(proxied=proxied)).proxy_protocol_info == {
        "proxy_protocol": "TCP4",
        "client_addr": "192.0.2.7",
        "client_port": 5000,
        "proxy_addr": "198.51.100.1",
        "proxy_port": 443,
    }
    info = RequestView(request(proxied=Proxied("LOCAL", None, None))).proxy_protocol_info
    assert info == {"proxy_protocol": "LOCAL"} | dict.fromkeys(
        ("client_addr", "client_port", "proxy_addr", "proxy_port")
    )


@pytest.mark.parametrize(
    ("minor", "connection", "closes"),
    [
        (1, [], False),
        (1, [("connection", "TE, Close")], True),
        (0, [], True),
        (0, [("connection", "Keep-Alive")], False),
    ],
)
def test_a_request_says_whether_its_client_wants_to_part(minor, connection, closes):
    assert RequestView(request(minor=minor, fields=connection)).should_close() is closes


def test_the_body_of_a_request_is_the_applications():
    with pytest.raises(AttributeError, match=r"req\.body is not in Ostler: the application reads it"):
        RequestView(request()).body  # noqa: B018


@pytest.mark.parametrize(
    ("fields", "chunked", "length"),
    [([("Content-length", "12")], False, 12), ([("Content-Type", "text/plain")], True, None)],
)
def test_a_response_has_gunicorns_attributes(fields, chunked, length):
    resp = ResponseView(ResponseFacts("404 Not Found", fields, started=True, chunked=chunked, sent=12))
    assert (resp.status, resp.status_code, resp.headers) == ("404 Not Found", 404, fields)
    assert (resp.headers_sent, resp.sent, resp.chunked, resp.response_length) == (True, 12, chunked, length)
    assert (resp.is_chunked(), resp.upgrade) == (chunked, False)


def test_a_response_that_was_never_started_has_no_status():
    resp = ResponseView(ResponseFacts("", [], started=False, chunked=False, sent=0))
    assert (resp.status, resp.status_code, resp.headers_sent) == (None, None, False)


def test_a_response_has_ended_and_says_so():
    resp = ResponseView(ResponseFacts("200 OK", [], started=True, chunked=False, sent=0))
    with pytest.raises(AttributeError, match=r"resp\.should_close is not in Ostler: the response has ended"):
        resp.should_close()
