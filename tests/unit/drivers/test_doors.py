"""drivers/doors.py: who comes in, and how it ends."""

import socket
import sys

import pytest

from ostler.config.address import TcpAddress, UnixAddress
from ostler.http.connection import Peer
from ostler.observe.scoreboard import WorkerState
from ostler.process.listeners import Listener, bind_all
from tests.unit.drivers.worker import FullTable

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="abstract names exist on Linux only")


def app(environ, start_response):
    start_response("200 OK", [])
    return [environ["PATH_INFO"].encode()]


@pytest.fixture(params=["tcp", "unix"])
def listeners(request, tmp_path):
    address = TcpAddress("127.0.0.1", 0) if request.param == "tcp" else UnixAddress(str(tmp_path / "s"))
    return bind_all((address,), 64)


def same(listeners):
    """The listeners as a sibling has them."""
    return [Listener(listener.socket.dup(), listener.address) for listener in listeners]


def test_peers_know_both_ends(start, listeners):
    worker = start(app, listeners=listeners)
    visitor = worker.enter()
    (client,) = worker.clients._open.values()
    local = worker.addresses[0]
    mine = visitor.socket.getsockname()
    assert client.connection.peer == Peer("" if isinstance(local, str) else mine, local)


@pytest.mark.parametrize("name", ["10.0.0.1", "a\r\nb", pytest.param("\0abstract", marks=LINUX)])
def test_what_a_unix_client_calls_itself_says_nothing(start, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    worker = start(app, listeners=bind_all((UnixAddress("s"),), 8))
    with socket.socket(socket.AF_UNIX) as client:
        client.bind(name)
        client.connect("s")
        worker.run(lambda: len(worker.clients) > 0)
    (served,) = worker.clients._open.values()
    assert served.connection.peer == Peer("", "s")


def test_two_listeners(start, tmp_path):
    worker = start(app, listeners=bind_all((TcpAddress("127.0.0.1", 0), UnixAddress(str(tmp_path / "s"))), 8))
    for number in (0, 1):
        assert worker.visit(number).ask(GET) == [(200, b"/a")]


def test_responses_in_several_blocks_are_not_held_back_by_the_kernel(start):
    worker = start(app)
    worker.enter()
    (client,) = worker.clients._open.values()
    assert client.transport.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_page_says_whether_somebody_may_come_in(start, listeners):
    worker = start(app, listeners=listeners)
    worker.turns(2)
    assert worker.scoreboard.page(0).state is WorkerState.IDLE
    permit = worker.crew.take_permit()
    worker.turns(2)
    assert worker.scoreboard.page(0).state is WorkerState.BUSY
    worker.visit()
    worker.turns(3)
    assert len(worker.clients) == 0
    assert worker.is_quiet()
    worker.crew.give_back(permit)
    worker.run(lambda: len(worker.clients) == 1)
    assert worker.scoreboard.page(0).state is WorkerState.IDLE


def test_nobody_comes_in_at_the_limit(start, listeners):
    worker = start(app, listeners=listeners, limit=2)
    first, _ = worker.enter(), worker.enter()
    third = worker.visit()
    third.send(GET)
    worker.turns(5)
    assert len(worker.clients) == 2
    assert worker.is_quiet()
    first.close()
    worker.run(third.responses)


def test_nobody_is_closed_for_a_newcomer_whom_a_sibling_has_a_place_for(start):
    worker = start(app, limit=2)
    idle = [worker.visit(), worker.visit()]
    worker.scoreboard.page(1).state = WorkerState.IDLE
    for visitor in idle:
        visitor.ask(GET)
    newcomer = worker.visit()
    newcomer.send(GET)
    worker.turns(5)
    assert len(worker.clients) == 2
    assert newcomer.responses() == []
    worker.scoreboard.page(1).state = WorkerState.BUSY
    worker.run(newcomer.responses)
    idle[0].wait_for_end()


def test_a_full_table_of_descriptors_is_a_pause(start):
    listener = FullTable.listener()
    worker = start(app, listeners=(listener,))
    visitor = worker.visit()
    visitor.send(GET)
    worker.run(lambda: listener.socket.tries > 0)
    worker.turns(10)
    assert listener.socket.tries == 1
    assert worker.is_quiet()
    assert len(worker.warnings) == 1
    worker.jump(0.6)
    assert listener.socket.tries == 2
    assert len(worker.warnings) == 1
    listener.socket.full = False
    worker.jump(0.6)
    worker.run(visitor.responses)


def test_a_full_table_costs_an_idle_client(start):
    listener = FullTable.listener()
    listener.socket.full = False
    worker = start(app, listeners=(listener,))
    idle = worker.visit()
    idle.ask(GET)
    listener.socket.full = True
    worker.visit()
    idle.wait_for_end()


# -- retire --------------------------------------------------------------------------------------------------


def queue(worker):
    """What siblings find in the queue, by its unread bytes."""
    found = []
    while (taken := worker.transfer.receive()) is not None:
        found.append(taken.unread)
        taken.socket.close()
    return sorted(found)


def test_retire_hands_idle_connections_over_with_their_unread_bytes(start, listeners):
    siblings = same(listeners)
    worker = start(app, listeners=listeners)
    idle, half, fresh = worker.enter(), worker.enter(), worker.enter()
    idle.ask(GET)
    half.ask(GET + b"GET /ha")
    assert not fresh.data
    worker.reactor.retire()
    assert worker.scoreboard.page(0).state is WorkerState.RETIRING
    worker.end()
    assert queue(worker) == [b"", b"", b"GET /ha"]
    # The siblings go on with the listeners.
    visitor = worker.visit()
    accepted, _ = siblings[0].socket.accept()
    accepted.close()
    siblings[0].close()
    visitor.close()


def test_retire_finishes_what_has_begun(start):
    worker = start(app)
    visitor = worker.enter()
    visitor.send(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
    worker.turns(3)
    worker.reactor.retire()
    worker.turns(3)
    assert not worker.reactor.done.is_set()
    assert visitor.ask(b"abc") == [(200, b"/a")]
    worker.end()
    assert queue(worker) == [b""]


def test_retire_without_a_sibling_to_take_them_closes_idle_connections_soon(start):
    worker = start(app)
    visitor = worker.visit()
    visitor.ask(GET)
    while worker.transfer.send(visitor.socket, Peer("", ""), "http", b"x" * 60000):
        pass
    worker.reactor.retire()
    worker.turns(3)
    assert visitor.ask(GET) == [(200, b"/a")]  # one more request may be on its way
    visitor.wait_for_end()
    assert b"Connection: close" in visitor.data
    worker.end()
    queue(worker)


# -- stop ----------------------------------------------------------------------------------------------------


def test_stop_answers_everybody_in_the_backlog(start, listeners):
    worker = start(app, listeners=listeners)
    visitors = [worker.visit() for _ in range(20)]
    for visitor in visitors:
        visitor.send(GET)
    worker.reactor.stop()
    worker.end()
    for visitor in visitors:
        assert visitor.responses() == [(200, b"/a")]
        assert b"Connection: close" in visitor.data
        assert not visitor.reset
    with pytest.raises(OSError, match="refused"):
        worker.visit()
    assert worker.warnings == []


def test_stop_closes_idle_connections_after_a_farewell(start, listeners):
    worker = start(app, listeners=listeners)
    idle, late = worker.visit(), worker.visit()
    idle.ask(GET)
    late.ask(GET)
    silent = worker.enter()
    worker.reactor.stop()
    worker.turns(3)
    assert late.ask(GET) == [(200, b"/a")]
    worker.jump(1.1)
    worker.end()
    idle.wait_for_end()
    silent.wait_for_end()
    assert worker.reactor.done.is_set()


def test_stop_waits_for_a_body_that_is_on_its_way(start):
    worker = start(app)
    visitor = worker.enter()
    visitor.send(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
    worker.turns(3)
    worker.reactor.stop()
    worker.jump(5)
    assert visitor.ask(b"abc") == [(200, b"/a")]
    worker.end()


def test_stop_takes_what_siblings_handed_over(start, pair):
    worker = start(app)
    others = socket.socketpair()
    for ours in (pair[0], others[0]):
        assert worker.transfer.send(ours, Peer("", ""), "http", GET)
        ours.close()
    worker.reactor.stop()
    worker.end()
    assert pair[1].recv(1000).endswith(b"/a")
    assert others[1].recv(1000).endswith(b"/a")
    others[1].close()


def test_a_silent_connection_that_a_sibling_handed_over_does_not_delay_the_stop(start, pair):
    worker = start(app)
    worker.reactor.stop()
    assert worker.transfer.send(pair[0], Peer("", ""), "http", b"")
    worker.run(lambda: len(worker.clients) == 1)
    worker.jump(1.1)
    assert worker.reactor.done.is_set()


def test_stop_after_a_sibling_has_shut_the_listener(start, listeners):
    worker = start(app, listeners=listeners)
    visitor = worker.visit()
    visitor.ask(GET)
    listeners[0].socket.shutdown(socket.SHUT_RDWR)
    worker.reactor.stop()
    worker.jump(1.1)
    worker.end()
    assert worker.warnings == []


def test_a_listener_that_a_sibling_shut_keeps_nobody_awake(start):
    worker = start(app)
    worker.turns(2)
    worker.listeners[0].socket.shutdown(socket.SHUT_RDWR)
    worker.turns(3)
    assert worker.is_quiet()
    worker.reactor.stop()
    worker.end()


def test_retire_and_then_stop(start):
    worker = start(app)
    worker.turns(2)
    worker.reactor.retire()
    worker.reactor.stop()
    worker.end()


def test_abandon_closes_the_listeners_and_finishes(start, listeners):
    worker = start(app, listeners=listeners)
    visitor = worker.visit()
    visitor.ask(GET)
    worker.reactor.abandon()
    worker.jump(1.1)
    worker.end()
    visitor.wait_for_end()
    assert worker.reactor.done.is_set()
