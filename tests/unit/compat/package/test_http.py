"""compat/package/http: requests that somebody parses by himself, beside the real Gunicorn."""

import socket

import pytest

from ostler.compat.cfg import Config
from ostler.compat.package import http
from ostler.compat.package.http import errors, wsgi
from ostler.compat.package.http.message import Request
from ostler.compat.package.http.parser import RequestParser
from ostler.compat.package.http.unreader import IterUnreader, SocketUnreader

their_errors = pytest.importorskip("gunicorn.http.errors")
their_message = pytest.importorskip("gunicorn.http.message")
their_unreader = pytest.importorskip("gunicorn.http.unreader")
their_parser = pytest.importorskip("gunicorn.http.parser")
their_wsgi = pytest.importorskip("gunicorn.http.wsgi")
their_config = pytest.importorskip("gunicorn.config")

PEER = ("192.0.2.7", 5000)
REQUESTS = [
    b"GET /a%20b?x=1&y=2 HTTP/1.1\r\nHost: example.com:81\r\nX-Two: 1\r\nx-two: 2\r\n\r\n",
    b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello world",
    b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Proto: https\r\n\r\n",
]
WRONG = [
    b"GET /\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost : h\r\n\r\n",
    b"GET / HTTP/9.1\r\nHost: h\r\n\r\n",
    b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 200 + b"\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h",
]


def split(data, size=7):
    return [data[at : at + size] for at in range(0, len(data), size)]


def facts(request):
    names = ("method", "uri", "path", "query", "fragment", "version", "headers", "scheme", "peer_addr", "req_number")
    found = {name: getattr(request, name) for name in names}
    return found | {"closes": request.should_close(), "body": request.body.read()}


@pytest.mark.parametrize("peer", [PEER, ("127.0.0.1", 9), ""])
@pytest.mark.parametrize("data", REQUESTS)
def test_a_request_is_parsed_as_gunicorn_parses_it(data, peer):
    ours = Request(Config(), IterUnreader(split(data)), peer)
    theirs = their_message.Request(their_config.Config(), their_unreader.IterUnreader(split(data)), peer)
    assert facts(ours) == facts(theirs)


@pytest.mark.parametrize("data", WRONG)
def test_what_gunicorn_refuses_is_refused_with_its_error(data):
    with pytest.raises((their_errors.ParseException, their_errors.NoMoreData)) as theirs:
        their_message.Request(their_config.Config(), their_unreader.IterUnreader(split(data)), PEER)
    with pytest.raises(getattr(errors, theirs.type.__name__)) as ours:
        Request(Config(), IterUnreader(split(data)), PEER)
    assert str(ours.value)


def test_the_end_of_the_source_ends_the_iteration():
    with pytest.raises(StopIteration):
        Request(Config(), IterUnreader([]), PEER)


def test_a_body_is_a_file():
    data = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\none\ntwo\nx"
    request = Request(Config(), IterUnreader(split(data)), PEER)
    assert (request.body.readline(), request.body.read(2), list(request.body)) == (b"one\n", b"tw", [b"o\n", b"x"])
    data = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\none"
    with pytest.raises(errors.NoMoreData):
        Request(Config(), IterUnreader([data]), PEER).body.read()


def test_the_requests_of_a_connection_come_one_after_the_other():
    ours = RequestParser(Config(), split(b"".join(REQUESTS)), PEER)
    theirs = their_parser.RequestParser(their_config.Config(), split(b"".join(REQUESTS)), PEER)
    assert [(r.method, r.path, r.req_number) for r in ours] == [(r.method, r.path, r.req_number) for r in theirs]
    many = http.get_parser(Config(), [b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"] * 250, PEER)
    assert len(list(many)) == 250
    with pytest.raises(NotImplementedError, match="only HTTP/1"):
        http.get_parser(Config(), [], PEER, http2_connection=True)


def test_bytes_that_were_read_too_far_can_be_given_back():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"abcdef")
        theirs.shutdown(socket.SHUT_WR)
        unreader = SocketUnreader(ours, 4)
        assert (unreader.read(0), unreader.read(2), unreader.read()) == (b"", b"ab", b"cd")
        unreader.unread(b"xy")
        assert (unreader.read(3), unreader.read(9), unreader.read(-1)) == (b"xye", b"f", b"")
        with pytest.raises(TypeError):
            unreader.read("1")


def conversation(request, package, server=("0.0.0.0", 80)):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        cfg = Config() if package is wsgi else their_config.Config()
        response, environ = package.create(request, ours, PEER, server, cfg)
        response.start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
        response.write(b"ab")
        response.write(b"cd")
        response.close()
        ours.shutdown(socket.SHUT_WR)
        return response, environ, theirs.recv(65536)


@pytest.mark.parametrize("data", REQUESTS)
def test_environ_and_response_are_gunicorns(data, monkeypatch):
    monkeypatch.delenv("SCRIPT_NAME", raising=False)
    request = Request(Config(), IterUnreader([data]), PEER)
    known = their_message.Request(their_config.Config(), their_unreader.IterUnreader([data]), PEER)
    response, environ, sent = conversation(request, wsgi)
    expected, their_environ, _ = conversation(known, their_wsgi)
    own = {"wsgi.input", "wsgi.errors", "wsgi.file_wrapper", "wsgi.early_hints", "gunicorn.socket"}
    assert {name: environ[name] for name in their_environ if name not in own} == {
        name: value for name, value in their_environ.items() if name not in own
    }
    assert own <= environ.keys()
    assert sent.endswith(b"\r\n\r\nabc")
    assert sent.startswith(b"HTTP/1.1 200 OK\r\n")
    for name in ("status", "status_code", "headers", "headers_sent", "sent", "response_length", "chunked", "upgrade"):
        assert getattr(response, name) == getattr(expected, name), name
    assert response.should_close() == expected.should_close()


def test_a_response_is_refused_as_gunicorns_is():
    request = Request(Config(), IterUnreader(REQUESTS[:1]), PEER)
    response = wsgi.Response(request, None, Config())
    with pytest.raises(ValueError, match="Invalid status"):
        response.start_response("OK", [])
    response.start_response("200 OK", [("X", "a\nb")])
    with pytest.raises(AssertionError, match="already set"):
        response.start_response("200 OK", [])
    with pytest.raises(errors.InvalidResponseHeader):
        response.send_headers()
    with pytest.raises(TypeError):
        response.write("text")


def test_errors_have_gunicorns_names():
    theirs = {name for name, value in vars(their_errors).items() if isinstance(value, type)}
    assert theirs - set(vars(errors)) == {"InvalidH2CPreface"}
    assert issubclass(errors.NoMoreData, OSError)
