"""The request's body on its way to the application: collected first, or read while the application runs.

`BodyBuffer` collects: memory first, then one unlinked spill file, within the worker's `Budget` of files. `body_stream`
turns what was collected, and what is still to come, into the `wsgi.input` of PEP 3333: a plain `BytesIO` or file when
the body is complete, a `BufferedReader` over `StreamedBody` when it is not.

Editing rules: nothing here knows HTTP's framing (the exchange decodes) and nothing here touches a socket (`BodySource`
brings bytes). A body that ends early raises; it never looks complete (RFC 9112 section 8).
"""

import contextlib
import io
import tempfile
from typing import Any, Final, Protocol

from ostler import real
from ostler.http.connection import END, NEED_DATA, Exchange
from ostler.http.errors import HttpError

MEMORY_BYTES: Final = 256 * 1024
"""A body up to this size stays in memory, while the worker's `WORKER_MEMORY_BYTES` last."""

FREE_BYTES: Final = 16 * 1024
"""So much of each is not counted: a thousand of them 16 MB."""

WORKER_MEMORY_BYTES: Final = 32 * 1024 * 1024
"""All bodies of one worker in memory together."""

SPILL_BYTES: Final = 256 * 1024 * 1024
"""So much of a body is collected; the application reads what is beyond that while it arrives."""

WORKER_SPILL_BYTES: Final = 1024 * 1024 * 1024
"""All spill files of one worker together."""


class ClientGone(ConnectionError):
    """The client closed its connection, or was too slow, before its exchange was done."""


class BodyIncomplete(ClientGone):
    """The request's body ended early or broke its framing: the application must not take it for the whole.

    `error` is what the client is told, where it can still be told something.
    """

    def __init__(self, error: HttpError) -> None:
        super().__init__(f"request body incomplete: {error.detail or error.reason}")
        self.error = error


class BodySource(Protocol):
    """Whoever can bring more of a request's bytes while the application waits."""

    def wait_for_body(self) -> None:
        """Block until the exchange has more to read.

        Raises:
            ClientGone: nothing came within the deadline, or the transport failed.
        """


class Budget:
    """What one worker may still use of something (spill files, memory), in bytes, and where it makes its files.

    Safe to use from any thread. directory: `tmp_upload_dir`; None is the system's.
    """

    def __init__(self, limit_bytes: int = WORKER_SPILL_BYTES, directory: str | None = None) -> None:
        self.directory = directory
        self._left = limit_bytes
        self._lock = real.make_lock()

    def take(self, size: int) -> bool:
        """Reserve `size` bytes; False when the worker's share is used up."""
        with self._lock:
            if size > self._left:
                return False
            self._left -= size
            return True

    def give_back(self, size: int) -> None:
        """Return what `take` reserved."""
        with self._lock:
            self._left += size


