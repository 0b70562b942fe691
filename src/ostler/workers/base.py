"""What every worker kind shares: its parts, and the walk of one exchange through them.

A kind decides who turns the loop and who runs the application, and nothing else. `ExchangeRunner` is the path of a WSGI
request between the loop, the adapter and the span.

Editing rules: a kind's module imports its library inside `prepare` and later, never at the top: kinds are looked at
where the library is missing.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self, cast

from ostler.app.environ import Environ, EnvironTemplate
from ostler.app.wsgi import Application, Response, WsgiAdapter
from ostler.app.wsgi_input import body_stream
from ostler.config.settings import Settings
from ostler.drivers.client import Client
from ostler.drivers.crew import Crew
from ostler.drivers.doors import Doors
from ostler.drivers.loop import Loop
from ostler.drivers.reactor import Reactor
from ostler.observe.span import SpanMaker
from ostler.workers.foreign import Around, Runner

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

    def wsgi_runner(self) -> Runner:
        """Runs the application, which is one for WSGI."""
        application = cast(Application, self.application)
        runner = ExchangeRunner(WsgiAdapter(application, self.template, self.log, self.settings.sendfile), self.spans)
        return runner if self.around is None else self.around(runner)


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

    @classmethod
    def permits(cls, threads: int) -> int:
        """How many application calls may run at once."""
        return threads

    @classmethod
    def assemble(cls, parts: Parts) -> Self:
        """See `Worker`."""
        threads = parts.settings.threads
        crew = Crew(cls.permits(threads))
        reactor = Reactor(
            crew=crew,
            leader_beats=cls.leader_beats,
            run_exchange=parts.wsgi_runner(),
            doors=parts.make_doors(lambda: crew.has_permit),
            **parts.loop,
        )
        return cls(reactor, threads)


class ExchangeRunner:
    """Runs the application for complete exchanges; the loop calls it with a client and a permit."""

    def __init__(self, adapter: WsgiAdapter, spans: SpanMaker) -> None:
        self._adapter = adapter
        self._spans = spans

    def fail(self, client: Client, permit: int, error: BaseException) -> None:
        """Answer the client's exchange with a 500, without a call of the application. Never raises."""
        exchange = client.exchange
        assert exchange is not None
        response = Response(exchange, client)
        span = self._spans.begin(permit, exchange.head)
        self._adapter.fail(error, exchange, response)
        span.end({}, response.status, response.fields, exchange.started, exchange.chunked, exchange.body_sent)

    def __call__(self, client: Client, permit: int) -> None:
        """Serve the client's exchange. Never raises."""
        exchange = client.exchange
        assert exchange is not None
        adapter = self._adapter
        response = Response(exchange, client)
        span = self._spans.begin(permit, exchange.head)
        environ: Environ = {}
        try:
            environ = adapter.environ_for(client.environ, exchange, client, response)
            environ["wsgi.input"] = body_stream(client.body, client.complete, exchange, client)
            span.pre_request(exchange.peer, environ["wsgi.url_scheme"])
        except BaseException as error:  # noqa: BLE001  a hook is user code, and may raise SystemExit
            adapter.fail(error, exchange, response)
        else:
            adapter.serve(environ, exchange, client, response)
        span.end(environ, response.status, response.fields, exchange.started, exchange.chunked, exchange.body_sent)
