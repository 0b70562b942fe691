"""`http/parse.py`: beyond the verdicts of the corpus, the time and memory that a head takes."""

import time
from collections.abc import Callable

import pytest

from ostler.http.errors import HttpError
from ostler.http.limits import Limits
from ostler.http.parse import HeadScan, check_request_line, parse_head
from ostler.http.received import Received


def seconds(function: Callable[[], object]) -> float:
    best = 1e9
    for _ in range(3):
        start = time.process_time()
        function()
        best = min(best, time.process_time() - start)
    return best


def scan_bytewise(size: int, line: bytes) -> None:
    """Scan a head of `size` bytes, which never ends, byte by byte."""
    scan = HeadScan(Limits(request_line=0, fields=0, field_size=0))
    received = Received()
    data = (b"GET / HTTP/1.1\r\n" + line * (size // len(line)))[:size]
    for index in range(size):
        received.append(data[index : index + 1])
        assert scan.find_end(received) == -1


@pytest.mark.parametrize("line", [b"X: y\r\n", b"a"], ids=["many lines", "one line"])
def test_a_head_that_comes_byte_by_byte_costs_linear_time(line: bytes) -> None:
    small, large = seconds(lambda: scan_bytewise(10_000, line)), seconds(lambda: scan_bytewise(80_000, line))
    assert large < 24 * small


def test_a_request_line_that_comes_byte_by_byte_costs_linear_time() -> None:
    def scan(size: int) -> None:
        scan = HeadScan(Limits(request_line=0))
        received = Received()
        for _ in range(size):
            received.append(b"A")
            assert scan.find_end(received) == -1

    assert seconds(lambda: scan(80_000)) < 24 * seconds(lambda: scan(10_000))


def test_repeated_connection_fields_cost_linear_time() -> None:
    def parse(count: int) -> None:
        head = b"GET / HTTP/1.1\r\nHost: a" + b"\r\nConnection: " + b"\r\nConnection: ".join([b"x" * 50] * count)
        assert parse_head(head, Limits(fields=0, field_size=0)).keep_alive

    assert seconds(lambda: parse(32_000)) < 24 * seconds(lambda: parse(4_000))


def test_the_end_is_found_across_every_cut() -> None:
    data = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest"
    for cut in range(1, len(data) - 4):
        scan = HeadScan(Limits())
        received = Received()
        received.append(data[:cut])
        assert scan.find_end(received) == -1 or cut >= 27
        received.append(data[cut:])
        assert scan.find_end(received) == 23


def test_a_scan_begins_again_after_reset() -> None:
    scan = HeadScan(Limits())
    received = Received()
    received.append(b"GET / HTTP/1.1\r\nX")
    assert scan.find_end(received) == -1
    received.clear()
    scan.reset()
    received.append(b"\r\nGET / HTTP/1.0\r\n\r\n")
    assert scan.find_end(received) == 16


def test_a_head_in_a_bytearray_parses_as_bytes_do() -> None:
    head = b"GET /a HTTP/1.1\r\nHost: a\r\nX: y"
    assert parse_head(bytearray(head), Limits()).fields == parse_head(head, Limits()).fields


def test_the_order_of_faults_in_a_request_line() -> None:
    limits = Limits(request_line=20)
    for line, status in (
        ("", 400),
        ("(" * 30, 400),
        ("A" * 20 + "\n" + "A" * 30, 400),
        ("A" * 22 + "\n" + "A" * 30, 414),
        ("GET /\0 HTTP/2.0", 400),
        ("GET / HTTP/2.0", 505),
    ):
        with pytest.raises(HttpError) as caught:
            check_request_line(line, limits)
        assert caught.value.status == status, line
    check_request_line("GET / HTTP/1.1", limits)
