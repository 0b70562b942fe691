"""exec takes a process's place, so whole small programs are started, which exec themselves."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ostler.errors import ConfigError
from ostler.process.reexec import (
    HandOver,
    ReadyLine,
    ReexecError,
    StartContext,
    exec_again,
    handed_over,
    start_context,
)

SOURCE = str(Path(__file__).parents[3] / "src")
# What an entry point calls: the first time it execs its command again beside itself, the second time it reports.
SERVER = """
import json, os, socket, sys
from ostler.process.reexec import ReadyLine, exec_again, handed_over, start_context

def main():
    environ = dict(os.environ)
    found = handed_over(os.environ, os.getppid())
    if found is not None:
        sock = socket.socket(fileno=found.fds[0])
        left = [name for name in os.environ if name.startswith(("GUNICORN_", "OSTLER_READY", "LISTEN_"))]
        with open(sys.argv[-1], "w") as file:
            json.dump({
                "argv": sys.argv, "orig_argv": sys.orig_argv, "cwd": os.getcwd(), "pwd": os.environ.get("PWD"),
                "old": found.parent_pid == os.getppid(), "port": sock.getsockname()[1], "left": left,
                "inheritable": [os.get_inheritable(fd) for fd in (*found.fds, found.ready_fd)],
                "marker": os.environ.get("MARKER"), "fds": len(os.listdir("/proc/self/fd")),
            }, file)
        ReadyLine(found.ready_fd).serves()
        return 0
    context = start_context(environ)
    listener = socket.create_server(("127.0.0.1", 0))
    reader, writer = os.pipe()
    os.environ["MARKER"] = "changed later"
    os.chdir("/")
    parent = os.getpid()
    if os.fork() == 0:
        exec_again(context, environ, [listener.fileno()], parent, writer)
    os.close(writer)
    print(os.read(reader, 10).decode(), listener.getsockname()[1], os.wait()[1])
    return 0
