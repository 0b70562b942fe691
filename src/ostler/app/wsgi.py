"""PEP 3333: one exchange, one call of the application.

`WsgiAdapter.serve` walks it from top to bottom: environ, call, blocks, end, close(). Each block is delivered (it has
reached the kernel, or the sink's bounded buffer) before the next is asked for. The response's framing is decided by
the exchange; this file decides what an application's mistake becomes: a 500 while nothing was sent, otherwise a
connection closed before the response looks complete.

Editing rules: every way out of `serve` calls the iterable's close() exactly once. No sockets, no clocks.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Protocol, cast

from ostler.app.environ import ConnectionEnviron, Environ, EnvironTemplate
from ostler.app.files import copy_file, regular_file
from ostler.app.wsgi_input import BodyIncomplete, ClientGone
from ostler.config.usercode import describe_exception
from ostler.http.connection import Exchange, FileSlice
from ostler.http.errors import HttpError, ResponseError
from ostler.logline import fields

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
Fields = list[tuple[str, str]]
Write = Callable[[bytes], object]
StartResponse = Callable[..., Write]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


ALREADY_HANDLED: Final = cast(Iterable[bytes], object())
"""Gunicorn's `workers.base_async.ALREADY_HANDLED`: who returns it has answered by itself, or wants no answer."""


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


class FileWrapper:
    """`wsgi.file_wrapper`: an iterable over a file, which the server sends with sendfile(2) where it can."""

    def __init__(self, filelike: Any, blksize: int = 64 * 1024) -> None:
        self.filelike = filelike
        self.blksize = blksize

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        data = self.filelike.read(self.blksize)
        if data:
            return cast(bytes, data)
        raise StopIteration

    def close(self) -> None:
        """Close the file, as PEP 3333 asks of a wrapper whose file can be closed."""
        close = getattr(self.filelike, "close", None)
        if close is not None:
            close()


class Response:
    """What the application said of its response: the state behind `start_response` and `write`."""

    __slots__ = ("_exchange", "_sink", "fields", "head_sent", "status", "status_code")

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

    def start(self, body_length: int | None) -> None:
        """Queue the head. `body_length` is the length of the whole body where the adapter knows it."""
        if not self.status:
            raise AssertionError("the application returned its body before it called start_response")
        self._exchange.start(self.status_code, self.status[4:], self.fields, body_length)
        self.head_sent = True

    def forget(self) -> bool:
        """Take back a head of which nothing was sent; False when it is too late."""
        if self.head_sent and not self._exchange.restart():
            return False
        self.head_sent = False
        self.status = ""
        self.fields = []
        return True


