"""drivers/admission.py: PROXY headers and handshakes through a real reactor, without threads."""

import pytest

from ostler.config.address import AllowList, parse_allow_list
from tests.unit.drivers.tls_client import TlsClient, server_context

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
HEADER = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"
NOBODY = AllowList()


def tell(environ, start_response):
    """Who asks, and how."""
    start_response("200 OK", [])
    words = [environ["REMOTE_ADDR"], environ["wsgi.url_scheme"], environ["REQUEST_METHOD"]]
    return [" ".join(words).encode() + b" " + environ["wsgi.input"].read()]


def plain(body):
    """The end of a response that came in plain text."""
    return body.rpartition(b"\r\n\r\n")[2]


class SecureVisitor:
    """A visitor of a worker that speaks TLS."""

    def __init__(self, worker, **options):
        self.worker = worker
        self.visitor = worker.visit()
        self.tls = TlsClient(self.visitor.socket, **options)

    def shake(self):
        self.worker.run(self.tls.shake)
        return self

    def ask(self, data, answer):
        """Send, and run the worker until `answer` has come."""
        self.tls.send(data)
        self.worker.run(lambda: answer in self.tls.receive())


# -- PROXY ---------------------------------------------------------------------------------------------------


def test_a_header_tells_who_the_client_is(start):
    worker = start(tell, proxy_protocol="v1")
    assert worker.visit().ask(HEADER + GET) == [(200, b"192.0.2.7 http GET ")]


def test_a_header_may_come_byte_by_byte_and_counts_for_all_requests(start):
    worker = start(tell, proxy_protocol="auto")
    visitor = worker.visit()
    for byte in HEADER:
        visitor.send(bytes([byte]))
        worker.turns(1)
    assert len(worker.clients) == 1
    assert visitor.ask(GET + GET, 2) == 2 * [(200, b"192.0.2.7 http GET ")]
    assert visitor.ask(GET) == [(200, b"192.0.2.7 http GET ")]


def test_an_allowed_peer_without_a_header_is_refused(start):
    worker = start(tell, proxy_protocol="auto")
    visitor = worker.visit()
    visitor.send(GET)
    visitor.wait_for_end()
    assert visitor.responses()[0][0] == 400
    assert "proxy_allow_ips" in worker.warnings[0]


def test_a_stranger_may_speak_http_and_nothing_else(start):
    worker = start(tell, proxy_protocol="auto", proxy_allow_ips=NOBODY)
    assert worker.visit().ask(GET) == [(200, b"127.0.0.1 http GET ")]
    liar = worker.visit()
    liar.send(HEADER + GET)
    liar.wait_for_end()
    assert liar.responses()[0][0] == 403


def test_only_its_own_addresses_say_who_is_allowed(start):
    worker = start(tell, proxy_protocol="v1", proxy_allow_ips=parse_allow_list("127.0.0.0/8"))
    assert worker.visit().ask(HEADER + GET) == [(200, b"192.0.2.7 http GET ")]


def test_a_header_that_does_not_arrive_is_not_waited_for(start):
    worker = start(tell, proxy_protocol="v1", handshake_timeout=3)
    visitor = worker.visit()
    visitor.send(HEADER[:20])
    worker.turns(3)
    worker.jump(4)
    visitor.wait_for_end()
    assert visitor.look() == b""
    assert len(worker.clients) == 0


# -- TLS -----------------------------------------------------------------------------------------------------


def test_requests_are_served_over_tls(start):
    worker = start(tell, context=server_context())
    secure = SecureVisitor(worker).shake()
    secure.ask(GET, b"127.0.0.1 https GET ")
    secure.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", b"127.0.0.1 https POST hello")


def test_a_request_in_the_last_flight_of_the_handshake_is_not_lost(start):
    worker = start(tell, context=server_context())
    secure = SecureVisitor(worker)
    give, secure.tls.give = secure.tls.give, lambda: None
    worker.run(lambda: secure.tls.shake() or give())
    secure.tls.tls.write(GET)
    give()
    worker.run(lambda: b"https GET " in secure.tls.receive())


def test_a_large_response_reaches_a_reader_that_comes_later(start):
    large = bytes(range(256)) * 20000

    def app(environ, start_response):
        start_response("200 OK", [])
        return [large]

    worker = start(app, context=server_context())
    secure = SecureVisitor(worker).shake()
    secure.tls.send(GET)
    worker.run(lambda: next(iter(worker.clients._open.values())).transport.lent)
    worker.run(lambda: large in secure.tls.receive())


def test_a_file_is_sent_over_tls(start, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 2000)

    def app(environ, start_response):
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](path.open("rb"))

    worker = start(app, context=server_context())
    SecureVisitor(worker).shake().ask(GET, path.read_bytes())


def test_the_end_of_a_connection_is_announced(start):
    worker = start(tell, context=server_context())
    secure = SecureVisitor(worker).shake()
    secure.tls.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    worker.run(lambda: secure.tls.receive() and secure.tls.ended)


def test_plain_http_is_answered_with_400(start):
    worker = start(tell, context=server_context())
    visitor = worker.visit()
    visitor.send(GET)
    visitor.wait_for_end()
    assert visitor.responses()[0][0] == 400
    assert "plain HTTP on a TLS port" in worker.warnings[0]


def test_garbage_ends_the_connection(start):
    worker = start(tell, context=server_context())
    visitor = worker.visit()
    visitor.send(b"\x16\x03\x01\xff\xff" + b"\x00" * 500)
    visitor.wait_for_end()
    assert len(worker.clients) == 0


@pytest.mark.parametrize("begun", [False, True])
def test_a_handshake_that_stops_is_not_waited_for_and_stops_nobody(start, begun):
    worker = start(tell, context=server_context(), handshake_timeout=3)
    stalled = worker.visit()
    if begun:
        tls = TlsClient(stalled.socket)
        tls.shake()
    SecureVisitor(worker).shake().ask(GET, b"https GET ")
    worker.jump(2)
    assert len(worker.clients) == 2
    worker.jump(2)
    stalled.wait_for_end()


def test_who_stalls_longest_makes_room(start):
    worker = start(tell, context=server_context(), limit=2)
    stalled = worker.visit()
    worker.turns(3)
    worker.jump(3)
    SecureVisitor(worker).shake().ask(GET, b"https GET ")
    stalled.wait_for_end()


def test_a_header_stands_before_the_handshake(start):
    worker = start(tell, context=server_context(), proxy_protocol="v1")
    secure = SecureVisitor(worker)
    secure.visitor.send(HEADER)
    secure.shake().ask(GET, b"192.0.2.7 https GET ")


def test_a_strangers_header_before_a_handshake_ends_the_connection(start):
    worker = start(tell, context=server_context(), proxy_protocol="v1", proxy_allow_ips=NOBODY)
    visitor = worker.visit()
    visitor.send(HEADER)
    visitor.wait_for_end()
    assert visitor.look() == b""
    assert "proxy_allow_ips" in worker.warnings[0]


def test_newcomers_are_turned_away_when_the_worker_leaves(start):
    worker = start(tell, context=server_context())
    visitor = worker.visit()
    worker.turns(3)
    assert len(worker.clients) == 1
    worker.clients.close()
    visitor.look()
    assert visitor.ended


# -- uwsgi ---------------------------------------------------------------------------------------------------


def test_who_may_not_speak_uwsgi_is_told_so_in_http(start):
    worker = start(tell, protocol="uwsgi", uwsgi_allow_ips=NOBODY)
    visitor = worker.visit()
    visitor.send(b"\x00\x00\x00\x00")
    visitor.wait_for_end()
    assert visitor.responses()[0][0] == 403
