"""app/tornado_stream.py: tornado's IOStream over a pipe, without a server. (The rest is in tests/integration.)"""

import asyncio
import socket

import pytest

from ostler.app.readiness import TornadoReadiness
from ostler.app.tornado_stream import PipeLoop, PipeSocket
from ostler.app.wsgi_input import ClientGone
from ostler.http.connection import Peer

iostream = pytest.importorskip("tornado.iostream", reason="the dev extra has it")


class Live:
    """An upgraded exchange (drivers/live.py) that remembers."""

    def __init__(self):
        self.has_room = True
        self.gone = False
        self.written = b""
        self.paused = False

    def write(self, data):
        if self.gone:
            raise ClientGone("the connection broke")
        self.written += data
        self.has_room = len(self.written) % (128 * 1024) != 0  # full, now and then
        return self.has_room

    def pause(self):
        self.paused = True

    def resume(self):
        self.paused = False


class Piped:
    """A stream over a Live."""

    def __init__(self):
        self.live = Live()
        self.over = 0
        self.real, self.other = socket.socketpair()
        self.pipe = PipeSocket(self.live, self.real, Peer("", ""), self.end)
        self.stream = iostream.IOStream(self.pipe)
        self.stream.io_loop = PipeLoop(self.stream.io_loop, asyncio.get_running_loop(), self.pipe)

    def end(self):
        self.over += 1

    def room(self):
        self.live.has_room = True
        self.pipe.notice()


def piped(check):
    """Run `await check(piped)`."""

    async def run():
        made = Piped()
        try:
            await asyncio.wait_for(check(made), 10)
        finally:
            made.stream.close()
            made.real.close()
            made.other.close()

    asyncio.run(run())


def test_what_came_before_and_after_is_read():
    async def check(made):
        made.pipe.hear(b"first\nsec")
        assert await made.stream.read_until(b"\n") == b"first\n"
        reading = made.stream.read_until(b"\n")
        made.pipe.hear(b"ond\nrest")
        assert await reading == b"second\n"
        assert await made.stream.read_bytes(4) == b"rest"

    piped(check)


def test_a_client_waits_while_nobody_reads():
    async def check(made):
        made.pipe.hear(b"x" * 100_000)
        assert made.live.paused
        assert await made.stream.read_bytes(100_000) == b"x" * 100_000
        assert not made.live.paused

    piped(check)


def test_much_is_written_as_there_is_room():
    async def check(made):
        writing = made.stream.write(b"y" * 500_000)
        while not writing.done():
            made.room()
            await asyncio.sleep(0)
        assert made.live.written == b"y" * 500_000
        assert made.pipe.sent == 500_000

    piped(check)


def test_the_end_of_the_client_closes_the_stream_once():
    async def check(made):
        closed = asyncio.Event()
        made.stream.set_close_callback(closed.set)
        reading = made.stream.read_until(b"\n")
        made.pipe.hear(b"half a line")
        made.pipe.hear(b"")
        with pytest.raises(iostream.StreamClosedError):
            await reading
        await closed.wait()
        assert made.over == 1

    piped(check)


def test_a_client_that_leaves_is_noticed_by_a_stream_that_does_nothing():
    async def check(made):
        closed = asyncio.Event()
        made.stream.set_close_callback(closed.set)
        await asyncio.sleep(0)
        made.pipe.hear(b"")
        await closed.wait()

    piped(check)


def test_a_broken_connection_closes_the_stream():
    async def check(made):
        made.live.gone = True
        with pytest.raises(iostream.StreamClosedError):
            await made.stream.write(b"x")
        assert made.over == 1

    piped(check)


def test_a_tornado_application_can_stop_being_ready():
    readiness = TornadoReadiness(None, ["/ready", "/x%20y?a"])
    assert not readiness.refuses("/ready")
    readiness.end()
    assert [readiness.refuses(path) for path in ("/ready", "/x%20y", "/r%65ady", "/other")] == [True, True, True, False]
