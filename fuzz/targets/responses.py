"""Responses: whatever an application says, in whatever order, a client reads what was said or sees that it broke off.

Promises: nothing that the application says adds a line, a field or a response; the body that a strict reader finds is
the body that was written; what cannot be sent raises ResponseError and leaves nothing on the wire; a response that was
given up never looks complete, but where HTTP/1.0 has no other way; the next response begins where this one ends.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from fuzz.finding import Finding, expect
from fuzz.reference.grammar import Broken, Incomplete
from fuzz.reference.responses import Response, read_response
from ostler.http.connection import FileSlice, Peer
from ostler.http.encode import DateField
from ostler.http.errors import HttpError, ResponseError
from ostler.http.h1 import H1Connection
from ostler.http.h1_exchange import H1Exchange
from ostler.http.limits import Limits

SETTINGS_BYTES: Final = 4
SEPARATOR: Final = b"\x1f"
"""Between the words of an input. The one control character that an application cannot say here."""
PEER: Final = Peer(("192.0.2.1", 40000), ("192.0.2.2", 80))

_METHODS: Final = (b"GET", b"HEAD", b"POST", b"OPTIONS")
_STATUSES: Final = (200, 204, 304, 404, 500, 101, 103, 999, 99, 1000, 199, 205, 302, 206, 600, 100)
_LENGTHS: Final = ("none", "right", "short", "long")
_REFUSAL: Final = ("Content-Type", "text/plain; charset=utf-8")
_OURS: Final = {"server", "date", "content-length", "transfer-encoding", "connection"}

_HTTP_1_0, _CLOSE, _UPGRADE, _INFORM, _RESTART, _TAKE, _FILES, _GIVE_UP = (1 << bit for bit in range(8))
"""Bits of byte 1 of an input."""


@dataclass
class Plan:
    """What an application is going to say."""

    method: bytes
    status: int
    length: str
    flags: int
    reason: str
    fields: list[tuple[str, str]]
    blocks: list[bytes]


def read_plan(data: bytes) -> Plan:
    """Byte 0: method and what is said of the length; 1: flags; 2: status; 3: how many words are fields.

    Behind that, separated: the reason, names and values in turn, blocks of the body.
    """
    first, flags, status, count = data[:SETTINGS_BYTES].ljust(SETTINGS_BYTES, b"\0")
    reason, *words = data[SETTINGS_BYTES:].split(SEPARATOR)
    count = min(count % 16 * 2, len(words) // 2 * 2)
    texts = [_text(word) for word in words[:count]]
    return Plan(
        _METHODS[first & 3],
        _STATUSES[status % 16] if status < 128 else status * 9,
        _LENGTHS[first >> 2 & 3],
        flags,
        _text(reason),
        list(zip(texts[::2], texts[1::2], strict=True)),
        words[count:],
    )


def _text(word: bytes) -> str:
    """Mostly latin-1; what begins with the mark of a sequence in UTF-8 is read as such, so that other text occurs."""
    return word.decode("utf-8", "surrogateescape") if word[:1] >= b"\xe0" else word.decode("latin-1")


@dataclass
class Told:
    """What happened."""

    started: bool = False
    complete: bool = False
    aborted: bool = False
    informed: list[tuple[str, str]] | None = None
    status: int = 0
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    sent: bytes = b""


def check(data: bytes) -> None:
    """See the module."""
    plan = read_plan(data)
    minor = 0 if plan.flags & _HTTP_1_0 else 1
    request = b"%b / HTTP/1.%d\r\nHost: a\r\n" % (plan.method, minor)
    options = [b"keep-alive"] if not minor else []
    options += [b"close"] * bool(plan.flags & _CLOSE) + [b"upgrade"] * bool(plan.flags & _UPGRADE)
    request += b"Upgrade: websocket\r\n" * bool(plan.flags & _UPGRADE)
    request += b"Connection: %b\r\n" % b",".join(options) if options else b""
    connection = H1Connection(Limits(), PEER, DateField())
    connection.receive(request + b"\r\n" + b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
    exchange = connection.next_exchange()
    if exchange is None:
        raise Finding("a plain request makes no exchange")
    told = Told()
    answer(connection, exchange, plan, told)
    take(connection, told)
    second = connection.next_exchange()
    expect((second is None) == connection.closed, "an open connection serves the next request, a closed one does not")
    if second is not None:
        expect(told.complete, "nothing is served behind a response that broke off")
        second.start(200, "OK", [("X-Second", "yes")], 6)
        second.write(b"second")
        second.end()
        take(connection, told)
    check_wire(plan, told, second is not None, connection)


def answer(  # noqa: PLR0912  one branch for each thing that an application may do
    connection: H1Connection, exchange: H1Exchange, plan: Plan, told: Told
) -> None:
    """Say what is planned; mend what raises ResponseError as an adapter would."""
    if plan.flags & _INFORM:
        try:
            exchange.inform(103, plan.fields)
            told.informed = plan.fields if exchange.head.minor else None
        except ResponseError:
            pass
        expect(not exchange.started, "an informational response is no start")
    total = sum(map(len, plan.blocks))
    known = {"none": None, "right": total, "short": max(0, total - 1), "long": total + 1}[plan.length]
    if not begin(exchange, plan.status, plan.reason, plan.fields, known, told):
        begin(exchange, 500, "Internal Server Error", [], None, told)
    if plan.flags & _TAKE:
        take(connection, told)
    try:
        for number, block in enumerate(plan.blocks):
            if plan.flags & _FILES and number % 2:
                if exchange.write_file(FileSlice(-1, 0, len(block))):
                    told.body += b"F" * len(block)
                    continue
                expect(exchange.body_sent == len(told.body), "a file that was refused is not sent")
            before = exchange.body_sent
            try:
                exchange.write(block)
            finally:
                told.body += block[: exchange.body_sent - before]
        if plan.flags & _RESTART and exchange.restart():
            told.body = b""
            begin(exchange, 503, "Service Unavailable", [("X-Again", "1")], 2, told)
            exchange.write(b"no")
            told.body = b"no" if plan.method != b"HEAD" else b""
        if plan.flags & _GIVE_UP:
            raise ResponseError("the application raised")
        exchange.end()
        told.complete = True
    except ResponseError:
        if plan.flags & _GIVE_UP and not plan.flags & _TAKE:
            exchange.refuse(HttpError(500))
            told.aborted = exchange.aborted
            if not told.aborted:
                told.status, told.fields, told.body = 500, [_REFUSAL], b"500 Internal Server Error\n"
        else:
            exchange.abort()
            told.aborted = True
        expect(connection.closed, "a response that broke off closes the connection")
    expect(exchange.finished, "in the end the exchange is finished")


def begin(  # noqa: PLR0913, PLR0917  what start() takes, and where to note it
    exchange: H1Exchange, status: int, reason: str, fields: list[tuple[str, str]], length: int | None, told: Told
) -> bool:
    """Start a response; whether that was possible."""
    before = len(exchange.connection.output)
    try:
        exchange.start(status, reason, fields, length)
    except ResponseError:
        expect(len(exchange.connection.output) == before, "what cannot be sent leaves nothing on the wire")
        expect(not exchange.started, "what cannot be sent is not started")
        return False
    told.started, told.status, told.fields = True, status, fields
    return True


def take(connection: H1Connection, told: Told) -> None:
    """Send what is queued; files are full of F."""
    for piece in connection.data_to_send():
        told.sent += b"F" * piece.length if isinstance(piece, FileSlice) else piece


def check_wire(plan: Plan, told: Told, second: bool, connection: H1Connection) -> None:
    """Read as a client."""
    method = plan.method.decode()
    at = 0
    try:
        response = read_response(told.sent, 0, method)
        if told.informed is not None:
            expect(response.status == 103, "the informational response comes first", told.sent)
            check_fields(response, told.informed, plan)
            at = response.end
            response = read_response(told.sent, at, method)
    except Incomplete:
        expect(told.aborted, "a complete response can be read", told.sent)
        return
    except Broken as reason:
        raise Finding(f"a response is well-formed ({reason}): {told.sent!r}") from None
    if told.aborted and not response.until_close and response.body != told.body:
        raise Finding(f"a response that broke off does not look like another: {told.sent!r}")
    expect(response.status == told.status, "the status is the application's", response, told)
    check_fields(response, told.fields, plan)
    bodiless = method == "HEAD" or told.status in {101, 204, 304}
    expect(response.body == (b"" if bodiless else told.body), "the body is what was written", response, told)
    if not told.aborted and not second:
        expect(response.end == len(told.sent), "nothing follows the last response", told.sent)
    closes = any("close" in value for value in response.all("connection"))
    expect(not closes or connection.closed or second is False, "who says close closes", response)
    if response.until_close:
        expect(not second, "nothing follows a body that ends with the connection", told.sent)
    if second:
        following = read_response(told.sent, response.end, "GET")
        expect(following.all("x-second") == ["yes"], "the next response begins where this one ends", told.sent)
        expect(following.body == b"second", "the next response has its body", told.sent)
        expect(following.end == len(told.sent), "nothing follows the last response", told.sent)


def check_fields(response: Response, fields: list[tuple[str, str]], plan: Plan) -> None:
    """Each field is the server's, or one that was said, with its value; none occurs more often than it was said."""
    left = [(name.lower(), value.strip(" \t")) for name, value in fields]
    for name, value in response.fields:
        if (name, value) in left:
            left.remove((name, value))
        else:
            expect(name in _OURS, "a field is the application's or ours", name, value, plan)
    # Hop-by-hop fields are the server's to send: PEP 3333.
    for name, value in left:
        if name not in {"keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailers", "upgrade", *_OURS}:
            raise Finding(f"every field arrives: {name!r}, {value!r}, {plan}")


