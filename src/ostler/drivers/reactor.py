"""The loop of sync and gthread, and the threads' way through it.

One thread leads at a time (crew.py says how). A request reaches the application when its head and, with
`request_buffering`, its body are complete, so no client can make a thread wait by being slow. A response's end is
flushed by the leader, so no client can hold a thread by reading slowly. The parts are in loop.py; here is who runs
what, and when.

Editing rules: only the leader calls `poll`. A defect of ours in one exchange must cost neither the permit nor the lead.
"""

import time
from collections.abc import Callable
from typing import Any, Final

from ostler.drivers.client import Client
from ostler.drivers.crew import Crew
from ostler.drivers.loop import Loop
from ostler.process.belongings import raise_alarm

_monotonic = time.monotonic

_BUSY_POLL_S: Final = 0.01
"""While requests wait for a thread: how often a sibling is looked for that could take one."""
_SLICE_S: Final = 0.01
"""So long applications are run before the next look at who else came: a crowd is heard out first, then takes turns."""

RunExchange = Callable[[Client, int], None]
"""Runs the application for a client's complete exchange, on a permit's row. Never raises."""


class Reactor(Loop):
    """The loop of one worker with threads. They call `lead`, each when crew.py says so."""

    def __init__(self, *, crew: Crew, leader_beats: bool, run_exchange: RunExchange, **parts: Any) -> None:
        """`leader_beats`: whoever leads writes the heartbeat; otherwise only a thread that may run the application.

        `parts`: see `Loop`.
        """
        self.crew = crew
        self._leader_beats = leader_beats
        self._run_exchange = run_exchange
        super().__init__(has_permit=lambda: crew.has_permit, **parts)

    def finish(self) -> None:
        """Let every thread leave, whatever is still open. Any thread."""
        super().finish()
        self.crew.dismiss()

    def lead(self, may_run: bool) -> None:
        """Lead until the baton is lost or wanted, or all is done. The caller holds the baton.

        `may_run`: this thread may run the application (in sync the standby may not).
        """
        while True:
            try:
                return self._lead(may_run)
            except MemoryError:  # the application's is caught where it runs: this thread holds the baton
                self.tell_of_memory()

    def _lead(self, may_run: bool) -> None:
        clients, crew = self.clients, self.crew
        ready = clients.ready
        beats = may_run or self._leader_beats
        while not self.finished:
            if ready.waiting and may_run and not self._run_ready(0.0):
                return
            if crew.wanted and not may_run:
                crew.hand_back()
                return
            self._doors.make_room(len(clients))
            self._doors.adjust(len(clients))
            try:
                events = self._poller.poll(self._patience(may_run))
            except (OSError, ValueError):
                raise_alarm()
                raise
            clients.now = now = _monotonic()
            if beats:
                self._page.beat(now)
            self._serve_doors(events)
            self._doors.look_outside(now)
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
            if ready.waiting and clients.shedding is not None:
                clients.shedding.sweep(ready, now, clients.shed)
            if ready.waiting and not crew.has_permit:
                clients.handover.offer(ready)

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
            try:
                client = clients.next_ready()
                if client is not None:
                    self._beat_of_runner()  # each call has the whole timeout, also behind others of one poll
                    crew.lay_down()
                    self._run(client, permit)
                    leading = crew.pick_up()
                    self._settle(client)
            finally:
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
            try:
                client = clients.next_ready()
                if client is not None:
                    self._beat_of_runner()
                    self._run(client, permit)
                    self._settle(client)
            finally:
                crew.give_back(permit)
        self._doors.adjust(len(clients))
        if clients.ready.waiting:
            self.wake()  # whoever leads may have gone to sleep while nobody waited

    def _run(self, client: Client, permit: int) -> None:
        try:
            self._run_exchange(client, permit)
        except Exception:  # noqa: BLE001  a defect of ours must not cost the permit or the lead
            self.tell_defect("exchange failed; this is a defect of Ostler, please report it")
            self.clients.fail(client)

    def _beat_of_runner(self) -> None:
        if not self._leader_beats:
            self._page.beat(_monotonic())

    def _patience(self, may_run: bool) -> float:
        if self.clients.ready.waiting:
            return 0.0 if may_run and self.crew.has_permit else _BUSY_POLL_S
        now = self.clients.now
        return min(max(0.0, self._next_tick - now), self._doors.patience(now))

    def _is_idle(self) -> bool:
        return self.crew.permits_out <= self.stranded_clients

    def _used_s(self, now: float) -> float:
        running_s = sum(now - started for started, _ in self._page.in_flight())
        return (self._page.work(now).busy_s + running_s) / self.crew.permits
