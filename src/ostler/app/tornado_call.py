"""One request of a tornado application: what tornado calls an HTTPConnection (tornado.httputil).

Handlers write through it. Framing, keep-alive, limits and deadlines are the core's; what the futures that tornado
expects stand for is `has_room`, so a handler that awaits flush() is as slow as its client.

    begin -> headers_received -> data_received ... -> finish (of the request) -> write_headers, write, finish
                                                                                 detach (tornado_stream.py)

Who the client is and which scheme it speaks is what the environ of a WSGI request would say: trusted proxies, PROXY
headers and all. A client that leaves is told to the handler at once; its exchange ends a grace period later. When the
worker leaves, WebSockets are closed with 1012, and event streams are ended.

Rules for editing: of tornado nothing private is used but the way from a delegate to its handler, which is only looked
for. One event loop, one thread.
"""

import logging
from asyncio import AbstractEventLoop, CancelledError, Future, Task, TimerHandle
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Protocol

from ostler.app.asgi_live import LiveExchange, LiveHttp, Span, Waiters
from ostler.app.deadline import STATUS, TIMEOUT, UNLIMITED, Budget, Watch
from ostler.app.environ import Environ, EnvironTemplate
from ostler.app.exhaustion import hint
from ostler.app.large_heads import LargeHeads, place_of_caller
from ostler.app.readiness import TornadoReadiness
from ostler.app.task_deadline import TaskDeadline, limit, tasks_of
from ostler.app.tornado_stream import PeerSocket, PipeLoop, PipeSocket
from ostler.app.tornado_surface import CallStream, Context, Library, target
from ostler.app.wsgi_input import BodyIncomplete, ClientGone
from ostler.config.usercode import describe_exception
from ostler.http.connection import END, NEED_DATA
from ostler.http.errors import HttpError, ResponseError
from ostler.http.head import PROTOCOLS
from ostler.logline import fields

GRACE_S: Final = 3.0
"""A handler whose client has left may go on for so long, and its response may still be sent (to half a connection)."""

BODY_BYTES: Final = 100 * 1024 * 1024
"""tornado's own limit of a body, which a handler may change: handlers that do not stream have it in memory."""

_PIECES: Final = 64
"""After so many that the client took at once, others have their turn."""

_SWITCH: Final = 101
_RESTART: Final = 1012
"""Service Restart: https://www.iana.org/assignments/websocket (RFC 6455 section 11.7)."""


class Adapter(Protocol):
    """What the calls of one worker share (tornado.py)."""

    library: Library
    readiness: TornadoReadiness | None
    start_request: Callable[[object, object], Any]
    template: EnvironTemplate
    log: logging.Logger
    large_heads: LargeHeads
    loop: AbstractEventLoop
    tasks: set[Task[None]]
    watch: Watch | None


