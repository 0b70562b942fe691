"""The readiness loop of sync and gthread, and the threads' way through it.

One thread leads at a time (crew.py says how). A request reaches the application when its head and, with
`request_buffering`, its body are complete, so no client can make a thread wait by being slow. A response's end is
flushed by the leader, so no client can hold a thread by reading slowly. What happens to a client is in clients.py, who
may come in in doors.py; here are the poll, the order of things, and who runs what.

Editing rules: only the leader calls `poll`. An exception of ours in one client's handling must cost that client only.
"""

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from ostler.app.environ import EnvironTemplate
from ostler.drivers.admission import NO_RULES, Admission, Rules
from ostler.drivers.client import Client
from ostler.drivers.clients import Clients
from ostler.drivers.crew import Crew
from ostler.drivers.doors import Doors
from ostler.drivers.poller import READ, make_poller
from ostler.drivers.timeouts import Timeouts
from ostler.http.limits import Limits
from ostler.observe.scoreboard import Page
from ostler.process.listeners import Listener

_monotonic = time.monotonic

_BUSY_POLL_S: Final = 0.01
"""While requests wait for a thread: how often a sibling is looked for that could take one."""
_DRAIN_POLL_S: Final = 0.05
_SLICE_S: Final = 0.01
"""So long applications are run before the next look at who else came: a crowd is heard out first, then takes turns."""

RunExchange = Callable[[Client, int], None]
"""Runs the application for a client's complete exchange, on a permit's row. Never raises."""


