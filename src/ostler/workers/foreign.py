"""Worker classes of a user's own: what they and the process that they run in expect of each other.

A class that derives from one of the look-alikes in compat/workers and leaves `run` alone is served by the kind it
derives from. Any other has a loop of its own: it listens, parses and answers, in a process that is ours.

    roles/custom.py     the process: `Engine`, what a class may ask of it
    compat/             Gunicorn's names and shapes: `UserWorker`, what the process asks of the class

Rules for editing: no name of Gunicorn's here; what a class does with its methods is compat's to know.
"""

from collections.abc import Callable
from typing import Protocol

from ostler.config.settings import Settings
from ostler.drivers.client import Client
from ostler.observe.hooks import HookArguments, WorkerFacts

Runner = Callable[[Client, int], None]
"""Serves a client's exchange, as exchanges.ExchangeRunner does: a client, the row of its page. Never raises."""


class Served(Protocol):
    """What runs exchanges; workers.exchanges.ExchangeRunner fits."""

    def __call__(self, client: Client, permit: int) -> None: ...
    def fail(self, client: Client, permit: int, error: BaseException) -> None:
        """Answer the exchange with a 500, instead of a call."""


Around = Callable[[Served], Runner]
"""Puts a user's method around each call."""


class Engine(Protocol):
    """The process, as a user's class may ask of it. In the main thread, but where it says otherwise."""

    def prepare(self) -> None:
        """What the kind needs before the application is imported (monkey patching). Raises BootError."""

    def become_user(self) -> None:
        """Give up the master's rights, as `user` and `group` say. Raises BootError."""

    def signals_are_set(self) -> None:
        """The class has installed its handlers."""

    def load(self) -> object:
        """The application; imported at the first call. Raises AppLoadError, AppBootError."""

    def booted(self) -> None:
        """Call the hook post_worker_init. Raises BootError."""

    def serve(self, application: object) -> None:
        """Be a worker of the kind that the class derives from, until it is drained. Raises OstlerError."""

    def beat(self) -> None:
        """The worker lives. From a class with a loop of its own, once it has booted: it is ready. Any thread."""

    def leaves(self) -> None:
        """The worker accepts nobody any more, or soon; nobody has told it to. Any thread; again is harmless."""

    def interrupted(self) -> None:
        """Call the hook worker_int."""

    def aborted(self) -> None:
        """Call the hook worker_abort."""

    def ask_for_logs(self) -> None:
        """USR1 was sent to this process alone."""


class UserWorker(Protocol):
    """A worker of a user's class."""

    @property
    def name(self) -> str:
        """Of its class, with its module."""

    @property
    def kind(self) -> str:
        """The kind that serves it, in our loop; empty: it has a `run` of its own, which may still ask for that."""

    @property
    def prepares(self) -> str:
        """The kind that it derives from, or empty.

        Its application needs the preparations of that kind (`Worker.prepare`), and `Engine.serve` is a worker of it.
        """

    @property
    def unheard(self) -> tuple[str, ...]:
        """Methods that the class has replaced and that nobody calls here."""

    @property
    def around(self) -> Around | None:
        """None: it has nothing to put around an application call."""

    @property
    def request_limit(self) -> int:
        """0: none."""

    @property
    def is_booted(self) -> bool:
        """It has loaded what it will serve, as far as it says so."""

    @property
    def hears_of_logs(self) -> bool:
        """With a loop of its own: USR1 tells it of new log files."""

    def run(self) -> None:
        """Boot and serve, with calls of the Engine on the way, until it has left. Raises whatever a user's code does,
        SystemExit among it, and OstlerError.
        """

    def told_to_leave(self) -> None:
        """The master has ordered it, and the process sees to it. Never raises."""

    def told_to_leave_now(self) -> None:
        """The same, of a quick stop. Calls `Engine.interrupted`. Never raises."""

    def told_to_abort(self) -> None:
        """The same, of one that hangs. Calls `Engine.aborted`. Never raises."""

    def logs_taken(self) -> None:
        """New log files are in use, of one that is served. Never raises."""

    def tick(self) -> None:
        """About once a second, of one that is served. Never raises."""


class WorkerArguments(HookArguments, Protocol):
    """What compat makes for the processes. One object for master, molds and workers."""

    def prepare_worker_class(self, settings: Settings) -> str:
        """In a mold, before the application is imported: import the class of `settings`; as UserWorker.prepares.

        Raises BootError.
        """

    def make_worker(self, facts: WorkerFacts, engine: Engine) -> UserWorker:
        """In the worker: import the class, and make the worker that hooks are given from now on. Raises BootError."""
