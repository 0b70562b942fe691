"""One call of an ASGI application for HTTP: what `receive` and `send` do, and what becomes of its mistakes.

The phases are those of asgi.py, which makes the calls and says what they promise.

Rules for editing: `receive`, `send` and `conclude` run for every request: measure. One loop, one thread. Every way
out goes through `conclude`, once.
"""

import asyncio
import contextlib
import logging
import os
import stat
from asyncio import Task, TimerHandle
from http import HTTPStatus
from typing import Final

from ostler.app.asgi_live import Caller, LiveExchange, Message, Span, Waiters
from ostler.app.asgi_messages import Fields, bytes_of, is_consequence, status_of, text_fields, text_of
from ostler.app.deadline import TIMEOUT, Deadline
from ostler.app.exhaustion import hint
from ostler.app.large_heads import place_of_caller
from ostler.app.telling import tell
from ostler.app.wsgi_input import BodyIncomplete, ClientGone
from ostler.config.usercode import describe_exception
from ostler.http.connection import END, NEED_DATA, FileSlice
from ostler.http.errors import HttpError, ResponseError
from ostler.logline import fields

_NEW: Final = 0
_SAID: Final = 1
_OPEN: Final = 2
_TRAILERS: Final = 3
OVER: Final = 4
"""The last phase. (Numbers: an attribute of an Enum costs 0.05 µs at each use.)"""

_STATUSES: Final = {each.value: (each.phrase, f"{each.value} {each.phrase}") for each in HTTPStatus}
"""Reason, and the whole."""
_COPY_BYTES: Final = 64 * 1024
_PIECES: Final = 64
"""After so many that the client took at once, others have their turn."""
_LEFT: Final = "the client has left"


