"""Warm-up requests: what a new worker has to answer before it is ready (`reload_check`).

They take the whole way of a client's request (loop, hooks, application, access log), over a pair of sockets within
the process, while the doors are shut: in plain HTTP, whatever clients have to speak, and always in this worker. One
after the other; the first that fails ends it. One that is never answered is the master's to end (`boot_timeout`).

Rules for editing: called by whoever leads the loop, so nothing waits. An answer counts when its connection has
ended: by then the application's close() and the scoreboard are done with its request.
"""

import contextlib
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol
from urllib.parse import urlsplit

from ostler import real
from ostler.errors import reason_of

AGENT: Final = "ostler-check"

_READ_BYTES: Final = 64 * 1024
_FAILURE: Final = 400  # the first status that is one
_FINAL: Final = 200
_WITHOUT_BODY: Final = (204, 304)
_LAST_CHUNK: Final = b"0\r\n\r\n"


class House(Protocol):
    """Who is asked; `drivers.loop.Loop` fits."""

    def watch(self, fd: int, handler: Callable[[], object]) -> None: ...
    def unwatch(self, fd: int) -> None: ...
    def visit(self, sock: socket.socket) -> None: ...


class Warmup:
    """The warm-up requests of one worker."""

    def __init__(
        self,
        house: House,
        targets: Sequence[str],
        passed: Callable[[], object],
        failed: Callable[[str], object],
    ) -> None:
        """targets: as the setting `reload_check` has them. Either `passed` or `failed` is called, once."""
        self._house = house
        self._targets = deque(targets)
        self._passed = passed
        self._failed = failed
        self._sock: socket.socket | None = None
        self._answer = Answer()

    def begin(self) -> None:
        """Make the first request."""
        if not self._targets:
            self._passed()
            return
        try:
            ours, theirs = real.pair()
        except OSError as error:
            self._failed(f"check {self._targets[0]} could not be made: {reason_of(error)}")
            return
        for sock in (ours, theirs):
            sock.setblocking(False)
        ours.send(request_for(self._targets[0]))
        self._sock, self._answer = ours, Answer()
        self._house.watch(ours.fileno(), self._hear)
        self._house.visit(theirs)

    def _hear(self) -> None:
        sock = self._sock
        if sock is None:
            return
        try:
            data = sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        answer = self._answer
        answer.receive(data)
        # A refusal need not be read to its end, which may never come.
        if data and not answer.failed:
            return
        self._house.unwatch(sock.fileno())
        self._sock = None
        with contextlib.suppress(OSError):
            sock.close()
        target = self._targets.popleft()
        if answer.failed or not answer.complete:
            self._failed(f"check {target} {answer}")
        else:
            self.begin()


class Answer:
    """One response, as far as a check looks at it: its status, and whether all of it came."""

    def __init__(self) -> None:
        self.status = 0
        """0: no final response's head is there."""
        self._head = bytearray()
        self._chunked = False
        self._left: int | None = None  # bytes that its Content-Length still promises
        self._tail = b""

    @property
    def failed(self) -> bool:
        return self.status >= _FAILURE

    @property
    def complete(self) -> bool:
        """Asked when the connection has ended."""
        if not self.status:
            return False
        return self._tail == _LAST_CHUNK if self._chunked else not self._left

    def __str__(self) -> str:
        if self.failed:
            return f"answered {self.status}"
        return f"broke off, after a head with status {self.status}" if self.status else "was not answered"

    def receive(self, data: bytes) -> None:
        """Take what came next."""
        if self.status:
            self._take_body(data)
            return
        self._head += data
        while not self.status and (end := self._head.find(b"\r\n\r\n")) >= 0:
            head, rest = bytes(self._head[:end]), bytes(self._head[end + 4 :])
            self._head[:] = rest
            status = int(head[9:12])  # of our own encoder
            if status >= _FINAL:
                self.status = status
                self._read_fields(head)
                self._take_body(rest)

    def _read_fields(self, head: bytes) -> None:
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            match name.lower():
                case b"content-length" if self.status not in _WITHOUT_BODY:
                    self._left = int(value)
                case b"transfer-encoding":
                    self._chunked = True
                case _:
                    pass

    def _take_body(self, data: bytes) -> None:
        if self._left is not None:
            self._left -= len(data)
        self._tail = (self._tail + data)[-len(_LAST_CHUNK) :]


def request_for(target: str) -> bytes:
    """The request of one target, "/PATH" or "http://HOST/PATH"."""
    host, path = "localhost", target
    if not target.startswith("/"):
        netloc = urlsplit(target).netloc
        host, path = netloc.rpartition("@")[2], target[len(f"http://{netloc}") :]
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {AGENT}\r\nConnection: close\r\n\r\n".encode()
