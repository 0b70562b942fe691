"""The loop of a worker whose kind brings an event loop of its own: asyncio, uvloop, tornado, gevent, eventlet.

The whole reactor is one descriptor, its poller's: the event loop watches it (`fileno`), and calls `turn` when it is
readable, or after `patience` seconds. A turn never waits. So every kind has the same clients, doors, deadlines and
drains, and no socket of a client is ever known to a foreign loop.

    asyncio    loop.add_reader(hosted.fileno(), hosted.turn)
    gevent     wait_read(hosted.fileno(), hosted.patience())

All of it runs in one thread. An exchange is begun by `start`, which must not wait: it makes a task or a greenlet, and
that one calls `Live.finish` when the exchange is over.

Editing rules: as in loop.py. What the application does between two turns may call anything of `Live` at any time, also
from within `start`.
"""

import time
from collections.abc import Callable
from typing import Any, Final

from ostler.drivers.client import Client
from ostler.drivers.live import Live
from ostler.drivers.loop import Loop
from ostler.process.belongings import raise_alarm

_monotonic = time.monotonic

_SLICE_S: Final = 0.01
"""So long exchanges are begun before the next look at who else came (an eager task runs the application in `start`)."""


class Hosted(Loop):
    """The loop of one worker, turned by another loop."""

    def __init__(self, *, start: Callable[[Live], object], streams: bool, rows: int, **parts: Any) -> None:
        """`start` begins an exchange and never raises. `streams`: as soon as the head is there; its client is read on,
        and `Live` says what comes. Otherwise when it is complete, as for threads.

        `rows`: of the scoreboard page; more exchanges than that are counted, but not shown. `parts`: see `Loop`.
        """
        self.on_finished: Callable[[], object] = lambda: None
        """Called once, when all is over."""
        self.is_idle: Callable[[], bool] = lambda: True
        """Whether the kind has nothing running that belongs to no exchange any more (background tasks)."""
        self._start = start
        self._streams = streams
        self._rows = list(range(rows))
        self._running: set[Live] = set()
        self._beginning = False
        """Exchanges are begun, and may end at once: whoever begins them looks at what is left."""
        if streams:
            parts["request_buffering"] = False
        super().__init__(has_permit=lambda: True, **parts)
        self._began = _monotonic()

    # -- for the event loop ----------------------------------------------------------------------------------

    def fileno(self) -> int:
        """The descriptor that is readable while there is something to do."""
        return self._poller.fileno()

    def patience(self) -> float:
        """Seconds until `turn` is to be called although nothing is readable; at most about one."""
        if self.clients.ready.waiting:
            return 0.0
        now = _monotonic()
        return min(max(0.0, self._next_tick - now), self._doors.patience(now))

    def turn(self) -> None:
        """Look once at everything that has happened; begin what is complete. Never waits."""
        try:
            self._turn()
        except MemoryError:
            self.tell_of_memory()

    def _turn(self) -> None:
        if self.finished:
            return
        clients = self.clients
        self._doors.make_room(len(clients))
        self._doors.adjust(len(clients))
        try:
            events = self._poller.poll(0.0)
        except (OSError, ValueError):
            raise_alarm()
            raise
        clients.now = now = _monotonic()
        self._page.beat(now)
        self._serve_doors(events)
        self._serve_clients(events)
        self._begin_ready(now + _SLICE_S)
        if now >= self._next_tick:
            self._tick(now)

    def _serve_clients(self, events: list[tuple[int, int]]) -> None:
        clients = self.clients
        for fd, event in events:
            client = clients.get(fd)
            if client is not None:
                self._hear(client, event)
            elif clients.admission is not None:
                self._usher(clients.admission, fd, event)

    def _begin_ready(self, until: float) -> None:
        clients = self.clients
        self._beginning = True
        # What a begun exchange leaves there (a pipelined request) waits for the next turn: others are to be heard, too.
        for _ in range(clients.ready.waiting):
            client = clients.next_ready()
            if client is not None:
                self._begin(client)
            if _monotonic() >= until:
                break
        self._beginning = False
        if clients.ready.waiting:
            self.wake()

    def _begin(self, client: Client) -> None:
        live = Live(client, self._rows.pop() if self._rows else -1, self._settle_live)
        live.draining = self._doors.draining
        self._running.add(live)
        if self._streams:
            client.live = live
            client.deadline = live.never
        try:
            self._start(live)
        except Exception:  # noqa: BLE001  a defect of ours must cost this exchange only
            self.tell_defect("exchange failed; this is a defect of Ostler, please report it")
            live.exchange.abort()
            live.finish()

    def _settle_live(self, live: Live) -> None:
        self._running.discard(live)
        if live.row >= 0:
            self._rows.append(live.row)
        clients = self.clients
        clients.now = _monotonic()
        self._settle(live.client)
        if clients.ready.waiting and not self._beginning:
            self.wake()

    # -- the end ---------------------------------------------------------------------------------------------

    @property
    def running(self) -> int:
        """Exchanges that are begun and not over."""
        return len(self._running)

    def finish(self) -> None:
        """Let the event loop end, whatever is still open."""
        if not self.finished:
            super().finish()
            self.on_finished()

    def _drain(self) -> None:
        super()._drain()
        for live in list(self._running):
            live.begin_drain()
        self.wake()  # its event loop may sleep for as long as `patience` was before

    def _beat_of_runner(self) -> None:
        """The turns are the heartbeat: whoever keeps them from happening hangs."""

    def _used_s(self, now: float) -> float:
        return time.process_time()  # an event loop waits for much at once; what it has to share is the CPU

    def _is_idle(self) -> bool:
        return len(self._running) <= self.stranded_clients and self.is_idle()
