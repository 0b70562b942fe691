"""gevent: a greenlet for each request, on gevent's hub.

`prepare` patches Python before the application is imported, as Gunicorn does: after the hook post_fork, or in the mold.
A worker that a mold (or a patched master) has forked makes the inherited hub its own, if there is one.

Editing rules: as workers/green.py. gevent's documentation is the reference: gevent.monkey, gevent.hub.
"""

import contextlib
import warnings
from collections.abc import Callable
from typing import Any, Final

from ostler import real
from ostler.drivers.waiting import Condition
from ostler.workers.green import Green, GreenWorker, patch_late, require

_LEAST: Final = (24, 10, 1)
"""The first for Python 3.13; what Gunicorn asks for, too."""
_READ: Final = 1
"""libev's EV_READ; gevent has no name for it."""


class GeventWorker(GreenWorker):
    """See the module's text."""

    keeps_threads = True

    @classmethod
    def prepare(cls) -> None:
        """See `Worker`. Again in each process that is forked from one that is prepared."""
        require("gevent", _LEAST)
        import gevent
        from gevent import monkey

        with warnings.catch_warnings():
            # Of a process that was patched otherwise before: the union counts, which is what is wanted.
            warnings.filterwarnings("ignore", "Patching more than once", monkey.MonkeyPatchWarning)
            # `patch_late` sees to it, and says what it could not.
            warnings.filterwarnings("ignore", "Monkey-patching ssl after", monkey.MonkeyPatchWarning)
            patch_late(monkey.patch_all)
        gevent.reinit()

    def _library(self) -> Green:
        import gevent

        return Green(gevent.spawn, _GeventWaiting(), _GeventWatch, forked=lambda: None, park=_park, soon=_soon)


def _soon(call: Callable[[], object]) -> None:
    import gevent

    gevent.get_hub().loop.run_callback(call)


def _park() -> None:
    """gevent gives a process that is forked its hub's loop anew. Raises LoopExit when nothing is left in it."""
    import gevent
    from gevent.hub import Waiter

    Waiter(gevent.get_hub()).get()


class _GeventWatch:
    """Always in the hub's poll: 48 us of CPU for a lone request, and 66 with a `wait_read` for each turn."""

    def __init__(self, fd: int) -> None:
        import gevent
        from gevent.hub import Waiter

        hub = gevent.get_hub()
        self._sleep: Any = gevent.sleep
        self._timer: Any = hub.loop.timer
        self._waiter: Any = Waiter(hub)
        self._io: Any = hub.loop.io(fd, _READ)
        self._io.start(self._waiter.switch, None)

    def wait(self, timeout_s: float) -> None:
        """See `Watch`."""
        waiter = self._waiter
        waiter.clear()  # of what came while the main greenlet waited for something else
        if timeout_s <= 0:
            self._sleep(0)
            return
        with self._timer(timeout_s) as timer:
            timer.start(waiter.switch, None)
            waiter.get()

    def close(self) -> None:
        """See `Watch`."""
        self._io.stop()
        self._io.close()


class _Elapsed(Exception):
    """The time is over."""


class _GeventWaiting:
    """Greenlets wait in the hub."""

    def __init__(self) -> None:
        from gevent.event import Event
        from gevent.socket import wait_read

        self._event: Any = Event
        self._wait_read: Any = wait_read

    def condition(self, lock: real.Lock) -> Condition:
        """See `Waiting`."""
        return _GeventCondition(lock, self._event())

    def readable(self, fd: int, timeout_s: float) -> None:
        """See `Waiting`."""
        with contextlib.suppress(_Elapsed):
            self._wait_read(fd, timeout_s, _Elapsed())


class _GeventCondition:
    """The greenlet of an exchange waits; whoever notifies it runs in the same thread."""

    def __init__(self, lock: real.Lock, event: Any) -> None:
        self._lock = lock
        self._event = event

    def wait(self, timeout: float | None = None) -> bool:
        """See `Condition`."""
        self._event.clear()
        self._lock.release()
        try:
            return bool(self._event.wait(timeout))
        finally:
            self._lock.acquire()

    def notify_all(self) -> None:
        """See `Condition`."""
        self._event.set()
