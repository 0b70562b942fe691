"""What the rest of the machine sees of the master: its pid file, its title in `ps`, and `service`, which systemd sees.

While an old master lives beside us (USR2), pid file and title carry ".2", as Gunicorn's; `promoted` takes it away. An
old master that leaves does not remove its file: its successor replaces it by its own, so somebody is always named.

Rules for editing: failures after the start are logged and change nothing; only `appear` raises.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from ostler.config.settings import Settings
from ostler.errors import OstlerError
from ostler.process.pidfile import PidFile, is_held_by, remove_left
from ostler.process.title import set_title
from ostler.roles.service import Service

_SUFFIX: Final = ".2"

_getpid = os.getpid


def worker_title(settings: Settings) -> str:
    """What a worker is called; tools look for these words of Gunicorn's."""
    return f"gunicorn: worker [{settings.proc_name}]"


def mold_title(settings: Settings) -> str:
    """What a mold is called."""
    return f"gunicorn: mold [{settings.proc_name}]"


class Presence:
    """One per master."""

    def __init__(
        self, settings: Settings, predecessor: int, log: Callable[[], logging.Logger], environ: Mapping[str, str]
    ) -> None:
        """predecessor: the pid of an old master that lives; 0: there is none. log: the current error log. environ: as
        it was when this process was started.
        """
        self._settings = settings
        self._second = bool(predecessor)
        self._predecessor = predecessor
        self._left = ""
        """The old master's pid file, if that may leave it to us."""
        self._log = log
        self._file: PidFile | None = None
        self._heir = 0
        self.service = Service(environ, log, heir=self._second)

    def appear(self) -> None:
        """Raises PidFileError (an OstlerError) when another server holds the pid file, or it cannot be written."""
        path = self._settings.pidfile
        if path is not None and self._second and is_held_by(path, self._predecessor):
            self._left = path  # a Gunicorn does not lock its file, and removes it in any case
        self._file = self._created(path)
        self._set_title()

    def succeeded_by(self, pid: int) -> None:
        """From now on `pid` is the process that systemd should look after."""
        self.service.succeeded_by(pid)
        self._heir = 0 if pid == _getpid() else pid

    def promoted(self) -> None:
        """The old master is gone."""
        self._second = False
        self.service.promoted()
        self._set_title()
        if self._file is not None and self._settings.pidfile is not None:
            try:
                self._file.rename(self._settings.pidfile)
            except OstlerError as error:
                self._log().error("%s", error)

    def change(self, settings: Settings) -> None:
        """After a reload."""
        former, self._settings = self._settings, settings
        self._set_title()
        if former.pidfile == settings.pidfile:
            return
        try:
            made = self._created(settings.pidfile)
        except OstlerError as error:
            self._log().error("%s; the former pid file is kept", error)
            self._settings = replace(settings, pidfile=former.pidfile)  # so that the next reload tries again
            return
        if self._file is not None:
            self._file.unlink()
        self._file = made

    def vanish(self) -> None:
        """The master leaves."""
        if self._file is None:
            return
        if not self._heir:
            self._file.unlink()
            if self._second and self._left:
                remove_left(self._left, self._predecessor)
            return
        # First let go, then look, and the heir does the same: if both leave at once, one of them sees it.
        path = self._file.path
        self._file.close_in_child()
        # A Gunicorn does not lock its file, and would not put it in the place of one that is there.
        if not is_held_by(path + _SUFFIX, self._heir):
            remove_left(path, _getpid())

    def close_in_child(self) -> None:
        """A worker must not hold the pid file's lock."""
        self.service.close_in_child()
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close_in_child()

    def _created(self, path: str | None) -> PidFile | None:
        if path is None:
            return None
        made = PidFile(path + _SUFFIX if self._second else path)
        made.create(_getpid())
        return made

    def _set_title(self) -> None:
        set_title(f"gunicorn: master [{self._settings.proc_name}{_SUFFIX if self._second else ''}]")
