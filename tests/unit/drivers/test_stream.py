"""drivers/stream.py: a socket as a stream."""

import os

import pytest

from ostler.drivers.stream import PlainStream


def test_bytes_go_both_ways(pair):
    stream = PlainStream(pair[0])
    assert stream.send(b"out") == 3
    assert pair[1].recv(10) == b"out"
    pair[1].send(b"in")
    assert stream.recv(10) == b"in"
    assert stream.flush()


def test_nothing_to_read_is_a_blocking_io_error(pair):
    with pytest.raises(BlockingIOError):
        PlainStream(pair[0]).recv(10)


@pytest.mark.parametrize("without", [False, True])
def test_a_piece_of_a_file_is_sent(pair, tmp_path, monkeypatch, without):
    if without:
        monkeypatch.setattr("ostler.drivers.stream._sendfile", None)
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        assert PlainStream(pair[0]).send_file(file.fileno(), 3, 4) == 4
        assert pair[1].recv(100) == b"3456"
        assert PlainStream(pair[0]).send_file(file.fileno(), 10, 4) == 0
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 0
