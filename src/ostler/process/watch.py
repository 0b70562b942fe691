"""Notices when a file of the loaded code changes: the `reload` settings, for development.

What is compared is always the same (`Snapshot`: time and size of each file); the engine only says when to look. Polling
looks every second. inotify(7) looks when an entry of a directory changed that could matter, and every five seconds all
the same: it is told nothing of network file systems, of directories that a symbolic link starts to mean, or of modules
that were imported a moment ago.

Rules for editing: what application code could replace (select, time) is bound at import. Nothing here may end the
worker: a directory that cannot be read is not there, an inotify that cannot be had is replaced by polling.
"""

import errno
import os
import select
import sys
import time
from collections.abc import Callable, Collection, Iterable
from fnmatch import fnmatch
from typing import ClassVar, Final, Literal

from ostler import real
from ostler.errors import reason_of
from ostler.logline import fields
from ostler.process import inotify
from ostler.process.watched import (
    CACHE,
    Stamp,
    directories_of,
    file_stamps,
    is_compiled,
    matching_files,
    module_files,
    package_files,
)

Engine = Literal["auto", "poll", "inotify"]

INTERVAL_S: Final = 1.0
SWEEP_S: Final = 5.0
DEBOUNCE_S: Final = 0.05
"""How long inotify waits after an event, so that all files of one save are one change."""

_MASK: Final = (
    inotify.ATTRIB  # touch
    | inotify.CLOSE_WRITE
    | inotify.CREATE
    | inotify.DELETE
    | inotify.DELETE_SELF
    | inotify.MOVED_FROM
    | inotify.MOVED_TO
    | inotify.MOVE_SELF
    | inotify.ONLYDIR
)
_CURES: Final = {
    errno.ENOSPC: "raise fs.inotify.max_user_watches",
    errno.EMFILE: "raise fs.inotify.max_user_instances",
}

_poll = real.poll
_monotonic = time.monotonic


class Snapshot:
    """The stamps that were last seen, by file."""

    def __init__(self, grace_s: float = INTERVAL_S) -> None:
        """grace_s: how long a file may be missing: an editor that writes by renaming makes it vanish for a moment."""
        self._grace_s = grace_s
        self._seen: dict[str, Stamp] = {}
        self._missing_since: dict[str, float] = {}
        self._first = True

    @property
    def known(self) -> Collection[str]:
        """Files that were there, and are to be looked at again."""
        return self._seen.keys()

    @property
    def unsure(self) -> bool:
        """Whether a file is missing, and may come back: look again."""
        return bool(self._missing_since)

    def changed(self, stamps: Iterable[tuple[str, Stamp]], now: float, listed: Collection[str] = ()) -> list[str]:
        """The files that have another stamp than before, that are gone for good, or that are new among `listed`.

        A new file that is not listed is only remembered: a module that was imported now is older than that. So is all
        of the first look.
        """
        current = dict(stamps)
        changed = []
        for filename, stamp in current.items():
            before = self._seen.get(filename)
            if before != stamp and (before is not None or (filename in listed and not self._first)):
                changed.append(filename)
        gone = self._seen.keys() - current.keys()
        self._missing_since = {filename: self._missing_since.get(filename, now) for filename in gone}
        for filename, since in list(self._missing_since.items()):
            if now - since >= self._grace_s:
                del self._missing_since[filename], self._seen[filename]
                changed.append(filename)
        self._seen.update(current)
        self._first = False
        return changed


