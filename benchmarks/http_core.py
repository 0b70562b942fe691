"""Microseconds of the HTTP/1 core for one request and its response, without sockets.

Run: `.venv/bin/python benchmarks/http_core.py [rounds]`. Prints the best of several runs, for the whole way and for
its parts, so that a change to the hot path can be measured before and after.
"""

import sys
import timeit
from collections.abc import Callable

from ostler.http.connection import Peer
from ostler.http.encode import DateField
from ostler.http.h1 import H1Connection
from ostler.http.limits import Limits
from ostler.http.parse import parse_head

REQUEST = (
    b"GET /hello?name=world HTTP/1.1\r\n"
    b"Host: 127.0.0.1:8000\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    b"Accept-Language: en-US,en;q=0.5\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Connection: keep-alive\r\n"
    b"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
    b"Upgrade-Insecure-Requests: 1\r\n"
    b"Sec-Fetch-Dest: document\r\n"
    b"Sec-Fetch-Mode: navigate\r\n"
    b"\r\n"
)
POST = (
    b"POST /form HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 27\r\n\r\nname=world&greeting=goodbye"
)
CHUNKS = (
    b"POST /form HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"1\r\nx\r\n" * 2000
    + b"0\r\n\r\n"
)
FIELDS = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", "13")]
BODY = b"Hello, world!"
LIMITS = Limits()

connection = H1Connection(LIMITS, Peer(("127.0.0.1", 40000), ("127.0.0.1", 8000)), DateField(1_700_000_000))


def get() -> None:
    """A browser's GET, answered with a small page on a kept connection."""
    connection.receive(REQUEST)
    exchange = connection.next_exchange()
    assert exchange is not None
    exchange.start(200, "OK", FIELDS)
    exchange.write(BODY)
    exchange.end()
    connection.data_to_send()


def post() -> None:
    """A small form, read to its end first."""
    connection.receive(POST)
    exchange = connection.next_exchange()
    assert exchange is not None
    while isinstance(exchange.read(), bytes):
        pass
    exchange.start(200, "OK", FIELDS)
    exchange.write(BODY)
    exchange.end()
    connection.data_to_send()


def chunks() -> None:
    """A body of 2,000 chunks of one byte."""
    connection.receive(CHUNKS)
    exchange = connection.next_exchange()
    assert exchange is not None
    while isinstance(exchange.read(), bytes):
        pass
    exchange.start(200, "OK", FIELDS)
    exchange.write(BODY)
    exchange.end()
    connection.data_to_send()


def bytewise() -> None:
    """The same GET, received byte by byte."""
    for index in range(len(REQUEST)):
        connection.receive(REQUEST[index : index + 1])
        exchange = connection.next_exchange()
    assert exchange is not None
    exchange.start(200, "OK", FIELDS)
    exchange.write(BODY)
    exchange.end()
    connection.data_to_send()


def head_only() -> None:
    """Of the GET: parsing its head."""
    parse_head(REQUEST[:-4], LIMITS)


def state() -> None:
    """What a driver asks after each exchange."""
    _ = connection.waiting_for, connection.wants_data, connection.closed


def measure(function: Callable[[], None], rounds: int) -> float:
    """Microseconds a call, the best of five runs."""
    return min(timeit.repeat(function, number=rounds, repeat=5)) / rounds * 1e6


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    print(f"Python {sys.version.split()[0]}")
    for function, share in ((get, 1), (head_only, 1), (state, 1), (post, 1), (bytewise, 50), (chunks, 100)):
        figure = measure(function, max(1, rounds // share))
        print(f"{function.__name__:10} {figure:9.2f} µs   {(function.__doc__ or '').strip()}")


if __name__ == "__main__":
    main()
