"""roles/warmup.py: requests of our own, over a real reactor whose doors are shut."""

import ssl
from collections import deque

import pytest

from ostler.config.address import AllowList
from ostler.observe.scoreboard import WorkerState
from ostler.roles import warmup
from ostler.roles.warmup import Answer, Warmup, request_for
from tests.unit.drivers.worker import Worker


class Boot:
    """A worker that warms up, and how that ends."""

    def __init__(self, monkeypatch, application, targets, **more):
        self.worker = Worker(monkeypatch, application, **more)
        self.ends = []
        self.targets = targets

    def run(self, until=None):
        reactor = self.worker.reactor
        reactor.keep_doors_shut()
        Warmup(reactor, self.targets, lambda: self.ends.append("passed"), self.ends.append).begin()
        self.worker.run(until or (lambda: self.ends))
        return self.ends


@pytest.fixture
def boot(monkeypatch):
    boots = []

    def make(application, *targets, **more):
        boots.append(Boot(monkeypatch, application, targets, **more))
        return boots[-1]

    yield make
    for each in boots:
        each.worker.close()


def replies(*statuses):
    """An application that answers so, and what it was asked."""
    left = deque(statuses)
    asked = []

    def app(environ, start_response):
        asked.append(environ)
        start_response(left.popleft(), [])
        return [b"body"]

    return app, asked


def test_without_targets_a_worker_is_ready_at_once(boot):
    assert boot(None).run() == ["passed"]


def test_every_target_is_asked_in_turn(boot):
    app, asked = replies("200 OK", "302 Found", "204 No Content")
    assert boot(app, "/health?a=1", "http://example.org:8000/x%20y", "/last").run() == ["passed"]
    first, second, third = asked
    assert (first["PATH_INFO"], first["QUERY_STRING"], first["HTTP_HOST"]) == ("/health", "a=1", "localhost")
    assert (second["PATH_INFO"], second["HTTP_HOST"]) == ("/x y", "example.org:8000")
    assert third["PATH_INFO"] == "/last"
    assert first["HTTP_USER_AGENT"] == "ostler-check"
    assert first["REMOTE_ADDR"] == "127.0.0.1"
    assert first["wsgi.url_scheme"] == "http"


@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found", "500 Oh", "503 Not Yet"])
def test_the_first_failure_ends_it(boot, status):
    app, asked = replies("200 OK", status, "200 OK")
    assert boot(app, "/a", "/b", "/c").run() == [f"check /b answered {status[:3]}"]
    assert len(asked) == 2


def test_an_exception_is_a_failure(boot):
    assert boot(lambda environ, start_response: 1 / 0, "/").run() == ["check / answered 500"]


@pytest.mark.parametrize("length", [(), (("Content-Length", "100"),)], ids=["chunked", "length"])
def test_an_answer_that_breaks_off_is_a_failure(boot, length):
    def app(environ, start_response):
        start_response("200 OK", list(length))
        yield b"a"
        raise RuntimeError

    assert boot(app, "/").run() == ["check / broke off, after a head with status 200"]


@pytest.mark.parametrize("length", [(), (("Content-Length", "400000"),)], ids=["chunked", "length"])
def test_long_answers_are_read_to_their_end(boot, length):
    def app(environ, start_response):
        start_response("200 OK", list(length))
        for _ in range(4):
            yield b"x" * 100_000

    assert boot(app, "/").run() == ["passed"]


def test_interim_responses_are_none(boot):
    def app(environ, start_response):
        environ["wsgi.early_hints"]([("Link", "</a>")])
        start_response("200 OK", [])
        return [b""]

    assert boot(app, "/").run() == ["passed"]


def test_an_endless_refusal_is_one_at_once(boot):
    def app(environ, start_response):
        start_response("500 Oh", [])
        yield b"a"
        worker.as_standby(lambda: started.ends)

    started = boot(app, "/")
    worker = started.worker
    assert started.run() == ["check / answered 500"]


