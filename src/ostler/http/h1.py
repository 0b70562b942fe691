"""HTTP/1.0 and 1.1 as a connection (the contract is connection.py; its exchanges are h1_exchange.py).

A connection is in one of four phases, and `_NEXT` is the whole table of its transitions:

    BETWEEN    no exchange; the next head may be arriving
    EXCHANGE   one exchange is unfinished
    DISCARD    its response is complete, the rest of its request's body is thrown away as it arrives
    CLOSED     nothing is read any more; what is queued is still sent

Rules for editing. Bytes behind an unfinished exchange are never looked at. Once anything was in doubt (an HttpError, a
broken off response) the only way is to CLOSED: nothing that arrived later is parsed. Whether the connection closes
behind a response is known in one place, `closing`, and said in the head if it is known by then. `receive`,
`next_exchange` and `data_to_send` run for every request: measure with `benchmarks/http_core.py` before and after.

Anchors: RFC 9112 sections 6.3 (framing), 9.3 (persistence), 9.6 (tear-down); RFC 9110 sections 6.4.1, 9.3.2, 10.1.1.
"""

from enum import Enum, auto
from typing import ClassVar, Final

from ostler.http.body import BodyReader, ChunkedReader, LengthReader
from ostler.http.connection import Output, Peer, Wait
from ostler.http.encode import DateField, error_response
from ostler.http.errors import HttpError
from ostler.http.h1_exchange import DISCARD_BYTES, H1Exchange
from ostler.http.limits import Limits
from ostler.http.parse import HeadScan, parse_head
from ostler.http.received import Received

UNREAD_BYTES: Final = 64 * 1024
"""With more than this unparsed, and nobody reading, the client has to wait."""

LAST_EXCHANGES: Final = 100
"""A client that always has another request on its way is told to go after so many."""

JOIN_BYTES: Final = 64 * 1024
"""Pieces of output up to this size are joined: one system call costs more than the copy."""


class _Phase(Enum):
    BETWEEN = auto()
    EXCHANGE = auto()
    DISCARD = auto()
    CLOSED = auto()


class _Event(Enum):
    HEAD = auto()
    """A request's head was parsed."""
    ANSWERED = auto()
    """The response is complete and the request's body is read: the connection may be used again."""
    BODY_LEFT = auto()
    """The response is complete; a small rest of the request's body is still to come."""
    BODY_GONE = auto()
    """That rest was thrown away."""
    CLOSE = auto()
    """Nothing more will be exchanged, for whatever reason."""


# Module names, because an attribute of an Enum costs 0.05 µs at each use.
_HEAD: Final = _Event.HEAD
_ANSWERED: Final = _Event.ANSWERED
_BETWEEN: Final = _Phase.BETWEEN
_EXCHANGE: Final = _Phase.EXCHANGE
_DISCARD: Final = _Phase.DISCARD
_CLOSED: Final = _Phase.CLOSED

_NEXT: Final[dict[_Phase, dict[_Event, _Phase]]] = {
    _BETWEEN: {_Event.HEAD: _EXCHANGE, _Event.CLOSE: _CLOSED},
    _EXCHANGE: {_Event.ANSWERED: _BETWEEN, _Event.BODY_LEFT: _DISCARD, _Event.CLOSE: _CLOSED},
    _DISCARD: {_Event.BODY_GONE: _BETWEEN, _Event.CLOSE: _CLOSED},
    _CLOSED: {_Event.CLOSE: _CLOSED},
}


