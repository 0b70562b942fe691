"""A client's transport: its socket, its place in the poller, and what is still to be sent.

On the fast path nothing is left over: the thread that has something to say sends it straight to the stream and takes no
lock. What the client does not take goes to the outbox and is *lent* to the leader of the reactor, who sends it when the
client takes more. Outbox, `lent` and the events asked of the poller are guarded by `lock` from then on.

Editing rules: nothing here knows requests. Nothing blocks but `deliver`, which is called by the thread that runs the
application, and waits for room; the write deadline is the reactor's to keep, by `break_off`.
"""

import contextlib
import fcntl
import os
import select
import socket
import struct
import termios
import time
from collections.abc import Callable, Sequence
from math import inf
from typing import Final

from ostler import real
from ostler.app.wsgi_input import ClientGone
from ostler.drivers.outbox import Outbox, Reserve
from ostler.drivers.poller import LEFT, READ, WRITE, Poller
from ostler.drivers.stream import PlainStream, Stream
from ostler.drivers.timeouts import Timeouts
from ostler.drivers.waiting import THREADS, Condition, Waiting
from ostler.http.connection import FileSlice, Output
from ostler.process.belongings import doubt

_RESET: Final = struct.pack("ii", 1, 0)
"""struct linger: on, no time: close() sends a reset (socket(7))."""

_INTEGER: Final = struct.Struct("i")

# Bound at import: a configuration file may monkey-patch `select` later.
_poll = real.poll
_ioctl = fcntl.ioctl
_POLL_LEFT: Final = getattr(select, "POLLRDHUP", 0)


