"""What only the kernel can tell; a process and its own child, of the test's."""

import ctypes
import errno
import os
import signal
import sys

import pytest

from ostler.process import parent as parent_module
from ostler.process.fork import fork
from ostler.process.parent import adopt_orphans, hear_of_parents_end

WAIT_S = 20


def child_that_waits_for_its_parents_end(told, ready):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    parent = os.getppid()
    hear_of_parents_end()
    os.write(ready, b"!")
    heard = signal.sigtimedwait({signal.SIGCHLD}, WAIT_S)
    os.write(told, b"heard" if heard is not None and os.getppid() != parent else b"missed")
    os._exit(0)


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2)")
def test_a_child_hears_at_once_that_its_parent_has_died():
    heard, told = os.pipe()

    def parent():
        waiting, ready = os.pipe()
        fork(lambda: child_that_waits_for_its_parents_end(told, ready))
        os.read(waiting, 1)
        os._exit(0)

    pid = fork(parent)
    os.close(told)
    try:
        assert os.read(heard, 10) == b"heard"
        assert os.waitpid(pid, 0)[1] == 0
    finally:
        os.close(heard)


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2)")
def test_a_sandbox_without_prctl_is_named_with_its_cure_but_to_pid_1(monkeypatch):
    class Denied:
        @staticmethod
        def prctl(*_):
            ctypes.set_errno(errno.EPERM)
            return -1

    monkeypatch.setattr(parent_module.ctypes, "CDLL", lambda *_, **__: Denied)
    with pytest.raises(PermissionError, match=r"prctl\(2\) is denied .*; allow it in the sandbox .*preload_app off"):
        adopt_orphans()
    monkeypatch.setattr(parent_module.os, "getpid", lambda: 1)
    adopt_orphans()
