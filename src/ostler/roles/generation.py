"""A generation as the master keeps it: everything its processes are started from, pinned for their respawns.

Rules for editing: made whole or not at all; whoever makes one closes what it opened when it cannot finish.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ostler.app.source import Source
from ostler.config.settings import Settings
from ostler.errors import ConfigError
from ostler.observe.hooks import HookArguments, call_ssl_context
from ostler.observe.logs import Logs
from ostler.observe.scoreboard import Scoreboard
from ostler.process.certificates import Certificates, Factory
from ostler.process.listeners import BindOptions
from ostler.process.privileges import can_become
from ostler.process.slots import SlotListeners
from ostler.roles.assembly import rows
from ostler.roles.journal import Journal, open_journal
from ostler.roles.surroundings import EnvironmentOverlay, Surroundings
from ostler.supervisor.policy import GenerationSpec

# The page pool: every worker with a successor and a few that drain, and room for TTIN and reloads with more workers.
_PAGES_PER_WORKER: Final = 4
_SPARE_PAGES: Final = 64


@dataclass(frozen=True, slots=True)
class Generation:
    """Kept for as long as a process of it lives or may be started.

    chdir, pythonpath and privileges are in the settings and applied by the worker. (The settings pin the hooks.)
    """

    number: int
    settings: Settings
    listeners: SlotListeners
    journal: Journal
    scoreboard: Scoreboard
    surroundings: Surroundings
    certificates: Certificates | None

    @property
    def logs(self) -> Logs:
        return self.journal.logs

    @property
    def spec(self) -> GenerationSpec:
        """What the supervisor needs to know of it."""
        settings = self.settings
        return GenerationSpec(
            number=self.number,
            workers=settings.workers,
            timeout_s=settings.timeout,
            graceful_timeout_s=settings.graceful_timeout,
            boot_timeout_s=settings.boot_timeout,
            preload=settings.preload_app,
            surge=settings.reload_surge,
            max_unavailable=settings.reload_max_unavailable,
            canary_s=settings.reload_canary,
            refork_after=settings.refork_after,
            lame_duck_s=settings.lame_duck,
            workers_min=settings.workers_min,
            workers_max=settings.workers_max,
        )


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes generations out of settings; what it needs of the master for that.

    prepare_child: closes what a child of the master must not hold. pin_source: where the application comes from, as of
    the settings that were loaded last.
    """

    hook_arguments: HookArguments
    overlay: EnvironmentOverlay
    prepare_child: Callable[[], None]
    pin_source: Callable[[], Source]

    def journal(self, settings: Settings) -> Journal:
        """Raises ConfigError, also when workers could not become `user`: to be said here, and not at their boot."""
        problem = can_become(settings.user, settings.group)
        if problem:
            raise ConfigError(problem)
        return open_journal(settings, self.hook_arguments, self.prepare_child)

    def certificates(self, settings: Settings, journal: Journal) -> Certificates | None:
        """None: no TLS. Raises ConfigError."""
        log, hook = journal.logs.error, settings.hooks.ssl_context

        def customize(factory: Factory) -> object:
            assert hook is not None
            return call_ssl_context(hook, self.hook_arguments.config(settings, journal.log), factory, log)

        return Certificates.load(settings, None if hook is None else customize)

    def first(
        self,
        settings: Settings,
        listeners: SlotListeners,
        journal: Journal,
        certificates: Certificates | None,
    ) -> Generation:
        pages = max(settings.workers, settings.workers_max) * _PAGES_PER_WORKER + _SPARE_PAGES
        board = Scoreboard(pages, rows(settings))
        return Generation(1, settings, listeners, journal, board, self._surroundings(), certificates)

    def next(self, number: int, settings: Settings, newest: Generation, others: Sequence[Generation]) -> Generation:
        """others: that live, too. Raises BindError or ConfigError, and has changed nothing then."""
        living = {listener for each in (newest, *others) for listener in each.listeners.all()}
        listeners = newest.listeners.rebind(
            settings.bind,
            settings.backlog,
            bind_options(settings),
            settings.workers,
            [each.listeners for each in others],
        )
        try:
            journal = newest.journal if newest.journal.serves(settings) else self.journal(settings)
            try:
                certificates = self.certificates(settings, journal)
            except BaseException:
                if journal is not newest.journal:
                    journal.close()
                raise
        except BaseException:
            for listener in listeners.all():
                if listener not in living:
                    listener.unlink()
                    listener.close()
            raise
        finally:
            newest.logs.install()  # until the new generation is seen to serve, the master speaks where it did
        self.overlay.apply(settings.raw_env)
        # More threads, or another kind, need wider pages. Page numbers stay those of the supervisor's one pool.
        board = newest.scoreboard
        if rows(settings) > board.rows:
            board = Scoreboard(board.pages, rows(settings))
        return Generation(
            number, settings, listeners, journal, board, Surroundings.now(self.pin_source()), certificates
        )

    def _surroundings(self) -> Surroundings:
        return Surroundings.now(self.pin_source())


def bind_options(settings: Settings) -> BindOptions:
    """How listeners are made."""
    return BindOptions(settings.umask, (settings.user, settings.group), settings.reuse_port)
