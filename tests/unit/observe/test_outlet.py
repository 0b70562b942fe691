"""observe/outlet.py"""

import os
import pty
import select
import socket
import stat

import pytest

from ostler.observe.outlet import LogFileUnusable, descriptor_named, open_to_append, outlet_of, put_at_once
from tests.unit.observe.pipes import Pipe, open_descriptors

pytestmark = pytest.mark.usefixtures("nothing_stays_open")


@pytest.fixture
def nothing_stays_open():
    before = open_descriptors()
    yield
    assert open_descriptors() == before


@pytest.fixture
def pipe(nothing_stays_open):
    pipe = Pipe()
    yield pipe
    pipe.close()


def put_until_full(outlet, data=b"x" * 4096):
    count = 0
    while True:
        try:
            count += outlet.put(data)
        except BlockingIOError:
            return count


def test_a_regular_file_is_written_directly(tmp_path):
    fd = open_to_append(str(tmp_path / "log"))
    outlet = outlet_of(fd)
    assert (outlet.direct, outlet.private, outlet.fd) == (True, False, fd)
    assert outlet.put_line(b"line\n") == 5
    outlet.close()
    os.close(fd)
    assert (tmp_path / "log").read_bytes() == b"line\n"


def test_a_pipe_that_nobody_reads_refuses_and_stays_blocking_for_others(pipe):
    outlet = outlet_of(pipe.writer)
    assert put_until_full(outlet) >= 65536
    with pytest.raises(BlockingIOError):
        outlet.put_line(b"line\n")
    assert os.get_blocking(pipe.writer)
    outlet.close()


def test_a_line_is_put_into_a_pipe_whole_or_not_at_all(pipe):
    outlet = outlet_of(pipe.writer)
    assert outlet.put_line(b"x" * (select.PIPE_BUF + 1)) == 0
    assert outlet.put_line(b"x" * select.PIPE_BUF) == select.PIPE_BUF
    outlet.close()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_socket_that_nobody_reads_refuses_and_stays_blocking_for_others(kind):
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    outlet = outlet_of(ours.fileno())
    assert put_until_full(outlet) > 0
    assert os.get_blocking(ours.fileno())
    outlet.close()
    ours.close()
    theirs.close()


def test_a_default_timeout_of_the_application_does_not_change_the_socket():
    ours, theirs = socket.socketpair()
    socket.setdefaulttimeout(5)
    try:
        outlet = outlet_of(ours.fileno())
    finally:
        socket.setdefaulttimeout(None)
    assert os.get_blocking(ours.fileno())
    assert outlet.put_line(b"line\n") == 5
    assert theirs.recv(100) == b"line\n"
    outlet.close()
    ours.close()
    theirs.close()


def test_a_terminal_that_nobody_reads_refuses():
    master, terminal = pty.openpty()
    outlet = outlet_of(terminal)
    assert put_until_full(outlet, b"x" * 100 + b"\n") > 0
    assert os.get_blocking(terminal)
    outlet.close()
    os.close(terminal)
    os.close(master)


def test_without_a_description_of_our_own_poll_is_asked(pipe, monkeypatch):
    real = os.open

    def no_proc(path, *arguments):
        if str(path).startswith("/proc"):
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments)

    monkeypatch.setattr(os, "open", no_proc)  # as on a system without /proc
    outlet = outlet_of(pipe.writer)
    assert not outlet.private
    assert outlet.put(b"x" * 100_000) == select.PIPE_BUF
    assert put_until_full(outlet) > 0
    pipe.read()
    assert outlet.put_line(b"line\n") == 5
    outlet.close()


def test_waiting_ends_when_there_is_room_or_time_is_up(pipe):
    outlet = outlet_of(pipe.writer)
    outlet.wait(10)
    put_until_full(outlet)
    outlet.wait(0)
    outlet.close()


