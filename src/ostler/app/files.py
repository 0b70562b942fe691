"""Files that an application answers with: which of them the server may send by itself, and how without sendfile(2).

Editing rules: nothing here knows HTTP; when in doubt a file is read through its own read().
"""

import io
import stat
import tempfile
from collections.abc import Callable
from os import fstat
from typing import Final, cast

COPY_BYTES: Final = 256 * 1024
"""How much of a file is read at once when sendfile is off."""

File = io.BufferedReader | io.BufferedRandom | io.FileIO

_FILE_TYPES: Final = (io.BufferedReader, io.BufferedRandom, io.FileIO)


def regular_file(filelike: object) -> File | None:
    """The file itself when its bytes on disk are what read() gives; a GzipFile, say, has a fileno() too."""
    if isinstance(filelike, tempfile._TemporaryFileWrapper):
        filelike = filelike.file
    # A subclass may have a read() of its own, so only the types themselves will do.
    if type(filelike) not in _FILE_TYPES:
        return None
    file = cast(File, filelike)
    raw = file if isinstance(file, io.FileIO) else file.raw
    if type(raw) is not io.FileIO or not stat.S_ISREG(fstat(raw.fileno()).st_mode):
        return None
    if isinstance(file, io.BufferedRandom):
        file.flush()  # what the application wrote last may not have reached the file
    return file


def copy_file(file: File, length: int, deliver: Callable[[bytes], object]) -> None:
    """Hand `length` bytes from where `file` stands to `deliver`, block by block; fewer when it became shorter."""
    while length:
        block = file.read(min(length, COPY_BYTES))
        if not block:
            return
        deliver(block)
        length -= len(block)
