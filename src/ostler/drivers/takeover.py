"""`environ["gunicorn.socket"]`: an application takes its client's socket, and speaks another protocol over it.

`ClientSocket` stands in every environ and costs next to nothing. Its first use takes the client out of the reactor:
unwatched, all that was queued is sent, blocking. From then on it is the socket itself:

    nothing of it was read yet      the client's own descriptor
    TLS, or bytes were read early   the end of a pair; a thread carries between it and the client (bridge.py)

Either way it is a real socket of the system, so select, selectors, dup, makefile and detach do what they do elsewhere.
What only looks (getpeername, getsockopt, a peek that does not wait) takes nothing. Once the application has sent or
received something it is `muted`: the response that it returns goes nowhere. With nothing but the descriptor in its
hands, its response is sent as usual. At the end of the call the connection is closed, whoever else has the object; a
socket that was detached is its new owner's. Both are as in Gunicorn.

Rules for editing: names that begin with two underscores take nothing: copy, pickle, repr and debuggers ask for them.
"""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol, cast

from ostler import real
from ostler.drivers.bridge import Bridge
from ostler.http.connection import FileSlice, Output, Peer

_SOCKET: Final = frozenset(name for name in dir(real.Socket) if not name.startswith("_"))
"""What an application may ask of a socket."""

_LOOKS: Final = frozenset(("family", "getpeername", "getsockname", "getsockopt", "proto", "setsockopt", "type"))
"""What concerns the client's own socket, and changes nothing of what is read and sent."""

_HANDLES: Final = frozenset(("fileno", "get_inheritable", "set_inheritable"))
"""What takes the socket, but moves no byte."""

_FILE_BYTES: Final = 64 * 1024


class Exchange(Protocol):
    """What marks an exchange: its identity."""


class Owner(Protocol):
    """The client, as `ClientSocket` sees it."""

    muted: bool

    @property
    def peer(self) -> Peer:
        """Who it is."""

    @property
    def sock(self) -> Any:
        """Its own socket."""

    def is_at(self, exchange: Exchange) -> bool:
        """Whether `exchange` is the one that runs now."""

    def peek(self, size: int) -> bytes:
        """Up to `size` bytes of what has come, which stay where they are; b"" at the end of input.

        Raises:
            BlockingIOError: nothing has come.
            OSError: the transport broke.
        """

    def take_over(self) -> "Takeover":
        """Take the client out of the reactor.

        Raises:
            OSError: the connection broke.
        """


