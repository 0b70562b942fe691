"""eventlet: a greenlet for each request, on eventlet's hub. Gunicorn has dropped this kind; eventlet is in maintenance.

`prepare` patches Python before the application is imported, after the hook post_fork, or in the mold. Patching makes a
hub, whose epoll a fork would share: each process throws away what it inherited, and its timers with it.

Editing rules: as workers/green.py. eventlet's documentation is the reference: eventlet.patcher, eventlet.hubs.
"""

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final, Self, cast

from ostler import real
from ostler.app.environ import Environ
from ostler.app.wsgi import Application, StartResponse
from ostler.drivers.waiting import Condition
from ostler.workers.base import Parts
from ostler.workers.green import Green, GreenWorker, patch_late, require

_LEAST: Final = (0, 36, 0)
"""The first for Python 3.12, of those that are maintained again."""


class EventletWorker(GreenWorker):
    """See the module's text."""

    @classmethod
    def prepare(cls) -> None:
        """See `Worker`. Again in each process that is forked from one that is prepared."""
        with warnings.catch_warnings():
            # That it is deprecated, and that it does not like forks: our documentation says both.
            warnings.simplefilter("ignore")
            require("eventlet", _LEAST)
            import eventlet
            from eventlet import hubs

            patch_late(eventlet.monkey_patch)
        hubs.use_hub()

    @classmethod
    def assemble(cls, parts: Parts) -> Self:
        """See `Worker`."""
        return super().assemble(replace(parts, application=_WithInput(cast(Application, parts.application))))

    def _library(self) -> Green:
        import eventlet

        waiting = _EventletWaiting()
        return Green(eventlet.spawn_n, waiting, _EventletWatch, forked=_leave_hub, park=lambda: None, soon=_soon)


_left_hubs: Final[list[object]] = []
"""Greenlets that wait in them would be ended, were they forgotten."""


def _leave_hub() -> None:
    """A process that is forked shares the hub's epoll, and would change what the worker waits for. What waited in the
    hub does not go on in there; the greenlet that forked gets a new one when it needs one.
    """
    from eventlet import hubs

    left: Any = hubs.get_hub()
    if sys.platform == "linux":
        left.poll = real.epoll()  # its own: else what is taken out of the hub here is taken out of the worker's, too
    _left_hubs.append(left)
    hubs.use_hub()


class _WithInput:
    """Sets `environ["eventlet.input"]`, by which Flask-SocketIO knows eventlet's server, for its client's socket."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["eventlet.input"] = _Input(environ["gunicorn.socket"])
        return self._application(environ, start_response)


class _Input:
    """What of eventlet.wsgi.Input others use."""

    def __init__(self, sock: object) -> None:
        self._sock = sock

    def get_socket(self) -> object:
        """The client's socket, from which nothing was taken yet."""
        return self._sock


def _soon(call: Callable[[], object]) -> None:
    from eventlet import hubs

    hubs.get_hub().schedule_call_global(0, call)


class _EventletWatch:
    """Always in the hub's poll."""

    def __init__(self, fd: int) -> None:
        from eventlet import getcurrent, hubs, sleep

        self._sleep: Any = sleep
        self._hub: Any = hubs.get_hub()
        self._main: Any = getcurrent()
        self._waits = False
        self._listener: Any = self._hub.add(self._hub.READ, fd, self._wake, self._main.throw, _nothing)

    def wait(self, timeout_s: float) -> None:
        """See `Watch`."""
        if timeout_s <= 0:
            self._sleep(0)
            return
        timer = self._hub.schedule_call_global(timeout_s, self._wake)
        self._waits = True
        try:
            self._hub.switch()
        finally:
            self._waits = False
            timer.cancel()

    def close(self) -> None:
        """See `Watch`."""
        self._hub.remove(self._listener)

    def _wake(self, _fd: int = -1) -> None:
        if self._waits:  # and not for something else
            self._main.switch()


def _nothing() -> None:
    """The hub takes the descriptor for closed, which it never is."""


class _Elapsed(Exception):
    """The time is over."""


class _EventletWaiting:
    """Greenlets wait in the hub."""

    def __init__(self) -> None:
        from eventlet import hubs

        self._trampoline: Any = hubs.trampoline

    def condition(self, lock: real.Lock) -> Condition:
        """See `Waiting`."""
        return _EventletCondition(lock)

    def readable(self, fd: int, timeout_s: float) -> None:
        """See `Waiting`."""
        with contextlib.suppress(_Elapsed):
            self._trampoline(fd, read=True, timeout=timeout_s, timeout_exc=_Elapsed)


class _EventletCondition:
    """The greenlet of an exchange waits; whoever notifies it runs in the same thread."""

    def __init__(self, lock: real.Lock) -> None:
        from eventlet import Timeout
        from eventlet.event import Event

        self._lock = lock
        self._event: Any = None
        self._make_event: Any = Event
        self._timeout: Any = Timeout

    def wait(self, timeout: float | None = None) -> bool:
        """See `Condition`."""
        self._event = event = self._make_event()  # each can be sent once
        self._lock.release()
        try:
            with self._timeout(timeout, False):
                event.wait()
            return bool(event.ready())
        finally:
            self._lock.acquire()

    def notify_all(self) -> None:
        """See `Condition`."""
        event, self._event = self._event, None
        if event is not None:
            event.send()
