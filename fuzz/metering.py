"""What a run costs, counted and not timed: bytes that are looked at, and lines of the core that are executed.

`MeteredReceived` stands in for a connection's `Received` and charges every search, slice and comparison of what came
from the client for the bytes it touches. Expressions are not charged: `lines` and libFuzzer's time limit are for those.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, SupportsIndex

from ostler.http.received import Received


class Meter:
    """A count."""

    def __init__(self) -> None:
        self.count = 0


class _Metered(bytearray):
    meter: Meter

    def find(self, sub: Any, start: Any = 0, end: Any = sys.maxsize) -> int:
        found = super().find(sub, start, end)
        self.meter.count += max(0, (min(len(self), end) if found < 0 else found + len(sub)) - start)
        return found

    def count(self, sub: Any, start: Any = 0, end: Any = sys.maxsize) -> int:
        self.meter.count += max(0, min(len(self), end) - start)
        return super().count(sub, start, end)

    def startswith(self, prefix: Any, start: Any = 0, end: Any = sys.maxsize) -> bool:
        self.meter.count += len(prefix)
        return super().startswith(prefix, start, end)

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        self.meter.count += len(range(*index.indices(len(self)))) if isinstance(index, slice) else 1
        return super().__getitem__(index)


class MeteredReceived(Received):
    """Received bytes that charge whoever looks at them."""

    __slots__ = ("meter",)

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self.meter = meter

    def append(self, data: bytes) -> None:
        """See Received."""
        super().append(data)
        if not isinstance(self.data, _Metered):
            metered = _Metered(self.data)
            metered.meter = self.meter
            self.data = metered


@contextmanager
def counted_lines(meter: Meter, package: str = "ostler.http") -> Iterator[None]:
    """Count every executed line of the package's modules. Slow: for some inputs only."""

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if event == "call" and not str(frame.f_globals.get("__name__")).startswith(package):
            return None
        meter.count += event == "line"
        return trace

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(former)
