"""observe/logs.py"""

import json
import logging
import os
import re
import socket
import sys

import pytest

from ostler.config.address import SyslogAddress
from ostler.errors import ConfigError
from ostler.lifecycle import RequestFinished
from ostler.observe.logconfig import LogConfig
from ostler.observe.plan import LogPlan, SyslogPlan
from ostler.observe.rotation import Rotation
from tests.unit.observe.process_logs import process_logs

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
    with process_logs() as desk:
        yield desk


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
    os.dup2(other, number)
    sink.console = -1
    sink.write("late")
    os.close(other)
    os.close(number)
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


def finished(path="/a", **changes):
    values = {
        "environ": {"REMOTE_ADDR": "192.0.2.7", "PATH_INFO": path}, "request_fields": [], "status": "200 OK",
        "response_fields": [], "sent": 5, "duration_s": 0.25, "method": "GET", "target": path, "protocol": "HTTP/1.1",
    }  # fmt: skip
    return RequestFinished(**(values | changes))


def test_the_access_log_is_written_straight_and_a_filter_is_honoured_from_the_next_request(make_logs, tmp_path):
    logs = make_logs(accesslog=str(tmp_path / "a"), access_format="%(U)s %(s)s")
    observer = logs.access_observer()
    assert logs.way.straight() is not None
    observer.request_finished(finished("/health"))
    logs.access_log.addFilter(lambda record: record.args["U"] != "/health")
    observer.request_finished(finished("/health"))
    observer.request_finished(finished("/b"))
    assert (tmp_path / "a").read_text() == "/health 200\n/b 200\n"


def test_skipped_paths_are_not_in_the_access_log(make_logs, tmp_path):
    logs = make_logs(accesslog=str(tmp_path / "a"), access_format="%(U)s", access_skip=("/health",))
    for path in ("/health", "/a"):
        logs.access_observer().request_finished(finished(path))
    assert (tmp_path / "a").read_text() == "/a\n"


def test_a_broken_access_format_is_refused_before_anything_is_changed(make_logs, tmp_path):
    with pytest.raises(ConfigError, match="access_log_format: expected"):
        make_logs(errorlog=str(tmp_path / "e"), accesslog=str(tmp_path / "a"), access_format="%q")
    assert not (tmp_path / "e").exists()
    assert make_logs(access_format="%q").access_observer() is None  # nobody uses it


def test_a_json_error_log_is_objects_only(make_logs, tmp_path):
    logs = make_logs(errorlog=str(tmp_path / "e"), error_json=True)
    logs.error.info("worker ready slot=%d", 0, extra={"slot": 0})
    print("printed\nraw", file=logs.error_stream)
    found = [json.loads(line) for line in (tmp_path / "e").read_text().splitlines()]
    assert [(each["logger"], each["message"]) for each in found] == [
        ("gunicorn.error", "worker ready slot=0"), ("wsgi.errors", "printed"), ("wsgi.errors", "raw"),
    ]  # fmt: skip
    assert found[0]["slot"] == 0


def test_one_file_for_both_logs_is_opened_once(make_logs, tmp_path):
    logs = make_logs(errorlog=str(tmp_path / "log"), accesslog=str(tmp_path / "log"))
    logs.access.write("access")
    logs.error.info("error")
    assert len((tmp_path / "log").read_text().splitlines()) == 2
    assert logs.reopen() == ((str(tmp_path / "log"),), (logs.access.fd,))


def test_filters_and_handlers_of_users_stay_with_the_next_logs(make_logs, tmp_path):
    def keep(record):
        return True

    logger, foreign = logging.getLogger("gunicorn.access"), logging.NullHandler()
    logger.addFilter(keep)
    logger.addHandler(foreign)
    make_logs(accesslog=str(tmp_path / "1"))
    make_logs(accesslog=str(tmp_path / "2"))
    assert logger.filters == [keep]
    assert foreign in logger.handlers
    assert len(logger.handlers) == 2


def test_what_hooks_set_up_is_kept_while_another_generation_is_installed(make_logs, tmp_path):
    def keep(record):
        return True

    first = make_logs(accesslog=str(tmp_path / "1"))
    first.access_log.addFilter(keep)  # by when_ready
    first.install()
    assert first.access_log.filters == [keep]
    second = make_logs(accesslog=str(tmp_path / "2"))
    second.access_log.removeFilter(keep)
    first.install()
    assert first.access_log.filters == [keep]
    second.install()
    assert second.access_log.filters == []


