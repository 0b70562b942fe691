"""One process's line to a destination: its socket, what waits for it, what was lost.

What the socket does not take waits in a queue of bounded size. What does not fit there, or is lost on the way as far as
the system tells, is counted. Bytes that the kernel has of a connection that breaks are nobody's to count.

Rules for editing: only the holder of `busy` calls anything but `take`, and nobody waits for `busy`; nothing here blocks
or raises.
"""

import errno
import os
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ostler import real
from ostler.errors import reason_of
from ostler.logline import fields
from ostler.observe.resolve import Resolver
from ostler.observe.route import Candidate, Route, open_socket

_make_lock = real.make_lock

REPORT_EVERY_S: Final = 60.0
_INBOX_MESSAGES: Final = 10_000  # only while the holder of the line does not get to run
_LOOKUP_BYTES: Final = 64 * 1024  # wait for a look-up even where nothing is to be late
_CONNECT_S: Final = 10.0
_SOUND_S: Final = 1.0  # without an error for so long, a datagram socket counts as working again: refusals come late
_NO_SIGPIPE: Final[int] = getattr(socket, "MSG_NOSIGNAL", 0)  # an application may have restored that signal's default


@dataclass(frozen=True, slots=True)
class Loss:
    """Messages of this process that were lost since the last report. working: and the way is open again."""

    destination: str
    messages: int
    error: str
    working: bool

    def told(self, what: str) -> str:
        """A line for the error log; `what` was lost: "syslog messages"."""
        sentence = f"{what} lost, the way is open again" if self.working else f"{what} lost"
        return fields(sentence, to=self.destination, messages=self.messages, error=self.error or None)


