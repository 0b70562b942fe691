"""Deadlines of calls that are tasks of an event loop: those of ASGI's and tornado's applications.

All of it happens in one thread: the watchdog looks while the task waits for something. So nothing is seized: the call
answers its client with 504 (or breaks its response off) as it would with any other error, and its task is cancelled.

A task that waits for a thread of anyio (Starlette's run_in_threadpool, FastAPI's `def` endpoints) is not: that would
give the thread's place to the next request while the thread goes on, and behind a slow database they would become more
and more.

Rules for editing: as asgi_live.py.
"""

from asyncio import AbstractEventLoop, Task, all_tasks
from collections.abc import Iterable
from math import inf
from time import monotonic as _monotonic
from types import CodeType, FrameType
from typing import Any, Final, Protocol

from ostler.app.deadline import Deadline, Watch
from ostler.http.head import RequestHead

_SHOWN_FRAMES: Final = 60
_PARTS: Final = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))
"""Of coroutines, generators and asynchronous generators: the frame, and what it waits for (inspect)."""


class Expiring(Protocol):
    """A call, as its deadline sees it."""

    def expire(self) -> bool:
        """Answer with 504; False: it was too late, and the response is broken off."""

    def tasks(self) -> Iterable["Task[Any]"]:
        """What still runs of it."""


class TaskDeadline(Deadline):
    """See the module's text."""

    __slots__ = ("_expiring", "_origin")

    holds_client = False

    def __init__(self, watch: Watch, call: Expiring, origin: CodeType, head: RequestHead, limit_s: float) -> None:
        """It begins now. `origin`: what of ours calls the application, for who reads the stack."""
        super().__init__(watch, head, limit_s, watch.limits.margin_s(limit_s), _monotonic())
        self._expiring = call
        self._origin = origin

    def seize(self, now: float) -> bool:
        """See `Deadline`. Without the lock: to answer is to end the call, which takes it."""
        return self._seize(now)

    def _answer(self, silent: bool) -> bool:
        return self._expiring.expire()

    def stack(self) -> str:
        """See `Deadline`."""
        return "".join(stack_of_task(task, self._origin) for task in self._expiring.tasks())

    def interrupt(self) -> bool:
        """See `Deadline`."""
        everywhere = True
        for task in self._expiring.tasks():
            if _waits_for_thread(task):
                everywhere = False
            else:
                task.cancel()
        return everywhere


def limit(watch: Watch, call: Expiring, origin: CodeType, head: RequestHead) -> TaskDeadline | None:
    """Watch over a call that begins now; None: its path has no limit. `origin`: see `TaskDeadline`."""
    limit_s = watch.limits.of(head.path)
    if limit_s == inf:
        return None
    deadline = TaskDeadline(watch, call, origin, head, limit_s)
    watch.begin(deadline)
    return deadline


def tasks_of(owners: Iterable[object], loop: AbstractEventLoop) -> "list[Task[Any]]":
    """Those whose coroutines are methods of these objects."""
    owners = list(owners)
    return [task for task in all_tasks(loop) if any(_self_of(task) is owner for owner in owners)]


def _self_of(task: "Task[Any]") -> object:
    frame = getattr(task.get_coro(), "cr_frame", None)
    return None if frame is None else frame.f_locals.get("self")


def stack_of_task(task: "Task[Any]", origin: CodeType) -> str:
    """As faulthandler writes it, down to what the coroutine waits for: `Task.get_stack` shows the outermost only."""
    frames = _frames(task)
    places = [(origin, origin.co_firstlineno), *((each.f_code, each.f_lineno) for each in frames)]
    lines = [f'  File "{code.co_filename}", line {line} in {code.co_name}' for code, line in places]
    return "\n".join(["Task (most recent call first):", *reversed(lines)]) + "\n" if frames else ""


def _frames(task: "Task[Any]") -> list[FrameType]:
    """The outermost first."""
    frames: list[FrameType] = []
    awaited: Any = task.get_coro()
    while awaited is not None and len(frames) < _SHOWN_FRAMES:
        frame, awaited = _part(awaited)
        if frame is not None:
            frames.append(frame)
    return frames


def _waits_for_thread(task: "Task[Any]") -> bool:
    return any(
        frame.f_globals.get("__name__") == "anyio.to_thread" and not frame.f_locals.get("abandon_on_cancel")
        for frame in _frames(task)
    )


def _part(awaited: Any) -> tuple[FrameType | None, Any]:
    for frame, after in _PARTS:
        if hasattr(awaited, frame):
            return getattr(awaited, frame), getattr(awaited, after)
    return None, None
