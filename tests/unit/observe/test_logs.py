"""observe/logs.py"""

import logging
import os
import re
import sys

import pytest

from ostler.errors import ConfigError
from ostler.observe.logs import LogFile, Logs, SinkHandler

needs_dev_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")


class Pipe:
    """Stands for stderr: what was written can be read back."""

    def __init__(self):
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)

    def read(self):
        try:
            return os.read(self.reader, 65536).decode()
        except BlockingIOError:
            return ""

    def close(self):
        os.close(self.reader)
        os.close(self.writer)


@pytest.fixture
def pipe():
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture
def make_logs():
    """Logs that leave the process as it was."""
    made = []
    logger = logging.getLogger("gunicorn.error")
    before = (logger.handlers[:], logger.level, logger.propagate)
    descriptors = [os.dup(1), os.dup(2)]

    def make(**changes):
        values = {"errorlog": "-", "accesslog": None, "loglevel": "info", "capture_output": False}
        made.append(Logs(**(values | changes)))
        # pytest puts handlers of its own there, which raise where ours must not
        logger.handlers = [handler for handler in logger.handlers if isinstance(handler, SinkHandler)]
        return made[-1]

    yield make
    for number, saved in zip((1, 2), descriptors, strict=True):
        os.dup2(saved, number)
        os.close(saved)
    for logs in made:
        logs.close()
    consoles = {handler.sink.console for handler in logger.handlers if isinstance(handler, SinkHandler)}
    for console in consoles - {-1, 1, 2}:
        os.close(console)
    logger.handlers[:], logger.level, logger.propagate = before


def test_a_line_goes_to_the_end_of_the_file(tmp_path):
    path = tmp_path / "log"
    path.write_text("old\n")
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    LogFile(fd, str(path), 2).write("new \u20ac \udc80")
    os.close(fd)
    assert path.read_text() == "old\nnew \u20ac \\udc80\n"


@needs_dev_full
def test_a_full_disk_drops_lines_and_says_so_once_a_minute(pipe):
    now = [1000.0]
    fd = os.open("/dev/full", os.O_WRONLY)
    log_file = LogFile(fd, "/var/log/x", pipe.writer, lambda: now[0])
    for _ in range(5):
        log_file.write("lost")
    first = pipe.read()
    now[0] += 59.9
    log_file.write("lost")
    quiet = pipe.read()
    now[0] += 0.1
    log_file.write("lost")
    os.close(fd)
    assert re.fullmatch(
        r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[\d+\] \[ERROR\] "
        r'log lines dropped file=/var/log/x lines=1 error="no space left on device"\n',
        first,
    )
    assert quiet == ""
    assert "lines=6 " in pipe.read()
    assert log_file.dropped == 7


def test_a_descriptor_that_is_gone_does_not_raise(pipe):
    LogFile(-1, "gone", pipe.writer).write("lost")
    assert 'error="bad file descriptor"' in pipe.read()


def test_when_nobody_can_be_told_nothing_is_raised():
    log_file = LogFile(-1, "gone", -1)
    log_file.write("lost")
    assert log_file.dropped == 1


def test_lines_that_were_lost_unsaid_are_told_when_the_file_takes_lines_again(pipe, tmp_path):
    now = [0.0]
    fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    log_file = LogFile(-1, "log", pipe.writer, lambda: now[0])
    log_file.write("a")
    log_file.write("b")
    pipe.read()
    log_file.fd = fd
    log_file.write("c")
    assert pipe.read() == ""
    now[0] = 60.0
    log_file.write("d")
    os.close(fd)
    assert "log lines dropped, the file takes lines again file=log lines=1\n" in pipe.read()
    assert (tmp_path / "log").read_text() == "c\nd\n"


def test_a_line_cut_by_a_full_pipe_is_ended_before_the_next(pipe):
    target = Pipe()
    os.set_blocking(target.writer, False)
    log_file = LogFile(target.writer, "pipe", pipe.writer)
    log_file.write("x" * 1_000_000)
    while target.read():
        pass
    log_file.write("whole")
    assert target.read() == "\nwhole\n"
    assert log_file.dropped == 1
    target.close()


