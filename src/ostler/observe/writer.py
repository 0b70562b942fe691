"""Writing lines to a descriptor that may refuse them, without ever waiting for it (failures L1, L2).

The fast path of `LineWriter.write` is one write(2): when it returns, the line is in the kernel, and a crash cannot lose
it. Lines of many processes do not mix, because the descriptor has O_APPEND. A line that the descriptor does not take
(a pipe that nobody drains) joins a bounded backlog in memory, which goes out in order as soon as there is room: with
the next line, or, when none comes, by `flush()` once a second in the master, which has one thread, and in a worker by
a thread that exists as long as the backlog does. What does not fit, and what a full or failing disk refuses, is
dropped, counted, and told of (losses.py), in the log itself where the lines are missing or when it takes lines again.

A file whose disk is slow (one write above 100 ms) is left to that thread until writes are fast again; workers only.

Rules for editing. Nothing here raises into the server or waits, `finish` aside. Any thread may write, and a signal
handler may write while its own thread is in the middle of it: so locks are only tried, and who holds the one of the
backlog empties it for all the others. Before they let go they look again, so that no line stays behind. A fork leaves
the backlog to the parent, whoever did it (`_check_process`).
"""

import os
import time
from collections.abc import Callable
from typing import Final

from ostler import real
from ostler.errors import reason_of
from ostler.observe.backlog import Backlog, Waiting
from ostler.observe.losses import DATE_FORMAT, Losses
from ostler.observe.outlet import Outlet, Put, closed

__all__ = ["DATE_FORMAT", "LineWriter"]

SLOW_S: Final = 0.1
_WAIT_S: Final = 0.1  # until the thread looks whether it is to end
_PAUSE_S: Final = 0.005  # when poll(2) promised more than write(2) keeps
_ROUNDS: Final = 512  # of 4 KiB: no request carries the lines of all others for ever
_NOT_READ: Final = "its reader does not keep up"
_UNWRITTEN: Final = "closed before it took them"

# Bound at import: an application may make green threads of all others, and those would wait for its requests.
_now = time.monotonic
_sleep = real.sleep
_write = real.write


