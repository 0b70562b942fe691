"""Unix sockets and their files: taken over only when nobody answers, removed only while they are ours. unix(7).

Failures R11 and N12. Whoever probes, removes and makes a socket file does so in turn: a lock file beside it
(`PATH.lock`, there for a moment only, flock(2)) makes two servers that start at once see each other, and the one that
stops not remove what its successor has just made. The lock is held until the new socket listens, so that a probe never
meets a bound but deaf one. Binding under another name and renaming would not do: two renames overtake each other as
well, and getsockname(2), `ss` and a successor (USR2) would see the wrong name for ever.

Rules for editing: no retries and no waiting, but 100 ms at the very end (`remove_if_dead`); system calls are bound at
import. Only a master makes and removes files.
"""

import contextlib
import fcntl
import os
import socket as _socket
import stat
import sys
from collections.abc import Iterator
from typing import Final

from ostler import real
from ostler.config.address import UnixAddress
from ostler.errors import BindError, reason_of
from ostler.process.refusal import AddressInUse, reason, sentence

_socket_class = real.Socket
_open = real.open_file
_close = os.close
_fstat = os.fstat
_lstat = os.lstat
_chown = os.chown
_unlink = os.unlink
_umask = os.umask
_flock = fcntl.flock
_poll = real.poll

_PROBE_S: Final = 1.0
_LOCK_TRIES: Final = 3
_NAME_BYTES: Final = 107 if sys.platform == "linux" else 103
"""The longest path or abstract name: sun_path without the NUL."""

_ENDING_TRIES: Final = 5
_ENDING_PAUSE_MS: Final = 20


class _Busy(AddressInUse):
    """Somebody makes or removes the file at this moment."""


Mark = tuple[int, int, int]
"""Which file it is: device, inode, and the time it was made in ns, for inode numbers are given again."""
NO_FILE: Final[Mark] = (0, 0, 0)


def listen_on(address: UnixAddress, backlog: int, umask: int, owner: tuple[int, int] | None) -> _socket.socket:
    """A listening socket with its file: of mode 0777 less `umask`, given to the user and group id of `owner`.

    Raises OSError, AddressInUse or BindError; leaves no file then.
    """
    if len(os.fsencode(address.path)) > _NAME_BYTES:
        raise BindError(sentence(address, f"a socket path has at most {_NAME_BYTES} bytes; use a shorter one"))
    if address.abstract:
        return _listen_abstract(address, backlog)
    with _turn(address):
        _clear_stale(address)
        sock = _socket_class(_socket.AF_UNIX, _socket.SOCK_STREAM)
        mark = NO_FILE
        try:
            former = _umask(umask)
            try:
                sock.bind(address.path)
            finally:
                _umask(former)
            mark = mark_of(address.path)
            _give_away(address, owner)
            sock.listen(backlog)
        except BaseException:
            sock.close()
            if mark != NO_FILE:
                _remove(address.path, mark)
            raise
        return sock


def remove(address: UnixAddress, mark: Mark) -> None:
    """Remove the file if it is still the marked one. Never raises: what cannot be removed is taken over as stale."""
    # Busy: a successor is making its own at this moment, and takes over what it finds.
    with contextlib.suppress(OSError, AddressInUse), _turn(address):
        _remove(address.path, mark)


def remove_if_dead(address: UnixAddress, mark: Mark) -> None:
    """The same, unless somebody still listens behind it. Our own copy of the socket is closed.

    When two end at once, one of them finds the lock taken, and must look again: the other may have looked too soon.
    """
    for _ in range(_ENDING_TRIES):
        try:
            with _turn(address):
                if mark_of(address.path) == mark:
                    _clear_stale(address)
                return
        except _Busy:
            _poll().poll(_ENDING_PAUSE_MS)
        except (OSError, BindError):
            return


def mark_of(path: str) -> Mark:
    """What `remove` compares; NO_FILE when there is none."""
    try:
        found = _lstat(path)
    except OSError:
        return NO_FILE
    return (found.st_dev, found.st_ino, found.st_mtime_ns)


def _listen_abstract(address: UnixAddress, backlog: int) -> _socket.socket:
    if sys.platform != "linux":
        raise BindError(sentence(address, "only Linux has abstract sockets; use unix:PATH"))
    sock = _socket_class(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        sock.bind(b"\0" + os.fsencode(address.path))
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _give_away(address: UnixAddress, owner: tuple[int, int] | None) -> None:
    if owner is None:
        return
    found = _lstat(address.path)
    if (found.st_uid, found.st_gid) == owner:
        return
    try:
        _chown(address.path, *owner, follow_symlinks=False)
    except OSError as error:
        why = f"its file cannot be given to user {owner[0]} and group {owner[1]}: {reason_of(error)}; start as root"
        raise BindError(sentence(address, f"{why}, or leave user and group unset")) from error


def _clear_stale(address: UnixAddress) -> None:
    """Remove a socket file that nobody listens behind; raise when there is anything else in the way."""
    try:
        mode = _lstat(address.path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise BindError(sentence(address, "the file exists and is not a socket; remove it"))
    with _socket_class(_socket.AF_UNIX, _socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(address.path)
        except (ConnectionRefusedError, FileNotFoundError):
            pass
        except OSError as error:
            # EAGAIN or a timeout: its backlog is full, so it lives. EACCES: it may live, and is not ours to remove.
            why = f"another server may own it ({reason(error)}); stop that first"
            raise AddressInUse(sentence(address, why)) from error
        else:
            raise AddressInUse(sentence(address, "another server answers there; stop it or choose another path"))
    with contextlib.suppress(FileNotFoundError):
        _unlink(address.path)


def _remove(path: str, mark: Mark) -> None:
    if mark_of(path) == mark:
        # removed meanwhile, or the directory is not ours any more: nothing is left to do
        with contextlib.suppress(OSError):
            _unlink(path)


@contextlib.contextmanager
def _turn(address: UnixAddress) -> Iterator[None]:
    """Nobody else makes or removes this file meanwhile. Raises AddressInUse when somebody does at this moment.

    Where the lock file cannot be made (a directory that is not ours) there is no lock, and bind will say what is wrong.
    """
    path = f"{address.path}.lock"
    fd = _lock(address, path)
    try:
        yield
    finally:
        if fd is not None:
            # In this order: who opens the file before it is gone finds it locked, or not the one of that name.
            with contextlib.suppress(OSError):
                _unlink(path)
            _close(fd)


def _lock(address: UnixAddress, path: str) -> int | None:
    for _ in range(_LOCK_TRIES):
        try:
            fd = _open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        except OSError:
            return None
        try:
            _flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(_fstat(fd), _lstat(path)):
                return fd
            _close(fd)  # its holder removed it after we had opened it: once more
        except FileNotFoundError:
            _close(fd)
        except BlockingIOError:
            _close(fd)
            break
        except OSError:  # a file system without locks
            _close(fd)
            with contextlib.suppress(OSError):
                _unlink(path)
            return None
    raise _Busy(sentence(address, "another server is starting or stopping there; stop that first"))