def test_an_error_line_looks_like_gunicorns(make_logs, tmp_path):
    logs = make_logs(errorlog=str(tmp_path / "e"))
    logs.error.info("worker ready slot=%d", 0)
    assert re.fullmatch(
        rf"\[\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{{4}}\] \[{os.getpid()}\] \[INFO\] worker ready slot=0\n",
        (tmp_path / "e").read_text(),
    )


def test_the_level_decides_what_is_written(make_logs, tmp_path):
    logs = make_logs(errorlog=str(tmp_path / "e"), loglevel="WARNING")
    logs.error.info("no")
    logs.error.warning("yes")
    assert "no" not in (tmp_path / "e").read_text()
    assert "yes" in (tmp_path / "e").read_text()


def test_an_unknown_level_is_refused(make_logs):
    with pytest.raises(ConfigError, match=r'loglevel: expected one of critical, error, .* got "loud"'):
        make_logs(loglevel="loud")


def test_applications_can_hang_the_handlers_on_their_own_loggers(make_logs, tmp_path):
    make_logs(errorlog=str(tmp_path / "e"))
    app = logging.Logger("app")
    app.handlers = logging.getLogger("gunicorn.error").handlers
    app.error("from the app")
    assert (tmp_path / "e").read_text().endswith("[ERROR] from the app\n")


def test_a_traceback_follows_its_line_as_it_is(make_logs, tmp_path):
    logs = make_logs(errorlog=str(tmp_path / "e"))
    try:
        raise KeyError("k")
    except KeyError:
        logs.error.exception("failed")
    text = (tmp_path / "e").read_text()
    assert "[ERROR] failed\nTraceback (most recent call last):\n" in text
    assert text.endswith("KeyError: 'k'\n")


def test_a_broken_log_call_is_named_and_does_not_raise(make_logs, tmp_path, capfd):
    logs = make_logs(errorlog=str(tmp_path / "e"))
    logs.error.info("%d workers", "four")
    assert "log call is broken at=" in (tmp_path / "e").read_text()
    assert "test_logs.py:" in (tmp_path / "e").read_text()
    assert capfd.readouterr().err == ""


def test_there_is_no_access_log_unless_asked_for(make_logs, tmp_path):
    assert make_logs().access is None
    make_logs(accesslog=str(tmp_path / "a")).access.write("line")
    assert (tmp_path / "a").read_text() == "line\n"


def test_a_dash_is_stderr_for_errors_and_stdout_for_access(make_logs, capfd):
    logs = make_logs(errorlog="-", accesslog="-")
    logs.error.error("bad")
    logs.access.write("good")
    out, err = capfd.readouterr()
    assert out == "good\n"
    assert err.endswith("[ERROR] bad\n")


def test_a_directory_that_is_not_there_is_one_clear_line(make_logs, tmp_path):
    path = tmp_path / "no" / "such.log"
    with pytest.raises(ConfigError) as caught:
        make_logs(errorlog=str(path))
    expected = f"errorlog: cannot open {path}: no such file or directory (expected a directory at {path.parent})"
    assert str(caught.value) == expected


