"""HUP, until there is a new generation: configuration is loaded in a forked child first, and only then in the master.

The child may raise, exit, crash or hang: the master goes on, and says why nothing changes (failures R2). Several HUPs
are one, but one that comes while the child reads is answered by another reading: the file may have changed since.

Rules for editing: a reload is a state of the master, never a wait.
"""

import contextlib
import os
import select
from collections.abc import Callable
from time import monotonic as _monotonic
from typing import Final

from ostler.config.settings import Settings, keep_until_restart, restart_needed
from ostler.config.usercode import ConfigFileError
from ostler.errors import ConfigError, OstlerError
from ostler.logline import fields
from ostler.process.fork import Death, Trial, why_no_process
from ostler.process.parent import die_with_parent
from ostler.roles import reports
from ostler.roles.generation import Generation, Maker
from ostler.roles.perform import Performer
from ostler.supervisor.actions import Level
from ostler.supervisor.events import Event, SettingsAccepted, SettingsRejected

CHECK_S: Final = 30.0


class Reloader:
    """The configuration check that runs, if one runs, and what follows from it."""

    def __init__(
        self,
        load_settings: Callable[[], Settings],
        maker: Maker,
        performer: Performer,
        tell: Callable[[Event], None],
        say: Callable[[Level, str], None],
    ) -> None:
        """tell: gives a fact to the supervisor. say: writes a line to the log, and to whoever waits for the reload."""
        self._load_settings = load_settings
        self._maker = maker
        self._performer = performer
        self._tell = tell
        self._say = say
        self._number = performer.newest().number  # of the last generation made
        self._trial: Trial | None = None
        self._again = ""  # who asked again during the check
        self.deadline: float | None = None  # of the check

    def checks(self) -> bool:
        """Whether a configuration is looked at just now."""
        return self._trial is not None

    def begin(self, asked_by: str) -> None:
        """Check the configuration, now or once more after the check that runs. asked_by: fields of a log line."""
        if self._trial is not None:
            self._again = asked_by
            return
        self._again = ""
        self._performer.reopen_logs()
        self._say(Level.INFO, f"reloading {asked_by}")
        try:
            self._trial = Trial(self._try_settings, self._performer.forker.leave_all)
        except OSError as error:
            self._reject(f"cannot fork: {why_no_process(error)}")
            return
        self.deadline = _monotonic() + CHECK_S
        self._performer.poller.register(self._trial.fileno(), select.POLLIN)

    def hears(self, fd: int) -> bool:
        """Whether `fd` is the check's; its data are taken."""
        if self._trial is None or fd != self._trial.fileno():
            return False
        if self._trial.ended():
            self._performer.poller.unregister(fd)  # the verdict is taken when the child is reaped
        return True

    def buries(self, death: Death) -> bool:
        """Whether the dead child is the check's; what follows has been done then."""
        if self._trial is None or death.pid != self._trial.pid:
            return False
        self._finish(_problem(self._trial, death))
        return True

    def expire(self, now: float) -> None:
        """Give up a check that takes too long."""
        if self._trial is not None and self.deadline is not None and now >= self.deadline:
            self._trial.kill()
            self._finish(f"the configuration was not loaded within {CHECK_S:.0f} s")

    def abandon(self) -> None:
        """The server stops."""
        if self._trial is not None:
            self._trial.kill()
            self._close()

    def close_in_child(self) -> None:
        if self._trial is not None:
            self._trial.close()

    def _finish(self, problem: str | None) -> None:
        self._close()
        if self._again:
            self.begin(self._again)
        elif problem is not None:
            self._reject(problem)
        else:
            self._take_settings()

    def _close(self) -> None:
        assert self._trial is not None
        trial, self._trial, self.deadline = self._trial, None, None
        with contextlib.suppress(KeyError):  # its pipe had ended before its process did
            self._performer.poller.unregister(trial.fileno())
        trial.close()

    def _try_settings(self) -> None:
        """In the child. Logs are set up too: their configuration is user code as well (failures L5); so may TLS be."""
        die_with_parent(self._performer.shared.facts.pid)
        try:
            settings = self._load_settings()
            self._maker.certificates(settings, self._maker.journal(settings))
        except ConfigFileError as error:
            raise ConfigError(f"{error}\n{error.traceback_text.rstrip()}") from error

    def _take_settings(self) -> None:
        """The configuration is good: load it here, listen, and begin a generation."""
        try:
            generation = self._make(self._load_settings())
        except (Exception, SystemExit) as error:  # noqa: BLE001  the user's file: whatever it raises, we go on
            self._performer.newest().surroundings.source.put_back()
            strange = f"the configuration loads in a process of its own, but not here: {error!r}"
            self._reject(str(error) if isinstance(error, OstlerError) else strange)
            return
        self._performer.adopt(generation)
        self._performer.shared.hooks.on_reload()
        self._tell(SettingsAccepted(generation.spec))

    def _make(self, loaded: Settings) -> Generation:
        newest, living = self._performer.newest(), self._performer.generations.listeners()
        others = [each for each in self._performer.generations.all() if each is not newest]
        generation = self._maker.next(self._number + 1, keep_until_restart(newest.settings, loaded), newest, others)
        self._number += 1
        log = generation.logs.error
        reports.tell_notices(log, loaded)
        reports.tell_doubts(log, generation.certificates)
        for name in restart_needed(newest.settings, loaded):
            text = "setting changed, which needs a restart; the former value stays"
            self._say(Level.WARNING, fields(text, setting=name))
        added = [listener for listener in generation.listeners.all() if listener not in living]
        if added:
            log.info("Listening at: %s (%d)", reports.addresses(added, generation.settings), os.getpid())
        return generation

    def _reject(self, problem: str) -> None:
        summary, _, details = problem.partition("\n")
        if details:
            self._say(Level.ERROR, f"configuration failed\n{details}")
        self._tell(SettingsRejected(summary))


def _problem(trial: Trial, death: Death) -> str | None:
    """What is wrong with the configuration that the dead child tried; None when nothing is."""
    trial.ended()
    if trial.passed:
        return None
    if trial.text is not None:
        return trial.text
    if death.signal is not None:
        return f"the process that loaded the configuration died of {death.signal}"
    return f"the configuration ended the process that loaded it with exit status {death.status}"
