"""drivers/spill.py: a file whose regions go from hand to hand, and queues of bytes in it."""

import os
import random
import resource

import pytest

from ostler.drivers.spill import REGION_BYTES, TRIM_BYTES, Spill, SpilledBytes


@pytest.fixture
def spill(tmp_path):
    spill = Spill(str(tmp_path))
    yield spill
    spill.close()


@pytest.fixture
def disk():
    """Sets how large a file may become: write(2) fails with EFBIG there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def read_all(queue, size=10_000):
    found = b""
    while data := queue.peek(size):
        found += data
        queue.drop(len(data))
    return found


def on_disk(spill):
    return os.fstat(spill._fd).st_size


def test_bytes_come_out_as_they_went_in(spill):
    queue = SpilledBytes(spill)
    rng = random.Random(1)
    expected = b""
    for _ in range(50):
        data = rng.randbytes(rng.choice([1, 100, REGION_BYTES - 1, REGION_BYTES, REGION_BYTES + 1, 3 * REGION_BYTES]))
        queue.append(data)
        expected += data
        count = len(queue.peek(rng.randrange(1, REGION_BYTES)))
        assert queue.peek(count) == expected[:count]
        queue.drop(count)
        expected = expected[count:]
    assert read_all(queue) == expected
    assert queue.peek(1) == b""


def test_queues_do_not_see_each_other(spill):
    rng = random.Random(2)
    queues = [(SpilledBytes(spill), bytearray()) for _ in range(20)]
    for _ in range(400):
        queue, expected = rng.choice(queues)
        if rng.random() < 0.5:
            data = rng.randbytes(rng.randrange(1, 2 * REGION_BYTES))
            queue.append(data)
            expected += data
        else:
            data = queue.peek(rng.randrange(1, REGION_BYTES))
            assert data == expected[: len(data)]
            queue.drop(len(data))
            del expected[: len(data)]
    for queue, expected in queues:
        assert read_all(queue) == expected


def test_a_file_is_made_only_when_it_is_needed_and_has_no_name(spill, tmp_path):
    assert spill.size == 0
    assert spill._fd == -1
    queue = SpilledBytes(spill)
    queue.append(b"x")
    assert spill.size == REGION_BYTES
    assert list(tmp_path.iterdir()) == []
    queue.close()


def test_regions_are_used_again(spill):
    first, second = SpilledBytes(spill), SpilledBytes(spill)
    first.append(b"x" * 4 * REGION_BYTES)
    assert read_all(first) == b"x" * 4 * REGION_BYTES
    second.append(b"y" * 4 * REGION_BYTES)
    assert spill.size == 4 * REGION_BYTES
    assert read_all(second) == b"y" * 4 * REGION_BYTES


def test_a_queue_that_was_closed_or_read_to_its_end_can_be_used_again(spill):
    queue = SpilledBytes(spill)
    queue.append(b"gone")
    queue.close()
    queue.append(b"one")
    assert read_all(queue) == b"one"
    queue.append(b"two")
    assert read_all(queue) == b"two"
    assert spill.size == REGION_BYTES


def test_the_file_takes_no_more_than_its_limit(tmp_path):
    spill = Spill(str(tmp_path), 3 * REGION_BYTES)
    first, second = SpilledBytes(spill), SpilledBytes(spill)
    first.append(b"a" * 10)
    with pytest.raises(OSError, match="full"):
        second.append(b"x" * 3 * REGION_BYTES)
    assert second.peek(1) == b"", "nothing was added"
    second.append(b"b" * 2 * REGION_BYTES)
    first.append(b"a" * (REGION_BYTES - 10))
    with pytest.raises(OSError, match="full"):
        first.append(b"a")
    assert read_all(second) == b"b" * 2 * REGION_BYTES
    first.append(b"a")
    assert read_all(first) == b"a" * (REGION_BYTES + 1)
    spill.close()


def test_a_full_disk_adds_nothing_and_keeps_what_was_there(spill, disk):
    queue = SpilledBytes(spill)
    queue.append(b"kept")
    disk(REGION_BYTES + 1000)
    with pytest.raises(OSError, match="too large"):
        queue.append(b"x" * 2 * REGION_BYTES)
    disk(10 * REGION_BYTES)
    queue.append(b"more")
    assert read_all(queue) == b"keptmore"


def test_without_a_directory_nothing_can_be_added(tmp_path):
    queue = SpilledBytes(Spill(str(tmp_path / "missing")))
    with pytest.raises(OSError, match="missing"):
        queue.append(b"x")
    assert queue.peek(1) == b""


def test_what_is_free_at_the_end_is_given_back_a_piece_at_a_time(spill):
    count = TRIM_BYTES // REGION_BYTES + 10
    offsets = [spill.take() for _ in range(count)]
    spill.write(memoryview(b"x"), offsets[-1])
    spill.trim()
    assert spill.size == count * REGION_BYTES, "all are in use"
    for offset in offsets[1:]:
        spill.give_back(offset)
    spill.trim()
    assert spill.size == on_disk(spill) == 10 * REGION_BYTES
    spill.trim()
    assert spill.size == on_disk(spill) == REGION_BYTES, "one is still in use"
    assert spill.take() == REGION_BYTES
    spill.give_back(REGION_BYTES)
    spill.give_back(0)
    before = len(os.listdir("/dev/fd"))
    spill.trim()
    assert spill.size == 0
    assert len(os.listdir("/dev/fd")) == before - 1, "the file is closed"
    spill.write(memoryview(b"again"), spill.take())
    assert spill.read(5, 0) == b"again"


def test_the_lowest_regions_are_given_out_first(spill):
    offsets = [spill.take() for _ in range(5)]
    for offset in (offsets[3], offsets[1], offsets[2]):
        spill.give_back(offset)
    assert [spill.take() for _ in range(4)] == [offsets[1], offsets[2], offsets[3], 5 * REGION_BYTES]
