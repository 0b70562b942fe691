"""drivers/shedding.py, side_door.py and proxy_clock.py: who has waited too long is told so, and nobody else."""

import socket
import time

import pytest

from ostler.config.address import AllowList, UnixAddress
from ostler.drivers import side_door
from ostler.drivers.proxy_clock import WINDOW_S, ProxyClock
from ostler.http.connection import Peer
from ostler.observe.scoreboard import WorkerState
from ostler.process.listeners import bind_all

LINE = "requests shed, they waited longer than queue_timeout"


def get(path, *fields):
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: a", *fields, "", ""]).encode()


class App:
    """Runs `meanwhile` within requests for /slow."""

    def __init__(self):
        self.meanwhile = lambda: None
        self.asked = []

    def __call__(self, environ, start_response):
        self.asked.append(environ["PATH_INFO"])
        if environ["PATH_INFO"] == "/slow":
            self.meanwhile()
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]


@pytest.fixture
def app():
    return App()


@pytest.fixture
def worker(start, app):
    return start(app, queue_timeout=2.0)


def answers(visitor, count=1):
    return lambda: len(visitor.responses()) >= count


def shed_lines(worker):
    return [line for line in worker.warnings if line.startswith(LINE)]


def test_a_request_that_waits_behind_a_slow_one_is_shed_in_time(worker, app):
    slow, late = worker.enter(), worker.enter()

    def meanwhile():
        late.send(get("/late"))
        worker.as_standby(lambda: worker.clients.ready.waiting)
        worker.clock.ahead_s += 1.9
        worker.as_standby(worker_turns(worker, 5))
        assert late.responses() == []
        worker.clock.ahead_s += 0.2
        worker.as_standby(answers(late))

    app.meanwhile = meanwhile
    assert slow.ask(get("/slow"))[0][0] == 200
    assert late.responses() == [(503, b"503 Service Unavailable\n")]
    assert b"\r\nRetry-After: 2\r\n" in late.data
    assert b"Connection: close" not in late.data
    assert app.asked == ["/slow"]
    assert late.ask(get("/again")) == [(200, b"ok")]


def worker_turns(worker, count):
    end = worker._turns + count
    return lambda: worker._turns >= end


def wait_behind(worker, app, requests, seconds, then=lambda: None):
    """All have asked something (visitor -> bytes), and have waited so long behind a slow request."""
    slow = worker.enter()

    def meanwhile():
        for visitor, request in requests.items():
            visitor.send(request)
        worker.as_standby(lambda: worker.clients.ready.waiting >= len(requests))
        worker.clock.ahead_s += seconds
        then()

    app.meanwhile = meanwhile
    assert slow.ask(get("/slow"))[0][0] == 200


def test_whose_turn_comes_too_late_is_shed_where_no_standby_could(worker, app):
    late = worker.enter()
    wait_behind(worker, app, {late: get("/late")}, 2.5)
    worker.run(answers(late))
    assert late.responses()[0][0] == 503
    assert app.asked == ["/slow"]


def test_health_paths_wait_and_their_spelling_does_not_matter(worker, app):
    visitors = {worker.enter(): get(path) for path in ("/health?full", "/%68ealthz", "/health/", "/healthy")}
    wait_behind(worker, app, visitors, 100)
    for visitor in visitors:
        worker.run(answers(visitor))
    assert [visitor.responses()[0][0] for visitor in visitors] == [200, 200, 200, 503]


def test_it_is_told_and_counted_once(worker, app):
    visitors = {worker.enter(): get(f"/late/{number}", "User-Agent: me") for number in range(3)}
    wait_behind(worker, app, visitors, 5)
    for visitor in visitors:
        worker.run(answers(visitor))
    assert sorted(event.target for event in worker.finished) == ["/late/0", "/late/1", "/late/2"]
    event = worker.finished[0]
    assert (event.status, event.sent) == ("503 Service Unavailable", 24)
    assert (event.method, event.protocol) == ("GET", "HTTP/1.1")
    assert event.duration_s >= 5
    assert event.environ["HTTP_USER_AGENT"] == "me"
    assert worker.shed == worker.scoreboard.pressures.shed == 3
    assert len(shed_lines(worker)) == 1
    worker.clock.ahead_s += 61
    worker.turns(3)
    assert "shed=2 waited_s=5" in shed_lines(worker)[1]


