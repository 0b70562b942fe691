"""Locks are between processes, so these tests start some: small ones, each ended by the test that started it."""

import fcntl
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ostler.process.pidfile import _SERVER, PidFile, PidFileError, is_held_by, remove_left

HOLD = """
import os, sys
from ostler.process.pidfile import PidFile, PidFileError
file = PidFile(sys.argv[1])
if sys.stdin.readline() != "go\\n":
    sys.exit("not told to go")
try:
    file.create(os.getpid())
except PidFileError as error:
    print(error, flush=True)
    sys.exit(error.exit_status)
print("held", flush=True)
sys.stdin.readline()
file.unlink()
"""


class Server:
    """A process that creates the pid file when it is told to, and holds it until its input ends."""

    def __init__(self, path):
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self.process.pid

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def answer(self):
        return self.process.stdout.readline().strip()

    def end(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.communicate()


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "x.pid")


@pytest.fixture
def server(path):
    servers = []

    def start(go=True):
        servers.append(Server(path))
        if go:
            servers[-1].go()
            assert servers[-1].answer() == "held"
        return servers[-1]

    yield start
    for each in servers:
        each.end()


@pytest.fixture
def sleeper():
    """Start a process that does nothing, whose command line begins with the words of the test; its pid."""
    started = []

    def start(*words):
        # `tail -f` follows files that are not there; for an argument it takes what the words say.
        command = [*words[:1], "-f", "--retry", *words[1:], "/dev/null"]
        started.append(subprocess.Popen(command, executable="/usr/bin/tail", stderr=subprocess.DEVNULL))
        pid = started[-1].pid
        while not Path(f"/proc/{pid}/cmdline").read_bytes():
            select.select([], [], [], 0.001)  # between exec's steps
        return pid

    yield start
    for each in started:
        each.kill()
        each.wait()


def beside(path):
    return sorted(os.listdir(os.path.dirname(path)))


def test_the_file_holds_the_pid_and_a_newline_and_anyone_may_read_it(path):
    file = PidFile(path)
    file.create(4711)
    assert Path(path).read_bytes() == b"4711\n"
    assert os.stat(path).st_mode & 0o777 == 0o644
    assert beside(path) == ["x.pid"]
    file.unlink()
    assert beside(path) == []
    file.unlink()


def test_a_server_that_runs_is_named_with_the_cure(path, server):
    running = server()
    with pytest.raises(PidFileError) as caught:
        PidFile(path).create(os.getpid())
    expected = f"pidfile: already running on pid {running.pid} ({path}); stop it or choose another file"
    assert (str(caught.value), caught.value.exit_status) == (expected, 1)
    assert Path(path).read_text() == f"{running.pid}\n"
    assert beside(path) == ["x.pid"]


@pytest.mark.parametrize("left_behind", [None, "999999999\n", "", "no number", "-1"])
def test_of_servers_that_start_at_once_exactly_one_wins(path, server, left_behind):
    if left_behind is not None:
        Path(path).write_text(left_behind)
    rivals = [server(go=False) for _ in range(4)]
    for each in rivals:
        each.go()
    answers = {each: each.answer() for each in rivals}
    (winner,) = [each for each, answer in answers.items() if answer == "held"]
    assert Path(path).read_text() == f"{winner.pid}\n"
    assert {answer for each, answer in answers.items() if each is not winner} == {
        f"pidfile: already running on pid {winner.pid} ({path}); stop it or choose another file"
    }
    assert beside(path) == ["x.pid"]


def test_a_lock_on_a_file_that_has_lost_its_name_meanwhile_counts_for_nothing(path, monkeypatch):
    """Between our open and our lock a rival takes the stale file over: the lock that we get is that of a dead inode."""
    Path(path).write_text("999999999\n")
    rival = PidFile(path)
    real_flock = fcntl.flock
    locked = []

    def flock(fd, operation):
        locked.append(fd)
        if len(locked) == 2:  # our own file was the first
            rival.create(os.getpid())
        real_flock(fd, operation)

    monkeypatch.setattr("ostler.process.pidfile._flock", flock)
    with pytest.raises(PidFileError, match=f"already running on pid {os.getpid()} "):
        PidFile(path).create(1)
    assert Path(path).read_text() == f"{os.getpid()}\n"
    rival.unlink()
    assert beside(path) == []


def test_the_file_of_a_server_that_was_killed_is_taken_over(path, server):
    server().end(signal.SIGKILL)
    assert os.path.exists(path)
    file = PidFile(path)
    file.create(os.getpid())
    assert Path(path).read_text() == f"{os.getpid()}\n"
    file.unlink()


@pytest.mark.parametrize(
    "words", [("tail",), ("vim", "gunicorn.conf.py"), ("postgres: ostler shop",), ("x", "/srv/ostler/app.py")]
)
def test_a_pid_that_belongs_to_another_program_by_now_is_stale(path, sleeper, words):
    Path(path).write_text(f"{sleeper(*words)}\n")
    file = PidFile(path)
    file.create(os.getpid())
    assert Path(path).read_text() == f"{os.getpid()}\n"
    file.unlink()


@pytest.mark.parametrize(
    "words",
    [
        ("gunicorn: master [app]",),
        ("python3", "/venv/bin/gunicorn", "app:app"),
        ("/venv/bin/ostler", "app:app"),
    ],
)
def test_a_gunicorn_that_runs_is_respected_though_it_does_not_lock(path, sleeper, words):
    pid = sleeper(*words)
    Path(path).write_text(f"{pid}\n")
    with pytest.raises(PidFileError, match=f"already running on pid {pid} "):
        PidFile(path).create(os.getpid())


