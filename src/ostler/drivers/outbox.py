"""What one client has still to be sent: a bounded amount in memory, the rest in an unlinked file.

The thread that runs the application adds blocks; whoever may write to the socket calls `send`. Beyond `MEMORY_BYTES`
blocks take from the worker's budget of memory, and when that is used up they go to a spill file, from which sendfile(2)
sends them: a few slow readers cost nothing but memory, a thousand cost files. The application has to wait (`is_full`)
only when `FULL_BYTES` are queued, or when no file can be written.
"""

import contextlib
import os
import socket
import tempfile
from collections import deque
from typing import Final

from ostler.app.wsgi_input import Budget
from ostler.http.connection import FileSlice

MEMORY_BYTES: Final = 128 * 1024
"""What each outbox may hold in memory without asking."""

CLIENT_MEMORY_BYTES: Final = 4 * 1024 * 1024
"""What it may take of the worker's budget."""

WORKER_MEMORY_BYTES: Final = 64 * 1024 * 1024
"""What all outboxes of a worker may hold in memory beyond that. To write 1 MB to a file takes the thread that runs the
application 1 to 3 ms (measured, ext4): everybody behind it waits for that when hundreds of slow readers come."""

FULL_BYTES: Final = 64 * 1024 * 1024
"""With this much queued the application waits before it may produce more."""

_SENDFILE_BYTES: Final = 1 << 20

_sendfile = getattr(os, "sendfile", None)


class Outbox:
    """Pieces in order. Not thread-safe: the client's lock guards it. Close it, or a file stays open."""

    __slots__ = ("_budget", "_memory", "_pieces", "_reserved", "_spill", "_spill_end", "queued")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._reserved = 0
        self._pieces: deque[bytes | memoryview | FileSlice] = deque()
        self._spill = -1
        self._spill_end = 0
        self._memory = 0
        self.queued = 0
        """Bytes that are not in the kernel yet."""

    @property
    def is_full(self) -> bool:
        """Whether the application must wait, until all is sent, before it adds more."""
        in_memory = self._memory - self._reserved
        return self.queued >= FULL_BYTES or self._spill_end >= FULL_BYTES or in_memory > MEMORY_BYTES

    def add(self, piece: bytes | FileSlice) -> None:
        """Queue a piece behind the others. A FileSlice's descriptor belongs to the outbox from now on."""
        size = piece.length if isinstance(piece, FileSlice) else len(piece)
        if size == 0:
            if isinstance(piece, FileSlice):
                os.close(piece.fd)
            return
        self.queued += size
        self._pieces.append(piece)
        if not isinstance(piece, FileSlice):
            self._memory += size

    def spill(self) -> None:
        """Move what exceeds the memory that we may use to the file; without a writable directory it stays there."""
        excess = self._memory - MEMORY_BYTES - self._reserved
        if excess <= 0 or _sendfile is None:
            return
        fits = self._spill == -1 and self._reserved + excess <= CLIENT_MEMORY_BYTES
        if fits and self._budget.take(excess):
            self._reserved += excess
            return
        moved: list[bytes | memoryview | FileSlice] = []
        try:
            while self._pieces:
                piece = self._pieces[0]
                if not isinstance(piece, FileSlice):
                    piece = self._to_file(piece)
                    before = moved[-1] if moved else None
                    if (
                        isinstance(before, FileSlice)
                        and before.fd == piece.fd
                        and before.offset + before.length == piece.offset
                    ):
                        # A neighbour in the file: one system call sends both, and nobody has to look at each again.
                        moved.pop()
                        piece = FileSlice(piece.fd, before.offset, before.length + piece.length)
                moved.append(piece)
                self._pieces.popleft()
        except OSError:
            # The pieces that did not reach the file stay where they are; the file's loose end is never sent.
            pass
        moved.extend(self._pieces)
        self._pieces = deque(moved)
        if self._memory <= MEMORY_BYTES:
            self._give_back()

    def send(self, client: socket.socket) -> bool:
        """Give the kernel what it takes without blocking. True when nothing is left.

        Raises:
            OSError: the connection broke.
        """
        pieces = self._pieces
        try:
            while pieces:
                piece = pieces[0]
                if isinstance(piece, FileSlice):
                    self._send_file(client, piece)
                    continue
                count = client.send(piece)
                self.queued -= count
                self._memory -= count
                if count == len(piece):
                    pieces.popleft()
                else:
                    pieces[0] = memoryview(piece)[count:]
        except BlockingIOError:
            return False
        self._release()
        return True

    def close(self) -> None:
        """Drop everything."""
        for piece in self._pieces:
            if isinstance(piece, FileSlice) and piece.fd != self._spill:
                with contextlib.suppress(OSError):
                    os.close(piece.fd)
        self._pieces.clear()
        self.queued = self._memory = 0
        self._release()

    def _send_file(self, client: socket.socket, piece: FileSlice) -> None:
        if _sendfile is None:
            count = client.send(os.pread(piece.fd, _SENDFILE_BYTES, piece.offset)[: piece.length])
        else:
            count = _sendfile(client.fileno(), piece.fd, piece.offset, min(piece.length, _SENDFILE_BYTES))
        if count == 0:
            raise ConnectionAbortedError("the file that was being sent became shorter")
        self.queued -= count
        if count == piece.length:
            self._pieces.popleft()
            if piece.fd != self._spill:
                os.close(piece.fd)
        else:
            self._pieces[0] = FileSlice(piece.fd, piece.offset + count, piece.length - count)

    def _to_file(self, piece: bytes | memoryview) -> FileSlice:
        if self._spill == -1:
            with tempfile.TemporaryFile(prefix="ostler-response-", buffering=0, dir=self._budget.directory) as file:
                self._spill = os.dup(file.fileno())
            self._spill_end = 0
        view = memoryview(piece)
        start = self._spill_end
        while view:
            count = os.pwrite(self._spill, view, self._spill_end)
            self._spill_end += count
            view = view[count:]
        self._memory -= len(piece)
        return FileSlice(self._spill, start, len(piece))

    def _release(self) -> None:
        """Nothing is queued: give memory and file back."""
        self._give_back()
        if self._spill != -1:
            with contextlib.suppress(OSError):
                os.close(self._spill)
            self._spill = -1
            self._spill_end = 0

    def _give_back(self) -> None:
        if self._reserved:
            self._budget.give_back(self._reserved)
            self._reserved = 0