def seeds(wellformed: bool) -> Iterable[bytes]:
    """Responses of every framing; unless only well-formed ones are wanted, some that cannot be sent."""
    html = b"OK\x1fContent-Type\x1ftext/html\x1fhello, \x1fworld"
    for first in range(16):
        for flags in (0, _HTTP_1_0, _CLOSE, _FILES, _TAKE):
            yield bytes((first, flags, 0, 1)) + html
    for status in range(7):
        yield bytes((4, _UPGRADE | _INFORM, status, 2)) + b"Said\x1fConnection\x1fupgrade\x1fUpgrade\x1fwebsocket\x1fx"
    if not wellformed:
        yield bytes((4, 0, 0, 1)) + b"OK\r\nX: y\x1fX\x1fy\x1fbody"
        yield bytes((4, 0, 0, 1)) + b"OK\x1fX\x1fa\r\nY: b\x1fbody"
        yield bytes((0, 0, 0, 2)) + b"OK\x1fContent-Length\x1f4\x1fTransfer-Encoding\x1fchunked\x1fbody"
        for flags in range(0, 256, 5):
            yield bytes((flags % 16, flags, flags, 2)) + b"OK\x1fContent-Length\x1f9\x1fDate\x1fx\x1fmore\x1f\x1fbytes"


def describe(data: bytes) -> str:
    """An input in words."""
    return repr(read_plan(data))