class HttpCall:
    """One call of the application: what is known of its request and of its response."""

    __slots__ = (
        "_adapter",
        "_body_over",
        "_ended_for",
        "_exchange",
        "_reason",
        "_span",
        "_trailers",
        "_unbroken",
        "_waiters",
        "deadline",
        "fields",
        "live",
        "phase",
        "sent",
        "status",
        "status_code",
        "task",
        "timer",
    )

    def __init__(self, adapter: Caller, live: LiveExchange, span: Span) -> None:
        self._adapter = adapter
        self.live = live
        self._exchange = live.exchange
        self._span = span
        self._body_over = False
        self._waiters: Waiters | None = None
        self._trailers: Fields | None = None
        """Those that were said; None when none were announced."""
        self._ended_for = ""
        """Why the application is asked to end before it has said so; empty until it is told, or cancelled."""
        self._unbroken = 0
        """Pieces that were sent since others had their turn."""
        self.phase = _NEW
        self._reason = ""
        self.status = ""
        self.status_code = 0
        self.fields: Fields = []
        self.sent = -1
        """Bytes of a WebSocket's messages; -1 for HTTP."""
        self.task: Task[None] | None = None
        """None while it has not waited for anything yet, in an eager task."""
        self.timer: TimerHandle | None = None
        self.deadline: Deadline | None = None
        """None: it may take as long as it likes."""
        live.changed = self.changed

    # -- the request -----------------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """ASGI's receive: the body as it comes, then `http.disconnect` once the response is over or nobody waits."""
        live = self.live
        while self.phase is not OVER and not self._body_over:
            try:
                data = live.read()
                if data is NEED_DATA:
                    live.want()
                    await self._wait()
                    continue
            except BodyIncomplete as error:
                self._give_up(error)
                break
            except ClientGone as error:
                self._lose(error)
                return {"type": "http.disconnect"}
            self._body_over = self._exchange.body_left() is None
            body = b"" if data is END else data
            return {"type": "http.request", "body": body, "more_body": not self._body_over}
        while self.phase is not OVER and not live.left:
            await self._wait()
        if self.phase is not OVER:
            self._ended_for = self._ended_for or _LEFT
        return {"type": "http.disconnect"}

    # -- the response ----------------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:  # noqa: PLR0912  a call less for each message
        """ASGI's send.

        Raises:
            OSError: the client has left, or an event stream was ended because the worker leaves.
            RuntimeError, TypeError, ResponseError: a message that is wrong, or comes at the wrong time.
        """
        try:
            kind = message["type"]
        except (KeyError, TypeError):
            raise TypeError(f"ASGI: expected a dict with a type, the application sent {message!r:.80}") from None
        phase = self.phase
        if kind == "http.response.body":
            if phase is not _SAID and phase is not _OPEN:
                raise self._out_of_order(kind)
            exchange = self._exchange
            body = message.get("body", b"")
            if type(body) is not bytes:
                body = bytes_of(body)
            more = message.get("more_body", False)
            if phase is _SAID:
                self._begin(None if more or self._trailers is not None else len(body))
            if body:
                exchange.write(body)
            if more:
                await self._flush()
            elif self._trailers is not None:
                self.phase = _TRAILERS
            else:
                exchange.end()
                self.conclude()
        elif kind == "http.response.start":
            if phase is not _NEW:
                raise self._out_of_order(kind)
            status = message.get("status")
            if type(status) is not int:
                status = status_of(status)
            self.fields = text_fields(message.get("headers", ()))
            self.status_code = status
            self._reason, self.status = _STATUSES.get(status) or ("", f"{status} ")
            if message.get("trailers"):
                self._trailers = []
            self.phase = _SAID
        else:
            await self._send_other(kind, message)

    def _begin(self, length: int | None) -> None:
        """Queue the head; `length` is the body's, where it is known."""
        is_large = self._exchange.start(self.status_code, self._reason, self.fields, length)
        self.phase = _OPEN
        if is_large:
            self._adapter.large_heads.tell(self._exchange.head, self.fields, place_of_caller())

    async def _flush(self) -> None:
        """Bring what is queued to the client; wait while it takes nothing."""
        live = self.live
        if self._push():
            self._unbroken += 1
            if self._unbroken == _PIECES:
                self._unbroken = 0
                await asyncio.sleep(0)
        else:
            while self.phase is not OVER and not live.has_room:
                await self._wait()
        if live.draining:
            self._end_event_stream()

    def _push(self) -> bool:
        try:
            return self.live.send()
        except ClientGone as error:
            self._lose(error)
            raise

    def _lose(self, error: ClientGone) -> None:
        """The transport is dead."""
        self._ended_for = str(error)
        self._cancel_later()

    async def _send_other(self, kind: str, message: Message) -> None:
        phase = self.phase
        match kind:
            case "http.response.pathsend" if phase is _SAID:
                await self._send_path(message)
            case "http.response.trailers" if phase is _TRAILERS and self._trailers is not None:
                self._trailers += text_fields(message.get("headers", ()))
                if not message.get("more_trailers", False):
                    self._exchange.end(self._trailers)
                    self.conclude()
            case "http.response.informational" if phase is _NEW or phase is _SAID:
                self._exchange.inform(status_of(message.get("status")), text_fields(message.get("headers", ())))
                self._push()
            case "http.response.early_hint" if phase is not OVER:
                self._exchange.inform(103, [("Link", text_of(link)) for link in message.get("links", ())])
                self._push()
            case _:
                raise self._out_of_order(kind)

    async def _send_path(self, message: Message) -> None:
        """The extension pathsend: a whole file is the rest of the response."""
        path = message.get("path")
        if not isinstance(path, str):
            raise TypeError(f"http.response.pathsend: expected a str for path, found {type(path).__name__}")
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(f"http.response.pathsend: {path!r} is no regular file")
            self._begin(found.st_size)
            if self._adapter.sendfile:
                # The piece owns a descriptor of its own.
                piece = FileSlice(os.dup(fd), 0, found.st_size)
                if not self._exchange.write_file(piece):
                    os.close(piece.fd)  # HEAD, or an empty file
            else:
                await self._copy(fd, found.st_size)
        finally:
            os.close(fd)
        self._exchange.end()
        self.conclude()

    async def _copy(self, fd: int, left: int) -> None:
        while left and (block := os.read(fd, min(left, _COPY_BYTES))):
            left -= len(block)
            self._exchange.write(block)
            await self._flush()

    def _out_of_order(self, kind: str) -> Exception:
        """What `send` raises for a message that cannot be sent now."""
        if self.phase is OVER:
            if self._ended_for or self.live.left:
                return ClientGone(self._ended_for or _LEFT)
            return RuntimeError(f"ASGI: {kind!r} came after the response was complete")
        expected = {
            _NEW: "http.response.start",
            _SAID: "http.response.body",
            _OPEN: "http.response.body",
            _TRAILERS: "http.response.trailers",
        }[self.phase]
        return RuntimeError(f"ASGI: expected the message {expected!r}, the application sent {kind!r}")

    # -- waiting, and what happens meanwhile -----------------------------------------------------------------

    async def _wait(self) -> None:
        if self._waiters is None:
            self._waiters = Waiters(self._adapter.loop)
        await self._waiters.wait()

    def changed(self) -> None:
        """Something may have: see `LiveExchange`."""
        live = self.live
        if live.draining:
            self._end_event_stream()
        if self._waiters is not None:
            self._waiters.wake()
        if live.left and self.phase is not OVER:
            self._cancel_later()  # behind the wake: who waits is to hear of it first, also without any grace

    def _cancel_later(self) -> None:
        if self.task is not None and self.timer is None:
            self.timer = self._adapter.loop.call_later(self._adapter.grace_s, self._cancel)

    def _cancel(self) -> None:
        self._ended_for = self._ended_for or _LEFT
        if self.task is not None:
            self.task.cancel()

    def _end_event_stream(self) -> None:
        """The worker leaves: a stream that may have no end ends here, as if the application had said so."""
        if self.phase is _OPEN and any(
            name.lower() == "content-type" and value.lower().startswith("text/event-stream")
            for name, value in self.fields
        ):
            try:
                self._exchange.end()
            except ResponseError:
                self._exchange.abort()
            self.conclude()
            self._ended_for = "the worker leaves, and has ended the event stream"
            self._cancel_later()

    # -- the end ---------------------------------------------------------------------------------------------

    def conclude(self) -> None:
        """The exchange is over: send the rest, go on with the client's next request, tell everybody."""
        self.phase = OVER
        exchange, live = self._exchange, self.live
        if self.deadline is not None and not self.deadline.seen:
            self.deadline.hand_over()
        if self.timer is not None:
            # What it does behind its response is no business of a client that has left.
            self.timer.cancel()
            self.timer = None
            self._ended_for = ""
        live.finish()
        sent = exchange.body_sent if self.sent < 0 else self.sent
        environ = self._adapter.environ_for(live)
        self._span.end(environ, self.status, self.fields, exchange.started, exchange.chunked, sent)
        if self._waiters is not None:
            self._waiters.wake()

    def _give_up(self, error: BodyIncomplete) -> None:
        """The request's body broke off: nobody gets to see what the application makes of a half."""
        head = self._exchange.head
        text = fields("request ended early", method=head.method, path=head.path, error=error)
        self._adapter.log.info(text)
        self._answer(error.error)
        self._ended_for = str(error)
        self._cancel_later()

    def expire(self) -> bool:
        """See `task_deadline.Expiring`."""
        self._answer(TIMEOUT)
        self._ended_for = "it took longer than request_timeout"
        return self.status_code == TIMEOUT.status

    def tasks(self) -> "list[Task[None]]":
        """See `task_deadline.Expiring`."""
        return [] if self.task is None or self.task.done() else [self.task]

    def returned(self) -> None:
        """The application is done, and its response is not complete."""
        exchange = self._exchange
        if self.live.left:
            self._abort()
        elif self.phase is _TRAILERS:
            with contextlib.suppress(ResponseError):
                exchange.end()
            self.conclude()
        else:
            expected = "a response" if self.phase is _NEW else "http.response.body with more_body=False"
            head = exchange.head
            text = "the application returned before its response was complete"
            self._adapter.log.error(fields(text, method=head.method, path=head.path, expected=expected))
            self._answer(HttpError(500))

    def fail(self, error: BaseException) -> None:
        """Turn an exception into what the client and the log are told."""
        adapter, head = self._adapter, self._exchange.head
        over = self.phase is OVER
        if isinstance(error, HttpError) and not over:
            reason = error.detail or error.reason
            line = fields("request refused", status=error.status, method=head.method, path=head.path, reason=reason)
            adapter.log.warning(line)
            self._answer(error)
        elif self._ended_for:
            # Clients that leave are not to fill the log with tracebacks. When it is over, its end was logged already.
            level = logging.DEBUG if over or is_consequence(error) else logging.INFO
            summary, traceback_text = describe_exception(error)
            line = fields("client gone", method=head.method, path=head.path, reason=self._ended_for, error=summary)
            adapter.log.log(level, line)
            adapter.log.debug(traceback_text.rstrip())
            self._abort()
        elif isinstance(error, asyncio.CancelledError) and adapter.cut:
            text = "request cancelled, the worker's time to finish is over"
            adapter.log.warning(fields(text, method=head.method, path=head.path, response=self._exchange.started))
            self._answer(HttpError(503))
        else:
            summary, traceback_text = describe_exception(error)
            sentence = "error after the response was complete" if over else "error handling request"
            line = fields(sentence, method=head.method, path=head.path, error=summary, **hint(error))
            tell(adapter.log, logging.ERROR, f"{line}\n{traceback_text.rstrip()}")
            self._answer(HttpError(500))

    def _answer(self, error: HttpError) -> None:
        if self.phase is OVER:
            return
        exchange = self._exchange
        if exchange.started and not exchange.restart():
            self._abort()
            return
        exchange.refuse(error)
        self.status = f"{error.status} {error.reason}"
        self.status_code = error.status
        self.fields = []
        self.conclude()

    def _abort(self) -> None:
        if self.phase is not OVER:
            self._exchange.abort()
            if not self._exchange.started:
                self.status, self.status_code, self.fields = "", 0, []
            self.conclude()