def test_a_logger_class_can_be_taken_back_or_remembered(make_logs):
    logs = make_logs(accesslog="-")
    logs.access_log.propagate = True
    logs.restore()
    assert not logs.access_log.propagate
    logs.error.setLevel(logging.DEBUG)
    logs.remember()
    make_logs(loglevel="error")
    logs.install()
    assert logs.error.level == logging.DEBUG


def test_logs_that_are_withdrawn_make_way_for_the_former(make_logs, tmp_path):
    first = make_logs(errorlog=str(tmp_path / "1"), accesslog=str(tmp_path / "a"))
    make_logs(errorlog=str(tmp_path / "2"), capture_output=True).withdraw()
    first.error.info("still here")
    first.access_observer().request_finished(finished())
    assert (tmp_path / "1").read_text().endswith("still here\n")
    assert (tmp_path / "a").read_text()
    assert (tmp_path / "2").read_text() == ""


def test_users_files_of_a_generation_that_is_not_installed_are_reopened_too(make_logs, tmp_path):
    file = {"class": "logging.FileHandler", "filename": str(tmp_path / "f")}
    loggers = {"gunicorn.error": {"handlers": ["file"]}}
    mapping = {"handlers": {"file": file}, "loggers": loggers, "root": {"level": "ERROR"}}
    first = make_logs(logconfig=LogConfig.of(None, mapping, None))
    make_logs()
    os.rename(tmp_path / "f", tmp_path / "f.1")
    first.reopen()
    first.install()
    first.error.info("after")
    assert (tmp_path / "f").read_text() == "after\n"


def test_equal_plans_may_share_logs(make_logs, tmp_path):
    logs = make_logs(errorlog=str(tmp_path / "e"))
    assert logs.serves(LogPlan(errorlog=str(tmp_path / "e")))
    assert not logs.serves(LogPlan(errorlog=str(tmp_path / "e"), loglevel="debug"))


def test_a_reload_without_capture_gives_the_former_output_back(make_logs, tmp_path, pipe):
    os.dup2(pipe.writer, 1)
    first = make_logs(errorlog=str(tmp_path / "e"), capture_output=True)
    os.write(1, b"captured\n")
    make_logs(errorlog=str(tmp_path / "e"))
    os.write(1, b"free\n")
    first.install()
    os.write(1, b"captured again\n")
    assert pipe.read() == "free\n"
    assert (tmp_path / "e").read_text() == "captured\ncaptured again\n"


def test_an_access_log_on_stdout_follows_captured_output(make_logs, tmp_path):
    logs = make_logs(errorlog=str(tmp_path / "e"), accesslog="-", capture_output=True)
    logs.access.write("line")
    assert (tmp_path / "e").read_text() == "line\n"


def test_rotation_happens_in_the_tick_and_tells_the_workers_what_to_take(make_logs, tmp_path):
    path = tmp_path / "a"
    logs = make_logs(errorlog=str(tmp_path / "e"), accesslog=str(path), rotation=Rotation(size=10, keep=2))
    assert logs.tick() is None
    worker = os.dup(logs.access.fd)  # what a worker has inherited
    logs.access.write("0123456789")
    names, fds = logs.tick()
    logs.access.write("new")
    os.close(worker)
    assert (names, fds) == ((str(path),), (logs.access.fd,))
    assert (tmp_path / "a.1").read_text() == "0123456789\n"
    assert path.read_text() == "new\n"
    assert logs.tick() is None


def test_a_rotation_that_fails_is_told_and_loses_nothing(make_logs, tmp_path):
    (tmp_path / "a.1").mkdir()
    (tmp_path / "a.1" / "full").touch()
    logs = make_logs(errorlog=str(tmp_path / "e"), accesslog=str(tmp_path / "a"), rotation=Rotation(size=1, keep=1))
    logs.access.write("kept")
    assert logs.tick() is None
    logs.access.write("on")
    assert (tmp_path / "a").read_text() == "kept\non\n"
    assert f"log file not rotated file={tmp_path}/a error=" in (tmp_path / "e").read_text()


