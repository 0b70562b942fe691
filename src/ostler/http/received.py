"""What came from the client and is not parsed yet.

The one place that appends to and takes from received bytes, in linear time whatever the pieces: what arrives into an
empty buffer is kept as it is, without a copy (a whole head, a block of a body); only what arrives behind unparsed
bytes makes it a bytearray, whose front CPython drops without moving the rest.

Editing rules: readers may look at `data` from `start` on and move `start`; only `append` may replace `data` by more.
"""


class Received:
    """The unparsed bytes are `data[start:]`."""

    __slots__ = ("data", "ended", "start")

    def __init__(self) -> None:
        self.data: bytes | bytearray = b""
        self.start = 0
        self.ended = False
        """The client has closed its sending side."""

    def __len__(self) -> int:
        return len(self.data) - self.start

    def append(self, data: bytes) -> None:
        """Put `data` behind what is there."""
        held = self.data
        if self.start >= len(held):
            self.data = data
        elif isinstance(held, bytearray):
            del held[: self.start]
            held += data
        else:
            joined = bytearray(memoryview(held)[self.start :])
            joined += data
            self.data = joined
        self.start = 0

    def take(self, most: int) -> bytes:
        """Remove and return up to `most` bytes from the front."""
        data, start = self.data, self.start
        end = start + most
        if end < len(data):
            self.start = end
            return bytes(data[start:end])
        self.data = b""
        self.start = 0
        return bytes(data[start:] if start else data)

    def skip(self, most: int) -> int:
        """Drop up to `most` bytes from the front; how many it were."""
        count = min(most, len(self))
        self.start += count
        if self.start >= len(self.data):
            self.clear()
        return count

    def clear(self) -> None:
        """Drop everything."""
        self.data = b""
        self.start = 0
