"""Ours and the others: each reads a client's bytes to their end, serving every request, and tells what it saw.

Fields are compared as RFC 9110 section 5 has them: names in lower case, values without the white space around them.
gunicorn_h1c takes part where it is installed; it needs a compiler, so nothing asks for it.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import h11
import httptools
from gunicorn.config import Config
from gunicorn.http.errors import NoMoreData
from gunicorn.http.parser import RequestParser

from ostler.http.connection import END, NEED_DATA
from ostler.http.encode import DateField
from ostler.http.errors import HttpError
from ostler.http.h1 import H1Connection
from ostler.http.limits import Limits
from tests.unit.http.serving import PEER

SERVED: Final = "served"
"""Everything was served; the connection waits for another request."""
CLOSED: Final = "closed"
"""The last request was the last: what follows it is not looked at."""
REFUSED: Final = "refused"
WAITS: Final = "waits"
"""For the rest of a message."""


@dataclass
class Request:
    method: str
    target: str
    fields: list[tuple[str, str]]
    body: bytes = b""


@dataclass
class Reading:
    """The complete requests, how it ended, and the words of a refusal."""

    requests: list[Request] = field(default_factory=list)
    end: str = SERVED
    reason: str = ""


def ostler(data: bytes) -> Reading:
    connection = H1Connection(Limits(), PEER, DateField())
    connection.receive(data)
    reading = Reading()
    try:
        while (exchange := connection.next_exchange()) is not None:
            head = exchange.head
            request = Request(head.method, head.target, head.fields)
            while isinstance(block := exchange.read(), bytes):
                request.body += block
            if block is NEED_DATA:
                reading.end = WAITS
                return reading
            assert block is END
            exchange.start(200, "OK", [], 0)
            exchange.end()
            reading.requests.append(request)
    except HttpError as error:
        reading.end, reading.reason = REFUSED, f"{error.status} {error.detail}"
        return reading
    if connection.closed:
        reading.end = CLOSED
    elif connection.head_started:
        reading.end = WAITS
    return reading


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def _field(name: bytes, value: bytes) -> tuple[str, str]:
    return _text(name).lower(), _text(value).strip(" \t")


def read_h11(data: bytes) -> Reading:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=64 * 1024)
    connection.receive_data(data)
    reading = Reading()
    request: Request | None = None
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                fields = [_field(name, value) for name, value in event.headers]
                request = Request(_text(event.method), _text(event.target), fields)
            elif isinstance(event, h11.Data):
                assert request is not None
                request.body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert request is not None
                reading.requests.append(request)
                # A 2xx would make a tunnel of CONNECT.
                status = 501 if request.method == "CONNECT" else 200
                connection.send(h11.Response(status_code=status, headers=[("Content-Length", "0")]))
                connection.send(h11.EndOfMessage())
                request = None
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    reading.end = CLOSED
                    return reading
                connection.start_next_cycle()
            else:
                assert event is h11.NEED_DATA, event
                reading.end = WAITS if request is not None or connection.trailing_data[0] else SERVED
                return reading
    except h11.RemoteProtocolError as error:
        reading.end, reading.reason = REFUSED, str(error)
    return reading


class _Llhttp:
    """The callbacks of httptools."""

    def __init__(self) -> None:
        self.reading = Reading()
        self.request: Request | None = None
        self.parser = httptools.HttpRequestParser(self)
        self.keep_alive = True
        self.target = b""

    def on_message_begin(self) -> None:
        self.request = Request("", "", [])
        self.target = b""

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        assert self.request is not None
        self.request.fields.append(_field(name, value or b""))

    def on_headers_complete(self) -> None:
        assert self.request is not None
        self.request.method = _text(self.parser.get_method())
        self.request.target = _text(self.target)
        self.keep_alive = self.parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        assert self.request is not None
        self.request.body += body

    def on_message_complete(self) -> None:
        assert self.request is not None
        self.reading.requests.append(self.request)
        self.request = None


def read_llhttp(data: bytes) -> Reading:
    seen = _Llhttp()
    reading = seen.reading
    try:
        seen.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        reading.end = CLOSED
    except httptools.HttpParserError as error:
        reading.end, reading.reason = REFUSED, f"{type(error).__name__}: {error}"
        if "after `Connection: close`" in reading.reason:
            reading.end = CLOSED
    else:
        # llhttp is silent about how far an unfinished request line got.
        reading.end = WAITS if seen.request is not None else SERVED if seen.keep_alive else CLOSED
    return reading


def _gunicorn(parser: str) -> Callable[[bytes], Reading]:
    config = Config()
    config.set("header_map", "dangerous")
    config.set("http_parser", parser)

    def read(data: bytes) -> Reading:
        reading = Reading()
        requests = RequestParser(config, iter([data]), ("192.0.2.1", 40000))
        try:
            while True:
                message = next(requests)
                fields = [(name.lower(), value) for name, value in message.headers]
                body = b""
                while block := message.body.read(65536):
                    body += block
                reading.requests.append(Request(message.method, message.uri, fields, body))
                if message.should_close():
                    reading.end = CLOSED
                    return reading
        except StopIteration:
            pass
        except NoMoreData as error:
            reading.end = WAITS if error.buf else SERVED
        except Exception as error:  # noqa: BLE001  whatever it raises, a request is refused
            reading.end, reading.reason = REFUSED, f"{type(error).__name__}: {error}"
        return reading

    return read


READERS: Final[dict[str, Callable[[bytes], Reading]]] = {
    "h11": read_h11,
    "llhttp": read_llhttp,
    "gunicorn": _gunicorn("python"),
}
if importlib.util.find_spec("gunicorn_h1c") is not None:
    READERS["gunicorn_h1c"] = _gunicorn("fast")
