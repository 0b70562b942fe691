"""One HTTP/1.x request with its response: the exchange of connection.py.

What an exchange shares with its connection is `Owner`: received bytes, output, and whether the connection closes.

Rules for editing. `start`, `write` and `end` run for every request: measure with `benchmarks/http_core.py`. What is
appended to `output` is on the wire as far as this file is concerned; nothing incomplete may ever look complete there.

Anchors: RFC 9112 sections 6, 7.1 and 9.3; RFC 9110 sections 6.4.1, 9.3.2, 10.1.1, 15.2; PEP 3333 for what an
application may say.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from ostler.http.body import BodyReader, LengthReader
from ostler.http.connection import END, LARGE_HEAD_BYTES, NEED_DATA, End, FileSlice, NeedData, Output, Peer
from ostler.http.encode import DateField, Said, encode_fields, encode_head, encode_trailers, error_body, status_lines
from ostler.http.errors import HttpError, ResponseError
from ostler.http.framing import ResponseFraming, accepts_trailers, response_framing
from ostler.http.head import RequestHead
from ostler.http.received import Received

DISCARD_BYTES: Final = 64 * 1024
"""An unread rest of a request's body up to this size is read and thrown away, so that the connection can stay."""

# Module names, because an attribute of an Enum costs 0.05 µs at each use.
_NO_BODY: Final = ResponseFraming.NO_BODY
_LENGTH: Final = ResponseFraming.LENGTH
_CHUNKED: Final = ResponseFraming.CHUNKED
_UNTIL_CLOSE: Final = ResponseFraming.CLOSE
_BROKEN: Final = ResponseFraming.BROKEN

_INFORMATIONAL: Final = {100: "Continue", 102: "Processing", 103: "Early Hints"}


class Owner(Protocol):
    """What an exchange uses of its connection."""

    peer: Peer
    date: DateField
    received: Received
    output: list[Output]
    closing: bool
    """The current exchange is the last one. Set by whoever learns it first, and never unset."""
    draining: bool
    """`close_if_last` is to be called when a response starts."""

    def close_if_last(self) -> None:
        """Set `closing` if no other request has begun to arrive."""

    def refuse(self, error: HttpError) -> None:
        """See `connection.Connection.refuse`."""

    def close(self) -> None:
        """Nothing more is exchanged."""

    def exchange_answered(self) -> None:
        """The exchange's response is complete."""