def test_a_directory_in_place_of_a_file_is_one_clear_line(make_logs, tmp_path):
    with pytest.raises(ConfigError, match=r"accesslog: cannot open .*: is a directory \(expected a file\)"):
        make_logs(accesslog=str(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_forbidden_file_is_one_clear_line(make_logs, tmp_path):
    (tmp_path / "e").touch(0o400)
    with pytest.raises(ConfigError, match=rf"permission denied \(uid {os.geteuid()} needs to write"):
        make_logs(errorlog=str(tmp_path / "e"))


def test_a_refused_reload_leaves_the_former_logs_in_place(make_logs, tmp_path):
    logs = make_logs(errorlog=str(tmp_path / "e"))
    with pytest.raises(ConfigError):
        make_logs(errorlog=str(tmp_path / "new"), accesslog=str(tmp_path), loglevel="error")
    logs.error.info("still here")
    assert (tmp_path / "e").read_text().endswith("still here\n")


def test_new_logs_replace_the_former_and_can_be_replaced_by_them(make_logs, tmp_path):
    first = make_logs(errorlog=str(tmp_path / "1"))
    second = make_logs(errorlog=str(tmp_path / "2"), loglevel="error")
    second.error.error("two")
    first.install()
    first.error.info("one")
    assert (tmp_path / "1").read_text().endswith("one\n")
    assert "two" not in (tmp_path / "1").read_text()
    assert "one" not in (tmp_path / "2").read_text()


def test_reopen_follows_a_rotated_file(make_logs, tmp_path):
    logs = make_logs(errorlog=str(tmp_path / "e"), accesslog=str(tmp_path / "a"))
    for name in "ea":
        os.rename(tmp_path / name, tmp_path / f"{name}.1")
    logs.access.write("before")
    logs.reopen()
    logs.access.write("after")
    logs.error.info("after")
    assert (tmp_path / "a.1").read_text() == "before\n"
    assert (tmp_path / "a").read_text() == "after\n"
    assert (tmp_path / "e").read_text().endswith("after\n")


def test_reopen_keeps_a_file_that_cannot_be_opened_and_says_why(make_logs, tmp_path):
    logs = make_logs(errorlog=str(tmp_path / "e"), accesslog=str(tmp_path / "a"))
    os.rename(tmp_path / "a", tmp_path / "a.1")
    os.mkdir(tmp_path / "a")
    logs.reopen()
    logs.access.write("kept")
    assert (tmp_path / "a.1").read_text() == "kept\n"
    said = (tmp_path / "e").read_text()
    assert f'log file not reopened, the former one is kept file={tmp_path}/a error="is a directory' in said


def test_reopened_files_are_not_inherited_by_programs(make_logs, tmp_path):
    logs = make_logs(accesslog=str(tmp_path / "a"))
    logs.reopen()
    assert not os.get_inheritable(logs.access.fd)


def test_a_later_chdir_does_not_move_a_log(make_logs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    logs = make_logs(accesslog="a")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    logs.reopen()
    logs.access.write("line")
    assert (tmp_path / "a").read_text() == "line\n"


def test_captured_output_goes_to_the_error_log_and_follows_it(make_logs, tmp_path):
    logs = make_logs(errorlog=str(tmp_path / "e"), capture_output=True)
    os.write(1, b"printed\n")
    os.write(2, b"complained\n")
    os.rename(tmp_path / "e", tmp_path / "e.1")
    logs.reopen()
    os.write(1, b"later\n")
    assert (tmp_path / "e.1").read_text() == "printed\ncomplained\n"
    assert (tmp_path / "e").read_text() == "later\n"


def test_output_is_not_captured_when_errors_go_to_stderr(make_logs, capfd):
    make_logs(errorlog="-", capture_output=True)
    print("printed")
    sys.stdout.flush()
    assert capfd.readouterr().out == "printed\n"


@needs_dev_full
def test_a_full_disk_is_told_on_the_former_stderr_when_output_is_captured(make_logs, pipe):
    os.dup2(pipe.writer, 2)
    make_logs(errorlog="/dev/full", capture_output=True)
    logs = make_logs(errorlog="/dev/full", capture_output=True)  # a reload, with fd 2 captured already
    logs.error.error("lost")
    assert "log lines dropped file=/dev/full lines=1" in pipe.read()


def test_a_closed_log_drops_lines_instead_of_writing_to_the_next_owner_of_its_number(make_logs, tmp_path):
    logs = make_logs(accesslog=str(tmp_path / "a"))
    sink, number = logs.access, logs.access.fd
    logs.close()
    other = os.open(tmp_path / "other", os.O_WRONLY | os.O_CREAT)
    assert other == number
    sink.console = -1
    sink.write("late")
    os.close(other)
    assert (tmp_path / "other").read_text() == ""


def test_what_applications_print_to_wsgi_errors_comes_out_in_whole_lines(make_logs, tmp_path):
    logs = make_logs(errorlog=str(tmp_path / "e"))
    print("one", "two", file=logs.error_stream)
    assert logs.error_stream.write("half") == 4
    assert (tmp_path / "e").read_text() == "one two\n"
    logs.error_stream.writelines([" a line\n", "\n", "rest"])
    logs.error_stream.flush()
    logs.error_stream.flush()
    assert (tmp_path / "e").read_text() == "one two\nhalf a line\n\nrest\n"
