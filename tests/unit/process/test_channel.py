"""The channel's parser, byte by byte and with dumps between; and a pair that is closed, full or reset."""

import pytest

from ostler.process.channel import (
    BootFailed,
    Channel,
    Message,
    Parser,
    Ready,
    Retire,
    RetireRequest,
    Stop,
    decode,
    encode,
)

MESSAGES: list[Message] = [
    Ready(312),
    BootFailed(3, 'ImportError: "x" in app.py:1 \x00 \n ü'),
    RetireRequest("max_requests"),
    Retire(),
    Stop(),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_message_survives_the_way(message: Message) -> None:
    line = encode(message)
    assert line[:1] == b"\x00"
    assert line.index(b"\n") == len(line) - 1
    assert Parser().feed(line) == [message]


def test_messages_arrive_whole_however_the_bytes_do() -> None:
    data = b"".join(encode(message) for message in MESSAGES)
    for size in (1, 2, 3, 7, 50, len(data)):
        parser, found = Parser(), []
        for start in range(0, len(data), size):
            found += parser.feed(data[start : start + size])
        assert found == MESSAGES
        assert parser.take_dump() == ""


def test_dump_around_and_cut_by_messages_is_collected() -> None:
    data = b"Thread 0x1:\n  File a" + encode(Ready(1)) + b".py, line 3\n" + encode(Stop()) + b"end"
    for size in (1, 5, len(data)):
        parser, found = Parser(), []
        for start in range(0, len(data), size):
            found += parser.feed(data[start : start + size])
        assert found == [Ready(1), Stop()]
        assert parser.take_dump() == "Thread 0x1:\n  File a.py, line 3\nend"
        assert parser.take_dump() == ""


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"kind": "Nonsense"}',
        b'{"kind": "Ready"}',
        b'{"kind": "Ready", "boot_ms": "soon"}',
        b'{"kind": "RetireRequest", "reason": "boredom"}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_message_is_text(line: bytes) -> None:
    assert decode(line) is None
    parser = Parser()
    assert parser.feed(b"\x00" + line + b"\n" + encode(Ready(1))) == [Ready(1)]


def test_endless_line_and_endless_dump_are_bounded() -> None:
    parser = Parser()
    for _ in range(100):
        assert parser.feed(b"\x00" + b"x" * 60000) == []
    assert len(parser.take_dump()) <= 262144
    assert parser.feed(b"\n" + encode(Ready(1))) == [Ready(1)]


def test_end_of_file_comes_after_the_last_message() -> None:
    ours, theirs = Channel.pair()
    assert ours.receive() == []
    theirs.send(BootFailed(4, "gone"))
    theirs.close()
    assert ours.receive() == [BootFailed(4, "gone")]
    assert ours.receive() is None
    ours.send(Retire())
    assert ours.receive() is None
    ours.close()


def test_sending_to_a_stopped_peer_never_waits_and_loses_nothing() -> None:
    ours, theirs = Channel.pair()
    for _ in range(20000):
        ours.send(Stop())
    count = 0
    while messages := theirs.receive():
        count += len(messages)
        assert ours.receive() == []
    assert count == 20000
    ours.close()
    theirs.close()
