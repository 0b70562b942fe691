"""The small things between tornado and us: its names, what it is told of a connection, and what handlers look at.

Rules for editing: tornado is imported here and nowhere else, inside `Library`.
"""

from collections.abc import Callable
from typing import Any

from ostler.app.environ import Environ
from ostler.app.tornado_stream import PeerSocket
from ostler.http.head import RequestHead


class Library:
    """The names of tornado that are used."""

    def __init__(self) -> None:
        from tornado.httpserver import HTTPServer
        from tornado.httputil import HTTPHeaders, HTTPInputError, HTTPOutputError, RequestStartLine
        from tornado.ioloop import IOLoop
        from tornado.iostream import IOStream, StreamClosedError
        from tornado.websocket import WebSocketHandler

        self.server: Any = HTTPServer
        self.headers: Any = HTTPHeaders
        self.input_error: type[Exception] = HTTPInputError
        self.output_error: type[Exception] = HTTPOutputError
        self.start_line: Any = RequestStartLine
        self.io_loop: Any = IOLoop
        self.stream: Any = IOStream
        self.closed: type[Exception] = StreamClosedError
        self.websocket: Any = WebSocketHandler


class Context:
    """`request.connection.context`: of it tornado takes remote_ip and protocol."""

    def __init__(self, environ: Environ, real: Any) -> None:
        # tornado's own word for a client without an IP address.
        self.remote_ip: str = environ["REMOTE_ADDR"] or "0.0.0.0"
        self.protocol: str = environ["wsgi.url_scheme"]
        self.address = (self.remote_ip, int(environ.get("REMOTE_PORT") or 0))
        self.address_family = real.family

    def __str__(self) -> str:
        return self.remote_ip


class CallStream:
    """`request.connection.stream`, for handlers that look at the socket (request.get_ssl_certificate does)."""

    def __init__(self, sock: PeerSocket, closed: Callable[[], bool]) -> None:
        """`closed`: whether nothing more can be sent."""
        self.socket = sock
        self.closed = closed

    def set_nodelay(self, value: bool) -> None:
        """Nothing: the core sends what it has at once."""


def target(head: RequestHead) -> str:
    """A request's target for tornado, which has no absolute form: whatever stands before the path goes."""
    if head.target.startswith("/") or head.target == "*" or not head.path:
        return head.target
    return f"{head.path}?{head.query}" if head.query else head.path
