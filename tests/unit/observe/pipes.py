"""Descriptors that refuse, and ways to look at what went through them."""

import contextlib
import os
import select
import time
from collections.abc import Callable


class Pipe:
    """Stands for stderr, or for a container's stdout: what was written can be read back."""

    def __init__(self):
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)

    def read(self):
        """All that is there."""
        data = b""
        with contextlib.suppress(BlockingIOError):
            while block := os.read(self.reader, 65536):
                data += block
        return data.decode()

    def fill(self):
        """Through a description of its own, so that `writer` stays blocking. Returns the number of bytes."""
        fd = os.open(f"/proc/self/fd/{self.writer}", os.O_WRONLY | os.O_NONBLOCK)
        count = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                count += os.write(fd, b"f" * 4096)
        os.close(fd)
        return count

    def close(self):
        os.close(self.reader)
        os.close(self.writer)


def open_descriptors():
    return {name for name in os.listdir("/dev/fd") if os.path.exists(f"/dev/fd/{name}")}


def eventually(condition: Callable[[], object], within_s: float = 10.0) -> None:
    """Wait until it is so; another thread has to make it so."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        select.select([], [], [], 0.002)
