"""app/wsgi_input.py: bodies that were collected, and bodies that arrive."""

import gc
import io
import os
import resource

import pytest

from ostler.app import wsgi_input
from ostler.app.wsgi_input import (
    FREE_BYTES,
    MEMORY_BYTES,
    BodyBuffer,
    BodyIncomplete,
    Budget,
    ClientGone,
    body_stream,
)
from ostler.http.encode import DateField
from ostler.http.h1 import H1Connection
from ostler.http.limits import Limits
from tests.unit.app.serving import PEER, Client

BLOCK = bytes(range(256)) * 256  # 64 KiB


def descriptors():
    return len(os.listdir("/dev/fd"))


def targets_of_descriptors():
    """What each open descriptor names; the one of the listing itself is gone when it is asked."""
    paths = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    return [os.readlink(path) for path in paths if os.path.islink(path)]


@pytest.fixture(autouse=True)
def no_descriptor_stays():
    gc.collect()  # what another test has left behind could go meanwhile
    before = descriptors()
    yield
    assert descriptors() == before


@pytest.fixture
def budget():
    return Budget(1024 * 1024)


def left(budget, limit=1024 * 1024):
    """Whether exactly `limit` bytes are left."""
    exact = budget.take(limit) and not budget.take(1)
    budget.give_back(limit)
    return exact


@pytest.fixture
def small_disk():
    """No file may grow beyond 128 KiB over what a body in memory has: write(2) fails with EFBIG there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MEMORY_BYTES + 128 * 1024 + 100, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def no_disk():
    """write(2) to any file fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# -- what was collected --------------------------------------------------------------------------------------


def test_a_small_body_stays_in_memory(budget):
    before = descriptors()
    body = BodyBuffer(budget, Budget())
    for _ in range(4):
        assert body.add(BLOCK)
    assert body.size == MEMORY_BYTES
    assert body.open().read() == BLOCK * 4
    assert descriptors() == before
    body.close()
    assert left(budget)


