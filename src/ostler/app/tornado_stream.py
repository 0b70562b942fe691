"""A tornado stream over one of our clients: what `detach()` gives, for WebSockets and an application's own protocols.

The stream is tornado's own IOStream. Its socket is a `PipeSocket`, which reads and writes through the reactor, and its
`io_loop` a `PipeLoop`, which says when that is readable and writable. So the client stays where it is: TLS, the write
deadline, the count of connections and the drain are those of every other client, and no descriptor is given away.

Rules for editing: of tornado nothing private is used. IOStream asks of its socket and its loop what is here; a method
that it asks beyond that goes to the real loop. Everything runs in the thread of the event loop.
"""

import errno
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any, Final

from ostler.app.asgi_live import LiveExchange
from ostler.app.wsgi_input import ClientGone
from ostler.http.connection import Peer

_WRITE_BYTES: Final = 64 * 1024
"""The most that is taken at a time: then it is asked again whether there is room."""
_HELD_BYTES: Final = 64 * 1024
"""With more than this unread, the client has to wait."""


class PeerSocket:
    """What handlers ask of a connection's socket, beside reading and writing: who is there, and TCP's options."""

    def __init__(self, real: Any, peer: Peer) -> None:
        """real: the client's socket."""
        self._real = real
        self._peer = peer
        self.family = real.family
        self.type = real.type
        self.proto = real.proto
        self.getpeername = real.getpeername
        self.getsockname = real.getsockname
        self.getsockopt = real.getsockopt
        self.setsockopt = real.setsockopt
        self.fileno = real.fileno

    def getpeercert(self, binary_form: bool = False) -> Any:
        """As of an SSLSocket; None without TLS, or without a certificate."""
        secured = self._peer.secured
        if secured is None:
            return None
        return secured.der if binary_form else secured.certificate


class PipeSocket(PeerSocket):
    """The socket of a detached stream: non-blocking, and no descriptor is read or written here."""

    def __init__(self, live: LiveExchange, real: Any, peer: Peer, over: Callable[[], object]) -> None:
        """`over` is called when the stream was closed."""
        super().__init__(real, peer)
        self.sent = 0
        self._live = live
        self._over = over
        self._held = b""
        self._ended = False
        self.notice: Callable[[], object] = lambda: None
        """Called when something came, or the end of it."""

    @property
    def readable(self) -> bool:
        """Whether there is something to read, if only the end."""
        return bool(self._held) or self._ended

    @property
    def writable(self) -> bool:
        """Whether there is room."""
        return self._live.has_room

    def hear(self, data: bytes) -> None:
        """The client sent this; b"" is its end."""
        self._held += data
        self._ended = self._ended or not data
        if len(self._held) > _HELD_BYTES:
            self._live.pause()
        self.notice()

    # -- what IOStream asks ----------------------------------------------------------------------------------

    def setblocking(self, flag: bool) -> None:
        """It never is."""

    def recv_into(self, buffer: Any, size: int) -> int:
        """As of a socket."""
        if not self._held:
            if self._ended:
                return 0
            raise BlockingIOError(errno.EAGAIN, "nothing has come")
        data = self._held[:size]
        self._held = self._held[size:]
        buffer[: len(data)] = data
        if len(self._held) <= _HELD_BYTES and not self._ended:
            self._live.resume()
        return len(data)

    def send(self, data: memoryview) -> int:
        """As of a socket."""
        if not self._live.has_room:
            raise BlockingIOError(errno.EAGAIN, "the client takes nothing")
        block = bytes(data[:_WRITE_BYTES])
        try:
            self._live.write(block)
        except ClientGone as error:
            raise ConnectionResetError(errno.ECONNRESET, str(error)) from error
        self.sent += len(block)
        return len(block)

    def shutdown(self, _how: int) -> None:
        """Of both directions only: the stream's close follows."""

    def close(self) -> None:
        """The client goes: what was sent reaches it first."""
        self.notice = lambda: None
        self._held = b""
        self._ended = True
        self._over()

    def connect(self, _address: Any) -> None:
        """Raises OSError: it is connected."""
        raise OSError(errno.EISCONN, "a client's stream is connected")


class PipeLoop:
    """The IOLoop, for the stream over one PipeSocket: what it watches for that stream is told by the pipe."""

    def __init__(self, io_loop: Any, loop: AbstractEventLoop, pipe: PipeSocket) -> None:
        self._io_loop = io_loop
        self._loop = loop
        self._pipe = pipe
        self._handler: Callable[[Any, int], None] | None = None
        self._events = 0
        self._called = False
        pipe.notice = self.call_soon

    def __getattr__(self, name: str) -> Any:
        return getattr(self._io_loop, name)

    def add_handler(self, _fd: Any, handler: Callable[[Any, int], None], events: int) -> None:
        """As of an IOLoop."""
        self._handler = handler
        self._events = events
        self.call_soon()

    def update_handler(self, _fd: Any, events: int) -> None:
        """As of an IOLoop."""
        self._events = events
        self.call_soon()

    def remove_handler(self, _fd: Any) -> None:
        """As of an IOLoop."""
        self._handler = None

    def call_soon(self) -> None:
        """Tell the stream what is ready, behind whatever runs now."""
        if not self._called and self._ready():
            self._called = True
            self._loop.call_soon(self._call)

    def _ready(self) -> int:
        if self._handler is None:
            return 0
        io_loop, pipe = self._io_loop, self._pipe
        ready = io_loop.READ if pipe.readable else 0
        if pipe.writable:
            ready |= io_loop.WRITE
        return int(ready & self._events)

    def _call(self) -> None:
        self._called = False
        ready = self._ready()
        if ready and self._handler is not None:
            self._handler(self._pipe, ready)
            self.call_soon()  # level-triggered
