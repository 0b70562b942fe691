"""Waiting for the end of a process that is not our child: by a pidfd (pidfd_open(2)), else by looking again and again.

Rules for editing: opened before the process is told to end, so that another one of its number is not waited for.
"""

import os
import select
from time import monotonic as _monotonic
from typing import Final

from ostler import real

_LOOK_MS: Final = 50

_Poll = real.poll
_kill = os.kill


class Ending:
    def __init__(self, pid: int, timeout_s: float | None) -> None:
        """pid: 0 is not known yet. timeout_s: None is for ever; from now on."""
        self._until = float("inf") if timeout_s is None else _monotonic() + timeout_s
        self._pid = pid
        self._fd = _opened(pid)

    def waited(self, pid: int) -> bool:
        """Whether it is gone in time. pid: the process that was told, where it was not known before; 0: it cannot be
        seen, and whoever told it has to be believed.
        """
        if not self._pid:
            self._pid, self._fd = pid, _opened(pid)
        if not self._pid:
            return True
        try:
            while not self._gone():
                left = self._until - _monotonic()
                if left <= 0:
                    return False
                self._wait(left)
            return True
        finally:
            if self._fd is not None:
                os.close(self._fd)

    def _gone(self) -> bool:
        if self._fd is not None:
            return bool(_polled(self._fd, 0))
        try:
            _kill(self._pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            pass
        return False

    def _wait(self, left_s: float) -> None:
        if self._fd is None:
            _Poll().poll(min(left_s * 1000, _LOOK_MS))
        else:
            _polled(self._fd, None if left_s == float("inf") else left_s * 1000)


def _opened(pid: int) -> int | None:
    if not pid:
        return None
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # no Linux; or it is gone
        return None


def _polled(fd: int, timeout_ms: float | None) -> list[tuple[int, int]]:
    poller = _Poll()
    poller.register(fd, select.POLLIN)
    return poller.poll(timeout_ms)