class H1Connection:
    """One client that speaks HTTP/1.x: see connection.py for the contract and the module's text for the phases."""

    PROTOCOL: ClassVar[str] = "http"
    """As the setting `protocol` names what it speaks."""

    __slots__ = (
        "_exchange",
        "_exchanges_left",
        "_faulted",
        "_first",
        "_head_bytes",
        "_limits",
        "_phase",
        "_rest",
        "_scan",
        "closing",
        "date",
        "draining",
        "output",
        "peer",
        "received",
    )

    def __init__(self, limits: Limits, peer: Peer, date: DateField, transferred: bool = False) -> None:
        """`transferred`: it has served requests in another process, so silence is keep-alive and not a slow head."""
        self.peer = peer
        self.date = date
        self.received = Received()
        """For exchanges only, as are `output` and `closing`."""
        self.output: list[Output] = []
        self.closing = False
        """The current exchange, or the next one when there is none, is the last."""
        self.draining = False
        """Nobody is to be kept: a response that starts while nothing is behind its request is the last."""
        self._exchanges_left = LAST_EXCHANGES
        self._limits = limits
        self._head_bytes = limits.head_bytes
        self._phase = _BETWEEN
        self._first = not transferred
        self._exchange: H1Exchange | None = None
        self._rest: BodyReader | None = None
        """What phase DISCARD throws away."""
        self._faulted = False
        """`next_exchange` raised, and the client was not told yet."""
        self._scan: HeadScan | None = None
        """How far an incomplete head was looked at; None for the usual head, which arrives in one piece."""

    def receive(self, data: bytes) -> None:
        """Take what was read from the transport; b"" is the end of input. Ignored when closed."""
        received = self.received
        if self._phase is _CLOSED:
            return
        if not data:
            received.ended = True
            if self._phase is _DISCARD or (self._phase is _BETWEEN and not len(received)):
                self.close()
            return
        received.append(data)
        if self._phase is _DISCARD:
            self._discard()

    def next_exchange(self) -> H1Exchange | None:
        """The next request, or None; see the contract.

        Raises:
            HttpError: the bytes that arrived make no request. Nothing is parsed after it.
        """
        if self._phase is not _BETWEEN:
            return None
        received = self.received
        data, start = received.data, received.start
        if start >= len(data):
            return None
        try:
            end = -1 if self._scan is not None or data[start] == 0x0D else data.find(b"\r\n\r\n", start)
            if end < 0 or end + 4 - start > self._head_bytes:
                end = self._find_end()
                if end < 0:
                    return None
                data, start = received.data, received.start
            head = parse_head(data[start:end], self._limits)
        except HttpError:
            self.close()
            self._faulted = True
            raise
        self._scan = None
        self._first = False
        end += 4
        if end == len(data):
            received.data = b""
            received.start = 0
        else:
            received.start = end
        length = head.body_length
        body: BodyReader | None = None
        if length:
            if 0 < self._limits.body < length:
                self.close()
                self._faulted = True
                raise HttpError(413, f"a body of {length} bytes, which is more than limit_request_body")
            body = LengthReader(length) if length > 0 else ChunkedReader(self._limits)
        if not head.keep_alive:
            self.closing = True
        self._phase = _NEXT[_BETWEEN][_HEAD]
        self._exchange = exchange = H1Exchange(self, head, body)
        return exchange

    def _find_end(self) -> int:
        scan = self._scan
        if scan is None:
            scan = self._scan = HeadScan(self._limits)
        end = scan.find_end(self.received)
        if end < 0 and self.received.ended:
            if len(self.received):
                raise HttpError(400, "the client closed before its head was complete")
            self.close()
        return end

    def data_to_send(self) -> list[Output]:
        """Everything queued, in order; small pieces joined, so that a head and a small body are one `bytes`."""
        output = self.output
        if not output:
            return []
        self.output = []
        if self._exchange is not None:
            self._exchange.taken()
        if len(output) == 1:
            return output
        if len(output) == 2:
            head, body = output
            if isinstance(head, bytes) and isinstance(body, bytes) and len(body) <= JOIN_BYTES:
                return [head + body]
        return _join_small(output)

    def refuse(self, error: HttpError) -> None:
        """Answer with `error` unless part of a response was taken already; then close. Ignored when nothing can follow.

        Takes back a started response of which nothing was taken.
        """
        exchange = self._exchange
        if exchange is not None and not exchange.finished:
            if exchange.restart():
                exchange.refused(error)
                omit_body = exchange.head.method == "HEAD"
                self.output.append(error_response(error, self.date, omit_body))
            else:
                exchange.abort()
        elif self._faulted or self._phase is _BETWEEN:
            self._faulted = False
            self.output.append(error_response(error, self.date, omit_body=False))
        self.close()

    def drain(self) -> None:
        """See the contract. What a client has pipelined is answered, as it may not be sent again by itself (RFC 9112
        section 9.3.2). Any thread.

        A driver that wants no other closes the transport when `head_started` is false.
        """
        self.draining = True

    def unread(self) -> bytes:
        """What was received and not parsed, for a transfer. The connection keeps it, too.

        Raises:
            RuntimeError: not between two exchanges.
        """
        if self._phase is not _BETWEEN:
            raise RuntimeError("unread: only between two exchanges")
        received = self.received
        return bytes(received.data[received.start :])

    @property
    def waiting_for(self) -> Wait:
        """Which deadline runs; see Wait."""
        match self._phase:
            case _Phase.BETWEEN:
                return Wait.HEAD if self._first or len(self.received) else Wait.NEXT_REQUEST
            case _Phase.EXCHANGE:
                exchange = self._exchange
                return Wait.BODY if exchange is not None and exchange.waits_for_body else Wait.APPLICATION
            case _Phase.DISCARD:
                return Wait.BODY
            case _Phase.CLOSED:
                return Wait.PEER

    @property
    def wants_data(self) -> bool:
        """False: leave what the client sends in the kernel. At the end of input, when closed, and as backpressure."""
        received = self.received
        phase = self._phase
        if received.ended or phase is _CLOSED:
            return False
        if phase is _EXCHANGE:
            return len(received) <= UNREAD_BYTES
        return len(received) < self._head_bytes

    @property
    def closed(self) -> bool:
        """No exchange will follow: close the transport once everything queued is sent."""
        return self._phase is _CLOSED

    @property
    def head_started(self) -> bool:
        """Between two exchanges, some bytes of the next head are there."""
        return self._phase is _BETWEEN and len(self.received) > 0

    # -- for exchanges ---------------------------------------------------------------------------------------

    def close(self) -> None:
        """Nothing more is exchanged; forget what is not parsed."""
        self._phase = _NEXT[self._phase][_Event.CLOSE]
        self._exchange = None
        self._scan = None
        self.received.clear()

    def close_if_last(self) -> None:
        """Draining, and a response starts: it is the last if nothing has come behind its request."""
        self._exchanges_left -= 1
        received = self.received
        if self._exchanges_left < 1 or not received.data[received.start :].strip(b"\r\n"):
            self.closing = True

    def exchange_answered(self) -> None:
        """The current exchange's response is complete."""
        exchange = self._exchange
        if self.closing or exchange is None:
            self.close()
            return
        body = exchange.body_left()
        self._exchange = None
        if body is not None:
            self._answered_early(body)
            return
        self._phase = _NEXT[_EXCHANGE][_ANSWERED]
        if self.received.ended:
            self._close_at_end()

    def _answered_early(self, body: BodyReader) -> None:
        try:
            left = body.discard(self.received)
        except HttpError:
            left = -1
        if not left:
            self._phase = _NEXT[_EXCHANGE][_ANSWERED]
            self._close_at_end()
        elif 0 < left <= DISCARD_BYTES and not self.received.ended:
            self._phase = _NEXT[_EXCHANGE][_Event.BODY_LEFT]
            self._rest = body
        else:
            self.close()

    def _discard(self) -> None:
        if self._rest is not None and not self._rest.discard(self.received):
            self._rest = None
            self._phase = _NEXT[_DISCARD][_Event.BODY_GONE]
            self._close_at_end()

    def _close_at_end(self) -> None:
        """Between two exchanges, with nothing there and nothing to come, it is over."""
        if self.received.ended and not len(self.received):
            self.close()


def _join_small(output: list[Output]) -> list[Output]:
    """Join neighbours of up to JOIN_BYTES, into pieces of at most twice that."""
    pieces: list[Output] = []
    run: list[bytes] = []
    size = 0
    for piece in output:
        if isinstance(piece, bytes) and len(piece) <= JOIN_BYTES and size <= JOIN_BYTES:
            run.append(piece)
            size += len(piece)
            continue
        if run:
            pieces.append(b"".join(run))
        run, size = [], 0
        if isinstance(piece, bytes) and len(piece) <= JOIN_BYTES:
            run.append(piece)
            size = len(piece)
        else:
            pieces.append(piece)
    if run:
        pieces.append(b"".join(run))
    return pieces
