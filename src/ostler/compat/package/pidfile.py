"""`gunicorn.pidfile`: a pid file as other projects keep one. The server's own is process/pidfile.py, which is locked.

Rules for editing: what is here does what Gunicorn's of that name does, errors included.
"""

import contextlib
import os
import tempfile


class Pidfile:
    """fname: empty for a file in the directory for temporary files."""

    def __init__(self, fname: str) -> None:
        self.fname = fname
        self.pid: int | None = None

    def create(self, pid: int) -> None:
        """Raises RuntimeError when the process that it names lives, or its directory does not exist."""
        running = self.validate()
        if running == os.getpid():
            return
        if running:
            raise RuntimeError(f"Already running on PID {running} (or pid file '{self.fname}' is stale)")
        directory = os.path.dirname(self.fname)
        if directory and not os.path.isdir(directory):
            raise RuntimeError(f"{directory} doesn't exist. Can't create pidfile.")
        self.pid = pid
        fd, name = tempfile.mkstemp(dir=directory or None)
        with os.fdopen(fd, "w") as file:
            file.write(f"{pid}\n")
            os.fchmod(fd, 0o644)
        if self.fname:
            os.rename(name, self.fname)
        else:
            self.fname = name

    def rename(self, path: str) -> None:
        assert self.pid is not None
        self.unlink()
        self.fname = path
        self.create(self.pid)

    def unlink(self) -> None:
        """If it is ours, and there."""
        with contextlib.suppress(OSError, ValueError):
            if self._read() == self.pid:
                os.unlink(self.fname)

    def validate(self) -> int | None:
        """The pid in it, if such a process lives. Raises OSError when it cannot be read."""
        if not self.fname:
            return None
        try:
            pid = self._read()
            os.kill(pid, 0)
        except (FileNotFoundError, ValueError, ProcessLookupError, OverflowError):
            return None
        except PermissionError as error:
            if error.filename is not None:  # of the file
                raise
        return pid

    def _read(self) -> int:
        with open(self.fname) as file:
            return int(file.read() or 0)
