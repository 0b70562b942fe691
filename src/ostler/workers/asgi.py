"""asgi: an application of ASGI 3 on an event loop, asyncio's or uvloop (evented.py).

Each exchange is a task of its own (app/asgi.py). The application's lifespan is around all of it: it begins before the
worker is ready, and ends when every exchange, and what tasks do behind their response, is over.

Rules for editing: no event loop before `assemble`, for a mold forks workers; uvloop is imported here only.
"""

import asyncio
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from math import inf
from typing import ClassVar, Final, Self, cast

from ostler.app.asgi import AsgiAdapter
from ostler.app.asgi_live import Application
from ostler.app.asgi_websocket import WebSocketTerms
from ostler.app.lifespan import Lifespan
from ostler.app.scope import ScopeTemplate
from ostler.drivers.hosted import Hosted
from ostler.errors import BootError
from ostler.logline import fields
from ostler.workers.base import Parts
from ostler.workers.evented import STUBBORN_S, EventedWorker

_monotonic = time.monotonic

MARGIN_S: Final = 1.0
"""So long before `graceful_timeout` is over, what still runs is cancelled: the rest is for the lifespan's end."""
_BEAT_S: Final = 0.5


class AsgiReactor(Hosted):
    """Says when a drain begins."""

    on_drain: Callable[[], object] = staticmethod(lambda: None)

    def _drain(self) -> None:
        super()._drain()
        self.on_drain()


class AsgiWorker(EventedWorker):
    """See the module's text."""

    interfaces: ClassVar[frozenset[str]] = frozenset(("asgi",))

    def __init__(self, parts: Parts, loop: AbstractEventLoop) -> None:
        settings = parts.settings
        application = cast(Application, parts.application)
        self._settings = settings
        self._lifespan = Lifespan(application, settings.asgi_lifespan, loop, parts.log)
        self._adapter = AsgiAdapter(
            application=application,
            scopes=ScopeTemplate(parts.template, settings.root_path),
            template=parts.template,
            spans=parts.spans,
            loop=loop,
            websockets=WebSocketTerms.of(settings),
            log=parts.log,
            grace_s=settings.asgi_disconnect_grace_period,
            sendfile=settings.sendfile,
            watch=parts.overdue,
        )
        self._page = parts.loop["page"]
        self._overdue = parts.overdue
        doors = parts.make_doors(lambda: True)
        reactor = AsgiReactor(start=self._adapter.start, streams=True, rows=parts.rows, doors=doors, **parts.loop)
        reactor.is_idle = self._is_idle
        reactor.on_drain = self._begin_drain
        self._over_at = inf
        """On the loop's clock: the end of `graceful_timeout`."""
        super().__init__(loop, reactor, parts.log)

    @classmethod
    def assemble(cls, parts: Parts) -> Self:
        """See `Worker`."""
        return cls(parts, new_loop(parts.settings.asgi_loop))

    def begin(self) -> None:
        """Start the application, as far as it knows of lifespans.

        Raises:
            BootError: it does not start.
        """
        super().begin()
        self._run(self._lifespan.begin())
        self._adapter.state = self._lifespan.state

    # -- the end ---------------------------------------------------------------------------------------------

    def _is_idle(self) -> bool:
        return len(self._adapter.tasks) <= (0 if self._overdue is None else self._overdue.stranded)

    def _begin_drain(self) -> None:
        if self._over_at == inf:
            patience_s = self._settings.graceful_timeout
            self._over_at = self._loop.time() + patience_s
            self._loop.call_later(patience_s - min(MARGIN_S, patience_s / 4), self._cut)

    def hurry(self, within_s: float) -> bool:
        """See `Worker`: what runs is cancelled, and the lifespan ends as it should."""
        self._over_at = self._loop.time() + within_s
        self._adapter.cancel_all()
        self._loop.call_later(min(STUBBORN_S, within_s / 4), self._reactor.finish)
        return True

    def _cut(self) -> None:
        """Time is nearly over: the master ends this process soon, whatever it does."""
        if self._adapter.tasks:
            text = "graceful_timeout is nearly over, requests and background tasks are cancelled"
            self._log.warning(fields(text, tasks=len(self._adapter.tasks)))
            self._adapter.cancel_all()
        self._loop.call_later(STUBBORN_S, self._reactor.finish)

    async def _end(self) -> None:
        """What is behind the last exchange: the lifespan, and whatever the application has left."""
        self._beat()
        within_s = self._over_at - self._loop.time() - MARGIN_S / 4 if self._over_at < inf else MARGIN_S
        await self._lifespan.end(max(within_s, 0.05))
        await super()._end()

    def _beat(self) -> None:
        """The reactor does not turn any more, and the loop is alive."""
        self._page.beat(_monotonic())
        self._loop.call_later(_BEAT_S, self._beat)


def new_loop(name: str) -> AbstractEventLoop:
    """The event loop that `asgi_loop` names; "auto" is uvloop where it is installed.

    Raises:
        BootError: uvloop is asked for, and missing.
    """
    if name != "asyncio":
        try:
            import uvloop
        except ImportError:
            if name == "uvloop":
                text = 'asgi_loop: uvloop is not installed; pip install "ostler[uvloop]", or use asgi_loop = "auto"'
                raise BootError(text) from None
        else:
            return uvloop.new_event_loop()
    return asyncio.new_event_loop()
