"""What the rest of the machine sees of the master: its pid file, its title in `ps`, and what systemd is told.

While an old master lives beside us (USR2), pid file and title carry ".2", as Gunicorn's; `promoted` takes it away.

Rules for editing: failures after the start are logged and change nothing; only `appear` raises.
"""

import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from ostler.config.settings import Settings
from ostler.errors import OstlerError
from ostler.process import systemd
from ostler.process.pidfile import PidFile
from ostler.process.title import set_title

_SUFFIX: Final = ".2"

_getpid = os.getpid


def worker_title(settings: Settings) -> str:
    """What a worker is called; tools look for these words of Gunicorn's."""
    return f"gunicorn: worker [{settings.proc_name}]"


class Presence:
    """One per master."""

    def __init__(self, settings: Settings, second: bool, log: Callable[[], logging.Logger]) -> None:
        """second: an old master lives. log: the current error log."""
        self._settings = settings
        self._second = second
        self._log = log
        self._file: PidFile | None = None

    def appear(self) -> None:
        """Raises PidFileError (an OstlerError) when another server holds the pid file, or it cannot be written."""
        self._file = self._created(self._settings.pidfile)
        self._set_title()

    def serves(self) -> None:
        """The first worker is ready."""
        systemd.notify("READY=1\nSTATUS=Ostler serves")

    def succeeded_by(self, pid: int) -> None:
        """From now on `pid` is the process that systemd should look after."""
        systemd.notify(f"MAINPID={pid}")

    def promoted(self) -> None:
        """The old master is gone."""
        self._second = False
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
        if self._file is not None:
            self._file.unlink()

    def close_in_child(self) -> None:
        """A worker must not hold the pid file's lock."""
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