def test_a_crowd_is_answered_in_several_turns(worker, app):
    visitors = {worker.enter(): get("/late") for _ in range(80)}

    def then():
        worker.as_standby(lambda: all(visitor.responses() for visitor in visitors))

    wait_behind(worker, app, visitors, 3, then)
    assert worker.shed == 80
    assert worker.clients.ready.take() is None


def test_a_pipelined_request_waits_since_the_one_before_was_answered(worker, app):
    visitor = worker.enter()

    def meanwhile():
        worker.clock.ahead_s += 10
        worker.as_standby(worker_turns(worker, 3))

    app.meanwhile = meanwhile
    visitor.send(get("/slow") + get("/next"))
    worker.run(answers(visitor, 2))
    assert [status for status, _ in visitor.responses()] == [200, 200]


def test_it_has_not_waited_where_nobody_led_meanwhile(worker, app):
    visitor = worker.enter()

    def meanwhile():
        worker.clock.ahead_s += 10  # C code that keeps the GIL, or a leader that sleeps in its poll

    app.meanwhile = meanwhile
    visitor.send(get("/slow") + get("/next", stamped(-9)))
    worker.run(answers(visitor, 2))
    assert [status for status, _ in visitor.responses()] == [200, 200]


def test_the_time_in_the_kernel_counts_and_a_slow_client_does_not(worker, monkeypatch):
    visitor = worker.enter()
    monkeypatch.setattr("ostler.drivers.shedding.waited_s", lambda sock: 3.0)
    assert visitor.ask(get("/late"))[0][0] == 503
    monkeypatch.setattr("ostler.drivers.shedding.waited_s", lambda sock: 0.0)
    request = get("/early")
    visitor.send(request[:9])
    worker.turns(3)
    worker.clock.ahead_s += 10
    assert visitor.ask(request[9:])[0][0] == 200


def test_a_body_that_nobody_reads_ends_the_connection(start, app, monkeypatch):
    worker = start(app, queue_timeout=2.0, request_buffering=False)
    monkeypatch.setattr("ostler.drivers.shedding.waited_s", lambda sock: 3.0)
    visitor = worker.enter()
    large = b"POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
    assert visitor.ask(large)[0][0] == 503
    assert b"Connection: close" in visitor.data


def test_a_websocket_request_is_shed_as_any(worker, monkeypatch):
    monkeypatch.setattr("ostler.drivers.shedding.waited_s", lambda sock: 3.0)
    key = "A" * 22 + "=="
    fields = "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"
    assert worker.enter().ask(get("/chat", *fields))[0][0] == 503


def test_an_environ_that_cannot_be_made_costs_the_access_line_nothing(start, app, monkeypatch):
    worker = start(app, queue_timeout=2.0, header_map="refuse")
    monkeypatch.setattr("ostler.drivers.shedding.waited_s", lambda sock: 3.0)
    assert worker.enter().ask(get("/late", "X_Y: 1"))[0][0] == 503
    assert worker.finished[0].environ == {}


def test_an_observer_that_raises_costs_its_request_only(worker, monkeypatch):
    monkeypatch.setattr("ostler.drivers.shedding.waited_s", lambda sock: 3.0)
    worker.clients.shedding._observers[0].request_finished = None
    visitor = worker.enter()
    visitor.send(get("/late"))
    visitor.wait_for_end()
    monkeypatch.setattr("ostler.drivers.shedding.waited_s", lambda sock: 0.0)
    assert worker.enter().ask(get("/"))[0][0] == 200
    assert "cut off" in worker.warnings[0]


# -- what proxies say


def stamped(ago_s):
    return f"X-Request-Start: t={time.time() - ago_s:.3f}"


