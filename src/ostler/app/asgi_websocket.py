"""ASGI's websocket protocol: one handshake, one call of the application, and its connection until that is over.

`serve_websocket` walks it from top to bottom. The application decides whether the handshake is accepted (101), denied
(403, or a response of its own), and what is said until either side closes; `Pipe` (websocket_pipe.py) moves the
messages. What an application's mistake becomes: a 500 while nothing was sent, otherwise a close with the code 1011.

Rules for editing: every way out leaves the exchange ended, refused or aborted, and the application's task done. No
sockets. Anchors: https://asgi.readthedocs.io/en/latest/specs/www.html (websocket, 2.5), extensions.html (denial).
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from ostler.app.asgi_live import Application, LiveExchange, Message, Scope, Waiters
from ostler.app.websocket_pipe import Pipe, WebSocketTerms
from ostler.app.wsgi_input import ClientGone
from ostler.config.usercode import describe_exception
from ostler.http.errors import HttpError, reason_phrase
from ostler.http.websocket import WebSocket
from ostler.http.websocket_events import Binary, Closed, Text
from ostler.http.websocket_frames import INTERNAL_ERROR, LOST, NORMAL, RESTARTING
from ostler.http.websocket_handshake import Handshake, HandshakeError, read_handshake
from ostler.logline import fields

__all__ = ["Ending", "WebSocketTerms", "serve_websocket"]

_BYTES: Final = (bytes, bytearray, memoryview)
_OURS: Final = ("sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-protocol", "sec-websocket-version")


@dataclass(slots=True)
class Ending:
    """How an exchange ended, for the access log and the counters."""

    status: str = ""
    """Of the response: "101 Switching Protocols"; "" where there was none."""
    fields: list[tuple[str, str]] = field(default_factory=list)
    sent: int = 0
    """Bytes of messages or of the denial's body."""


class _Phase(Enum):
    CONNECTING = auto()
    """The application has not answered the handshake."""
    DENYING = auto()
    """It answers with a response of its own."""
    OPEN = auto()
    """It has accepted."""
    DENIED = auto()
    """The handshake was answered otherwise, and that is complete."""


async def serve_websocket(  # noqa: PLR0913, PLR0917  one call makes it
    live: LiveExchange,
    scope: Scope,
    application: Application,
    terms: WebSocketTerms,
    log: logging.Logger,
    accepted: Callable[[], object] = lambda: None,
) -> Ending:
    """Serve an exchange whose head `asks_for_websocket`; return when it is over and only `live.finish` is left to do.
    `accepted` is called when the handshake is.

    Raises:
        asyncio.CancelledError: by whoever cancels this, unless there was a WebSocket: that is closed with 1012, which
            is no failure. The application's task is cancelled in both cases.
    """
    try:
        handshake = read_handshake(live.exchange.head, terms.deflate)
    except HandshakeError as error:
        head = live.exchange.head
        log.info(fields("websocket refused", status=error.status, path=head.path, reason=error.detail))
        ending = Ending()
        _answer(live, error, error.fields, ending)
        return ending
    session = _Session(live, handshake, terms, log, accepted)
    scope["subprotocols"] = list(handshake.subprotocols)
    scope["extensions"] = {**scope.get("extensions", {}), "websocket.http.response": {}}
    await session.run(application, scope)
    return session.ending


