"""Notices when a file of the loaded code changes: the `reload` setting, for development.

Polling and not inotify: it works on every file system, in containers and over mounts, and a second is soon enough for
somebody who edits. The comparison (`Snapshot`) takes facts and returns an answer; `Watcher` is the thread around it.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType

INTERVAL_S = 1.0


class Snapshot:
    """The modification times that were last seen, by file."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def changed(self, times: Iterable[tuple[str, int]]) -> list[str]:
        """The files among (file, time in ns) whose time is another than before; what is new is only remembered.

        A file that is missing keeps its time: an editor that writes by renaming makes it vanish for a moment.
        """
        changed = []
        for filename, time_ns in times:
            before = self._seen.get(filename)
            self._seen[filename] = time_ns
            if before is not None and before != time_ns:
                changed.append(filename)
        return changed


def module_files(modules: Iterable[ModuleType | None]) -> set[str]:
    """The source files of modules. Anything can stand in sys.modules; what is no module there is passed over."""
    files = set()
    for module in modules:
        if not isinstance(module, ModuleType):
            continue
        # Not module.__file__: a lazy module would import itself for that.
        filename = object.__getattribute__(module, "__dict__").get("__file__")
        if isinstance(filename, str):
            files.add(filename.removesuffix("c") if filename.endswith(".pyc") else filename)
    return files


def package_files(package: str, modules: dict[str, ModuleType]) -> set[str]:
    """Python files under the directories of a package (dotted name; the top-level package counts), imported or not:
    a new file that does not compile is in no module, and its cure must be noticed too.
    """
    paths = getattr(modules.get(package.partition(".")[0]), "__path__", ())
    files = set()
    for path in paths:
        for directory, _, names in os.walk(path):
            files |= {os.path.join(directory, name) for name in names if name.endswith(".py")}
    return files


def modification_times(files: Iterable[str]) -> Iterator[tuple[str, int]]:
    """(file, time in ns) of those that are there."""
    for filename in files:
        try:
            yield filename, os.stat(filename).st_mtime_ns
        except (OSError, ValueError):
            continue


class Watcher(threading.Thread):
    """Calls `callback(filename)` from its own thread, once for each poll that finds changes, until `stop()`.

    It goes on after a change: new code may fail to boot, then the worker that watches stays and the next change counts.
    `package` is the module name of the application.
    """

    def __init__(
        self, callback: Callable[[str], object], *, package: str | None = None, interval_s: float = INTERVAL_S
    ) -> None:
        super().__init__(name="ostler-watch", daemon=True)
        self._callback = callback
        self._package = package
        self._interval_s = interval_s
        self._snapshot = Snapshot()
        self._stopping = threading.Event()
        # Here and not in the thread: a change must not slip in between the first answer and the first look.
        self._changed()

    def run(self) -> None:
        """Poll until stopped."""
        while not self._stopping.wait(self._interval_s):
            changed = self._changed()
            if changed:
                self._callback(min(changed))

    def stop(self) -> None:
        """Ask the thread to end; it does within one interval and may be joined."""
        self._stopping.set()

    def _changed(self) -> list[str]:
        return self._snapshot.changed(modification_times(self._files()))

    def _files(self) -> set[str]:
        modules = sys.modules.copy()
        files = module_files(modules.values())
        return files | package_files(self._package, modules) if self._package is not None else files