def test_time_at_a_trusted_proxy_counts(worker):
    visitor = worker.enter()
    assert visitor.ask(get("/", stamped(0)))[0][0] == 200
    assert visitor.ask(get("/", stamped(2.5)))[0][0] == 503
    assert visitor.ask(get("/", "X-Request-Start: rubbish"))[0][0] == 200


def test_a_strangers_stamp_means_nothing(start, app):
    worker = start(app, queue_timeout=2.0, forwarded_allow_ips=AllowList())
    visitor = worker.enter()
    assert visitor.ask(get("/", stamped(0)))[0][0] == 200
    assert visitor.ask(get("/", stamped(50)))[0][0] == 200


def test_a_body_is_the_clients_time_also_behind_a_proxy(worker):
    visitor = worker.enter()
    assert visitor.ask(get("/", stamped(0)))[0][0] == 200
    head = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n{stamped(0)}\r\n\r\n".encode()
    visitor.send(head + b"ab")
    worker.turns(3)
    worker.clock.ahead_s += 30
    assert visitor.ask(b"cd")[0][0] == 200


def test_an_upload_that_a_proxy_waited_for_is_no_wait(worker):
    visitor = worker.enter()
    assert visitor.ask(get("/", stamped(0)))[0][0] == 200
    request = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n{stamped(50)}\r\n\r\nabcd".encode()
    assert visitor.ask(request)[0][0] == 200


def test_when_our_clock_is_set_stamps_mean_nothing_for_a_while():
    clock = ProxyClock()
    assert clock.waited_s(0.0, 100, 1000.0) == 0
    assert clock.waited_s(60.0, 101, 1060.0) == 0
    assert clock.waited_s(0.0, 102, 1060.0) == 0
    assert clock.waited_s(60.0, 103, 1060.0) == 0
    assert clock.waited_s(0.0, 102 + WINDOW_S, 1060.04) == 0
    assert clock.waited_s(5.0, 102 + WINDOW_S, 1060.0) == 5


def test_each_proxy_has_a_clock_of_its_own():
    clock = ProxyClock()
    assert [clock.waited_s(said_s, 100, 0.0, proxy) for said_s, proxy in ((0.0, "a"), (60.0, "b"), (61.0, "b"))] == [
        0,
        0,
        1,
    ]
    for number in range(2000):
        clock.waited_s(1.0, 100, 0.0, str(number))
    assert clock.waited_s(62.0, 100, 0.0, "b") == 0


def test_clocks_that_differ_make_nobody_late():
    clock = ProxyClock()
    assert [clock.waited_s(said_s, 100) for said_s in (60.0, 60.5, 59.5, 63.0)] == [0, 0.5, 0, 3.5]


def test_a_clock_that_was_set_is_forgiven_after_two_windows():
    clock = ProxyClock()
    assert clock.waited_s(0.0, 100) == 0
    assert clock.waited_s(60.0, 105) == 60
    assert clock.waited_s(60.0, 101 + WINDOW_S) == 60
    assert clock.waited_s(60.0, 102 + 2 * WINDOW_S) == 0


def test_after_a_silence_the_first_request_has_not_waited():
    clock = ProxyClock()
    assert clock.waited_s(0.0, 100) == 0
    assert clock.waited_s(5.0, 1000) == 0


# -- the side door


def come_while_busy(worker, app, then):
    """A client connects and asks while the only thread is busy; what `then` does meanwhile."""
    slow = worker.enter()
    guest = []

    def meanwhile():
        guest.append(worker.visit())
        guest[0].send(get("/guest"))
        then(guest[0])

    app.meanwhile = meanwhile
    assert slow.ask(get("/slow"))[0][0] == 200
    return guest[0]


def test_who_waits_outside_a_busy_worker_is_told_so(start, app):
    worker = start(app, queue_timeout=0.2)
    guest = come_while_busy(worker, app, lambda guest: worker.as_standby(answers(guest)))
    assert guest.responses()[0][0] == 503
    assert app.asked == ["/slow"]


