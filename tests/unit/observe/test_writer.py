"""observe/writer.py: what happens to lines when the descriptor takes them, refuses them, or breaks."""

import os
import re
import resource
import signal
import socket
import subprocess
import threading
import time

import pytest

from ostler.observe.sinks import FileOptions, LogFile
from tests.unit.observe.pipes import Pipe, eventually, open_descriptors

needs_dev_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")


@pytest.fixture(autouse=True)
def _nothing_stays_behind():
    descriptors, threads = open_descriptors(), native_threads()
    yield
    eventually(lambda: native_threads() <= threads)
    assert open_descriptors() == descriptors


def native_threads():
    """Those of `_thread` are not in threading.enumerate()."""
    return set(os.listdir("/proc/self/task"))


@pytest.fixture
def console():
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture
def stdout():
    """A container's stdout, that somebody reads or not."""
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture
def log(stdout, console):
    """A log on that pipe, as in the master."""
    log_file = LogFile(stdout.writer, "-", console.writer)
    yield log_file
    log_file.close()


@pytest.fixture
def file_log(tmp_path, console):
    log_file = LogFile.open(str(tmp_path / "log"), console.writer)
    yield log_file
    log_file.close()


def test_a_line_goes_to_the_end_of_the_file(tmp_path, console):
    path = tmp_path / "log"
    path.write_text("old\n")
    log_file = LogFile.open(str(path), console.writer)
    log_file.write("new \u20ac \udc80")
    log_file.write("next")
    assert path.read_text() == "old\nnew \u20ac \\udc80\nnext\n"
    log_file.close()


# A reader that does not read


def test_lines_wait_for_the_reader_and_come_in_order(log, stdout, console):
    filled = stdout.fill()
    lines = [f"line {number}" for number in range(100)]
    for line in lines:
        log.write(line)
    assert stdout.read() == "f" * filled
    log.flush()
    log.write("last")
    assert stdout.read().splitlines() == [*lines, "last"]
    assert log.dropped == 0
    assert console.read() == ""
    assert os.get_blocking(stdout.writer)


def test_a_long_line_is_finished_before_the_next(log, stdout):
    log.write("x" * 1_000_000)
    log.write("whole")
    text = ""
    while not text.endswith("whole\n"):
        text += stdout.read()
        log.flush()
    assert text == "x" * 1_000_000 + "\nwhole\n"
    assert log.dropped == 0


def test_lines_in_memory_are_bounded_and_those_missing_are_counted_in_their_place(log, stdout, console):
    lines = [f"{number:05} " + "x" * 1000 for number in range(2000)]
    for line in lines:
        log.write(line)
    lost = log.dropped
    assert 500 < lost < 1500
    assert 'log lines dropped file=- lines=1 error="its reader does not keep up"' in console.read()
    text = ""
    while block := stdout.read():
        text += block
        log.flush()
    found = text.splitlines()
    assert found[:-1] == lines[:-lost]
    assert re.fullmatch(rf"\[.*\] \[{os.getpid()}\] \[ERROR\] log lines dropped file=- lines={lost}", found[-1])
    log.write("again")
    assert stdout.read() == "again\n"


def test_lines_after_a_gap_follow_the_line_that_tells_of_it(log, stdout):
    while log.dropped < 3:
        log.write("x" * 1000)
    stopped_at = log.dropped
    text = ""
    for _ in range(12):  # until more than half is free
        text += stdout.read()
        log.flush()
    log.write("after")
    while block := stdout.read():
        text += block
        log.flush()
    assert log.dropped == stopped_at
    found = text.splitlines()
    assert f"lines={stopped_at}" in found[-2]
    assert found[-1] == "after"


def test_a_log_for_programs_tells_of_gaps_in_its_own_way(log, stdout):
    log.loss_line = lambda lines: f'{{"lost": {lines}}}'
    while log.dropped < 2:
        log.write("x" * 1000)
    text = ""
    while block := stdout.read():
        text += block
        log.flush()
    assert text.endswith('\n{"lost": 2}\n')


def test_a_reader_that_is_gone_drops_lines_and_tells_the_console(console):
    reader, writer = os.pipe()
    log_file = LogFile(writer, "-", console.writer)
    os.close(reader)
    log_file.write("lost")
    assert 'error="broken pipe"' in console.read()
    assert log_file.dropped == 1
    log_file.close()
    os.close(writer)


