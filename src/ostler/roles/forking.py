"""Workers and molds, started: by the master's own fork, or by an order to a mold.

    master -> fork -> worker (run_worker)
    master -> fork -> mold (run_mold); master -> ForkWorker -> mold -> fork, fork -> worker, a child of the master's

Rules for editing: nothing blocks. What the child closes after the fork is what keeps "end of file on the channel"
meaning "the master is dead": every channel but its own, those of workers that are not born yet too.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from time import monotonic as _monotonic
from typing import NoReturn

from ostler.errors import OstlerError
from ostler.observe.hooks import WorkerFacts
from ostler.observe.scoreboard import WorkerState
from ostler.process.channel import Channel, ForkWorker, LameDuckBegins
from ostler.process.fork import fork, why_no_process
from ostler.process.listener_text import describe
from ostler.process.listeners import Listener
from ostler.process.parent import adopt_orphans
from ostler.roles import reports
from ostler.roles.assembly import WorkerStart
from ostler.roles.children import Child, Children
from ostler.roles.generation import Generation
from ostler.roles.living import LivingGenerations
from ostler.roles.mold import run_mold
from ostler.roles.run_worker import run_worker
from ostler.roles.shared import Shared
from ostler.supervisor.actions import Fork, StartMold
from ostler.supervisor.events import Forked, ForkFailed

_NO_PAGE = -1


class Forker:
    """Starts processes in the master's one thread."""

    def __init__(
        self,
        shared: Shared,
        generations: LivingGenerations,
        children: Children,
        log: Callable[[], logging.Logger],
    ) -> None:
        """log: the current error log."""
        self._shared = shared
        self._generations = generations
        self._children = children
        self._log = log
        self._thread_warning = reports.ThreadWarning()
        self._adopts = False
        self.lame_duck = False
        """The server stops soon: who is started now has to know it, too."""

    # -- in the master

    def start_worker(self, order: Fork) -> Forked | ForkFailed | None:
        """None: a mold was asked, and the worker says itself that it is born."""
        generation = self._generations[order.generation]
        page = generation.scoreboard.page(order.page)
        page.reset(0, _monotonic())
        try:
            listeners = generation.listeners.of(order.slot)
        except OstlerError as error:
            page.state = WorkerState.FREE
            return ForkFailed(order.age, str(error))
        facts = WorkerFacts(order.age, os.getpid(), generation.settings, listeners, page, generation.journal.log)
        self._thread_warning.look(self._log())
        self._shared.hooks.pre_fork(facts)
        try:
            child = self._made(order, generation, facts, listeners)
        except OSError as error:
            self._shared.hook_arguments.forget(facts)
            page.state = WorkerState.FREE
            return ForkFailed(order.age, why_no_process(error))
        self._children.add(child)
        if self.lame_duck:
            child.channel.send(LameDuckBegins())
        return self.born(child, child.pid) if child.born else None

    def start_mold(self, order: StartMold) -> Forked | ForkFailed:
        generation = self._generations[order.generation]
        self._thread_warning.look(self._log())
        try:
            if not self._adopts:
                adopt_orphans()  # the workers that molds fork; and children of workers that outlive these
                self._adopts = True
            child = self._forked(order.age, generation, lambda own, masters: self._be_mold(order, own, masters))
        except OSError as error:
            return ForkFailed(order.age, why_no_process(error))
        self._children.add(child)
        return Forked(order.age, child.pid)

    def born(self, child: Child, pid: int) -> Forked:
        """It has a pid. From now on hooks see it."""
        self._children.born(child, pid)
        if child.facts is not None:
            child.facts.pid = pid
            self._shared.facts.workers[pid] = child.facts
            self._shared.facts.worker_age = max(self._shared.facts.worker_age, child.age)
        return Forked(child.age, pid)

    def stillborn(self, child: Child, reason: str) -> ForkFailed:
        """The mold could not fork it, or died."""
        self._children.remove(child)
        if child.facts is not None:
            self._shared.hook_arguments.forget(child.facts)
            child.facts.page.state = WorkerState.FREE
        return ForkFailed(child.age, reason)

    def promoted(self, child: Child) -> None:
        """A worker has become a mold: it serves no more, and as far as hooks go it has ended."""
        if (facts := child.facts) is not None:
            self._children.remember_work(child)
            child.facts, child.listeners = None, ()
            self._say_that_it_ended(child.pid, facts)

    def bury(self, child: Child) -> None:
        """It was reaped: give back its page and its descriptors, then tell, which may raise: logs are users' code."""
        self._children.remove(child)
        if child.facts is not None:
            self._say_that_it_ended(child.pid, child.facts)
        reports.tell_unexpected_text(self._log(), child)

    def _say_that_it_ended(self, pid: int, facts: WorkerFacts) -> None:
        facts.alive = False
        try:
            self._shared.hooks.child_exit(facts)
        finally:
            self._shared.facts.workers.pop(pid, None)
            facts.page.state = WorkerState.FREE

    def _made(self, order: Fork, generation: Generation, facts: WorkerFacts, listeners: tuple[Listener, ...]) -> Child:
        """Raises OSError."""
        if order.mold is None:
            child = self._forked(
                order.age, generation, lambda own, masters: self._be_worker(order, listeners, own, masters)
            )
        else:
            child = self._asked_for(order, order.mold, generation, facts, listeners)
        child.facts, child.listeners, child.slot = facts, listeners, order.slot
        return child

    def _asked_for(
        self,
        order: Fork,
        mold_pid: int,
        generation: Generation,
        facts: WorkerFacts,
        listeners: tuple[Listener, ...],
    ) -> Child:
        mold = self._children.by_pid.get(mold_pid)
        if mold is None:
            raise OSError("the mold is gone")
        ours, theirs = Channel.pair()
        try:
            message = ForkWorker(
                order.age,
                order.slot,
                order.page,
                tuple(describe(listener) for listener in listeners),
                self._shared.hook_arguments.attributes(facts),
            )
            mold.channel.send(message, (theirs.fileno(), *(listener.fd for listener in listeners)))
        except (OSError, ValueError) as error:
            ours.close()
            if isinstance(error, ValueError):  # more addresses than a message can carry
                raise OSError(str(error)) from error
            raise
        finally:
            theirs.close()
        return Child(order.age, 0, ours, generation, mold=mold_pid)

    def _forked(self, age: int, generation: Generation, be: Callable[[Channel, Channel], NoReturn]) -> Child:
        """be: is called in the child, with its end of the channel and the master's. Raises OSError."""
        ours, theirs = Channel.pair()
        try:
            pid = fork(lambda: be(theirs, ours))
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        return Child(age, pid, ours, generation)

    # -- in a child

    def leave_to_master(self) -> None:
        """Close the master's ends of all channels, and its own descriptors."""
        self._children.close_in_child()
        self._shared.close_in_child()

    def leave_all(self) -> None:
        """In a child that will not serve: the listeners too."""
        self.leave_to_master()
        for listener in self._generations.listeners():
            listener.close()

    def _be_worker(
        self, order: Fork, listeners: tuple[Listener, ...], channel: Channel, masters_end: Channel
    ) -> NoReturn:
        """Let go of what is the master's, put the generation's surroundings back, and serve."""
        generation = self._generations[order.generation]
        masters_end.close()
        self.leave_to_master()
        for listener in self._generations.listeners():
            if listener not in listeners:
                listener.close()
        generation.journal.enter_worker()
        generation.surroundings.put_back()
        run_worker(replace(self._start(order.age, generation, channel, listeners, order.page), slot=order.slot))

    def _be_mold(self, order: StartMold, channel: Channel, masters_end: Channel) -> NoReturn:
        generation = self._generations[order.generation]
        masters_end.close()
        self.leave_all()
        generation.journal.enter_mold(channel.close)
        generation.surroundings.put_back()
        run_mold(self._start(order.age, generation, channel, (), _NO_PAGE), run_worker)

    def _start(
        self, age: int, generation: Generation, channel: Channel, listeners: tuple[Listener, ...], page: int
    ) -> WorkerStart:
        return WorkerStart(
            age=age,
            settings=generation.settings,
            listeners=listeners,
            scoreboard=generation.scoreboard,
            page=page,
            channel=channel,
            transfer=self._shared.transfer,
            journal=generation.journal,
            certificates=generation.certificates,
            hook_arguments=self._shared.hook_arguments,
            parent_pid=self._shared.facts.pid,
            source=generation.surroundings.source,
        )