def test_nobody_is_let_in_before_half_of_his_time_is_over(worker, app):
    inside = []

    def then(guest):
        worker.as_standby(worker_turns(worker, 20))
        inside.append(len(worker.clients))

    guest = come_while_busy(worker, app, then)
    assert inside in ([1], [2])  # the first look may take one, which tells the age of the others
    worker.run(answers(guest))
    assert guest.responses()[0][0] == 200


def test_nobody_is_let_in_while_a_sibling_is_idle(start, app):
    worker = start(app, queue_timeout=0.05)
    inside = []

    def then(guest):
        worker.scoreboard.page(1).state = WorkerState.IDLE
        until = time.monotonic() + 0.2
        worker.as_standby(lambda: time.monotonic() > until)
        inside.append(len(worker.clients))
        worker.scoreboard.page(1).state = WorkerState.BUSY

    come_while_busy(worker, app, then)
    assert inside == [1]


def test_who_was_handed_over_to_somebody_who_is_busy_again_does_not_wait_unseen(start, app):
    worker = start(app, queue_timeout=0.2)
    handed = []

    def then(guest):
        ours, theirs = socket.socketpair()
        ours.settimeout(5)
        handed.append(ours)
        with theirs:
            assert worker.doors._transfer.send(theirs, Peer("", ""), "http", get("/handed"), since=time.monotonic())
        worker.as_standby(lambda: len(worker.clients) == 3)

    come_while_busy(worker, app, then)
    worker.turns(3)
    with handed[0]:
        assert handed[0].recv(4096).startswith(b"HTTP/1.1 ")


def test_a_busy_worker_says_so_also_while_it_lets_clients_in(start, app):
    worker = start(app, queue_timeout=0.1)
    states = set()

    def then(guest):
        worker.as_standby(lambda: states.add(worker.scoreboard.page(0).state) or guest.responses())

    come_while_busy(worker, app, then)
    assert states == {WorkerState.BUSY}


def test_who_came_by_a_unix_socket_has_no_age_and_is_let_in_at_once(start, app, tmp_path):
    worker = start(app, queue_timeout=2.0, listeners=bind_all((UnixAddress(str(tmp_path / "s")),), 8))
    come_while_busy(worker, app, lambda guest: worker.as_standby(lambda: worker.clients.ready.waiting))


def test_without_queue_timeout_a_busy_worker_keeps_its_door_shut(start, app):
    worker = start(app)
    inside = []

    def then(guest):
        worker.as_standby(worker_turns(worker, 50))
        inside.append(len(worker.clients))

    come_while_busy(worker, app, then)
    assert inside == [1]


def test_no_more_are_let_in_than_there_are_places(start, app):
    worker = start(app, queue_timeout=0.05, limit=3)
    inside = []

    def then(guest):
        more = [worker.visit() for _ in range(6)]
        for visitor in more:
            visitor.send(get("/more"))
        until = time.monotonic() + 0.3
        worker.as_standby(lambda: inside.append(len(worker.clients)) or time.monotonic() > until)

    come_while_busy(worker, app, then)
    assert max(inside) <= 3


def test_the_age_of_one_says_that_all_behind_him_are_younger(monkeypatch):
    door = side_door.SideDoor(1.0)
    ages = iter([1.5, 1.2, 0.4])
    monkeypatch.setattr(side_door, "waited_s", lambda sock: next(ages))
    with socket.create_server(("127.0.0.1", 0)) as server:
        listener = _Listener(server)
        accepted = []

        def accept(each):
            accepted.append(each)
            door.accepted(each, server, 100.0)
            return True

        door.look([listener], accept, 100.0)
        assert len(accepted) == 3
        door.look([listener], accept, 100.0 + side_door.LOOK_S)
        door.look([listener], accept, 100.59)
        assert len(accepted) == 3
        ages = iter([0.1])
        door.look([listener], accept, 100.65)
        assert len(accepted) == 4
        assert door.patience(100.66) == pytest.approx(side_door.LOOK_S - 0.01)


class _Listener:
    def __init__(self, sock):
        self.socket = sock
        self.fd = sock.fileno()
