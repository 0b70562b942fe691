"""A daemon leaves its parent and its session, so each test runs a small program; its daemon ends with the test."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ostler.process.daemon import Readiness

SOURCE = str(Path(__file__).parents[3] / "src")
START = """
import json, os, signal, sys
from ostler.process.daemon import daemonize
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):  # whoever runs the tests may ignore them, as nohup does
    signal.signal(number, signal.SIG_DFL)
def note(what):
    with open("note.tmp", "w") as file:
        json.dump(what, file)
    os.rename("note.tmp", "note")
"""


def wait_until(condition, what):
    deadline = time.monotonic() + 10
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        select.select([], [], [], 0.005)
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Command:
    """The command that was typed; what its daemon noted is in the file `note`, with its pid."""

    def __init__(self, directory, program, **options):
        self.note_file = directory / "note"
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | options
        environ = os.environ | {"PYTHONPATH": SOURCE}
        self.process = subprocess.Popen(
            [sys.executable, "-c", START + program], cwd=directory, env=environ, text=True, **options
        )

    def ended(self):
        """(status, standard output, standard error) of the command."""
        out, err = self.process.communicate(timeout=10)
        return self.process.returncode, out, err

    def note(self):
        wait_until(self.note_file.exists, "the daemon noted something")
        return json.loads(self.note_file.read_text())

    def clean_up(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        if self.note_file.exists():
            pid = self.note()["pid"]
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not alive(pid), "the daemon ended")


@pytest.fixture
def command(tmp_path):
    started = []

    def start(program, **options):
        started.append(Command(tmp_path, program, **options))
        return started[-1]

    yield start
    for each in started:
        each.clean_up()


def test_the_command_ends_when_the_daemon_serves_and_not_before(command):
    running = command("""
readiness = daemonize(False)
note({"pid": os.getpid()})
while not os.path.exists("go"):
    signal.sigtimedwait((), 0.01)
readiness.ready()
readiness.ready()
signal.pause()
""")
    pid = running.note()["pid"]
    assert running.process.poll() is None
    (running.note_file.parent / "go").touch()
    assert running.ended() == (0, "", "")
    assert alive(pid)


def test_the_daemon_is_detached(command, tmp_path):
    running = command("""
os.umask(0)
readiness = daemonize(False)
blocked = [int(each) for each in signal.pthread_sigmask(signal.SIG_BLOCK, ())]
targets = [os.readlink(f"/proc/self/fd/{number}") for number in range(3)]
mask = os.umask(0)
note({"pid": os.getpid(), "sid": os.getsid(0), "ppid": os.getppid(), "targets": targets, "umask": mask,
      "cwd": os.getcwd(), "blocked": blocked, "fds": sorted(map(int, os.listdir("/proc/self/fd")))})
readiness.ready()
signal.pause()
""")
    assert running.ended()[0] == 0
    note = running.note()
    assert note["targets"] == ["/dev/null"] * 3
    assert (note["umask"], note["cwd"], note["blocked"]) == (0o22, str(tmp_path), [])
    assert note["sid"] not in (note["pid"], os.getsid(0))
    assert note["ppid"] not in (running.process.pid, os.getpid())
    assert len(note["fds"]) == 5  # the standard files, the line to the command, and this look


def test_outputs_that_are_no_terminals_stay_when_asked_to(command, tmp_path):
    master, terminal = os.openpty()
    with open(tmp_path / "out", "w") as out:
        running = command(
            """
readiness = daemonize(True)
note({"pid": os.getpid(), "targets": [os.readlink(f"/proc/self/fd/{number}") for number in range(3)]})
readiness.ready()
signal.pause()
""",
            stdout=out,
            stderr=terminal,
        )
        assert running.process.wait(10) == 0
        assert running.note()["targets"] == ["/dev/null", str(tmp_path / "out"), "/dev/null"]
    os.close(master)
    os.close(terminal)


def test_a_failure_travels_to_the_command_with_its_status(command):
    running = command("""
print("before", flush=False)
readiness = daemonize(False)
assert readiness.failed(4, "Error: no such app: sh\\udcffp\\n" + "x" * 200000 + "\\n")
assert not readiness.failed(5, "again")
""")
    status, out, err = running.ended()
    assert (status, out) == (4, "before\n")
    assert err == "Error: no such app: sh\\udcffp\n" + "x" * 200000 + "\n"


@pytest.mark.parametrize("fork_first", [False, True])
def test_a_daemon_that_dies_before_it_is_ready_is_a_failure(command, fork_first):
    """Also when a process that it has started holds the line open."""
    running = command(f"""
daemonize(False)
if {fork_first} and os.fork() == 0:
    note({{"pid": os.getpid()}})
    signal.pause()
while {fork_first} and not os.path.exists("note"):
    signal.sigtimedwait((), 0.01)
os.kill(os.getpid(), signal.SIGKILL)
""")
    status, _, err = running.ended()
    assert status == 1
    assert err.startswith("Error: daemon: the server ended before it was ready (pid ")
    assert err.endswith("); see its error log\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("polite", [True, False])
def test_a_signal_to_the_waiting_command_ends_the_daemon_too(command, number, polite):
    running = command(f"""
daemonize(False)
if not {polite}:
    signal.signal(signal.SIGINT, lambda *_: open("asked", "w").close())
note({{"pid": os.getpid()}})
while True:
    signal.sigtimedwait((), 0.01)
""")
    pid = running.note()["pid"]
    running.process.send_signal(number)
    if not polite:
        wait_until((running.note_file.parent / "asked").exists, "the daemon was asked to end")
        assert running.process.poll() is None
        assert alive(pid)
        running.process.send_signal(number)
    assert running.ended()[::2] == (128 + number, "")
    wait_until(lambda: not alive(pid), "the daemon ended")


def test_two_signals_at_once_to_the_waiting_command_end_the_daemon_by_force(command):
    running = command("""
daemonize(False)
signal.signal(signal.SIGINT, signal.SIG_IGN)
note({"pid": os.getpid()})
signal.pause()
""")
    pid = running.note()["pid"]
    running.process.send_signal(signal.SIGSTOP)
    running.process.send_signal(signal.SIGTERM)
    running.process.send_signal(signal.SIGHUP)
    running.process.send_signal(signal.SIGCONT)
    status, _, err = running.ended()
    assert (status in (128 + signal.SIGTERM, 128 + signal.SIGHUP), err) == (True, "")
    wait_until(lambda: not alive(pid), "the daemon ended")


def test_a_command_that_was_killed_does_not_hurt_the_daemon(command):
    running = command("""
readiness = daemonize(False)
note({"pid": os.getpid()})
while not os.path.exists("go"):
    signal.sigtimedwait((), 0.01)
readiness.ready()
os.rename("note", "ready")
note({"pid": os.getpid()})
signal.pause()
""")
    running.note()
    running.process.kill()
    running.process.wait()
    (running.note_file.parent / "go").touch()
    wait_until((running.note_file.parent / "ready").exists, "the daemon went on")
    running.note()  # the second one, by which it is ended


def test_of_nobody_tells_nobody():
    readiness = Readiness.of_nobody()
    readiness.ready()
    readiness.close_in_child()
    assert not readiness.failed(1, "text")
