"""The control socket in the file system: where it is, who may use it, and whose it is.

    control_socket = PATH     asked for: a path that cannot be used is a warning that says the cure
    the default path          a convenience: a path that cannot be used is a line at debug level, and nothing more

A file behind which somebody answers is another server's, and stays; one of a dead server is taken over; at the end only
our own is removed (process/socket_file.py). Directories that are missing are made with mode 0700.

By its mode a file says who may connect, and the kernel sees to it. A mode of more than 0600 is an operator's wish that
others do: then whoever could connect may ask.

Rules for editing: nothing here raises; a server serves whether it has this file or not.
"""

import contextlib
import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ostler.config.address import UnixAddress
from ostler.config.control_path import default_control_socket
from ostler.config.settings import Settings
from ostler.errors import BindError, reason_of
from ostler.process import socket_file

_BACKLOG: Final = 8
_ALL: Final = 0o777
_OTHERS_MAY_CONNECT: Final = 0o022  # connecting takes the right to write (unix(7))
_DIRECTORY_MODE: Final = 0o700

_CURES: Final = {
    errno.ENOENT: "create its directory",
    errno.EACCES: "let the server's user write to its directory, or choose another one",
    errno.EPERM: "let the server's user write to its directory, or choose another one",
    errno.EROFS: "choose a directory that can be written, such as /run",
    errno.ENOSPC: "make room on the device",
    errno.ENOTDIR: "a part of the path is not a directory: choose another one",
}
_OTHERWISE: Final = "choose another path, or set control_socket_disable"


@dataclass(frozen=True, slots=True)
class Wish:
    """path: None when there is no place. asked_for: it was named, and not found by the rule for the default."""

    path: str | None
    mode: int
    asked_for: bool

    @classmethod
    def of(cls, settings: Settings, environ: Mapping[str, str]) -> "Wish | None":
        """None: there shall be none. environ: of the server's start."""
        if settings.control_socket_disable:
            return None
        if settings.control_socket is not None:
            return cls(settings.control_socket, settings.control_socket_mode, True)
        return cls(default_control_socket(environ), settings.control_socket_mode, False)


class Place:
    """A file that listens. Made by `take_place`; one per master."""

    def __init__(self, address: UnixAddress, wish: Wish) -> None:
        """Raises OSError or BindError."""
        self.path = address.path
        self.admits = bool(wish.mode & _OTHERS_MAY_CONNECT)
        """Whether everybody may ask who could connect."""
        self.socket = socket_file.listen_on(address, _BACKLOG, _ALL & ~wish.mode, None)
        self.socket.setblocking(False)
        self._address = address
        self._mark = socket_file.mark_of(address.path)

    def leave(self) -> None:
        """The socket is closed: remove the file, if it is still this one."""
        socket_file.remove(self._address, self._mark)


@dataclass(frozen=True, slots=True)
class NoPlace:
    """why: a line for the log. warns: somebody should do something about it."""

    why: str
    warns: bool


def take_place(wish: Wish) -> Place | NoPlace:
    """Listen there, or say why not."""
    if wish.path is None:
        return NoPlace("neither XDG_RUNTIME_DIR nor a home directory is there", False)
    try:
        _make_directory(os.path.dirname(wish.path))
        return Place(UnixAddress(wish.path), wish)
    except BindError as error:
        return NoPlace(str(error).removeprefix("bind: "), wish.asked_for)
    except OSError as error:
        cure = _CURES.get(error.errno or 0, _OTHERWISE)
        return NoPlace(f"cannot listen on unix:{wish.path}: {reason_of(error)}; {cure}", wish.asked_for)


def _make_directory(path: str) -> None:
    """With those above it. `os.makedirs` would leave these to the umask, which a daemon has at 0."""
    if os.path.isdir(path):
        return
    _make_directory(os.path.dirname(path))
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, _DIRECTORY_MODE)
