"""drivers/hosted.py and live.py: exchanges that run in the reactor's own thread, turned by hand."""

import contextlib
import logging
import random
import socket
import time

import pytest

from ostler.app.environ import EnvironTemplate
from ostler.app.wsgi_input import BodyIncomplete, ClientGone
from ostler.config.address import UnixAddress
from ostler.config.settings import Settings
from ostler.drivers import clients as clients_module
from ostler.drivers import hosted as hosted_module
from ostler.drivers import live as live_module
from ostler.drivers.doors import Doors
from ostler.drivers.hosted import Hosted
from ostler.drivers.timeouts import Timeouts
from ostler.drivers.transfer import TransferSockets
from ostler.http.connection import END, NEED_DATA
from ostler.http.limits import Limits
from ostler.observe.scoreboard import Scoreboard
from ostler.process.listeners import bind_all
from tests.unit.app.serving import Log
from tests.unit.drivers.worker import PATIENCE_S, Clock

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
LARGE = random.Random(7).randbytes(3_000_000)
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


class House:
    """One hosted worker; `app(live)` is called for each exchange."""

    def __init__(self, path, app, monkeypatch):
        self.clock = Clock()
        for module in (clients_module, hosted_module, live_module):
            monkeypatch.setattr(module, "_monotonic", self.clock)
        settings = Settings.defaults()
        self.lives = []
        self.app = app
        self.over = []
        self.listeners = bind_all((UnixAddress(path),), 8)
        scoreboard = Scoreboard(2, 1)
        self.page = scoreboard.page(0)
        self.transfer = TransferSockets.create()
        doors = Doors(
            listeners=self.listeners,
            transfer=self.transfer,
            scoreboard=scoreboard,
            page_index=0,
            has_permit=lambda: True,
            client_limit=10,
            log=logging.getLogger("nobody"),
        )
        self.log = Log()
        self.loop = Hosted(
            start=self._start,
            streams=True,
            rows=1,
            doors=doors,
            page=self.page,
            template=EnvironTemplate(settings, {}, {}),
            limits=Limits(),
            timeouts=Timeouts.of(settings),
            request_buffering=True,
            log=self.log,
        )
        self.loop.on_finished = lambda: self.over.append(True)
        self.path = path
        self.socks = []

    def _start(self, live):
        self.lives.append(live)
        self.app(live)

    def connect(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self.path)
        sock.setblocking(False)
        self.socks.append(sock)
        return sock

    def holding(self, request):
        """A client that has sent `request`, and its exchange, which the test goes on with (`hold`)."""
        sock = self.connect()
        sock.send(request)
        self.run(lambda: self.lives)
        (live,) = self.lives
        return sock, live

    def run(self, until):
        deadline = time.monotonic() + PATIENCE_S
        while not until():
            assert time.monotonic() < deadline, f"it never came true; log: {self.log.lines}"
            self.loop.turn()

    def hear(self, sock, until):
        """Turn until what `sock` got makes `until` true."""
        got = bytearray()

        def look():
            with contextlib.suppress(BlockingIOError):
                got.extend(sock.recv(1 << 20))
            return until(bytes(got))

        self.run(look)
        return bytes(got)

    def close(self):
        for sock in self.socks:
            sock.close()
        self.loop.close()
        for listener in self.listeners:
            listener.close()
        self.transfer.close()


@pytest.fixture
def house(tmp_path, monkeypatch):
    made = []

    def make(app):
        made.append(House(str(tmp_path / f"s{len(made)}"), app, monkeypatch))
        return made[-1]

    yield make
    for each in made:
        each.close()


def answer(live, body=b"hello"):
    live.exchange.start(200, "OK", [], len(body))
    live.exchange.write(body)
    live.exchange.end()
    live.send()
    live.finish()


def hold(_live):
    """The test goes on with the exchange by itself."""


def test_requests_are_answered_one_after_another_and_pipelined(house):
    one = house(answer)
    sock = one.connect()
    for count in (1, 2, 3):
        sock.send(GET * count)
        assert one.hear(sock, lambda got, n=count: got.count(b"hello") == n)
    assert one.loop.running == 0


def test_more_exchanges_than_rows_run_at_once(house):
    one = house(hold)
    socks = [one.connect() for _ in range(3)]
    for sock in socks:
        sock.send(GET)
    one.run(lambda: len(one.lives) == 3)
    assert sorted(live.row for live in one.lives) == [-1, -1, 0]
    for live in one.lives:
        answer(live)
    for sock in socks:
        assert one.hear(sock, lambda got: got.endswith(b"hello"))


