"""process/pid_one.py: the shells that swallow TERM, and those that are none of our business."""

import os
import signal

import pytest

from ostler.process import pid_one
from ostler.process.pid_one import heed_stops, shell_above


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["/bin/sh", "-c", "ostler app:app"], "sh"),
        (["bash", "-ec", "ostler app:app"], "bash"),
        (["/bin/sh", "/entrypoint.sh"], "sh"),
        (["/bin/bash", "--norc", "/entrypoint.sh", "serve"], "bash"),
        (["/bin/busybox", "sh", "-c", "ostler app:app"], "busybox"),
        (["bash"], None),
        (["-bash"], None),
        (["/bin/bash", "-i", "-l"], None),
        (["/bin/bash", "--rcfile"], None),
        (["/sbin/tini", "--", "ostler"], None),
        (["/usr/bin/python", "run.py"], None),
        ([], None),
    ],
)
def test_shells_that_do_not_pass_term_on(tmp_path, monkeypatch, command, expected):
    monkeypatch.setattr(pid_one, "_getppid", lambda: 1)
    (tmp_path / "proc/1").mkdir(parents=True)
    (tmp_path / "proc/1/cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in command))
    assert shell_above(str(tmp_path)) == expected


def test_a_shell_that_is_not_pid_1_dies_with_its_terminal_and_is_no_news(tmp_path, monkeypatch):
    monkeypatch.setattr(pid_one, "_getppid", lambda: 4242)
    assert shell_above(str(tmp_path)) is None
    monkeypatch.setattr(pid_one, "_getppid", lambda: 1)
    assert shell_above(str(tmp_path)) is None, "no /proc"


def test_only_pid_1_has_to_be_told_what_term_means(monkeypatch):
    installed = {}
    monkeypatch.setattr(pid_one.signal, "signal", installed.__setitem__)
    monkeypatch.setattr(pid_one.signal, "getsignal", lambda number: signal.SIG_DFL)
    heed_stops()
    assert installed == {}
    monkeypatch.setattr(pid_one, "_getpid", lambda: 1)
    heed_stops()
    assert set(installed) == {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}


def test_handlers_of_an_embedder_are_left_alone(monkeypatch):
    monkeypatch.setattr(pid_one, "_getpid", lambda: 1)
    monkeypatch.setattr(pid_one.signal, "getsignal", lambda number: signal.SIG_IGN)
    monkeypatch.setattr(pid_one.signal, "signal", lambda *_: pytest.fail("it was replaced"))
    heed_stops()


def test_the_end_before_the_start_has_status_0(monkeypatch):
    left, said = [], []
    monkeypatch.setattr(pid_one, "_leave", left.append)
    monkeypatch.setattr(pid_one, "_write", lambda fd, text: said.append((fd, text)))
    pid_one._end(signal.SIGTERM, None)
    assert left == [0]
    assert said == [(2, b"stopped before the server was started signal=SIGTERM\n")]
    assert os.getpid() != 1
