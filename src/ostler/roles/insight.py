"""What an operator can be told of a running server, as plain data: `ostler status`, `workers` and `slow`.

All of it is read from what the master has: the roster, the pages of the scoreboard, the last look at the load. No
worker is asked, so it is right also while all of them hang. Keys are a promise (docs/how-to/control.md): they stay.

Rules for editing: nothing here waits: no file of /proc but those that the kernel answers at once (memory.rss_bytes);
lists are cut, for there may be a hundred workers. Times are seconds, sizes bytes.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from time import monotonic as _monotonic
from typing import Any, Final

from ostler import __version__
from ostler.config.settings import Settings
from ostler.observe.masking import shown
from ostler.observe.scoreboard import Page, WorkerState
from ostler.process.memory import rss_bytes
from ostler.roles.children import Child
from ostler.roles.load import SILENT_S as QUIET_S
from ostler.roles.load import Load
from ostler.roles.perform import Performer
from ostler.supervisor.actions import ReloadEnded
from ostler.supervisor.handle import Handle, State
from ostler.supervisor.supervisor import Supervisor

Data = dict[str, Any]

SILENT_S: Final = 5.0
"""A worker beats about once a second; so long after its last beat it hangs, as far as anybody can see."""
_RATE_S: Final = 10
_LIMIT_LISTENERS: Final = 100
_LIMIT_INCIDENTS: Final = 20
_LIMIT_REQUESTS: Final = 50
_STATES: Final = ("booting", "idle", "busy", "serving", "hung", "retiring", "leaving", "killed")
_LEAVING: Final = {
    State.QUITTING: "leaving",
    State.DUMPING: "hung",
    State.ABORTED: "hung",
    State.KILLED: "killed",
}


class Insight:
    """Of one master."""

    def __init__(
        self,
        supervisor: Supervisor,
        performer: Performer,
        load: Load,
        checks: Callable[[], bool],
        surroundings: Callable[[], Data],
    ) -> None:
        """checks: whether a reload's configuration is looked at just now. surroundings: what else `status` shows."""
        self._supervisor = supervisor
        self._performer = performer
        self._load = load
        self._checks = checks
        self._surroundings = surroundings
        self._began = _monotonic()
        self._samples: deque[tuple[float, int]] = deque([(self._began, 0)], maxlen=_RATE_S + 1)
        self._last_reload: tuple[float, ReloadEnded] | None = None
        self.reloads = 0

    def each_second(self) -> None:
        self._samples.append((_monotonic(), self.requests))

    def reload_ended(self, ended: ReloadEnded) -> None:
        self.reloads += 1
        self._last_reload = (_monotonic(), ended)

    # -- numbers

    @property
    def uptime_s(self) -> float:
        return _monotonic() - self._began

    @property
    def requests(self) -> int:
        """Finished since the master began."""
        return self._performer.children.past.requests + sum(page.requests for _, page in self._pages())

    @property
    def spawned(self) -> int:
        """Workers that were begun so far."""
        return self._supervisor.roster.spawned

    def last_incident(self) -> str:
        """What the log said last, as a reason."""
        last = self._performer.incidents.last(1)
        return last[0].text if last else "the log has no reason"

    def condition(self) -> tuple[int, int, int]:
        """Workers that serve; how many there shall be; how often in a row one did not boot."""
        seen = self._supervisor.health.condition(_monotonic())
        return seen.ready, seen.goal, seen.failed_boots

    def handles(self) -> list[tuple[Handle, Child | None]]:
        """Every process, the molds last."""
        by_pid = self._performer.children.by_pid
        found = [(handle, by_pid.get(handle.pid or 0)) for handle in self._supervisor.roster]
        return sorted(found, key=lambda each: (each[0].is_mold, each[0].slot, each[0].age))

    # -- answers

    def status(self) -> Data:
        now = _monotonic()
        settings = self._settings()
        rows = [self._state(handle, child, now)[0] for handle, child in self.handles() if not handle.is_mold]
        past = self._performer.children.past
        work = [page.work(now) for _, page in self._pages()]
        generations = self._supervisor.generations
        counts = {name: rows.count(name) for name in _STATES}
        ready, goal, failed_boots = self.condition()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "application": settings.paste or settings.wsgi_app,
            "name": settings.proc_name,
            "uptime_s": round(self.uptime_s, 1),
            "started_at": round(time.time() - self.uptime_s, 1),
            "state": self.state(),
            "generation": generations.base,
            "generations": sorted({handle.generation for handle, _ in self.handles()}),
            "workers": {"goal": goal, "ready": ready, **counts},
            "failed_boots": failed_boots,
            "molds": [_mold(handle) for handle, _ in self.handles() if handle.is_mold],
            "degraded": self._supervisor.degraded,
            "listeners": self.listeners(),
            "requests": past.requests + sum(each.requests for each in work),
            "requests_per_s": round(self._rate(now), 1),
            "errors": past.errors + sum(each.errors for each in work),
            "shed": self._load.shed,
            "in_flight": sum(len(page.in_flight()) for _, page in self._pages()),
            "waiting": self._load.waiting,
            "queue_time_s": round(self._load.queue_time_s, 3),
            "busy_share": round(self._load.busy_share, 3),
            "reloads": self.reloads,
            "last_reload": self._reload(now),
            "incidents": self._incidents(now),
            "incidents_total": self._performer.incidents.total,
            **self._surroundings(),
        }

    def workers(self) -> Data:
        now = _monotonic()
        rows = [self._worker(handle, child, now) for handle, child in self.handles() if not handle.is_mold]
        _, goal, _ = self.condition()
        return {"pid": os.getpid(), "goal": goal, "workers": rows}

    def slow(self) -> Data:
        """The longest requests that run, and the slowest ones lately, over all workers."""
        now = _monotonic()
        running: list[Data] = []
        finished: list[Data] = []
        for child, page in self._pages():
            who = {"pid": child.pid, "slot": child.slot}
            mask = child.generation.settings.mask_query
            running += [
                {**who, "request": shown(what, mask), "for_s": round(now - since, 3)}
                for since, what in page.in_flight()
            ]
            for each in page.slowest():
                ago_s = round(now - each.started - each.took_s, 1)
                took = {"took_s": round(each.took_s, 3), "status": each.status, "ago_s": ago_s}
                finished.append({**who, "request": shown(each.what, mask), **took})
        running.sort(key=lambda each: -each["for_s"])
        finished.sort(key=lambda each: -each["took_s"])
        return {"pid": os.getpid(), "in_flight": running[:_LIMIT_REQUESTS], "finished": finished[:_LIMIT_REQUESTS]}

    def listeners(self) -> list[Data]:
        """Each address once, with what waits there."""
        queued = {queue.address: queue for queue in self._load.queued}
        names = dict.fromkeys(listener.name for listener in self._performer.newest().listeners.fronts())
        found = []
        for name in list(names)[:_LIMIT_LISTENERS]:
            queue = queued.get(name)
            waiting, backlog = (None, None) if queue is None else (queue.waiting, queue.backlog)
            found.append({"address": name, "waiting": waiting, "backlog": backlog})
        return found

    def state(self) -> str:
        """One word for what the server is doing."""
        supervisor = self._supervisor
        ready, goal, _ = self.condition()
        if supervisor.stopping:
            return "lame duck" if self._performer.forker.lame_duck and ready else "stopping"
        if supervisor.generations.committed is None:
            return "starting"
        base = supervisor.generations.base
        others = any(handle.generation != base for handle in supervisor.roster.workers(State.READY))
        if self._checks() or supervisor.generations.on_trial is not None or others:
            return "reloading"
        if not goal:
            return "dismissed"
        if not ready:
            return "down"
        return "hung" if self._all_hang() else "serving"

    # -- parts

    def _settings(self) -> Settings:
        return self._performer.serving.settings

    def _pages(self) -> Iterable[tuple[Child, Page]]:
        for child, facts in self._performer.children.workers():
            yield child, facts.page

    def _all_hang(self) -> bool:
        """Nobody is served by any of those that are ready."""
        now = _monotonic()
        ready = [each for each in self.handles() if each[0].state is State.READY and not each[0].is_mold]
        return bool(ready) and all(self._state(*each, now)[0] == "hung" for each in ready)

    def _rate(self, now: float) -> float:
        then, before = self._samples[0]
        return (self.requests - before) / (now - then) if now > then else 0.0

    def _reload(self, now: float) -> Data | None:
        if self._last_reload is None:
            return None
        at, ended = self._last_reload
        return {"succeeded": ended.succeeded, "text": ended.text, "ago_s": round(now - at, 1)}

    def _incidents(self, now: float) -> list[Data]:
        return [
            {
                "at": round(each.at_wall, 3),
                "ago_s": round(now - each.at_monotonic, 1),
                "level": each.level.value,
                "text": each.text,
            }
            for each in self._performer.incidents.last(_LIMIT_INCIDENTS)
        ]

    def _state(self, handle: Handle, child: Child | None, now: float) -> tuple[str, float]:
        """What a worker does, and for how long it has been silent."""
        page = None if child is None else child.page
        silent_s = 0.0
        if page is not None and handle.ready_at is not None:
            silent_s = max(0.0, now - max(page.last_beat, handle.ready_at))
        if handle.state in _LEAVING:
            return _LEAVING[handle.state], silent_s
        if handle.state is State.BOOTING or page is None:
            return "booting", silent_s
        assert child is not None
        # One with a loop of its own beats as often as its class does, which Gunicorn's do twice within `timeout`.
        patience_s = SILENT_S if child.receives else max(SILENT_S, child.generation.settings.timeout / 2 + 1)
        if silent_s > patience_s:
            return "hung", silent_s
        if handle.state is State.RETIRING:
            return "retiring", silent_s
        if not child.receives:
            return "serving", silent_s
        blocked = silent_s > QUIET_S  # its loop waits for the application, or the GIL, and cannot say that it is busy
        return ("busy" if blocked or page.state is WorkerState.BUSY else "idle"), silent_s

    def _worker(self, handle: Handle, child: Child | None, now: float) -> Data:
        state, silent_s = self._state(handle, child, now)
        row: Data = {
            "slot": handle.slot,
            "pid": handle.pid,
            "generation": handle.generation,
            "age": handle.age,
            "state": state,
            "cause": handle.cause or handle.asked or "",
            "age_s": round(now - handle.forked_at, 1),
            "boot_ms": None if handle.ready_at is None else round((handle.ready_at - handle.forked_at) * 1000),
            "silent_s": round(silent_s, 2),
            "requests": 0,
            "errors": 0,
            "busy_s": 0.0,
            "in_flight": 0,
            "longest": None,
            "rss": None if handle.pid is None else rss_bytes(handle.pid),
        }
        page = None if child is None else child.page
        if child is not None and page is not None:
            work, running = page.work(now), page.in_flight()
            row |= {"requests": work.requests, "errors": work.errors, "busy_s": round(work.busy_s, 3)}
            row["in_flight"] = len(running)
            if running:
                since, what = running[0]
                request = shown(what, child.generation.settings.mask_query)
                row["longest"] = {"request": request, "for_s": round(now - since, 3)}
        return row


def _mold(handle: Handle) -> Data:
    return {"pid": handle.pid, "generation": handle.generation, "state": handle.state.value}
