"""`http/body.py`: each reader whole, byte by byte, and with bytes behind the body."""

import time

import pytest

from ostler.http.body import BodyReader, ChunkedReader, LengthReader
from ostler.http.errors import HttpError
from ostler.http.limits import Limits
from ostler.http.received import Received

CHUNKS = b"5\r\nhello\r\n7;a=b\r\n, world\r\n0\r\nX: y\r\n\r\n"
BEHIND = b"GET / HTTP/1.1\r\n"


def read_all(reader: BodyReader, received: Received, size: int = 65536) -> bytes:
    body = b""
    while data := reader.read(received, size):
        assert len(data) <= size
        body += data
    return body


def received_of(data: bytes) -> Received:
    received = Received()
    received.append(data)
    return received


@pytest.mark.parametrize("size", [1, 2, 5, 65536])
@pytest.mark.parametrize(
    ("make", "data"), [(lambda: LengthReader(12), b"hello, world"), (lambda: ChunkedReader(Limits()), CHUNKS)]
)
class TestEachReader:
    def test_whole(self, make: object, data: bytes, size: int) -> None:
        reader, received = make(), received_of(data)  # type: ignore[operator]
        assert read_all(reader, received, size) == b"hello, world"
        assert reader.complete
        assert len(received) == 0

    def test_byte_by_byte(self, make: object, data: bytes, size: int) -> None:
        reader, received = make(), Received()  # type: ignore[operator]
        body = b""
        for index in range(len(data)):
            assert not reader.complete
            received.append(data[index : index + 1])
            body += read_all(reader, received, size)
        assert reader.complete
        assert body == b"hello, world"

    def test_with_bytes_behind(self, make: object, data: bytes, size: int) -> None:
        reader, received = make(), received_of(data + BEHIND)  # type: ignore[operator]
        assert read_all(reader, received, size) == b"hello, world"
        assert reader.complete
        assert received.take(100) == BEHIND

    def test_discard_leaves_what_is_behind(self, make: object, data: bytes, size: int) -> None:
        reader, received = make(), received_of(data + BEHIND)  # type: ignore[operator]
        reader.read(received, size)
        assert reader.discard(received) == 0
        assert reader.complete
        assert received.take(100) == BEHIND


def test_a_length_says_how_much_is_left_to_discard() -> None:
    reader = LengthReader(10)
    assert reader.discard(received_of(b"hello")) == 5
    assert not reader.complete
    assert reader.discard(received_of(b"hello!")) == 0
    assert reader.complete


def test_chunks_do_not_say_how_much_is_left_to_discard() -> None:
    assert ChunkedReader(Limits()).discard(received_of(b"5\r\nhello\r\n")) == -1


def test_the_end_is_known_with_the_last_data() -> None:
    reader, received = ChunkedReader(Limits()), received_of(CHUNKS)
    assert reader.read(received, 12) == b"hello, world"
    assert reader.complete


def test_many_chunks_are_handed_out_as_one_piece() -> None:
    reader = ChunkedReader(Limits())
    assert reader.read(received_of(b"1\r\nx\r\n" * 2000), 65536) == b"x" * 2000


def test_many_tiny_chunks_cost_linear_time() -> None:
    def seconds(count: int) -> float:
        best = 1e9
        for _ in range(3):
            data = b"1\r\nx\r\n" * count + b"0\r\n\r\n"
            reader, received = ChunkedReader(Limits()), Received()
            start = time.process_time()
            received.append(data[:10])
            received.append(data[10:])
            assert len(read_all(reader, received)) == count
            best = min(best, time.process_time() - start)
        return best

    assert seconds(24_000) < 24 * seconds(3_000)


def test_extensions_have_one_budget_for_the_whole_body() -> None:
    limits = Limits(chunk_extension_bytes=20)
    chunk = b"1;abcdefgh\r\nx\r\n"
    assert ChunkedReader(limits).read(received_of(chunk * 2), 100) == b"xx"
    with pytest.raises(HttpError) as caught:
        ChunkedReader(limits).read(received_of(chunk * 3), 100)
    assert caught.value.status == 400


def test_trailers_have_a_budget() -> None:
    limits = Limits(trailer_bytes=20)
    reader = ChunkedReader(limits)
    assert reader.read(received_of(b"0\r\n" + b"X: 34567\r\n" * 2 + b"\r\n"), 100) == b""
    assert reader.complete
    with pytest.raises(HttpError) as caught:
        ChunkedReader(limits).read(received_of(b"0\r\n" + b"X: 34567\r\n" * 3 + b"\r\n"), 100)
    assert caught.value.status == 431


def test_a_body_in_chunks_has_a_limit() -> None:
    whole = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
    for limit in (0, 5, 6):
        reader, received = ChunkedReader(Limits(body=limit)), received_of(whole)
        assert reader.read(received, 100) == b"abcde"
        assert reader.complete
    reader, received = ChunkedReader(Limits(body=4)), received_of(whole)
    with pytest.raises(HttpError) as caught:
        reader.read(received, 100)
    assert caught.value.status == 413


def test_a_chunk_over_the_limit_is_refused_before_its_first_byte() -> None:
    reader, received = ChunkedReader(Limits(body=10)), received_of(b"3\r\nabc\r\nFFFFFFFFFFFFFFFF\r\n"[:10])
    assert reader.read(received, 100) == b"abc"
    received.append(b"FFFFFFFFFFFFFF\r\n")
    with pytest.raises(HttpError) as caught:
        reader.read(received, 100)
    assert caught.value.status == 413
