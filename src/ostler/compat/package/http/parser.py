"""`gunicorn.http.parser`: the requests of one connection, one after the other.

Rules for editing: as in message.py.
"""

from typing import Any

from ostler.compat.package.http.message import Request
from ostler.compat.package.http.unreader import IterUnreader, SocketUnreader, Unreader


class Parser:
    """An iterator. source: a socket, or an iterable of bytes."""

    mesg_class: type[Request] = Request

    def __init__(self, cfg: Any, source: Any, source_addr: Any) -> None:
        self.cfg = cfg
        self.unreader: Unreader = SocketUnreader(source) if hasattr(source, "recv") else IterUnreader(source)
        self.mesg: Request | None = None
        self.source_addr = source_addr
        self.req_count = 0

    def __iter__(self) -> "Parser":
        return self

    def finish_body(self) -> bool:
        """Read what is left of the current request. Raises ParseException."""
        if self.mesg is not None:
            while self.mesg.read_body(65536):
                pass
        return True

    def __next__(self) -> Request:
        """Raises StopIteration when the connection ends with the last one, ParseException and NoMoreData."""
        if self.mesg is not None:
            if self.mesg.should_close():
                raise StopIteration
            self.finish_body()
            self._answer(self.mesg)
        self.req_count += 1
        self.mesg = self.mesg_class(self.cfg, self.unreader, self.source_addr, self.req_count)
        return self.mesg

    next = __next__

    def _answer(self, request: Request) -> None:
        """Our connection goes on when a request was answered; who reads here answers by himself."""
        exchange = request.exchange
        if not exchange.finished:
            exchange.start(204, "No Content", ())
            exchange.end()
        assert self.unreader.connection is not None
        self.unreader.connection.data_to_send()


class RequestParser(Parser):
    """That of HTTP/1."""
