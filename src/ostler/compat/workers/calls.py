"""What an overridden `handle_request` is given, and how it finds its way to the application.

Gunicorn's kinds pass different things: sync (listener, req, client, addr), gthread (req, conn), those with greenlets
(listener_name, req, sock, addr). Here `client`, `conn` and `sock` are all a `Call`: what of a connection may be looked
at, and `serve`, by which the look-alikes' own handle_request calls the application.

Rules for editing: an exception of the user's code costs its own request only.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Self

from ostler.compat.exchange_views import RequestView
from ostler.compat.look_alike import LookAlike
from ostler.drivers.client import Client
from ostler.observe.hooks import RequestFacts
from ostler.workers.foreign import Runner, Served


class Call(LookAlike):
    """One request that waits for its call; also conn and sock, as far as those are to be had."""

    _called = "client"
    _absent = "recv send sendall close shutdown makefile setblocking settimeout"
    _reasons: ClassVar[dict[str, str]] = dict.fromkeys(
        ("recv", "send", "sendall", "close", "shutdown", "makefile", "setblocking", "settimeout"),
        "the server reads and writes its clients, whose requests may be read ahead",
    )

    def __init__(self, client: Client, row: int, run: Served) -> None:
        self._client = client
        self._row = row
        self._run = run
        self.served = False

    @classmethod
    def of(cls, given: Any) -> Self:
        """Of what a user's method passes on. Raises TypeError."""
        if not isinstance(given, cls):
            raise TypeError("handle_request: pass on the client (or conn, or sock) that it was given")
        return given

    def serve(self) -> None:
        """Call the application, and answer. Once."""
        if self.served:
            raise RuntimeError("handle_request: a request is served once")
        self.served = True
        self._run(self._client, self._row)

    @property
    def sock(self) -> "Call":
        return self

    @property
    def client(self) -> Any:
        """Of a conn: the peer's address."""
        return self.getpeername()

    @property
    def server(self) -> Any:
        return self.getsockname()

    def getpeername(self) -> Any:
        exchange = self._client.exchange
        assert exchange is not None
        return exchange.peer.address

    def getsockname(self) -> Any:
        exchange = self._client.exchange
        assert exchange is not None
        return exchange.peer.local

    def request(self) -> RequestView:
        """req."""
        exchange = self._client.exchange
        assert exchange is not None
        head, peer = exchange.head, exchange.peer
        scheme = self._client.environ.base["wsgi.url_scheme"]
        asked = head.method, head.target, head.path, head.query, head.fields, head.minor
        return RequestView(RequestFacts(*asked, peer.address, scheme, peer.proxied))


def around(handle: Callable[[Call], object], log: Any, run: Served) -> Runner:
    """A runner that calls the user's `handle` for each request, and answers with a 500 what that left unserved."""

    def serve(client: Client, row: int) -> None:
        call = Call(client, row, run)
        try:
            handle(call)
        except BaseException as error:
            if call.served:
                log.error("handle_request raised after the request was served", exc_info=error)
                return
            run.fail(client, row, error)
            return
        if not call.served:
            run.fail(client, row, RuntimeError("handle_request did not call super().handle_request(...)"))

    return serve


def through_pool(pool: Any, runner: Runner, run: Served) -> Runner:
    """A runner that has `runner` called on a thread of a user's pool, and waits: our thread reads no other client."""

    def serve(client: Client, row: int) -> None:
        try:
            done = pool.submit(runner, client, row)
        except Exception as error:  # noqa: BLE001  a pool that is shut down, or broken: a user's class
            run.fail(client, row, error)
            return
        done.result()

    return serve
