"""Gunicorn's control commands, as its `gunicornc` sends them: the same words, and the keys that it prints.

    show all | workers | dirty | config | stats | listeners     worker add [N] | remove [N] | kill PID
    dirty add [N] | remove [N]     reload     reopen     shutdown [graceful | quick]     help

Answers come at once: `reload` begins one, and does not wait as `ostler reload` does. Besides Gunicorn's keys there are
ours, of insight.py; `status`, `slow`, and `stacks` are ours too.

Rules for editing: keys and words of Gunicorn's are facts and stay; what cannot be done raises Refused with a reason.
"""

import os
import signal
from collections.abc import Callable, Sequence
from typing import Any, Final

from ostler.process.listeners import Listener
from ostler.roles.insight import Data, Insight
from ostler.roles.perform import Performer
from ostler.supervisor.events import CapacityAsked, Event, WorkerAsksToRetire
from ostler.supervisor.handle import State

_NO_DIRTY: Final = "dirty arbiters are not built yet in this version of Ostler"
_SHOWN: Final = (
    "bind", "workers", "worker_class", "threads", "timeout", "graceful_timeout", "keepalive", "max_requests",
    "max_requests_jitter", "worker_connections", "preload_app", "daemon", "pidfile", "proc_name", "reload",
    "control_socket", "control_socket_disable",
)  # fmt: skip
COMMANDS: Final = {
    "show all": "the master and every worker",
    "show workers": "the workers, with what they do",
    "show dirty": "dirty workers (not built yet)",
    "show config": "the settings that count most",
    "show stats": "numbers of the whole server",
    "show listeners": "the listening sockets",
    "worker add [N]": "N workers more, one unless given (TTIN)",
    "worker remove [N]": "N workers less, one unless given (TTOU)",
    "worker kill PID": "replace this worker, which finishes what it serves",
    "dirty add [N]": "not built yet",
    "dirty remove [N]": "not built yet",
    "reload": "begin a reload (HUP); `ostler reload` waits for its end",
    "reopen": "open the logs again (USR1)",
    "shutdown [graceful|quick]": "stop the server (TERM or INT)",
    "status": "how the server is doing",
    "slow": "the longest requests that run, and the slowest ones lately",
    "stacks [PID]": "the stacks of all processes, or of one",
    "help": "this list",
}


class Refused(Exception):
    """The text says why; for the one who asked."""


