"""capture_output: descriptors 1 and 2 while they are the error log's, and what they were before (dup2(2)).

Rules for editing. The descriptors belong to the process, so there is one `STANDARD` in it. What they were at the first
capture is kept for life: it is where losses of the captured log are told, and what a reload without capture_output
goes back to.
"""

import contextlib
import fcntl
import os
import sys
from typing import Final

STDOUT: Final = 1
STDERR: Final = 2


class StandardOutput:
    """Descriptors 1 and 2."""

    def __init__(self) -> None:
        self._former: tuple[int, int] | None = None  # -1: it was closed
        self.captured = False

    @property
    def console(self) -> int:
        """The stderr that the server was started with."""
        return STDERR if self._former is None else self._former[1]

    def capture(self, fd: int) -> None:
        """What is printed goes to `fd` from now on."""
        _flush()
        if self._former is None:
            self._former = (_copy(STDOUT), _copy(STDERR))
        for standard in (STDOUT, STDERR):
            os.dup2(fd, standard)
        self.captured = True

    def release(self) -> None:
        """Back to where the server was started; one that was closed then stays what it is."""
        if not self.captured or self._former is None:
            return
        _flush()
        for former, standard in zip(self._former, (STDOUT, STDERR), strict=True):
            if former >= 0:
                os.dup2(former, standard)
        self.captured = False


def _copy(fd: int) -> int:
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    except OSError:
        return -1


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a full disk behind it, or the application closed it
            if stream is not None:
                stream.flush()


STANDARD: Final = StandardOutput()
