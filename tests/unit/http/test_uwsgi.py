"""`http/uwsgi.py`: every packet of tests/corpus/uwsgi has its verdict, however its bytes are split."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostler.http.connection import END, NEED_DATA, Connection, Peer, Wait
from ostler.http.encode import DateField
from ostler.http.errors import HttpError
from ostler.http.h1_exchange import H1Exchange
from ostler.http.limits import Limits
from ostler.http.uwsgi import UwsgiConnection
from tests.unit.corpora import Case, cases
from tests.unit.http.corpus import bytewise, raw
from tests.unit.http.exchanges import EPOCH_S, SERVER, sent

CASES: Final = cases("uwsgi")
PEER: Final = Peer(("192.0.2.1", 40000), ("192.0.2.2", 80))
SHORT_BYTES: Final = 300


def packet(*variables: tuple[bytes, bytes]) -> bytes:
    block = b"".join(len(part).to_bytes(2, "little") + part for name_and_value in variables for part in name_and_value)
    return b"\0" + len(block).to_bytes(2, "little") + b"\0" + block


def data_of(case: Case) -> bytes:
    if "hex" in case:
        front = bytes.fromhex(case["hex"])
    else:
        front = packet(*((raw(name), raw([value])) for name, value in case["variables"]))
    return front + raw(case.get("body", ""))


def limits_of(case: Case) -> Limits:
    return Limits(**case.get("limits", {}))


@dataclass
class Outcome:
    """What became of a connection."""

    heads: list[dict[str, Any]] = field(default_factory=list)
    status: int | None = None
    bytes_needed: int = 0


def serve(pieces: Iterable[bytes], limits: Limits, end: bool = False) -> Outcome:
    """Read the request with its body, and answer it with an empty 200."""
    connection = UwsgiConnection(limits, PEER, DateField())
    outcome = Outcome()
    exchange = None
    body = b""
    for piece in [*pieces, *([b""] if end else [])]:
        assert connection.wants_data or connection.closed
        connection.receive(piece)
        outcome.bytes_needed += len(piece)
        try:
            if exchange is None:
                exchange = connection.next_exchange()
            if exchange is None or exchange.finished:
                continue
            while isinstance(data := exchange.read(), bytes):
                body += data
            if data is NEED_DATA:
                continue
        except HttpError as error:
            outcome.status = error.status
            connection.refuse(error)
            break
        exchange.start(200, "OK", [], 0)
        exchange.end()
        head = exchange.head
        outcome.heads.append({name: getattr(head, name) for name in type(head).__slots__} | {"body": body})
        assert connection.next_exchange() is None
    answer = sent(connection)
    if outcome.heads or outcome.status is not None:
        assert answer.startswith(b"HTTP/1.1 %d " % (outcome.status or 200))
        assert b"\r\nConnection: close\r\n" in answer
        assert b"100 Continue" not in answer
        assert connection.closed
    else:
        assert answer == b""
    return outcome


def check(case: Case, outcome: Outcome) -> None:
    assert outcome.status == case.get("status")
    if "accepted" not in case:
        assert outcome.heads == []
        return
    expected = dict(case["accepted"])
    if "body" in expected:
        expected["body"] = expected["body"].encode("latin-1")
    if "fields" in expected:
        expected["fields"] = [tuple(pair) for pair in expected["fields"]]
    (found,) = outcome.heads
    assert {name: found[name] for name in expected} == expected
    assert (found["upgrade"], found["keep_alive"]) == (None, False)


@pytest.mark.parametrize("case", CASES)
def test_verdict_is_the_same_for_every_splitting(case: Case) -> None:
    data, limits, end = data_of(case), limits_of(case), case.get("end", False)
    check(case, serve([data], limits, end))
    check(case, serve(bytewise(data), limits, end))
    if len(data) <= SHORT_BYTES:
        for cut in range(1, len(data)):
            check(case, serve([data[:cut], data[cut:]], limits, end))


@pytest.mark.parametrize("case", [case for case in CASES if "end" not in case.values[0]])
def test_what_stands_behind_a_request_is_never_served(case: Case) -> None:
    data, limits = data_of(case), limits_of(case)
    check(case, serve([data + data], limits))
    check(case, serve([data, data], limits))


@pytest.mark.parametrize("case", [case for case in CASES if "early" in case.values[0]])
def test_it_is_refused_as_soon_as_the_fault_is_there(case: Case) -> None:
    assert serve(bytewise(data_of(case)), limits_of(case)).bytes_needed == case["early"]


# -- the connection ------------------------------------------------------------------------------------------


def connection_with(data: bytes) -> UwsgiConnection:
    connection = UwsgiConnection(Limits(), PEER, DateField(EPOCH_S))
    connection.receive(data)
    return connection


def exchange_of(connection: UwsgiConnection) -> H1Exchange:
    exchange = connection.next_exchange()
    assert exchange is not None
    return exchange


GET: Final = packet((b"REQUEST_METHOD", b"GET"), (b"REQUEST_URI", b"/"), (b"SERVER_PROTOCOL", b"HTTP/1.1"))
POST: Final = packet((b"REQUEST_METHOD", b"POST"), (b"REQUEST_URI", b"/"), (b"CONTENT_LENGTH", b"5"))


def test_it_keeps_the_contract_of_a_connection() -> None:
    connection: Connection = UwsgiConnection(Limits(), Peer("", ""), DateField())
    assert connection.waiting_for is Wait.HEAD
    assert connection.wants_data
    assert not connection.closed


def test_a_response_of_unknown_length_ends_with_the_connection() -> None:
    connection = connection_with(GET)
    exchange = exchange_of(connection)
    exchange.start(200, "OK", [("Content-Type", "text/plain")])
    exchange.write(b"one")
    assert not exchange.chunked
    assert exchange.until_close
    exchange.write(b"two")
    exchange.end()
    assert sent(connection) == (
        b"HTTP/1.1 200 OK\r\n" + SERVER + b"Content-Type: text/plain\r\nConnection: close\r\n\r\nonetwo"
    )
    assert connection.closed


def test_no_informational_response_is_sent() -> None:
    connection = connection_with(GET)
    exchange = exchange_of(connection)
    exchange.inform(103, [("Link", "</a>")])
    assert sent(connection) == b""


def test_it_waits_for_the_packet_then_for_the_body_then_for_the_application() -> None:
    connection = connection_with(POST[:10])
    assert connection.next_exchange() is None
    assert connection.waiting_for is Wait.HEAD
    assert connection.head_started
    assert connection.unread() == POST[:10]
    connection.receive(POST[10:])
    exchange = exchange_of(connection)
    assert exchange.read() is NEED_DATA
    assert connection.waiting_for is Wait.BODY
    connection.receive(b"hello")
    assert exchange.read() == b"hello"
    assert exchange.read() is END
    assert connection.waiting_for is Wait.APPLICATION
    exchange.start(204, "No Content", [])
    exchange.end()
    assert connection.waiting_for is Wait.PEER


def test_a_proxy_that_leaves_before_its_request_is_no_fault() -> None:
    connection = connection_with(b"")
    assert connection.next_exchange() is None
    assert connection.closed


def test_after_the_end_of_input_nothing_is_read() -> None:
    connection = connection_with(POST[:10])
    assert connection.wants_data
    connection.receive(b"")
    assert not connection.wants_data
    with pytest.raises(HttpError):
        connection.next_exchange()
    assert not connection.wants_data


def test_a_fault_is_raised_once_and_nothing_behind_it_is_read() -> None:
    connection = connection_with(b"\x05")
    with pytest.raises(HttpError):
        connection.next_exchange()
    connection.receive(GET)
    assert connection.next_exchange() is None
    connection.refuse(HttpError(501))
    assert sent(connection).startswith(b"HTTP/1.1 501 Not Implemented\r\n")


WORDS: Final = (b"REQUEST_METHOD", b"GET", b"REQUEST_URI", b"/", b"HTTP_A", b"CONTENT_LENGTH", b"3", b"HTTP_HOST")
words = st.one_of(st.binary(max_size=6), st.sampled_from(WORDS))
blocks = st.binary(max_size=60).map(lambda block: b"\0" + len(block).to_bytes(2, "little") + b"\0" + block)
variables = st.lists(st.tuples(words, words), max_size=6)


@settings(max_examples=300)
@given(
    st.one_of(blocks, variables.map(lambda pairs: packet((b"REQUEST_METHOD", b"GET"), *pairs)), st.binary(max_size=30)),
    st.integers(0, 100),
    st.booleans(),
)
def test_the_outcome_is_the_same_for_any_bytes_in_any_pieces(data: bytes, cut: int, end: bool) -> None:
    limits = Limits(request_line=40, fields=3, field_size=20, body=2)
    whole = serve([data] if data else [], limits, end)
    parts = [piece for piece in (data[:cut], data[cut:]) if piece]
    for found in (serve(parts, limits, end), serve(bytewise(data), limits, end)):
        assert (found.status, found.heads) == (whole.status, whole.heads)
