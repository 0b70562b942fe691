"""ASGI 3 over HTTP: one exchange, one call of the application, in a task of its own.

`AsgiAdapter.start` makes the scope and the task; the application's `receive` and `send` belong to an `HttpCall`.
Nothing is buffered but what the kernel and the bounded outbox hold: the request's body is read from the client when the
application asks for it, and `send` waits while more than 64 KiB wait for the client. With the last message of the
response the exchange is over: the client's next request may begin, whatever the application still does in the task.

    NEW --start--> SAID --body--> OPEN --last body--> OVER        (TRAILERS between the two, where they were announced)

The head waits for the first body message, as the specification has it: so a response of one message has a length, and
is one system call. An application's mistake raises into it from `send`, with a text that says what was expected; what
becomes of it then is decided when the call ends, as in wsgi.py: a 500 while nothing was sent, otherwise a connection
closed before the response looks complete.

Who has left is told by `http.disconnect`, and by an OSError from `send` once the transport is known to be dead; such a
call is cancelled when the grace period is over. An event stream hears the same when the worker drains: its response is
ended properly first, and the client comes back to another worker.

Rules for editing: `start` runs for every request: measure. One event loop, one thread. The call itself is asgi_call.py.

Anchors: https://asgi.readthedocs.io/en/latest/specs/www.html and extensions.html.
"""

import contextlib
import logging
import sys
from asyncio import AbstractEventLoop, Task
from typing import Any

from ostler.app.asgi_call import OVER, HttpCall
from ostler.app.asgi_live import Application, LiveExchange, Scope, Spans
from ostler.app.asgi_websocket import WebSocketTerms, serve_websocket
from ostler.app.deadline import Watch
from ostler.app.environ import Environ, EnvironTemplate
from ostler.app.large_heads import LargeHeads
from ostler.app.scope import ScopeTemplate
from ostler.app.task_deadline import limit
from ostler.http.errors import HttpError
from ostler.http.websocket_handshake import asks_for_websocket


class AsgiAdapter:
    """Calls one ASGI application for the exchanges of one worker."""

    def __init__(  # noqa: PLR0913  one place makes it, by name
        self,
        *,
        application: Application,
        scopes: ScopeTemplate,
        template: EnvironTemplate,
        spans: Spans,
        loop: AbstractEventLoop,
        websockets: WebSocketTerms,
        log: logging.Logger,
        grace_s: float,
        sendfile: bool = True,
        watch: Watch | None = None,
    ) -> None:
        """`grace_s`: how long a call may go on whose client has left. `sendfile`: files are the kernel's to send.
        `watch`: over calls that take too long; None: nobody's.
        """
        self.application = application
        self.log = log
        self.large_heads = LargeHeads(log)
        self.loop = loop
        self.grace_s = grace_s
        self.sendfile = sendfile
        self.state: dict[str, Any] = {}
        """The application's, from its lifespan: each request has a shallow copy."""
        self.tasks: set[Task[None]] = set()
        """Calls that are not over, those among them whose response is."""
        self.cut = False
        """`cancel_all` was called."""
        self._scopes = scopes
        self._template = template
        self._spans = spans
        self._watch = watch
        self._wants_environ = spans.wants_environ
        self._websockets = websockets
        # From Python 3.12 on a call that never waits costs no turn of the loop.
        self._eager: dict[str, Any] = {"eager_start": True} if sys.version_info >= (3, 12) else {}

    def start(self, live: LiveExchange) -> None:
        """Begin one exchange; never waits, never raises."""
        exchange = live.exchange
        head = exchange.head
        span = self._spans.begin(live.row, head)
        call = HttpCall(self, live, span)
        try:
            websocket = head.upgrade is not None and asks_for_websocket(head)
            scope = self._scopes.build(live.client.environ, exchange.peer, head, self.state.copy(), websocket)
            span.pre_request(exchange.peer, scope["scheme"])
        except BaseException as error:  # noqa: BLE001  a hook is user code, and may raise SystemExit
            call.fail(error)
            return
        if self._watch is not None:
            self._limit(self._watch, call, scope)
        run = self._run_websocket(call, scope) if websocket else self._run(call, scope)
        task = Task(run, loop=self.loop, **self._eager)
        if not task.done():
            call.task = task
            self.tasks.add(task)
            if live.left and not websocket:
                call.changed()

    def _limit(self, watch: Watch, call: HttpCall, scope: Scope) -> None:
        call.deadline = limit(watch, call, AsgiAdapter.start.__code__, call.live.exchange.head)
        if call.deadline is not None:
            scope["ostler.deadline"] = call.deadline

    async def _run(self, call: HttpCall, scope: Scope) -> None:
        try:
            await self.application(scope, call.receive, call.send)
        except BaseException as error:  # noqa: BLE001  SystemExit and the like end their request only
            call.fail(error)
        else:
            if call.phase is not OVER:
                call.returned()
        if call.task is not None:
            self.tasks.discard(call.task)
            if call.timer is not None:
                call.timer.cancel()
        if call.deadline is not None:
            call.deadline.leave()

    async def _run_websocket(self, call: HttpCall, scope: Scope) -> None:
        try:
            more = () if call.deadline is None else (call.deadline.hand_over,)
            ending = await serve_websocket(call.live, scope, self.application, self._websockets, self.log, *more)
        except BaseException as error:  # noqa: BLE001  as above
            call.fail(error)
        else:
            if call.phase is not OVER:
                call.status, call.fields, call.sent = ending.status, list(ending.fields), ending.sent
                call.conclude()
        if call.task is not None:
            self.tasks.discard(call.task)
        if call.deadline is not None:
            call.deadline.leave()

    def cancel_all(self) -> None:
        """The worker's time is over: cancel what still runs."""
        self.cut = True
        for task in list(self.tasks):
            task.cancel()

    def environ_for(self, live: LiveExchange) -> Environ:
        """What the access log and the hooks read of a request; {} when nobody looks, or it has none."""
        if self._wants_environ:
            with contextlib.suppress(HttpError):
                environ = self._template.build(live.client.environ, live.exchange.head)
                if "ostler.queue_time" in environ:  # which has gone on since the call began
                    environ["ostler.queue_time"] = live.client.environ.scope.queue_time
                return environ
        return {}