class Takeover:
    """What stands for a client's transport while an application has it."""

    __slots__ = ("_write_s", "bridged", "carried", "outside", "socket")

    def __init__(self, outside: socket.socket, bridge: Bridge | None, write_s: float | None) -> None:
        """outside: the client's socket. write_s: the longest silence while a response is delivered."""
        end = outside if bridge is None else bridge.end
        # Late: a monkey-patched process has another class there by now, whose sockets let other greenlets run.
        self.socket: Any = socket.socket(fileno=end.detach())
        self.socket.settimeout(None)
        self.outside: Any = self.socket if bridge is None else outside
        self.bridged = bridge is not None
        """A thread of its own carries the bytes, and closes the client's socket in the end."""
        self.carried = False
        """That has happened."""
        self._write_s = write_s

    def deliver(self, pieces: list[Output], wait: bool = True) -> None:
        """Send a piece of a response over the socket, which only was looked at.

        Raises:
            OSError: it broke, or was closed, or the client takes nothing.
        """
        timeout_s = self.socket.gettimeout()
        self.socket.settimeout(self._write_s if wait else 0.0)
        try:
            while pieces:
                piece = pieces[0]
                if isinstance(piece, FileSlice):
                    self._deliver_file(piece)
                else:
                    self.socket.sendall(piece)
                del pieces[0]
        finally:
            discard(pieces)
            with suppress(OSError):
                self.socket.settimeout(timeout_s)

    def _deliver_file(self, piece: FileSlice) -> None:
        offset, left = piece.offset, piece.length
        while left:
            block = os.pread(piece.fd, min(left, _FILE_BYTES), offset)
            if not block:
                raise ConnectionAbortedError("the file that was being sent became shorter")
            self.socket.sendall(block)
            offset += len(block)
            left -= len(block)
        os.close(piece.fd)

    def is_left(self) -> bool:
        """Whether the client is known to have closed its connection, or at least its sending side."""
        try:
            return not self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def give_back(self) -> socket.socket | None:
        """The call is over. The application's socket, non-blocking, under another object: whoever still has the
        application's has a closed one. None when it is closed, or detached.
        """
        if self.bridged:
            self.cut()
        fd = self.socket.detach()  # at once, for another thread of the application may close it at any time
        if fd < 0:
            return None
        sock = real.Socket(fileno=fd)
        sock.setblocking(False)
        return sock

    def cut(self) -> None:
        """End the connection, also for a thread that waits for it."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


class ClientSocket:
    """See the module's text. Made for each request."""

    __slots__ = ("_exchange", "_owner", "_socket", "_timeout_s")

    def __init__(self, owner: Owner, exchange: Exchange) -> None:
        self._owner = owner
        self._exchange = exchange
        self._socket: Any = None
        """What the application has: of the class `socket.socket`, whatever that is by then."""
        self._timeout_s: float | None = None
        """What was asked for before it had it."""

    # -- what takes nothing ----------------------------------------------------------------------------------

    @property
    def __class__(self) -> type:
        """So that isinstance(..., socket.socket) is true, as it is in Gunicorn."""
        return socket.socket

    @__class__.setter
    def __class__(self, _value: type) -> None:
        raise TypeError("the class of a client's socket stays")

    def __repr__(self) -> str:
        return f"<ClientSocket {self._owner.peer.text}>"

    def __reduce_ex__(self, _protocol: Any) -> Any:
        raise TypeError("cannot pickle a client's socket")

    def gettimeout(self) -> float | None:
        """As of a socket, in seconds; None: blocking, as it is until somebody says otherwise."""
        return self._timeout_s if self._socket is None else self._socket.gettimeout()

    def settimeout(self, timeout_s: float | None) -> None:
        """As of a socket."""
        if self._socket is not None:
            self._socket.settimeout(timeout_s)
        elif timeout_s is not None and timeout_s < 0:
            raise ValueError("Timeout value out of range")
        else:
            self._timeout_s = timeout_s

    def setblocking(self, flag: bool) -> None:
        """As of a socket."""
        self.settimeout(None if flag else 0.0)

    def getblocking(self) -> bool:
        """As of a socket."""
        return self.gettimeout() != 0.0

    @property
    def timeout(self) -> float | None:
        """As of a socket."""
        return self.gettimeout()

    # -- what takes it ---------------------------------------------------------------------------------------

    def __enter__(self) -> "ClientSocket":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def recv(self, size: int, flags: int = 0) -> bytes:
        """As of a socket. Without waiting (MSG_DONTWAIT), MSG_PEEK is a look that takes nothing."""
        if not flags & socket.MSG_PEEK:
            return cast(bytes, self._speak().recv(size, flags))
        if flags & socket.MSG_DONTWAIT and self._socket is None and self._owner.is_at(self._exchange):
            return self._owner.peek(size)
        return cast(bytes, self._take().recv(size, flags))

    def __getattr__(self, name: str) -> Any:
        if name not in _SOCKET:
            return self._ask_tls(name)
        if name in _LOOKS:
            return getattr(self._owner.sock, name)
        return getattr(self._take() if name in _HANDLES else self._speak(), name)

    def _ask_tls(self, name: str) -> Callable[..., Any]:
        """What ssl.SSLSocket has beyond a socket, as far as the handshake is concerned."""
        secured = self._owner.peer.secured
        if secured is not None:
            match name:
                case "getpeercert":
                    return lambda binary_form=False: secured.der if binary_form else secured.certificate
                case "version":
                    return lambda: secured.version
                case "cipher":
                    return lambda: (secured.cipher, secured.version, secured.bits)
                case "selected_alpn_protocol":
                    return lambda: None
                case _:
                    pass
        raise AttributeError(f"a client's socket has no attribute {name!r}")

    def _speak(self) -> Any:
        sock = self._take()
        if self._owner.is_at(self._exchange):
            self._owner.muted = True
        return sock

    def _take(self) -> Any:
        """The socket; one that is closed when the request is over."""
        if self._socket is None:
            if self._owner.is_at(self._exchange):
                self._socket = self._owner.take_over().socket
                self._socket.settimeout(self._timeout_s)
            else:
                self._socket = socket.socket()
                self._socket.close()
        return self._socket


def discard(pieces: list[Output]) -> None:
    """Close the files of what will not be sent."""
    for piece in pieces:
        if isinstance(piece, FileSlice):
            with suppress(OSError):
                os.close(piece.fd)
    pieces.clear()
