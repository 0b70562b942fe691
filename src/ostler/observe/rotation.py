"""When a log file is rotated, and how: access.log -> access.log.1 -> access.log.2 ... and a new access.log.

Only the master rotates. The file is renamed before the new one is opened, and every process writes into the renamed one
until it has the new descriptor: whatever is interrupted in between, no line is lost. A crash there leaves no file of
the name, and the next start makes it.

When a file began is not recorded by every system, but renaming changes the inode (rename(2)): the ctime of access.log.1
says when access.log began. Without that the last write before the start counts, as with the handlers of `logging`.

Rules for editing: times are arguments, in seconds since the epoch; only regular files are touched.
"""

import contextlib
import os
import stat
from dataclasses import dataclass
from datetime import date
from typing import Final

from ostler.logline import escape
from ostler.observe.outlet import LogFileUnusable, open_to_append, why_unusable

DAILY: Final = 86_400  # an interval of one day means local midnight
_RETRY_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Rotation:
    """size: bytes, 0 for no limit. interval: seconds, 0 for none, DAILY for local midnight. keep: how many, >= 1."""

    size: int = 0
    interval: int = 0
    keep: int = 10

    @property
    def on(self) -> bool:
        return self.size > 0 or self.interval > 0


class RotationClock:
    """When one file is due. path: what is renamed, the target where the name is a symbolic link."""

    def __init__(self, rotation: Rotation, path: str, fd: int, now_wall: float) -> None:
        self.rotation = rotation
        self.path = os.path.realpath(path)
        self._not_before = float("-inf")
        self._began = self._beginning(fd, now_wall)

    def due(self, fd: int, now_wall: float) -> bool:
        """Empty files are never due: they would push the last real ones out."""
        if now_wall < self._not_before:
            return False
        try:
            status = os.fstat(fd)
        except OSError:
            return False
        if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
            return False
        if 0 < self.rotation.size <= status.st_size:
            return True
        match self.rotation.interval:
            case 0:
                return False
            case seconds if seconds == DAILY:
                return date.fromtimestamp(now_wall) > date.fromtimestamp(self._began)
            case seconds:
                return now_wall >= self._began + seconds

    def rotated(self, now_wall: float) -> None:
        """A new file began: at the multiple of the interval that has passed, so that checking late adds no drift."""
        interval = self.rotation.interval
        passed = now_wall - self._began
        late = passed % interval if interval and interval != DAILY and passed >= interval else 0.0
        self._began = now_wall - late

    def reopened(self, fd: int, now_wall: float) -> None:
        """Somebody else may have renamed the file: an empty one begins now, another one goes on."""
        with contextlib.suppress(OSError):
            if os.fstat(fd).st_size == 0:
                self._began = now_wall

    def failed(self, now_wall: float) -> None:
        """Not due again for a minute."""
        self._not_before = now_wall + _RETRY_S

    def _beginning(self, fd: int, now_wall: float) -> float:
        try:
            status = os.fstat(fd)
            if status.st_size == 0:
                return now_wall
            began = min(now_wall, status.st_mtime)
            with contextlib.suppress(FileNotFoundError):
                began = min(began, os.stat(f"{self.path}.1").st_ctime)
        except OSError:
            return now_wall
        return began


def step_aside(path: str, fd: int, owner: tuple[int, int] | None, keep: int) -> int:
    """Rename the file behind `fd` to path.1, the others one further, remove those above `keep`; open `path` anew.

    Returns the new descriptor. When `path` is not this file any longer (logrotate, or a second master, was faster), it
    is only opened. Raises LogFileUnusable; the file has its former name then.
    """
    try:
        if not os.path.samestat(os.stat(path), os.fstat(fd)):
            return open_to_append(path, owner)
    except FileNotFoundError:
        return open_to_append(path, owner)
    except OSError as error:
        raise LogFileUnusable(why_unusable(error, path)) from None
    try:
        _make_room(path, keep)
        os.rename(path, f"{path}.1")
    except OSError as error:
        raise LogFileUnusable(f"cannot rename {escape(path)}: {why_unusable(error, path)}") from None
    try:
        return open_to_append(path, owner)
    except LogFileUnusable:
        with contextlib.suppress(OSError):
            os.rename(f"{path}.1", path)
        raise


def _make_room(path: str, keep: int) -> None:
    """Free the name path.1: move what is there up to the first free number, over the last one if there is none."""
    free = 1
    while free < keep and os.path.lexists(f"{path}.{free}"):
        free += 1
    for number in range(free - 1, 0, -1):
        os.rename(f"{path}.{number}", f"{path}.{number + 1}")
    surplus = keep + 1
    while os.path.lexists(f"{path}.{surplus}"):  # keep was larger once
        os.unlink(f"{path}.{surplus}")
        surplus += 1
