"""The path of a WSGI request between the loop, the adapter and the span, whoever runs the application.

Rules for editing: it runs for every request: measure. One with a deadline goes by timed.py.
"""

from ostler.app.environ import Environ
from ostler.app.wsgi import WsgiAdapter
from ostler.app.wsgi_input import body_stream
from ostler.drivers.client import Client
from ostler.observe.span import SpanMaker


class ExchangeRunner:
    """Runs the application for complete exchanges; the loop calls it with a client and a permit."""

    def __init__(self, adapter: WsgiAdapter, spans: SpanMaker) -> None:
        self._adapter = adapter
        self._spans = spans

    def fail(self, client: Client, permit: int, error: BaseException) -> None:
        """Answer the client's exchange with a 500, without a call of the application. Never raises."""
        exchange = client.exchange
        assert exchange is not None
        response = self._adapter.new_response(exchange, client)
        span = self._spans.begin(permit, exchange.head)
        self._adapter.fail(error, exchange, response)
        span.end({}, response.status, response.fields, exchange.started, exchange.chunked, exchange.body_sent)

    def __call__(self, client: Client, permit: int) -> None:
        """Serve the client's exchange. Never raises."""
        exchange = client.exchange
        assert exchange is not None
        adapter = self._adapter
        response = adapter.new_response(exchange, client)
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