class DirectoryEvents:
    """inotify on the directories of a set of files. Raises OSError when the kernel gives no (more) watches."""

    def __init__(self) -> None:
        self._inotify = inotify.Inotify()
        self._watched: dict[str, int] = {}
        self._names: dict[int, set[str]] = {}  # one directory may have two names
        self._files: set[str] = set()
        self._last_words: set[str] = set()

    def follow(self, files: Collection[str], entries: Collection[str]) -> None:
        """Watch for changes of `files` and of what the entries of `reload_extra_files` match."""
        self._files = {os.path.abspath(each) for each in files}
        self._files |= {os.path.realpath(each) for each in files if os.path.islink(each)}
        self._last_words = {os.path.basename(entry).replace("**", "*") for entry in entries}
        for directory in directories_of(files, entries) - self._watched.keys():
            try:
                watch = self._inotify.add(directory, _MASK)
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue  # gone meanwhile, or not ours to look at
            self._watched[directory] = watch
            self._names.setdefault(watch, set()).add(directory)

    def wait(self, timeout_s: float) -> bool:
        """Wait for events; whether one of them could matter."""
        poller = _poll()
        poller.register(self._inotify.fileno(), select.POLLIN)
        if not poller.poll(timeout_s * 1000):
            return False
        _poll().poll(DEBOUNCE_S * 1000)
        matter = [self._matters(change) for change in self._inotify.take()]  # each is asked: some are noted there
        return any(matter)

    def close(self) -> None:
        self._inotify.close()

    def _matters(self, change: inotify.Change) -> bool:
        if change.mask & inotify.Q_OVERFLOW:
            return True
        if change.mask & (inotify.IGNORED | inotify.DELETE_SELF | inotify.MOVE_SELF):
            for name in self._names.pop(change.watch, ()):
                del self._watched[name]
            return True
        if change.mask & inotify.ISDIR:
            return change.name != CACHE and not change.mask & inotify.ATTRIB
        if is_compiled(change.name):
            return False
        if change.name.endswith(".py") or any(fnmatch(change.name, word) for word in self._last_words):
            return True
        return any(os.path.join(name, change.name) in self._files for name in self._names.get(change.watch, ()))


class Watcher:
    """Calls `callback(filename)` from its own thread, once for each look that finds changes, until `stop()`.

    It goes on after a change: new code may fail to boot, then the worker that watches stays and the next change counts.
    """

    interval_s: ClassVar[float] = INTERVAL_S

    def __init__(
        self,
        callback: Callable[[str], object],
        *,
        package: str | None = None,
        extra_files: Collection[str] = (),
        engine: Engine = "auto",
        notice: Callable[[str], object] = lambda _line: None,
    ) -> None:
        """package: the module name of the application. extra_files: names and patterns, absolute. notice: takes the one
        log line that says why an engine other than `engine` is used, now or from the watching thread.
        """
        self._thread = real.Thread(self._run, "ostler-watch")
        self._callback = callback
        self._package = package
        self._extra_files = extra_files
        self._notice = notice
        self._snapshot = Snapshot(self.interval_s)
        self._stopping = real.Event()
        self._modules_seen = 0
        self._sweep_at = 0.0
        self._events = self._open_events() if _may_use_inotify(engine) else None
        # Here and not in the thread: a change must not slip in between the first answer and the first look.
        self._look()

    @property
    def engine(self) -> Engine:
        """The one that is used."""
        return "poll" if self._events is None else "inotify"

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end; False when it has not come within that time."""
        return self._thread.join(timeout_s)

    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            if self._wait():
                changed = self._look()
                if changed:
                    self._callback(min(changed))
        if self._events is not None:
            self._events.close()

    def stop(self) -> None:
        """Ask the thread to end; it does within one interval and may be joined."""
        self._stopping.set()

    def _wait(self) -> bool:
        """Whether it is time to look."""
        if self._events is None:
            return not self._stopping.wait(self.interval_s)
        if self._events.wait(self.interval_s):
            return True
        return self._snapshot.unsure or len(sys.modules) != self._modules_seen or _monotonic() >= self._sweep_at

    def _look(self) -> list[str]:
        modules = sys.modules.copy()
        self._modules_seen, self._sweep_at = len(modules), _monotonic() + SWEEP_S
        listed = matching_files(self._extra_files)
        if self._package is not None:
            listed |= package_files(self._package, modules)
        files = listed | module_files(modules.values())
        files.update(self._snapshot.known)
        if self._events is not None:
            try:
                self._events.follow(files, self._extra_files)  # first: then no change is missed between both
            except OSError as error:
                self._events.close()
                self._events = None
                self._fall_back(error)
        return self._snapshot.changed(file_stamps(files), _monotonic(), listed)

    def _open_events(self) -> DirectoryEvents | None:
        try:
            return DirectoryEvents()
        except OSError as error:
            self._fall_back(error)
        return None

    def _fall_back(self, error: OSError) -> None:
        cure = _CURES.get(error.errno or 0)
        values = {"error": reason_of(error)} | ({"cure": cure} if cure else {})
        self._notice(fields("inotify cannot be used, files are polled instead", **values))


def _may_use_inotify(engine: Engine) -> bool:
    return engine == "inotify" or (engine == "auto" and sys.platform == "linux")