def test_a_larger_body_goes_to_a_file_that_has_no_name(budget, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = descriptors()
    body = BodyBuffer(budget, Budget())
    for _ in range(6):
        assert body.add(BLOCK)
    assert descriptors() == before + 1
    assert list(tmp_path.iterdir()) == []
    assert left(budget, 1024 * 1024 - 6 * len(BLOCK))
    with body.open() as stream:
        assert stream.read(10) == BLOCK[:10]
        assert stream.read() == (BLOCK * 6)[10:]
    body.close()
    assert left(budget)


def test_close_may_come_before_the_application_lets_go_of_its_input(budget):
    body = BodyBuffer(budget, Budget())
    for _ in range(6):
        body.add(BLOCK)
    stream = body.open()
    body.close()
    body.close()
    assert left(budget)
    with pytest.raises(ValueError, match="closed"):
        stream.read()


def test_collecting_ends_where_the_budget_ends(budget):
    assert budget.take(1024 * 1024 - 5 * len(BLOCK))
    body = BodyBuffer(budget, Budget())
    assert [body.add(BLOCK) for _ in range(6)] == [True] * 5 + [False]
    with body.open() as stream:
        assert stream.read() == BLOCK * 6
    body.close()
    assert left(budget, 5 * len(BLOCK))


def test_without_any_budget_the_body_stays_in_memory():
    budget = Budget(0)
    body = BodyBuffer(budget, Budget())
    assert [body.add(BLOCK) for _ in range(5)] == [True] * 4 + [False]
    assert body.open().read() == BLOCK * 5
    body.close()


def test_collecting_ends_at_the_cap_of_one_body(budget, monkeypatch):
    monkeypatch.setattr(wsgi_input, "SPILL_BYTES", 6 * len(BLOCK))
    body = BodyBuffer(budget, Budget())
    assert [body.add(BLOCK) for _ in range(7)] == [True] * 6 + [False]
    with body.open() as stream:
        assert stream.read() == BLOCK * 7
    body.close()
    assert left(budget)


@pytest.mark.usefixtures("no_disk")
def test_a_disk_without_room_leaves_the_body_in_memory(budget):
    body = BodyBuffer(budget, Budget())
    assert [body.add(BLOCK) for _ in range(5)] == [True] * 4 + [False]
    assert body.open().read() == BLOCK * 5
    body.close()
    assert left(budget)


@pytest.mark.usefixtures("small_disk")
def test_a_disk_that_fills_up_loses_nothing(budget):
    body = BodyBuffer(budget, Budget())
    assert [body.add(BLOCK) for _ in range(7)] == [True] * 6 + [False]
    with body.open() as stream:
        assert stream.read() == BLOCK * 7
    body.close()
    assert left(budget)


def test_no_directory_for_files_leaves_the_body_in_memory(budget, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    body = BodyBuffer(budget, Budget())
    assert [body.add(BLOCK) for _ in range(5)] == [True] * 4 + [False]
    assert body.open().read() == BLOCK * 5
    body.close()


def test_the_file_is_made_in_the_directory_that_was_named(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    named = tmp_path / "uploads"
    named.mkdir()
    body = BodyBuffer(Budget(directory=str(named)), Budget())
    for _ in range(6):
        assert body.add(BLOCK)
    [link] = [target for target in targets_of_descriptors() if target.startswith(str(named))]
    assert "deleted" in link
    assert body.open().read() == BLOCK * 6
    body.close()


def test_a_named_directory_that_is_missing_leaves_the_body_in_memory(tmp_path):
    budget = Budget(1024 * 1024, str(tmp_path / "missing"))
    body = BodyBuffer(budget, Budget())
    assert [body.add(BLOCK) for _ in range(5)] == [True] * 4 + [False]
    assert body.open().read() == BLOCK * 5
    body.close()
    assert left(budget)


# -- what is still to come -----------------------------------------------------------------------------------


class Arriving:
    """A POST whose body arrives piece by piece: `stream` is its wsgi.input."""

    def __init__(self, *pieces, length=None, collected=None):
        connection = H1Connection(Limits(), PEER, DateField())
        framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        connection.receive(f"POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n".encode())
        self.exchange = connection.next_exchange()
        self.client = Client(connection, pieces)
        self.stream = body_stream(collected, False, self.exchange, self.client)


def test_an_absent_body_is_empty():
    stream = body_stream(None, True, Arriving(length=5).exchange, Client(None))
    assert stream.read() == b""
    assert stream.readline() == b""
    assert list(stream) == []


def test_a_body_is_read_as_it_arrives():
    arriving = Arriving(b"abc", b"def", b"gh", length=8)
    assert arriving.stream.read(2) == b"ab"
    assert arriving.client.pieces == [b"def", b"gh"]
    assert arriving.stream.read1(100) == b"c"
    assert arriving.stream.read(3) == b"def"
    assert arriving.stream.read() == b"gh"
    assert arriving.stream.read() == b""
    assert arriving.stream.read(1) == b""


def test_chunks_are_decoded():
    arriving = Arriving(b"3\r\nab", b"c\r\n", b"2\r\nde\r\n0\r\n", b"\r\n")
    assert arriving.stream.read() == b"abcde"


def test_lines():
    arriving = Arriving(b"one\ntw", b"o\n\nthr", b"ee", length=14)
    assert arriving.stream.readline() == b"one\n"
    assert arriving.stream.readline(2) == b"tw"
    assert list(arriving.stream) == [b"o\n", b"\n", b"three"]


def test_readlines():
    assert Arriving(b"one\ntwo", length=7).stream.readlines() == [b"one\n", b"two"]


def test_what_was_collected_comes_first():
    collected = BodyBuffer(Budget(0), Budget())
    collected.add(b"abc")
    arriving = Arriving(b"def", length=3, collected=collected)
    assert arriving.stream.read() == b"abcdef"


def test_what_was_collected_in_a_file_comes_first(budget):
    collected = BodyBuffer(budget, Budget())
    for _ in range(5):
        collected.add(BLOCK)
    arriving = Arriving(b"def", length=3, collected=collected)
    with arriving.stream as stream:
        assert stream.read() == BLOCK * 5 + b"def"
    collected.close()
    del arriving


@pytest.mark.parametrize("framing", [{"length": 10}, {}])
def test_a_body_that_ends_early_raises_and_goes_on_raising(framing):
    arriving = Arriving(b"5\r\nab", b"", **framing)
    for _ in range(2):
        with pytest.raises(BodyIncomplete) as caught:
            arriving.stream.read()
        assert caught.value.error.status == 400


def test_a_malformed_chunk_raises():
    with pytest.raises(BodyIncomplete):
        Arriving(b"zz\r\n").stream.read()


def test_a_line_of_a_body_that_ends_early_does_not_look_complete():
    with pytest.raises(BodyIncomplete):
        Arriving(b"abc", b"", length=10).stream.readline()


def test_a_client_that_stops_sending_is_gone():
    with pytest.raises(ClientGone):
        Arriving(b"abc", length=10).stream.read()


def test_an_application_can_read_into_a_buffer():
    arriving = Arriving(b"abcdef", length=6)
    buffer = bytearray(4)
    assert arriving.stream.readinto(buffer) == 4
    assert buffer == b"abcd"
    assert io.BufferedReader(arriving.stream).read() == b"ef"


def test_the_memory_of_all_bodies_is_bounded_and_given_back(budget):
    memory = Budget(100_000)
    first, second, small = (BodyBuffer(budget, memory) for _ in range(3))
    assert first.add(b"x" * 100_000)
    assert second.add(b"y" * 100_000)  # in a file
    assert small.add(b"z" * FREE_BYTES)
    assert [body._spill is None for body in (first, second, small)] == [True, False, True]
    assert [body.open().read()[:1] for body in (first, second, small)] == [b"x", b"y", b"z"]
    for body in (first, second, small):
        body.close()
    assert memory.take(100_000)