def test_a_body_is_read_while_it_comes(house):
    one = house(hold)
    sock, live = one.holding(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
    assert live.read() is NEED_DATA
    changes = []
    live.changed = lambda: changes.append(True)
    live.want()
    assert one.hear(sock, lambda got: b"100 Continue" in got)
    sock.send(b"01234")
    one.run(lambda: changes)
    assert live.read() == b"01234"
    assert live.read() is NEED_DATA
    changes.clear()
    live.want()
    sock.send(b"56789")
    one.run(lambda: changes)
    assert live.read() == b"56789"
    assert live.read() is END
    answer(live)
    assert one.hear(sock, lambda got: got.endswith(b"hello"))


def test_a_fast_uploader_waits_for_a_slow_application(house):
    one = house(hold)
    sock, live = one.holding(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(LARGE))
    rest = memoryview(LARGE)

    def push():
        nonlocal rest
        try:
            rest = rest[sock.send(rest) :]
        except BlockingIOError:
            return True
        return False

    one.run(push)  # the kernel takes no more: and we hold a bounded part of it
    for _ in range(20):
        one.loop.turn()
        push()
    assert len(live.client.connection.received) < 1_000_000
    assert len(rest) > 1_000_000
    got = bytearray()
    while len(got) < len(LARGE):
        data = live.read()
        if data is NEED_DATA:
            live.want()
            one.loop.turn()
            push()
        else:
            got += data
    assert got == LARGE
    answer(live)
    assert one.hear(sock, lambda got: got.endswith(b"hello"))


def test_a_body_that_does_not_come_is_given_up(house):
    one = house(hold)
    sock, live = one.holding(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
    changes = []
    live.changed = lambda: changes.append(True)
    assert live.read() is NEED_DATA
    live.want()
    one.clock.ahead_s += 61
    one.run(lambda: changes)
    with pytest.raises(BodyIncomplete) as caught:
        live.read()
    live.exchange.refuse(caught.value.error)
    live.finish()
    assert one.hear(sock, lambda got: b"408" in got)


def test_a_body_that_breaks_off_is_never_complete(house):
    one = house(hold)
    sock, live = one.holding(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123")
    sock.close()
    one.run(lambda: live.left)
    assert live.read() == b"0123"
    with pytest.raises(BodyIncomplete):
        live.read()
    live.finish()
    one.run(lambda: not len(one.loop.clients))


def test_a_client_that_leaves_is_noticed_and_costs_no_turns(house):
    one = house(hold)
    sock, live = one.holding(GET)
    changes = []
    live.changed = lambda: changes.append(live.left)
    sock.close()
    one.run(lambda: live.left)
    assert changes[-1]
    count = len(changes)
    for _ in range(5):
        one.loop.turn()
    assert len(changes) <= count + 1  # once more for the hang-up, and it is not watched any more
    live.exchange.start(200, "OK", [], 5)
    live.exchange.write(b"hello")
    live.exchange.end()
    with pytest.raises(ClientGone):
        live.send()
    live.finish()
    one.run(lambda: not len(one.loop.clients))


def test_a_slow_reader_makes_the_application_wait(house):
    one = house(hold)
    sock, live = one.holding(GET)
    live.exchange.start(200, "OK", [], len(LARGE))
    rest = LARGE
    while live.has_room and rest:
        live.exchange.write(rest[:65536])
        live.send()
        rest = rest[65536:]
    assert rest
    changes = []
    live.changed = lambda: changes.append(True)
    one.loop.turn()
    assert not changes
    got = bytearray()
    while rest or live.client.transport.lent:
        try:
            got += sock.recv(65536)
        except BlockingIOError:
            one.loop.turn()
        while live.has_room and rest:
            live.exchange.write(rest[:65536])
            live.send()
            rest = rest[65536:]
    assert changes
    live.exchange.end()
    live.send()
    live.finish()
    got += one.hear(sock, lambda more: bytes(got + more).endswith(LARGE[-10:]))
    assert bytes(got).endswith(LARGE)


def test_a_slow_reader_that_takes_nothing_is_given_up(house):
    one = house(hold)
    _, live = one.holding(GET)
    live.exchange.start(200, "OK", [], len(LARGE))
    live.exchange.write(LARGE)
    assert not live.send()
    one.clock.ahead_s += 61
    one.run(lambda: live.left)
    with pytest.raises(ClientGone):
        live.send()
    live.finish()
    one.run(lambda: not len(one.loop.clients))


@pytest.mark.parametrize("early", [b"", b"first"])
def test_an_upgraded_exchange_is_a_pipe(house, early):
    heard = []

    def app(live):
        live.exchange.start(101, "Switching Protocols", [("Upgrade", "websocket"), ("Connection", "Upgrade")])
        live.upgrade(heard.append)

    one = house(app)
    sock = one.connect()
    sock.send(UPGRADE + early)
    head = one.hear(sock, lambda got: got.endswith(b"\r\n\r\n"))
    assert head.startswith(b"HTTP/1.1 101 ")
    (live,) = one.lives
    assert heard == ([early] if early else [])
    sock.send(b"more")
    one.run(lambda: b"".join(heard) == early + b"more")
    live.pause()
    sock.send(b"kept")
    for _ in range(3):
        one.loop.turn()
    assert b"".join(heard) == early + b"more"
    live.resume()
    one.run(lambda: b"".join(heard) == early + b"morekept")
    assert live.write(b"to you")
    assert one.hear(sock, lambda got: got == b"to you")
    sock.shutdown(socket.SHUT_WR)
    one.run(lambda: heard[-1] == b"")
    assert live.left
    live.finish()
    assert one.hear(sock, lambda got: True) == b""
    one.run(lambda: not len(one.loop.clients))


def upgraded(house, hear=lambda data: None):
    def app(live):
        live.exchange.start(101, "Switching Protocols", [("Upgrade", "websocket"), ("Connection", "Upgrade")])
        live.upgrade(hear)

    one = house(app)
    sock = one.connect()
    sock.send(UPGRADE)
    one.hear(sock, lambda got: got.endswith(b"\r\n\r\n"))
    return one, sock, one.lives[0]


def test_who_leaves_while_paused_is_noticed_once(house):
    heard, changes = [], []
    one, sock, live = upgraded(house, heard.append)
    live.pause()
    live.changed = lambda: changes.append(live.left)
    sock.send(b"unread")
    sock.shutdown(socket.SHUT_WR)
    one.run(lambda: live.left)
    live.pause()
    for _ in range(3):
        one.loop.turn()
    assert (changes, heard) == ([True], [])
    live.resume()
    one.run(lambda: heard == [b"unread", b""])
    live.finish()


def test_a_transport_that_failed_at_a_write_costs_no_turns(house):
    one, sock, live = upgraded(house)
    sock.close()
    with pytest.raises(ClientGone):
        live.write(b"x")
    one.run(lambda: live.left)
    one.loop.turn()
    assert one.loop._poller.poll(0.0) == []
    live.finish()
    with pytest.raises(ClientGone):
        live.write(b"x")


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_hanging_up_ends_the_connection_behind_all_that_was_written(house, size):
    one, sock, live = upgraded(house)
    live.write(bytes(size))
    live.hang_up()
    live.hang_up()
    live.resume()
    assert len(one.hear(sock, lambda got: len(got) == size)) == size
    ended = []

    def at_the_end():
        with contextlib.suppress(BlockingIOError):
            ended.append(sock.recv(10))
        return ended

    one.run(at_the_end)
    assert ended == [b""]
    assert not live.finished
    sock.close()
    live.finish()
    one.run(lambda: not len(one.loop.clients))


def test_a_drain_tells_and_waits(house):
    one = house(hold)
    busy, idle = one.connect(), one.connect()
    busy.send(GET)
    idle.send(GET)
    one.run(lambda: len(one.lives) == 2)
    answer(one.lives[1])
    one.hear(idle, lambda got: got.endswith(b"hello"))
    live = one.lives[0]
    changes = []
    live.changed = lambda: changes.append(live.draining)
    one.loop.stop()
    assert changes == [True]
    one.run(lambda: len(one.loop.clients) == 1 or one.clock.__setattr__("ahead_s", one.clock.ahead_s + 0.1))
    assert not one.over
    answer(live)
    assert b"Connection: close" in one.hear(busy, lambda got: got.endswith(b"hello"))
    busy.close()
    one.run(lambda: one.over or one.clock.__setattr__("ahead_s", one.clock.ahead_s + 0.1))
    assert one.over == [True]
    assert one.loop.finished


def test_a_kind_that_has_something_running_is_waited_for(house):
    one = house(answer)
    tasks = [1]
    one.loop.is_idle = lambda: not tasks
    one.loop.stop()
    for _ in range(5):
        one.clock.ahead_s += 0.1
        one.loop.turn()
    assert not one.over
    tasks.clear()
    one.run(lambda: one.over or one.clock.__setattr__("ahead_s", one.clock.ahead_s + 0.1))


def test_a_start_that_raises_costs_its_exchange(house):
    def app(live):
        raise RuntimeError("ours")

    one = house(app)
    sock = one.connect()
    sock.send(GET)
    one.run(lambda: not len(one.loop.clients) and one.lives)
    assert any("defect of Ostler" in text for _, text in one.log.lines)
