"""What a connection goes through before it speaks its protocol: a PROXY header, the handshake of TLS.

A *newcomer* is a connection on that way. It costs no thread and no `Client`; it has one deadline for all of it. When it
is through, `admit` makes a client of it; when it is not let in, `decline` does, to answer in plain text, or the socket
is closed.

Editing rules: as in clients.py, an event is a hint, and only the thread that leads the reactor is here. Anchors:
HAProxy's PROXY protocol (versions 1 and 2), which stands before TLS; nginx's answer to plain HTTP on a port of TLS.
"""

import contextlib
import logging
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from typing import Final

from ostler.config.address import AllowList
from ostler.config.settings import Settings
from ostler.drivers.poller import READ, WRITE, Poller
from ostler.drivers.stream import PlainStream, Stream
from ostler.drivers.tls import HandshakeFailed, TlsStream
from ostler.http.connection import Peer
from ostler.http.errors import HttpError
from ostler.http.proxy_protocol import ProxyMode, looks_like_proxy_header, read_proxy_header
from ostler.logline import fields

_monotonic = time.monotonic

_READ_BYTES: Final = 16 * 1024

NOBODY: Final = AllowList()

Admit = Callable[[socket.socket, Stream, Peer, bytes], object]
"""The connection, what carries its bytes, who it is, and bytes of its protocol that were read already."""

Decline = Callable[[socket.socket, Peer, HttpError], object]
"""Answer a connection in plain text, and close it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What newcomers are asked for."""

    proxy: ProxyMode = ProxyMode.OFF
    proxies: AllowList = NOBODY
    """Who sends a PROXY header, always; nobody else may."""
    uwsgi_peers: AllowList | None = None
    """Who may speak uwsgi; None: another protocol is spoken."""
    context: ssl.SSLContext | None = None
    suppress_ragged_eofs: bool = True

    @classmethod
    def of(cls, settings: Settings, context: ssl.SSLContext | None) -> "Rules":
        """The rules of these settings."""
        return cls(
            ProxyMode(settings.proxy_protocol),
            settings.proxy_allow_ips,
            settings.uwsgi_allow_ips if settings.protocol == "uwsgi" else None,
            context,
            settings.suppress_ragged_eofs,
        )

    @property
    def ask_nothing(self) -> bool:
        """Whoever connects is a client at once."""
        return self.proxy is ProxyMode.OFF and self.uwsgi_peers is None and self.context is None


NO_RULES: Final = Rules()


class Newcomer:
    """One connection on its way in."""

    __slots__ = ("arrived", "data", "events", "expects_header", "peer", "sock", "stream")

    def __init__(self, sock: socket.socket, peer: Peer, expects_header: bool, now: float) -> None:
        self.sock = sock
        self.peer = peer
        self.arrived = now
        self.expects_header = expects_header
        self.data = b""
        """What came and is not understood yet."""
        self.stream: TlsStream | None = None
        self.events = READ


