"""Which tasks are cancelled when their time is up: app/task_deadline.py."""

import asyncio
import threading
from asyncio import Task
from collections.abc import Callable
from typing import Any

import anyio.to_thread
import pytest

from ostler import real
from ostler.app.deadline import Deadline, Limits
from ostler.app.task_deadline import TaskDeadline
from ostler.http import limits as http_limits
from ostler.http.parse import parse_head

HEAD = parse_head(b"GET /a HTTP/1.1\r\nHost: x", http_limits.Limits())


class Watch:
    """Nobody's."""

    def __init__(self) -> None:
        self.lock = real.make_lock()
        self.limits = Limits(10, 0, {})

    def begin(self, deadline: Deadline) -> None: ...

    def moved(self, deadline: Deadline) -> None: ...

    def forget(self, deadline: Deadline) -> None: ...


class Call:
    """One task."""

    def __init__(self, task: "Task[Any]") -> None:
        self.task = task

    def expire(self) -> bool:
        return True

    def tasks(self) -> "list[Task[Any]]":
        return [] if self.task.done() else [self.task]


async def in_pool(block: Callable[[], object], abandon: bool) -> None:
    await anyio.to_thread.run_sync(block, abandon_on_cancel=abandon)


@pytest.mark.parametrize("abandon", [False, True])
def test_a_thread_of_the_pool_keeps_its_place_until_it_comes_back(abandon: bool) -> None:
    gate, began = threading.Event(), threading.Event()

    def block() -> None:
        began.set()
        gate.wait(10)

    async def main() -> None:
        task = asyncio.create_task(in_pool(block, abandon))
        deadline = TaskDeadline(Watch(), Call(task), in_pool.__code__, HEAD, 10)
        while not began.is_set():
            await asyncio.sleep(0)
        assert "in in_pool" in deadline.stack()
        assert deadline.interrupt() is abandon
        gate.set()
        if abandon:
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            await task

    asyncio.run(main())


def test_who_waits_for_something_else_is_cancelled() -> None:
    async def main() -> None:
        task = asyncio.create_task(asyncio.sleep(10))
        await asyncio.sleep(0)
        assert TaskDeadline(Watch(), Call(task), main.__code__, HEAD, 10).interrupt()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
