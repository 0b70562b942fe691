"""The event loop of asgi and tornado workers, with a reactor that does nothing: what user code does to it."""

import asyncio
import os

import pytest

from ostler.workers.evented import EventedWorker
from tests.unit.app.serving import Log


class Reactor:
    """What `Hosted` is for the worker."""

    def __init__(self):
        self.out, self.into = os.pipe()
        self.finished = False
        self.on_finished = lambda: None
        self.turns = 0

    def fileno(self):
        return self.out

    def patience(self):
        return 0.0

    def turn(self):
        self.turns += 1

    def finish(self):
        self.finished = True
        self.on_finished()


@pytest.fixture
def reactor():
    reactor = Reactor()
    yield reactor
    os.close(reactor.out)
    os.close(reactor.into)
    asyncio.set_event_loop(None)


class Evented(EventedWorker):
    @classmethod
    def assemble(cls, parts):
        raise NotImplementedError


def serve(reactor, work, loop=None):
    """Run `work` in a worker, to its end; the log's lines."""
    log = Log()
    worker = Evented(loop or asyncio.new_event_loop(), reactor, log)
    worker.begin()

    async def play():
        try:
            await work()
        finally:
            worker._loop.call_later(0.01, reactor.finish)

    task = worker._loop.create_task(play())
    worker.serve()
    assert worker._loop.is_closed()
    del task
    return [message for _, message in log.lines]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_a_task_that_wants_to_leave_does_not_end_the_worker(reactor, error):
    async def work():
        async def leave():
            raise error

        task = asyncio.create_task(leave())
        await asyncio.sleep(0.01)
        assert task.done()

    (line,) = serve(reactor, work)
    assert line.startswith("a task of the application wanted to end the worker, which goes on error=")


def test_an_application_that_stops_the_loop_stops_nothing(reactor):
    async def work():
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0.01)

        async def at_the_end():
            try:
                await asyncio.sleep(60)
            finally:
                asyncio.get_running_loop().stop()

        tasks.append(asyncio.create_task(at_the_end()))

    tasks = []
    assert serve(reactor, work) == []
    assert tasks[0].cancelled()


def test_a_generator_that_does_not_end_holds_nobody(reactor):
    async def endless():
        try:
            yield 1
        finally:
            await asyncio.sleep(60)

    async def work():
        generators.append(endless())
        await anext(generators[0])

    generators = []
    loop = asyncio.new_event_loop()
    loop.set_debug(False)
    serve(reactor, work, loop)


def test_a_turn_that_fails_is_not_the_last(reactor):
    def turn():
        reactor.turns += 1
        if reactor.turns == 1:
            raise ZeroDivisionError

    reactor.turn = turn

    async def work():
        while reactor.turns < 3:
            await asyncio.sleep(0.001)

    (line,) = serve(reactor, work)
    assert "ZeroDivisionError" in line
