"""The pid file: written in one step, and locked for as long as the master lives. flock(2), link(2), rename(2).

The lock says whether a server runs, the number in the file only which one: a file whose lock is free is stale, whatever
process has its number by now (failures W18). One exception: Gunicorn does not lock, so a living Gunicorn is respected.

A lock belongs to an inode, and the name may mean another inode by the time that we hold it. So nobody writes into a
file that has the name: a finished, locked file gets the name, by link(2) when it is free, else by rename(2) by whoever
holds the lock of the stale file that it replaces. Who gets a lock looks whether its inode still has the name.

Rules for editing: only the holder of the lock renames over or unlinks a name. No handler of signals, no policy. System
calls are bound at import, before a config file could monkey patch them.
"""

import contextlib
import errno
import fcntl
import os
import re
import stat
import subprocess
import tempfile
from typing import Final

from ostler import real
from ostler.errors import OstlerError, reason_of

_open = real.open_file
_close = os.close
_read = real.read
_write = real.write
_fstat = os.fstat
_lstat = os.lstat
_link = os.link
_rename = os.rename
_unlink = os.unlink
_kill = os.kill
_getpid = os.getpid
_flock = fcntl.flock
_sleep = real.sleep

_LIMIT_BYTES: Final = 64
_MODE: Final = 0o644
_FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # NONBLOCK: it could be a pipe
# Another server may be between two steps, or the workers of a dead one may be about to leave.
_TRIES: Final = 100
_PAUSE_S: Final = 0.02

# A command line (words that end in NUL) of a server: a title such as `gunicorn: master [x]`, the command, its script
# after an interpreter, a module after -m. Not `vim gunicorn.conf.py`, nor what only has the name as user or directory.
_SERVER: Final = re.compile(
    r"""^(?:[^\0]*/)?(?:gunicorn3?|ostler)(?:[\0:]|$)
      | ^[^\0]+\0(?:[^\0]*/)?(?:gunicorn3?|ostler)(?:\0|$)
      | \0[^\0]*/bin/(?:gunicorn3?|ostler)(?:\0|$)
      | \0-m\0?(?:gunicorn|ostler)(?:\.app\.\w+)?(?:\0|$)
      | /(?:gunicorn|ostler)/(?:__main__|app/wsgiapp)\.py(?:\0|$)
    """,
    re.VERBOSE,
)

_CURES: Final = {
    errno.ENOENT: "no such directory; create it first (systemd: RuntimeDirectory=)",
    errno.ENOTDIR: "a part of the path is not a directory",
    errno.EACCES: "permission denied; let the user write to the directory, or choose another one",
    errno.EPERM: "not permitted; let the user write to the directory, or choose another one",
    errno.EROFS: "the file system is read-only; choose a directory such as /run",
    errno.ENOSPC: "no space left on the device",
    errno.ELOOP: "it is a symbolic link; remove it, or name the file that it points to",
}
_NO_LINKS: Final = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK}
_NO_LOCKS: Final = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


class PidFileError(OstlerError):
    """The pid file belongs to a server that runs, or cannot be written."""


def is_held_by(path: str, pid: int) -> bool:
    """Whether a server that lives has this pid file, and `pid` is its number. Never raises; not for a file of ours."""
    try:
        fd = _open(path, os.O_RDONLY | _FLAGS)
    except OSError:
        return False
    try:
        return not _lock(fd) and _pid_in(fd) == pid
    except OSError:
        return False
    finally:
        _close(fd)


def remove_left(path: str, pid: int) -> None:
    """Remove the pid file that the server `pid` has let go of, so that nobody holds its lock. Never raises."""
    try:
        fd = _open(path, os.O_RDONLY | _FLAGS)
    except OSError:
        return
    try:
        if _lock(fd) and _has_name(fd, path) and _pid_in(fd) == pid:
            _unlink(path)
    except OSError:
        pass
    finally:
        _close(fd)


class _Locked(Exception):
    """Another process holds the lock of the file that has the name; the argument is the pid in it, None: none."""

    def __init__(self, pid: int | None) -> None:
        super().__init__(pid)
        self.pid = pid


