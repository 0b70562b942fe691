"""`gunicorn.http.message`: one request, parsed by ostler/http where somebody reads it from an unreader by himself.

Rules for editing: no rule of HTTP is here. What `HttpError` says is raised as Gunicorn's errors are (errors.py).
"""

import io
import time
from typing import Any

from ostler.compat.package.http.errors import InvalidSchemeHeaders, NoMoreData, refusal
from ostler.http.connection import END, NEED_DATA, Peer
from ostler.http.encode import DateField
from ostler.http.errors import HttpError
from ostler.http.forwarded import scheme_of
from ostler.http.h1 import H1Connection
from ostler.http.h1_exchange import H1Exchange
from ostler.http.limits import Leniency, Limits

_NOWHERE = ("127.0.0.1", 0)


class Request:
    """Waits, in its constructor, until the head is there. Raises StopIteration at the end of the source, NoMoreData
    within a head, and ParseException.
    """

    exchange: H1Exchange

    def __init__(self, cfg: Any, unreader: Any, peer_addr: Any, req_number: int = 1) -> None:
        self.cfg = cfg
        self.unreader = unreader
        self.peer_addr = self.remote_addr = peer_addr
        self.req_number = req_number
        self.limit_request_line = cfg.limit_request_line
        self.limit_request_fields = cfg.limit_request_fields
        self.limit_request_field_size = cfg.limit_request_field_size
        self.trailers: list[tuple[str, str]] = []
        self.proxy_protocol_info = None
        self.must_close = False
        self.exchange = self._receive(_connection_of(unreader, cfg, peer_addr))
        head = self.exchange.head
        self.method, self.uri, self.path, self.query = head.method, head.target, head.path, head.query
        self.fragment = head.target.partition("#")[2]
        self.version = (1, head.minor)
        self.headers = [(name.upper(), value) for name, value in head.fields]
        self.scheme = self._scheme()
        self.body = io.BufferedReader(_Body(self))

    def should_close(self) -> bool:
        """Whether the connection ends with this request."""
        return self.must_close or not self.exchange.head.keep_alive

    def force_close(self) -> None:
        self.must_close = True

    def read_body(self, size: int) -> bytes:
        """b"" is its end. Raises ParseException, NoMoreData."""
        connection = self.unreader.connection
        while True:
            try:
                data = self.exchange.read(size)
            except HttpError as error:
                raise (NoMoreData() if connection.received.ended else refusal(error)) from error
            if data is END:
                return b""
            if data is not NEED_DATA:
                assert isinstance(data, bytes)
                return data
            connection.data_to_send()  # 100 Continue is the affair of who reads
            connection.receive(self.unreader.read())

    def _receive(self, connection: H1Connection) -> H1Exchange:
        while True:
            try:
                exchange = connection.next_exchange()
            except HttpError as error:
                raise (NoMoreData() if connection.received.ended else refusal(error)) from error
            if exchange is not None:
                return exchange
            if connection.closed or connection.received.ended:
                if len(connection.received):
                    raise NoMoreData()
                raise StopIteration
            connection.receive(self.unreader.read())

    def _scheme(self) -> str:
        settings, fields = self.cfg.of_settings, self.exchange.head.fields
        trusted = not isinstance(self.peer_addr, tuple) or settings.forwarded_allow_ips.allows(self.peer_addr[0])
        if not trusted or not any(name.upper() in settings.secure_scheme_headers for name, _ in fields):
            return "https" if settings.is_tls else "http"
        try:
            return scheme_of(fields, True, settings.secure_scheme_headers)
        except HttpError as error:
            raise InvalidSchemeHeaders() from error


class Message(Request):
    """Gunicorn's base of Request."""


class _Body(io.RawIOBase):
    def __init__(self, request: Request) -> None:
        self._request = request

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._request.read_body(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _connection_of(unreader: Any, cfg: Any, peer_addr: Any) -> H1Connection:
    """The one that has what was read too far, with the request before it out of the way."""
    connection: H1Connection | None = getattr(unreader, "connection", None)
    if connection is None:
        address = peer_addr if isinstance(peer_addr, tuple | str) else _NOWHERE
        connection = unreader.connection = H1Connection(
            _limits(cfg), Peer(address[:2], _NOWHERE), DateField(int(time.time()))
        )
    return connection


def _limits(cfg: Any) -> Limits:
    return Limits(
        request_line=cfg.limit_request_line,
        fields=cfg.limit_request_fields,
        field_size=cfg.limit_request_field_size,
        leniency=Leniency(
            cfg.permit_obsolete_folding,
            cfg.strip_header_spaces,
            cfg.permit_unconventional_http_method,
            cfg.permit_unconventional_http_version,
            cfg.casefold_http_method,
        ),
    )
