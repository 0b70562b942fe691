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
from typing import Any, Final, cast

from ostler.app.environ import ConnectionEnviron, Environ, EnvironTemplate
from ostler.app.exhaustion import hint
from ostler.app.files import copy_file, regular_file
from ostler.app.large_heads import LargeHeads
from ostler.app.telling import tell
from ostler.app.wsgi_input import BodyIncomplete, ClientGone
from ostler.app.wsgi_response import EarlyHints, Response, Sink, WatchedResponse, Write
from ostler.config.usercode import describe_exception
from ostler.errors import RequestTimeout
from ostler.http.connection import Exchange, FileSlice
from ostler.http.errors import HttpError
from ostler.logline import fields

StartResponse = Callable[..., Write]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


ALREADY_HANDLED: Final = cast(Iterable[bytes], object())
"""Gunicorn's `workers.base_async.ALREADY_HANDLED`: who returns it has answered by itself, or wants no answer."""


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
        self._large_heads = LargeHeads(log)
        self.new_response: type[Response] = Response
        """With the exchange and the sink: what `serve` is given."""

    def environ_for(self, shared: ConnectionEnviron, exchange: Exchange, sink: Sink, response: Response) -> Environ:
        """The environ of one exchange but for `wsgi.input`.

        Raises:
            HttpError: the request may not reach the application (see `EnvironTemplate.build`).
        """
        environ = self._template.build(shared, exchange.head)
        environ["wsgi.early_hints"] = EarlyHints(exchange, sink, response)
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
            case ClientGone() | RequestTimeout():  # the latter has been told, and answered
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
            if not response.head_sent and response.start(len(body)):
                self._note_large_head(exchange, response)
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
                if not response.head_sent and response.start(None):
                    self._note_large_head(exchange, response)
                exchange.write(block)
                sink.deliver()
        if not response.head_sent and not sink.muted and response.start(0):
            self._note_large_head(exchange, response)

    def _note_large_head(self, exchange: Exchange, response: Response) -> None:
        self.new_response = WatchedResponse
        self._large_heads.tell(exchange.head, response.fields, response.place)

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
            if response.start(length):
                self._note_large_head(exchange, response)
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
        line = fields(sentence, method=head.method, path=head.path, error=summary, **hint(error))
        tell(self._log, logging.ERROR, f"{line}\n{traceback_text.rstrip()}")


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


def _only_bytes(blocks: Sequence[bytes]) -> bytes:
    body = blocks[0] if len(blocks) == 1 else b"".join(blocks)
    if not isinstance(body, bytes):
        raise TypeError(f"response blocks must be bytes, found {type(body).__name__}")
    return body
