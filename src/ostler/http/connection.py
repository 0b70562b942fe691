"""The contract between drivers, adapters and protocols: what a connection and an exchange are.

A connection turns one client's bytes into exchanges, one request with its response each, and exchanges into bytes. It
does no I/O, has no clock and no threads: it belongs to one thread at a time, and that thread is the driver.

Editing rules: protocols (h1.py) implement this file, drivers and adapters use it; a change here changes all of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, Protocol

from ostler.http.errors import HttpError
from ostler.http.head import RequestHead


class Wait(Enum):
    """What a connection waits for: it decides which deadline runs."""

    HEAD = auto()
    """The first head, or the rest of a head of which some bytes are there."""
    BODY = auto()
    """More of a request's body: a read came back with NEED_DATA, or an unread rest is being discarded."""
    APPLICATION = auto()
    """The response: nothing is asked of the client."""
    NEXT_REQUEST = auto()
    """The first byte of another request (keep-alive)."""
    PEER = auto()
    """Only for the client to take what is queued: no exchange will follow."""


class NeedData(Enum):
    """The type of `NEED_DATA`: a read found nothing yet."""

    NEED_DATA = auto()


class End(Enum):
    """The type of `END`: the body is complete."""

    END = auto()


LARGE_HEAD_BYTES: Final = 4096
"""A response head above it may be refused: it is what Nginx reads unless it is told (proxy_buffer_size)."""

NEED_DATA: Final = NeedData.NEED_DATA
END: Final = End.END


@dataclass(frozen=True, slots=True)
class FileSlice:
    """A piece of an open file to send. Plain data: the driver sends it and closes the descriptor."""

    fd: int
    offset: int
    length: int


Address = tuple[str, int] | str
"""(host, port), or a path of a Unix socket, "" where it has none."""


@dataclass(frozen=True, slots=True)
class Proxied:
    """What a PROXY header said of the connection that its sender passes on."""

    protocol: str
    """TCP4, TCP6, UNIX; LOCAL for a connection of the sender's own, UNKNOWN for one that it does not describe."""
    source: Address | None
    destination: Address | None


@dataclass(frozen=True, slots=True)
class Secured:
    """What a TLS handshake agreed on."""

    version: str
    cipher: str
    bits: int
    server_name: str | None
    """What the client asked for (SNI)."""
    resumed: bool
    certificate: Mapping[str, Any] | None
    """The client's, as `ssl.SSLSocket.getpeercert()` gives it; None without one."""
    der: bytes | None


@dataclass(frozen=True, slots=True)
class Peer:
    """Both ends of a transport, and what is known of it beyond them."""

    address: Address
    local: Address
    proxied: Proxied | None = None
    secured: Secured | None = None

    @property
    def text(self) -> str:
        """Who it is, for the log: host and port; "unix" for a Unix socket without a name."""
        address = self.address
        if self.proxied is not None and self.proxied.source is not None:
            address = self.proxied.source
        return address or "unix" if isinstance(address, str) else f"{address[0]}:{address[1]}"


Fields = Sequence[tuple[str, str]]
Output = bytes | FileSlice


class Exchange(Protocol):
    """One request and its response: all that an adapter sees."""

    head: RequestHead
    peer: Peer
    started: bool
    """A final response was started (and not taken back by `restart`)."""
    finished: bool
    """The response is complete, refused or aborted: nothing more can be said."""
    body_sent: int
    """Bytes of the response's body queued so far, without framing."""

    @property
    def chunked(self) -> bool:
        """The response's body goes out in chunks."""

    def read(self, size: int = 65536) -> bytes | NeedData | End:
        """Up to `size` decoded bytes of the request's body; never an empty one.

        Raises:
            HttpError: the body is malformed, broke off, or was not read before the response's end (at every later
                call again).
        """

    def inform(self, status: int, fields: Fields) -> None:
        """Queue an informational response (103); nothing for HTTP/1.0 or once the response has started."""

    def start(self, status: int, reason: str, fields: Fields, body_length: int | None = None) -> bool:
        """Queue the response's head and decide its framing. True: the head is larger than LARGE_HEAD_BYTES.

        Raises:
            ResponseError: the response cannot be expressed; nothing was queued.
        """

    def restart(self) -> bool:
        """Take a started response back, if nothing of it was taken by `data_to_send`."""

    def write(self, data: bytes) -> None:
        """Queue a block of the body.

        Raises:
            ResponseError: more than the Content-Length; what fits was queued.
        """

    def write_file(self, piece: FileSlice) -> bool:
        """Queue a piece of a file, which is the connection's from then on; False: not possible here, write() it."""

    def end(self, trailers: Fields = ()) -> None:
        """The body is complete. `trailers` go out where the framing has a place for them and the client takes them.

        Raises:
            ResponseError: less than the Content-Length, or trailers that cannot be sent. `restart` or `abort` is what
                can follow.
        """

    def refuse(self, error: HttpError) -> None:
        """Answer with an error instead, as `Connection.refuse` does."""

    def abort(self) -> None:
        """Give up: the connection closes and the response never looks complete."""


class Connection(Protocol):
    """One client's bytes, in and out."""

    def receive(self, data: bytes) -> None:
        """Take what was read from the transport; b"" is the end of input."""

    def next_exchange(self) -> Exchange | None:
        """The next request; None when its head is incomplete or the former exchange is unfinished.

        Raises:
            HttpError: once; nothing that arrived after it is ever parsed. The driver calls `refuse`.
        """

    def data_to_send(self) -> list[Output]:
        """Everything queued for the client, in order; the caller owns it from now on."""

    def refuse(self, error: HttpError) -> None:
        """Answer with an error if nothing of a response was taken yet, and close."""

    def drain(self) -> None:
        """Close after the last request that has begun to arrive, or after the next one when none has; its response says
        so. A response whose head was started before does not: one more request may follow it.
        """

    @property
    def waiting_for(self) -> Wait:
        """Which deadline runs."""

    @property
    def wants_data(self) -> bool:
        """Whether reading from the transport makes sense: false is backpressure."""

    @property
    def closed(self) -> bool:
        """No exchange will follow: close the transport once everything queued is sent."""
