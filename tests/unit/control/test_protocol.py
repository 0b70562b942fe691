import pytest

from ostler.control.protocol import (
    LIMIT_LINE_BYTES,
    Command,
    Lines,
    Moved,
    Part,
    Progress,
    ProtocolError,
    Request,
    Result,
    decode,
    encode,
)


@pytest.mark.parametrize(
    "line",
    [
        *map(Request, Command),
        Request(Command.SCALE, ("8", "ü")),
        Part("{"),
        Progress("worker ready"),
        Moved(42),
        Result(True, "done"),
        Result(False, "ü\n"),
    ],
)
def test_each_line_means_the_same_on_the_other_side(line):
    sent = encode(line)
    assert sent.endswith(b"\n")
    assert sent.count(b"\n") == 1
    assert decode(sent[:-1]) == line


@pytest.mark.parametrize(
    "line",
    [
        b'{"kind": "Request", "command": "dance"}',
        b'{"kind": "Later"}',
        b'{"kind": "Moved"}',
        b'{"kind": "Moved", "pid": 1e9}',
        b'{"kind": "Moved", "pid": -1}',
        b'{"kind": "Moved", "pid": 2147483648}',
    ],
)
def test_what_a_later_version_says_is_passed_over(line):
    assert decode(line) is None


@pytest.mark.parametrize("line", [b"", b"GET / HTTP/1.1", b"[]", b"7", b'{"command": "reload"}', b"\xff", b"[" * 60000])
def test_what_is_not_the_protocol_is_refused(line):
    with pytest.raises(ProtocolError):
        decode(line)


def test_lines_come_whole_however_they_are_cut():
    lines = Lines()
    assert [line for byte in b"one\ntwo\n\nrest" for line in lines.feed(bytes([byte]))] == [b"one", b"two", b""]
    assert lines.feed(b"\nmore\n") == [b"rest", b"more"]


def test_a_line_without_end_is_refused():
    lines = Lines()
    assert lines.feed(b"x" * LIMIT_LINE_BYTES) == []
    with pytest.raises(ProtocolError, match="at most"):
        lines.feed(b"x")


def test_long_text_is_cut_so_that_the_line_has_room():
    assert len(encode(Result(False, "\U0001f600" * 100_000))) <= LIMIT_LINE_BYTES
