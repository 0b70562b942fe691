"""Files of certificates and keys: what is in them, whether they have changed, and their way to a worker.

A worker may not be able to read them, for its privileges are dropped. What the master has read travels as one
descriptor, of memory that has no name (memfd_create(2); a file without a name where the system has no such memory).
OpenSSL, on the other hand, reads files only: `named` gives it a name for bytes.

Rules for editing: private keys pass through here. They never get a name that another process could open.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from typing import Final

Contents = Mapping[str, bytes]
"""Bytes by path."""

Stamp = tuple[int, int, int, int] | None
"""Times (of contents and of rights), size and inode of a file; None: it is not there."""

_BLOCK: Final = 1 << 20

_memory = getattr(os, "memfd_create", None)


class WatchedFiles:
    """Some files that may change. A change counts when it has stood still from one look to the next: whoever renews a
    certificate writes two files, and in between they do not go together.
    """

    def __init__(self, paths: Collection[str]) -> None:
        self._paths = tuple(dict.fromkeys(paths))
        self._told = self._seen = self._stamps()

    def read(self) -> dict[str, bytes]:
        """What is in them now. Raises OSError, which names the file."""
        found = {}
        for path in self._paths:
            with open(path, "rb") as file:
                found[path] = file.read()
        return found

    def changed(self) -> list[str]:
        """The files that have changed since the last list, and not since the last look. About once a second."""
        former, self._seen = self._seen, self._stamps()
        if self._seen != former or self._seen == self._told:
            return []
        changed = [path for path in self._paths if self._seen[path] != self._told[path]]
        self._told = self._seen
        return changed

    def forget(self) -> None:
        """What was told last could not be used: tell it again."""
        self._told = dict.fromkeys(self._paths)

    def _stamps(self) -> dict[str, Stamp]:
        return {path: _stamp(path) for path in self._paths}


def _stamp(path: str) -> Stamp:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def pack(contents: Contents) -> int:
    """A descriptor of `contents`, for `unpack` in another process. Raises OSError."""
    return _nameless(json.dumps({path: data.decode("latin-1") for path, data in contents.items()}).encode())


def unpack(fd: int) -> dict[str, bytes]:
    """What was packed; `fd` is closed. Raises OSError, ValueError."""
    try:
        data = b""
        # pread: all workers share one offset
        while block := os.pread(fd, _BLOCK, len(data)):
            data += block
    finally:
        os.close(fd)
    return {path: text.encode("latin-1") for path, text in json.loads(data).items()}


@contextlib.contextmanager
def named(data: bytes) -> Iterator[str]:
    """A name by which this process, and no other, may open a file that holds `data`. Raises OSError."""
    fd = _nameless(data)
    try:
        os.lseek(fd, 0, os.SEEK_SET)  # outside of Linux opening the name is dup(2), and the offset counts
        yield f"/proc/self/fd/{fd}" if os.path.isdir("/proc/self/fd") else f"/dev/fd/{fd}"
    finally:
        os.close(fd)


def _nameless(data: bytes) -> int:
    if _memory is not None:
        fd = int(_memory("ostler-certificates"))
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(data)
    except BaseException:
        os.close(fd)
        raise
    return fd
