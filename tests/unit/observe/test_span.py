"""observe/span.py: one request and whoever hears of it."""

import logging

import pytest

from ostler.config.settings import Hooks, Settings
from ostler.http.connection import Peer
from ostler.http.limits import Limits
from ostler.http.parse import parse_head
from ostler.observe.hooks import WorkerFacts, WorkerHooks
from ostler.observe.scoreboard import Scoreboard
from ostler.observe.span import SpanMaker

PEER = Peer(("192.0.2.1", 40000), ("192.0.2.2", 80))
HEAD = parse_head(b"GET /a%20b?q HTTP/1.0\r\nX-A: 1", Limits())


class Views:
    """Hook arguments that are the facts themselves."""

    def introduce(self, master):
        pass

    def server(self):
        return "server"

    def worker(self, facts):
        return facts

    def forget(self, facts):
        pass

    def request(self, facts):
        return facts

    def response(self, facts):
        return facts


class Heard(list):
    """An observer."""

    def request_finished(self, event):
        self.append(event)


def spans(observers=(), limit=0, on_limit=lambda: None, **hooks):
    page = Scoreboard(1, 2).page(0)
    settings = Settings.defaults(hooks=Hooks(**hooks))
    facts = WorkerFacts(age=1, ppid=1, settings=settings, listeners=(), page=page, log=None, pid=42)
    return SpanMaker(page, WorkerHooks(facts, Views(), logging.Logger("test")), observers, limit, on_limit)


def end(span, started=True, sent=5):
    span.end({"a": 1}, "200 OK" if started else "", [("X-B", "2")], started, False, sent)


def test_a_request_is_in_flight_until_its_end():
    maker = spans()
    span = maker.begin(1, HEAD)
    ((started, what),) = maker.page.in_flight()
    assert started > 0
    assert what == "GET /a%20b?q"
    assert maker.page.requests == 0
    end(span)
    assert maker.page.in_flight() == []
    assert maker.page.requests == 1


def test_what_took_how_long_and_what_failed_is_added_up():
    maker = spans()
    for status in ("200 OK", "500 Oh", "599 x", "404 No", ""):
        span = maker.begin(0, HEAD)
        span.end({}, status, [], True, False, 0)
    work = maker.page.work(0.0)
    assert (work.requests, work.errors) == (5, 2)
    assert 0 < work.busy_s < 5


def test_an_observer_hears_of_everything():
    heard = Heard()
    end(spans([heard]).begin(0, HEAD))
    (event,) = heard
    assert event.environ == {"a": 1}
    assert event.request_fields == [("x-a", "1")]
    assert event.status == "200 OK"
    assert event.response_fields == [("X-B", "2")]
    assert event.sent == 5
    assert event.duration_s >= 0
    assert (event.method, event.target, event.protocol) == ("GET", "/a%20b?q", "HTTP/1.0")


def test_a_response_that_never_began_sent_nothing():
    heard = Heard()
    end(spans([heard]).begin(0, HEAD), started=False, sent=0)
    assert heard[0].sent is None


def test_hooks_see_the_request_and_the_response():
    calls = []
    maker = spans(
        pre_request=lambda worker, request: calls.append(("pre", worker.pid, request.method, request.scheme)),
        post_request=lambda worker, request, environ, response: calls.append(("post", environ, response.sent)),
    )
    span = maker.begin(0, HEAD)
    span.pre_request(PEER, "https")
    assert calls == [("pre", 42, "GET", "https")]
    end(span)
    assert calls[1:] == [("post", {"a": 1}, 5)]


def test_post_request_finds_the_request_of_pre_request():
    seen = []
    maker = spans(
        pre_request=lambda worker, request: seen.append(request),
        post_request=lambda worker, request, environ, response: seen.append(request),
    )
    span = maker.begin(0, HEAD)
    span.pre_request(PEER, "http")
    end(span)
    assert seen[0] is seen[1]


def test_what_pre_request_raises_goes_on_and_the_request_still_ends():
    def pre_request(worker, request):
        raise ValueError("no")

    maker = spans(pre_request=pre_request)
    span = maker.begin(0, HEAD)
    with pytest.raises(ValueError, match="no"):
        span.pre_request(PEER, "http")
    end(span)
    assert maker.page.in_flight() == []
    assert maker.page.requests == 1


def test_a_request_without_hooks_is_not_described():
    heard = []
    maker = spans(worker_exit=lambda server, worker: heard.append(1))
    span = maker.begin(0, HEAD)
    span.pre_request(PEER, "http")
    end(span)
    assert heard == []


def test_the_limit_is_reached_once():
    reached = []
    maker = spans(limit=2, on_limit=lambda: reached.append(maker.page.requests))
    for _ in range(4):
        end(maker.begin(0, HEAD))
    assert reached == [2]


def test_without_a_limit_nothing_is_reached():
    reached = []
    maker = spans(on_limit=lambda: reached.append(1))
    for _ in range(3):
        end(maker.begin(0, HEAD))
    assert reached == []
