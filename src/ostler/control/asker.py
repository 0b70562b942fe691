"""One connection to the operator's socket, as the master sees it: what it asks for, and what it is told.

The first byte says which of two protocols it speaks: lines (protocol.py: one request, its progress, its result), or
Gunicorn's frames (wire.py: requests one after the other, an answer for each). Whoever carries a command out need not
know: `tell` is progress, `answer` and `end` are the last word.

Rules for editing: nothing waits; what a client can cost is bounded: one request at a time, LIMIT_UNSENT_BYTES of
progress and one answer that it does not read.
"""

import contextlib
import errno
import select
import socket as _socket
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from ostler.control import protocol, wire
from ostler.control.protocol import Line, Lines, Moved, Progress, ProtocolError, Request, Result, decode, encode
from ostler.control.wire import Asked, Frames
from ostler.process.peer import Peer

LIMIT_UNSENT_BYTES: Final = 262144
_LIMIT_UNREAD_ANSWER_BYTES: Final = 3 * protocol.LIMIT_ANSWER_BYTES  # JSON within JSON
ASK_S: Final = 5.0
IDLE_S: Final = 300.0
"""How long a connection of Gunicorn's protocol may wait for its next request."""
LATER: Final = (errno.EAGAIN, errno.EINTR, errno.ENOBUFS, errno.ENOMEM)
_BLOCK: Final = 4096
_UNKNOWN: Final = "this master does not know the command; it may be of another version"


class Poller(Protocol):
    """As select.poll."""

    def register(self, fd: int, eventmask: int, /) -> None: ...
    def modify(self, fd: int, eventmask: int, /) -> None: ...
    def unregister(self, fd: int, /) -> None: ...


class Asker:
    """One command that is connected. `gone` when it will hear nothing more."""

    def __init__(self, sock: _socket.socket, peer: Peer, poller: Poller, now: Callable[[], float]) -> None:
        self.peer = peer
        self.allowed = True
        """Whether it may ask."""
        self.gone = False
        self.asked = False
        """It waits for what it has asked for."""
        self.ending = False
        """It was told the last word; the connection is there until it has read that."""
        self.overdue = now() + ASK_S
        """When it is dropped, unless it asks before, or closes."""
        self.refusal = ""
        """What it is told instead of whatever it asks for."""
        self._now = now
        self._socket = sock
        self._poller = poller
        self._lines = Lines()
        self._frames: Frames | None = None
        self._identity: object = 0
        self._spoke = False
        self._request: Request | None = None
        self._unsent = bytearray()
        poller.register(sock.fileno(), select.POLLIN)

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def idles(self) -> bool:
        """A connection of Gunicorn's protocol between two requests: its client makes a new one when it is closed."""
        frames = self._frames
        return frames is not None and not self.asked and not frames.begun

    # What commands say to it

    def tell(self, text: str) -> None:
        if self._frames is None:
            self._send_line(Progress(text))

    def moved(self, pid: int) -> None:
        if self._frames is None:
            self._send_line(Moved(pid))

    def answer(self, data: Mapping[str, Any]) -> None:
        """The last word: what it wanted to know, of at most LIMIT_ANSWER_BYTES."""
        if self._frames is not None:
            self._send_frame(wire.answer(self._identity, data))
        elif not self.gone and not self.ending:
            self._unsent += b"".join(map(encode, protocol.parts_of(data)))
            self._end_line(Result(True, ""))

    def end(self, succeeded: bool, text: str) -> None:
        """The last word."""
        if self._frames is None:
            self._end_line(Result(succeeded, text))
        elif succeeded:
            self._send_frame(wire.answer(self._identity, {"status": text}))
        else:
            self._send_frame(wire.refusal(self._identity, text))

    # What the server does with it

    def receive(self) -> None:
        """Take what has arrived. An end of its side is the end of it."""
        try:
            data = self._socket.recv(_BLOCK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.drop()
        if not data or self.ending:
            return
        if not self._spoke:
            self._spoke = True
            if data[0] == 0:  # of a length: a line begins otherwise
                self._frames = Frames(wire.LIMIT_REQUEST_BYTES)
            elif self.refusal:
                self.end(False, self.refusal)
                return
        try:
            if self._frames is not None:
                self._feed(self._frames, data)
            else:
                self._hear_lines(data)
        except ProtocolError as error:
            self.end(False, str(error))

    def next(self) -> Request | Asked | None:
        """What it asks for, when that has arrived and nothing is under way."""
        if self.gone or self.ending or self.asked:
            return None
        request: Request | Asked | None = self._request
        self._request = None
        if self._frames is not None:
            try:
                payload = self._frames.take()
                request = None if payload is None else wire.asked(payload)
            except ProtocolError as error:
                self._send_frame(wire.refusal(0, str(error)))
                self.drop_when_read()
                return None
        if request is None:
            return None
        self.asked = True
        self.overdue = float("inf")
        if isinstance(request, Asked):
            self._identity = request.identity
            problem = self.refusal or request.problem
            if problem:
                self.end(False, problem)
            if self.refusal:
                self.drop_when_read()
            if problem:
                return None
        return request

    def flush(self) -> None:
        while self._unsent and not self.gone:
            try:
                sent = self._socket.send(self._unsent)
            except OSError as error:
                if error.errno not in LATER:
                    self.drop()
                break
            del self._unsent[:sent]
        if self.gone:
            return
        self._poller.modify(self.fileno(), select.POLLIN | (select.POLLOUT if self._unsent else 0))
        if self.ending and not self._unsent:
            # Closed with unread bytes the connection would be reset, and the last word lost.
            with contextlib.suppress(OSError):
                self._socket.shutdown(_socket.SHUT_WR)

    def drop_when_read(self) -> None:
        """It hears nothing more after what it has been told."""
        if not self.gone:
            self.ending = True
            self.overdue = self._now() + ASK_S
            self.flush()

    def drop(self) -> None:
        if not self.gone:
            self.gone = True
            self._poller.unregister(self.fileno())
            self._socket.close()

    def close_in_child(self) -> None:
        self._socket.close()

    # -- lines

    def _hear_lines(self, data: bytes) -> None:
        lines = [decode(line) for line in self._lines.feed(data)]
        if not lines or self.asked or self._request is not None:
            return
        match lines[0]:
            case Request():
                self._request = lines[0]
            case _:
                self.end(False, _UNKNOWN)

    def _send_line(self, line: Line) -> None:
        if self.gone or self.ending:
            return
        self._unsent += encode(line)
        if len(self._unsent) > LIMIT_UNSENT_BYTES:
            self.drop()
        else:
            self.flush()

    def _end_line(self, result: Result) -> None:
        if self.gone or self.ending:
            return
        self._unsent += encode(result)
        if len(self._unsent) > LIMIT_UNSENT_BYTES + _LIMIT_UNREAD_ANSWER_BYTES:
            self.drop()
        else:
            self.drop_when_read()

    # -- frames

    def _feed(self, frames: Frames, data: bytes) -> None:
        frames.feed(data)
        if not self.asked:
            self.overdue = min(self.overdue, self._now() + ASK_S)  # half a request must not stay for long
        elif frames.crowded:
            self.drop()

    def _send_frame(self, frame: bytes) -> None:
        if self.gone or self.ending:
            return
        self.asked = False
        self.overdue = self._now() + IDLE_S
        self._unsent += frame
        if len(self._unsent) > LIMIT_UNSENT_BYTES + _LIMIT_UNREAD_ANSWER_BYTES:
            self.drop()
        else:
            self.flush()
