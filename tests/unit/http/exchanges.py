"""What the tests of connections and exchanges share."""

from collections.abc import Callable
from typing import Final

from ostler.http.h1 import H1Connection
from ostler.http.h1_exchange import H1Exchange

EPOCH_S: Final = 784111777
SERVER: Final = b"Server: ostler\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
GET: Final = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

Exchanging = Callable[..., H1Exchange]


def sent(connection: H1Connection) -> bytes:
    """Everything queued, as one piece; files are not allowed here."""
    pieces = connection.data_to_send()
    assert all(isinstance(piece, bytes) for piece in pieces)
    return b"".join(piece for piece in pieces if isinstance(piece, bytes))