def test_a_socket_that_nobody_reads_keeps_lines_too(console):
    ours, theirs = socket.socketpair()
    log_file = LogFile(ours.fileno(), "-", console.writer)
    lines = [f"{number:05} " + "x" * 1000 for number in range(700)]
    for line in lines:
        log_file.write(line)
    theirs.setblocking(False)
    text = b""
    while not text.endswith(lines[-1].encode() + b"\n"):
        text += theirs.recv(65536)
        log_file.flush()
    assert text.decode().splitlines() == lines
    assert log_file.dropped == 0
    log_file.close()
    ours.close()
    theirs.close()


# A worker, which may have threads


def test_in_a_worker_a_thread_writes_what_waits_and_ends(log, stdout):
    before = native_threads()
    log.after_fork(threaded=True)
    log.write("first")
    assert native_threads() == before
    assert stdout.read() == "first\n"
    stdout.fill()
    lines = [f"line {number}" for number in range(1000)]
    for line in lines:
        log.write(line)
    assert len(native_threads() - before) == 1
    text = stdout.read()

    def all_there():
        nonlocal text
        text += stdout.read()
        return text.endswith(lines[-1] + "\n")

    eventually(all_there)
    assert text.lstrip("f").splitlines() == lines
    eventually(lambda: native_threads() == before)
    log.write("direct")
    assert stdout.read() == "direct\n"


def test_a_worker_that_becomes_a_mold_has_no_thread_and_loses_no_line(log, stdout):
    before = native_threads()
    log.after_fork(threaded=True)
    stdout.fill()
    log.write("waits")
    assert len(native_threads() - before) == 1
    assert log.be_single(10.0)
    eventually(lambda: native_threads() == before)
    log.write("waits, too")
    assert native_threads() == before
    assert set(stdout.read()) == {"f"}
    log.flush()
    assert stdout.read() == "waits\nwaits, too\n"
    log.write("direct")
    assert stdout.read() == "direct\n"


def test_a_worker_of_a_promoted_mold_has_its_thread_again(log, stdout):
    log.after_fork(threaded=True)
    assert log.be_single(10.0)
    before = native_threads()
    log.after_fork(threaded=True)
    stdout.fill()
    log.write("waits")
    assert len(native_threads() - before) == 1
    text = stdout.read()
    eventually(lambda: native_threads() == before)
    assert (text + stdout.read()).lstrip("f") == "waits\n"


def test_a_thread_whose_write_does_not_end_is_told_of(log, stdout):
    log.after_fork(threaded=True)
    log._helping.acquire()  # the thread, in a write to a disk that does not answer
    assert not log.be_single(0.01)
    log._helping.release()


def test_many_threads_lose_nothing_while_the_reader_stutters(log, stdout):
    log.after_fork(threaded=True)
    threads = [
        threading.Thread(target=lambda each=each: [log.write(f"{each} {n:05} {'x' * 300}") for n in range(500)])
        for each in range(4)
    ]
    for thread in threads:
        thread.start()
    text = ""

    def all_there():
        nonlocal text
        text += stdout.read()
        return text.count("\n") + log.dropped >= 2000

    eventually(all_there)
    for thread in threads:
        thread.join()
    found = [line for line in text.splitlines() if "log lines dropped" not in line]
    assert len(found) == 2000 - log.dropped
    for each in range(4):
        mine = [line for line in found if line.startswith(f"{each} ")]
        assert mine == sorted(mine)
        assert all(len(line) == 308 for line in mine)


def test_bursts_are_not_lost_when_the_reader_catches_up(console):
    cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    log_file = LogFile(cat.stdin.fileno(), "-", console.writer)
    log_file.after_fork(threaded=True)
    for _ in range(20):
        for _ in range(2000):
            log_file.write("x" * 180)
        eventually(lambda: not log_file._backlog)
    log_file.close(10.0)
    cat.stdin.close()
    assert cat.wait() == 0
    assert log_file.dropped == 0


def test_writing_to_a_stuck_pipe_takes_no_time(log, stdout):
    log.after_fork(threaded=True)
    stdout.fill()
    slowest = 0.0
    for _ in range(20_000):
        started = time.monotonic()
        log.write("x" * 150)
        slowest = max(slowest, time.monotonic() - started)
    assert slowest < 1.0
    assert log.dropped > 0


