"""The channel's parser, byte by byte and with dumps between; a pair that is closed, full or reset; descriptors."""

import contextlib
import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostler.process.channel import (
    BootFailed,
    Born,
    CertificateFiles,
    Channel,
    Declined,
    Died,
    ForkRefused,
    ForkWorker,
    LameDuckBegins,
    LogFiles,
    LogsRequest,
    Message,
    MoldIsReady,
    Notice,
    NotPromoted,
    Parser,
    Promote,
    Ready,
    Retire,
    RetireRequest,
    Stop,
    Trouble,
    decode,
    encode,
)

MESSAGES: list[Message] = [
    Ready(312),
    BootFailed(3, 'ImportError: "x" in app.py:1 \x00 \n ü'),
    RetireRequest("max_requests"),
    LogsRequest(),
    Retire(),
    Stop(),
    Stop(keep_listeners=True),
    LogFiles(("/var/log/a", "-")),
    LogFiles(("a",), others=True),
    Retire((0, 2), (2,)),
    Stop(True, (0,)),
    CertificateFiles(),
    RetireRequest("max_worker_memory", "rss_mb=512 limit_mb=500"),
    Born(42),
    MoldIsReady(7),
    Declined("threads"),
    NotPromoted("a client"),
    Notice("settings without effect"),
    Trouble("request timeout", serious=True),
    ForkRefused(9, "no memory"),
    Died(42, 1, None),
    Died(42, None, "SIGKILL"),
    ForkWorker(9, 1, 3, ('["a"]', "b"), "{}"),
    Promote((1,)),
    LameDuckBegins(),
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
        b'{"kind": "Stop", "keep_listeners": "yes"}',
        b'{"kind": "LogFiles", "names": [1]}',
        b'{"kind": "Died", "pid": 1, "status": null, "signal": null}',
        b'{"kind": "ForkWorker", "age": 1, "slot": 0, "page": 0, "listeners": [1], "attributes": ""}',
        b'{"kind": "Promote", "ours": ["a"]}',
        b"[" * 60000,
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
    for _ in range(2000):
        ours.send(Stop())
    count = 0
    while messages := theirs.receive():
        count += len(messages)
        assert ours.receive() == []
    assert count == 2000
    ours.close()
    theirs.close()


def test_the_longest_summary_arrives_whatever_its_characters_are() -> None:
    for character in "x\x00\U0001f600":
        assert Parser().feed(encode(BootFailed(3, character * 5000))) == [BootFailed(3, character * 4000)]


def test_numbers_of_descriptors_are_not_sent_as_text() -> None:
    assert Parser().feed(encode(LogFiles(("a", "b"), (7, 8)))) == [LogFiles(("a", "b"))]


@pytest.fixture
def channels() -> Iterator[tuple[Channel, Channel]]:
    """A pair; the descriptors that are open before it are all that are open after it."""
    before = open_descriptors()
    ours, theirs = Channel.pair()
    yield ours, theirs
    ours.close()
    theirs.close()
    assert open_descriptors() == before


def open_descriptors() -> set[str]:
    return {name for name in os.listdir("/dev/fd") if os.path.exists(f"/dev/fd/{name}")}


def file_with(path: Path, text: str) -> int:
    path.write_text(text)
    return os.open(path, os.O_RDONLY)


def received_texts(channel: Channel) -> list[tuple[tuple[str, ...], list[str]]]:
    """What stands in the files behind the LogFiles that have arrived."""
    found = []
    for message in channel.receive() or []:
        if isinstance(message, LogFiles):
            found.append((message.names, [os.pread(fd, 100, 0).decode() for fd in message.fds]))
            for fd in message.fds:
                assert not os.get_inheritable(fd)
                os.close(fd)
    return found


def test_descriptors_arrive_in_the_order_of_their_names(channels, tmp_path) -> None:
    ours, theirs = channels
    fds = tuple(file_with(tmp_path / name, name) for name in "ab")
    ours.send(Retire())
    ours.send(LogFiles(("a", "b")), fds)
    for fd in fds:
        os.close(fd)
    ours.send(Stop(keep_listeners=True))
    assert received_texts(theirs) == [(("a", "b"), ["a", "b"])]


def test_each_message_gets_its_own_descriptors(channels, tmp_path) -> None:
    ours, theirs = channels
    for number in range(3):
        fd = file_with(tmp_path / str(number), str(number))
        ours.send(LogFiles(("log",)), (fd,))
        ours.send(Retire())
        os.close(fd)
    assert received_texts(theirs) == [(("log",), [str(number)]) for number in range(3)]


def test_a_full_channel_keeps_the_latest_descriptor_of_each_log(channels, tmp_path) -> None:
    ours, theirs = channels
    for _ in range(2000):
        ours.send(Stop())
    before = open_descriptors()
    for number in range(50):
        for name in ("error", "access"):
            fd = file_with(tmp_path / name, f"{name} {number}")
            os.unlink(tmp_path / name)
            ours.send(LogFiles((name,)), (fd,))
            os.close(fd)
    assert len(open_descriptors() - before) == 2
    found = []
    while (texts := received_texts(theirs)) or ours.receive() != [] or len(found) == 0:
        found += texts
    assert [(sorted(names), sorted(texts)) for names, texts in found] == [
        (["access", "error"], ["access 49", "error 49"])
    ]


def test_who_writes_without_end_is_not_listened_to_without_end(channels) -> None:
    ours, theirs = channels
    counts = []
    for _ in range(40):  # each comes as a block of its own
        ours.send(CertificateFiles(), (0,))
    while messages := theirs.receive():
        counts.append(len(messages))
        for message in messages:
            assert isinstance(message, CertificateFiles)
            os.close(message.fds[0])
    assert counts == [16, 16, 8]


def test_unsent_descriptors_are_closed_with_the_channel(channels, tmp_path) -> None:
    ours, _theirs = channels
    for _ in range(2000):
        ours.send(Stop())
    fd = file_with(tmp_path / "a", "a")
    ours.send(LogFiles(("a",)), (fd,))
    os.close(fd)


def test_certificates_come_with_their_descriptor_between_logs(channels, tmp_path) -> None:
    ours, theirs = channels
    fd = file_with(tmp_path / "a", "a")
    for message in (LogFiles(("a",)), CertificateFiles(), Retire()):
        ours.send(message, () if message == Retire() else (fd,))
    os.close(fd)
    logs, certificates, retire = theirs.receive() or []
    assert isinstance(logs, LogFiles)
    assert isinstance(certificates, CertificateFiles)
    assert retire == Retire()
    for got in (*logs.fds, *certificates.fds):
        assert os.pread(got, 10, 0) == b"a"
        os.close(got)


def test_a_full_channel_keeps_the_latest_certificates_only(channels, tmp_path) -> None:
    ours, theirs = channels
    for _ in range(2000):
        ours.send(Stop())
    before = open_descriptors()
    for number in range(20):
        fd = file_with(tmp_path / str(number), str(number))
        ours.send(CertificateFiles(), (fd,))
        os.close(fd)
    assert len(open_descriptors() - before) == 1
    found: list[Message] = []
    while (messages := theirs.receive() or []) or ours.receive() != [] or not found:
        found += [message for message in messages if isinstance(message, CertificateFiles)]
    (only,) = found
    assert isinstance(only, CertificateFiles)
    assert os.pread(only.fds[0], 10, 0) == b"19"
    os.close(only.fds[0])


def test_certificates_without_their_descriptor_come_without(odd_peer) -> None:
    peer, channel = odd_peer
    peer.send(encode(CertificateFiles()))
    socket.send_fds(peer, [encode(CertificateFiles())], [0, 1])
    assert channel.receive() == [CertificateFiles(), CertificateFiles()]


def test_a_worker_to_be_forked_comes_with_its_channel_and_its_listeners(channels, tmp_path) -> None:
    ours, theirs = channels
    fds = tuple(file_with(tmp_path / name, name) for name in "abc")
    for age in (1, 2):
        ours.send(ForkWorker(age, 0, 0, ("b", "c")), fds)
    for fd in fds:
        os.close(fd)
    for age, message in enumerate(theirs.receive() or [], 1):
        assert isinstance(message, ForkWorker)
        assert message.age == age
        assert [os.pread(fd, 10, 0) for fd in message.fds] == [b"a", b"b", b"c"]
        for fd in message.fds:
            os.close(fd)
    with pytest.raises(ValueError, match="expected 3 descriptors"):
        ours.send(ForkWorker(3, 0, 0, ("b", "c")), (0, 0))


def test_a_channel_is_made_of_its_descriptor(channels) -> None:
    ours, theirs = channels
    again = Channel.of(os.dup(theirs.fileno()))
    again.send(Born(1))
    again.close()
    assert ours.receive() == [Born(1)]


def test_many_small_pieces_of_a_dump_wait_for_their_reader(channels) -> None:
    """faulthandler writes a line in seven of them, and gives up what does not fit."""
    ours, theirs = channels
    pieces = 0
    with contextlib.suppress(BlockingIOError):
        while pieces < 4000:  # as root there is room for more
            os.write(theirs.fileno(), b"  File ")
            pieces += 1
    assert pieces > 500
    assert ours.receive() == []
    assert len(ours.take_dump()) == pieces * 7


def test_names_and_descriptors_must_match(channels) -> None:
    ours, _theirs = channels
    with pytest.raises(ValueError, match="expected 1 descriptors"):
        ours.send(CertificateFiles())
    with pytest.raises(ValueError, match="expected 2 descriptors"):
        ours.send(LogFiles(("a", "b")), (0,))
    with pytest.raises(ValueError, match="expected 0 descriptors"):
        ours.send(Stop(), (0,))
    with pytest.raises(ValueError, match="at most 253"):
        ours.send(LogFiles(tuple(map(str, range(254)))), (0,) * 254)


def test_a_descriptor_that_is_closed_already_cannot_be_sent(channels) -> None:
    ours, theirs = channels
    with pytest.raises(OSError, match="Bad file descriptor"):
        ours.send(LogFiles(("a", "b")), (0, 9999))
    assert theirs.receive() == []


@pytest.fixture
def odd_peer() -> Iterator[tuple[socket.socket, Channel]]:
    """A peer that sends what it likes."""
    before = open_descriptors()
    peer, sock = socket.socketpair()
    channel = Channel(sock)
    yield peer, channel
    peer.close()
    channel.close()
    assert open_descriptors() == before


def test_descriptors_that_nobody_asked_for_are_closed(odd_peer) -> None:
    peer, channel = odd_peer
    before = open_descriptors()
    socket.send_fds(peer, [b"text"], [0, 1])
    socket.send_fds(peer, [encode(Retire())], [0])
    assert channel.receive() == [Retire()]
    assert open_descriptors() == before
    socket.send_fds(peer, [b"\x00 no message"], [0])
    socket.send_fds(peer, [b" and on"], [0, 1])
    assert channel.receive() == []
    socket.send_fds(peer, [b"\n"], [0])
    assert channel.receive() == []
    assert open_descriptors() == before


@pytest.mark.parametrize("sent", [1, 3])
def test_a_batch_of_another_size_is_closed_and_the_message_comes_without(odd_peer, sent) -> None:
    peer, channel = odd_peer
    socket.send_fds(peer, [encode(LogFiles(("a", "b")))], [0] * sent)
    assert channel.receive() == [LogFiles(("a", "b"))]


def test_more_descriptors_than_there_is_room_for_are_closed_and_the_next_message_is_right(odd_peer, tmp_path) -> None:
    peer, channel = odd_peer
    socket.send_fds(peer, [encode(LogFiles(("a",)))], [0] * 100)
    fd = file_with(tmp_path / "b", "b")
    socket.send_fds(peer, [encode(LogFiles(("b",)))], [fd])
    os.close(fd)
    assert received_texts(channel) == [(("a",), []), (("b",), ["b"])]


def test_a_process_without_free_descriptors_gets_the_message_without_and_the_next_one_with(channels, tmp_path) -> None:
    ours, theirs = channels
    fds = tuple(file_with(tmp_path / name, name) for name in "ab")
    ours.send(LogFiles(("a", "b")), fds)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.dup(0)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 2, limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        os.close(taken.pop())  # one number for two descriptors
        assert theirs.receive() == [LogFiles(("a", "b"))]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for fd in taken:
            os.close(fd)
    ours.send(LogFiles(("b",)), fds[1:])
    for fd in fds:
        os.close(fd)
    assert received_texts(theirs) == [(("b",), ["b"])]


def test_a_message_in_pieces_keeps_its_descriptors(odd_peer, tmp_path) -> None:
    peer, channel = odd_peer
    first, last = encode(LogFiles(("a",)))[:5], encode(LogFiles(("a",)))[5:]
    fd = file_with(tmp_path / "a", "a")
    socket.send_fds(peer, [first], [fd])
    os.close(fd)
    assert channel.receive() == []
    peer.send(last + encode(Retire()))
    assert received_texts(channel) == [(("a",), ["a"])]


def test_a_channel_that_ends_in_a_message_closes_its_descriptors(odd_peer) -> None:
    peer, channel = odd_peer
    socket.send_fds(peer, [b"\x00half"], [0])
    peer.shutdown(socket.SHUT_WR)
    assert channel.receive() is None
