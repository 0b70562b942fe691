"""The socket in the environ: what takes it, what only looks, and what becomes of the response and the connection."""

import copy
import os
import select
import selectors
import socket
import ssl
import threading

import pytest

from ostler.drivers.client import State
from tests.unit.drivers.tls_client import CERTIFICATES, TlsClient, client_context, server_context

UPGRADE = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HELLO = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


def answer(start_response, body=b"answer"):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]


def served(start, use, request=UPGRADE, end=None):
    """Run an application that does `use(sock, environ, start_response)`; what its client got."""

    def app(environ, start_response):
        return use(environ["gunicorn.socket"], environ, start_response)

    worker = start(app)
    visitor = worker.enter()
    visitor.send(request)
    worker.run(lambda: visitor.look() is not None and visitor.ended)
    visitor.close()
    worker.run(lambda: len(worker.clients) == 0)
    assert not worker.reactor.clients._taken
    return visitor.data, worker


def stop(*_arguments):
    raise StopIteration


# -- what takes it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("returned", [stop, list, object, lambda: [b"never sent"], lambda: iter([b"x", b"y"])])
def test_nothing_follows_what_the_application_sent_by_itself(start, returned):
    def use(sock, environ, start_response):
        sock.sendall(HELLO)
        sock.send(b"from me")
        return returned()

    data, worker = served(start, use)
    assert data == HELLO + b"from me"
    assert worker.warnings == []


def test_a_response_that_was_announced_is_not_sent_either(start):
    def use(sock, environ, start_response):
        sock.sendall(HELLO)
        return answer(start_response)

    assert served(start, use)[0] == HELLO


def test_what_was_written_before_goes_first(start):
    def use(sock, environ, start_response):
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"first")
        sock.sendall(b"second")
        return []

    data, _ = served(start, use, GET)
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert body == b"5\r\nfirst\r\nsecond"


def test_what_came_with_the_request_is_read_first(start):
    seen = []

    def use(sock, environ, start_response):
        with selectors.DefaultSelector() as selector:
            selector.register(sock, selectors.EVENT_READ)
            seen.append(bool(selector.select(5)))
        seen.append(sock.recv(3))
        file = sock.makefile("rb")
        seen.append(file.readline())
        file.close()
        sock.sendall(b"done")
        raise StopIteration

    assert served(start, use, UPGRADE + b"abcdef\n")[0] == b"done"
    assert seen == [True, b"abc", b"def\n"]


def test_the_descriptor_is_the_client_s_own_when_nothing_was_read_of_it(start):
    seen = []

    def use(sock, environ, start_response):
        sock.settimeout(5)
        sock.send(b"x")
        seen.append(socket.socket(fileno=os.dup(sock.fileno())))
        seen.append(isinstance(sock, socket.socket))
        raise StopIteration

    served(start, use)
    with seen[0] as other:
        assert other.family == socket.AF_INET
    assert seen[1] is True


def test_it_is_blocking_with_the_timeout_that_was_asked_for(start):
    seen = []

    def use(sock, environ, start_response):
        seen.append((sock.gettimeout(), sock.getblocking(), sock.timeout))
        with pytest.raises(ValueError, match="range"):
            sock.settimeout(-1)
        sock.settimeout(0.01)
        seen.append(sock.gettimeout())
        with pytest.raises(TimeoutError):
            sock.recv(1)
        seen.append(sock.gettimeout())
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1)
        raise StopIteration

    served(start, use)
    assert seen == [(None, True, None), 0.01, 0.01]


def test_while_it_is_taken_it_counts_and_nobody_watches_it(start):
    seen = []

    def use(sock, environ, start_response):
        sock.send(b"x")
        (client,) = worker.clients._taken._taken
        seen.append((len(worker.clients), client.state, worker.clients.get(sock.fileno())))
        worker.clock.ahead_s += 10_000  # no deadline is its
        worker.as_standby(lambda: worker.late or worker._turns > 50)
        seen.append(sock.fileno() >= 0)
        raise StopIteration

    def app(environ, start_response):
        return use(environ["gunicorn.socket"], environ, start_response)

    worker = start(app)
    visitor = worker.enter()
    visitor.send(UPGRADE)
    visitor.wait_for_end()
    assert seen == [(1, State.TAKEN, None), True]


