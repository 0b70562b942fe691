"""inotify(7) through ctypes: the kernel says which directory entries change. Linux only.

Rules for editing: the kernel's words only; what they mean for a reload is process/watch.py's.
"""

import ctypes
import errno
import os
import struct
import sys
from dataclasses import dataclass
from typing import Final

from ostler import real

ATTRIB: Final = 0x4
CLOSE_WRITE: Final = 0x8
MOVED_FROM: Final = 0x40
MOVED_TO: Final = 0x80
CREATE: Final = 0x100
DELETE: Final = 0x200
DELETE_SELF: Final = 0x400
MOVE_SELF: Final = 0x800
Q_OVERFLOW: Final = 0x4000
"""Events were lost; `watch` is -1."""
IGNORED: Final = 0x8000
"""The watch is gone: its directory was removed or unmounted."""
ONLYDIR: Final = 0x1000000
ISDIR: Final = 0x40000000

_HEADER: Final = struct.Struct("iIII")
_BLOCK: Final = 65536  # room for at least 240 events

_read = real.read
_close = os.close


@dataclass(frozen=True, slots=True)
class Change:
    """One event. name: the entry of the watched directory; empty when it is about the directory itself."""

    watch: int
    mask: int
    name: str


class Inotify:
    """One queue of events. Raises OSError: ENOSYS off Linux, EMFILE or ENOSPC when the user's limits are reached."""

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise OSError(errno.ENOSYS, "there is no inotify on this system")
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = _checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def fileno(self) -> int:
        """Readable when there are events."""
        return self._fd

    def add(self, directory: str, mask: int) -> int:
        """Watch a directory; its number, which is the same for the same directory. Raises OSError."""
        return _checked(self._libc.inotify_add_watch(self._fd, os.fsencode(directory), ctypes.c_uint32(mask)))

    def take(self) -> list[Change]:
        """What has happened since the last call. Never blocks."""
        changes: list[Change] = []
        while True:
            try:
                data = _read(self._fd, _BLOCK)
            except BlockingIOError:
                return changes
            offset = 0
            while offset < len(data):
                watch, mask, _, length = _HEADER.unpack_from(data, offset)
                offset += _HEADER.size
                name = data[offset : offset + length].rstrip(b"\0")
                changes.append(Change(watch, mask, os.fsdecode(name)))
                offset += length

    def close(self) -> None:
        """End all watches."""
        _close(self._fd)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