class Line:
    """See above. `busy` is held around `carry`; `inbox`, `nudged` and `closing` are for everybody."""

    def __init__(self, route: Route, name: str, queue_bytes: int, clock: Callable[[], float]) -> None:
        self.busy = _make_lock()
        self.inbox: deque[bytes] = deque()
        self.nudged = False
        self.closing = False
        self._route = route
        self._name = name
        self._queue_bytes = queue_bytes
        self._clock = clock
        self._now = clock()
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._begun = 0  # bytes of the first in the queue that the kernel has
        self._socket: socket.socket | None = None
        self._candidate: Candidate | None = None
        self._stream = False
        self._connecting_until: float | None = None
        self._restless = False  # a datagram socket that may be replaced, and is used meanwhile
        self._dropped = 0
        self._overflowed = 0
        self._error = ""
        self._trouble_at: float | None = None
        self._told = 0
        self._told_at = float("-inf")
        self._told_trouble = False

    def take(self, messages: tuple[bytes, ...]) -> None:
        if len(self.inbox) < _INBOX_MESSAGES:
            self.inbox.extend(messages)
        else:  # two threads at once may count as one here; anything exact could make a signal handler wait for itself
            self._overflowed += len(messages)

    @property
    def lost(self) -> int:
        return self._dropped + self._overflowed

    @property
    def waits(self) -> bool:
        """Whether `flush` has anything to do."""
        idle = self._connecting_until is None and not self._restless and self.lost == self._told
        return bool(self._queue) or not idle

    def resolve_with(self, resolver: Resolver) -> None:
        self._route.resolve_with(resolver)

    def fileno(self) -> int | None:
        """The descriptor of what is open."""
        return None if self._socket is None else self._socket.fileno()

    @property
    def streams(self) -> bool:
        """Whether what is open is a stream."""
        return self._stream

    def share_with(self, parent: "Line") -> None:
        if parent._socket is not None and not parent._stream:
            self._socket, self._candidate = parent._socket, parent._candidate

    def leave_to_parent(self) -> None:
        """In the child: give the parent's connection back, without a word to the other end."""
        if self._socket is not None and self._stream:
            self._socket.close()  # only our descriptor of it: the connection lives on in the parent
        self._socket = None
        self._route.close()

    def carry(self) -> Loss | None:
        """Move what waits as far as it goes."""
        self.nudged = False
        self._now = self._clock()
        self._advance()
        waiting = self._queue and not self._empty_queue()
        while self.inbox:
            message = self.inbox.popleft()
            if waiting or not self._put(message):
                waiting = True
                self._keep(message)
        while self._queued > self._room() and not self._begun:
            self._lose_first()
        if self.closing:
            self._close()
        return self._news()

    # --- the socket

    def _advance(self) -> None:
        """Open, finish connecting, look whether the other end is still there, or whether it has moved."""
        if self._socket is None or self._restless:
            self._open()
        elif self._connecting_until is not None:
            self._finish_connecting(self._socket, self._connecting_until)
        elif self._stream:
            self._look_for_end(self._socket)
        elif self._now >= self._route.fresh_until:
            self._route.refresh()
            self._restless = True
            self._open()

    def _open(self) -> None:
        """The next candidate that can be opened; a datagram socket that we have stays until there is one."""
        while candidate := self._route.next(self._now):
            try:
                opened, connecting = open_socket(candidate)
            except OSError as error:
                self._error = reason_of(error)
                continue
            self._hang_up()
            self._socket, self._candidate = opened, candidate
            self._stream = candidate.socktype == socket.SOCK_STREAM
            if connecting:
                self._connecting_until = self._now + _CONNECT_S
            elif self._stream or candidate.family == socket.AF_UNIX:
                self._established()
            return
        if self._socket is None and self._route.error:
            self._error = self._route.error

    def _established(self) -> None:
        self._route.established()
        self._error = ""

    def _finish_connecting(self, connection: socket.socket, until: float) -> None:
        assert self._candidate is not None
        code = connection.connect_ex(self._candidate.address)
        if code in {0, errno.EISCONN}:
            self._connecting_until = None
            self._established()
        elif code not in {errno.EALREADY, errno.EINPROGRESS} or self._now >= until:
            self._error = os.strerror(code).lower() if self._now < until else "nobody answers"
            self._hang_up()
            self._open()

    def _look_for_end(self, connection: socket.socket) -> None:
        """A service that has restarted has closed its end: a line written now would be lost without an error."""
        try:
            while connection.recv(4096):
                pass  # nobody speaks syslog in this direction
            self._error = "closed by the other end"
        except BlockingIOError:
            return
        except OSError as error:
            self._error = reason_of(error)
        self._hang_up()
        self._open()

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._connecting_until = None
        self._restless = False
        self._begun = 0  # a line that was cut is sent whole on the next connection

    # --- messages

    def _empty_queue(self) -> bool:
        while self._queue:
            if not self._put(self._queue[0]):
                return False
            self._queued -= len(self._queue.popleft())
        return True

    def _put(self, message: bytes) -> bool:
        """True when it is done with, sent or lost; False when it has to wait."""
        for _ in range(3):  # a refusal of the datagram before, a closed connection; then it is this one's turn
            if self._socket is None or self._connecting_until is not None:
                return False
            try:
                self._write(self._socket, message)
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    return False
                if error.errno == errno.EMSGSIZE:
                    self._lose(1, reason_of(error))
                    return True
                self._failed(error)
            else:
                if self._trouble_at is not None:
                    self._check_recovery(self._trouble_at)
                return True
        return False

    def _write(self, to: socket.socket, message: bytes) -> None:
        if not self._stream:
            to.send(message, _NO_SIGPIPE)
            return
        while self._begun < len(message):
            self._begun += to.send(memoryview(message)[self._begun :] if self._begun else message, _NO_SIGPIPE)
        self._begun = 0

    def _failed(self, error: OSError) -> None:
        assert self._candidate is not None
        if self._candidate.family != socket.AF_UNIX and not self._stream and error.errno == errno.ECONNREFUSED:
            self._lose(1, reason_of(error))  # the one before: its refusal is told at the next send (udp(7))
            self._restless = True
        else:
            self._error = reason_of(error)
            self._hang_up()
        self._open()

    def _room(self) -> int:
        return max(self._queue_bytes, _LOOKUP_BYTES) if self._route.asking else self._queue_bytes

    def _keep(self, message: bytes) -> None:
        if self._queued + len(message) > self._room() and not (self._begun and not self._queue):
            self._lose(1, self._obstacle())
            return
        self._queue.append(message)
        self._queued += len(message)

    def _lose_first(self) -> None:
        self._queued -= len(self._queue.popleft())
        self._lose(1, self._obstacle())

    def _close(self) -> None:
        self.closing = False
        while self._queue:
            self._lose_first()
        self._hang_up()
        self._route.close()

    # --- losses

    def _lose(self, messages: int, error: str) -> None:
        self._dropped += messages
        self._error = error
        self._trouble_at = self._now

    def _obstacle(self) -> str:
        connected = self._socket is not None and self._connecting_until is None
        return self._error or ("the other end does not read" if connected else "no connection yet")

    def _check_recovery(self, trouble_at: float) -> None:
        if self._stream or self._now - trouble_at >= _SOUND_S:
            self._trouble_at = None
            self._restless = False
            self._route.established()

    def _news(self) -> Loss | None:
        """Losses at most once a minute, and once that they have ended."""
        lost, working = self.lost, self._trouble_at is None
        ended = working and self._told_trouble
        if not ended and (lost == self._told or self._now < self._told_at + REPORT_EVERY_S):
            return None
        if not ended:
            self._told_at = self._now
        loss = Loss(self._name, lost - self._told, self._error, working)
        self._told, self._told_trouble = lost, not working
        return loss