class LineWriter:
    """Lines -> one Outlet. LogFile (sinks.py) adds where the descriptor comes from."""

    _put_line: Put
    _plain: bool  # a file, and there is no trouble of any kind
    _direct: bool  # lines may be written past the backlog, for nothing waits there
    _in_debt: bool  # there are losses to tell of
    _current: Waiting | None  # out of the backlog; belongs to who holds the lock
    _emptying: real.Lock

    def __init__(self, outlet: Outlet, name: str, console: int, clock: Callable[[], float]) -> None:
        self.name = name
        self.losses = Losses(name, console, clock)
        self._clock = clock
        self._use(outlet)
        self._threaded = False
        self._torn = False  # the last line stopped half way: end it, else the next one would be glued to it
        self._start_anew()

    @property
    def dropped(self) -> int:
        """Lines lost in the life of this process."""
        return self.losses.dropped

    def write(self, line: str) -> None:
        """Take a line without its end. Never raises, never waits for a reader; from any thread or signal handler."""
        try:
            data = (line + "\n").encode()
        except UnicodeEncodeError:  # a rare guest: asking for "backslashreplace" each time costs 12 ns of 1200
            data = (line + "\n").encode("utf-8", "backslashreplace")
        if not self._plain:  # a file without trouble has one question to answer: 110 ns less
            self._write_with_care(data)
            return
        clock = self._clock  # as a local it is 30 ns faster to call twice
        started = clock()
        try:
            written = _write(self._number, data)
        except OSError as error:
            self._lose(reason_of(error))
            return
        if written < len(data):
            self._go_on(data, written)
        elif clock() - started > SLOW_S:
            self._timed(SLOW_S)

    def flush(self) -> None:
        """Write what waits as far as it goes without waiting. The master calls it about once a second."""
        self._check_process()
        self._work_off()
        if self._in_debt and self._direct:
            self._settle()

    def after_fork(self, *, threaded: bool) -> None:
        """In a new process: nothing waits here, the parent writes what did. threaded: it may have threads."""
        self._start_anew()
        self._threaded = threaded

    def be_single(self, timeout_s: float) -> bool:
        """In a process that is to have one thread: nobody but `flush` writes what waits. Until the next `after_fork`.

        False when a write of the thread does not end within that time; it may go on.
        """
        self._check_process()
        self._threaded = False
        self._ending = True  # for the thread, and no other one is started
        if not self._helping.acquire(timeout=timeout_s):
            return False
        self._helping.release()
        self._slow = False
        self._work_off()
        return True

    def finish(self, timeout_s: float) -> bool:
        """`LogFile.close`, but for the descriptors. False when a write does not end: they are still in use then."""
        deadline = _now() + timeout_s
        self._check_process()
        self._ending = True  # for the thread; the rest is done here
        if not self._emptying.acquire(timeout=max(_WAIT_S, timeout_s)):
            return False
        try:
            while not self._drain() and (left := deadline - _now()) > 0:
                self._outlet.wait(left)
            self._plain, self._number = False, -1
            self._put_line = closed
            unwritten = self._current.lines if self._current is not None and not self._current.lost else 0
            self._current = None
            self.losses.finish(unwritten + self._backlog.forget(), _UNWRITTEN)
            self._direct = True
        finally:
            self._emptying.release()
        return True

    def _use(self, outlet: Outlet) -> None:
        self._plain = False
        self._outlet = outlet
        self._number = outlet.fd
        self._put_line = outlet.put_line

    def _start_anew(self) -> None:
        self._pid = os.getpid()
        self.losses.forget()
        self._backlog = Backlog()
        self._current = None
        self._emptying = real.make_lock()
        self._helping = real.make_lock()  # a thread exists
        self._direct = True
        self._plain = False  # the first line with care finds out
        self._slow = False
        self._in_debt = False
        self._ending = False

    def _check_process(self) -> None:  # an application may fork while a thread, which the child lacks, holds a lock
        if self._pid != os.getpid():
            self._start_anew()

    def _write_with_care(self, data: bytes) -> None:
        if not self._direct:
            self._keep(data)
            return
        if self._torn:
            data = b"\n" + data
        file = self._outlet.direct
        started = self._clock() if file else 0.0
        try:
            written = self._put_line(data)
        except BlockingIOError:
            self._keep(data)
            return
        except OSError as error:
            self._lose(reason_of(error))
            return
        if written < len(data):
            self._go_on(data, written)
            return
        self._torn = False
        if self._in_debt:
            self._settle()
        if file:
            self._timed(self._clock() - started)

    def _timed(self, took_s: float) -> None:
        if self._threaded and took_s >= SLOW_S:
            self._slow = True
            self._direct = self._plain = False
        elif not self._in_debt and not self._torn:
            self._plain = True
            if not self._direct:  # another thread met trouble meanwhile
                self._plain = False

    def _keep(self, data: bytes) -> None:
        self._check_process()
        self._direct = self._plain = False
        gap = self.losses.take_gap()
        if not self._backlog.add(data, gap):
            self.losses.gap += gap
            self._lose(_NOT_READ)
        self._work_off()

    def _go_on(self, data: bytes, written: int) -> None:
        """A line was not taken whole: a long one that a pipe does not take at once, a signal, an almost full disk."""
        if written == 0:
            self._keep(data)
            return
        rest = data[written:]
        if not self._outlet.direct:
            self._check_process()
            self._direct = self._plain = False
            self._backlog.put_first(rest)
            self._work_off()
            return
        try:
            while rest:
                rest = rest[self._put_line(rest) :]
        except OSError as error:
            self._torn = True
            self._lose(reason_of(error))

    @property
    def _waiting(self) -> bool:
        return bool(self._backlog) or self._current is not None

    def _work_off(self) -> None:
        """Empty the backlog as far as it goes at once, unless somebody does already; leave the rest to a thread."""
        while self._waiting and not self._slow and self._emptying.acquire(blocking=False):
            try:
                if not self._drain():
                    break
            finally:
                self._emptying.release()
        if self._threaded and self._waiting and not self._ending and self._helping.acquire(blocking=False):
            try:
                real.start_thread(self._help, ())
            except RuntimeError:  # the system has no thread to give: the next line tries again
                self._helping.release()

    def _help(self) -> None:
        """The thread; it was given the lock `_helping`."""
        while True:
            try:
                while self._waiting and not self._ending:
                    self._outlet.wait(_WAIT_S)
                    if self._emptying.acquire(timeout=_WAIT_S):
                        try:
                            emptied = self._drain()
                        finally:
                            self._emptying.release()
                        if not emptied:
                            _sleep(_PAUSE_S)
            finally:
                self._helping.release()
            if self._ending or not self._waiting or not self._helping.acquire(blocking=False):
                return

    def _drain(self) -> bool:
        """True: nothing waits. False: the descriptor takes no more, or it was enough for once. Under the lock."""
        self._direct = self._plain = False
        for _ in range(_ROUNDS):
            self._current = self._current or self._backlog.take(self._outlet.batch_bytes)
            if self._current is not None:
                if not self._write_entry(self._current):
                    return False
                continue
            self._direct = not self._slow
            if not self._backlog:
                if not self._in_debt or self._settle():
                    return True
                # There may be no further line that it could be told with.
                self._current = Waiting(b"", lost=self.losses.take_gap())
            self._direct = False  # a line came in between
        return False

    def _write_entry(self, entry: Waiting) -> bool:
        """False when it has to wait. Otherwise the current entry is what is left of it."""
        data = self.losses.bytes_of(entry.lost) if entry.lost else entry.data
        if self._torn and not entry.begun:
            data = b"\n" + data
        started = self._clock()
        try:
            written = self._outlet.put(data)
        except BlockingIOError:
            return False
        except OSError as error:
            self._current = None
            self._torn = self._torn or entry.begun
            if entry.lost:
                self.losses.gap += entry.lost
            else:
                self._lose(reason_of(error), entry.lines)
            return True
        self._torn = False
        self._slow = self._threaded and self._outlet.direct and self._clock() - started > SLOW_S
        self._current = Waiting(data, lines=entry.lines).after(written) if written < len(data) else None
        return True

    def _lose(self, reason: str, lines: int = 1) -> None:
        self._in_debt = True
        self._plain = False
        self.losses.count(reason, lines)

    def _settle(self) -> bool:
        """The descriptor takes lines: tell of those that are missing. False: it takes no more just now."""
        gap = self.losses.take_gap()
        if gap:
            data = self.losses.bytes_of(gap)
            try:
                written = self._put_line(data)
            except OSError as error:
                self.losses.gap += gap
                return not isinstance(error, BlockingIOError)
            self._torn = 0 < written < len(data)
        self.losses.recovered()
        self._in_debt = not self.losses.told
        return True
