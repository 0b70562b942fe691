"""What load balancers are told while the server is a lame duck: it serves, and is not ready (`readiness_path`).

`Readiness` stands before the application. Until `end` it passes everything on; from then on the paths of the setting
are answered with 503, as a response of the application's would be (hooks, access log, keep-alive), and everything else
still passes. No Retry-After: this process does not come back, and who asks is to ask another.

Rules for editing: called by every thread that runs the application, for every request of a worker that has the setting.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from ostler.app.environ import Environ
from ostler.app.wsgi import Application, StartResponse

_STATUS: Final = "503 Service Unavailable"
_BODY: Final = b"503 Service Unavailable\n"


class Readiness:
    """An application whose readiness can end."""

    def __init__(self, application: Application, paths: Sequence[str]) -> None:
        """paths: as they stand in a request line, SCRIPT_NAME included, without a query."""
        self._application = application
        self._paths = frozenset(unquote_to_bytes(path.partition("?")[0]).decode("latin-1") for path in paths)
        self._ended = False

    def end(self) -> None:
        """From now on this server is not ready. Any thread."""
        self._ended = True

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """PEP 3333."""
        if self._ended and environ["SCRIPT_NAME"] + environ["PATH_INFO"] in self._paths:
            start_response(_STATUS, [("Content-Type", "text/plain; charset=utf-8")])
            return [_BODY]
        return self._application(environ, start_response)


class TornadoReadiness:
    """The same for a tornado application: app/tornado.py asks before it begins a request."""

    def __init__(self, application: object, paths: Sequence[str]) -> None:
        """paths: as of `Readiness`."""
        self.application = application
        self._paths = frozenset(unquote_to_bytes(path.partition("?")[0]) for path in paths)
        self._ended = False

    def end(self) -> None:
        """From now on this server is not ready."""
        self._ended = True

    def refuses(self, path: str) -> bool:
        """Whether a request for `path`, as it stands in a request line, is to be answered with 503."""
        return self._ended and unquote_to_bytes(path) in self._paths


class AsgiReadiness:
    """The same for an application of ASGI 3."""

    def __init__(self, application: Callable[..., Awaitable[None]], paths: Sequence[str]) -> None:
        """paths: as of `Readiness`."""
        self._application = application
        self._paths = frozenset(unquote_to_bytes(path.partition("?")[0]) for path in paths)
        self._ended = False

    def end(self) -> None:
        """From now on this server is not ready."""
        self._ended = True

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """ASGI 3."""
        if self._ended and scope["type"] == "http" and unquote_to_bytes(scope["raw_path"]) in self._paths:
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 503, "headers": headers})
            await send({"type": "http.response.body", "body": _BODY})
            return
        await self._application(scope, receive, send)


AnyReadiness = Readiness | AsgiReadiness | TornadoReadiness
READINESS: Final[dict[str, type[AnyReadiness]]] = {
    "wsgi": Readiness,
    "asgi": AsgiReadiness,
    "tornado": TornadoReadiness,
}
"""By `app.loader.interface_of`."""
