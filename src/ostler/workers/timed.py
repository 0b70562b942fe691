"""WSGI calls with a deadline (`request_timeout`): in threads, on the main thread, and in greenlets.

`TimedRunner` is `ExchangeRunner` for them. Between the application and its client stands a `TimedSink`, which asks the
deadline before anything is sent: once the watchdog has answered (another thread, while this one is somewhere in the
application), the client is gone for this call. When the call comes back at last, the connection ends in good order.

Where `RequestTimeout` may be raised, places.py says. Who sets an exception for another thread looks at its frames and
at `left` at the same moment, as nearly as the interpreter's lock allows; what comes all the same in the last moment is
caught around the call, and taken back when that is over.

Rules for editing: a way out of `__call__` without `leave` would let an exception loose on the next request.
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from math import inf
from threading import get_ident
from time import monotonic as _monotonic
from types import FrameType
from typing import Any, Final, Protocol

from ostler import real
from ostler.app.deadline import STATUS, TIMEOUT, Deadline
from ostler.app.environ import Environ
from ostler.app.wsgi import WsgiAdapter
from ostler.app.wsgi_input import ClientGone, body_stream
from ostler.app.wsgi_response import Response
from ostler.drivers.client import Client
from ostler.drivers.overdue import Overdue, frame_of_thread, stack_of
from ostler.drivers.takeover import ClientSocket, Takeover, discard
from ostler.errors import RequestTimeout
from ostler.http.connection import Peer
from ostler.http.encode import error_body, error_response
from ostler.http.h1_exchange import H1Exchange
from ostler.http.head import RequestHead
from ostler.observe.span import SpanMaker
from ostler.process.interruption import MainThread, raise_in, take_back
from ostler.process.thread_wait import of_thread
from ostler.workers.exchanges import ExchangeRunner
from ostler.workers.places import SERVE, may_raise

_YIELD_S: Final = 0.0001
_FIELDS: Final = [("Content-Type", "text/plain; charset=utf-8")]


class Way(Protocol):
    """How calls of one kind are found and interrupted."""

    title: str
    """Of a stack."""

    def enter(self, deadline: Deadline) -> object:
        """A call begins here. Returns what `frame` and the others know it by."""

    def frame(self, place: Any) -> FrameType | None:
        """Its innermost frame."""

    def interrupt(self, deadline: Deadline, place: Any) -> bool:
        """Raise `RequestTimeout` in it. False: not at this moment."""

    def calm(self, place: Any) -> None:
        """The call is over: what was raised and has not come must not come."""


class ThreadWay:
    """A call in a thread that is not the main one."""

    title = "Thread 0x0"

    def enter(self, _deadline: Deadline) -> int:
        """See `Way`."""
        return get_ident()

    def frame(self, place: int) -> FrameType | None:
        """See `Way`."""
        return frame_of_thread(place)

    def interrupt(self, deadline: Deadline, place: int) -> bool:
        """See `Way`."""
        with deadline.lock:
            if deadline.left:
                return True
            real.sleep(_YIELD_S)  # who has just got the interpreter's lock keeps it for a while: 5 ms
            if not may_raise(frame_of_thread(place), waits=False):
                return False
            raise_in(place, RequestTimeout)
            if not may_raise(frame_of_thread(place), waits=False):
                take_back(place)  # it has moved on between the look and the exception
                return False
            return True

    def calm(self, place: int) -> None:
        """See `Way`."""
        take_back(place)


class MainWay:
    """Calls on the main thread, one at a time. In the main thread, before the first of them."""

    title = "Thread 0x0"

    def __init__(self) -> None:
        self._thread = MainThread(self._woken)
        self._current: Deadline | None = None
        self._waits = False
        """The call was asleep a moment ago."""

    def enter(self, deadline: Deadline) -> int:
        """See `Way`."""
        self._current = deadline
        return get_ident()

    def frame(self, place: int) -> FrameType | None:
        """See `Way`."""
        return frame_of_thread(place)

    def interrupt(self, deadline: Deadline, place: int) -> bool:
        """See `Way`. The handler decides, between two bytecodes of the main thread; or in a system call of one, where
        the frames look as they do behind it. So the kernel is asked.
        """
        self._waits = not may_raise(frame_of_thread(place), waits=False) and of_thread(place)[0] == "S"
        with deadline.lock:  # a system call of the next request must not hear of it
            if deadline.left:
                return True
            self._thread.wake()
        return deadline.interrupted

    def calm(self, _place: int) -> None:
        """See `Way`."""
        self._current = None

    def _woken(self, frame: FrameType | None) -> None:
        deadline = self._current
        if deadline is None or deadline.left or deadline.interrupted or not deadline.spoken_for:
            return
        if may_raise(frame, self._waits):
            deadline.interrupted = True
            raise RequestTimeout(deadline.reason)


class CallDeadline(Deadline):
    """That of one call of a WSGI application."""

    __slots__ = ("_client", "_end", "_exchange", "_gagged", "_place", "_told", "_way")

    def __init__(self, overdue: Overdue, way: Way, client: Client, limit_s: float, now: float) -> None:
        exchange = client.exchange
        assert exchange is not None
        super().__init__(overdue, exchange.head, limit_s, overdue.limits.margin_s(limit_s), now)
        self._client = client
        self._exchange: H1Exchange = exchange
        self._gagged = False
        self._told = False
        self._end: Callable[[], object] = lambda: None
        self._way = way
        self._place = way.enter(self)

    def ends_with(self, end: Callable[[], object]) -> None:
        """`end` tells everybody that the request is over; it is called once."""
        self._end = end

    def tell(self) -> None:
        """See `Deadline`."""
        with self.lock:
            told, self._told = self._told, True
        if not told:
            self._end()

    def _answer(self, silent: bool) -> bool:
        client, transport = self._client, self._client.transport
        if not silent:
            self._break_off()
            return False
        omit_body = self.head.method == "HEAD"
        with suppress(ClientGone):
            if transport.send([error_response(TIMEOUT, client.connection.date, omit_body)]):
                transport.hang_up()
        self._gagged = not transport.gone
        transport.gone = True  # as far as the application can see; its thread may be waiting for more of a body
        return True

    def _break_off(self) -> None:
        transport = self._client.transport
        # Where the end of the connection would be the end of the body, only a reset will do, and that takes a close:
        # when the call comes back, or this process is gone.
        until_close = self._exchange.until_close
        if until_close:
            transport.make_reset()
        with transport.lock:
            transport.break_off()
        if not until_close:
            with suppress(OSError):
                transport.sock.shutdown(socket.SHUT_RDWR)

    def part(self) -> None:
        """The call has left, and its client was told in its place: nothing of it is sent any more."""
        client, exchange = self._client, self._exchange
        discard(client.connection.data_to_send())
        exchange.abort()
        client.connection.close()
        if self._gagged:
            client.transport.gone = False
            exchange.aborted = False  # the response that was sent is complete

    def stack(self) -> str:
        """See `Deadline`."""
        return stack_of(self._way.frame(self._place), self._way.title, SERVE)

    def waits(self) -> tuple[str, str]:
        """See `Deadline`."""
        return of_thread(self._place) if isinstance(self._place, int) else ("", "")

    def interrupt(self) -> bool:
        """See `Deadline`."""
        return self._way.interrupt(self, self._place)

    def _is_elsewhere(self) -> bool:
        return self._client.takeover is not None

    def _calm(self) -> None:
        self._way.calm(self._place)


class TimedSink:
    """The client, as one call may use it."""

    __slots__ = ("_client", "_deadline", "_exchange")

    def __init__(self, client: Client, deadline: CallDeadline, exchange: H1Exchange) -> None:
        self._client = client
        self._deadline = deadline
        self._exchange = exchange

    def deliver(self) -> None:
        """See `Sink`."""
        deadline, final = self._deadline, self._exchange.started
        try:
            deadline.speak(final)
        except ClientGone:
            discard(self._client.connection.data_to_send())
            raise
        try:
            self._client.deliver()
        finally:
            if not final:
                deadline.hush()

    def finish(self) -> object:
        """See `Sink`."""
        self._deadline.hand_over()
        return self._client.finish()

    def wait_for_body(self) -> None:
        """See `BodySource`."""
        self._client.wait_for_body()

    def client_disconnected(self) -> bool:
        """See `Sink`."""
        return self._client.client_disconnected()

    def socket(self) -> ClientSocket:
        """See `Sink`."""
        return ClientSocket(self, self._exchange)

    # -- takeover.Owner

    @property
    def muted(self) -> bool:
        """See `Sink`."""
        return self._client.muted

    @muted.setter
    def muted(self, muted: bool) -> None:
        self._client.muted = muted

    @property
    def peer(self) -> Peer:
        """See `Owner`."""
        return self._client.peer

    @property
    def sock(self) -> Any:
        """See `Owner`."""
        return self._client.sock

    def is_at(self, exchange: object) -> bool:
        """See `Owner`."""
        return self._client.is_at(exchange)

    def peek(self, size: int) -> bytes:
        """See `Owner`."""
        return self._client.peek(size)

    def take_over(self) -> Takeover:
        """See `Owner`. What the application says there is its own: no deadline runs any more."""
        self._deadline.hand_over()
        return self._client.take_over()


class TimedRunner(ExchangeRunner):
    """Runs the application under a deadline, where the path has one."""

    def __init__(self, adapter: WsgiAdapter, spans: SpanMaker, overdue: Overdue, way: Way) -> None:
        super().__init__(adapter, spans)
        self._overdue = overdue
        self._way = way

    def __call__(self, client: Client, permit: int) -> None:
        """See `ExchangeRunner`."""
        exchange = client.exchange
        assert exchange is not None
        limit_s = self._overdue.limits.of(exchange.head.path)
        if limit_s == inf:
            super().__call__(client, permit)
            return
        deadline = CallDeadline(self._overdue, self._way, client, limit_s, _monotonic())
        sink = TimedSink(client, deadline, exchange)
        response = self._adapter.new_response(exchange, sink)
        span = self._spans.begin(permit, exchange.head)
        environ: Environ = {}

        def end() -> None:
            said = exchange.started, exchange.chunked, exchange.body_sent
            if deadline.answered:
                response.status, response.fields = STATUS, _FIELDS
                said = True, False, _body_bytes(exchange.head)
            span.end(environ, response.status, response.fields, *said)

        deadline.ends_with(end)
        try:
            try:
                self._overdue.begin(deadline)
                self._walk(client, exchange, sink, response, deadline, environ, span.pre_request)
            finally:
                deadline.leave()
        except RequestTimeout:  # between two bytecodes behind the call, and perhaps within `leave`
            deadline.leave()
        if deadline.spoken_for:
            deadline.part()
        deadline.tell()

    def _walk(  # noqa: PLR0913, PLR0917  one call makes it
        self,
        client: Client,
        exchange: H1Exchange,
        sink: TimedSink,
        response: Response,
        deadline: CallDeadline,
        environ: Environ,
        pre_request: Callable[[Peer, str], None],
    ) -> None:
        adapter = self._adapter
        try:
            environ |= adapter.environ_for(client.environ, exchange, sink, response)
            environ["wsgi.input"] = body_stream(client.body, client.complete, exchange, sink)
            environ["ostler.deadline"] = deadline
            pre_request(exchange.peer, environ["wsgi.url_scheme"])
        except BaseException as error:  # noqa: BLE001  a hook is user code, and may raise SystemExit
            adapter.fail(error, exchange, response)
        else:
            adapter.serve(environ, exchange, sink, response)


def _body_bytes(head: RequestHead) -> int:
    return 0 if head.method == "HEAD" else len(error_body(TIMEOUT))