def test_a_slow_disk_is_left_to_the_thread_until_it_is_fast_again(tmp_path, console):
    step, now = [0.0], [0.0]

    def clock():
        now[0] += step[0]
        return now[0]

    log_file = LogFile.open(str(tmp_path / "log"), console.writer, FileOptions(clock=clock))
    log_file.after_fork(threaded=True)
    for line in ("careful", "plain"):
        log_file.write(line)
    step[0] = 0.2
    log_file.write("slow")
    assert not log_file._direct
    log_file.write("by the thread")
    eventually(lambda: (tmp_path / "log").read_text().endswith("thread\n"))
    eventually(lambda: not log_file._helping.locked())
    assert not log_file._direct
    step[0] = 0.0
    log_file.write("fast")
    eventually(lambda: log_file._direct)
    log_file.write("direct")
    assert (tmp_path / "log").read_text() == "careful\nplain\nslow\nby the thread\nfast\ndirect\n"
    log_file.close()


def test_a_slow_disk_is_the_masters_own_trouble(tmp_path, console):
    times = iter(range(1000))
    log_file = LogFile.open(str(tmp_path / "log"), console.writer, FileOptions(clock=lambda: float(next(times))))
    for line in "abc":
        log_file.write(line)
    assert log_file._direct
    assert (tmp_path / "log").read_text() == "a\nb\nc\n"
    log_file.close()


# Signal handlers and forks


def test_a_signal_handler_may_write_in_the_middle_of_a_write(log, stdout):
    stdout.fill()
    count = [0]

    def handler(_number, _frame):
        count[0] += 1
        log.write(f"handler {count[0]}")

    former = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    text, written = "", 0
    try:
        while count[0] < 200:
            log.write(f"main {written}")
            written += 1
            if written % 20 == 0:
                text += stdout.read()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    while True:
        log.flush()
        if not (block := stdout.read()):
            break
        text += block
    found = text.lstrip("f").splitlines()
    handlers = [int(line.split()[1]) for line in found if line[0] == "h"]  # one may have interrupted another
    assert sorted(handlers) == list(range(1, count[0] + 1))
    assert [line for line in found if line[0] == "m"] == [f"main {number}" for number in range(written)]
    assert log.dropped == 0


