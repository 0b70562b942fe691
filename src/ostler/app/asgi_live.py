"""What the ASGI adapters share: the names of ASGI 3, an exchange as they see it, and waiting until it has changed.

`LiveExchange` is what the driver hands over (drivers/live.py); it does not wait. `Waiters` is the bridge from its
`changed` to coroutines: several tasks of one application may wait at once, say one for the client to leave and one for
room, and each looks for itself whether what it waits for has come true.

Rules for editing: no sockets, no HTTP. asyncio is imported here and in its neighbours only, which workers of other
kinds never import. Anchor: https://asgi.readthedocs.io/en/latest/specs/main.html.
"""

import logging
from asyncio import AbstractEventLoop, Future
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Protocol

from ostler.app.environ import ConnectionEnviron, Environ
from ostler.app.large_heads import LargeHeads
from ostler.http.connection import End, Exchange, NeedData, Peer
from ostler.http.head import RequestHead

Scope = dict[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class LiveClient(Protocol):
    """The client of an exchange, as far as an adapter has to know it."""

    environ: ConnectionEnviron


class LiveHttp(Exchange, Protocol):
    """An exchange, with what only HTTP/1 adapters ask."""

    def body_left(self) -> object | None:
        """None: the request's body was read to its end."""


class Span(Protocol):
    """One request's clock, hooks, access log and counters (observe/span.py)."""

    def pre_request(self, peer: Peer, scheme: str) -> None: ...
    def end(  # noqa: PLR0913, PLR0917  see there
        self,
        environ: Mapping[str, Any],
        status: str,
        fields: Sequence[tuple[str, str]],
        started: bool,
        chunked: bool,
        sent: int,
    ) -> None: ...


class Spans(Protocol):
    """Makes spans."""

    @property
    def wants_environ(self) -> bool:
        """Whether anybody looks at the environ that `Span.end` is given."""

    def begin(self, row: int, head: RequestHead) -> Span: ...


class LiveExchange(Protocol):
    """See drivers/live.py, which says what each of these does."""

    changed: Callable[[], object]
    left: bool
    draining: bool
    row: int

    @property
    def client(self) -> LiveClient: ...
    @property
    def exchange(self) -> LiveHttp: ...
    @property
    def has_room(self) -> bool: ...
    def read(self, size: int = 65536) -> bytes | NeedData | End: ...
    def want(self) -> None: ...
    def send(self) -> bool: ...
    def finish(self) -> None: ...
    def upgrade(self, hear: Callable[[bytes], object]) -> None: ...
    def write(self, data: bytes) -> bool: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def hang_up(self) -> None: ...


class Caller(Protocol):
    """Who makes the calls (asgi.AsgiAdapter), as far as they know it."""

    log: logging.Logger
    loop: AbstractEventLoop
    grace_s: float
    sendfile: bool
    cut: bool
    large_heads: LargeHeads

    def environ_for(self, live: LiveExchange) -> Environ: ...


class Waiters:
    """Tasks that wait until something may have changed. One event loop, one thread."""

    __slots__ = ("_futures", "_loop")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._futures: list[Future[None]] = []

    async def wait(self) -> None:
        """Return after the next `wake`. Whoever is cancelled meanwhile is forgotten."""
        future = self._loop.create_future()
        self._futures.append(future)
        try:
            await future
        finally:
            if future in self._futures:
                self._futures.remove(future)

    def wake(self) -> None:
        """Let everybody look again."""
        if self._futures:
            futures, self._futures = self._futures, []
            for future in futures:
                if not future.done():
                    future.set_result(None)
