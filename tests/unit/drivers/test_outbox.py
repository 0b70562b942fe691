"""drivers/outbox.py: pieces in order, through a socket that takes a little at a time."""

import os
import random
import resource
import socket

import pytest

from ostler.drivers import outbox as module
from ostler.drivers.outbox import CLIENT_MEMORY_BYTES, MEMORY_BYTES, Outbox, Reserve
from ostler.drivers.spill import REGION_BYTES
from ostler.drivers.stream import PlainStream
from ostler.http.connection import FileSlice


@pytest.fixture
def reserve(tmp_path):
    """Without memory: all goes to the file."""
    directory = tmp_path / "spill"
    directory.mkdir()
    reserve = Reserve(str(directory), 0)
    yield reserve
    reserve.spill.close()


@pytest.fixture
def outbox(reserve):
    outbox = Outbox(reserve)
    yield outbox
    outbox.close()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 4096)  # 1 MiB
    return path


def file_slice(path, offset, length):
    return FileSlice(os.open(path, os.O_RDONLY), offset, length)


def descriptors():
    return len(os.listdir("/dev/fd"))


def drain(outbox, ours, theirs, take=65536):
    """Everything that arrives while `outbox` is sent to the end; and what is queued never grows."""
    received = bytearray()
    done = False
    while not done:
        queued = outbox.queued
        done = outbox.send(PlainStream(ours))
        assert outbox.queued <= queued
        with_nothing = False
        while not with_nothing:
            try:
                data = theirs.recv(take)
                received += data
            except BlockingIOError:
                with_nothing = True
    assert outbox.queued == 0
    return bytes(received)


def test_an_empty_outbox_is_done(outbox, pair):
    assert outbox.send(PlainStream(pair[0]))
    assert not outbox.is_full


def test_pieces_arrive_in_order(outbox, pair, path):
    content = path.read_bytes()
    outbox.add(b"one")
    outbox.add(b"")
    outbox.add(file_slice(path, 100, 5000))
    outbox.add(b"two")
    outbox.add(file_slice(path, 0, len(content)))
    outbox.add(b"three")
    assert outbox.queued == 3 + 5000 + 3 + len(content) + 5
    before = descriptors()
    assert drain(outbox, *pair) == b"one" + content[100:5100] + b"two" + content + b"three"
    assert descriptors() == before - 2


def test_what_the_kernel_does_not_take_stays(outbox, pair):
    data = random.Random(1).randbytes(1_000_000)
    outbox.add(data)
    assert not outbox.send(PlainStream(pair[0]))
    assert 0 < outbox.queued < len(data)
    outbox.add(b"end")
    assert drain(outbox, *pair) == data + b"end"


def test_an_empty_slice_is_closed_at_once(outbox, path):
    before = descriptors()
    outbox.add(file_slice(path, 0, 0))
    assert descriptors() == before
    assert outbox.queued == 0


def test_what_exceeds_the_memory_goes_to_one_file_without_a_name(outbox, pair, path, tmp_path):
    content = path.read_bytes()
    data = random.Random(2).randbytes(400_000)
    before = descriptors()
    expected = b""
    for number in range(20):
        block = data[number * 20_000 : (number + 1) * 20_000]
        outbox.add(block)
        expected += block
        if number == 10:
            outbox.add(file_slice(path, 10, 20))
            expected += content[10:30]
        outbox.send(PlainStream(pair[0]))
        while outbox.spill():
            pass
        assert not outbox.is_full
    assert descriptors() == before + 2
    assert list((tmp_path / "spill").iterdir()) == []
    assert len(outbox._pieces) < 10
    assert drain(outbox, *pair) == expected
    assert descriptors() == before + 1, "the file stays, for others"


def test_a_little_stays_in_memory(outbox):
    before = descriptors()
    outbox.add(b"x" * MEMORY_BYTES)
    while outbox.spill():
        pass
    assert descriptors() == before
    assert not outbox.is_full


