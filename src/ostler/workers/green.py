"""What gevent and eventlet have in common: a greenlet for each exchange, and one, the main one, that turns the loop.

The whole reactor is one descriptor to the hub, so clients, deadlines and drains are those of every other kind, and a
greenlet runs nothing but the application. While it waits for its client (a slow reader, a body that streams) the hub
runs others. The turns are the heartbeat: a greenlet that never lets go of the processor is a hang.

A process that the application forks (multiprocessing) has all greenlets, the main one too. It must not be a second copy
of the worker, which would take clients, and orders of the master, from the first: see `_disown`.

Editing rules: no library is named here, and none is imported. Nothing that may wait runs inside `turn`.
"""

import contextlib
import gc
import logging
import os
import ssl
import sys
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from types import FrameType, ModuleType
from typing import Any, Final, NoReturn, Protocol, Self

from ostler import real
from ostler.app.deadline import Deadline
from ostler.drivers.hosted import Hosted
from ostler.drivers.live import Live
from ostler.drivers.waiting import Waiting
from ostler.errors import BootError, RequestTimeout
from ostler.logline import fields
from ostler.workers.base import Parts, Worker
from ostler.workers.foreign import Runner
from ostler.workers.places import in_application

_KNOWING: Final = ("eventlet", "gevent", "ssl")
"""Who has the classes as they were, and means it."""

_SHOWN_GREENLETS: Final = 8
_SHOWN_FRAMES: Final = 20

_log: Final = logging.getLogger("gunicorn.error")


class Watch(Protocol):
    """A descriptor that the hub watches for the main greenlet, which made it."""

    def wait(self, timeout_s: float) -> None:
        """Let other greenlets run, once at least, until it is readable or the time is over."""

    def close(self) -> None:
        """Let the hub forget the descriptor."""


@dataclass(frozen=True, slots=True)
class Green:
    """What a library brings."""

    spawn: Callable[..., object]
    """spawn(function, *arguments): in a greenlet, soon."""
    waiting: Waiting
    """How greenlets wait for their clients."""
    watch: Callable[[int], Watch]
    """From a descriptor."""
    forked: Callable[[], object]
    """In a process that the application has forked, at once: what of the hub it must not share."""
    park: Callable[[], object]
    """There, in the main greenlet: let others run as long as there are any. May raise."""
    soon: Callable[[Callable[[], object]], object]
    """Call it in the hub, where it may switch to a greenlet that waits. In the main greenlet."""


class GreenWay:
    """A call in a greenlet (timed.Way). All of it happens in one thread, while that greenlet waits."""

    title = "Greenlet"

    def __init__(self, soon: Callable[[Callable[[], object]], object]) -> None:
        from greenlet import getcurrent

        self._here: Callable[[], Any] = getcurrent
        self._soon = soon

    def enter(self, _deadline: Deadline) -> Any:
        """See `Way`."""
        return self._here()

    def frame(self, place: Any) -> FrameType | None:
        """See `Way`."""
        found: FrameType | None = place.gr_frame
        return found

    def interrupt(self, deadline: Deadline, place: Any) -> bool:
        """See `Way`."""

        def throw() -> None:
            if not (deadline.left or deadline.interrupted) and in_application(place.gr_frame):
                deadline.interrupted = True
                place.throw(RequestTimeout(deadline.reason))

        self._soon(throw)
        return deadline.interrupted

    def calm(self, _place: Any) -> None:
        """See `Way`: what is thrown is there at once."""