class PidFile:
    """One per master. Between `create` and `unlink` it holds an open, locked file; workers call `close_in_child`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._pid = 0
        self._fd: int | None = None

    def create(self, pid: int) -> None:
        """Write `pid` into the file and lock it. Raises PidFileError when another server runs, or it cannot be done.

        Waits up to 2 s, but only for a lock whose owner seems to be dead.
        """
        try:
            fd, temporary = _make(self.path, pid)
        except OSError as error:
            raise self._failed(error) from error
        try:
            self._give_name(temporary, self.path, pid)
        except BaseException:
            _close(fd)
            with contextlib.suppress(OSError):
                _unlink(temporary)
            raise
        self._pid, self._fd = pid, fd

    def rename(self, path: str) -> None:
        """Give the file another name (`x.pid.2` becomes `x.pid`), which may be that of a stale file.

        Raises PidFileError; then the former name stays.
        """
        if path == self.path:
            return
        if self._fd is None or not self._is_ours():  # somebody has removed it: start again
            renewed = PidFile(path)
            renewed.create(self._pid or _getpid())
            self.close_in_child()
            self.path, self._pid, self._fd = path, renewed._pid, renewed._fd
            return
        self._give_name(self.path, path, self._pid)
        self.path = path

    def unlink(self) -> None:
        """Remove the file if it is still ours, and let the lock go. Never raises."""
        if self._fd is not None and self._is_ours() and _pid_in(self._fd) == self._pid:
            with contextlib.suppress(OSError):
                _unlink(self.path)
        self.close_in_child()

    def close_in_child(self) -> None:
        """Let go of the lock without touching the file. In a child it stays the parent's, until the last process lets
        go of it; a master that does so leaves a stale file, over which its successor can rename its own.
        """
        if self._fd is not None:
            fd, self._fd = self._fd, None
            with contextlib.suppress(OSError):
                _close(fd)

    def _is_ours(self) -> bool:
        return self._fd is not None and _has_name(self._fd, self.path)

    def _give_name(self, source: str, path: str, pid: int) -> None:
        """Let the locked file `source` have the name `path` and no other one."""
        locked: int | None = None
        for _ in range(_TRIES):
            try:
                if _step(source, path, pid):
                    return
            except _Locked as held:
                locked = held.pid
                if locked is not None and _lives(locked):
                    raise PidFileError(_running(path, locked)) from None
                _sleep(_PAUSE_S)
            except OSError as error:
                raise self._failed(error, path) from error
        who = "another process" if locked is None else f"a process that the dead pid {locked} has started"
        raise PidFileError(f"pidfile: {path} is locked by {who}; stop it (fuser {path}) or choose another file")

    def _failed(self, error: OSError, path: str | None = None) -> PidFileError:
        reason = _CURES.get(error.errno or 0, reason_of(error))
        return PidFileError(f"pidfile: cannot write {path or self.path}: {reason}")


def _make(path: str, pid: int) -> tuple[int, str]:
    """A finished, locked file beside `path`, under a name of its own: its descriptor and that name."""
    directory, name = os.path.split(path)
    fd, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=directory or ".")
    try:
        _write(fd, b"%d\n" % pid)
        os.fchmod(fd, _MODE)
        _lock(fd)
    except BaseException:
        _close(fd)
        _unlink(temporary)
        raise
    return fd, temporary


def _step(source: str, path: str, pid: int) -> bool:
    """One try to move `source` to `path`; False: things have changed meanwhile. Raises _Locked and what callers do."""
    try:
        existing = _open_existing(path)
    except FileNotFoundError:
        return _link_to(source, path)
    try:
        if not _lock(existing):
            raise _Locked(_pid_in(existing))
        if not _has_name(existing, path):
            return False
        former = _pid_in(existing)
        if former not in (None, pid, _getpid()) and _is_server(former):
            raise PidFileError(_running(path, former))
        _rename(source, path)
        return True
    finally:
        _close(existing)


def _open_existing(path: str) -> int:
    try:
        fd = _open(path, os.O_RDWR | _FLAGS)
    except PermissionError:
        fd = _open(path, os.O_RDONLY | _FLAGS)  # enough for the lock, but on NFS
    except IsADirectoryError:
        raise PidFileError(f"pidfile: {path} is a directory; name a file") from None
    if not stat.S_ISREG(_fstat(fd).st_mode):
        _close(fd)
        raise PidFileError(f"pidfile: {path} is not a regular file; remove it or choose another file")
    return fd


def _link_to(source: str, path: str) -> bool:
    try:
        _link(source, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A file system without hard links: an empty file takes the name, and is a stale one at the next try.
        with contextlib.suppress(FileExistsError):
            _close(_open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | _FLAGS, _MODE))
        return False
    _unlink(source)
    return True


def _lock(fd: int) -> bool:
    """Whether the lock is ours now. A file system that has no locks gives them to everybody, as with Gunicorn."""
    try:
        _flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _has_name(fd: int, path: str) -> bool:
    try:
        named, held = _lstat(path), _fstat(fd)
    except OSError:
        return False
    return (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)


def _pid_in(fd: int) -> int | None:
    """The number in a file; None when it holds anything else."""
    os.lseek(fd, 0, os.SEEK_SET)
    text = _read(fd, _LIMIT_BYTES).strip()
    return int(text) if text.isdigit() and 0 < int(text) < 2**31 else None


def _lives(pid: int) -> bool:
    try:
        _kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # it lives, and is somebody else's
    return True


def _is_server(pid: int | None) -> bool:
    """Whether the process runs, and is a Gunicorn or an Ostler by its command line.

    Our parents are none: in a container, `sh -c "ostler ..."` may have the number that a former master had.
    """
    return pid is not None and _lives(pid) and pid != os.getppid() and _SERVER.search(_command_line(pid)) is not None


def _command_line(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return os.fsdecode(file.read(65536))
    except OSError:
        pass
    if os.path.exists("/proc/self/cmdline"):
        return ""  # it ended just now
    try:  # no /proc: macOS, BSD
        found = subprocess.run(
            ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return "gunicorn"  # it lives, and that is all we can learn: take no risk
    return "\0".join(found.stdout.split())


def _running(path: str, pid: int | None) -> str:
    return f"pidfile: already running on pid {pid} ({path}); stop it or choose another file"