class WsgiAdapter:
    """Calls one WSGI application for exchanges. Shared by all threads of a worker."""

    def __init__(
        self, application: Application, template: EnvironTemplate, log: logging.Logger, sendfile: bool = True
    ) -> None:
        """`sendfile`: files of `wsgi.file_wrapper` are the kernel's to send; else they are read and sent as bytes."""
        self._application = application
        self._template = template
        self._log = log
        self._sendfile = sendfile

    def environ_for(self, shared: ConnectionEnviron, exchange: Exchange, sink: Sink, response: Response) -> Environ:
        """The environ of one exchange but for `wsgi.input`.

        Raises:
            HttpError: the request may not reach the application (see `EnvironTemplate.build`).
        """
        environ = self._template.build(shared, exchange.head)
        environ["wsgi.early_hints"] = _EarlyHints(exchange, sink, response)
        environ["ostler.client_disconnected"] = sink.client_disconnected
        environ["gunicorn.socket"] = sink.socket()
        return environ

    def serve(self, environ: Environ, exchange: Exchange, sink: Sink, response: Response) -> None:
        """Call the application and deliver its response. Never raises; what went wrong is logged and answered."""
        blocks: Iterable[bytes] | None = None
        try:
            try:
                blocks = self._application(environ, response.start_response)
                self._send(blocks, exchange, sink, response)
            finally:
                if blocks is not None:
                    close = getattr(blocks, "close", None)
                    if close is not None:
                        close()
        except BaseException as error:  # noqa: BLE001  SystemExit and GeneratorExit of an application end its request only
            self.fail(error, exchange, response)
        if sink.muted:
            _close_muted(exchange, response)

    def fail(self, error: BaseException, exchange: Exchange, response: Response) -> None:
        """Turn an exception into what the client and the log are told."""
        head = exchange.head
        match error:
            case BodyIncomplete():
                self._log.info(fields("request ended early", method=head.method, path=head.path, error=error))
                self._answer(error.error, exchange, response)
            case ClientGone():
                self._log.debug(fields("client gone", method=head.method, path=head.path, error=error))
                exchange.abort()
            case _ if response.muted:
                self._end_muted(error, exchange)
            case StopIteration():
                # flask-sock and others end a hijacked connection this way under Gunicorn.
                level = logging.DEBUG if exchange.started else logging.WARNING
                text = "the application ended the connection (StopIteration)"
                self._log.log(level, fields(text, method=head.method, path=head.path, response=exchange.started))
                exchange.abort()
            case HttpError():
                reason = error.detail or error.reason
                self._log.warning(
                    fields("request refused", status=error.status, method=head.method, path=head.path, reason=reason)
                )
                self._answer(error, exchange, response)
            case _ if exchange.finished:
                self._log_failure("error after the response was complete", error, exchange)
            case _:
                self._log_failure("error handling request", error, exchange)
                self._answer(HttpError(500), exchange, response)

    def _send(self, blocks: Iterable[bytes], exchange: Exchange, sink: Sink, response: Response) -> None:
        if sink.muted:
            _exhaust(blocks)
            return
        kind = type(blocks)
        if kind is list or kind is tuple:
            # All blocks exist already: delivering them as one holds nothing back, and the length is known.
            body = _only_bytes(cast(Sequence[bytes], blocks))
            if not response.head_sent:
                response.start(len(body))
            if body:
                exchange.write(body)
        elif kind is FileWrapper and self._send_file(cast(FileWrapper, blocks), exchange, sink, response):
            pass
        else:
            self._send_blocks(blocks, exchange, sink, response)
            if sink.muted:
                return
        exchange.end()
        # Before close(): what an application does there is work after the response.
        sink.finish()

    def _send_blocks(self, blocks: Iterable[bytes], exchange: Exchange, sink: Sink, response: Response) -> None:
        if blocks is ALREADY_HANDLED:
            raise StopIteration
        for block in blocks:
            if not isinstance(block, bytes):
                raise TypeError(f"response blocks must be bytes, found {type(block).__name__}")
            if block and not sink.muted:
                if not response.head_sent:
                    response.start(None)
                exchange.write(block)
                sink.deliver()
        if not response.head_sent and not sink.muted:
            response.start(0)

    def _send_file(self, wrapper: FileWrapper, exchange: Exchange, sink: Sink, response: Response) -> bool:
        file = regular_file(wrapper.filelike)
        if file is None:
            return False
        offset = file.tell()
        length = os.fstat(file.fileno()).st_size - offset
        if length <= 0:
            return False  # files of /proc are 0 bytes long, and yet read() gives more
        if not response.head_sent:
            declared = next((value for name, value in response.fields if name.lower() == "content-length"), None)
            if declared is not None and declared.isdecimal():
                length = min(length, int(declared))
            response.start(length)
        if length == 0 or exchange.head.method == "HEAD":
            return True
        if not self._sendfile:
            copy_file(file, length, lambda block: _deliver(block, exchange, sink))
            return True
        # The piece owns a descriptor of its own, so that close() below need not wait for the last byte.
        piece = FileSlice(os.dup(file.fileno()), offset, length)
        if exchange.write_file(piece):
            return True
        os.close(piece.fd)
        return False

    def _answer(self, error: HttpError, exchange: Exchange, response: Response) -> None:
        if exchange.finished or not response.forget():
            exchange.abort()
            return
        exchange.refuse(error)
        response.status = f"{error.status} {error.reason}"
        response.status_code = error.status

    def _end_muted(self, error: BaseException, exchange: Exchange) -> None:
        """Of an application that took the socket: there is nobody to answer."""
        head = exchange.head
        match error:
            case StopIteration():
                pass  # how flask-sock and others end such a call, under Gunicorn too
            case ConnectionError() | TimeoutError():
                text = "the client of a taken socket is gone"
                self._log.info(fields(text, method=head.method, path=head.path, error=error))
            case _:
                self._log_failure("error after the application took the socket", error, exchange)

    def _log_failure(self, sentence: str, error: BaseException, exchange: Exchange) -> None:
        summary, traceback_text = describe_exception(error)
        head = exchange.head
        line = fields(sentence, method=head.method, path=head.path, error=summary)
        self._log.error(f"{line}\n{traceback_text.rstrip()}")


class _EarlyHints:
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


def _exhaust(blocks: object) -> None:
    """What an application returns that has taken the socket: its code may be in there; or it is no iterable at all."""
    if isinstance(blocks, Iterable):
        for _ in blocks:
            pass


def _close_muted(exchange: Exchange, response: Response) -> None:
    """Nothing of a response is sent. In the access log it is the switch of protocols that the client asked for."""
    exchange.abort()
    if exchange.head.upgrade is not None:
        response.status = "101 Switching Protocols"


def _deliver(block: bytes, exchange: Exchange, sink: Sink) -> None:
    exchange.write(block)
    sink.deliver()


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _status_code(status: str) -> int:
    if type(status) is not str:
        raise TypeError(f"response status must be str, found {type(status).__name__}")
    code = status[:3]
    if not (code.isascii() and code.isdecimal() and status[3:4] in ("", " ")):
        raise ResponseError(f"response status must be like '200 OK', found {status[:40]!r}")
    return int(code)


def _only_bytes(blocks: Sequence[bytes]) -> bytes:
    body = blocks[0] if len(blocks) == 1 else b"".join(blocks)
    if not isinstance(body, bytes):
        raise TypeError(f"response blocks must be bytes, found {type(body).__name__}")
    return body
