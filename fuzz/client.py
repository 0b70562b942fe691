"""A client of H1Connection with an application behind it: what becomes of bytes, in these pieces, read like this."""

from dataclasses import dataclass, field
from typing import Final

from fuzz.finding import expect
from fuzz.metering import Meter, MeteredReceived
from ostler.http.connection import END, NEED_DATA, FileSlice, Peer, Wait
from ostler.http.encode import DateField
from ostler.http.errors import HttpError
from ostler.http.h1 import H1Connection
from ostler.http.h1_exchange import H1Exchange
from ostler.http.head import RequestHead
from ostler.http.limits import Limits

PEER: Final = Peer(("192.0.2.1", 40000), ("192.0.2.2", 80))
NEXT: Final = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

ENDS, TRANSFERS, COUNTS_LINES, TAKES = 0x08, 0x10, 0x20, 0x40
"""Bits of settings byte 0: input ends behind the stream; move the connection between two requests; count lines; take
the output as soon as it is there."""

READ_ALL, ANSWER_FIRST, READ_ONCE, START_FIRST = range(4)
"""Bits 0 and 1 of settings byte 4: what the application does. The other bits are the size of its reads."""


@dataclass
class Outcome:
    """What became of a connection."""

    served: list[tuple[RequestHead, bytes, bool]] = field(default_factory=list)
    """Head, what was read of the body, whether that was all."""
    methods: list[str] = field(default_factory=list)
    """Of all exchanges, the one that was refused included."""
    status: int | None = None
    sent: bytes = b""
    held_bytes: int = 0
    waits: bool = False
    """It is still open, and nothing more came."""
    aborted: bool = False

    def comparable(self) -> tuple[object, ...]:
        """What must not depend on the pieces."""
        return [(said(head), body) for head, body, _ in self.served], self.status, self.waits


class Client:
    """Drives one connection as a driver and an application would."""

    def __init__(self, limits: Limits, choices: bytes, manner: int, size: int, meter: Meter | None = None) -> None:
        self.limits = limits
        self.settings = choices[0]
        self.manner = manner
        self.size = size
        self.meter = meter
        self.outcome = Outcome()
        self.transferred = 0
        """Requests behind which a transfer was possible; empty lines that were skipped behind it are counted anew."""
        self.exchange: H1Exchange | None = None
        self.body = b""
        self.connection = self.connect()

    def connect(self, transferred: bool = False) -> H1Connection:
        """A new connection."""
        connection = H1Connection(self.limits, PEER, DateField(), transferred)
        if self.meter is not None:
            connection.received = MeteredReceived(self.meter)
        return connection

    def serve(self, pieces: list[bytes]) -> Outcome:
        """Send the pieces, serve what comes of them."""
        outcome = self.outcome
        try:
            for piece in [*pieces, *([b""] if self.settings & ENDS else [])]:
                if self.connection.closed:
                    break
                expect(self.connection.wants_data, "an open connection goes on: it asks for data or has an exchange")
                self.connection.receive(piece)
                outcome.held_bytes = max(outcome.held_bytes, len(self.connection.received.data) - len(piece))
                while self.step():
                    pass
                if self.settings & TRANSFERS and self.exchange is None and not self.connection.closed:
                    self.transfer()
        except HttpError as error:
            outcome.status = error.status
            self.connection.refuse(error)
            self.refused()
        outcome.waits = not self.connection.closed
        self.take()
        return outcome

    def step(self) -> bool:
        """Whether something happened that may be followed by more without new bytes."""
        exchange = self.exchange
        if exchange is None:
            exchange = self.exchange = self.connection.next_exchange()
            if exchange is None:
                return False
            self.body = b""
            self.outcome.methods.append(exchange.head.method)
            if self.manner == START_FIRST:
                exchange.start(200, "OK", [])
        unread = self.manner == ANSWER_FIRST
        while not unread:
            data = exchange.read(self.size)
            if data is NEED_DATA:
                self.take()
                return False
            if data is END:
                break
            expect(isinstance(data, bytes) and 0 < len(data) <= self.size, "read returns 1 to size bytes", data)
            self.body += data if isinstance(data, bytes) else b""
            unread = self.manner == READ_ONCE
        answer = b"%d" % len(self.outcome.served)
        if not exchange.started:
            exchange.start(200, "OK", [], len(answer))
        exchange.write(answer)
        exchange.end()
        self.outcome.served.append((exchange.head, self.body, not unread))
        self.exchange = None
        self.take()
        return True

    def take(self) -> None:
        """Take the output, if now is the time."""
        if self.settings & TAKES or self.connection.closed or self.outcome.waits:
            for piece in self.connection.data_to_send():
                self.outcome.sent += b"" if isinstance(piece, FileSlice) else piece

    def transfer(self) -> None:
        """Go on with another connection, as a sibling process would: once behind each request."""
        former = self.connection
        if self.transferred == len(self.outcome.served):
            return
        self.transferred = len(self.outcome.served)
        if former.received.ended or former.head_started or former.waiting_for is not Wait.NEXT_REQUEST:
            return
        closing = former.closing
        for piece in former.data_to_send():
            self.outcome.sent += b"" if isinstance(piece, FileSlice) else piece
        self.connection = self.connect(transferred=True)
        self.connection.closing = closing

    def refused(self) -> None:
        """After an error nothing is parsed, and nobody reads what was not there before."""
        connection = self.connection
        expect(connection.closed, "a refusal closes the connection")
        expect(not connection.wants_data, "a closed connection wants no data")
        connection.receive(NEXT)
        expect(connection.next_exchange() is None, "nothing is parsed after an error")
        expect(len(connection.received) == 0, "a closed connection keeps nothing")
        exchange = self.exchange
        if exchange is not None:
            self.outcome.aborted = exchange.aborted
            expect(exchange.finished, "a refused exchange is finished")
            try:
                data = exchange.read(self.size)
            except HttpError:
                return
            expect(data is END, "a broken body never goes on", data)


def said(head: RequestHead) -> dict[str, object]:
    """A head's words, comparable."""
    return {name: getattr(head, name) for name in RequestHead.__slots__}