def test_a_private_number_goes_on_over_every_kind_of_successor(pipe, tmp_path):
    fd = os.dup(pipe.writer)
    outlet = outlet_of(fd)
    number = outlet.fd
    file = open_to_append(str(tmp_path / "log"))
    ours, theirs = socket.socketpair()
    other = Pipe()
    for successor in (file, ours.fileno(), other.writer, ours.fileno(), file, other.writer):
        os.dup2(successor, fd)
        outlet = outlet_of(fd, outlet)
        assert outlet.fd == number
        assert not os.get_inheritable(number)
        assert outlet.put_line(b"x\n") == 2
    assert (tmp_path / "log").read_text() == "x\n" * 2
    assert theirs.recv(100) == b"x\n" * 2
    assert other.read() == "x\n" * 2
    outlet.close()
    for each in (fd, file):
        os.close(each)
    for each in (ours, theirs, other):
        each.close()


def test_the_same_pipe_keeps_its_way_out(pipe):
    outlet = outlet_of(pipe.writer)
    again = os.dup(pipe.writer)
    assert outlet_of(again, outlet) is outlet
    os.close(again)
    outlet.close()


def test_a_closed_way_out_raises(pipe):
    outlet = outlet_of(pipe.writer)
    outlet.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        outlet.put(b"x")


def test_a_console_that_nobody_reads_does_not_hold_anybody_up(pipe):
    put_at_once(pipe.writer, b"one\n")
    assert pipe.read() == "one\n"
    size = pipe.fill()
    put_at_once(pipe.writer, b"two\n")
    assert len(pipe.read()) == size
    put_at_once(-1, b"nowhere\n")


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("/dev/stdout", 1),
        ("/dev/stderr", 2),
        ("/dev/fd/7", 7),
        ("/proc/self/fd/12", 12),
        ("/dev/fd/x", None),
        ("/dev/stdout.log", None),
        ("/dev/null", None),
    ],
)
def test_names_of_descriptors(path, number):
    assert descriptor_named(path) == number


def test_a_socket_behind_the_name_of_a_descriptor_is_used_itself():
    ours, theirs = socket.socketpair()
    fd = open_to_append(f"/dev/fd/{ours.fileno()}")
    outlet = outlet_of(fd)
    outlet.put_line(b"line\n")
    assert theirs.recv(100) == b"line\n"
    outlet.close()
    os.close(fd)
    ours.close()
    theirs.close()


def test_the_name_of_a_descriptor_that_is_not_open_is_one_clear_line():
    with pytest.raises(LogFileUnusable, match="no such file or directory"):
        open_to_append("/dev/fd/987")


def test_a_fifo_needs_no_reader_and_lines_wait_for_one(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    fd = open_to_append(str(tmp_path / "fifo"))
    outlet = outlet_of(fd)
    outlet.put_line(b"line\n")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    assert os.read(reader, 100) == b"line\n"
    os.close(reader)
    outlet.put_line(b"next\n")
    assert os.get_blocking(fd)
    outlet.close()
    os.close(fd)


def test_a_new_file_has_the_mode_of_the_umask_and_the_owner_asked_for(tmp_path):
    former = os.umask(0o027)
    try:
        os.close(open_to_append(str(tmp_path / "new"), (os.getuid(), os.getgid())))
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_only_a_new_file_is_given_to_its_owner(tmp_path):
    (tmp_path / "old").touch()
    for name in ("old", "new"):
        os.close(open_to_append(str(tmp_path / name), (65534, 65534)))
    assert (tmp_path / "old").stat().st_uid == 0
    assert (tmp_path / "new").stat().st_uid == 65534


def test_an_owner_that_cannot_be_set_is_no_error(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may give files away")
    os.close(open_to_append(str(tmp_path / "new"), (0, 0)))


def test_a_descriptor_of_a_log_is_not_inherited_by_programs(tmp_path):
    fd = open_to_append(str(tmp_path / "log"))
    assert not os.get_inheritable(fd)
    os.close(fd)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("no/such.log", "no such file or directory (expected a directory at {}/no)"),
        ("", "is a directory (expected a file)"),
    ],
)
def test_why_a_log_cannot_be_opened(tmp_path, name, sentence):
    with pytest.raises(LogFileUnusable) as caught:
        open_to_append(f"{tmp_path}/{name}")
    assert str(caught.value) == sentence.format(tmp_path)
