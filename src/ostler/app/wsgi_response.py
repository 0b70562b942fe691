"""What an application said of its response: the state behind PEP 3333's `start_response` and `write`.

`Sink` is where it goes. What a mistake in it becomes, the adapter decides (wsgi.py).

Rules for editing: `Response` is made for every request: measure. No sockets, no clocks.
"""

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Protocol

from ostler.app.large_heads import may_be_large, place_of_caller
from ostler.http.connection import Exchange
from ostler.http.errors import ResponseError

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
Fields = list[tuple[str, str]]
Write = Callable[[bytes], object]


class Sink(Protocol):
    """Where an exchange's output goes. One per client; called by the thread that runs the application."""

    muted: bool
    """The application has sent or received something over the client's socket: its response goes nowhere."""

    def deliver(self) -> None:
        """Send what the exchange has queued; return when it is in the kernel or in a bounded buffer.

        Raises:
            ClientGone: the client closed, or took nothing within the write deadline.
        """

    def finish(self) -> object:
        """Send the end of an exchange without waiting; what the client does not take now is sent later.

        Raises:
            ClientGone: the transport failed.
        """

    def client_disconnected(self) -> bool:
        """Whether the client is known to have left."""

    def socket(self) -> object:
        """The client's socket, for an application that will speak another protocol over it."""


class Response:
    """What the application said of its response: the state behind `start_response` and `write`."""

    __slots__ = ("_exchange", "_sink", "fields", "head_sent", "status", "status_code")

    place = ""
    """Where in the application a large head comes from, if that was noted."""

    def __init__(self, exchange: Exchange, sink: Sink) -> None:
        self._exchange = exchange
        self._sink = sink
        self.status = ""
        self.status_code = 0
        self.fields: Fields = []
        self.head_sent = False

    @property
    def muted(self) -> bool:
        """See `Sink.muted`."""
        return self._sink.muted

    def start_response(self, status: str, fields: Fields, exc_info: ExcInfo | None = None) -> Write:
        """PEP 3333's start_response.

        Raises:
            exc_info's exception: the head is on the wire already, so the error response comes too late.
            AssertionError: called twice without exc_info.
            TypeError, ResponseError: a status or field that cannot stand in a response head.
        """
        if exc_info:
            try:
                if self.head_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # breaks the reference cycle through this frame
        elif self.status:
            raise AssertionError("start_response was called twice without exc_info")
        code = _status_code(status)
        checked = []
        for name, value in fields:
            if type(name) is not str or type(value) is not str:
                raise TypeError(f"response fields must be (str, str), found ({name!r}, {type(value).__name__})")
            checked.append((name, value))
        self.status, self.status_code, self.fields = status, code, checked
        return self.write

    def write(self, data: bytes) -> None:
        """PEP 3333's legacy write(): delivered before it returns."""
        if not isinstance(data, bytes):
            raise TypeError(f"response blocks must be bytes, found {type(data).__name__}")
        if not self.head_sent:
            self.start(None)
        if data:
            self._exchange.write(data)
        self._sink.deliver()

    def start(self, body_length: int | None) -> bool:
        """Queue the head; True: it is large. `body_length`: of the whole body, where the adapter knows it."""
        if not self.status:
            raise AssertionError("the application returned its body before it called start_response")
        is_large = self._exchange.start(self.status_code, self.status[4:], self.fields, body_length)
        self.head_sent = True
        return is_large

    def forget(self) -> bool:
        """Take back a head of which nothing was sent; False when it is too late."""
        if self.head_sent and not self._exchange.restart():
            return False
        self.head_sent = False
        self.status = ""
        self.fields = []
        return True


class WatchedResponse(Response):
    """Of a worker that has sent a large head: who starts the next one is noted."""

    __slots__ = ("place",)

    def __init__(self, exchange: Exchange, sink: Sink) -> None:
        super().__init__(exchange, sink)
        self.place = ""

    def start_response(self, status: str, fields: Fields, exc_info: ExcInfo | None = None) -> Write:
        """See `Response`."""
        write = super().start_response(status, fields, exc_info)
        if may_be_large(self.fields):
            self.place = place_of_caller()
        return write


class EarlyHints:
    """`wsgi.early_hints(fields)`: a 103 (RFC 8297) before the response; nothing for HTTP/1.0 or once it started."""

    __slots__ = ("_exchange", "_response", "_sink")

    def __init__(self, exchange: Exchange, sink: Sink, response: Response) -> None:
        self._exchange = exchange
        self._sink = sink
        self._response = response

    def __call__(self, fields: Iterable[tuple[str | bytes, str | bytes]]) -> None:
        if self._response.head_sent:
            return
        self._exchange.inform(103, [(_text(name), _text(value)) for name, value in fields])
        self._sink.deliver()


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _status_code(status: str) -> int:
    if type(status) is not str:
        raise TypeError(f"response status must be str, found {type(status).__name__}")
    code = status[:3]
    if not (code.isascii() and code.isdecimal() and status[3:4] in ("", " ")):
        raise ResponseError(f"response status must be like '200 OK', found {status[:40]!r}")
    return int(code)
