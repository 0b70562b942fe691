"""`gunicorn.http.wsgi`: environ and response of a request that somebody else has read (message.py), on his own socket.

The server itself does this in app/environ.py and app/wsgi.py, which this is made of; to replace something here changes
nothing there.

Rules for editing: framing is `H1Exchange`'s affair, and the environ `EnvironTemplate`'s.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any

from ostler.app.environ import EnvironTemplate
from ostler.app.wsgi import FileWrapper
from ostler.compat.package import SERVER, SERVER_SOFTWARE
from ostler.compat.package.http.errors import InvalidResponseHeader
from ostler.http.connection import FileSlice, Peer
from ostler.http.errors import ResponseError

__all__ = ["FileWrapper", "Response", "base_environ", "create", "default_environ"]


def base_environ(cfg: Any) -> dict[str, Any]:
    return {
        "wsgi.errors": sys.stderr,
        "wsgi.version": (1, 0),
        "wsgi.multithread": False,
        "wsgi.multiprocess": cfg.workers > 1,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        "wsgi.input_terminated": True,
        "SERVER_SOFTWARE": SERVER_SOFTWARE,
    }


def default_environ(req: Any, sock: Any, cfg: Any) -> dict[str, Any]:
    return base_environ(cfg) | {
        "wsgi.input": req.body,
        "gunicorn.socket": sock,
        "REQUEST_METHOD": req.method,
        "QUERY_STRING": req.query,
        "RAW_URI": req.uri,
        "SERVER_PROTOCOL": f"HTTP/{req.version[0]}.{req.version[1]}",
    }


def create(req: Any, sock: Any, client: Any, server: Any, cfg: Any) -> tuple["Response", dict[str, Any]]:
    """The response and the environ of `req`. Raises HttpError when the path is not below SCRIPT_NAME."""
    response = Response(req, sock, cfg)
    template = EnvironTemplate(cfg.of_settings, {}, os.environ)
    shared = template.for_connection(Peer(_address(client), _address(server)))
    environ = template.build(shared, req.exchange.head) | default_environ(req, sock, cfg)
    environ["wsgi.url_scheme"] = req.scheme
    environ["wsgi.early_hints"] = response.early_hints
    return response, environ


def _address(given: Any) -> Any:
    if isinstance(given, bytes):
        return given.decode()
    return (given[0], given[1]) if isinstance(given, tuple | list) else given


class Response:
    """What start_response and write do, over a socket that blocks."""

    def __init__(self, req: Any, sock: Any, cfg: Any) -> None:
        self.req = req
        self.sock = sock
        self.cfg = cfg
        self.version = SERVER
        self.status: str | None = None
        self.status_code: int | None = None
        self.headers: list[tuple[str, str]] = []
        self.headers_sent = False
        self.response_length: int | None = None
        self.upgrade = False
        self.must_close = False

    @property
    def sent(self) -> int:
        sent: int = self.req.exchange.body_sent
        return sent

    @property
    def chunked(self) -> bool:
        chunked: bool = self.req.exchange.chunked
        return chunked

    def force_close(self) -> None:
        self.must_close = True

    def should_close(self) -> bool:
        return self.must_close or self.req.should_close() or self.req.exchange.connection.closing

    def is_chunked(self) -> bool:
        return self.chunked

    def start_response(self, status: str, headers: Sequence[tuple[str, str]], exc_info: Any = None) -> Any:
        """Raises AssertionError when it was called before, and exc_info's exception when the head is sent."""
        if exc_info and self.headers_sent:
            raise exc_info[1].with_traceback(exc_info[2])
        if not exc_info and self.status is not None:
            raise AssertionError("Response headers already set!")
        code = status[:3]
        if not code.isdecimal() or status[3:4].strip():
            raise ValueError(f"Invalid status {status!r}")
        self.status, self.status_code, self.headers = status, int(code), list(headers)
        lengths = [value for name, value in headers if name.lower() == "content-length"]
        self.response_length = int(lengths[0]) if lengths else None
        self.upgrade = any(name.lower() == "upgrade" for name, _ in headers)
        return self.write

    def send_headers(self) -> None:
        """Raises InvalidResponseHeader."""
        if self.headers_sent:
            return
        assert self.status is not None, "start_response was not called"
        fields = [*self.headers, ("Connection", "close")] if self.must_close else self.headers
        try:
            self.req.exchange.start(int(self.status[:3]), self.status[4:], fields)
        except ResponseError as error:
            raise InvalidResponseHeader(str(error)) from error
        self.headers_sent = True
        self._send()

    def write(self, arg: bytes) -> None:
        """What is beyond the Content-Length is left out, as by Gunicorn."""
        if not isinstance(arg, bytes):
            raise TypeError(f"{arg!r} is not a byte")
        self.send_headers()
        if self.response_length is not None:
            arg = arg[: max(0, self.response_length - self.sent)]
        if arg:
            self.req.exchange.write(arg)
            self._send()

    def write_file(self, respiter: Any) -> None:
        for block in respiter:
            self.write(block)

    def close(self) -> None:
        """The response is complete. Raises ResponseError when it is shorter than its Content-Length."""
        self.send_headers()
        self.req.exchange.end()
        self._send()

    def early_hints(self, headers: Sequence[tuple[str, str]]) -> None:
        self.req.exchange.inform(103, list(headers))
        self._send()

    def _send(self) -> None:
        for piece in self.req.exchange.connection.data_to_send():
            assert not isinstance(piece, FileSlice)
            self.sock.sendall(piece)
