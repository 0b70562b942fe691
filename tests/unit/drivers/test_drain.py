"""A worker that retires, or stops with the server, cuts nobody off: what has begun to arrive is answered."""

import errno

import pytest

from ostler.drivers.transfer import TransferSockets
from ostler.http.connection import Peer
from ostler.observe.scoreboard import WorkerState

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
BATCH = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(5))
ANSWERS = [(200, b"/%d" % number) for number in range(5)]


def app(environ, start_response):
    start_response("200 OK", [])
    return [environ["PATH_INFO"].encode()]


@pytest.fixture(params=["stop", "abandon", "retire"])
def leave(request):
    """Begin to drain, in one of the ways."""
    return lambda worker: getattr(worker.reactor, request.param)()


def full(monkeypatch):
    """No sibling takes anything."""
    monkeypatch.setattr(TransferSockets, "send", lambda *_: False)


def test_what_is_pipelined_behind_a_running_request_is_answered(start, leave, monkeypatch):
    full(monkeypatch)

    def leaving(environ, start_response):
        if environ["PATH_INFO"] == "/0":
            worker.as_standby(lambda: leave(worker) or True)
        return app(environ, start_response)

    worker = start(leaving)
    visitor = worker.enter()
    assert visitor.ask(BATCH, 5) == ANSWERS


def test_what_is_pipelined_while_a_request_runs_is_answered(start, leave, monkeypatch):
    full(monkeypatch)

    def leaving(environ, start_response):
        if environ["PATH_INFO"] == "/first":
            visitor.send(BATCH)
            worker.as_standby(lambda: True)
            leave(worker)
        return app(environ, start_response)

    worker = start(leaving)
    visitor = worker.enter()
    assert visitor.ask(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n", 6)[1:] == ANSWERS


@pytest.mark.parametrize("idle", [True, False], ids=["kept alive", "new"])
def test_a_last_batch_is_answered_whole(start, leave, monkeypatch, idle):
    full(monkeypatch)
    worker = start(app)
    visitor = worker.enter()
    if idle:
        visitor.ask(GET)
    leave(worker)
    worker.turns(3)
    assert visitor.ask(BATCH, 5) == ANSWERS
    assert visitor.data.count(b"Connection: close") == 1
    visitor.close()
    worker.end()


def test_a_batch_in_the_backlog_is_answered_whole(start):
    worker = start(app)
    visitor = worker.visit()
    visitor.send(BATCH)
    worker.reactor.stop()
    worker.run(lambda: len(visitor.responses()) == 5)
    assert visitor.responses() == ANSWERS
    assert visitor.data.count(b"Connection: close") == 1


def test_a_response_that_has_started_without_a_close_is_followed_by_one_with_it(start, leave, monkeypatch):
    full(monkeypatch)

    def leaving(environ, start_response):
        start_response("200 OK", [("Content-Length", "2")])
        yield b"o"
        if environ["PATH_INFO"] == "/a":
            worker.as_standby(lambda: leave(worker) or True)
        yield b"k"

    worker = start(leaving)
    visitor = worker.enter()
    assert visitor.ask(GET) == [(200, b"ok")]
    assert b"Connection: close" not in visitor.data
    assert visitor.ask(GET.replace(b"/a", b"/b")) == [(200, b"ok")]
    assert b"Connection: close" in visitor.data


def test_what_cannot_go_over_has_longer_when_siblings_stay(start, monkeypatch):
    full(monkeypatch)
    worker = start(app)
    visitor = worker.enter()
    visitor.ask(GET)
    worker.reactor.retire()
    worker.jump(5)
    assert visitor.ask(GET) == [(200, b"/a")]
    visitor.wait_for_end()


def test_a_client_that_came_back_in_the_moment_of_the_drain_is_no_hindrance(start):
    """Its thread saw no drain, and the drain saw a running request."""
    worker = start(app)
    visitor = worker.enter()
    visitor.ask(GET)
    worker.doors.draining = worker.doors.stopping = True
    worker.reactor._next_tick = 0.0
    worker.turns(2)
    worker.jump(1.1)
    visitor.wait_for_end()


def test_a_request_that_came_with_the_deadline_is_answered(start, monkeypatch):
    worker = start(app, keepalive=5)
    visitor = worker.enter()
    visitor.ask(GET)
    (client,) = worker.clients._open.values()
    enforce = worker.clients._deadlines.enforce

    def late(now):
        visitor.send(GET)  # the poll before has not seen it
        return enforce(now)

    monkeypatch.setattr(worker.clients._deadlines, "enforce", late)
    worker.clock.ahead_s += 5.1
    worker.run(lambda: len(visitor.responses()) == 2)
    assert client.served


@pytest.mark.parametrize(("served", "seconds"), [(False, 20), (True, 0.5)])
def test_a_connection_that_came_over_before_its_first_request_is_given_time_for_it(start, pair, served, seconds):
    worker = start(app, keepalive=1)
    assert worker.transfer.send(pair[0], Peer("", ""), "http", b"", served)
    worker.run(lambda: len(worker.clients) == 1)
    worker.jump(seconds)
    pair[1].send(GET)
    worker.run(lambda: worker.scoreboard.page(0).requests == 1)
    assert pair[1].recv(1000).endswith(b"/a")


def test_a_retiring_worker_says_whether_a_connection_was_served(start):
    worker = start(app)
    visitors = [worker.enter(), worker.enter()]
    visitors[0].ask(GET)
    worker.reactor.retire()
    taken = [worker.transfer.receive(), worker.transfer.receive()]
    assert sorted(each.served for each in taken) == [False, True]
    for each in taken:
        each.socket.close()


def test_without_a_free_descriptor_nothing_is_taken_over(start, pair, monkeypatch):
    def none_free(fd):
        raise OSError(errno.EMFILE, "Too many open files")

    worker = start(app)
    with monkeypatch.context() as patch:
        patch.setattr("ostler.drivers.transfer._dup", none_free)
        assert worker.transfer.send(pair[0], Peer("", ""), "http", GET)
        worker.turns(5)
        assert len(worker.clients) == 0
        assert worker.is_quiet()
        assert worker.scoreboard.page(0).state is WorkerState.BUSY
    worker.jump(0.6)
    worker.run(lambda: worker.scoreboard.page(0).requests == 1)
    assert pair[1].recv(1000).endswith(b"/a")


def test_a_half_read_head_goes_over_with_its_bytes(start):
    worker = start(app)
    visitor = worker.enter()
    visitor.send(GET[:10])
    worker.turns(3)
    worker.reactor.retire()
    taken = worker.transfer.receive()
    assert taken.unread == GET[:10]
    visitor.send(GET[10:])
    assert taken.socket.recv(100) == GET[10:]
    taken.socket.close()