class Admission:
    """The newcomers of one worker."""

    def __init__(  # noqa: PLR0913, PLR0917  one place makes it
        self, rules: Rules, patience_s: float, poller: Poller, log: logging.Logger, admit: Admit, decline: Decline
    ) -> None:
        """`patience_s`: how long a newcomer may take; infinite for no limit."""
        self._rules = rules
        self._patience_s = patience_s
        self._poller = poller
        self._log = log
        self._admit = admit
        self._decline = decline
        self._newcomers: dict[int, Newcomer] = {}
        self._end = inf
        """From when on nobody is waited for longer than `_hurry_s`."""
        self._hurry_s = patience_s

    def __len__(self) -> int:
        return len(self._newcomers)

    def begin(self, sock: socket.socket, peer: Peer) -> None:
        """A connection was accepted."""
        rules = self._rules
        host = None if isinstance(peer.address, str) else peer.address[0]
        # Peers on Unix sockets come from this machine, with the rights to the file: they are always allowed.
        if rules.uwsgi_peers is not None and host is not None and not rules.uwsgi_peers.allows(host):
            self._decline(sock, peer, HttpError(403, "this peer may not speak uwsgi (uwsgi_allow_ips)"))
            return
        if rules.proxy is ProxyMode.OFF and rules.context is None:
            self._admit(sock, PlainStream(sock), peer, b"")
            return
        expected = rules.proxy is not ProxyMode.OFF and (host is None or rules.proxies.allows(host))
        newcomer = Newcomer(sock, peer, expected, _monotonic())
        self._newcomers[sock.fileno()] = newcomer
        self._poller.watch(sock.fileno(), READ)
        self._readable(newcomer)

    def on_event(self, fd: int, event: int) -> None:
        """The poller reported `event` of a descriptor that may be a newcomer's."""
        newcomer = self._newcomers.get(fd)
        if newcomer is None:
            return
        stream = newcomer.stream
        if event & WRITE and stream is not None:
            try:
                stream.flush()
            except OSError as error:
                self._drop(newcomer, str(error))
                return
            self._watch(newcomer)
        if event & ~WRITE:
            self._readable(newcomer)

    def tick(self) -> None:
        """Once in a while: deadlines."""
        now = _monotonic()
        latest = now - (self._patience_s if now < self._end else self._hurry_s)
        for newcomer in [each for each in self._newcomers.values() if each.arrived <= latest]:
            self._drop(newcomer, f"{self._awaited(newcomer)} did not arrive in time")

    def _awaited(self, newcomer: Newcomer) -> str:
        if newcomer.expects_header:
            return "its PROXY header"
        return "its first bytes" if self._rules.context is None else "the handshake of TLS"

    def hurry(self, patience_s: float) -> None:
        """The server stops: whoever is on the way in has at most so long from now on, or from when he comes."""
        self._hurry_s = min(self._patience_s, patience_s)
        self._end = min(self._end, _monotonic() + patience_s)

    def oldest(self) -> Newcomer | None:
        """Who has been on the way in for longest."""
        return next(iter(self._newcomers.values()), None)

    def turn_away(self, newcomer: Newcomer) -> None:
        """Others need the place."""
        self._drop(newcomer, "its place was needed")

    def fail(self, fd: int) -> None:
        """A defect of ours: end this one."""
        newcomer = self._newcomers.get(fd)
        if newcomer is not None:
            self._drop(newcomer, "a defect of ours")

    def close(self) -> None:
        """Turn everybody away."""
        for newcomer in list(self._newcomers.values()):
            self._drop(newcomer, "the worker leaves")

    # -- one newcomer's way ----------------------------------------------------------------------------------

    def _readable(self, newcomer: Newcomer) -> None:
        try:
            data = newcomer.sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._drop(newcomer, str(error))
            return
        if not data:
            self._drop(newcomer, "it left before it was let in")
            return
        newcomer.data += data
        if newcomer.expects_header:
            if not self._take_header(newcomer):
                return
        elif newcomer.stream is None and self._is_strangers_header(newcomer):
            self._refuse(newcomer, HttpError(403, "a PROXY header of a peer that may send none (proxy_allow_ips)"))
            return
        if self._rules.context is None:
            self._let_in(newcomer, PlainStream(newcomer.sock), newcomer.data)
        elif newcomer.data:
            self._shake_hands(newcomer, self._rules.context)

    def _take_header(self, newcomer: Newcomer) -> bool:
        try:
            found = read_proxy_header(newcomer.data, self._rules.proxy)
        except HttpError as error:
            self._refuse(newcomer, error)
            return False
        if found is None:
            return False
        proxied, length = found
        newcomer.expects_header = False
        newcomer.peer = replace(newcomer.peer, proxied=proxied)
        newcomer.data = newcomer.data[length:]
        return True

    def _shake_hands(self, newcomer: Newcomer, context: ssl.SSLContext) -> None:
        data, newcomer.data = newcomer.data, b""
        stream = newcomer.stream
        if stream is None:
            stream = newcomer.stream = TlsStream(newcomer.sock, context, self._rules.suppress_ragged_eofs)
        try:
            complete = stream.handshake(data)
        except HandshakeFailed as failure:
            if failure.plain_http:
                self._forget(newcomer)
                self._decline(newcomer.sock, newcomer.peer, HttpError(400, failure.reason))
            else:
                self._drop(newcomer, failure.reason, level=logging.INFO)
            return
        except OSError as error:
            self._drop(newcomer, str(error))
            return
        if complete:
            newcomer.peer = replace(newcomer.peer, secured=stream.secured())
            self._let_in(newcomer, stream, b"")
        else:
            self._watch(newcomer)

    def _is_strangers_header(self, newcomer: Newcomer) -> bool:
        unasked = self._rules.proxy is not ProxyMode.OFF and newcomer.peer.proxied is None
        return unasked and looks_like_proxy_header(newcomer.data)

    def _let_in(self, newcomer: Newcomer, stream: Stream, data: bytes) -> None:
        self._forget(newcomer)
        self._admit(newcomer.sock, stream, newcomer.peer, data)

    def _watch(self, newcomer: Newcomer) -> None:
        waits = newcomer.stream is not None and newcomer.stream.wants_write
        events = READ | WRITE if waits else READ
        if events != newcomer.events:
            newcomer.events = events
            self._poller.change(newcomer.sock.fileno(), events)

    # -- not let in ------------------------------------------------------------------------------------------

    def _refuse(self, newcomer: Newcomer, error: HttpError) -> None:
        """Say so where the other side reads plain text."""
        if self._rules.context is None:
            self._forget(newcomer)
            self._decline(newcomer.sock, newcomer.peer, error)
        else:
            self._drop(newcomer, error.detail, level=logging.WARNING)

    def _drop(self, newcomer: Newcomer, reason: str, level: int = logging.DEBUG) -> None:
        self._log.log(level, fields("connection not let in", peer=newcomer.peer.text, reason=reason))
        self._forget(newcomer)
        with contextlib.suppress(OSError):
            newcomer.sock.close()

    def _forget(self, newcomer: Newcomer) -> None:
        fd = newcomer.sock.fileno()
        self._newcomers.pop(fd, None)
        self._poller.forget(fd)
