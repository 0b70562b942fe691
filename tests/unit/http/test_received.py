"""`http/received.py`: bytes in, bytes out, never copied without need."""

from ostler.http.received import Received


def test_a_piece_into_an_empty_buffer_is_kept_and_given_back_as_it_is() -> None:
    received = Received()
    data = b"a block of a body"
    received.append(data)
    assert received.take(1000) is data
    assert len(received) == 0


def test_pieces_are_joined_in_order() -> None:
    received = Received()
    for piece in (b"ab", b"cd", b"ef"):
        received.append(piece)
    assert len(received) == 6
    assert received.take(1) == b"a"
    assert received.take(3) == b"bcd"
    received.append(b"gh")
    assert received.take(100) == b"efgh"
    assert received.take(100) == b""


def test_what_is_taken_is_always_bytes() -> None:
    received = Received()
    received.append(b"ab")
    received.append(b"cd")
    assert type(received.take(1)) is bytes
    assert type(received.take(9)) is bytes


def test_skip_says_how_much_was_there() -> None:
    received = Received()
    received.append(b"abcd")
    assert received.skip(3) == 3
    assert received.skip(3) == 1
    assert received.skip(3) == 0


def test_an_append_behind_a_taken_front_drops_the_front() -> None:
    received = Received()
    received.append(b"abcd")
    received.skip(3)
    received.append(b"e")
    assert bytes(received.data) == b"de"
    received.skip(1)
    received.append(b"f")
    assert bytes(received.data) == b"ef"
