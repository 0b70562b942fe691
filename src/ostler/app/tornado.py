"""A tornado application over our own connections.

tornado has an interface for servers that bring their own HTTP: HTTPServerConnectionDelegate, HTTPMessageDelegate and
HTTPConnection of tornado.httputil. `TornadoAdapter.start` begins an exchange, which a `Call` (tornado_call.py) takes
through it.

Rules for editing: one event loop, one thread.
"""

import logging
from asyncio import AbstractEventLoop, Task
from collections.abc import Callable
from typing import Any

from ostler.app.asgi_live import LiveExchange, Spans
from ostler.app.deadline import Watch
from ostler.app.environ import EnvironTemplate
from ostler.app.large_heads import LargeHeads
from ostler.app.readiness import TornadoReadiness
from ostler.app.tornado_call import Call
from ostler.app.tornado_surface import Library


class TornadoAdapter:
    """Gives the exchanges of one worker to one tornado application."""

    def __init__(  # noqa: PLR0913  one place makes it
        self,
        *,
        application: object,
        template: EnvironTemplate,
        spans: Spans,
        loop: AbstractEventLoop,
        log: logging.Logger,
        watch: Watch | None = None,
    ) -> None:
        """`watch`: over calls that take too long; None: nobody's."""
        self.watch = watch
        self.library = Library()
        self.readiness: TornadoReadiness | None = None
        if isinstance(application, TornadoReadiness):
            self.readiness = application
            application = application.application
        # tornado's server knows plain callables of requests, too (WSGIContainer), and opens nothing.
        self.start_request: Callable[[object, object], Any] = self.library.server(application).start_request
        self.template = template
        self.log = log
        self.large_heads = LargeHeads(log)
        self.loop = loop
        self.tasks: set[Task[None]] = set()
        """Requests whose body is being read."""
        self._spans = spans

    def start(self, live: LiveExchange) -> None:
        """Begin one exchange; never waits, never raises."""
        Call(self, live, self._spans.begin(live.row, live.exchange.head)).begin()

    def blame(self, error: BaseException) -> None:
        """An exception has come out of the loop (SystemExit does): end the request whose handler has raised it."""
        trace = error.__traceback__
        while trace is not None:
            request = getattr(trace.tb_frame.f_locals.get("self"), "request", None)
            call = getattr(request, "connection", None)
            if isinstance(call, Call):
                call.fail(error)
                return
            trace = trace.tb_next
