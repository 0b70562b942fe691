"""What every worker kind shares: its parts, and the walk of one exchange through them.

A kind decides which threads there are (`serve`) and nothing else. `ExchangeRunner` is the path of a request between
the reactor, the adapter and the span.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

from ostler.app.environ import Environ
from ostler.app.wsgi import Response, WsgiAdapter
from ostler.app.wsgi_input import body_stream
from ostler.drivers.client import Client
from ostler.drivers.reactor import Reactor
from ostler.observe.span import SpanMaker


class Worker(ABC):
    """A worker kind: how its threads share one reactor."""

    leader_beats: ClassVar[bool]
    """Whoever leads writes the heartbeat; otherwise only the thread that may run the application, whose hang counts."""

    def __init__(self, reactor: Reactor, threads: int) -> None:
        self.reactor = reactor
        self.threads = threads

    @classmethod
    def permits(cls, threads: int) -> int:
        """How many application calls may run at once."""
        return threads

    @abstractmethod
    def serve(self) -> None:
        """Serve until the reactor is finished. Runs in the main thread."""


class ExchangeRunner:
    """Runs the application for complete exchanges; the reactor calls it with a client and a permit."""

    def __init__(self, adapter: WsgiAdapter, spans: SpanMaker) -> None:
        self._adapter = adapter
        self._spans = spans

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
