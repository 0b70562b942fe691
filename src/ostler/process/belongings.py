"""The descriptors that a process goes on with: what stands behind each number, and who is told when one is doubtful.

A number belongs to nobody. An application may close some that it did not open (os.closerange, one close too many), and
the kernel gives a free number to whoever opens something next: then a lock file, or the connection to a database, has
the number of a log. And a process that the application forks has all of them, with the same files behind.

    belongings.lost()   looks at all, by fstat(2): for a look once a second
    doubt(error)        a call on a number of ours failed: who has asked to be told looks at once

Rules for editing: `lost` costs a microsecond for each number, `doubt` nothing until something fails. What this process
closes itself is none of its belongings any more: each is asked for its number anew.
"""

import contextlib
import errno
import os
import socket
from collections.abc import Callable
from typing import Final

_DOUBTFUL: Final = (errno.EBADF, errno.ENOTSOCK)
"""No call on a number that is ours fails so."""

LEFT_STATUS: Final = 71
"""Exit status of a worker that leaves because something is lost (sysexits(3): EX_OSERR)."""

_fstat = os.fstat
_close = os.close

Number = Callable[[], int]
"""Of a thing that has one; -1, or ValueError, when it is closed in order."""


class Belongings:
    """Things by name, as they were when they were added."""

    def __init__(self) -> None:
        self._known: list[tuple[str, Number, tuple[int, int]]] = []

    def add(self, name: str, number: Number) -> None:
        """It is there now."""
        found = _identity(_ask(number))
        if found is not None:
            self._known.append((name, number, found))

    def lost(self) -> list[str]:
        """Names of those whose number is closed, or stands for something else. What is closed in order is not lost,
        also when another thread closes it meanwhile: whoever closes in order forgets the number first.
        """
        return [
            name
            for name, number, before in self._known
            if (fd := _ask(number)) >= 0 and _identity(fd) != before and _ask(number) == fd
        ]


class _Alarm:
    """Who is told, in this process; nobody until somebody asks for it."""

    def __init__(self) -> None:
        self.tell: Callable[[], object] = lambda: None


_alarm: Final = _Alarm()


def tell_of_doubt(tell: Callable[[], object]) -> None:
    """From now on call this, in whichever thread finds out; there is one for the whole process."""
    _alarm.tell = tell


def doubt(error: OSError) -> None:
    """A call on a descriptor of ours failed. Returns unless who was told ends the process."""
    if error.errno in _DOUBTFUL:
        _alarm.tell()


def raise_alarm() -> None:
    """Something failed that cannot, as long as what is ours is there. As `doubt`."""
    _alarm.tell()


def close_detached(sock: socket.socket) -> None:
    """Close the number, and let the object forget it: what becomes of the object later must not close it again."""
    fd = sock.detach()
    if fd >= 0:
        with contextlib.suppress(OSError):
            _close(fd)


def _ask(number: Number) -> int:
    try:
        return number()
    except ValueError:
        return -1


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        found = _fstat(fd)
    except OSError:
        return None
    return found.st_dev, found.st_ino