class GunicornCommands:
    """Those that answer at once."""

    def __init__(
        self,
        insight: Insight,
        performer: Performer,
        tell: Callable[[Event], None],
        answer_signal: Callable[[int], None],
        control_socket: Callable[[], str | None],
    ) -> None:
        """tell: gives the supervisor a fact. answer_signal: as if that signal had come."""
        self._insight = insight
        self._performer = performer
        self._tell = tell
        self._answer_signal = answer_signal
        self._control_socket = control_socket

    def do(self, words: Sequence[str]) -> Data:
        """Raises Refused."""
        match [words[0].lower(), *words[1:]]:
            case ["show", *rest]:
                return self._show(rest)
            case ["worker", *rest]:
                return self._worker(rest)
            case ["dirty", "add" | "remove", *_]:
                return {"success": False, "error": _NO_DIRTY}
            case ["dirty", *_]:
                raise Refused(f"expected dirty add or dirty remove; {_NO_DIRTY}")
            case ["status"]:
                return self._insight.status()
            case ["slow"]:
                return self._insight.slow()
            case ["help", *_]:
                return {"commands": COMMANDS}
            case ["reload" | "reopen" | "shutdown" as order, *rest]:
                return self._signal(order, rest)
            case _:
                raise Refused(f"Unknown command: {' '.join(words)}; help lists what there is")

    def _signal(self, order: str, rest: Sequence[str]) -> Data:
        """What a signal does, too."""
        match [order, *rest]:
            case ["reload"]:
                self._answer_signal(signal.SIGHUP)
                return {"status": "reloading"}
            case ["reopen"]:
                self._answer_signal(signal.SIGUSR1)
                return {"status": "reopening"}
            case ["shutdown"] | ["shutdown", "graceful"]:
                self._answer_signal(signal.SIGTERM)
                return {"status": "shutting_down", "mode": "graceful"}
            case ["shutdown", "quick"]:
                self._answer_signal(signal.SIGINT)
                return {"status": "shutting_down", "mode": "quick"}
            case _:
                expected = "graceful or quick" if order == "shutdown" else "nothing"
                raise Refused(f"{order}: expected {expected} behind it, got {' '.join(rest)}")

    def _show(self, rest: Sequence[str]) -> Data:
        match [word.lower() for word in rest]:
            case ["all"]:
                return self._all()
            case ["workers"]:
                rows = self._workers()
                return {"workers": rows, "count": len(rows)}
            case ["dirty"]:
                return {"enabled": False, "pid": None, "workers": [], "apps": [], "reason": _NO_DIRTY}
            case ["config"]:
                return self._config()
            case ["stats"]:
                return self._stats()
            case ["listeners"]:
                rows = [*map(_listener, self._performer.newest().listeners.all())]
                return {"listeners": rows, "count": len(rows)}
            case _:
                raise Refused("show: expected all, workers, dirty, config, stats or listeners")

    def _workers(self) -> list[Data]:
        states = {handle.pid: handle.state for handle, _ in self._insight.handles()}
        rows = []
        for row in self._insight.workers()["workers"]:
            if row["pid"] is None:
                continue
            state = states[row["pid"]]
            booted = state is not State.BOOTING
            beat = row["silent_s"] if booted else None
            aborted = state in (State.ABORTED, State.KILLED)
            rows.append({**row, "booted": booted, "aborted": aborted, "last_heartbeat": beat})
        return sorted(rows, key=lambda row: int(row["age"]))

    def _all(self) -> Data:
        workers = [{**row, "type": "web"} for row in self._workers()]
        return {
            "arbiter": {"pid": os.getpid(), "type": "arbiter", "role": "master"},
            "web_workers": workers,
            "web_worker_count": len(workers),
            "molds": self._insight.status()["molds"],
            "dirty_arbiter": None,
            "dirty_workers": [],
            "dirty_worker_count": 0,
        }

    def _stats(self) -> Data:
        status = self._insight.status()
        live = sum(not handle.is_mold for handle, _ in self._insight.handles())
        spawned = self._insight.spawned
        ours = ("state", "requests", "requests_per_s", "errors", "in_flight", "busy_share", "shed", "degraded")
        return {
            "uptime": round(self._insight.uptime_s, 2),
            "pid": os.getpid(),
            "workers_current": live,
            "workers_target": status["workers"]["goal"],
            "workers_spawned": spawned,
            "workers_killed": spawned - live,
            "reloads": self._insight.reloads,
            "dirty_arbiter_pid": None,
            **{name: status[name] for name in ours},
        }

    def _config(self) -> Data:
        settings = self._performer.serving.settings
        values: dict[str, Any] = {name: _plain(getattr(settings, name)) for name in _SHOWN}
        values["control_socket"] = self._control_socket() or values["control_socket"]
        return {**values, "dirty_workers": 0, "dirty_apps": [], "dirty_timeout": None}

    def _worker(self, rest: Sequence[str]) -> Data:
        match [word.lower() for word in rest]:
            case ["add"]:
                return self._change(1)
            case ["add", number]:
                return self._change(max(1, _number(number)))
            case ["remove"]:
                return self._change(-1)
            case ["remove", number]:
                return self._change(-max(1, _number(number)))
            case ["kill", pid]:
                return self._kill(_number(pid))
            case ["kill"]:
                raise Refused("worker kill: expected the process ID of a worker")
            case _:
                raise Refused("worker: expected add [N], remove [N] or kill PID")

    def _change(self, by: int) -> Data:
        """As Gunicorn's: one worker is the least; and as many as are possible."""
        _, former, _ = self._insight.condition()
        if by < 0:
            by = max(by, 1 - former)
        if by:
            self._tell(CapacityAsked(by))
        _, total, _ = self._insight.condition()
        if by and total == former:
            raise Refused(f"{former} workers it stays: {self._insight.last_incident()}")
        return {"added" if by > 0 else "removed": abs(total - former), "previous": former, "total": total}

    def _kill(self, pid: int) -> Data:
        if all(handle.pid != pid or handle.is_mold for handle, _ in self._insight.handles()):
            return {"success": False, "error": f"Worker {pid} not found"}
        self._tell(WorkerAsksToRetire(pid, "signal"))
        return {"success": True, "killed": pid}


def _listener(listener: Listener) -> Data:
    family = listener.socket.family.name
    kind = {"AF_UNIX": "unix", "AF_INET": "tcp", "AF_INET6": "tcp6"}.get(family, "unknown")
    queue = listener.queue()
    waiting, backlog = (None, None) if queue is None else queue
    return {"address": listener.name, "fd": listener.fd, "type": kind, "waiting": waiting, "backlog": backlog}


def _number(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise Refused(f"Invalid argument: expected a number, got {word!r}") from None


def _plain(value: object) -> object:
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, list | tuple):
        return [str(each) for each in value]
    return str(value)
