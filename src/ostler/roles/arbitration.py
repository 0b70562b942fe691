"""A server object that does some things in its own way: an embedder's Arbiter, whose methods override Gunicorn's.

They are called when Gunicorn calls them: `manage_workers` and its like about once a second and after each death, and
`handle_hup` and its like in place of what the master does at that signal. What they ask for is told to the supervisor
as a fact; it decides, so nothing that they do takes capacity away.

Rules for editing: users' code; whatever it raises is logged, and only what Gunicorn takes for a stop stops the server.
"""

import logging
import signal
from collections.abc import Callable
from typing import Final

from ostler.observe.hooks import HookArguments, MasterFacts, call_logged
from ostler.supervisor.events import CapacityAsked, Event, ExtraAsked, ExtrasOver, WorkerUnwanted

_AT_THE_START: Final = ("init_signals", "start")
_EACH_SECOND: Final = ("murder_workers", "manage_workers")
_AFTER_A_DEATH: Final = ("reap_workers", "manage_workers")
_SIGNALS: Final = {
    signal.SIGHUP: ("handle_hup", "reload"),
    signal.SIGTERM: ("handle_term", "halt", "stop"),
    signal.SIGINT: ("handle_int", "halt", "stop"),
    signal.SIGQUIT: ("handle_quit", "halt", "stop"),
    signal.SIGTTIN: ("handle_ttin",),
    signal.SIGTTOU: ("handle_ttou",),
    signal.SIGUSR1: ("handle_usr1",),
    signal.SIGUSR2: ("handle_usr2", "reexec"),
    signal.SIGWINCH: ("handle_winch",),
}
"""Which methods make a signal the server object's own affair: the first is called, and may call the others."""


class Arbitration:
    """Fits `observe.hooks.Orders`."""

    def __init__(
        self,
        arguments: HookArguments,
        facts: MasterFacts,
        tell: Callable[[Event], None],
        answer_signal: Callable[[int], None],
        log: Callable[[], logging.Logger],
    ) -> None:
        """tell: gives a fact to the supervisor. answer_signal: what the master does by itself. log: the current one."""
        self._arguments = arguments
        self._facts = facts
        self._tell = tell
        self._answer_signal = answer_signal
        self._log = log
        self._answering: int | None = None
        self._asked = False  # for extra workers, since they were last over
        self.exit_status = 0
        """What it asked for, in place of 0."""
        arguments.take_orders(self)

    # -- when the master calls it

    def begin(self) -> None:
        """The sockets listen, and no worker was started yet."""
        self._call(_AT_THE_START)

    def each_second(self) -> None:
        self._call(_EACH_SECOND)
        if self._asked and self._arguments.own("manage_workers") is None:
            self.end_extras()  # what Gunicorn's own manage_workers does

    def after_death(self) -> None:
        self._call(_AFTER_A_DEATH)

    def answers(self, number: int) -> bool:
        """Whether this signal is its own affair: it has been answered then."""
        methods = _SIGNALS.get(signal.Signals(number), ()) if self._answering is None else ()
        if not any(self._arguments.own(method) is not None for method in methods):
            return False
        self._answering = number
        try:
            self._do(methods[0])
        finally:
            self._answering = None
        return True

    def _call(self, methods: tuple[str, ...]) -> None:
        for method in methods:
            if self._arguments.own(method) is not None:
                self._do(method)

    def _do(self, method: str) -> None:
        """Gunicorn's loop takes StopIteration, HaltServer and KeyboardInterrupt for a stop."""
        try:
            call_logged(self._log(), method, self._stopped_by, getattr(self._arguments.server(), method))
        except _Stop as stop:
            self._log().info("the arbiter stops the server method=%s", method)
            self.end_with(stop.status)
            self._answer_signal(signal.SIGTERM)

    def _stopped_by(self, method: Callable[[], object]) -> None:
        try:
            method()
        except (StopIteration, KeyboardInterrupt) as error:
            raise _Stop(0) from error
        except SystemExit as error:  # HaltServer is one
            raise _Stop(error.code if isinstance(error.code, int) else int(error.code is not None)) from error

    # -- what it asks for

    def spawn(self) -> int | None:
        self._asked = True
        before = set(self._facts.workers)
        self._tell(ExtraAsked())
        return next((pid for pid in self._facts.workers if pid not in before), None)

    def send_away(self, pid: int) -> None:
        self._tell(WorkerUnwanted(pid))

    def end_extras(self) -> None:
        if self._asked:
            self._asked = False
            self._tell(ExtrasOver())

    def change_goal(self, delta: int) -> None:
        for _ in range(abs(delta)):
            self._tell(CapacityAsked(1 if delta > 0 else -1))

    def do_signal(self, number: int) -> bool:
        if self._answering is None:
            return False
        self._answer_signal(number)
        return True

    def end_with(self, status: int) -> None:
        self.exit_status = status


class _Stop(BaseException):
    """Past `call_logged`, which keeps the server going."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status