class Reactor:
    """The loop of one worker. Its threads call `lead`, each when crew.py says so."""

    def __init__(  # noqa: PLR0913  one place makes it, by name
        self,
        *,
        crew: Crew,
        doors: Doors,
        page: Page,
        template: EnvironTemplate,
        limits: Limits,
        timeouts: Timeouts,
        request_buffering: bool,
        leader_beats: bool,
        run_exchange: RunExchange,
        log: logging.Logger,
        spill_directory: str | None = None,
        on_tick: Callable[[], object] = lambda: None,
        rules: Rules = NO_RULES,
        protocol: str = "http",
    ) -> None:
        """`leader_beats`: whoever leads writes the heartbeat; otherwise only a thread that may run the application.

        `spill_directory`: for what is buffered in files; None is the system's. `on_tick`: called about once a second.
        `rules`: what connections go through before they speak `protocol` (the setting of that name).
        """
        self.crew = crew
        self.finished = False
        """Drained, or told to stop: every thread leaves."""
        self.done = threading.Event()
        """Set when `finished`, for threads that only wait for it."""
        self._doors = doors
        self._page = page
        self._beat_s = timeouts.beat_s
        self._leader_beats = leader_beats
        self._run_exchange = run_exchange
        self._on_tick = on_tick
        self._log = log
        self._poller = make_poller()
        self._handlers: dict[int, Callable[[], object]] = {}
        self._next_tick = 0.0
        self.clients = Clients(
            poller=self._poller,
            doors=doors,
            has_permit=lambda: crew.has_permit,
            beat=self._beat_of_runner,
            template=template,
            limits=limits,
            timeouts=timeouts,
            request_buffering=request_buffering,
            log=log,
            spill_directory=spill_directory,
            rules=rules,
            protocol=protocol,
        )
        self._waker_out, self._waker_in = os.pipe()
        os.set_blocking(self._waker_out, False)
        os.set_blocking(self._waker_in, False)
        self.watch(self._waker_out, self._drain_waker)
        doors.open(self.clients, self)

    # -- for the worker --------------------------------------------------------------------------------------

    def watch(self, fd: int, handler: Callable[[], object]) -> None:
        """Call `handler` in the leading thread whenever `fd` is readable."""
        self._handlers[fd] = handler
        self._poller.watch(fd, READ)

    def watch_shared(self, fd: int, handler: Callable[[], object]) -> None:
        """As `watch`, for a descriptor that siblings watch too."""
        self._handlers[fd] = handler
        self._poller.watch_shared(fd)

    def unwatch(self, fd: int) -> None:
        """Forget a watched descriptor."""
        self._handlers.pop(fd, None)
        self._poller.forget(fd)

    def wake(self) -> None:
        """Make a running poll return. Any thread."""
        with contextlib.suppress(OSError):
            os.write(self._waker_in, b"\0")

    def keep_doors_shut(self) -> None:
        """Serve nobody but who comes by `visit`, until `open_doors`. Before anybody leads."""
        self._doors.keep_shut()

    def open_doors(self) -> None:
        """From now on clients may come in. In the leader, or before anybody leads."""
        self._doors.admit(len(self.clients))

    def visit(self, sock: socket.socket) -> None:
        """Serve a connection of our own: HTTP, whatever clients have to speak. sock: non-blocking. In the leader, or
        before anybody leads.
        """
        self.clients.welcome(sock, self._doors.own_peer())

    def retire(self, empty: Sequence[Listener] = ()) -> None:
        """Siblings stay: accept nothing more, hand over what can be handed over, finish the rest. In the leader.

        empty: listeners that nobody else stays on.
        """
        self._doors.retire(empty)
        self._drain()

    def stop(self) -> None:
        """The whole server stops: accept what waits in the backlog, close the listeners, finish. In the leader."""
        self._doors.stop()
        self._drain()

    def abandon(self) -> None:
        """Nobody of ours stays, and the listeners are not ours to empty (another master has them, or ours is dead):
        close them, finish what runs. In the leader.
        """
        self._doors.abandon()
        self._drain()

    def finish(self) -> None:
        """Let every thread leave, whatever is still open. Any thread."""
        self.finished = True
        self.done.set()
        self.crew.dismiss()
        self.wake()

    def close(self) -> None:
        """Close every client and the poller. When all threads have left."""
        self.clients.close()
        self._poller.close()
        os.close(self._waker_in)
        os.close(self._waker_out)

    # -- the loop --------------------------------------------------------------------------------------------

    def lead(self, may_run: bool) -> None:
        """Lead until the baton is lost or wanted, or all is done. The caller holds the baton.

        `may_run`: this thread may run the application (in sync the standby may not).
        """
        clients, crew = self.clients, self.crew
        ready, handlers = clients.ready, self._handlers
        beats = may_run or self._leader_beats
        while not self.finished:
            if ready.waiting and may_run and not self._run_ready(0.0):
                return
            if crew.wanted and not may_run:
                crew.hand_back()
                return
            self._doors.make_room(len(clients))
            self._doors.adjust(len(clients))
            events = self._poller.poll(self._patience(may_run))
            clients.now = now = _monotonic()
            if beats:
                self._page.beat(now)
            # Doors, master and signals first: whoever was woken by a waiting connection lets it in before it gets
            # busy, for EPOLLEXCLUSIVE tells nobody else.
            for fd, _ in events:
                if fd in handlers:
                    self._handle(handlers[fd])
            until = now + _SLICE_S
            for fd, event in events:
                client = clients.get(fd)
                if client is not None:
                    self._hear(client, event)
                    if ready.waiting and may_run and _monotonic() < until and not self._run_ready(until):
                        return
                elif clients.admission is not None:
                    self._usher(clients.admission, fd, event)
            if now >= self._next_tick:
                self._tick(now)
            if ready.waiting and not crew.has_permit:
                clients.handover.offer(ready)

    def _handle(self, handler: Callable[[], object]) -> None:
        try:
            handler()
        except Exception:  # noqa: BLE001  a defect of ours must not end the loop
            self._log.exception("event not handled; this is a defect of Ostler, please report it")

    def _hear(self, client: Client, event: int) -> None:
        try:
            self.clients.on_event(client, event)
        except Exception:  # noqa: BLE001  a defect of ours must not take the other clients along
            self._log.exception("connection failed; this is a defect of Ostler, please report it")
            self.clients.fail(client)

    def _usher(self, admission: Admission, fd: int, event: int) -> None:
        try:
            admission.on_event(fd, event)
        except Exception:  # noqa: BLE001  a defect of ours must not take the others along
            self._log.exception("connection failed; this is a defect of Ostler, please report it")
            admission.fail(fd)

    def _run_ready(self, until: float) -> bool:
        """Run what is queued now while there are permits; the caller leads. False: the lead was lost meanwhile.

        One is run, and others until the time is `until`.

        What is queued meanwhile waits for the next poll: one client's pipeline must not keep the others unheard.
        """
        clients, crew = self.clients, self.crew
        leading = True
        turns = clients.ready.waiting
        while leading and turns and clients.ready.waiting and (permit := crew.take_permit()) is not None:
            turns -= 1
            client = clients.next_ready()
            if client is not None:
                self._beat_of_runner()  # each call has the whole timeout, also behind others of one poll
                crew.lay_down()
                self._run(client, permit)
                leading = crew.pick_up()
                self._settle(client)
            crew.give_back(permit)
            if _monotonic() >= until:
                break
        if not leading:
            self._run_without_lead()
        return leading

    def _run_without_lead(self) -> None:
        """Run queued exchanges while another thread leads, which may wait in its poll for something else."""
        clients, crew = self.clients, self.crew
        until = _monotonic() + _SLICE_S  # while permits are in use the doors are closed
        while clients.ready.waiting and _monotonic() < until and (permit := crew.take_permit()) is not None:
            client = clients.next_ready()
            if client is not None:
                self._beat_of_runner()
                self._run(client, permit)
                self._settle(client)
            crew.give_back(permit)
        self._doors.adjust(len(clients))
        if clients.ready.waiting:
            self.wake()  # whoever leads may have gone to sleep while nobody waited

    def _run(self, client: Client, permit: int) -> None:
        try:
            self._run_exchange(client, permit)
        except Exception:  # noqa: BLE001  a defect of ours must not cost the permit or the lead
            self._log.exception("exchange failed; this is a defect of Ostler, please report it")
            self.clients.fail(client)

    def _settle(self, client: Client) -> None:
        try:
            self.clients.settle(client)
        except Exception:  # noqa: BLE001  as above
            self._log.exception("connection failed; this is a defect of Ostler, please report it")
            self.clients.drop(client)

    def _beat_of_runner(self) -> None:
        if not self._leader_beats:
            self._page.beat(_monotonic())

    def _patience(self, may_run: bool) -> float:
        if self.clients.ready.waiting:
            return 0.0 if may_run and self.crew.has_permit else _BUSY_POLL_S
        now = self.clients.now
        return min(max(0.0, self._next_tick - now), self._doors.patience(now))

    def _drain_waker(self) -> None:
        with contextlib.suppress(OSError):
            os.read(self._waker_out, 4096)

    # -- time, and the end -----------------------------------------------------------------------------------

    def _tick(self, now: float) -> None:
        draining = self._doors.draining
        self._next_tick = now + (_DRAIN_POLL_S if draining else self._beat_s)
        if not self.clients.tick():
            self._next_tick = now
        self._on_tick()
        self._doors.ring_again()
        if draining and self._doors.drained() and not self.clients and self.crew.all_permits_back:
            self.finish()

    def _drain(self) -> None:
        self._next_tick = 0.0
        self.clients.drain_all()