def in_child(work):
    """Run it in a forked child; its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = work()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # 3.12 warns of what is tested here
@pytest.mark.parametrize("announced", [True, False])
def test_a_child_forked_while_a_thread_holds_the_backlog_writes_its_own_lines_only(log, stdout, announced):
    log.after_fork(threaded=True)
    stdout.fill()
    log.write("the parent's")
    put, log._outlet.put = log._outlet.put, refuse  # the thread of the parent must not be faster than the child

    def child():
        if announced:
            log.after_fork(threaded=False)
        log._outlet.put = put
        log.write("the child's")
        text = ""
        while not text.endswith("the child's\n"):
            text += stdout.read()
            log.flush()
        return 2 if "parent" in text else 0

    assert log._helping.locked()
    assert log._emptying.acquire(timeout=10)
    try:
        assert in_child(child) == 0
    finally:
        log._emptying.release()
        log._outlet.put = put
    eventually(lambda: stdout.read().endswith("the parent's\n"))


def refuse(_data):
    raise BlockingIOError


def test_the_count_of_a_process_starts_at_nothing(console):
    log_file = LogFile(-1, "gone", console.writer)
    log_file.write("lost")
    log_file.after_fork(threaded=True)
    assert log_file.dropped == 0


# A disk that refuses


@needs_dev_full
def test_a_full_disk_drops_lines_and_says_so_once_a_minute(console):
    now = [1000.0]
    fd = os.open("/dev/full", os.O_WRONLY)
    log_file = LogFile(fd, "/var/log/x", console.writer, FileOptions(clock=lambda: now[0]))
    for _ in range(5):
        log_file.write("lost")
    first = console.read()
    now[0] += 59.9
    log_file.write("lost")
    quiet = console.read()
    now[0] += 0.1
    log_file.write("lost")
    assert re.fullmatch(
        r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[\d+\] \[ERROR\] "
        r'log lines dropped file=/var/log/x lines=1 error="no space left on device"\n',
        first,
    )
    assert quiet == ""
    assert "lines=6 " in console.read()
    assert log_file.dropped == 7
    log_file.close()
    os.close(fd)


def test_a_descriptor_that_is_gone_does_not_raise(console):
    LogFile(-1, "gone", console.writer).write("lost")
    assert 'error="bad file descriptor"' in console.read()


def test_when_nobody_can_be_told_nothing_is_raised():
    log_file = LogFile(-1, "gone", -1)
    log_file.write("lost")
    assert log_file.dropped == 1


def test_a_console_that_nobody_reads_holds_nobody_up(console):
    size = console.fill()
    LogFile(-1, "gone", console.writer).write("lost")
    assert console.read() == "f" * size


@needs_dev_full
def test_a_disk_with_room_again_is_told_of_the_missing_lines_and_the_console_too(tmp_path, console):
    now = [0.0]
    fd = os.open("/dev/full", os.O_WRONLY)
    log_file = LogFile(fd, "log", console.writer, FileOptions(clock=lambda: now[0]))
    for line in "abc":
        log_file.write(line)
    console.read()
    log_file.take(os.open(tmp_path / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT))
    log_file.write("d")
    assert console.read() == ""
    now[0] = 60.0
    log_file.write("e")
    assert "log lines dropped, the file takes lines again file=log lines=2\n" in console.read()
    first, gap, last = (tmp_path / "log").read_text().splitlines()
    assert (first, last) == ("d", "e")
    assert gap.endswith("[ERROR] log lines dropped file=log lines=3")
    log_file.close()
    os.close(fd)


@needs_dev_full
def test_the_master_tells_of_missing_lines_when_no_line_comes(tmp_path, console):
    fd = os.open("/dev/full", os.O_WRONLY)
    log_file = LogFile(fd, "log", console.writer)
    log_file.write("lost")
    log_file.flush()
    log_file.take(os.open(tmp_path / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT))
    log_file.flush()
    log_file.flush()
    assert (tmp_path / "log").read_text().count("log lines dropped file=log lines=1") == 1
    log_file.close()
    os.close(fd)


@pytest.mark.parametrize("threaded", [False, True])
def test_a_line_cut_by_a_full_disk_is_ended_before_the_next(file_log, tmp_path, console, threaded):
    file_log.after_fork(threaded=threaded)
    file_log.write("0123456789")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, limits[1]))
    try:
        file_log.write("cut by half")
        said = console.read()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    file_log.write("whole")
    assert 'error="file too large"' in said
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[:3] == ["0123456789", "cut b", "whole"]
    assert lines[3].endswith(f"log lines dropped file={tmp_path}/log lines=1")
    assert file_log.dropped == 1


def test_loss_that_cannot_be_told_at_once_needs_no_further_line(log, stdout, monkeypatch):
    """Another process has filled the pipe again just then."""
    log.after_fork(threaded=True)
    stdout.fill()
    log.write("waits")
    put_line, full = log._put_line, [True]

    def put_line_when_there_is_room(data):
        if full:
            full.pop()
            raise BlockingIOError
        return put_line(data)

    monkeypatch.setattr(log, "_put_line", put_line_when_there_is_room)
    log._lose("in the test")
    text = ""

    def told():
        nonlocal text
        text += stdout.read()
        return "lines=1" in text

    eventually(told)
    assert not full
    assert text.lstrip("f").startswith("waits\n")


# The end


@pytest.mark.parametrize("threaded", [False, True])
def test_closing_writes_what_waits(log, stdout, threaded):
    log.after_fork(threaded=threaded)
    stdout.fill()
    log.write("late")
    seen = stdout.read()  # the thread may be as quick
    log.close(10.0)
    assert (seen + stdout.read()).endswith("late\n")
    assert log.dropped == 0


@pytest.mark.parametrize("threaded", [False, True])
def test_closing_ends_in_time_and_counts_what_nobody_read(log, stdout, console, threaded):
    log.after_fork(threaded=threaded)
    stdout.fill()
    for _ in range(3):
        log.write("unread")
    started = time.monotonic()
    log.close(0.3)
    assert time.monotonic() - started < 5
    assert log.dropped == 3
    assert 'lines=3 error="closed before it took them"' in console.read()
