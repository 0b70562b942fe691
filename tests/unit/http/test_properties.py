"""Any bytes in any splitting make requests or one HttpError, never another exception, and always the same ones."""

import itertools
from dataclasses import replace
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ostler.http.connection import Peer
from ostler.http.encode import DateField
from ostler.http.errors import ResponseError
from ostler.http.h1 import H1Connection
from ostler.http.limits import Leniency, Limits
from tests.unit.http.corpus import REQUESTS, bytewise, raw
from tests.unit.http.serving import Outcome, serve

# Small, so that Hypothesis reaches every one of them.
LIMITS: Final = Limits(request_line=40, fields=5, field_size=60, trailer_bytes=30, chunk_extension_bytes=20)

LENIENT: Final = replace(LIMITS, leniency=Leniency(**dict.fromkeys(Leniency.__slots__, True)))

SEEDS: Final = [data for case in REQUESTS if len(data := raw(case["request"])) < 400]

FRAGMENTS: Final = [
    *(
        b"GET ",
        b"POST ",
        b"HEAD ",
        b"CONNECT ",
        b"/",
        b"*",
        b"http://a/",
        b" HTTP/1.1",
        b" HTTP/1.0",
        b" HTTP/2.0",
    ),
    *(
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b"\0",
        b":",
        b";",
        b",",
        b"=",
        b'"',
        b"\xa0",
        b"a",
        b"5",
        b"0",
    ),
    *(b"Host: a\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n"),
    *(
        b"Expect: 100-continue\r\n",
        b"Connection: upgrade\r\n",
        b"Upgrade: x\r\n",
        b"hello",
        b"5\r\nhello\r\n",
    ),
    *(b"0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"X: y\r\n", b"X : y\r\n", b" y\r\n"),
]

fragments = st.lists(st.sampled_from(FRAGMENTS), max_size=20).map(b"".join)


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """A request of the corpus with a few bytes changed, taken out or put in."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 3)))
        data[start:end] = draw(st.one_of(st.binary(max_size=3), st.sampled_from(FRAGMENTS)))
    return bytes(data)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


def comparable(outcome: Outcome) -> tuple[Any, ...]:
    return outcome.status, outcome.heads


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.one_of(fragments, mutants(), st.binary(max_size=200)),
    st.lists(st.integers(0, 1000), max_size=8),
    st.booleans(),
    st.sampled_from([LIMITS, LENIENT, Limits()]),
)
def test_the_outcome_is_the_same_for_every_splitting(data: bytes, cuts: list[int], end: bool, limits: Limits) -> None:
    whole = comparable(serve([data] if data else [], limits, end))
    assert comparable(serve(split(data, cuts), limits, end)) == whole
    assert comparable(serve(bytewise(data), limits, end)) == whole


texts = st.text(st.characters(max_codepoint=300), max_size=8)
names = st.sampled_from(("X", "Connection", "Content-Length", "Date", "TE", "Transfer-Encoding", "Upgrade"))


@settings(max_examples=400)
@given(
    st.integers(0, 1100),
    texts,
    st.lists(st.tuples(st.one_of(names, texts), texts), max_size=3),
    st.lists(st.binary(max_size=5), max_size=3),
)
def test_nothing_that_an_application_says_adds_a_line_to_the_head(
    status: int, reason: str, fields: list[tuple[str, str]], blocks: list[bytes]
) -> None:
    connection = H1Connection(LIMITS, Peer("", ""), DateField())
    connection.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    exchange = connection.next_exchange()
    assert exchange is not None
    try:
        exchange.start(status, reason, fields, sum(map(len, blocks)))
    except ResponseError:
        assert connection.data_to_send() == []
        return
    for block in blocks:
        exchange.write(block)
    exchange.end()
    (response,) = connection.data_to_send()
    assert isinstance(response, bytes)
    head, _, body = response.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert b"\n" not in b"".join(lines)
    assert b"\r" not in b"".join(lines)
    # Status line, Server, Date, Content-Length and Connection at most.
    assert len(lines) <= len(fields) + 5
    assert body == (b"".join(blocks) if status not in {204, 304} else b"")