"""


@pytest.fixture
def site(tmp_path):
    """A directory with a package, a script, and a name for it that is a symbolic link."""
    directory = tmp_path / "releases" / "1"
    (directory / "served").mkdir(parents=True)
    (directory / "served" / "__init__.py").write_text(SERVER)
    (directory / "served" / "__main__.py").write_text("from served import main\nraise SystemExit(main())\n")
    script = f"#!{sys.executable}\nimport sys\nfrom served import main\nsys.exit(main())\n"
    (directory / "serve").write_text(script)
    (directory / "serve").chmod(0o755)
    (tmp_path / "current").symlink_to("releases/1")
    return tmp_path / "current"


def run(site, *command):
    report = site / "report"
    environ = os.environ | {
        "PYTHONPATH": f"{SOURCE}:{site}",
        "PWD": str(site),
        "MARKER": "as started",
        "LISTEN_FDS": "1",
        "LISTEN_PID": "1",
        "LISTEN_FDNAMES": "http",
    }
    done = subprocess.run(
        [*command, str(report)], cwd=site, env=environ, capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    said, port, status = done.stdout.split()
    found = json.loads(report.read_text())
    assert (said, status, found["port"]) == ("+", "0", int(port))
    return found


@pytest.mark.parametrize(
    "command",
    [
        (sys.executable, "-X", "utf8", "-m", "served", "-w", "2"),
        (sys.executable, "serve", "app:app"),
        ("./serve", "app:app"),
        (sys.executable, "-c", "from served import main; main()"),
    ],
    ids=["module", "script", "console script", "code"],
)
def test_the_same_command_starts_again_with_all_that_it_was_given(site, command):
    found = run(site, *command)
    words = command if command[0] == sys.executable else (sys.executable, *command)
    assert found["orig_argv"] == [*words, str(site / "report")]
    assert found["argv"][-2:-1] == list(command[-1:]) or command[-2] == "-c"
    assert (found["cwd"], found["pwd"]) == (str(site.resolve()), str(site))
    assert (found["old"], found["left"], found["inheritable"]) == (True, [], [False, False])
    assert found["marker"] == "as started"


def test_nothing_else_is_handed_over(site):
    # The standard files, the listener, the ready line; the report and this look.
    assert run(site, sys.executable, "-m", "served")["fds"] == 3 + 2 + 2


def test_the_start_is_the_directory_by_the_shells_name_and_the_whole_command(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path / "real")
    argv = ["python3", "-m", "ostler", "app"]
    expected = (sys.executable, "-m", "ostler", "app")
    link, real = str(tmp_path / "link"), str(tmp_path / "real")
    assert start_context({"PWD": link}, argv) == StartContext(sys.executable, expected, link)
    assert start_context({"PWD": "/"}, argv) == StartContext(sys.executable, expected, real)
    os.rmdir(real)
    with pytest.raises(ConfigError, match="current directory"):
        start_context({}, argv)


def test_what_cannot_be_started_again_says_why(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gone = StartContext(sys.executable, (sys.executable,), str(tmp_path / "gone"))
    with pytest.raises(ReexecError, match=r"cannot use .*/gone, where this server was started: no such file"):
        exec_again(gone, {}, [], 1, None)
    no_python = StartContext(str(tmp_path / "python"), ("python",), str(tmp_path))
    with pytest.raises(ReexecError, match=r"cannot run .*/python: no such file or directory; put the interpreter back"):
        exec_again(no_python, {}, [], 1, None)


# -- taking over


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture
def dead_pid():
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    return process.pid


def test_nothing_was_handed_over():
    environ = {"HOME": "/root"}
    assert handed_over(environ, 1) is None
    assert environ == {"HOME": "/root"}


def test_a_gunicorn_hands_over_without_the_ready_line(listener):
    os.set_inheritable(listener.fileno(), True)
    environ = {"GUNICORN_PID": "77", "GUNICORN_FD": str(listener.fileno()), "HOME": "/root"}
    assert handed_over(environ, 77) == HandOver(77, (listener.fileno(),), None)
    assert environ == {"HOME": "/root"}
    assert not listener.get_inheritable()


def test_a_gunicorn_with_systemds_sockets_leaves_them_to_systemds_variables():
    environ = {"GUNICORN_PID": "77", "LISTEN_FDS": "1", "LISTEN_PID": "78"}
    assert handed_over(environ, 77) == HandOver(77, (), None)
    assert environ == {"LISTEN_FDS": "1", "LISTEN_PID": "78"}


def test_variables_that_were_only_inherited_are_removed_and_not_believed(listener):
    environ = {"GUNICORN_PID": str(os.getpid()), "GUNICORN_FD": str(listener.fileno()), "OSTLER_READY_FD": "9"}
    assert handed_over(environ, 1) is None
    assert environ == {}


def test_an_old_master_that_died_at_once_is_believed_when_its_sockets_listen(listener, dead_pid):
    environ = {"GUNICORN_PID": str(dead_pid), "GUNICORN_FD": str(listener.fileno())}
    assert handed_over(dict(environ), 1) == HandOver(dead_pid, (listener.fileno(),), None)
    assert handed_over(environ | {"GUNICORN_FD": "0"}, 1) is None
    assert handed_over({"GUNICORN_PID": str(dead_pid)}, 1) is None


def test_an_old_master_that_nobody_has_reaped_yet_is_gone_too(listener):
    zombie = subprocess.Popen(["/bin/true"])
    try:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        environ = {"GUNICORN_PID": str(zombie.pid), "GUNICORN_FD": str(listener.fileno())}
        assert handed_over(environ, 1) == HandOver(zombie.pid, (listener.fileno(),), None)
    finally:
        zombie.wait()


def test_an_old_master_that_does_not_hear_the_ready_line_any_more_is_gone(listener):
    reader, writer = os.pipe()
    environ = {"GUNICORN_PID": str(os.getpid()), "GUNICORN_FD": str(listener.fileno()), "OSTLER_READY_FD": str(writer)}
    try:
        assert handed_over(dict(environ), 1) is None
        os.close(reader)
        assert handed_over(dict(environ), 1) == HandOver(os.getpid(), (listener.fileno(),), writer)
    finally:
        os.close(writer)


@pytest.mark.parametrize(("listed", "words"), [("9999", "of which 9999 is not"), ("3,x", "expected numbers such as")])
def test_descriptors_that_cannot_be_used_are_an_error(listed, words):
    with pytest.raises(ReexecError, match=words):
        handed_over({"GUNICORN_PID": "77", "GUNICORN_FD": listed}, 77)


def test_all_that_a_new_master_says_is_heard_and_then_the_end():
    reader, writer = os.pipe()
    line = ReadyLine(writer)
    line.serves()
    assert os.read(reader, 10) == b"+"
    line.complete()
    assert os.read(reader, 10) == b"="
    assert os.read(reader, 10) == b""
    line.failed("too late")
    os.close(reader)


def test_a_new_master_says_why_it_ends_and_a_dead_old_one_is_no_error():
    reader, writer = os.pipe()
    environ = {"GUNICORN_PID": "77", "OSTLER_READY_FD": str(writer)}
    assert_silent(ReadyLine.of(environ, 78))
    ReadyLine.of(environ, 77).failed("no such application")
    assert os.read(reader, 100) == b"-no such application"
    assert os.read(reader, 10) == b""
    os.close(reader)
    reader, writer = os.pipe()
    os.close(reader)
    line = ReadyLine(writer)
    line.serves()
    line.complete()
    assert_silent(ReadyLine(None))


def test_a_descriptor_that_is_another_file_by_now_is_left_alone(tmp_path):
    reader, writer = os.pipe()
    line = ReadyLine(writer)
    with (tmp_path / "file").open("wb") as file:
        os.dup2(file.fileno(), writer)
        line.failed("not for this file")
        os.close(writer)
    assert (tmp_path / "file").read_bytes() == b""
    os.close(reader)


def assert_silent(line):
    line.serves()
    line.failed("nobody hears this")
