"""What one client has still to be sent: a bounded amount in memory, the rest in the worker's spill file.

The thread that runs the application adds blocks; whoever may write to the stream calls `send`. Beyond `MEMORY_BYTES`
blocks take from the worker's budget of memory, and when that is used up they go to the file (spill.py): a few slow
readers cost nothing but memory, a thousand cost disk. The application has to wait (`is_full`) only when `FULL_BYTES`
are queued, or when the file takes no more.

Editing rules: memory is counted as it is held, not as it is unsent: the rest of a block keeps all of it.
"""

import contextlib
import os
from collections import deque
from typing import Final

from ostler.app.wsgi_input import Budget
from ostler.drivers.spill import Spill, SpilledBytes
from ostler.drivers.stream import Stream
from ostler.http.connection import FileSlice

MEMORY_BYTES: Final = 16 * 1024
"""What each outbox may hold in memory without asking: a thousand of them 16 MB."""

CLIENT_MEMORY_BYTES: Final = 4 * 1024 * 1024
"""What it may take of the worker's budget."""

WORKER_MEMORY_BYTES: Final = 48 * 1024 * 1024
"""What all outboxes of a worker may hold in memory beyond that."""

FULL_BYTES: Final = 64 * 1024 * 1024
"""With this much queued the application waits before it may produce more."""

_SEND_BYTES: Final = 64 * 1024
"""So much is read from the spill file for one send. (What the client does not take is read again.)"""

_SPILL_BYTES: Final = 4 * 1024 * 1024
"""So much is moved to the file at a time: meanwhile the lock of the client is held, for which the leader may wait."""

_JOIN_BYTES: Final = 4096
"""Blocks up to this size are joined: a thousand of one byte would take 50 KB, and a thousand calls."""


class Reserve:
    """What the outboxes of one worker share."""

    def __init__(self, directory: str | None = None, memory_bytes: int = WORKER_MEMORY_BYTES) -> None:
        """directory: for the spill file, `tmp_upload_dir`; None is the system's."""
        self.memory = Budget(memory_bytes)
        self.spill = Spill(directory)


class Outbox:
    """Pieces in order. Not thread-safe: the client's lock guards it. Close it, or others have less room."""

    __slots__ = ("_memory", "_pieces", "_reserve", "_spilled", "_taken", "queued")

    def __init__(self, reserve: Reserve) -> None:
        self._reserve = reserve
        self._pieces: deque[bytes | memoryview | FileSlice | _Spilled] = deque()
        self._spilled = SpilledBytes(reserve.spill)
        """The bytes of all `_Spilled` pieces, in order."""
        self._memory = 0
        """Bytes of memory that the pieces hold, and how many of them were taken from the budget."""
        self._taken = 0
        self.queued = 0
        """Bytes that are not in the kernel yet."""

    @property
    def is_full(self) -> bool:
        """Whether the application must wait before it adds more."""
        return self.queued >= FULL_BYTES or self._memory - self._taken > MEMORY_BYTES

    def add(self, piece: bytes | memoryview | FileSlice) -> None:
        """Queue a piece behind the others. A FileSlice's descriptor belongs to the outbox from now on."""
        if isinstance(piece, FileSlice):
            if piece.length == 0:
                os.close(piece.fd)
                return
            self.queued += piece.length
        elif not piece:
            return
        else:
            self.queued += len(piece)
            self._memory += _held(piece)
            last = self._pieces[-1] if self._pieces else None
            if isinstance(last, bytes) and isinstance(piece, bytes) and len(last) + len(piece) <= _JOIN_BYTES:
                self._pieces[-1] = last + piece
                return
        self._pieces.append(piece)

    def spill(self) -> bool:
        """Move what exceeds the memory that we may hold to the file, the last pieces first; what it does not take
        stays where it is.

        Returns:
            True: there is more to move; call it again.
        """
        excess = self._memory - MEMORY_BYTES - self._taken
        if excess <= 0:
            return False
        if self._taken + excess <= CLIENT_MEMORY_BYTES and self._reserve.memory.take(excess):
            self._taken += excess
            return False
        moving: deque[bytes | memoryview] = deque()
        pieces = self._pieces
        while excess > 0 and pieces and isinstance(pieces[-1], bytes | memoryview):
            piece = pieces.pop()
            assert isinstance(piece, bytes | memoryview)
            moving.appendleft(piece)
            excess -= _held(piece)
        step = _SPILL_BYTES
        more = True
        try:
            while moving and step:
                piece = moving[0]
                part = memoryview(piece)[:step]
                self._spilled.append(part)
                step -= len(part)
                before = pieces[-1] if pieces else None
                if isinstance(before, _Spilled):
                    before.length += len(part)
                else:
                    pieces.append(_Spilled(len(part)))
                if len(part) < len(piece):
                    moving[0] = memoryview(piece)[len(part) :]
                else:
                    moving.popleft()
                    self._memory -= _held(piece)
        except OSError:
            more = False
        more = more and bool(moving)
        pieces.extend(moving)
        return more

    def send(self, stream: Stream) -> bool:
        """Give the stream what it takes without blocking. True when nothing is left, in the stream neither.

        Raises:
            OSError: the connection broke.
        """
        try:
            while self._pieces:
                self._send_first(stream)
        except BlockingIOError:
            self._shrink()
            return False
        self._settle()
        return stream.flush()

    def close(self) -> None:
        """Drop everything."""
        for piece in self._pieces:
            if isinstance(piece, FileSlice):
                with contextlib.suppress(OSError):
                    os.close(piece.fd)
        self._pieces.clear()
        self._spilled.close()
        self.queued = self._memory = 0
        self._settle()

    def _send_first(self, stream: Stream) -> None:
        """Send some of the first piece."""
        pieces = self._pieces
        piece = pieces[0]
        if isinstance(piece, FileSlice):
            count = stream.send_file(piece.fd, piece.offset, piece.length)
            if count == 0:
                raise ConnectionAbortedError("the file that was being sent became shorter")
            if count == piece.length:
                pieces.popleft()
                os.close(piece.fd)
            else:
                pieces[0] = FileSlice(piece.fd, piece.offset + count, piece.length - count)
        elif isinstance(piece, _Spilled):
            count = stream.send(self._spilled.peek(min(piece.length, _SEND_BYTES)))
            self._spilled.drop(count)
            piece.length -= count
            if piece.length == 0:
                pieces.popleft()
        else:
            count = stream.send(piece)
            if count == len(piece):
                pieces.popleft()
                self._memory -= _held(piece)
            else:
                pieces[0] = memoryview(piece)[count:]
        self.queued -= count

    def _shrink(self) -> None:
        """The first piece may be the rest of a block: once most of it is sent, keep a copy of the rest instead."""
        piece = self._pieces[0]
        if isinstance(piece, memoryview) and 2 * len(piece) <= _held(piece):
            self._pieces[0] = rest = bytes(piece)
            self._memory -= _held(piece) - len(rest)
        self._settle()

    def _settle(self) -> None:
        """Give back what we took of the budget and do not hold any more."""
        more = self._taken - max(0, self._memory - MEMORY_BYTES)
        if more > 0:
            self._reserve.memory.give_back(more)
            self._taken -= more


class _Spilled:
    """A piece that is in the file: the next `length` bytes of what the outbox has there."""

    __slots__ = ("length",)

    def __init__(self, length: int) -> None:
        self.length = length


def _held(piece: bytes | memoryview) -> int:
    """The bytes of memory that a piece keeps from being freed."""
    return memoryview(piece.obj).nbytes if isinstance(piece, memoryview) else len(piece)
