"""The lifespan protocol of ASGI: an application starts before the first request, and stops behind the last one.

One call of the application, in one task, lives as long as the worker. `begin` returns when the application said that it
has started; `end` when it has stopped, or its time is over. What it puts into `state` every request gets a copy of.

    auto   an application that raises, or returns, before it has said anything does not know the protocol: it is served
    on     the same is an error
    off    nobody is asked

`lifespan.startup.failed` is never served, in whatever mode: the worker does not boot.

Rules for editing: one event loop, one thread. Anchor: https://asgi.readthedocs.io/en/latest/specs/lifespan.html.
"""

import asyncio
import logging
from asyncio import AbstractEventLoop, Future, Task
from typing import Any, Literal

from ostler.app.asgi_live import Application, Message
from ostler.app.scope import ASGI
from ostler.config.usercode import describe_exception
from ostler.errors import BootError
from ostler.logline import fields

Mode = Literal["auto", "on", "off"]


class Lifespan:
    """The life of one worker's application."""

    def __init__(self, application: Application, mode: Mode, loop: AbstractEventLoop, log: logging.Logger) -> None:
        self.state: dict[str, Any] = {}
        self._application = application
        self._mode = mode
        self._loop = loop
        self._log = log
        self._task: Task[None] | None = None
        self._asked = 0
        """How many of the two events the application has received."""
        self._startup: Future[str | None] = loop.create_future()
        """None: it has started. Text: it has not, and this is why."""
        self._shutdown: Future[None] = loop.create_future()
        """The worker is at its end."""
        self._stopped: Future[str | None] = loop.create_future()
        """None: it has stopped. Text: it has not, and this is why."""

    async def begin(self) -> None:
        """Start the application.

        Raises:
            BootError: it has not started.
        """
        if self._mode == "off":
            return
        self._task = self._loop.create_task(self._run(), name="ostler-lifespan")
        await asyncio.wait((self._startup, self._task), return_when=asyncio.FIRST_COMPLETED)
        if self._startup.done():
            failure = self._startup.result()
            if failure is not None:
                self._task.cancel()
                if "\n" in failure.strip():
                    self._log.error("the application did not start\n%s", failure.rstrip())
                raise BootError(f"the application did not start (lifespan.startup.failed): {_last_line(failure)}")
            return
        task, self._task = self._task, None
        ended = asyncio.CancelledError() if task.cancelled() else task.exception()
        self._take_unknown(ended.__cause__ if isinstance(ended, Ended) else ended)

    def _take_unknown(self, error: BaseException | None) -> None:
        """The application ended its call before it had said anything."""
        summary, traceback_text = describe_exception(error) if error is not None else ("it returned", "")
        if self._mode == "on":
            if traceback_text:
                self._log.error("the application raised in its lifespan\n%s", traceback_text.rstrip())
            raise BootError(f"asgi_lifespan is on, and the application ended its lifespan at once: {summary}")
        if error is None or not self._asked:
            self._log.debug(fields("lifespan not used, the application does not know it", ended=summary))
        else:
            text = (
                "lifespan not used, the application ended it before startup.complete; asgi_lifespan=on makes that fatal"
            )
            self._log.warning(f"{fields(text, ended=summary)}\n{traceback_text.rstrip()}")

    async def end(self, within_s: float) -> None:
        """Stop the application; never raises. within_s: then it is cancelled."""
        task = self._task
        if task is None or task.done():
            return
        if not self._shutdown.done():
            self._shutdown.set_result(None)
        await asyncio.wait((self._stopped, task), timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        if self._stopped.done():
            failure = self._stopped.result()
            if failure is not None:
                self._log.error(
                    "the application did not stop properly (lifespan.shutdown.failed)\n%s", failure.rstrip()
                )
        elif not task.done():
            self._log.error(fields("the application did not stop in time", within_s=within_s))
        if not task.done():
            # It may still have something to do behind its last message.
            await asyncio.wait((task,), timeout=min(within_s, 0.1))
            task.cancel()
            await asyncio.wait((task,), timeout=min(within_s, 0.1))

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": ASGI, "state": self.state}
        try:
            await self._application(scope, self._receive, self._send)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if not self._startup.done():
                raise Ended from error  # SystemExit must not end the event loop
            if self._startup.result() is None and not self._stopped.done():
                summary, traceback_text = describe_exception(error)
                text = fields("the application raised in its lifespan", error=summary)
                self._log.error(f"{text}\n{traceback_text.rstrip()}")

    async def _receive(self) -> Message:
        self._asked += 1
        if self._asked == 1:
            return {"type": "lifespan.startup"}
        await asyncio.shield(self._shutdown)
        if self._asked > 2:
            await asyncio.shield(self._stopped)
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        kind = message.get("type")
        match kind:
            case "lifespan.startup.complete" if not self._startup.done():
                self._startup.set_result(None)
            case "lifespan.startup.failed" if not self._startup.done():
                self._startup.set_result(str(message.get("message", "")) or "it gave no reason")
            case "lifespan.shutdown.complete" if self._shutdown.done() and not self._stopped.done():
                self._stopped.set_result(None)
            case "lifespan.shutdown.failed" if self._shutdown.done() and not self._stopped.done():
                self._stopped.set_result(str(message.get("message", "")) or "it gave no reason")
            case _:
                raise RuntimeError(f"ASGI: the lifespan message {kind!r} came at the wrong time")


class Ended(Exception):
    """The application raised before it had started; `__cause__` is what."""


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it gave no reason")