class _Session:
    """One call of the application."""

    def __init__(
        self,
        live: LiveExchange,
        handshake: Handshake,
        terms: WebSocketTerms,
        log: logging.Logger,
        accepted: Callable[[], object],
    ) -> None:
        self.ending = Ending()
        self._accepted = accepted
        self._live = live
        self._handshake = handshake
        self._terms = terms
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._waiters = Waiters(self._loop)
        self._phase = _Phase.CONNECTING
        self._connected = False
        """The application has heard websocket.connect."""
        self._denial: tuple[int, list[tuple[str, str]]] | None = None
        """Status and fields of a response that was announced, and not started."""
        self._pipe: Pipe | None = None
        self._task: asyncio.Task[None] | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._said_so = False
        """The application has closed: it knows, and may go on as long as it likes."""
        live.changed = self._changed

    async def run(self, application: Application, scope: Scope) -> None:
        """Call the application, and wait until it and the connection are done."""
        self._task = task = self._loop.create_task(self._call(application, scope))
        self._mind_the_end()  # nobody says again that a client has left which had left before
        try:
            await asyncio.wait((task,))
            if self._pipe is not None:
                await self._pipe.wait_over()
        except asyncio.CancelledError:
            if self._pipe is None:
                raise
            self._pipe.close(RESTARTING, "service restart")
        finally:
            if self._grace is not None:
                self._grace.cancel()
            if not task.done():
                task.cancel()
            if self._pipe is not None:
                self.ending.sent = self._pipe.sent
                self._live.exchange.end()

    async def _call(self, application: Application, scope: Scope) -> None:
        error: BaseException | None = None
        try:
            await application(scope, self._receive, self._send)
        except asyncio.CancelledError as cancelled:
            error = cancelled
        except BaseException as raised:  # noqa: BLE001  SystemExit of an application ends its connection only
            error = raised
        self._finish(error)

    # -- the application's two callables ---------------------------------------------------------------------

    async def _receive(self) -> Message:
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        while True:
            pipe = self._pipe
            if pipe is not None:
                message = pipe.take()
                if type(message) is Text:
                    return {"type": "websocket.receive", "text": message.data}
                if type(message) is Binary:
                    return {"type": "websocket.receive", "bytes": message.data}
                if pipe.closed is not None:
                    return _disconnect(pipe.closed)
            elif self._live.left or self._phase is _Phase.DENIED:
                return _disconnect(Closed(LOST, ""))
            await self._waiters.wait()

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if self._pipe is not None:
            await self._talk(self._pipe, kind, message)
        elif self._phase is _Phase.CONNECTING:
            self._answer_handshake(kind, message)
        elif self._phase is _Phase.DENYING:
            await self._deny(kind, message)
        else:
            raise ClientGone(f"{kind} after the handshake was denied")

    # -- the handshake ---------------------------------------------------------------------------------------

    def _answer_handshake(self, kind: str, message: Message) -> None:
        match kind:
            case "websocket.accept":
                self._accept(message.get("subprotocol"), message.get("headers") or ())
            case "websocket.close":
                self._phase = _Phase.DENIED
                _answer(self._live, HttpError(403), [], self.ending)
            case "websocket.http.response.start":
                self._denial = int(message["status"]), _text_fields(message.get("headers") or ())
                self._phase = _Phase.DENYING
            case _:
                raise RuntimeError(
                    f"expected websocket.accept, websocket.close or websocket.http.response.start, found {kind}"
                )

    def _accept(self, subprotocol: str | None, headers: Iterable[tuple[bytes, bytes]]) -> None:
        extra = _text_fields(headers)
        for name, _ in extra:
            if name.lower() in _OURS:
                raise ValueError(f"websocket.accept: {name} is the server's (there is the key `subprotocol`)")
        answer = [*self._handshake.response_fields(subprotocol), *extra]
        if self._live.left:
            raise ClientGone("the client left during the handshake")
        self._accepted()
        self._live.exchange.start(101, "Switching Protocols", answer)
        socket = WebSocket(self._terms.max_message_bytes, self._handshake.deflate)
        self._pipe = pipe = Pipe(self._live, socket, self._terms, self._waiters, self._log)
        pipe.on_closed = self._mind_the_end
        self._phase = _Phase.OPEN
        self.ending.status = "101 Switching Protocols"
        self.ending.fields = answer
        try:
            pipe.open()
        except ClientGone:
            pipe.lose()
            raise

    async def _deny(self, kind: str, message: Message) -> None:
        if kind != "websocket.http.response.body":
            raise RuntimeError(f"expected websocket.http.response.body, found {kind}")
        exchange = self._live.exchange
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._denial is not None:
            (status, answer), self._denial = self._denial, None
            exchange.start(status, reason_phrase(status), answer, None if more else len(body))
            self.ending.status = f"{status} {reason_phrase(status)}"
            self.ending.fields = answer
        if body:
            exchange.write(body)
        if not more:
            exchange.end()
            self._phase = _Phase.DENIED
        self.ending.sent = exchange.body_sent
        self._live.send()
        while not (self._live.has_room or self._live.left):
            await self._waiters.wait()

    # -- the conversation ------------------------------------------------------------------------------------

    async def _talk(self, pipe: Pipe, kind: str, message: Message) -> None:
        match kind:
            case "websocket.send":
                text, data = message.get("text"), message.get("bytes")
                if isinstance(text, str):
                    await pipe.send(Text(text))
                elif isinstance(data, _BYTES):
                    await pipe.send(Binary(bytes(data)))
                else:
                    raise TypeError("websocket.send needs `text`, a str, or `bytes`, bytes")
            case "websocket.close":
                if pipe.closed is not None:
                    return  # both sides may close at once
                code = message.get("code")
                self._said_so = True
                pipe.close(NORMAL if code is None else code, message.get("reason") or "")
            case _:
                raise RuntimeError(f"expected websocket.send or websocket.close, found {kind}")

    def _changed(self) -> None:
        if self._pipe is not None:
            self._pipe.changed()
        self._mind_the_end()
        self._waiters.wake()

    # -- the end ---------------------------------------------------------------------------------------------

    def _mind_the_end(self) -> None:
        """The application is cancelled some time after it could know that the client has left."""
        task = self._task
        if self._grace is None and task is not None and not (self._said_so or task.done()) and self._is_gone():
            self._grace = self._loop.call_later(self._terms.grace_s, task.cancel)

    def _is_gone(self) -> bool:
        """Nobody hears what is said now. (Messages that came before may still be read.)"""
        return self._live.left or (self._pipe is not None and self._pipe.closed is not None)

    def _finish(self, error: BaseException | None) -> None:
        """The application has returned, or raised `error`."""
        pipe = self._pipe
        gone = self._is_gone()
        late = isinstance(error, asyncio.CancelledError) and self._live.exchange.finished  # answered with 504
        quiet = error is None or (gone and _says_gone(error)) or late
        if error is not None and not quiet:
            self._log_failure(error)
        match self._phase:
            case _Phase.OPEN:
                assert pipe is not None
                pipe.close(NORMAL if error is None else INTERNAL_ERROR, "")
            case _Phase.DENIED:
                pass
            case _:
                if error is None and not self._live.left:
                    path = self._live.exchange.head.path
                    self._log.error(fields("the application ended without an answer to the handshake", path=path))
                if self._live.exchange.started or self._live.left:
                    self._live.exchange.abort()
                else:
                    _answer(self._live, HttpError(500), [], self.ending)

    def _log_failure(self, error: BaseException) -> None:
        summary, traceback_text = describe_exception(error)
        path = self._live.exchange.head.path
        line = fields("error in a websocket application", path=path, error=summary)
        self._log.error(f"{line}\n{traceback_text.rstrip()}")


def _says_gone(error: BaseException) -> bool:
    """Whether an exception only says that the client has left: ours, the cancellation, or Starlette's."""
    return isinstance(error, ClientGone | asyncio.CancelledError) or type(error).__name__ == "WebSocketDisconnect"


def _disconnect(closed: Closed) -> Message:
    return {"type": "websocket.disconnect", "code": closed.code, "reason": closed.reason}


def _answer(live: LiveExchange, error: HttpError, extra: list[tuple[str, str]], ending: Ending) -> None:
    """Answer the handshake with an error; whoever has left does not hear it."""
    body = f"{error.status} {error.reason}\n".encode("ascii")
    ending.status = f"{error.status} {error.reason}"
    ending.fields = [("Content-Type", "text/plain; charset=utf-8"), *extra]
    exchange = live.exchange
    exchange.start(error.status, error.reason, ending.fields, len(body))
    exchange.write(body)
    exchange.end()
    ending.sent = exchange.body_sent
    try:
        live.send()
    except ClientGone:
        exchange.abort()


def _text_fields(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in headers]
