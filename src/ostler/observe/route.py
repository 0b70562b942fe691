"""Which address a remote sink tries next, and when: the candidates of a destination, rounds over them, pauses between.

A round tries each candidate once. The next one may begin a pause after the former began; the pause is one second, and
for names and TCP it doubles up to a minute while nothing answers. The candidates of a name are looked up again for each
round, and every five minutes for datagrams, which nobody refuses when a service has moved.

Rules for editing: time is an argument; nothing blocks. A name server that is down must not cost us a known address.
"""

import errno
import os
import socket
from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

from ostler import real
from ostler.observe.resolve import Answer, Resolver, SocketAddress, known_endpoints

_socket = real.Socket

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
FRESH_S: Final = 300.0
_USER_TIMEOUT_MS: Final = 30_000  # bytes that nobody acknowledges for so long: the other end is gone

Kind = Literal["udp", "tcp", "unix", "unix-dgram"]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to: host (a name or a number, IPv6 without brackets) and port, or for the unix kinds a path.

    "unix" is a datagram socket or, when the path is not one, a stream, as logging.handlers.SysLogHandler tries them.
    """

    kind: Kind
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"{self.kind}:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """What socket(2) and connect(2) take."""

    family: int
    socktype: int
    address: SocketAddress | str


class Route:
    """The candidates of one destination. asking: a look-up runs. One thread at a time."""

    def __init__(self, destination: Destination, resolver: Resolver) -> None:
        self._destination = destination
        self._resolver = resolver
        self._fixed = _fixed(destination)
        self._known = self._fixed
        self._left: deque[Candidate] = deque()
        self.asking = False
        self._retry_at = float("-inf")
        self._pause_s = FIRST_PAUSE_S
        self._patient = not self._fixed or destination.kind == "tcp"
        self.fresh_until = float("inf") if self._fixed else float("-inf")
        self.error = ""

    def next(self, now: float) -> Candidate | None:
        """The next to try; None: not now."""
        if not self._left and (self.asking or now >= self._retry_at):
            self._begin_round(now)
        return self._left.popleft() if self._left else None

    def resolve_with(self, resolver: Resolver) -> None:
        self._resolver.close()
        self._resolver = resolver
        self.asking = False

    def refresh(self) -> None:
        """The next round is due, whatever this one has left."""
        self._left.clear()
        self._retry_at = float("-inf")

    def established(self) -> None:
        """A candidate answers."""
        self._left.clear()
        self._pause_s = FIRST_PAUSE_S

    def _begin_round(self, now: float) -> None:
        if not self._fixed:
            if not self.asking:
                self.asking = True
                self._resolver.start(self._destination.host, self._destination.port)
            answer = self._resolver.result()
            if answer is None:
                return
            self._learn(answer, now)
        self._left.extend(self._known)
        self._retry_at = now + self._pause_s
        if self._patient:
            self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2)

    def _learn(self, answer: Answer, now: float) -> None:
        self.asking = False
        self.fresh_until = now + FRESH_S
        if answer.endpoints:
            socktype = socket.SOCK_STREAM if self._destination.kind == "tcp" else socket.SOCK_DGRAM
            self._known = tuple(Candidate(each.family, socktype, each.address) for each in answer.endpoints)
        else:
            self.error = f"cannot look up {self._destination.host}: {answer.error}"

    def close(self) -> None:
        self._resolver.close()


def _fixed(destination: Destination) -> tuple[Candidate, ...]:
    """Candidates that no look-up can change."""
    datagram = Candidate(socket.AF_UNIX, socket.SOCK_DGRAM, destination.path)
    match destination.kind:
        case "unix":
            return datagram, Candidate(socket.AF_UNIX, socket.SOCK_STREAM, destination.path)
        case "unix-dgram":
            return (datagram,)
        case kind:
            socktype = socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM
            known = known_endpoints(destination.host, destination.port)
            return tuple(Candidate(each.family, socktype, each.address) for each in known)


def open_socket(candidate: Candidate) -> tuple[socket.socket, bool]:
    """A non-blocking socket that is connected, or (True) will be. Raises OSError."""
    opened = _socket(candidate.family, candidate.socktype)
    try:
        opened.setblocking(False)
        over_tcp = candidate.socktype == socket.SOCK_STREAM and candidate.family != socket.AF_UNIX
        if over_tcp:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
        code = opened.connect_ex(candidate.address)
        if code in {0, errno.EISCONN}:
            return opened, False
        if over_tcp and code == errno.EINPROGRESS:
            return opened, True
        raise OSError(code, os.strerror(code))
    except BaseException:
        opened.close()
        raise