@pytest.mark.parametrize("request_bytes", [UPGRADE, UPGRADE + b"early"])
def test_a_thread_that_still_waits_for_the_client_is_woken_at_the_end(start, request_bytes):
    seen = []

    def use(sock, environ, start_response):
        sock.sendall(b"x")
        sock.recv(5, socket.MSG_PEEK) if request_bytes != UPGRADE else None
        thread = threading.Thread(target=read, args=(sock,))
        thread.start()
        seen.append(thread)
        raise StopIteration

    def read(sock):
        try:
            while sock.recv(100):
                pass
        except OSError:
            pass
        sock.close()

    served(start, use, request_bytes)
    seen[0].join(10)
    assert not seen[0].is_alive()


def test_an_application_may_close_it(start):
    def use(sock, environ, start_response):
        with sock:
            sock.sendall(b"bye")
        assert sock.fileno() == -1
        raise StopIteration

    assert served(start, use)[0] == b"bye"


@pytest.mark.parametrize("request_bytes", [UPGRADE, UPGRADE + b"early"])
def test_one_that_was_detached_outlives_the_call(start, request_bytes):
    kept = []

    def app(environ, start_response):
        sock = environ["gunicorn.socket"]
        sock.sendall(b"x")
        kept.append(sock.detach())
        raise StopIteration

    worker = start(app)
    visitor = worker.enter()
    visitor.send(request_bytes)
    worker.run(lambda: visitor.look() == b"x")
    worker.turns(3)
    assert not visitor.ended
    with socket.socket(fileno=kept[0]) as mine:
        mine.settimeout(5)
        assert request_bytes == UPGRADE or mine.recv(100) == b"early"
        visitor.send(b"to you")
        assert mine.recv(100) == b"to you"
        mine.sendall(b"to me")
    visitor.wait_for_end()
    assert visitor.data == b"xto me"
    visitor.close()
    worker.run(lambda: len(worker.clients) == 0)


def test_after_the_call_it_is_closed(start):
    kept = []

    def use(sock, environ, start_response):
        sock.sendall(b"x")
        kept.append(sock)
        raise StopIteration

    served(start, use)
    sock = kept[0]
    assert sock.fileno() == -1
    with pytest.raises(OSError, match="Bad file"):
        sock.recv(1)
    sock.close()


def test_a_socket_of_a_former_request_is_closed(start):
    kept = []

    def use(sock, environ, start_response):
        kept.append(sock)
        if len(kept) == 2:
            with pytest.raises(OSError, match="Bad file"):
                kept[0].send(b"into somebody else's response")
            kept[0].close()
        return answer(start_response)

    def app(environ, start_response):
        return use(environ["gunicorn.socket"], environ, start_response)

    worker = start(app)
    visitor = worker.enter()
    visitor.send(GET)
    worker.run(lambda: len(visitor.responses()) == 1)
    assert visitor.ask(GET) == [(200, b"answer")]


def test_an_error_after_it_was_taken_is_logged_and_not_sent(start):
    def use(sock, environ, start_response):
        sock.sendall(HELLO)
        raise ValueError("mine")

    data, worker = served(start, use)
    assert data == HELLO
    assert len(worker.warnings) == 1
    assert "error after the application took the socket" in worker.warnings[0]
    assert "ValueError" in worker.warnings[0]


def test_a_client_that_leaves_is_no_error(start):
    def use(sock, environ, start_response):
        raise BrokenPipeError(32, "Broken pipe") if sock.send(b"x") else AssertionError

    assert served(start, use)[1].warnings == []


def test_a_body_that_was_not_read_is_the_socket_s(start):
    seen = []

    def use(sock, environ, start_response):
        seen.append(sock.recv(100))
        try:
            environ["wsgi.input"].read()
        except ConnectionError as error:
            seen.append(str(error))
        raise StopIteration

    def app(environ, start_response):
        return use(environ["gunicorn.socket"], environ, start_response)

    worker = start(app, request_buffering=False)
    visitor = worker.enter()
    visitor.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
    visitor.wait_for_end()
    visitor.close()
    worker.run(lambda: len(worker.clients) == 0)
    assert seen[0] == b"abc"
    assert "took the socket" in seen[1]


# -- what only looks -----------------------------------------------------------------------------------------


