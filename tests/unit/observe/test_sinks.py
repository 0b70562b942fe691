"""observe/sinks.py: log files opened, reopened, handed over and rotated; how lines get in is in test_writer.py"""

import os
import socket

import pytest

from ostler.observe.sinks import FileOptions, LogFile, LogFileUnusable, Rotation
from tests.unit.observe.pipes import Pipe, open_descriptors


@pytest.fixture(autouse=True)
def _nothing_stays_open():
    before = open_descriptors()
    yield
    assert open_descriptors() == before


@pytest.fixture
def console():
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture
def open_log(tmp_path, console):
    opened = []

    def open_log(name="log", **options):
        opened.append(LogFile.open(str(tmp_path / name), console.writer, FileOptions(**options)))
        return opened[-1]

    yield open_log
    for log_file in opened:
        log_file.close()


def test_a_later_chdir_does_not_move_a_log(tmp_path, console, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log_file = LogFile.open("log", console.writer)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    log_file.reopen()
    log_file.write("line")
    assert (tmp_path / "log").read_text() == "line\n"
    log_file.close()


def test_reopening_follows_a_renamed_file_and_keeps_the_number(open_log, tmp_path):
    log_file = open_log()
    number = log_file.fd
    log_file.write("a")
    os.rename(tmp_path / "log", tmp_path / "log.1")
    log_file.write("b")
    assert log_file.reopen() == number == log_file.fd
    log_file.write("c")
    assert (tmp_path / "log.1").read_text() == "a\nb\n"
    assert (tmp_path / "log").read_text() == "c\n"
    assert not os.get_inheritable(number)


def test_a_file_that_cannot_be_reopened_is_kept_and_the_reason_is_told(open_log, tmp_path):
    log_file = open_log()
    os.rename(tmp_path / "log", tmp_path / "log.1")
    os.mkdir(tmp_path / "log")
    with pytest.raises(LogFileUnusable, match=r"^is a directory \(expected a file\)$"):
        log_file.reopen()
    log_file.write("kept")
    assert (tmp_path / "log.1").read_text() == "kept\n"


def test_what_waits_goes_into_the_fifo_that_is_opened_anew(open_log, tmp_path):
    os.mkfifo(tmp_path / "log")
    log_file = open_log()
    for _ in range(100):
        log_file.write("x" * 1000)
    os.unlink(tmp_path / "log")
    os.mkfifo(tmp_path / "log")
    log_file.reopen()
    log_file.write("last")
    reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    text = os.read(reader, 100_000)
    os.close(reader)
    assert text.startswith(b"x" * 1000)
    assert text.endswith(b"x\nlast\n")
    assert log_file.dropped == 0


def test_a_standard_descriptor_is_not_reopened_nor_closed(console, tmp_path):
    fd = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    log_file = LogFile(fd, "-", console.writer)
    assert not log_file.reopenable
    assert log_file.reopen() is None
    assert not log_file.rotation_due(1e12)
    log_file.close()
    os.close(fd)


def test_the_name_of_a_descriptor_is_not_reopened_for_it_may_be_another_file_by_now(console):
    pipe = Pipe()
    log_file = LogFile.open(f"/dev/fd/{pipe.writer}", console.writer)
    os.dup2(console.writer, pipe.writer)
    assert log_file.reopen() is None
    log_file.write("line")
    assert pipe.read() == "line\n"
    log_file.close()
    pipe.close()


def test_a_worker_goes_on_with_the_descriptor_it_was_sent(open_log, tmp_path):
    log_file = open_log()
    number = log_file.fd
    log_file.take(os.open(tmp_path / "new", os.O_WRONLY | os.O_APPEND | os.O_CREAT))
    log_file.write("line")
    assert log_file.fd == number
    assert not os.get_inheritable(number)
    assert (tmp_path / "new").read_text() == "line\n"


def test_a_closed_log_closes_what_it_is_sent(open_log, tmp_path):
    log_file = open_log()
    log_file.close()
    log_file.take(os.open(tmp_path / "log", os.O_WRONLY))
    log_file.close()
    assert log_file.reopen() is None
    with pytest.raises(LogFileUnusable):
        log_file.rotate(0.0)


@pytest.mark.parametrize("kind", ["file", "pipe", "socket"])
def test_another_file_behind_the_descriptor_is_found_when_told(console, tmp_path, kind):
    pipe, (ours, theirs) = Pipe(), socket.socketpair()
    fd = os.dup(pipe.writer)
    log_file = LogFile(fd, "-", console.writer)
    log_file.write("pipe")
    file = os.open(tmp_path / "captured", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    os.dup2({"file": file, "pipe": console.writer, "socket": ours.fileno()}[kind], fd)
    log_file.refresh()
    log_file.write("elsewhere")
    read = {
        "file": lambda: os.pread(file, 100, 0).decode(),
        "pipe": console.read,
        "socket": lambda: theirs.recv(9).decode() + "\n",
    }
    assert read[kind]() == "elsewhere\n"
    assert pipe.read() == "pipe\n"
    log_file.close()
    log_file.refresh()
    for each in (fd, file):
        os.close(each)
    for each in (pipe, ours, theirs):
        each.close()


def test_a_closed_log_drops_lines_instead_of_writing_to_the_next_owner_of_its_number(open_log, console, tmp_path):
    log_file = open_log()
    log_file.write("early")
    number = log_file.fd
    log_file.close()
    other = os.open(tmp_path / "other", os.O_WRONLY | os.O_CREAT)
    os.dup2(other, number)
    log_file.write("late")
    os.close(other)
    os.close(number)
    assert (tmp_path / "other").read_text() == ""
    assert 'error="bad file descriptor"' in console.read()
    assert log_file.dropped == 1


def test_a_file_is_rotated_and_the_number_stays(open_log, tmp_path):
    log_file = open_log(rotation=Rotation(size=10, keep=2), wall=lambda: 1e9)
    number = log_file.fd
    for generation in range(4):
        log_file.write(f"generation {generation}")
        assert log_file.rotation_due(1e9)
        assert log_file.rotate(1e9) == number
        assert not log_file.rotation_due(1e9)
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {"log": "", "log.1": "generation 3\n", "log.2": "generation 2\n"}


def test_a_rotation_that_fails_keeps_the_file_and_is_tried_again_after_a_minute(open_log, tmp_path):
    log_file = open_log(rotation=Rotation(size=1, keep=1))
    log_file.write("a")
    os.mkdir(tmp_path / "log.1")
    with pytest.raises(LogFileUnusable, match=r"cannot rename .*/log: is a directory"):
        log_file.rotate(1000.0)
    log_file.write("b")
    assert (tmp_path / "log").read_text() == "a\nb\n"
    assert not log_file.rotation_due(1059.0)
    assert log_file.rotation_due(1060.0)


def test_reopening_after_somebody_renamed_the_file_begins_a_new_interval(open_log, tmp_path):
    now = [1000.0]
    log_file = open_log(rotation=Rotation(interval=100), wall=lambda: now[0])
    os.rename(tmp_path / "log", tmp_path / "log.old")
    now[0] = 1090.0
    log_file.reopen()
    log_file.write("a")
    assert not log_file.rotation_due(1189.0)
    assert log_file.rotation_due(1190.0)


@pytest.mark.parametrize("name", ["/dev/null", "fifo"])
def test_only_regular_files_are_rotated(tmp_path, console, name):
    os.mkfifo(tmp_path / "fifo")
    path = name if name.startswith("/") else str(tmp_path / name)
    log_file = LogFile.open(path, console.writer, FileOptions(rotation=Rotation(size=1, interval=60)))
    log_file.write("line")
    assert not log_file.rotation_due(1e12)
    log_file.close()
