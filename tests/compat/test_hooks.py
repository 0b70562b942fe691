"""The hooks of a configuration file: each runs in its process with its arguments, once there is a reason for it."""

import signal
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.compat.conftest import begin
from tests.compat.covering import covers_each
from tests.compat.rows import Hook
from tests.compat.surface import HOOKS
from tests.integration.harness import Server
from tests.integration.processes import kill
from tests.integration.waiting import wait_until

NOTE = """
import os

def note(hook, *arguments):
    with open("HOME/hooks", "a") as file:
        file.write(f"{os.getpid()} {hook} {' '.join(map(str, arguments))}\\n")
"""
SHOWN = {
    "server": "server.pid",
    "worker": "type(worker.pid).__name__, worker.age",
    "req": "req.method, req.path",
    "environ": "environ['PATH_INFO']",
    "resp": "resp.status",
    "new_value": "new_value",
    "old_value": "old_value",
}
"""Argument -> what a hook notes of it: an argument of the wrong kind would raise."""

HERE = [hook for hook in HOOKS if not hook.refused and hook.name not in ("pre_exec", "ssl_context")]


def config() -> str:
    text = NOTE
    for hook in HERE:
        noted = ", ".join(SHOWN[name] for name in hook.arguments.split(", "))
        text += f"def {hook.name}({hook.arguments}):\n    note({hook.name!r}, {noted})\n\n"
    return text


@dataclass
class History:
    """What the hooks noted in the life of one server that meets everything."""

    master: int
    workers: set[int]
    notes: dict[str, list[tuple[int, str]]]
    """Hook -> (pid, what it was given)."""


@pytest.fixture(scope="module")
def history() -> Iterator[History]:
    server = Server()
    begin(server, config=config())
    try:
        workers = set(server.wait_ready(1))
        assert server.get("/bytes/3").status == 200
        for number, to_worker in (
            (signal.SIGHUP, False),
            (signal.SIGTTIN, False),
            (signal.SIGINT, True),
            (signal.SIGABRT, True),
        ):
            since = server.log_end()
            kill(max(server.worker_pids()) if to_worker else server.master, number)
            workers |= set(server.wait_ready(1, since))
            count = 1 if number == signal.SIGHUP else 2
            wait_until(lambda count=count: len(server.worker_pids()) == count, "the old worker is gone")  # type: ignore[misc]
        assert server.stop() == 0
        notes: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for line in server.notes("hooks"):
            pid, hook, *rest = line.split(" ", 2)
            notes[hook].append((int(pid), rest[0] if rest else ""))
        yield History(server.master, workers, notes)
    finally:
        server.kill_leftovers()
        server.hang_up()
        server.remove()


EXPECTED = {
    "pre_request": "GET /bytes/3",
    "post_request": "/bytes/3 200 OK",
    "nworkers_changed": "1 None",
    "pre_fork": "str 1",  # not forked yet: Gunicorn says "[booting]"
}
"""Hook -> what the first call noted, in part."""


@covers_each(HERE)
@pytest.mark.parametrize("hook", HERE, ids=lambda hook: hook.name)
def test_a_hook_runs_in_its_process_with_its_arguments(history: History, hook: Hook) -> None:
    calls = history.notes[hook.name]
    assert calls, "it was never called"
    pids = {pid for pid, _ in calls}
    assert pids == {history.master} if hook.process == "master" else pids <= history.workers
    first = calls[0][1]
    assert EXPECTED.get(hook.name, "") in first
    if hook.arguments.startswith("server"):
        assert first.startswith(str(history.master))
    if "worker" in hook.arguments:
        assert hook.name in EXPECTED or "int " in first
