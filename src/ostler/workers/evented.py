"""What the kinds on asyncio's event loop share (asgi, tornado): how the loop turns the reactor, and how it ends.

The loop watches one descriptor, that of the whole reactor (drivers/hosted.py), and turns it when that is readable or
time is up. Whatever blocks the loop keeps the reactor from turning: nobody is served meanwhile, the heart stops, and
after `timeout` seconds the worker is taken for one that hangs.

Rules for editing: user code shares the loop, and may do anything with it: stop it, or raise SystemExit in a task.
"""

import asyncio
import logging
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Coroutine
from math import inf
from typing import Any, Final

from ostler.app.telling import tell
from ostler.config.usercode import describe_exception
from ostler.drivers.hosted import Hosted
from ostler.logline import fields
from ostler.workers.base import Worker

STUBBORN_S: Final = 0.25
"""What goes on for so long after it was cancelled is left alone."""


class EventedWorker(Worker):
    """Many exchanges at a time, in one thread."""

    def __init__(self, loop: AbstractEventLoop, reactor: Hosted, log: logging.Logger) -> None:
        super().__init__(reactor)
        self._loop = loop
        self._reactor = reactor
        self._log = log
        self._timer: TimerHandle | None = None
        self._due = inf
        """When the timer rings."""
        reactor.on_finished = loop.stop

    def begin(self) -> None:
        """See `Worker`."""
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(self._unhandled)

    def serve(self) -> None:
        """See `Worker`."""
        loop, reactor = self._loop, self._reactor
        loop.add_reader(reactor.fileno(), self._turn)
        loop.call_soon(self._turn)
        self._run_until(lambda: reactor.finished)
        loop.remove_reader(reactor.fileno())
        self._run(self._end())
        loop.close()

    async def _end(self) -> None:
        """Everything is served: end what is left."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=STUBBORN_S)
        closing = asyncio.ensure_future(self._loop.shutdown_asyncgens())
        await asyncio.wait((closing,), timeout=STUBBORN_S)

    # -- running the loop ------------------------------------------------------------------------------------

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run the loop until `work` is done; raises what it raises."""
        task = self._loop.create_task(work, name="ostler")
        task.add_done_callback(lambda _task: self._loop.stop())
        self._run_until(task.done)
        task.result()

    def _run_until(self, done: Callable[[], bool]) -> None:
        while not done():
            try:
                self._loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as error:  # asyncio lets them through
                self._outlive(error)

    def _outlive(self, error: BaseException) -> None:
        """A task or callback of the application wanted to end the process."""
        self._report("a task of the application wanted to end the worker, which goes on", error)

    # -- turning ---------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        reactor, loop = self._reactor, self._loop
        try:
            reactor.turn()
        finally:
            due = loop.time() + reactor.patience()
            if due < self._due - 0.001:
                if self._timer is not None:
                    self._timer.cancel()
                self._due = due
                self._timer = loop.call_at(due, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._due = inf
        if not self._reactor.finished:
            self._turn()

    # -- what goes wrong -------------------------------------------------------------------------------------

    def _unhandled(self, _loop: AbstractEventLoop, context: dict[str, Any]) -> None:
        """As asyncio's own handler would, into our log."""
        what, error = context.get("message", ""), context.get("exception")
        self._report("error in the event loop", error if isinstance(error, BaseException) else None, what=what)

    def _report(self, sentence: str, error: BaseException | None, **more: object) -> None:
        if error is None:
            tell(self._log, logging.ERROR, fields(sentence, **more))
            return
        summary, traceback_text = describe_exception(error)
        tell(self._log, logging.ERROR, f"{fields(sentence, **more, error=summary)}\n{traceback_text.rstrip()}")
