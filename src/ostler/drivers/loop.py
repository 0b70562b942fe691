"""What every loop over a worker's clients has, whoever turns it: threads (reactor.py), or an event loop (hosted.py).

A turn is: the poll, then doors, master and signals, then clients, then, about once a second, the tick. What happens to
a client is in clients.py, who may come in in doors.py; here are the parts, the order of things, and the end.

Editing rules: only whoever leads calls what is marked so. An exception of ours in one client's handling must cost that
client only.
"""

import contextlib
import logging
import os
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final

from ostler import real
from ostler.app.environ import EnvironTemplate
from ostler.app.telling import tell
from ostler.drivers.admission import NO_RULES, Admission, Rules
from ostler.drivers.client import Client
from ostler.drivers.clients import Clients
from ostler.drivers.doors import Doors
from ostler.drivers.overdue import Overdue
from ostler.drivers.poller import READ, make_poller
from ostler.drivers.shedding import Shedding
from ostler.drivers.timeouts import Timeouts
from ostler.drivers.waiting import THREADS, Waiting
from ostler.http.limits import Limits
from ostler.logline import fields
from ostler.observe.causes import Cause, cure_for
from ostler.observe.outlet import out_of_the_way
from ostler.observe.pressure import Pressure
from ostler.observe.scoreboard import Page
from ostler.process.belongings import Belongings, close_detached
from ostler.process.listeners import Listener

_DRAIN_POLL_S: Final = 0.05
_LEAST_LOOK_S: Final = 0.5
"""A share of less time than this says little."""
_TELL_EVERY_S: Final = 60.0
_CLOSED: Final = -1