def test_after_everything_is_sent_the_room_in_the_file_is_used_again(outbox, reserve, pair):
    sizes = set()
    for _ in range(3):
        outbox.add(b"x" * 300_000)
        assert not outbox.send(PlainStream(pair[0]))
        while outbox.spill():
            pass
        sizes.add(reserve.spill.size)
        assert drain(outbox, *pair).strip(b"x") == b""
    assert len(sizes) == 1


def test_what_is_sent_makes_room_in_the_file_for_others(reserve, pair):
    first, second = Outbox(reserve), Outbox(reserve)
    first.add(random.Random(6).randbytes(10 * REGION_BYTES))
    first.spill()
    size = reserve.spill.size
    while first.queued > 4 * REGION_BYTES:
        first.send(PlainStream(pair[0]))
        pair[1].recv(65536)
    data = random.Random(7).randbytes(5 * REGION_BYTES)
    second.add(data)
    second.spill()
    assert reserve.spill.size == size
    first.close()
    while True:
        try:
            pair[1].recv(65536)
        except BlockingIOError:
            break
    assert drain(second, *pair) == data


def test_what_stays_in_memory_and_what_is_in_the_file_keep_their_order(pair, tmp_path):
    reserve = Reserve(str(tmp_path), 2 * MEMORY_BYTES)
    outbox = Outbox(reserve)
    data = random.Random(8).randbytes(100 * MEMORY_BYTES)
    received = b""
    for start in range(0, len(data), MEMORY_BYTES // 2):
        outbox.add(data[start : start + MEMORY_BYTES // 2])
        outbox.send(PlainStream(pair[0]))
        while outbox.spill():
            pass
        assert outbox._memory <= 3 * MEMORY_BYTES
        if start % MEMORY_BYTES:
            received += pair[1].recv(random.Random(start).randrange(1, MEMORY_BYTES))
    assert received + drain(outbox, *pair) == data
    reserve.spill.close()


def test_the_rest_of_a_block_does_not_keep_all_of_it_in_memory(pair):
    pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 500_000)
    reserve = Reserve(memory_bytes=1_000_000)
    outbox = Outbox(reserve)
    outbox.add(b"x" * 800_000)
    outbox.send(PlainStream(pair[0]))
    while outbox.spill():
        pass
    while outbox.queued > 100_000:
        pair[1].recv(65536)
        outbox.send(PlainStream(pair[0]))
    assert outbox._memory <= 2 * outbox.queued
    assert reserve.memory.take(1_000_000 - 2 * outbox.queued), "and others may have it"
    outbox.close()


def test_many_small_blocks_become_a_few_pieces(outbox, pair):
    data = random.Random(9).randbytes(20_000)
    for start in range(len(data)):
        outbox.add(data[start : start + 1])
    assert len(outbox._pieces) < 10
    assert outbox.queued == 20_000
    assert drain(outbox, *pair) == data


def test_it_is_full_with_too_much_queued(outbox, pair, monkeypatch):
    monkeypatch.setattr(module, "FULL_BYTES", 500_000)
    outbox.add(b"x" * 499_999)
    while outbox.spill():
        pass
    assert not outbox.is_full
    outbox.add(b"xx")
    while outbox.spill():
        pass
    assert outbox.is_full
    drain(outbox, *pair)
    assert not outbox.is_full


@pytest.fixture
def disk():
    """Sets how large a file may become: write(2) fails with EFBIG there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_without_room_on_the_disk_it_is_full_and_loses_nothing(outbox, pair, disk):
    data = random.Random(3).randbytes(600_000)
    disk(0)
    outbox.add(data[:300_000])
    while outbox.spill():
        pass
    assert outbox.is_full
    disk(200_000)
    outbox.add(data[300_000:400_000])
    while outbox.spill():
        pass
    disk(10_000_000)
    outbox.add(data[400_000:])
    while outbox.spill():
        pass
    assert not outbox.is_full
    assert drain(outbox, *pair) == data


def test_a_disk_that_fills_up_in_the_middle_loses_nothing(outbox, pair, disk):
    data = random.Random(4).randbytes(600_000)
    disk(250_000)
    for start in range(0, 600_000, 50_000):
        outbox.add(data[start : start + 50_000])
        while outbox.spill():
            pass
    disk(10_000_000)
    while outbox.spill():
        pass
    assert drain(outbox, *pair) == data


def test_without_a_directory_it_stays_in_memory(pair, tmp_path):
    outbox = Outbox(Reserve(str(tmp_path / "missing"), 0))
    outbox.add(b"x" * 300_000)
    while outbox.spill():
        pass
    assert outbox.is_full
    assert len(drain(outbox, *pair)) == 300_000


def test_close_gives_every_descriptor_and_region_back(reserve, pair, path):
    before = descriptors()
    outbox = Outbox(reserve)
    for _ in range(3):
        outbox.add(file_slice(path, 0, 1_000_000))
        outbox.add(b"x" * 200_000)
        outbox.send(PlainStream(pair[0]))
        while outbox.spill():
            pass
    assert descriptors() == before + 4
    outbox.close()
    reserve.spill.trim()
    assert reserve.spill.size == 0
    assert descriptors() == before
    assert outbox.queued == 0
    outbox.close()


def test_a_broken_connection_raises_and_close_cleans_up(outbox, pair, path):
    before = descriptors()
    outbox.add(file_slice(path, 0, 1000))
    outbox.add(b"x")
    pair[0].shutdown(socket.SHUT_WR)
    with pytest.raises(OSError, match="pipe"):
        outbox.send(PlainStream(pair[0]))
    outbox.close()
    assert descriptors() == before


def test_a_file_that_became_shorter_breaks_the_connection_off(outbox, pair, path):
    outbox.add(file_slice(path, 0, 2_000_000))
    with pytest.raises(ConnectionAbortedError):
        drain(outbox, *pair)


def test_a_few_slow_readers_cost_memory_and_no_file(pair):
    reserve = Reserve(memory_bytes=3 * MEMORY_BYTES)
    outbox = Outbox(reserve)
    outbox.add(b"x" * 3 * MEMORY_BYTES)
    while outbox.spill():
        pass
    assert reserve.spill.size == 0
    assert not outbox.is_full
    assert not reserve.memory.take(MEMORY_BYTES + 1)
    assert drain(outbox, *pair) == b"x" * 3 * MEMORY_BYTES
    assert reserve.memory.take(3 * MEMORY_BYTES), "the budget is whole again when all is sent"


def test_a_file_takes_over_when_the_budget_is_used_up(tmp_path):
    reserve = Reserve(str(tmp_path), 2 * MEMORY_BYTES)
    first, second = Outbox(reserve), Outbox(reserve)
    sizes = []
    for outbox in (first, second):
        outbox.add(b"x" * 3 * MEMORY_BYTES)
        while outbox.spill():
            pass
        sizes.append(reserve.spill.size)
    assert sizes == [0, REGION_BYTES]
    first.close()
    second.close()
    assert reserve.memory.take(2 * MEMORY_BYTES)
    reserve.spill.close()


def test_one_client_takes_only_its_share_of_the_budget(tmp_path):
    reserve = Reserve(str(tmp_path), 100 * CLIENT_MEMORY_BYTES)
    outbox = Outbox(reserve)
    outbox.add(b"x" * CLIENT_MEMORY_BYTES)
    while outbox.spill():
        pass
    assert reserve.spill.size == 0
    outbox.add(b"x" * 2 * MEMORY_BYTES)
    while outbox.spill():
        pass
    assert reserve.spill.size == REGION_BYTES
    assert reserve.memory.take(99 * CLIENT_MEMORY_BYTES), "what is in the file is not in memory"
    outbox.close()
    reserve.spill.close()
