"""No input costs more than linear work, nor holds more than a bounded part of itself: counted, not timed."""

from collections.abc import Callable
from typing import Final

import pytest

from ostler.http.connection import Peer
from ostler.http.encode import DateField
from ostler.http.errors import HttpError
from ostler.http.h1 import H1Connection
from ostler.http.limits import Limits
from tests.unit.http.corpus import bytewise
from tests.unit.http.counting import CountingReceived, Work

UNLIMITED: Final = Limits(request_line=0, fields=0, field_size=0, trailer_bytes=1 << 20, chunk_extension_bytes=1 << 20)
GET: Final = b"GET / HTTP/1.1\r\nHost: a\r\n"
CHUNKS: Final = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

Family = Callable[[int], bytes]
"""A size -> an input that grows with it."""

FAMILIES: Final[dict[str, Family]] = {
    "a request line without an end": lambda n: b"GET /" + b"a" * n,
    "a long target": lambda n: b"GET /" + b"a" * n + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "a long target in absolute form": lambda n: b"GET http://" + b"a" * n + b"/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "a long Host": lambda n: b"GET / HTTP/1.1\r\nHost: " + b"a." * n + b"\r\n\r\n",
    "a long Host that is bad at its end": lambda n: b"GET / HTTP/1.1\r\nHost: " + b"%41" * n + b"%\r\n\r\n",
    "many fields": lambda n: GET + b"X: y\r\n" * n + b"\r\n",
    "many fields without an end": lambda n: GET + b"X: y\r\n" * n,
    "many different fields": lambda n: GET + b"".join(b"X-%d: y\r\n" % index for index in range(n)) + b"\r\n",
    "many Connection fields": lambda n: GET + b"Connection: x\r\n" * n + b"\r\n",
    "many options of Connection": lambda n: GET + b"Connection: " + b"a," * n + b"\r\n\r\n",
    "many transfer codings": lambda n: GET + b"Transfer-Encoding: " + b"a," * n + b"chunked\r\n\r\n",
    "many expectations": lambda n: GET + b"Expect: " + b"100-continue," * n + b"\r\nContent-Length: 0\r\n\r\n",
    "a long field": lambda n: GET + b"X: " + b"y" * n + b"\r\n\r\n",
    "a long field of white space": lambda n: GET + b"X: " + b" " * n + b"y" + b"\t" * n + b"\r\n\r\n",
    "a long name": lambda n: GET + b"X" * n + b": y\r\n\r\n",
    "many CRs": lambda n: GET + b"X: " + b"\r" * n + b"\r\n\r\n",
    "many tiny chunks": lambda n: CHUNKS + b"1\r\nx\r\n" * n + b"0\r\n\r\n",
    "many tiny chunks with extensions": lambda n: CHUNKS + b"1;a\r\nx\r\n" * n + b"0\r\n\r\n",
    "one long extension": lambda n: CHUNKS + b"1;" + b"a" * n + b"\r\nx\r\n0\r\n\r\n",
    "a long quoted extension without its end": lambda n: CHUNKS + b'1;a="' + b"b\\\\" * n + b"\r\nx\r\n0\r\n\r\n",
    "many extensions of one chunk": lambda n: CHUNKS + b"1" + b";a=b" * n + b"\r\nx\r\n0\r\n\r\n",
    "many extensions that are bad at their end": lambda n: CHUNKS + b"1" + b" ;a" * n + b";\r\nx\r\n0\r\n\r\n",
    "an extension without an end": lambda n: CHUNKS + b"1;" + b"a" * n,
    "white space before an extension that is missing": lambda n: CHUNKS + b"1" + b" " * n + b"\r\nx\r\n0\r\n\r\n",
    "one large chunk": lambda n: CHUNKS + b"%x\r\n" % n + b"x" * n + b"\r\n0\r\n\r\n",
    "many trailers": lambda n: CHUNKS + b"0\r\n" + b"X: y\r\n" * n + b"\r\n",
    "one long trailer": lambda n: CHUNKS + b"0\r\nX: " + b"y" * n + b"\r\n\r\n",
    "a body": lambda n: b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % n + b"x" * n,
    "many requests": lambda n: (GET + b"\r\n") * n,
    "many empty lines": lambda n: b"\r\n" * n,
    "an empty line before each request": lambda n: (b"\r\n\r\n" + GET + b"\r\n") * n,
}

SIZE: Final = 150
GROWTH: Final = 2.2
"""Twice the input may cost this much of the work: what is the same for every request makes it less than 2."""


def serve(pieces: list[bytes], work: Work) -> int:
    """Serve everything, and throw bodies and answers away; the most that was held."""
    connection = H1Connection(UNLIMITED, Peer("", ""), DateField())
    connection.received = CountingReceived(work)
    most = 0
    exchange = None
    try:
        for piece in pieces:
            connection.receive(piece)
            most = max(most, len(connection.received))
            while (exchange := exchange or connection.next_exchange()) is not None:
                while isinstance(data := exchange.read(), bytes):
                    pass
                if data.name == "NEED_DATA":
                    break
                exchange.start(200, "OK", [], 0)
                exchange.end()
                exchange = None
            connection.data_to_send()
    except HttpError as error:
        connection.refuse(error)
    return most


def spent(pieces: list[bytes]) -> Work:
    work = Work()
    work.calls_of(lambda: serve(pieces, work))
    return work


@pytest.mark.parametrize(
    "split", [lambda data: [data], bytewise, lambda data: [data[:-1], data[-1:]]], ids=["whole", "bytewise", "but one"]
)
@pytest.mark.parametrize("family", FAMILIES)
def test_twice_the_input_costs_twice_the_work(family: str, split: Callable[[bytes], list[bytes]]) -> None:
    once, twice = (spent(split(FAMILIES[family](size))) for size in (SIZE, 2 * SIZE))
    assert twice.calls <= GROWTH * once.calls
    assert twice.bytes_seen <= GROWTH * once.bytes_seen


@pytest.mark.parametrize(
    "family", ["many tiny chunks", "one large chunk", "a body", "many requests", "many tiny chunks with extensions"]
)
def test_what_can_be_served_is_not_held(family: str) -> None:
    data = FAMILIES[family](20_000)
    pieces = [data[start : start + 1000] for start in range(0, len(data), 1000)]
    assert serve(pieces, Work()) <= 1000 + 100


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_held_has_a_limit(family: str) -> None:
    data = FAMILIES[family](20_000)
    limits = Limits()
    connection = H1Connection(limits, Peer("", ""), DateField())
    most = 0
    for start in range(0, len(data), 1000):
        if not connection.wants_data:
            break
        connection.receive(data[start : start + 1000])
        most = max(most, len(connection.received))
        try:
            connection.next_exchange()
        except HttpError as error:
            connection.refuse(error)
            break
    assert most <= limits.head_bytes + 1000


def test_a_search_that_begins_anew_with_each_byte_would_be_noticed() -> None:
    def naive(size: int) -> int:
        received = CountingReceived(work := Work())
        for piece in bytewise(GET + b"X: " + b"y" * size):
            received.append(piece)
            received.data.find(b"\r\n\r\n")
        return work.bytes_seen

    assert naive(2 * SIZE) > GROWTH * naive(SIZE)
