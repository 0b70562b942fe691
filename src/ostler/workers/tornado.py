"""tornado: a tornado application on tornado's IOLoop, which is asyncio's event loop.

How the loop turns the reactor is in evented.py, what an exchange means to tornado in app/tornado.py.

What the application has scheduled on the IOLoop while it was imported runs on this loop, unless a mold has imported it:
a loop cannot go through a fork.

Rules for editing: tornado is imported by app/tornado.py, and looked for here.
"""

import asyncio
import logging
import warnings
from asyncio import AbstractEventLoop
from typing import ClassVar, Final, Self

from ostler.app.exhaustion import hint
from ostler.app.telling import tell
from ostler.app.tornado import TornadoAdapter
from ostler.drivers.hosted import Hosted
from ostler.logline import fields
from ostler.workers.base import Parts
from ostler.workers.evented import EventedWorker
from ostler.workers.green import require

LEAST: Final = (6, 4)
"""The first for Python 3.12."""
_TOLD: Final = "_ostler_told"


class TornadoWorker(EventedWorker):
    """See the module's text."""

    interfaces: ClassVar[frozenset[str]] = frozenset(("tornado",))

    def __init__(self, parts: Parts) -> None:
        loop = asyncio.new_event_loop() if parts.inherited else _current_loop()
        asyncio.set_event_loop(loop)
        adapter = TornadoAdapter(
            application=parts.application,
            template=parts.template,
            spans=parts.spans,
            loop=loop,
            log=parts.log,
            watch=parts.overdue,
        )
        self._adapter = adapter
        reactor = Hosted(
            start=adapter.start, streams=True, rows=parts.rows, doors=parts.make_doors(lambda: True), **parts.loop
        )
        reactor.is_idle = lambda: not adapter.tasks
        super().__init__(loop, reactor, parts.log)

    @classmethod
    def prepare(cls) -> None:
        """See `Worker`."""
        require("tornado", LEAST)

    @classmethod
    def assemble(cls, parts: Parts) -> Self:
        """See `Worker`."""
        return cls(parts)

    def begin(self) -> None:
        """See `Worker`."""
        super().begin()
        _lend_log(self._log)

    def _outlive(self, error: BaseException) -> None:
        if _TOLD in vars(error):
            return  # it comes once more, out of Tornado's callback of the handler's task
        vars(error)[_TOLD] = True
        self._log.warning(fields("a handler wanted to end the worker, which goes on", error=type(error).__name__))
        self._adapter.blame(error)


class _Lent(logging.Handler):
    """Passes records on to the error log."""

    def __init__(self, log: logging.Logger) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        raised = None if record.exc_info is None else record.exc_info[0]
        if raised is not None and raised.__name__ == "StreamClosedError":
            # Clients that leave are not to fill the log with tracebacks.
            self._log.info(fields("client gone", what=record.getMessage().partition("\n")[0]))
            return
        try:
            self._log.handle(record)
        except Exception:  # noqa: BLE001  a handler or filter of the user's; tornado would leave the client waiting
            tell(self._log, record.levelno, record.getMessage())
        if record.exc_info is not None and (words := hint(record.exc_info[1])):
            tell(self._log, logging.ERROR, fields("the application has nothing left", **words))


def _lend_log(log: logging.Logger) -> None:
    """Where the application has configured nothing, tornado's errors are in the error log.

    Not its requests: the access log has them.
    """
    root, access = logging.getLogger("tornado"), logging.getLogger("tornado.access")
    if not access.hasHandlers():
        access.addHandler(logging.NullHandler())
        access.propagate = False
    if not root.hasHandlers():
        root.addHandler(_Lent(log))
        root.propagate = False


def _current_loop() -> AbstractEventLoop:
    """The loop that `IOLoop.current()` has made, if the application has asked for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 and 3.13, where there is none yet
        try:
            loop = asyncio.get_event_loop()
        except RuntimeError:
            return asyncio.new_event_loop()
    return asyncio.new_event_loop() if loop.is_closed() else loop