class GreenWorker(Worker):
    """A kind whose hub runs one greenlet at a time."""

    multithread = True
    renews_loop = True
    has_only_threads = False
    goes_on_in_forks = True

    def __init__(self, parts: Parts) -> None:
        self._green = self._library()
        self._hosted = Hosted(
            start=self._start,
            streams=False,
            rows=parts.rows,
            doors=parts.make_doors(lambda: True),
            waiting=self._green.waiting,
            **parts.loop,
        )
        super().__init__(self._hosted)
        self._serves = False
        self._run = parts.wsgi_runner(lambda: GreenWay(self._green.soon))
        self._log = parts.log

    @classmethod
    def assemble(cls, parts: Parts) -> Self:
        """See `Worker`."""
        return cls(parts)

    def serve(self) -> None:
        """See `Worker`."""
        hosted = self._hosted
        watch = self._green.watch(hosted.fileno())
        self._serves = True
        os.register_at_fork(after_in_child=self._disown)
        while not hosted.finished:
            try:
                watch.wait(hosted.patience())
                if not self._serves:
                    self._sit_out(watch)
                hosted.turn()
            except (SystemExit, KeyboardInterrupt) as error:
                # Hubs throw these at the main greenlet. In a thread they would end nothing but the thread.
                text = "a greenlet of the application raised it outside of any request; the worker serves on"
                self._log.warning(fields(text, error=type(error).__name__))
        self._serves = False
        watch.close()

    def _disown(self) -> None:
        """In a process that the application forks: no client hears of what greenlets of other requests do there."""
        if not self._serves:
            return
        self._serves = False
        dead, end = real.pair()
        end.close()
        for fd in self._hosted.clients.descriptors():
            os.dup2(dead.fileno(), fd, inheritable=False)
        dead.close()
        self._green.forked()

    def _sit_out(self, watch: Watch) -> NoReturn:
        """There, in the main greenlet. It ends the process when nothing of the application is left."""
        watch.close()
        with contextlib.suppress(BaseException):
            self._green.park()
        os._exit(0)

    def hurry(self, within_s: float) -> bool:
        """See `Worker`: hooks and atexit functions run in the main greenlet, whose waiting lets others run."""
        self._hosted.finish()
        return True

    @classmethod
    def stacks(cls) -> str:
        """See `Worker`; as faulthandler writes them. What a mold's import had frozen is not among them."""
        if "greenlet" not in sys.modules:
            return ""
        from greenlet import getcurrent, greenlet

        root = getcurrent()
        while root.parent is not None:
            root = root.parent
        found = {each for each in gc.get_objects() if issubclass(type(each), greenlet)} | {root}
        frames = [frame for each in found if (frame := each.gr_frame) is not None]
        waiting = [frame for frame in frames if not _is_ours(frame)]
        more = len(waiting) - _SHOWN_GREENLETS
        shown = "".join(map(_stack, waiting[:_SHOWN_GREENLETS]))
        return shown + (f"{more} more greenlets wait\n" if more > 0 else "")

    def _start(self, live: Live) -> None:
        self._green.spawn(serve_exchange, self._run, live)

    @abstractmethod
    def _library(self) -> Green:
        """After `prepare`, and after the last fork."""


def serve_exchange(run: Runner, live: Live) -> None:
    """In a greenlet of its own: the application, and what comes after it."""
    try:
        run(live.client, live.row)
    finally:
        live.finish()


def _is_ours(frame: FrameType) -> bool:
    """The hub's, or that of `serve`, which waits for work."""
    outer = frame
    while outer.f_back is not None:
        if outer.f_back.f_code is GreenWorker.serve.__code__:
            return True
        outer = outer.f_back
    return outer.f_globals.get("__name__") in ("eventlet.hubs.hub", "gevent.hub")


def _stack(frame: FrameType | None) -> str:
    lines = ["Greenlet (most recent call first):"]
    while frame is not None and len(lines) <= _SHOWN_FRAMES:
        lines.append(f'  File "{frame.f_code.co_filename}", line {frame.f_lineno} in {frame.f_code.co_name}')
        frame = frame.f_back
    return "\n".join(lines) + "\n"


def require(package: str, least: tuple[int, ...]) -> None:
    """Refuse to boot without a package, or with one that is too old.

    Raises:
        BootError: with the cure.
    """
    wanted = ".".join(map(str, least))
    cure = f'pip install "ostler[{package}]"'
    try:
        import_module(package)
        found = version(package)
    except ImportError as error:
        text = f"worker_class: {package} needs the package {package}, {wanted} or newer ({error}); {cure}"
        raise BootError(text) from None
    numbers = tuple(int(part) for part in found.split(".")[: len(least)] if part.isdecimal())
    if numbers < least:
        raise BootError(f"worker_class: expected the package {package} {wanted} or newer, found {found}; {cure}")


def patch_late(patch: Callable[[], object]) -> None:
    """Patch Python, also for modules that took classes out of `ssl` before: a configuration file's `import requests`.

    They would go on with the class as it was, whose methods find the patched one by its name, and recurse for ever.
    """
    before = dict(vars(ssl))
    patch()
    replaced = {id(old): new for name, old in before.items() if (new := getattr(ssl, name, old)) is not old}
    if not replaced:
        return
    for name, module in list(sys.modules.items()):
        if isinstance(module, ModuleType) and name.partition(".")[0] not in _KNOWING:
            for attribute, value in list(vars(module).items()):
                if id(value) in replaced:
                    setattr(module, attribute, replaced[id(value)])
    derived = [
        f"{each.__module__}.{each.__qualname__}"
        for each in before["SSLContext"].__subclasses__()
        if each.__module__.partition(".")[0] not in _KNOWING
    ]
    if derived:
        text = "classes were derived from ssl.SSLContext before Python was patched, and may not work"
        cure = "patch in the first lines of the configuration file"
        _log.warning(fields(text, classes=",".join(derived), cure=cure))
