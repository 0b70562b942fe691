"""A connection, and the exchange that bytes make of it."""

import pytest

from ostler.http.connection import Peer
from ostler.http.encode import DateField
from ostler.http.h1 import H1Connection
from ostler.http.h1_exchange import H1Exchange
from ostler.http.limits import Limits
from tests.unit.http.exchanges import EPOCH_S, GET, Exchanging


@pytest.fixture
def connection() -> H1Connection:
    """A fresh connection with the default limits."""
    return H1Connection(Limits(), Peer(("192.0.2.1", 40000), ("192.0.2.2", 80)), DateField(EPOCH_S))


@pytest.fixture
def exchange_of(connection: H1Connection) -> Exchanging:
    """Feeds bytes to `connection` and gives the exchange that they make."""

    def make(data: bytes = GET) -> H1Exchange:
        connection.receive(data)
        exchange = connection.next_exchange()
        assert exchange is not None
        return exchange

    return make
