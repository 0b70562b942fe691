"""`http/connection.py`: the contract's values, and that HTTP/1 fulfils its protocols."""

from ostler.http.connection import END, NEED_DATA, Connection, Exchange, FileSlice, Peer
from ostler.http.encode import DateField
from ostler.http.h1 import H1Connection
from ostler.http.limits import Limits


def test_h1_fulfils_the_contract() -> None:
    connection: Connection = H1Connection(Limits(), Peer("", ""), DateField())
    connection.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    exchange: Exchange | None = connection.next_exchange()
    assert exchange is not None
    assert exchange.peer == Peer("", "")


def test_the_sentinels_are_one_of_a_kind() -> None:
    assert NEED_DATA is not END  # type: ignore[comparison-overlap]


def test_values_compare() -> None:
    assert FileSlice(3, 0, 5) == FileSlice(3, 0, 5)
    assert Peer(("a", 1), "") != Peer(("a", 2), "")
