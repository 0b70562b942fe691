"""uwsgi packets with what follows them, in any pieces.

Promises: a packet makes one request, which is the one that `reference/uwsgi_packets.py` reads, or one HttpError; the
outcome does not depend on the pieces; no variable adds a line, a field or a request; what is behind the body is never
served; the response has a length or ends with the connection, which it announces.
"""

from collections.abc import Iterable
from typing import Final

from fuzz.client import NEXT, PEER, said
from fuzz.corpus import LONGEST, cases, raw
from fuzz.finding import Finding, expect
from fuzz.reading import cut
from fuzz.reference.grammar import Broken, Incomplete
from fuzz.reference.responses import read_response
from fuzz.reference.uwsgi_packets import read_packet
from fuzz.targets.requests import LIMITS, meant, over_limits
from ostler.http.connection import END, NEED_DATA
from ostler.http.encode import DateField
from ostler.http.errors import HttpError
from ostler.http.head import RequestHead
from ostler.http.uwsgi import UwsgiConnection

SETTINGS_BYTES: Final = 4
BETWEEN: Final = b"\x1e"
BEHIND: Final = b"\x1f"

_SMALL, _END, _RAW = 0x01, 0x02, 0x80
"""Bits of byte 0: small limits; input ends; the rest is a packet and not variables. Bytes 1 to 3: lengths of pieces."""

_LIES: Final = (0, 1, -1, 256)
"""Bits 2 and 3 of byte 0: by how much the size of the last value is wrong. A fuzzer of packets would seldom hit it."""

Outcome = tuple[RequestHead | None, bytes, int | None]
"""The request, what was read of its body, and the refusal."""


def read_input(data: bytes) -> tuple[bytes, bytes]:
    """Settings, and the stream: raw, or written as NAME=value, with BETWEEN between and the body BEHIND them."""
    settings, rest = data[:SETTINGS_BYTES].ljust(SETTINGS_BYTES, b"\0"), data[SETTINGS_BYTES:]
    if settings[0] & _RAW:
        return settings, rest
    variables, _, body = rest.partition(BEHIND)
    words = [word for variable in variables.split(BETWEEN) for word in variable.partition(b"=")[::2]]
    return settings, packet(words, _LIES[settings[0] >> 2 & 3]) + body


def packet(words: list[bytes], lie: int) -> bytes:
    """Names and values in turn, packed; the last one's size is wrong by `lie`."""
    sizes = [len(word) for word in words]
    sizes[-1] = max(0, sizes[-1] + lie)
    block = b"".join(size.to_bytes(2, "little") + word for size, word in zip(sizes, words, strict=True))
    return b"\0" + len(block).to_bytes(2, "little") + b"\0" + block


def serve(pieces: list[bytes], small: bool, ends: bool) -> tuple[Outcome, bytes]:
    """What becomes of a connection, and what it sent."""
    connection = UwsgiConnection(LIMITS[small], PEER, DateField())
    exchange = None
    body = b""
    status = None
    answered = False
    try:
        for piece in [*pieces, *([b""] if ends else [])]:
            if connection.closed:
                break
            expect(connection.wants_data, "an open connection goes on: it asks for data or has an exchange")
            connection.receive(piece)
            exchange = exchange or connection.next_exchange()
            if exchange is None:
                continue
            while isinstance(data := exchange.read(7), bytes):
                body += data
            if data is NEED_DATA:
                continue
            expect(data is END, "a read has bytes, nothing yet, or the end", data)
            exchange.start(200, "OK", [], None)
            exchange.write(b"answer")
            exchange.end()
            answered = True
    except HttpError as error:
        status = error.status
        connection.refuse(error)
    connection.receive(NEXT)
    expect(answered or status is not None or not connection.closed or ends, "nothing is dropped without a word")
    if answered or status is not None:
        expect(connection.closed, "one request a connection")
        expect(connection.next_exchange() is None, "nothing is served behind it")
    sent = b"".join(piece for piece in connection.data_to_send() if isinstance(piece, bytes))
    return (exchange.head if exchange and answered else None, body, status), sent


def check(data: bytes) -> None:
    """See the module."""
    settings, stream = read_input(data)
    small, ends = bool(settings[0] & _SMALL), bool(settings[0] & _END)
    whole, sent = serve([stream] if stream else [], small, ends)
    for pieces in (cut(stream, tuple(settings[1:4])), cut(stream, (1,))):
        split, _ = serve(pieces, small, ends)
        expect(comparable(split) == comparable(whole), "in pieces the outcome is the same", split, whole)
    head, body, status = whole
    try:
        request, params, query = read_packet(stream)
    except Incomplete:
        expect(head is None, "what is served is complete", whole)
        return
    except Broken as reason:
        expect(head is None and status is not None, f"a bad packet is refused ({reason})", whole)
        return
    if head is None:
        expect(status is not None and over_limits(request, LIMITS[small]), "a good packet is served", status, request)
        return
    expected = meant(request) | {"params": params, "keep_alive": False}
    if query is not None:
        expected["query"] = query
    expect(said(head) == expected, "head and reference agree", said(head), expected)
    expect(body == request.body, "the body is", body, request.body)
    expect(not over_limits(request, LIMITS[small]), "what is served is within the limits", request)
    check_answer(sent, head.method)


def check_answer(sent: bytes, method: str) -> None:
    """One response in the manner of HTTP/1.0."""
    try:
        response = read_response(sent, 0, method)
    except (Broken, Incomplete) as reason:
        raise Finding(f"the response is well-formed ({reason!r}): {sent!r}") from None
    expect(response.all("connection") == ["close"], "it says that the connection closes", sent)
    expect(response.all("transfer-encoding") == [], "no chunks", sent)
    expect(response.end == len(sent), "one response", sent)
    expect(response.body == (b"" if method == "HEAD" else b"answer"), "with its body", sent)


def comparable(outcome: Outcome) -> tuple[object, ...]:
    """What must not depend on the pieces."""
    head, body, status = outcome
    return said(head) if head else None, body if head else b"", status


def seeds(wellformed: bool) -> Iterable[bytes]:
    """The corpus of the unit tests; packets that are given as bytes stay bytes."""
    for number, case in enumerate(cases("uwsgi")):
        if wellformed and ("accepted" not in case or "limits" in case):
            continue
        body = raw(case.get("body", ""))
        if "hex" in case:
            seed = bytes((_RAW, 0, 0, 0)) + bytes.fromhex(case["hex"]) + body
        else:
            variables = [raw(name) + b"=" + raw([value]) for name, value in case["variables"]]
            seed = bytes(4) + BETWEEN.join(variables) + BEHIND + body
        if len(seed) <= LONGEST:
            yield seed
            if not wellformed:
                yield bytes((seed[0] | number % 4, 1 + number % 5, 9, 0)) + seed[4:] + NEXT


def describe(data: bytes) -> str:
    """An input in words."""
    settings, stream = read_input(data)
    return f"limits: {LIMITS[settings[0] & _SMALL]}\nends: {bool(settings[0] & _END)}\nstream: {stream[:4000]!r}"
