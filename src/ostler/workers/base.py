"""What every worker kind shares: what it is, and the parts that it is put together from.

A kind decides who turns the loop and who runs the application, and nothing else. The path of a WSGI request between
both is in exchanges.py.

Editing rules: a kind's module imports its library inside `prepare` and later, never at the top: kinds are looked at
where the library is missing.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self, cast

from ostler import real
from ostler.app.environ import EnvironTemplate
from ostler.app.wsgi import Application, WsgiAdapter
from ostler.config.settings import Settings
from ostler.drivers.crew import Crew
from ostler.drivers.doors import Doors
from ostler.drivers.loop import Loop
from ostler.drivers.overdue import Overdue
from ostler.drivers.reactor import Reactor
from ostler.errors import OstlerError
from ostler.logline import fields
from ostler.observe.causes import Cause, cure_for
from ostler.observe.span import SpanMaker
from ostler.workers.exchanges import ExchangeRunner
from ostler.workers.foreign import Around, Runner
from ostler.workers.timed import ThreadWay, TimedRunner, Way

_NO_THREADS: Final = "the system refuses threads"

_log: Final = logging.getLogger("gunicorn.error")

HOSTED_ROWS: Final = 16
"""Of the exchanges that run at once, so many are shown one by one, where their number has no other bound than
`worker_connections`."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker is put together from (roles/assembly.py)."""

    application: object
    settings: Settings
    spans: SpanMaker
    template: EnvironTemplate
    log: logging.Logger
    make_doors: Callable[[Callable[[], bool]], Doors]
    """From: whether an application call could start now."""
    rows: int
    """Of the scoreboard page."""
    loop: Mapping[str, Any]
    """The other arguments of `Loop`."""
    around: Around | None = None
    """What a user's worker class puts around each call of a WSGI application."""
    inherited: bool = False
    """A mold has imported the application, in another process: event loops that are there are not ours to run."""

    @property
    def overdue(self) -> Overdue | None:
        """Who watches over application calls; None without `request_timeout`."""
        return cast("Overdue | None", self.loop.get("overdue"))

    def wsgi_runner(self, way: Callable[[], Way]) -> Runner:
        """Runs the application, which is one for WSGI. `way`: how calls of this kind are looked at and interrupted."""
        adapter = WsgiAdapter(cast(Application, self.application), self.template, self.log, self.settings.sendfile)
        runner = ExchangeRunner(adapter, self.spans)
        if self.overdue is not None:
            runner = TimedRunner(adapter, self.spans, self.overdue, way())
        return runner if self.around is None else self.around(runner)


class ThreadsRefused(OstlerError):
    """The system has no threads to give, and without them nobody is served."""


class Worker(ABC):
    """A worker kind."""

    interfaces: ClassVar[frozenset[str]] = frozenset(("wsgi",))
    """What applications it runs: see `app.loader.interface_of`."""

    multithread: ClassVar[bool] = False
    """wsgi.multithread: another thread (or greenlet) may run the application at the same time."""

    keeps_threads: ClassVar[bool] = False
    """Threads that an application starts while a mold imports it are greenlets: they go on in each worker."""

    renews_loop: ClassVar[bool] = False
    """`prepare` makes anew, in a worker, an event loop that the mold has used."""

    has_only_threads: ClassVar[bool] = True
    """A dump of threads shows all places where the application waits."""

    goes_on_in_forks: ClassVar[bool] = False
    """A process that the application forks keeps the loop: greenlets of the application run there."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop

    @classmethod
    def stacks(cls) -> str:
        """Where the application waits that is in no thread, for a dump. In a signal handler, at any time."""
        return ""

    @classmethod  # noqa: B027  most kinds need nothing
    def prepare(cls) -> None:
        """Before the application is imported, in the process that imports it: monkey patching.

        Raises:
            BootError: a package is missing, or too old; with the cure.
        """

    @classmethod
    @abstractmethod
    def assemble(cls, parts: Parts) -> Self:
        """One that begins with `serve`. After the fork, with the application loaded."""

    def begin(self) -> None:  # noqa: B027  most kinds need nothing
        """Bring up what has to be there before the worker is ready (an event loop, ASGI's lifespan). Once.

        Raises:
            BootError: the application refuses to start.
        """

    @abstractmethod
    def serve(self) -> None:
        """Serve until the loop is finished. Runs in the main thread."""

    def hurry(self, within_s: float) -> bool:
        """A quick stop, in the thread that turns the loop: cut what runs, and let `serve` end within this time.

        False: there is nothing to wait for, the process can be left at once.
        """
        return False


class ThreadedWorker(Worker):
    """A kind whose threads share one reactor."""

    leader_beats: ClassVar[bool]
    """Whoever leads writes the heartbeat; otherwise only the thread that may run the application, whose hang counts."""

    def __init__(self, reactor: Reactor, threads: int) -> None:
        super().__init__(reactor)
        self.reactor = reactor
        self.threads = threads
        self.failure: BaseException | None = None
        """Of a thread that led; nobody would notice that it is missing."""

    way: ClassVar[Callable[[], Way]] = ThreadWay
    """How an overdue call is interrupted."""

    @classmethod
    def permits(cls, threads: int) -> int:
        """How many application calls may run at once."""
        return threads

    def start(self, work: Callable[[], object], names: Sequence[str], least: int) -> list[real.Thread]:
        """Threads that do `work`. What that raises ends the worker, by `serve`. Fewer than `names`, but not than
        `least`, where the system has no more to give. Raises ThreadsRefused.
        """

        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001  the border of a thread
                self.failure = self.failure or error
                self.reactor.finish()

        started: list[real.Thread] = []
        for name in names:
            thread = real.Thread(guarded, name)
            try:
                thread.start()
            except (RuntimeError, MemoryError) as error:
                words = {"started": len(started), "wanted": len(names), "error": error}
                line = fields(_NO_THREADS, **words, cause=Cause.THREADS, cure=cure_for(Cause.THREADS))
                if len(started) < least:
                    raise ThreadsRefused(line) from error
                _log.warning("%s", line)
                break
            started.append(thread)
        return started

    @classmethod
    def assemble(cls, parts: Parts) -> Self:
        """See `Worker`."""
        threads = parts.settings.threads
        crew = Crew(cls.permits(threads))
        reactor = Reactor(
            crew=crew,
            leader_beats=cls.leader_beats,
            run_exchange=parts.wsgi_runner(cls.way),
            doors=parts.make_doors(lambda: crew.has_permit),
            **parts.loop,
        )
        return cls(reactor, threads)