class BodyBuffer:
    """A body that is being collected: memory, then one unlinked file, then (cap, budget or disk) a tail in memory."""

    __slots__ = ("_budget", "_held", "_memory", "_memory_budget", "_opened", "_reserved", "_spill", "_tail", "size")

    def __init__(self, budget: Budget, memory: Budget) -> None:
        """budget: the worker's for files (none is used without a directory to write to); memory: its for memory."""
        self.size = 0
        self._budget = budget
        self._memory_budget = memory
        self._held = 0
        """Bytes of memory that were taken from its budget."""
        self._memory: io.BytesIO | None = io.BytesIO()
        self._spill: io.FileIO | None = None
        self._opened: io.BufferedReader | None = None
        """Kept, because a reader that is thrown away before `close` closes the file with a ResourceWarning."""
        self._tail = b""
        self._reserved = 0

    def add(self, data: bytes) -> bool:
        """Keep `data`. False: kept, but collecting must end here; the application reads the rest as it comes."""
        if self._memory is not None and self._may_hold(self.size + len(data)):
            self._memory.write(data)
            self.size += len(data)
            return True
        if self._write(data):
            self.size += len(data)
            return True
        self._tail += data
        return False

    def open(self) -> io.BufferedIOBase:
        """What was collected, from its first byte."""
        if self._memory is not None:
            if self._tail:
                self._memory.write(self._tail)
            self._memory.seek(0)
            return self._memory
        assert self._spill is not None
        self._spill.seek(0)
        self._opened = io.BufferedReader(_Joined(self._spill, self._tail) if self._tail else self._spill)
        return self._opened

    def close(self) -> None:
        """Forget the body and give its share of the budget back."""
        if self._opened is not None:
            self._opened.close()
        if self._spill is not None:
            with contextlib.suppress(OSError):
                self._spill.close()
        if self._reserved:
            self._budget.give_back(self._reserved)
            self._reserved = 0
        self._let_go()

    def _may_hold(self, size: int) -> bool:
        if size > MEMORY_BYTES:
            return False
        more = size - FREE_BYTES - self._held
        if more <= 0:
            return True
        if not self._memory_budget.take(more):
            return False
        self._held += more
        return True

    def _let_go(self) -> None:
        if self._held:
            self._memory_budget.give_back(self._held)
            self._held = 0

    def _write(self, data: bytes) -> bool:
        fresh = self._memory.getvalue() + data if self._memory is not None else data
        if self.size + len(data) > SPILL_BYTES or not self._budget.take(len(fresh)):
            return False
        self._reserved += len(fresh)
        try:
            if self._spill is None:
                # Unbuffered: a full disk must show at the write that meets it, not at a later flush or close.
                self._spill = _raw_temporary_file(self._budget.directory)
            _write_all(self._spill, fresh)
        except OSError:
            if self._memory is not None:
                self._drop_spill()
            elif self._spill is not None:
                self._spill.truncate(self.size)
                self._spill.seek(self.size)
            return False
        self._memory = None
        self._let_go()
        return True

    def _drop_spill(self) -> None:
        if self._spill is not None:
            self._spill.close()
            self._spill = None


def body_stream(body: BodyBuffer | None, complete: bool, exchange: Exchange, source: BodySource) -> io.BufferedIOBase:
    """`wsgi.input` for a body of which `body` was collected and, unless `complete`, more is to come."""
    if complete:
        return io.BytesIO() if body is None else body.open()
    collected = None if body is None else body.open()
    return io.BufferedReader(StreamedBody(collected, exchange, source), 64 * 1024)


class StreamedBody(io.RawIOBase):
    """A body that is read while it arrives: first what was collected, then the exchange, waiting on the client."""

    def __init__(self, collected: io.BufferedIOBase | None, exchange: Exchange, source: BodySource) -> None:
        super().__init__()
        self._collected = collected
        self._exchange = exchange
        self._source = source
        self._rest: memoryview = memoryview(b"")
        self._failed: BodyIncomplete | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with at least one byte, or return 0 at the end of the body.

        Raises:
            BodyIncomplete: the body broke off (also at every later call).
            ClientGone: the client sent nothing within the deadline.
        """
        if self._collected is not None:
            count = self._collected.readinto(buffer)
            if count:
                return count
            self._collected = None
        if not self._rest and not self._more(len(buffer)):
            return 0
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def _more(self, size: int) -> bool:
        if self._failed is not None:
            raise self._failed
        while True:
            try:
                data = self._exchange.read(size)
            except HttpError as error:
                self._failed = BodyIncomplete(error)
                raise self._failed from error
            if data is END:
                return False
            if data is NEED_DATA:
                self._source.wait_for_body()
                continue
            assert isinstance(data, bytes)
            self._rest = memoryview(data)
            return True


class _Joined(io.RawIOBase):
    """A file, then some bytes."""

    def __init__(self, file: io.FileIO, tail: bytes) -> None:
        super().__init__()
        self._file = file
        self._tail = io.BytesIO(tail)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer) or self._tail.readinto(buffer)


def _raw_temporary_file(directory: str | None) -> io.FileIO:
    # Nobody else can hold a name of it: O_TMPFILE, or unlinked at once.
    file = tempfile.TemporaryFile(prefix="ostler-body-", buffering=0, dir=directory)  # noqa: SIM115  closed with the body
    assert isinstance(file, io.FileIO)
    return file


def _write_all(file: io.FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
