"""drivers/reactor.py, clients.py and client.py: one request after another, over loopback sockets."""

import random
import socket
import struct

import pytest

from ostler.config.address import UnixAddress
from ostler.drivers import parting
from ostler.drivers.client import State
from ostler.drivers.poller import GONE, READ
from ostler.http.connection import Peer
from ostler.observe.scoreboard import WorkerState
from ostler.process.listeners import bind_all

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
LARGE = random.Random(5).randbytes(8_000_000)


class Echo:
    """Answers with method, path and body, and remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, environ, start_response):
        self.asked.append(environ["PATH_INFO"])
        body = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} ".encode() + environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body]


@pytest.fixture
def echo():
    return Echo()


def get(path):
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def only_client(worker):
    (client,) = worker.clients._open.values()
    return client


# -- requests ------------------------------------------------------------------------------------------------


def test_one_request_after_another_on_one_connection(start, echo):
    visitor = start(echo).visit()
    assert visitor.ask(GET) == [(200, b"GET /a ")]
    assert visitor.ask(POST + b"0123456789") == [(200, b"POST /a 0123456789")]
    assert not visitor.ended


def test_a_request_that_comes_byte_by_byte(start, echo):
    worker = start(echo)
    visitor = worker.enter()
    client = only_client(worker)
    for byte in POST[:-1]:
        held = len(client.connection.received)
        visitor.send(bytes([byte]))
        worker.run(lambda held=held: len(client.connection.received) > held)
    assert client.state is State.READING
    visitor.send(POST[-1:])
    worker.run(lambda: client.exchange is not None)
    for byte in b"012345678":
        visitor.send(bytes([byte]))
        worker.turns(2)
    assert echo.asked == []
    assert visitor.ask(b"9") == [(200, b"POST /a 0123456789")]


def test_pipelined_requests_are_answered_in_order(start, echo):
    visitor = start(echo).visit()
    data = get("/1") + POST + b"0123456789" + get("/3") + b"GET /4 HT"
    assert visitor.ask(data, 3) == [(200, b"GET /1 "), (200, b"POST /a 0123456789"), (200, b"GET /3 ")]
    assert visitor.ask(b"TP/1.1\r\nHost: a\r\n\r\n") == [(200, b"GET /4 ")]


def test_a_client_that_asks_is_told_to_continue(start, echo):
    worker = start(echo)
    visitor = worker.visit()
    visitor.send(POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
    worker.run(lambda: visitor.look() == b"HTTP/1.1 100 Continue\r\n\r\n")
    assert echo.asked == []
    visitor.data = b""
    assert visitor.ask(b"0123456789") == [(200, b"POST /a 0123456789")]


def test_a_body_in_chunks(start, echo):
    visitor = start(echo).visit()
    data = POST.replace(b"Content-Length: 10", b"Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n"
    assert visitor.ask(data) == [(200, b"POST /a abc")]


def test_a_large_body_goes_through_a_file(start):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    worker = start(app)
    visitor = worker.visit()
    body = LARGE[:2_000_000]
    todo = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n" + body

    def more():
        nonlocal todo
        if todo:
            todo = todo[visitor.socket.send(todo[:100_000]) :]
        return visitor.responses()

    worker.run(more)
    assert visitor.responses() == [(200, body)]
    assert worker.clients._spill.take(1024 * 1024 * 1024)


def test_without_buffering_the_application_reads_what_arrives(start):
    def app(environ, start_response):
        start_response("200 OK", [])
        first = environ["wsgi.input"].read(3)
        visitor.send(b"6789")
        return [first + b"|" + environ["wsgi.input"].read()]

    worker = start(app, request_buffering=False)
    visitor = worker.visit()
    assert visitor.ask(POST + b"012345") == [(200, b"012|3456789")]


def test_an_unread_body_is_thrown_away_when_it_is_small(start):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    worker = start(app, request_buffering=False)
    visitor = worker.visit()
    assert visitor.ask(POST + b"01") == [(200, b"/a")]
    assert worker.is_quiet()
    assert visitor.ask(b"23456789" + get("/b")) == [(200, b"/b")]


def test_a_request_for_the_last_time_closes(start, echo):
    visitor = start(echo).visit()
    assert visitor.ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")) == [(200, b"GET /a ")]
    visitor.wait_for_end()
    assert not visitor.reset


def test_bytes_behind_the_last_request_do_not_destroy_its_answer(start):
    def large(environ, start_response):
        visitor.send(b"\r\n")  # the request was read already, so this waits in the kernel when the connection closes
        start_response("200 OK", [("Content-Length", "100000")])
        return [b"x" * 100000]

    worker = start(large)
    visitor = worker.visit()
    visitor.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    visitor.wait_for_end()
    assert not visitor.reset
    assert visitor.responses() == [(200, b"x" * 100000)]


def test_a_pipeline_keeps_the_others_waiting_for_one_request_only(start, echo):
    worker = start(echo)
    many, one = worker.enter(), worker.enter()
    many.send(get("/many") * 100)
    one.send(get("/one"))
    worker.run(lambda: len(many.responses()) == 100)
    assert len(one.responses()) == 1
    assert echo.asked.index("/one") <= 2


def test_a_client_that_closed_its_sending_side_gets_its_answer(start, echo):
    worker = start(echo)
    visitor = worker.visit()
    visitor.send(GET)
    visitor.socket.shutdown(socket.SHUT_WR)
    visitor.wait_for_end()
    assert visitor.responses() == [(200, b"GET /a ")]
    assert not visitor.reset
    assert len(worker.clients) == 0


# -- refusals, and the end of a connection -------------------------------------------------------------------


def test_a_bad_request_is_refused_and_its_client_can_read_why(start, echo):
    worker = start(echo)
    visitor = worker.visit()
    visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n" + b"x" * 1000)
    visitor.wait_for_end()
    assert visitor.responses()[0][0] == 400
    assert not visitor.reset
    # The rest is taken off its hands for a while, so that no reset destroys the answer.
    assert only_client(worker).state is State.LINGERING
    visitor.send(b"x" * 1000)
    worker.run(lambda: only_client(worker).taken >= 1000)
    visitor.close()
    worker.run(lambda: len(worker.clients) == 0)


def test_lingering_ends(start, echo):
    worker = start(echo)
    visitor = worker.visit()
    visitor.send(b"BAD\r\n\r\n")
    visitor.wait_for_end()
    assert len(worker.clients) == 1
    worker.jump(2.1)
    assert len(worker.clients) == 0


def test_lingering_takes_only_so_much(start, echo, monkeypatch):
    monkeypatch.setattr(parting, "_LINGER_BYTES", 256 * 1024)
    worker = start(echo)
    visitor = worker.visit()
    visitor.send(b"BAD\r\n\r\n")
    visitor.wait_for_end()

    def flood():
        try:
            visitor.socket.send(b"x" * 65536)
        except BlockingIOError:
            pass
        except OSError:
            return True
        return len(worker.clients) == 0

    worker.run(flood)
    worker.run(lambda: len(worker.clients) == 0)


def test_a_response_that_breaks_off_before_http_1_1_ends_with_a_reset(start):
    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"begun"
        raise ValueError("no")

    visitor = start(app).visit()
    visitor.send(b"GET / HTTP/1.0\r\n\r\n")
    visitor.wait_for_end()
    assert visitor.reset


def test_a_client_that_closes_is_forgotten(start, echo):
    worker = start(echo)
    for data in (b"", b"GET / HT", POST + b"123", GET):
        visitor = worker.enter()
        visitor.send(data)
        worker.turns(3)
        visitor.close()
        worker.run(lambda: len(worker.clients) == 0)
    assert echo.asked == ["/a"]


# -- deadlines -----------------------------------------------------------------------------------------------


def test_a_client_that_sends_nothing_is_closed(start, echo):
    worker = start(echo)
    visitor = worker.enter()
    worker.jump(29)
    assert len(worker.clients) == 1
    worker.jump(2)
    visitor.wait_for_end()
    assert visitor.data == b""


def test_a_head_that_takes_too_long_is_answered_with_408(start, echo):
    worker = start(echo)
    visitor = worker.enter()
    for byte in b"GET / HTTP/1.1\r\nX: yyyyyyyyyyyy":
        visitor.send(bytes([byte]))
        worker.jump(2)
    visitor.wait_for_end()
    assert visitor.responses()[0][0] == 408


def test_a_body_may_take_long_but_not_stop(start, echo):
    worker = start(echo, body_min_rate=0)
    visitor = worker.enter()
    visitor.send(POST)
    worker.turns(2)
    for byte in b"0123":
        worker.jump(50)
        visitor.send(bytes([byte]))
        worker.turns(2)
    assert len(worker.clients) == 1
    worker.jump(61)
    visitor.wait_for_end()
    assert visitor.responses()[0][0] == 408
    assert echo.asked == []


def test_a_body_that_comes_slower_than_the_least_rate_is_refused(start, echo):
    worker = start(echo, body_timeout=10, body_min_rate=100)
    visitor = worker.enter()
    visitor.send(POST)
    worker.turns(2)
    for byte in b"01":
        worker.jump(4)
        visitor.send(bytes([byte]))
        worker.turns(2)
    assert len(worker.clients) == 1
    worker.jump(4)
    visitor.wait_for_end()
    assert visitor.responses()[0][0] == 408


def test_a_body_has_a_total_time(start, echo):
    worker = start(echo, body_min_rate=0, body_total_timeout=20)
    visitor = worker.enter()
    visitor.send(POST)
    worker.turns(2)
    for byte in b"0123":
        worker.jump(4)
        visitor.send(bytes([byte]))
        worker.turns(2)
    assert len(worker.clients) == 1
    worker.jump(5)
    visitor.wait_for_end()
    assert visitor.responses()[0][0] == 408


def test_without_deadlines_nobody_is_given_up(start, echo):
    worker = start(echo, header_timeout=0, body_timeout=0, body_min_rate=0)
    heading, sending = worker.enter(), worker.enter()
    heading.send(b"GET /")
    sending.send(POST)
    worker.turns(2)
    worker.jump(1e6)
    assert heading.ask(b" HTTP/1.1\r\nHost: a\r\n\r\n") == [(200, b"GET / ")]
    assert sending.ask(b"0123456789") == [(200, b"POST /a 0123456789")]


def test_the_rest_of_an_answered_request_may_not_take_for_ever(start):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "0")])
        return []

    worker = start(app, request_buffering=False, body_timeout=10)
    visitor = worker.enter()
    visitor.ask(POST)
    for byte in b"01":
        worker.jump(4)
        visitor.send(bytes([byte]))
        worker.turns(2)
    worker.jump(4)
    visitor.wait_for_end()


def test_keep_alive_is_kept_and_no_longer(start, echo):
    worker = start(echo, keepalive=10)
    visitor = worker.visit()
    visitor.ask(GET)
    worker.jump(9)
    visitor.ask(GET)
    worker.jump(9)
    visitor.look()
    assert not visitor.ended
    worker.jump(2)
    visitor.wait_for_end()
    assert len(visitor.responses()) == 2
    assert not visitor.reset


def test_a_request_that_comes_as_its_connection_expires_is_served(start, echo):
    worker = start(echo, keepalive=10)
    visitor = worker.visit()
    visitor.ask(GET)
    worker.clock.ahead_s += 11
    visitor.send(GET)  # nobody has heard of it when the deadline is looked at
    worker.clients.now = worker.clock()
    worker.clients.tick()
    worker.run(lambda: len(visitor.responses()) == 2)


def test_the_head_of_a_second_request_has_its_own_time(start, echo):
    worker = start(echo)
    visitor = worker.enter()
    visitor.send(b"GET /1 HT")
    worker.jump(20)
    # The second head has begun when the first request is answered: its 30 seconds begin then.
    visitor.ask(b"TP/1.1\r\nHost: a\r\n\r\nGET /2 HT")
    worker.jump(20)
    assert visitor.ask(b"TP/1.1\r\nHost: a\r\n\r\n") == [(200, b"GET /2 ")]


def test_a_client_that_reads_nothing_is_given_up(start, tmp_path):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [LARGE]

    # Over a Unix socket nothing leaves the kernel before it is read; loopback TCP goes on acknowledging for a while.
    worker = start(app, listeners=bind_all((UnixAddress(str(tmp_path / "s")),), 8))
    visitor = worker.visit()
    visitor.send(GET)
    worker.run(lambda: any(client.state is State.FLUSHING for client in worker.clients._open.values()))
    assert worker.is_quiet()
    worker.jump(58)
    assert len(worker.clients) == 1
    worker.jump(3)
    assert len(worker.clients) == 0
    assert any("took too little of its response" in message for _, message in worker.log.lines)


# -- slow readers --------------------------------------------------------------------------------------------


def test_a_slow_reader_holds_no_thread_and_gets_everything(start):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [LARGE] if environ["PATH_INFO"] == "/large" else [b"small"]

    worker = start(app)
    slow, fast = worker.visit(), worker.visit()
    slow.send(get("/large") + get("/small"))
    for _ in range(3):
        assert fast.ask(GET) == [(200, b"small")]
    worker.run(lambda: len(slow.responses()) == 2)
    assert slow.responses() == [(200, LARGE), (200, b"small")]


def test_blocks_for_a_slow_reader_are_kept_and_arrive_in_order(start):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", str(len(LARGE)))])
        for begin in range(0, len(LARGE), 100_000):
            yield LARGE[begin : begin + 100_000]

    worker = start(app)
    visitor = worker.visit()
    assert visitor.ask(GET) == [(200, LARGE)]
    assert visitor.ask(GET) == [(200, LARGE)]


def test_a_file_for_a_slow_reader(start, tmp_path):
    path = tmp_path / "large"
    path.write_bytes(LARGE)

    def app(environ, start_response):
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](path.open("rb"))

    visitor = start(app).visit()
    assert visitor.ask(GET) == [(200, LARGE)]
    visitor.send(GET)  # and one that is never read


# -- while the application runs ------------------------------------------------------------------------------


def test_what_a_client_sends_meanwhile_waits_and_keeps_nobody_awake(start, echo):
    def app(environ, start_response):
        if environ["PATH_INFO"] == "/slow":
            visitor.send(get("/next"))
            worker.as_standby(lambda: client.transport._events == 0)
            assert worker.is_quiet()
        return echo(environ, start_response)

    worker = start(app)
    visitor = worker.enter()
    client = only_client(worker)
    assert visitor.ask(get("/slow"), 2) == [(200, b"GET /slow "), (200, b"GET /next ")]


def test_a_client_that_leaves_meanwhile_keeps_nobody_awake(start):
    left = []

    def app(environ, start_response):
        left.append(environ["ostler.client_disconnected"]())
        visitor.close()
        worker.as_standby(lambda: client.left)
        assert worker.is_quiet()
        left.append(environ["ostler.client_disconnected"]())
        start_response("200 OK", [])
        return [b"x"]

    worker = start(app)
    visitor = worker.enter()
    client = only_client(worker)
    visitor.send(GET)
    worker.run(lambda: len(worker.clients) == 0)
    assert left == [False, True]
    assert worker.warnings == []


def test_a_client_that_resets_meanwhile_keeps_nobody_awake(start):
    closed = []

    def app(environ, start_response):
        visitor.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        visitor.close()
        worker.as_standby(lambda: client.transport.gone)
        assert worker.is_quiet()
        start_response("200 OK", [])
        try:
            yield b"x"
            closed.append("asked for more")
        finally:
            closed.append("closed")

    worker = start(app)
    visitor = worker.enter()
    client = only_client(worker)
    visitor.send(GET)
    worker.run(lambda: len(worker.clients) == 0)
    assert closed == ["closed"]
    assert worker.warnings == []


def test_a_stale_event_behind_a_broken_connection_is_harmless(start):
    def app(environ, start_response):
        visitor.send(GET)
        while not client.transport.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
            pass
        with client.transport.lock:
            client.transport.break_off()
        worker.clients.on_event(client, READ)
        start_response("200 OK", [])
        return [b"x"]

    worker = start(app)
    visitor = worker.enter()
    client = only_client(worker)
    visitor.send(GET)
    worker.run(lambda: len(worker.clients) == 0)
    assert worker.warnings == []


def test_a_stale_hang_up_of_a_former_owner_of_the_descriptor_is_harmless(start, echo):
    worker = start(echo)
    visitor = worker.enter()
    permit = worker.crew.take_permit()
    visitor.send(GET)
    worker.run(lambda: worker.clients.ready.waiting == 1)
    worker.clients.on_event(only_client(worker), GONE)
    worker.crew.give_back(permit)
    worker.run(lambda: visitor.responses() == [(200, b"GET /a ")])


def test_requests_that_wait_for_a_thread_keep_nobody_awake(start, echo):
    worker = start(echo)
    visitor = worker.enter()
    client = only_client(worker)
    permit = worker.crew.take_permit()
    visitor.send(get("/1") + get("/2"))
    worker.run(lambda: client.state is State.QUEUED)
    visitor.send(get("/3"))
    worker.run(lambda: client.transport._events == 0)
    assert worker.is_quiet()
    worker.crew.give_back(permit)
    worker.run(lambda: len(visitor.responses()) == 3)
    assert echo.asked == ["/1", "/2", "/3"]


def test_a_request_whose_client_left_while_it_waited_is_skipped(start, echo):
    worker = start(echo)
    gone, stays = worker.enter(), worker.enter()
    permit = worker.crew.take_permit()
    gone.send(get("/gone"))
    worker.run(lambda: worker.clients.ready.waiting == 1)
    stays.send(get("/stays"))
    worker.run(lambda: worker.clients.ready.waiting == 2)
    gone.close()
    worker.run(lambda: any(client.left for client in worker.clients._open.values()))
    assert worker.is_quiet()
    worker.crew.give_back(permit)
    worker.run(stays.responses)
    assert echo.asked == ["/stays"]
    assert len(worker.clients) == 1


# -- siblings ------------------------------------------------------------------------------------------------


def taken(worker):
    """What a sibling would take from the queue."""
    found = worker.transfer.receive()
    if found is not None:
        found.socket.close()
    return found


def test_a_request_that_would_wait_goes_to_an_idle_sibling(start, echo):
    worker = start(echo)
    visitor = worker.enter()
    visitor.ask(get("/1"))
    worker.crew.take_permit()
    worker.scoreboard.page(1).state = WorkerState.IDLE
    visitor.send(get("/2") + b"GET /3")
    worker.run(lambda: len(worker.clients) == 0)
    assert taken(worker).unread == get("/2") + b"GET /3"
    assert echo.asked == ["/1"]


def test_a_request_that_waits_goes_to_a_sibling_that_becomes_idle(start, echo):
    worker = start(echo)
    visitor = worker.enter()
    worker.crew.take_permit()
    visitor.send(get("/1") + b"GET /2")
    worker.run(lambda: worker.clients.ready.waiting == 1)
    worker.scoreboard.page(1).state = WorkerState.IDLE
    worker.run(lambda: len(worker.clients) == 0)
    assert taken(worker).unread == get("/1") + b"GET /2"
    assert echo.asked == []


def test_a_request_that_was_answered_is_not_handed_over_again(start, echo):
    worker = start(echo)
    visitor = worker.enter()
    permit = worker.crew.take_permit()
    visitor.send(get("/1") + get("/2"))
    worker.run(lambda: worker.clients.ready.waiting == 1)

    def run_one_then_be_busy():
        worker.crew.give_back(permit)
        client = worker.clients.next_ready()
        worker.reactor._run_exchange(client, worker.crew.take_permit())
        worker.clients.settle(client)
        worker.scoreboard.page(1).state = WorkerState.IDLE

    run_one_then_be_busy()
    assert echo.asked == ["/1"]
    worker.turns(5)
    handed = taken(worker)
    assert handed is None or handed.unread == get("/2")


def test_without_an_idle_sibling_a_request_waits(start, echo):
    worker = start(echo)
    visitor = worker.enter()
    permit = worker.crew.take_permit()
    visitor.send(GET)
    worker.turns(5)
    assert taken(worker) is None
    worker.crew.give_back(permit)
    worker.run(visitor.responses)


def test_a_connection_of_a_sibling_is_served_with_its_unread_bytes(start, echo, pair):
    worker = start(echo)
    peer = Peer(("192.0.2.1", 1), ("192.0.2.2", 2))
    assert worker.transfer.send(pair[0], peer, "http", GET[:10])
    worker.run(lambda: len(worker.clients) == 1)
    pair[1].send(GET[10:])
    worker.run(lambda: echo.asked == ["/a"])
    assert pair[1].recv(1000).endswith(b"GET /a ")


# -- the limit of clients ------------------------------------------------------------------------------------


def test_the_longest_idle_client_makes_room(start, echo):
    worker = start(echo, limit=3)
    first, second = worker.visit(), worker.visit()
    first.ask(GET)
    worker.turns(2)
    second.ask(GET)
    third = worker.visit()
    assert third.ask(GET) == [(200, b"GET /a ")]
    first.wait_for_end()
    second.look()
    assert not second.ended


def test_clients_that_became_idle_at_the_limit_make_room_later(start, echo):
    worker = start(echo, limit=2)
    first, second = worker.enter(), worker.enter()  # none of them can be closed yet
    first.ask(GET)
    second.ask(GET)
    third = worker.visit()
    assert third.ask(GET) == [(200, b"GET /a ")]


def test_the_oldest_without_a_head_makes_room(start, echo):
    worker = start(echo, limit=4)
    first, second, third = worker.enter(), worker.enter(), worker.enter()
    second.send(b"GET / HTTP/1.1\r\nHost:")
    honest = worker.enter()
    worker.turns(5)
    assert len(worker.clients) == 4  # in a burst, nobody is slow yet
    worker.jump(3)
    assert honest.ask(GET) == [(200, b"GET /a ")]
    first.wait_for_end()
    second.look()
    third.look()
    assert not second.ended
    assert not third.ended


def test_the_slowest_body_makes_room_and_a_fast_one_does_not(start, echo):
    worker = start(echo, limit=2)
    slow, fast = worker.enter(), worker.enter()
    slow.send(POST)
    fast.send(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + b"x" * 150000)
    worker.turns(5)
    worker.jump(6)
    honest = worker.visit()
    assert honest.ask(GET) == [(200, b"GET /a ")]
    slow.wait_for_end()
    assert fast.ask(b"x" * 50000)[0][0] == 200
    assert "the slowest are closed" in worker.warnings[0]


def test_who_lingers_makes_room(start, echo):
    worker = start(echo, limit=1)
    lingering = worker.enter()
    lingering.send(b"nonsense\r\n\r\n")
    worker.run(lambda: b"400" in lingering.look())
    for _ in range(3):
        worker.turns(2)
        lingering.send(b"x")
    worker.jump(0.5)
    assert worker.visit().ask(GET) == [(200, b"GET /a ")]


def test_an_idle_client_whose_next_request_has_arrived_is_not_closed(start, echo):
    worker = start(echo, limit=2)
    first = worker.visit()
    first.ask(GET)
    second = worker.visit()  # its connection and the first one's request are there at the same poll
    first.send(GET)
    assert second.ask(GET) == [(200, b"GET /a ")]
    worker.run(lambda: len(first.responses()) == 2)


def test_a_file_for_a_client_that_was_reset_meanwhile_is_closed(start, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1000)

    def app(environ, start_response):
        visitor.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        visitor.close()
        worker.as_standby(lambda: client.transport.gone)
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](path.open("rb"))

    worker = start(app)
    visitor = worker.enter()
    client = only_client(worker)
    visitor.send(GET)
    worker.run(lambda: len(worker.clients) == 0)  # the fixture counts descriptors


def test_the_time_for_a_first_head_begins_with_the_connection(start, echo):
    worker = start(echo, header_timeout=10)
    visitor = worker.enter()
    worker.jump(8)
    visitor.send(b"GET / HT")
    worker.turns(2)
    worker.jump(3)
    visitor.wait_for_end()
    assert visitor.responses()[0][0] == 408


def test_a_slow_reader_makes_room(start):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [b"x" * 5_000_000 if environ["PATH_INFO"] == "/large" else b"small"]

    worker = start(app, limit=1)
    slow = worker.enter()
    slow.send(get("/large"))
    worker.run(lambda: only_client(worker).transport.lent)
    worker.jump(6)
    honest = worker.visit()
    assert honest.ask(GET) == [(200, b"small")]


def test_a_client_that_is_served_is_not_closed_to_make_room(start, echo):
    worker = start(echo, limit=2)
    visitors = [worker.enter(), worker.enter()]
    for visitor in visitors:
        visitor.send(POST)
    worker.turns(3)
    for visitor in visitors:
        assert visitor.ask(b"0123456789") == [(200, b"POST /a 0123456789")]


# -- a defect of ours ----------------------------------------------------------------------------------------


def test_a_defect_in_one_clients_handling_costs_that_client_only(start, echo, monkeypatch):
    worker = start(echo)
    unlucky, lucky = worker.enter(), worker.enter()
    client = next(iter(worker.clients._open.values()))

    class Broken:
        def recv(self, size):
            raise ZeroDivisionError

    client.transport.stream = Broken()
    unlucky.send(GET)
    unlucky.wait_for_end()
    assert lucky.ask(GET) == [(200, b"GET /a ")]
    assert "defect" in worker.warnings[0]


def test_a_defect_while_the_application_runs_leaves_its_thread_alone(start, echo):
    class Broken:
        def __init__(self, sock):
            self.sock = sock

        def recv(self, size, flags=0):
            raise ZeroDivisionError

        def __getattr__(self, name):
            return getattr(self.sock, name)

    def app(environ, start_response):
        transport = client.transport
        real, transport.sock = transport.sock, Broken(transport.sock)
        visitor.send(GET)
        worker.as_standby(lambda: bool(worker.warnings))
        transport.sock = real
        return echo(environ, start_response)

    worker = start(app)
    visitor = worker.enter()
    client = only_client(worker)
    visitor.send(GET)
    worker.run(lambda: len(worker.clients) == 0)
    assert not worker.crew.permits_out