def test_what_our_own_parser_refuses_is_a_failure(boot):
    app, _ = replies()
    assert boot(app, "/" + "x" * 8000).run() == [f"check /{'x' * 8000} answered 414"]


def test_nobody_comes_in_and_nobody_goes_over_meanwhile(boot):
    seen = []

    def app(environ, start_response):
        seen.append((environ["PATH_INFO"], worker.scoreboard.page(0).state))
        worker.as_standby(lambda: True)
        start_response("200 OK", [])
        return [b""]

    started = boot(app, "/a", "/b")
    worker = started.worker
    worker.scoreboard.page(0).reset(1, 0.0)
    worker.scoreboard.page(1).state = WorkerState.IDLE  # a sibling that would take what waits
    visitor = worker.visit()
    visitor.send(b"GET /client HTTP/1.1\r\nHost: a\r\n\r\n")
    assert started.run() == ["passed"]
    worker.turns(3)
    assert seen == [("/a", WorkerState.BOOTING), ("/b", WorkerState.BOOTING)]
    assert len(worker.clients) == 0
    worker.reactor.open_doors()
    worker.run(visitor.responses)
    assert seen[-1] == ("/client", WorkerState.IDLE)


def test_a_busy_worker_does_not_give_its_check_to_a_sibling(boot):
    app, asked = replies("200 OK")
    started = boot(app, "/")
    worker = started.worker
    worker.scoreboard.page(1).state = WorkerState.IDLE
    permit = worker.crew.take_permit()  # as if the thread of the last one had not given it back yet
    started.run(until=lambda: worker.clients.ready.waiting)
    worker.turns(3)
    assert worker.transfer.receive() is None
    worker.crew.give_back(permit)
    worker.run(lambda: started.ends)
    assert started.ends == ["passed"]
    assert len(asked) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"protocol": "uwsgi", "uwsgi_allow_ips": AllowList()},
        {"proxy_protocol": "v2", "proxy_allow_ips": AllowList(everybody=True)},
        {"context": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)},
    ],
    ids=["uwsgi", "proxy", "tls"],
)
def test_what_clients_have_to_speak_is_not_asked_of_a_check(boot, settings):
    app, asked = replies("200 OK")
    assert boot(app, "/a", **settings).run() == ["passed"]
    assert (asked[0]["wsgi.url_scheme"], asked[0]["PATH_INFO"]) == ("http", "/a")


def test_a_check_that_cannot_be_made_is_a_failure(boot, monkeypatch):
    def full():
        raise OSError(24, "Too many open files")

    started = boot(None, "/")
    monkeypatch.setattr(warmup.real, "pair", full)
    (why,) = started.run()
    assert why.startswith("check / could not be made: ")


@pytest.mark.parametrize(
    ("target", "request_line", "host"),
    [("/", "GET / HTTP/1.1", "localhost"), ("http://u@h:1/p?q", "GET /p?q HTTP/1.1", "h:1")],
)
def test_requests(target, request_line, host):
    lines = request_for(target).decode().split("\r\n")
    assert lines[0] == request_line
    assert f"Host: {host}" in lines
    assert "Connection: close" in lines


@pytest.mark.parametrize(
    ("data", "complete"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", True),
        (b"HTTP/1.1 103 E\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", True),
        (b"HTTP/1.1 304 N\r\nContent-Length: 2\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", True),
    ],
)
def test_every_split_of_an_answer_reads_the_same(data, complete):
    for at in range(len(data) + 1):
        answer = Answer()
        answer.receive(data[:at])
        if at < len(data):
            assert not answer.complete
        answer.receive(data[at:])
        assert answer.complete is complete


def test_an_answer_that_never_came():
    answer = Answer()
    answer.receive(b"")
    assert (answer.complete, answer.failed, str(answer)) == (False, False, "was not answered")
