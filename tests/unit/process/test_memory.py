"""process/memory.py: what /proc says of this process, of others, and of those that are gone."""

import mmap
import os
import sys
from pathlib import Path

import pytest

from ostler.process import memory
from ostler.process.memory import pss_bytes, rss_bytes, total_pss_bytes

MIB = 1024 * 1024

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's /proc")


def _gone() -> int:
    """The pid of a process that has just ended, and was reaped."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def test_it_is_what_the_kernel_says() -> None:
    resident = next(
        int(line.split()[1]) * 1024
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmRSS:")
    )
    found = rss_bytes()
    assert found is not None
    assert abs(found - resident) < 4 * MIB


@pytest.mark.parametrize("measure", [rss_bytes, pss_bytes])
def test_it_grows_with_what_is_used(measure: object) -> None:
    assert callable(measure)
    before = measure()
    with mmap.mmap(-1, 32 * MIB) as block:
        for page in range(0, 32 * MIB, mmap.PAGESIZE):
            block[page] = 1
        after = measure()
    assert before is not None
    assert 28 * MIB < after - before < 40 * MIB


def test_this_process_is_also_known_by_its_number() -> None:
    own, by_number = rss_bytes(), rss_bytes(os.getpid())
    assert own is not None
    assert by_number is not None
    assert abs(own - by_number) < 4 * MIB


def test_shared_pages_count_once_in_the_sum() -> None:
    with mmap.mmap(-1, 32 * MIB) as block:
        for page in range(0, 32 * MIB, mmap.PAGESIZE):
            block[page] = 1
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
        os.close(reading)
        try:
            total, alone, resident = total_pss_bytes([os.getpid(), pid]), pss_bytes(), rss_bytes()
        finally:
            os.close(writing)
            os.waitpid(pid, 0)
    assert total is not None
    assert alone is not None
    assert resident is not None
    assert total < resident + 16 * MIB
    assert alone < total


def test_a_process_that_is_gone_has_no_memory() -> None:
    pid = _gone()
    assert rss_bytes(pid) is None
    assert pss_bytes(pid) is None
    assert total_pss_bytes([pid]) is None
    assert total_pss_bytes([]) is None


def test_a_dead_process_that_nobody_reaped_has_no_memory() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        assert rss_bytes(pid) is None
        assert pss_bytes(pid) is None
    finally:
        os.waitpid(pid, 0)


@pytest.mark.parametrize("text", [b"", b"1\n", b"x y z\n", b"Pss:\n", b"Pss: many kB\n"])
def test_what_no_kernel_writes_is_unknown(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_read", lambda *_: text)
    assert rss_bytes() is None
    assert pss_bytes() is None


@pytest.mark.skipif(sys.platform != "linux", reason="there is /proc")
def test_without_proc_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(memory, "_open", missing)
    assert rss_bytes() is None
    assert pss_bytes() is None