class Call:
    """One request. To handlers it is `request.connection`: the methods without an underscore are HTTPConnection's, or
    those of tornado's HTTP1Connection that handlers use.
    """

    def __init__(self, adapter: Adapter, live: LiveExchange, span: Span) -> None:
        self._adapter = adapter
        self._live = live
        self._exchange: LiveHttp = live.exchange
        self._span = span
        self._environ: Environ = {}
        self._delegate: Any = None
        self._request_over = False
        """The delegate knows the end of the request."""
        self._over = False
        self._told_left = False
        self._switching = False
        self._pipe: PipeSocket | None = None
        self._timer: TimerHandle | None = None
        self._unbroken = 0
        """Pieces that were sent since others had their turn."""
        self._writes: list[Future[None]] = []
        """What handlers wait for that want to write more."""
        self._waiters = Waiters(adapter.loop)
        self._close_callback: Callable[[], object] | None = None
        self._body_limit = BODY_BYTES
        self._body_came = 0
        self._status = ""
        self._fields: list[tuple[str, str]] = []
        self._sent = -1
        """Bytes of a detached stream; -1 for HTTP."""
        self.context: Context | None = None
        self.no_keep_alive = False
        self._deadline: TaskDeadline | None = None
        """None: it may take as long as it likes."""
        if adapter.watch is not None:
            self._deadline = limit(adapter.watch, self, Call.begin.__code__, self._exchange.head)

    @property
    def deadline(self) -> Budget:
        """How much time is left (`request_timeout`): what other kinds have in environ or scope as ostler.deadline."""
        return UNLIMITED if self._deadline is None else self._deadline

    @property
    def queue_time(self) -> float | None:
        """Seconds that the request waited before it came here, where a trusted proxy says so (X-Request-Start)."""
        return self._environ.get("ostler.queue_time")

    # -- the request -----------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Give the head to the application; what needs to wait goes on in a task."""
        adapter, exchange = self._adapter, self._exchange
        head, live = exchange.head, self._live
        live.changed = self._changed
        library = adapter.library
        try:
            self._environ = adapter.template.build(live.client.environ, head)
            self._span.pre_request(exchange.peer, self._environ["wsgi.url_scheme"])
            if adapter.readiness is not None and adapter.readiness.refuses(head.path):
                self._answer(HttpError(503))
                return
            self.context = Context(self._environ, self._real)
            headers = library.headers()
            for name, value in head.fields:
                headers.add(name, value)
            start_line = library.start_line(head.method, target(head), PROTOCOLS[head.minor])
            self._delegate = adapter.start_request(self, self)
            ready = self._delegate.headers_received(start_line, headers)
            if ready is None and not head.body_length:
                self._end_request()
            elif not self._over and self._pipe is None:
                task = Task(self._receive(ready), loop=adapter.loop)
                adapter.tasks.add(task)
                task.add_done_callback(adapter.tasks.discard)
        except BaseException as error:  # noqa: BLE001  hooks and handlers are user code, and may raise SystemExit
            self.fail(error)
        if live.left or live.draining:
            self._changed()

    async def _receive(self, ready: Awaitable[None] | None) -> None:
        """Bring the body to the delegate, as fast as it takes it."""
        try:
            if ready is not None:
                await ready
            length = self._exchange.head.body_length
            while not self._over and self._pipe is None:
                if max(length, self._body_came) > self._body_limit:
                    raise HttpError(413, f"a body of more than {self._body_limit} bytes, which is max_body_size")
                data = self._live.read()
                if data is END:
                    self._end_request()
                    return
                if data is NEED_DATA:
                    self._live.want()
                    await self._waiters.wait()
                    continue
                assert isinstance(data, bytes)
                self._body_came += len(data)
                taken = self._delegate.data_received(data)
                if taken is not None:
                    await taken
            self._break_request()
        except BaseException as error:  # noqa: BLE001  as above; and a cancelled task is the worker's end
            self._break_request()
            self.fail(error)

    def _end_request(self) -> None:
        self._request_over = True
        self._delegate.finish()

    def _break_request(self) -> None:
        """The delegate will not hear the end of the request: finish or on_connection_close, one of them is owed."""
        if not self._request_over and self._pipe is None and self._delegate is not None:
            self._request_over = True
            try:
                self._delegate.on_connection_close()
            except Exception as error:  # noqa: BLE001  user code
                self._log_failure("error in on_connection_close", error)

    # -- the response: tornado.httputil.HTTPConnection -------------------------------------------------------

    def write_headers(self, start_line: Any, headers: Any, chunk: bytes | None = None) -> "Future[None]":
        """Begin the response; done when there is room for more.

        Raises:
            ResponseError: it cannot be expressed in HTTP.
        """
        if self._over:
            return self._closed_future()
        code, reason = start_line.code, start_line.reason
        # Of the socket's framing nothing is the handler's.
        said = [(name, value) for name, value in headers.get_all() if name != "Transfer-Encoding"]
        if self._exchange.start(code, reason, said):
            self._adapter.large_heads.tell(self._exchange.head, said, place_of_caller())
        self._status, self._fields = f"{code} {reason}", said
        self._switching = code == _SWITCH
        if chunk:
            self._write(chunk)
        return self._push()

    def write(self, chunk: bytes) -> "Future[None]":
        """Send a piece of the body; done when there is room for more.

        Raises:
            HTTPOutputError: it is longer than its Content-Length.
        """
        if self._over:
            return self._closed_future()
        self._write(chunk)
        return self._push()

    def finish(self) -> None:
        """The response is complete.

        Raises:
            HTTPOutputError: it is shorter than its Content-Length.
        """
        if self._over:
            return
        if self._switching:
            self._adapter.loop.call_soon(self._insist_on_detach)
            return
        try:
            self._exchange.end()
        except ResponseError as error:
            self._abort()
            raise self._adapter.library.output_error(str(error)) from error
        self._conclude()

    def _write(self, chunk: bytes) -> None:
        try:
            self._exchange.write(bytes(chunk))
        except ResponseError as error:
            self._abort()
            raise self._adapter.library.output_error(str(error)) from error

    def _push(self) -> "Future[None]":
        try:
            room = self._live.send()
        except ClientGone:
            self._changed()
            return self._closed_future()
        future: Future[None] = self._adapter.loop.create_future()
        self._unbroken += 1
        if room and self._unbroken < _PIECES:
            future.set_result(None)
            return future
        self._unbroken = 0
        self._writes.append(future)
        if room:
            self._adapter.loop.call_soon(self._changed)
        return future

    def _closed_future(self) -> "Future[None]":
        future: Future[None] = self._adapter.loop.create_future()
        future.set_exception(self._adapter.library.closed())
        future.exception()  # nobody has to look
        return future

    # -- what handlers use beyond that -----------------------------------------------------------------------

    @property
    def stream(self) -> "CallStream":
        """As far as handlers look at it: its socket, and whether it is closed."""
        return CallStream(PeerSocket(self._real, self._exchange.peer), lambda: self._over)

    def set_close_callback(self, callback: Callable[[], object] | None) -> None:
        """Called once when the client leaves before its response is complete."""
        self._close_callback = callback
        if callback is not None and self._told_left:
            self._adapter.loop.call_soon(self._tell_left)

    def set_max_body_size(self, size: int) -> None:
        """In bytes, for this request; `limit_request_body` counts besides."""
        self._body_limit = size

    def set_body_timeout(self, timeout_s: float) -> None:
        """Nothing: `body_timeout` and `body_min_rate` are the server's."""

    def close(self) -> None:
        """Break the connection off."""
        if self._pipe is None:
            self._abort()

    def detach(self) -> Any:
        """The connection as a tornado IOStream, for another protocol; what has come is read first."""
        adapter, live = self._adapter, self._live
        if self._over:
            raise adapter.library.closed()
        if self._deadline is not None:
            self._deadline.hand_over()
        self._request_over = True
        self._switching = False
        self._close_callback = None
        pipe = self._pipe = PipeSocket(live, self._real, self._exchange.peer, self._pipe_closed)
        stream = adapter.library.stream(pipe)
        stream.io_loop = PipeLoop(stream.io_loop, adapter.loop, pipe)
        try:
            live.upgrade(pipe.hear)
        except ClientGone:
            pipe.hear(b"")
        if live.draining:
            adapter.loop.call_soon(self._end_what_is_endless)
        return stream

    @property
    def _real(self) -> Any:
        client: Any = self._live.client
        return client.sock

    def _insist_on_detach(self) -> None:
        if self._switching:
            self.fail(ResponseError("a response of 101 was finished, and nobody took the connection"))

    def _pipe_closed(self) -> None:
        if self._pipe is not None and not self._over:
            self._sent = self._pipe.sent
            if not self._status and self._exchange.head.upgrade is not None:
                self._status = "101 Switching Protocols"  # the handler wrote it by itself
            self._conclude()

    # -- what happens meanwhile ------------------------------------------------------------------------------

    def _changed(self) -> None:
        live = self._live
        if self._over:
            return
        if live.draining:
            self._end_what_is_endless()
        if self._pipe is not None:
            self._pipe.notice()
            return
        if live.left and not self._told_left:
            self._told_left = True
            self._tell_left()
            self._timer = self._adapter.loop.call_later(GRACE_S, self._abort)
        if live.has_room:
            self._resolve()
        self._waiters.wake()

    def _tell_left(self) -> None:
        callback, self._close_callback = self._close_callback, None
        if callback is not None and not self._over:
            try:
                callback()
            except Exception as error:  # noqa: BLE001  user code
                self._log_failure("error in on_connection_close", error)

    def _resolve(self) -> None:
        writes, self._writes = self._writes, []
        for future in writes:
            if not future.done():
                future.set_result(None)

    def _end_what_is_endless(self) -> None:
        """The worker leaves: a WebSocket is told so; an event stream ends here, as if the handler had said so."""
        if self._over:
            return
        if self._pipe is not None:
            handler = self._handler()
            if isinstance(handler, self._adapter.library.websocket):
                with suppress(Exception):
                    handler.close(_RESTART, "the server restarts")
        elif self._exchange.started and any(
            name.lower() == "content-type" and value.lower().startswith("text/event-stream")
            for name, value in self._fields
        ):
            try:
                self._exchange.end()
            except ResponseError:
                self._exchange.abort()
            self._tell_left()
            self._conclude()

    def _handler(self) -> Any:
        found = self._delegate
        for name in ("delegate", "handler"):
            found = getattr(found, name, found)
        return found

    # -- the end ---------------------------------------------------------------------------------------------

    def _conclude(self) -> None:
        """The exchange is over: send the rest, go on with the client's next request, tell everybody."""
        self._over = True
        self._close_callback = None
        if self._deadline is not None and not self._deadline.seen:
            self._deadline.leave()
        if self._timer is not None:
            self._timer.cancel()
        exchange = self._exchange
        self._live.finish()
        sent = exchange.body_sent if self._sent < 0 else self._sent
        self._span.end(self._environ, self._status, self._fields, exchange.started, exchange.chunked, sent)
        self._resolve()
        self._waiters.wake()

    def expire(self) -> bool:
        """See `task_deadline.Expiring`."""
        self._answer(TIMEOUT)
        tasks = self.tasks()
        if self._deadline is not None:
            for task in tasks:
                task.add_done_callback(lambda _task: self._leave())
            if not tasks:
                self._deadline.leave()
        return self._status == STATUS

    def _leave(self) -> None:
        if self._deadline is not None and not self.tasks():
            self._deadline.leave()

    def tasks(self) -> list[Task[Any]]:
        """See `task_deadline.Expiring`: the coroutine of the handler."""
        return tasks_of((self._handler(), self), self._adapter.loop)

    def fail(self, error: BaseException) -> None:
        """Turn an exception into what the client and the log are told."""
        head, log = self._exchange.head, self._adapter.log
        match error:
            case BodyIncomplete():
                log.info(fields("request ended early", method=head.method, path=head.path, error=error))
                self._answer(error.error)
            case ClientGone():
                log.debug(fields("client gone", method=head.method, path=head.path, error=error))
                self._abort()
            case HttpError():
                self._refuse(error)
            case _ if isinstance(error, self._adapter.library.closed):
                self._abort()
            case CancelledError():
                self._answer(HttpError(503))
            case _ if isinstance(error, self._adapter.library.input_error):
                self._refuse(HttpError(400, str(error)))
            case _:
                if not self._over:
                    self._log_failure("error handling request", error)
                self._answer(HttpError(500))

    def _refuse(self, error: HttpError) -> None:
        head = self._exchange.head
        reason = error.detail or error.reason
        line = fields("request refused", status=error.status, method=head.method, path=head.path, reason=reason)
        self._adapter.log.warning(line)
        self._answer(error)

    def _answer(self, error: HttpError) -> None:
        if self._over or self._pipe is not None:
            return
        if self._exchange.started and not self._exchange.restart():
            self._abort()
            return
        self._exchange.refuse(error)
        self._status, self._fields = f"{error.status} {error.reason}", []
        self._conclude()

    def _abort(self) -> None:
        if not self._over:
            self._exchange.abort()
            self._conclude()

    def _log_failure(self, sentence: str, error: BaseException) -> None:
        summary, traceback_text = describe_exception(error)
        head = self._exchange.head
        line = fields(sentence, method=head.method, path=head.path, error=summary, **hint(error))
        self._adapter.log.error(f"{line}\n{traceback_text.rstrip()}")