class Transport:
    """See the module's text."""

    __slots__ = (
        "_beat",
        "_began",
        "_bury",
        "_events",
        "_kept",
        "_outbox",
        "_plain",
        "_poller",
        "_reserve",
        "_room",
        "_send",
        "_sent",
        "_timeouts",
        "_waiting",
        "deadline",
        "fd",
        "gone",
        "lent",
        "lock",
        "sock",
        "stream",
    )

    def __init__(  # noqa: PLR0913, PLR0917  one place makes it
        self,
        sock: socket.socket,
        stream: Stream,
        poller: Poller,
        timeouts: Timeouts,
        reserve: Reserve,
        beat: Callable[[], None],
        waiting: Waiting = THREADS,
    ) -> None:
        """`beat` is called by a thread that waits for its client: that is no hang."""
        self.sock = sock
        self.fd = sock.fileno()
        self.stream = stream
        self.lock = real.make_lock()
        self.gone = False
        """The transport failed, or the client took nothing in time."""
        self.lent = False
        """Bytes are left over, and the reactor sends them when the client takes them."""
        self.deadline = inf
        """Until when the client must have taken more; infinite while nothing is lent."""
        self._send = stream.send
        self._plain = type(stream) is PlainStream
        self._outbox: Outbox | None = None
        self._room: Condition | None = None
        self._events = -1
        """What the poller was asked for; -1 when the poller does not know this client."""
        self._began = 0.0
        """When the leftover was lent, and how much of it was sent since."""
        self._sent = 0
        self._kept = 0
        """What was left of it when it was last looked at."""
        self._poller = poller
        self._timeouts = timeouts
        self._reserve = reserve
        self._beat = beat
        self._waiting = waiting
        self._bury: Callable[[socket.socket], None] | None = None

    @property
    def secured(self) -> bool:
        """There is a state (TLS) that no other process can go on with."""
        return not self._plain

    # -- sending ---------------------------------------------------------------------------------------------

    def send(self, pieces: list[Output]) -> bool:
        """Send without waiting. False: a leftover is lent to the reactor now.

        Raises:
            ClientGone: the transport failed.
        """
        if self.gone:
            _discard(pieces)
            raise ClientGone("the connection broke")
        if not self.lent:
            if len(pieces) == 1 and type(piece := pieces[0]) is bytes:
                try:
                    count = self._send(piece)
                except BlockingIOError:
                    count = 0
                except OSError as error:
                    doubt(error)
                    self.gone = True
                    raise ClientGone(str(error)) from error
                if count == len(piece) and self._plain:
                    return True
                return self._keep([memoryview(piece)[count:]])  # no copy: most of it may go to the file
            if not pieces:
                return True
        return self._keep(pieces)

    def deliver(self, pieces: list[Output]) -> None:
        """Bring `pieces` to the kernel or into the bounded outbox; wait while that is full.

        Raises:
            ClientGone: the transport failed, or the client took nothing within the write deadline.
        """
        if self.send(pieces):
            return
        with self.lock:
            outbox = self._outbox
            while self.lent and outbox is not None and outbox.is_full:
                self._wait_for_room()
        if self.gone:
            raise ClientGone("the client took nothing in time, or its connection broke")

    def _wait_for_room(self) -> None:
        if self._room is None:
            self._room = self._waiting.condition(self.lock)
        self._beat()
        self._room.wait(self._timeouts.beat_s)

    def wait_until_sent(self) -> None:
        """Wait until nothing is left over.

        Raises:
            ClientGone: as `deliver`.
        """
        with self.lock:
            while self.lent:
                self._wait_for_room()
        if self.gone:
            raise ClientGone("the client took nothing in time, or its connection broke")

    def flush(self, now: float) -> bool:
        """The client can take more: send. True when nothing is left over. Called by the leader, on WRITE.

        Raises:
            ClientGone: the transport failed.
        """
        with self.lock:
            outbox = self._outbox
            if outbox is None or not self.lent:
                return True
            try:
                done = outbox.send(self.stream)
            except OSError as error:
                doubt(error)
                self.break_off()
                raise ClientGone(str(error)) from error
            if done:
                self._take_back()
                if self._room is not None:
                    self._room.notify_all()
            else:
                self._notice_progress(outbox, now)
            return done

    def look(self, now: float) -> None:
        """Notice what the client has taken: the kernel announces room only when much of what it holds is gone."""
        with self.lock:
            if self._outbox is not None and self.lent:
                self._notice_progress(self._outbox, now)

    @property
    def queued(self) -> int:
        """Bytes that wait here for the client to take more; what the kernel holds for it is not counted."""
        return 0 if self._outbox is None else self._outbox.queued

    @property
    def kept(self) -> int:
        """Bytes of the response that the client had not taken when it was last looked at."""
        return self._kept

    def _notice_progress(self, outbox: Outbox, now: float) -> None:
        left = self._left(outbox)
        if left < self._kept:
            self._sent += self._kept - left
            self.deadline = self._timeouts.write.deadline(self._began, self._sent, now)
        self._kept = left

    def _left(self, outbox: Outbox) -> int:
        """Bytes that the client has not taken, here or in the kernel."""
        return outbox.queued + self.stream.unsent + unsent_bytes(self.sock)

    def _keep(self, pieces: Sequence[Output | memoryview]) -> bool:
        """Send what goes now, and put the rest away, in steps: the leader may want the lock meanwhile."""
        with self.lock:
            done = self._queue(pieces)
        more = not done
        while more:
            with self.lock:
                more = self._outbox is not None and self._outbox.spill()
        return done

    def _queue(self, pieces: Sequence[Output | memoryview]) -> bool:
        outbox = self._outbox
        if outbox is None:
            outbox = self._outbox = Outbox(self._reserve)
        for piece in pieces:
            outbox.add(piece)
        if self.gone:
            outbox.close()
            return True
        try:
            if not outbox.send(self.stream):
                if not self.lent:
                    self._lend()
                return False
        except OSError as error:
            doubt(error)
            self.break_off()
            raise ClientGone(str(error)) from error
        if self.lent:
            self._take_back()
        return True

    def _lend(self) -> None:
        self.lent = True
        self._began = now = time.monotonic()
        self._sent = 0
        self._kept = 0 if self._outbox is None else self._left(self._outbox)
        self.deadline = self._timeouts.write.deadline(now, 0, now)
        self.ask(max(self._events, 0) | WRITE)

    def _take_back(self) -> None:
        self.lent = False
        self.deadline = inf
        self.ask(self._events & ~WRITE)

    @property
    def pace(self) -> tuple[float, int]:
        """Since when a leftover is lent, and how much of it was sent."""
        return self._began, self._sent

    # -- the poller ------------------------------------------------------------------------------------------

    def ask(self, events: int) -> None:
        """Make the poller report `events`. Hold `lock` where another thread may run the exchange."""
        if events == self._events:
            return
        if self._events == -1:
            self._poller.watch(self.fd, events)
        else:
            self._poller.change(self.fd, events)
        self._events = events

    def listen(self) -> None:
        """Report what the client sends, and go on to report what is reported of sending."""
        self.ask(READ | max(self._events, 0) & WRITE)

    def stop_listening(self) -> None:
        """Leave what the client sends in the kernel."""
        if self._events > 0:
            self.ask(self._events & WRITE)

    def listen_for_end(self) -> None:
        """Leave what the client sends in the kernel, and report when it has closed its sending side."""
        self.ask(LEFT | max(self._events, 0) & WRITE)

    def unwatch(self) -> int:
        """Make the poller forget this client; what it reported until now, or -1. Hold `lock`."""
        events, self._events = self._events, -1
        if events != -1:
            self._poller.forget(self.fd)
        return events

    # -- the other side --------------------------------------------------------------------------------------

    def has_unread(self) -> bool | None:
        """Whether bytes wait below the stream; None: the client has closed its sending side, or all."""
        try:
            return bool(self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)) or None
        except BlockingIOError:
            return False
        except OSError:
            return None

    def is_left(self) -> bool:
        """Whether the client is known to have closed its connection, or at least its sending side."""
        unread = self.has_unread()
        if unread and self.secured:
            # What waits may be no more than the farewell of TLS, and the end behind it.
            return bool(self._polled(_POLL_LEFT) & _POLL_LEFT)
        return unread is None

    def is_gone(self) -> bool:
        """Ask the system: a GONE event may be older than this client, and mean the former owner of its descriptor."""
        return bool(self._polled(0))

    def wait_readable(self) -> None:
        """Wait for one beat at most."""
        self._waiting.readable(self.fd, self._timeouts.beat_s)

    def _polled(self, events: int) -> int:
        poll = _poll()
        poll.register(self.fd, events)
        found = poll.poll(0)
        return found[0][1] if found else 0

    # -- the end ---------------------------------------------------------------------------------------------

    def hang_up(self) -> bool:
        """Nothing more will be sent: say so. False: the transport is dead."""
        self.stream.close_notify()
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return True

    def make_reset(self) -> None:
        """The end of the connection would be the end of the body: only a reset says that it is not complete."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def break_off(self) -> None:
        """The transport is dead: tell a thread that waits for room. Hold `lock`."""
        self.gone = True
        self.lent = False
        self.deadline = inf
        if self._outbox is not None:
            self._outbox.close()
        self.unwatch()
        if self._room is not None:
            self._room.notify_all()

    def come_back(self, sock: socket.socket, bury: Callable[[socket.socket], None]) -> None:
        """The application had the socket; this one has its descriptor now. Its threads may still wait for it: in the
        end `bury` gets it, shut down.
        """
        self.sock = sock
        self.fd = sock.fileno()
        self.stream = stream = PlainStream(sock)
        self._send = stream.send
        self._bury = bury

    def close(self, unsent: list[Output]) -> None:
        """Close the socket, and the files of what will not be sent. The reactor has forgotten this client already."""
        _discard(unsent)
        if self._outbox is not None:
            self._outbox.close()
        if self._bury is None:
            try:
                self.sock.close()
            except OSError as error:  # the number was closed by somebody else
                doubt(error)
        else:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
            self._bury(self.sock)


def unsent_bytes(sock: socket.socket) -> int:
    """What the kernel holds for the other side of `sock` (tcp(7), SIOCOUTQ); 0 where it does not say."""
    try:
        (count,) = _INTEGER.unpack(_ioctl(sock, termios.TIOCOUTQ, _INTEGER.pack(0)))
    except OSError:
        return 0
    return int(count)


def _discard(pieces: Sequence[Output]) -> None:
    """Close the files of what will not be sent."""
    for piece in pieces:
        if isinstance(piece, FileSlice):
            with contextlib.suppress(OSError):
                os.close(piece.fd)
