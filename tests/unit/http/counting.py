"""Counts the work that bytes cost, without a clock: calls, and the bytes that each search or copy looks at.

`CountingReceived` takes the place of a connection's `received`; what it holds is a bytearray that counts. A search is
charged the length of the span that it may look at, a deletion at the front nothing (CPython moves a pointer).
"""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from ostler.http.received import Received


class Work:
    """What was done so far."""

    def __init__(self) -> None:
        self.bytes_seen = 0
        self.calls = 0

    def calls_of(self, function: Callable[[], object]) -> None:
        """Run it and count the calls that it makes, of Python functions and of C functions."""

        def count(frame: FrameType, event: str, argument: Any) -> None:
            if event in {"call", "c_call"}:
                self.calls += 1

        former = sys.getprofile()
        sys.setprofile(count)
        try:
            function()
        finally:
            sys.setprofile(former)


class CountingBytes(bytearray):
    """Received bytes that tell `work` how much of them is looked at."""

    work: Work

    def _span(self, start: Any = None, end: Any = None) -> int:
        first, last, _ = slice(start, end).indices(len(self))
        return max(0, last - first)

    def find(self, sub: Any, start: Any = None, end: Any = None) -> int:
        found = super().find(sub, start, end)
        self.work.bytes_seen += self._span(start, end if found < 0 else found + 1)
        return found

    def count(self, sub: Any, start: Any = None, end: Any = None) -> int:
        self.work.bytes_seen += self._span(start, end)
        return super().count(sub, start, end)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            self.work.bytes_seen += self._span(key.start, key.stop)
        return super().__getitem__(key)


class CountingReceived(Received):
    """Keeps what arrives in a CountingBytes, as a connection whose bytes come in pieces does."""

    __slots__ = ("work",)

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.work = work

    def append(self, data: bytes) -> None:
        held = self.data
        super().append(data)
        if self.data is held:
            self.work.bytes_seen += len(data)
        else:
            # A copy of everything there, which is all right once for each piece that finds the buffer empty.
            self.work.bytes_seen += len(self.data)
            self.data = CountingBytes(self.data)
            self.data.work = self.work