def test_a_worker_takes_the_masters_descriptors(make_logs, tmp_path):
    logs = make_logs(errorlog=str(tmp_path / "e"), accesslog=str(tmp_path / "a"))
    logs.threaded()
    number = logs.access.fd
    new = os.open(tmp_path / "new", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    stranger = os.dup(new)
    logs.take((str(tmp_path / "a"), "/no/such/name"), (new, stranger), others=False)
    logs.access.write("line")
    assert (tmp_path / "new").read_text() == "line\n"
    assert logs.access.fd == number
    for fd in (new, stranger):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_users_file_handlers_are_reopened_with_ours_but_not_by_a_rotation(make_logs, tmp_path):
    logs = make_logs()
    handler = logging.FileHandler(tmp_path / "app")
    logging.getLogger("some.app").addHandler(handler)
    os.rename(tmp_path / "app", tmp_path / "app.1")
    logs.take((), (), others=False)
    assert not (tmp_path / "app").exists()
    logs.take((), ())
    assert (tmp_path / "app").exists()
    os.unlink(tmp_path / "app")
    logs.reopen()
    assert (tmp_path / "app").exists()


@pytest.fixture
def daemon():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        found.settimeout(5)
        yield found


@pytest.mark.parametrize("access", [True, False])
def test_syslog_gets_both_logs_with_gunicorns_tags(make_logs, daemon, access):
    address = SyslogAddress("udp", "127.0.0.1", daemon.getsockname()[1])
    logs = make_logs(access_format="%(m)s %(U)s", syslog=SyslogPlan(address, "web.app", "local3", access))
    logs.threaded()
    logs.error.warning("careful")
    assert daemon.recv(1000) == f"<156>gunicorn.web.app.error: [{os.getpid()}] careful\0".encode()
    observer = logs.access_observer()
    assert (observer is not None) is access
    if observer is not None:
        observer.request_finished(finished())
        straight = daemon.recv(1000)
        logs.access_log.addFilter(lambda record: True)
        observer.request_finished(finished())
        assert straight == daemon.recv(1000) == f"<158>gunicorn.web.app.access: [{os.getpid()}] GET /a\0".encode()
    logs.tick()


def test_an_unknown_syslog_facility_is_refused(make_logs):
    with pytest.raises(ConfigError, match="syslog_facility: expected one of"):
        make_logs(syslog=SyslogPlan(SyslogAddress("udp", "127.0.0.1", 514), "x", "nonsense", True))


def test_a_logconfig_alone_makes_an_access_log(make_logs, capfd):
    logs = make_logs(errorlog="/dev/null", logconfig=LogConfig.of(None, {"root": {"level": "ERROR"}}, None))
    logs.access_observer().request_finished(finished("/from-the-config"))
    assert "/from-the-config" in capfd.readouterr().out


def test_handlers_of_a_former_logconfig_leave_with_it(make_logs):
    make_logs(logconfig=LogConfig.of(None, {"version": 1}, None))
    logs = make_logs()
    assert len(logs.error.handlers) == 1
    assert not logs.access_log.propagate


def test_a_logconfig_that_fails_leaves_the_former_logs(make_logs, tmp_path):
    logs = make_logs(errorlog=str(tmp_path / "e"), accesslog=str(tmp_path / "a"))
    broken = LogConfig.of(None, {"handlers": {"x": {"class": "no.such.Class"}}}, None)
    with pytest.raises(ConfigError, match="logconfig_dict: cannot set up logging"):
        make_logs(loglevel="error", logconfig=broken)
    logs.error.info("still here")
    logs.access_observer().request_finished(finished())
    assert (tmp_path / "e").read_text().endswith("still here\n")
    assert (tmp_path / "a").read_text().startswith("192.0.2.7")


def test_a_level_may_be_changed_for_now_and_belongs_to_no_logs(make_logs, tmp_path):
    first, second = tmp_path / "1.log", tmp_path / "2.log"
    logs = make_logs(errorlog=str(first), loglevel="warning")
    logs.change_level(logging.DEBUG)
    logs.error.debug("now")
    logs.change_level(logging.ERROR)
    logs.error.warning("not now")
    logs.change_level(None)
    logs.error.info("nor this")
    logs.error.warning("as before")
    assert [line.rpartition("] ")[2] for line in first.read_text().splitlines()] == ["now", "as before"]
    logs.change_level(logging.DEBUG)
    other = make_logs(errorlog=str(second), loglevel="error")
    assert other.error.level == logging.ERROR, "new logs have the level of their settings"
    logs.install()
    assert logs.error.level == logging.WARNING
    logs.change_level(logging.DEBUG)
    other.install()
    assert other.error.level == logging.DEBUG, "the process has it, as it forks a worker of another generation"
    other.change_level(None)
    assert other.error.level == logging.ERROR
    logs.install()
    assert logs.error.level == logging.WARNING
