"""The files behind the logs: opened by name, reopened, handed to workers, rotated. How lines get in is in writer.py.

The master opens, reopens and rotates; a worker only takes descriptors that the master sends it (failures L3: after a
drop of privileges it could not open them).

Rules for editing: a descriptor keeps its number for life. Reopening dup2s the new file over it, so that no writing
thread needs a lock, or sees a closed file, or that of somebody else.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ostler.observe.losses import DATE_FORMAT
from ostler.observe.outlet import LogFileUnusable, descriptor_named, open_to_append, outlet_of
from ostler.observe.rotation import DAILY, Rotation, RotationClock, step_aside
from ostler.observe.writer import LineWriter

__all__ = ["DAILY", "DATE_FORMAT", "FileOptions", "LogFile", "LogFileUnusable", "LogSink", "Rotation"]


class LogSink(Protocol):
    """Takes whole lines without their end; never raises, never waits, callable from any thread."""

    def write(self, line: str) -> None: ...


@dataclass(frozen=True, slots=True)
class FileOptions:
    """owner: (uid, gid) of files that are made. rotation: None or one that is not `on` for none.

    clock: monotonic seconds, for reports of losses. wall: seconds since the epoch, for the age of a file.
    """

    owner: tuple[int, int] | None = None
    rotation: Rotation | None = None
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


class LogFile(LineWriter):
    """A sink on a descriptor.

    console: the descriptor that hears of dropped lines. loss_line: makes the line (without its end) that says in the
    log itself how many are missing; set it for a log that programs read, such as JSON.
    """

    def __init__(self, fd: int, name: str, console: int, options: FileOptions | None = None) -> None:
        """On a descriptor that stays its owner's: `close` leaves it open. `name` is for messages."""
        self._options = options or FileOptions()
        self._fd = fd
        self._owned = False
        self._rotation: RotationClock | None = None
        self._mark: tuple[int, int] | None = None
        """What stands behind the number, of a file that was opened here."""
        super().__init__(outlet_of(fd), name, console, self._options.clock)

    @classmethod
    def open(cls, path: str, console: int, options: FileOptions | None = None) -> "LogFile":
        """The log of that name, which is made absolute: a later chdir must not move it. Raises LogFileUnusable."""
        path = os.path.abspath(path)
        options = options or FileOptions()
        log_file = cls(open_to_append(path, options.owner), path, console, options)
        log_file._owned = True
        log_file._mark = _identity(log_file._fd)
        if options.rotation is not None and options.rotation.on and log_file.reopenable:
            log_file._rotation = RotationClock(options.rotation, path, log_file._fd, options.wall())
        return log_file

    @property
    def console(self) -> int:
        return self.losses.console

    @console.setter
    def console(self, fd: int) -> None:
        self.losses.console = fd

    @property
    def loss_line(self) -> Callable[[int], str]:
        return self.losses.line

    @loss_line.setter
    def loss_line(self, make: Callable[[int], str]) -> None:
        self.losses.line = make

    @property
    def fd(self) -> int:
        """The number of the descriptor, for life; -1 when it was closed. What a worker is sent, and `take`s."""
        return self._fd

    @property
    def reopenable(self) -> bool:
        """Whether there is a name to open again; not so for `-` and /dev/stdout, which may be another file by now."""
        return self._owned and descriptor_named(self.name) is None

    def reopen(self) -> int | None:
        """USR1, in the master: open the file by its name again. Returns the descriptor that workers are to be sent.

        None when there is no name to open. Raises LogFileUnusable; the former file is kept then.
        """
        if not self.reopenable or self._fd < 0:
            return None
        self.flush()
        self._replace(open_to_append(self.name, self._options.owner))
        if self._rotation is not None:
            self._rotation.reopened(self._fd, self._options.wall())
        return self._fd

    def take(self, fd: int) -> None:
        """In a worker: go on with this descriptor of the master. It is closed here; the number stays the former."""
        if self._fd < 0:
            os.close(fd)
        elif self._mark is None and self._owned:
            self._adopt(fd)
        else:
            self._replace(fd)

    def mend(self) -> bool:
        """In a worker: when the application has closed the number, or has something else there, go on elsewhere: in the
        file of that name, or on the console until the master sends a descriptor. True: it was so.
        """
        if self._mark is None or self._fd < 0 or _identity(self._fd) == self._mark:
            return False
        self._rotation = None
        try:
            self._adopt(open_to_append(self.name, self._options.owner))
        except LogFileUnusable:
            self._mark, self._fd = None, self.console
            self._use(outlet_of(self._fd))
        return True

    def _adopt(self, fd: int) -> None:
        """Under a number of its own: the former is somebody else's."""
        self._fd, self._mark = fd, _identity(fd)
        self._use(outlet_of(fd))

    def refresh(self) -> None:
        """Somebody dup2ed another file over `fd` (output is captured, the process became a daemon): look again."""
        if self._fd >= 0:
            self._use(outlet_of(self._fd, self._outlet))

    def rotation_due(self, now_wall: float) -> bool:
        """Whether to `rotate` now, in seconds since the epoch. Cheap: the master asks once a second."""
        return self._rotation is not None and self._fd >= 0 and self._rotation.due(self._fd, now_wall)

    def rotate(self, now_wall: float) -> int:
        """Rename the file to name.1, that to name.2 and so on, and go on in a new one. Returns `fd`, for workers.

        When somebody else has renamed the file already, it is only opened anew. Raises LogFileUnusable; lines go on
        into the former file then, and rotation is not due again for a minute.
        """
        rotation = self._rotation
        if rotation is None or self._fd < 0:
            raise LogFileUnusable("rotation is off for this log")
        self.flush()
        try:
            fd = step_aside(rotation.path, self._fd, self._options.owner, rotation.rotation.keep)
        except LogFileUnusable:
            rotation.failed(now_wall)
            raise
        self._replace(fd)
        rotation.rotated(now_wall)
        return self._fd

    def close(self, timeout_s: float = 0.0) -> None:
        """Write what waits, for at most that long, and close what was opened here. Later lines are dropped."""
        if self._fd < 0 or not self.finish(timeout_s):
            return  # a write that does not end: its descriptor must stay what it is
        self._outlet.close()
        fd, self._fd = self._fd, -1
        if self._owned:
            os.close(fd)

    def _replace(self, fd: int) -> None:
        os.dup2(fd, self._fd, inheritable=False)
        os.close(fd)
        self._mark = None if self._mark is None else _identity(self._fd)
        self._use(outlet_of(self._fd, self._outlet))


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(fd)
    except OSError:
        return None
    return found.st_dev, found.st_ino
