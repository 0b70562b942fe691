"""`gunicorn.reloader`: threads that watch the files of the modules, over process/watch.py.

Rules for editing: names and arguments are Gunicorn's; what is watched, and how, is decided in process/watch.py.
"""

import sys
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from ostler.process.watch import Engine, Watcher
from ostler.process.watched import matching_files, module_files

_JOIN_S: Final = 5.0


class ReloaderBase:
    """Calls `callback(filename)` when a file has changed, from a thread of its own, from `start()` on."""

    engine: ClassVar[Engine] = "auto"
    daemon = True

    def __init__(
        self,
        extra_files: Iterable[str] | None = None,
        interval: float = 1,
        callback: Callable[[str], Any] | None = None,
    ) -> None:
        """interval: taken for Gunicorn's sake; files are looked at each second, or when the kernel tells of them."""
        self._extra_files = set(extra_files or ())
        self._callback = callback or (lambda _filename: None)
        self._watcher: Watcher | None = None

    def add_extra_file(self, filename: str) -> None:
        self._extra_files.add(filename)  # the watcher looks into the same set

    def get_files(self) -> list[str]:
        return [*module_files(tuple(sys.modules.values())), *matching_files(self._extra_files)]

    def start(self) -> None:
        self._watcher = Watcher(self._callback, extra_files=self._extra_files, engine=self.engine)
        self._watcher.start()

    def stop(self) -> None:
        """Gunicorn's cannot be stopped."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.join(_JOIN_S)

    def is_alive(self) -> bool:
        return self._watcher is not None and self._watcher.is_alive()


class Reloader(ReloaderBase):
    engine = "poll"


class InotifyReloader(ReloaderBase):
    engine = "inotify"


preferred_reloader = ReloaderBase
reloader_engines: Final = {"auto": preferred_reloader, "poll": Reloader, "inotify": InotifyReloader}