class H1Exchange:
    """One request and its response. Made by `H1Connection.next_exchange` only."""

    __slots__ = (
        "_body",
        "_error",
        "_expected",
        "_framing",
        "_mark",
        "_remaining",
        "_starved",
        "aborted",
        "body_sent",
        "connection",
        "finished",
        "head",
        "peer",
        "started",
    )

    def __init__(self, connection: Owner, head: RequestHead, body: BodyReader | None) -> None:
        self.connection = connection
        self.head = head
        self.peer = connection.peer
        self.started = False
        self.finished = False
        self.aborted = False
        """Given up before the response was complete. A body that ends with the connection looks complete all the
        same, unless the driver resets the transport."""
        self.body_sent = 0
        self._body = body
        self._error: HttpError | None = None
        self._expected = head.expect_continue
        """The client waits for 100 Continue, as far as we know."""
        self._starved = False
        self._framing = _NO_BODY
        self._remaining = 0
        self._mark = -1
        """Where the response begins in the connection's output; -1 when part of it was taken, or nothing is there."""

    # -- the request's body ----------------------------------------------------------------------------------

    def read(self, size: int = 65536) -> bytes | NeedData | End:
        """See `connection.Exchange.read`. The first one that finds nothing queues 100 Continue if that is expected."""
        if self._error is not None:
            raise self._error
        body = self._body
        if body is None or body.complete:
            return END
        if size < 1:
            raise ValueError("read: size must be positive")
        received = self.connection.received
        if len(received):
            self._expected = False
        try:
            data = body.read(received, size)
            if not data and not body.complete and received.ended:
                raise HttpError(400, "the client closed before its body was complete")
        except HttpError as error:
            self._error = error
            self.connection.closing = True
            raise
        self._starved = not data and not body.complete
        if data:
            return data
        if body.complete:
            return END
        if self._expected:
            self._expected = False
            if not self.started:
                self.connection.output.append(b"HTTP/1.1 100 Continue\r\n\r\n")
        return NEED_DATA

    @property
    def waits_for_body(self) -> bool:
        """The last read came back with NEED_DATA."""
        return self._starved

    @property
    def chunked(self) -> bool:
        """The response's body goes out in chunks."""
        return self.started and self._framing is _CHUNKED

    @property
    def until_close(self) -> bool:
        """The response's body ends where the connection ends (HTTP/1.0): a break looks like its end."""
        return self.started and self._framing is _UNTIL_CLOSE

    def body_left(self) -> BodyReader | None:
        """The reader of a body of which something is unread, else None."""
        body = self._body
        return None if body is None or body.complete else body

    # -- the response ----------------------------------------------------------------------------------------

    def inform(self, status: int, fields: Sequence[tuple[str, str]]) -> None:
        """See `connection.Exchange.inform`.

        Raises:
            ResponseError: a status that is not 100 to 199 (or is 101), or a field that cannot be sent.
        """
        if not 100 <= status <= 199 or status == 101:
            raise ResponseError("an informational response has a status of 100 or 102 to 199")
        block = encode_fields(fields, Said())
        if self.started or self.finished or self.head.minor == 0:
            return
        status_line = status_lines[status, _INFORMATIONAL.get(status, "")]
        self.connection.output.append(status_line + block + b"\r\n")

    def start(
        self, status: int, reason: str, fields: Sequence[tuple[str, str]], body_length: int | None = None
    ) -> bool:
        """See `connection.Exchange.start`. `body_length` is the whole body's, where the adapter knows it.

        Raises:
            ResponseError: see the contract; also when the response has started already.
        """
        if self.started:
            raise ResponseError("the response has started already")
        if self.finished:
            if self.aborted:
                return False
            raise ResponseError("the exchange is finished")
        status_line = status_lines[status, reason]
        said = Said()
        block = encode_fields(fields, said)
        head = self.head
        if status < 200:
            self._check_switch(status, said)
        framing, length = response_framing(head, status, said.length, body_length)
        connection = self.connection
        if said.close or framing is _UNTIL_CLOSE or (self._body is not None and self._body_bars_reuse()):
            connection.closing = True
        elif connection.draining:
            connection.close_if_last()
        ours = b""
        if length is not None:
            ours = b"Content-Length: %d\r\n" % length
            self._remaining = length
        elif framing is _CHUNKED:
            ours = b"Transfer-Encoding: chunked\r\n"
        if connection.closing:
            ours += b"Connection: upgrade\r\n" if status == 101 else b"Connection: close\r\n"
        elif not head.minor:
            ours += b"Connection: keep-alive\r\n"
        output = connection.output
        self._mark = len(output)
        encoded = encode_head(status_line, block, said, ours, connection.date)
        output.append(encoded)
        self._framing = framing
        self.started = True
        return len(encoded) > LARGE_HEAD_BYTES

    def _check_switch(self, status: int, said: Said) -> None:
        """101 is for an application that takes the socket over: nothing that follows is HTTP."""
        if status != 101 or not said.switch or self.head.upgrade is None:
            raise ResponseError("a final response has a status of 200 or more (101 where an upgrade was asked for)")
        self.connection.closing = True

    def _body_bars_reuse(self) -> bool:
        """Whether the request's unread body is known to make this the last response."""
        body = self._body
        if body is None or body.complete:
            return False
        if self._expected and not len(self.connection.received):
            # Without 100 Continue the client may or may not send its body: what comes next could be either.
            return True
        return isinstance(body, LengthReader) and (body.remaining - len(self.connection.received) > DISCARD_BYTES)

    def restart(self) -> bool:
        """See `connection.Exchange.restart`. After it an error response can be started."""
        if not self.started:
            return not self.finished
        output = self.connection.output
        mark = self._mark
        if mark < 0 or self.finished or any(isinstance(piece, FileSlice) for piece in output[mark:]):
            return False
        del output[mark:]
        self._mark = -1
        self.started = False
        self.body_sent = 0
        return True

    def write(self, data: bytes) -> None:
        """See `connection.Exchange.write`. Ignored after `abort`."""
        if not self.started or self.finished:
            if self.aborted:
                return
            raise ResponseError("write outside of a response")
        size = len(data)
        if not size:
            return
        framing = self._framing
        output = self.connection.output
        if framing is _LENGTH:
            remaining = self._remaining
            if size > remaining:
                if remaining:
                    output.append(data[:remaining])
                    self.body_sent += remaining
                    self._remaining = 0
                raise ResponseError(f"the body is longer than its Content-Length, by {size - remaining} bytes")
            self._remaining = remaining - size
            output.append(data)
        elif framing is _CHUNKED:
            output += (b"%x\r\n" % size, data, b"\r\n")
        elif framing is _UNTIL_CLOSE:
            output.append(data)
        else:
            return
        self.body_sent += size

    def write_file(self, piece: FileSlice) -> bool:
        """See `connection.Exchange.write_file`."""
        size = piece.length
        if not self.started or self.finished or size < 1:
            return False
        output = self.connection.output
        match self._framing:
            case ResponseFraming.LENGTH if size <= self._remaining:
                self._remaining -= size
                output.append(piece)
            case ResponseFraming.CHUNKED:
                output += (b"%x\r\n" % size, piece, b"\r\n")
            case ResponseFraming.CLOSE:
                output.append(piece)
            case _:
                return False
        self.body_sent += size
        return True

    def end(self, trailers: Sequence[tuple[str, str]] = ()) -> None:
        """See `connection.Exchange.end`. Ignored after `abort`."""
        if not self.started or self.finished:
            if self.aborted:
                return
            raise ResponseError("end outside of a response")
        framing = self._framing
        if framing is _LENGTH:
            if self._remaining:
                self._framing = _BROKEN
                self.connection.closing = True
                raise ResponseError(f"the body is shorter than its Content-Length, by {self._remaining} bytes")
        elif framing is _CHUNKED:
            end = b"0\r\n\r\n"
            if trailers and accepts_trailers(self.head.fields):
                end = b"0\r\n%b\r\n" % encode_trailers(trailers)
            self.connection.output.append(end)
        elif framing is _BROKEN:
            raise ResponseError("the body is shorter than its Content-Length")
        self.finished = True
        if self._body is not None:
            self._leave_body(self._body)
        self.connection.exchange_answered()

    def refuse(self, error: HttpError) -> None:
        """See `connection.Exchange.refuse`."""
        self.connection.refuse(error)

    def abort(self) -> None:
        """See `connection.Exchange.abort`. What was queued before is still sent."""
        if not self.finished:
            self.finished = True
            self.aborted = True
            if self._body is not None:
                self._leave_body(self._body)
            self.connection.close()

    def _leave_body(self, body: BodyReader, error: HttpError | None = None) -> None:
        """The connection throws the rest away from now on: what was read must not look like the whole."""
        if not body.complete and self._error is None:
            self._error = error or HttpError(400, "the exchange was over before its body was read")

    # -- for the connection ----------------------------------------------------------------------------------

    def taken(self) -> None:
        """`data_to_send` took what was queued."""
        self._mark = -1

    def refused(self, error: HttpError) -> None:
        """The connection answers with an error in this exchange's stead."""
        self.started = True
        self.finished = True
        if self._body is not None:
            self._leave_body(self._body, error)
        self.body_sent = 0 if self.head.method == "HEAD" else len(error_body(error))