class Loop(ABC):
    """The parts of one worker's loop. One thread at a time leads it."""

    def __init__(  # noqa: PLR0913  one place makes it, by name
        self,
        *,
        doors: Doors,
        page: Page,
        template: EnvironTemplate,
        limits: Limits,
        timeouts: Timeouts,
        request_buffering: bool,
        has_permit: Callable[[], bool],
        log: logging.Logger,
        spill_directory: str | None = None,
        on_tick: Callable[[], object] = lambda: None,
        rules: Rules = NO_RULES,
        protocol: str = "http",
        waiting: Waiting = THREADS,
        shedding: Shedding | None = None,
        pressure: Pressure | None = None,
        overdue: Overdue | None = None,
    ) -> None:
        """`has_permit`: an application call could start now.

        `spill_directory`: for what is buffered in files; None is the system's. `on_tick`: called about once a second.
        `rules`: what connections go through before they speak `protocol` (the setting of that name).
        """
        self.finished = False
        """Drained, or told to stop: every thread leaves."""
        self.done = real.Event()
        """Set when `finished`, for threads that only wait for it."""
        self._doors = doors
        self._page = page
        self._beat_s = timeouts.beat_s
        self._on_tick = on_tick
        self._log = log
        self._poller = make_poller()
        self._handlers: dict[int, Callable[[], object]] = {}
        self._next_tick = 0.0
        self._next_full_tick = 0.0
        """Between two of them only `overdue` is asked."""
        self.overdue = overdue
        self.leave: Callable[[], object] = lambda: None
        """Ends the process, from any thread, whatever others still do."""
        self._pressure = pressure
        self._used = 0.0, 0.0
        """When it was looked at, and what `_used_s` was then."""
        self._tell_again = 0.0
        self.clients = Clients(
            poller=self._poller,
            doors=doors,
            has_permit=has_permit,
            beat=self._beat_of_runner,
            template=template,
            limits=limits,
            timeouts=timeouts,
            request_buffering=request_buffering,
            log=log,
            spill_directory=spill_directory,
            rules=rules,
            protocol=protocol,
            waiting=waiting,
            shedding=shedding,
        )
        self._waker_out, waker_in = os.pipe()
        self._waker_in = out_of_the_way(waker_in)  # it is written to by its number
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
            real.write(self._waker_in, b"\0")

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

    def retire(self, empty: Sequence[Listener] = (), *, alone: bool = False) -> None:
        """Siblings stay: accept nothing more, hand over what can be handed over, finish the rest. In the leader.

        empty: listeners that nobody else stays on. alone: no sibling takes connections over.
        """
        self._doors.retire(empty, alone=alone)
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

    def show_belongings(self, belongings: Belongings) -> None:
        """What the loop itself cannot do without."""
        belongings.add("event loop", self._poller.fileno)
        belongings.add("waker", lambda: self._waker_out)
        belongings.add("waker", lambda: self._waker_in)

    def disown(self) -> None:
        """In a process that the application has forked: what comes back into our code there finds no client."""
        for fd in self.clients.descriptors():
            client = self.clients.get(fd)
            if client is not None:
                close_detached(client.transport.sock)
        self._poller.close()

    def finish(self) -> None:
        """Let every thread leave, whatever is still open. Any thread."""
        self.finished = True
        self.done.set()
        self.wake()

    def close(self) -> None:
        """Close every client and the poller. When all threads have left."""
        self.clients.close()
        self._doors.close()
        self._poller.close()
        numbers, self._waker_in, self._waker_out = (self._waker_in, self._waker_out), _CLOSED, _CLOSED
        for fd in numbers:
            os.close(fd)

    # -- one turn, for whoever leads -------------------------------------------------------------------------

    def _serve_doors(self, events: Sequence[tuple[int, int]]) -> None:
        """Doors, master and signals first: whoever was woken by a waiting connection lets it in before it gets busy,
        for EPOLLEXCLUSIVE tells nobody else.
        """
        handlers = self._handlers
        for fd, _ in events:
            if fd in handlers:
                self._handle(handlers[fd])

    def _handle(self, handler: Callable[[], object]) -> None:
        try:
            handler()
        except Exception:  # noqa: BLE001  a defect of ours must not end the loop
            self.tell_defect("event not handled; this is a defect of Ostler, please report it")

    def _hear(self, client: Client, event: int) -> None:
        try:
            self.clients.on_event(client, event)
        except Exception:  # noqa: BLE001  a defect of ours must not take the other clients along
            self.tell_defect("connection failed; this is a defect of Ostler, please report it")
            self.clients.fail(client)

    def _usher(self, admission: Admission, fd: int, event: int) -> None:
        try:
            admission.on_event(fd, event)
        except Exception:  # noqa: BLE001  a defect of ours must not take the others along
            self.tell_defect("connection failed; this is a defect of Ostler, please report it")
            admission.fail(fd)

    def _settle(self, client: Client) -> None:
        try:
            self.clients.settle(client)
        except Exception:  # noqa: BLE001  as above
            self.tell_defect("connection failed; this is a defect of Ostler, please report it")
            with contextlib.suppress(Exception):
                self.clients.drop(client)

    def tell_defect(self, sentence: str) -> None:
        """In an except clause; a log that fails, too, ends no loop."""
        tell(self._log, logging.ERROR, sentence, with_traceback=True)

    def tell_of_memory(self) -> None:
        """Python had no memory for what the loop was about; it goes on with the next turn. A line a minute."""
        now = time.monotonic()
        if now >= self._tell_again:
            self._tell_again = now + _TELL_EVERY_S
            with contextlib.suppress(MemoryError):
                sentence = "memory ran out in the server's own code, the worker goes on"
                words = {"cause": Cause.OUT_OF_MEMORY, "cure": cure_for(Cause.OUT_OF_MEMORY)}
                line = fields(sentence, clients=len(self.clients), **words)
                tell(self._log, logging.ERROR, line, with_traceback=True)

    @abstractmethod
    def _beat_of_runner(self) -> None:
        """A thread that runs the application waits for its client: that is no hang."""

    def _drain_waker(self) -> None:
        with contextlib.suppress(OSError):
            real.read(self._waker_out, 4096)

    # -- time, and the end -----------------------------------------------------------------------------------

    @property
    def stranded_clients(self) -> int:
        """Clients whose application calls are beyond their hard deadline: nobody waits for them."""
        return 0 if self.overdue is None else self.overdue.stranded_clients

    def _tick(self, now: float) -> None:
        overdue = self.overdue
        if overdue is not None:
            look_again = min(overdue.look(now), now + overdue.step_s)
            if now < self._next_full_tick:
                self._next_tick = min(self._next_full_tick, look_again)
                return
        draining = self._doors.draining
        self._next_tick = now + (_DRAIN_POLL_S if draining else self._beat_s)
        if not self.clients.tick():
            self._next_tick = now
        self._page.tick(now)
        self._tell_load(now)
        self._on_tick()
        self._doors.ring_again()
        if draining and self._doors.drained() and len(self.clients) <= self.stranded_clients and self._is_idle():
            self.finish()
        if overdue is not None:
            self._next_full_tick = self._next_tick
            self._next_tick = min(self._next_tick, look_again)
            if self.finished:
                overdue.tell_of_stranded()

    def _drain(self) -> None:
        self._next_tick = self._next_full_tick = 0.0
        self.clients.drain_all()

    def _tell_load(self, now: float) -> None:
        looked, used_s = self._used
        if self._pressure is None or now - looked < _LEAST_LOOK_S:
            return
        self._used = now, self._used_s(now)
        ready = self.clients.ready
        share = (self._used[1] - used_s) / (now - looked) if looked else 0.0
        self._pressure.tell(max(0.0, share), ready.waiting, ready.oldest_since)
        if self.clients.shedding is not None:
            self.clients.shedding.tell(now)

    @abstractmethod
    def _used_s(self, now: float) -> float:
        """Seconds of its capacity that this worker has used so far; in a second it has one."""

    @abstractmethod
    def _is_idle(self) -> bool:
        """Whether nothing runs that has no client (any more)."""