def test_command_lines_that_are_servers():
    servers = ["gunicorn", "/usr/bin/gunicorn3\0app", "python\0gunicorn\0app", "python\0-m\0ostler\0-w\0002"]
    servers += ["ostler: worker [x]", "python\0/lib/ostler/__main__.py", "coverage\0run\0-m\0gunicorn\0app"]
    others = ["less\0/var/log/gunicorn.log", "sshd: ostler@pts/0", "bash\0-c\0gunicorn app", "ostlers", "my-gunicorn"]
    assert [each for each in servers if not _SERVER.search(each)] == []
    assert [each for each in others if _SERVER.search(each)] == []


def test_the_own_pid_in_an_unlocked_file_is_no_rival(path):
    """A container in which the server has the same pid each time; an exec in place."""
    Path(path).write_text(f"{os.getpid()}\n")
    file = PidFile(path)
    file.create(os.getpid())
    file.unlink()
    assert beside(path) == []


def test_a_lock_whose_owner_is_dead_is_said_to_be_one(path, monkeypatch):
    monkeypatch.setattr("ostler.process.pidfile._PAUSE_S", 0.0)
    holder = PidFile(path)
    holder.create(999999999)
    with pytest.raises(PidFileError, match="locked by a process that the dead pid 999999999 has started; stop it"):
        PidFile(path).create(os.getpid())
    holder.unlink()


def test_a_worker_lets_the_lock_go_and_leaves_the_file(path):
    file = PidFile(path)
    file.create(os.getpid())
    file.close_in_child()
    file.unlink()
    assert Path(path).read_text() == f"{os.getpid()}\n"
    successor = PidFile(path)
    successor.create(os.getpid())
    successor.unlink()


def test_a_file_that_is_another_ones_by_now_is_not_removed(path, tmp_path):
    file = PidFile(path)
    file.create(os.getpid())
    (tmp_path / "new").write_text("1\n")
    os.rename(tmp_path / "new", path)
    file.unlink()
    assert Path(path).read_text() == "1\n"


def test_a_file_that_another_pid_was_written_into_is_not_removed(path):
    file = PidFile(path)
    file.create(os.getpid())
    Path(path).write_text("1\n")
    file.unlink()
    assert Path(path).read_text() == "1\n"


@pytest.mark.parametrize("stale", [False, True])
def test_promotion_gives_the_new_master_the_old_ones_name_and_keeps_the_lock(path, stale):
    if stale:
        Path(path).write_text("999999999\n")
    file = PidFile(path + ".2")
    file.create(os.getpid())
    file.rename(path)
    assert (file.path, beside(path)) == (path, ["x.pid"])
    with pytest.raises(PidFileError, match="already running"):
        PidFile(path).create(1)
    file.unlink()
    assert beside(path) == []


def test_promotion_while_the_old_master_runs_is_refused_and_changes_nothing(path, server):
    old = server()
    file = PidFile(path + ".2")
    file.create(os.getpid())
    with pytest.raises(PidFileError, match=f"already running on pid {old.pid} "):
        file.rename(path)
    assert beside(path) == ["x.pid", "x.pid.2"]
    file.unlink()
    assert beside(path) == ["x.pid"]


def test_promotion_of_a_file_that_was_removed_makes_a_new_one(path):
    file = PidFile(path + ".2")
    file.create(os.getpid())
    os.unlink(path + ".2")
    file.rename(path)
    assert Path(path).read_text() == f"{os.getpid()}\n"
    file.rename(path)
    file.unlink()
    assert beside(path) == []


def test_a_file_system_without_hard_links_will_do(path, monkeypatch):
    def no_links(_source, _target):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("ostler.process.pidfile._link", no_links)
    file = PidFile(path)
    file.create(os.getpid())
    assert (Path(path).read_text(), beside(path)) == (f"{os.getpid()}\n", ["x.pid"])
    with pytest.raises(PidFileError, match="already running"):
        PidFile(path).create(1)
    file.unlink()


def test_what_cannot_be_written_is_said_with_a_cure(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    for name, words in [
        ("absent/x.pid", "no such directory; create it first"),
        ("file/x.pid", "a part of the path is not a directory"),
        ("link", "it is a symbolic link; remove it, or name the file"),
        ("pipe", "is not a regular file; remove it or choose another file"),
        (".", "is a directory; name a file"),
    ]:
        with pytest.raises(PidFileError, match=words) as caught:
            PidFile(str(tmp_path / name)).create(1)
        assert str(tmp_path / name) in str(caught.value)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "link", "pipe"]


def test_only_the_locked_file_of_that_process_is_held_by_it(path, server):
    assert not is_held_by(path, 7)
    holder = server()
    assert is_held_by(path, holder.pid)
    assert not is_held_by(path, holder.pid + 1)
    holder.end(signal.SIGKILL)
    assert not is_held_by(path, holder.pid), "a stale file"


def test_what_a_server_has_let_go_of_is_removed_and_nothing_else(tmp_path):
    path = tmp_path / "pid"
    held = PidFile(str(path))
    held.create(os.getpid())
    remove_left(str(path), os.getpid())
    assert path.exists(), "it is locked"
    held.close_in_child()
    remove_left(str(path), os.getpid() + 1)
    assert path.exists(), "it names another"
    remove_left(str(path), os.getpid())
    assert not path.exists()
    remove_left(str(path), os.getpid())