def test_looking_at_it_changes_nothing(start):
    seen = []

    def use(sock, environ, start_response):
        seen.append(sock.getpeername()[1] == int(environ["REMOTE_PORT"]))
        seen.append((sock.family, sock.type, sock.getsockname()[0]))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        seen.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0)
        with pytest.raises(BlockingIOError):
            sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        assert "127.0.0.1" in repr(sock)
        assert not hasattr(sock, "getpeercert")
        assert not hasattr(sock, "__array__")
        with pytest.raises(TypeError):
            copy.deepcopy(environ)
        return answer(start_response)

    def app(environ, start_response):
        return use(environ["gunicorn.socket"], environ, start_response)

    worker = start(app)
    visitor = worker.enter()
    assert visitor.ask(GET) == [(200, b"answer")]
    assert visitor.ask(GET) == [(200, b"answer")]  # kept alive
    assert seen[:3] == [True, (socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1"), True]


def test_a_peek_sees_what_was_read_ahead(start):
    seen = []

    def app(environ, start_response):
        seen.append(environ["gunicorn.socket"].recv(8, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        return answer(start_response)

    worker = start(app)
    assert len(worker.enter().ask(GET + GET, 2)) == 2
    assert seen[0] == GET[:8]


@pytest.mark.parametrize("returned", [b"short", b"x" * 3_000_000])
def test_a_response_after_a_look_with_select_is_sent(start, returned):
    """As those do who look whether their client has left."""

    def use(sock, environ, start_response):
        assert select.select([sock], [], [], 0) == ([], [], [])
        return answer(start_response, returned)

    def app(environ, start_response):
        return use(environ["gunicorn.socket"], environ, start_response)

    worker = start(app)
    visitor = worker.enter()
    thread = threading.Thread(target=lambda: visitor_reads(visitor))
    visitor.send(GET)
    thread.start()
    worker.run(lambda: not thread.is_alive())
    thread.join()
    head, _, body = visitor.data.partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    assert body == returned


def visitor_reads(visitor):
    visitor.socket.setblocking(True)
    visitor.socket.settimeout(10)
    while data := visitor.socket.recv(1 << 16):
        visitor.data += data


def test_an_error_after_a_look_with_select_is_answered(start):
    def use(sock, environ, start_response):
        sock.fileno()
        raise ValueError("mine")

    data, worker = served(start, use, GET)
    assert data.startswith(b"HTTP/1.1 500 ")
    assert len(worker.warnings) == 1


# -- TLS -----------------------------------------------------------------------------------------------------


class Secure:
    """A client that speaks TLS, and has sent a request."""

    def __init__(self, start, app, request=UPGRADE, server=None, **options):
        self.worker = start(app, context=server or server_context())
        self.visitor = self.worker.visit()
        self.tls = TlsClient(self.visitor.socket, **options)
        self.worker.run(self.tls.shake)
        self.tls.send(request)

    def end(self):
        """What it got until the end of TLS."""
        self.worker.run(lambda: self.tls.receive() is not None and self.tls.ended)
        self.tls.leave()
        self.worker.run(lambda: len(self.worker.clients) == 0)
        return bytes(self.tls.received)


def test_over_tls_it_speaks_through_tls(start):
    seen = []

    def app(environ, start_response):
        sock = environ["gunicorn.socket"]
        sock.settimeout(5)
        seen.append((sock.version(), sock.cipher()[1], sock.selected_alpn_protocol(), sock.getpeercert()))
        seen.append((sock.getpeername()[0], sock.family))
        sock.sendall(b"hello")
        seen.append(select.select([sock], [], [], 5)[0] == [sock])
        seen.append((sock.recv(2), select.select([sock], [], [], 5)[0] == [sock], sock.recv(100)))
        sock.sendall(b"x" * 300_000)
        raise StopIteration

    secure = Secure(start, app, UPGRADE + b"secret")
    assert secure.end() == b"hello" + b"x" * 300_000
    assert seen[0] == ("TLSv1.3", "TLSv1.3", None, None)
    assert seen[1] == ("127.0.0.1", socket.AF_INET)
    assert seen[2:] == [True, (b"se", True, b"cret")]


def test_over_tls_a_response_after_a_look_with_select_is_sent(start):
    def app(environ, start_response):
        sock = environ["gunicorn.socket"]
        with pytest.raises(BlockingIOError):
            sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        assert select.select([sock], [], [], 0) == ([], [], [])
        if environ["PATH_INFO"] == "/chat":
            raise ValueError("mine")
        return answer(start_response)

    assert Secure(start, app, GET).end().endswith(b"\r\n\r\nanswer")
    assert Secure(start, app).end().startswith(b"HTTP/1.1 500 ")


def test_the_client_s_certificate_is_a_look(start):
    seen = []

    def app(environ, start_response):
        sock = environ["gunicorn.socket"]
        seen.append((sock.getpeercert()["subject"], len(sock.getpeercert(binary_form=True)) > 100))
        return answer(start_response)

    context = server_context()
    context.load_verify_locations(CERTIFICATES / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    secure = Secure(start, app, GET, server=context, context=client_context("client"))
    secure.worker.run(lambda: secure.tls.receive().endswith(b"answer"))
    secure.tls.leave()
    assert seen[0][1] is True
    assert seen[0][0]
