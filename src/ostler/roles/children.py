"""The master's children: workers and molds, from the order to fork them until they are reaped.

A worker that a mold forks is here, with its channel, before anybody knows its pid (`pid` 0): it says that first of all.

Rules for editing: a book, nothing more: nothing here forks, sends or decides.
"""

import select
from collections.abc import Iterator
from dataclasses import dataclass

from ostler import real
from ostler.config.settings import Settings
from ostler.observe.diagnosis import Finding
from ostler.observe.hooks import WorkerFacts
from ostler.observe.scoreboard import Page
from ostler.process.channel import Channel
from ostler.process.listeners import Listener
from ostler.roles.generation import Generation
from ostler.roles.inquest import Sight
from ostler.supervisor.events import Work

_Poll = real.poll


@dataclass(slots=True, eq=False)
class Child:
    """One process. facts: None for a mold. mold: the pid of the one that forks it; None: the master did."""

    age: int
    pid: int
    channel: Channel
    generation: Generation
    facts: WorkerFacts | None = None
    listeners: tuple[Listener, ...] = ()
    slot: int = 0
    mold: int | None = None
    promoting: bool = False  # a worker that was told to become a mold
    receives: bool = True  # of a worker that is ready: it takes connections of siblings
    silenced: bool = False  # its end of the channel is closed: nothing more will be read
    last_words: str = ""  # of one that is dead: the text beside its messages (process/last_words.py)
    sight: Sight | None = None  # of one that hangs, before it was asked for its stacks
    finding: Finding | None = None  # of one that is ended for it
    killed: bool = False  # the master has sent it SIGKILL

    @property
    def born(self) -> bool:
        return self.pid != 0

    @property
    def page(self) -> Page | None:
        return None if self.facts is None else self.facts.page

    @property
    def settings(self) -> Settings:
        return self.generation.settings

    @property
    def ours(self) -> tuple[int, ...]:
        """Positions of the listeners that no other server has now; the worker knows only how it was at its fork."""
        return tuple(index for index, listener in enumerate(self.listeners) if not listener.inherited)


class Children:
    """All of them, and the poller that says whose channel has something to read."""

    def __init__(self) -> None:
        self.poller = _Poll()
        self.by_fd: dict[int, Child] = {}
        """By the master's end of the channel; those too that are not born yet."""
        self.by_pid: dict[int, Child] = {}
        self.past = Work()
        """What workers have done that are not here any more."""

    def add(self, child: Child) -> None:
        self.by_fd[child.channel.fileno()] = child
        self.poller.register(child.channel.fileno(), select.POLLIN)
        if child.born:
            self.by_pid[child.pid] = child

    def born(self, child: Child, pid: int) -> None:
        child.pid = pid
        self.by_pid[pid] = child

    def all(self) -> list[Child]:
        return list(self.by_fd.values())

    def workers(self) -> Iterator[tuple[Child, WorkerFacts]]:
        """Those that are born."""
        for child in self.by_pid.values():
            if child.facts is not None:
                yield child, child.facts

    def unborn(self) -> list[Child]:
        return [child for child in self.by_fd.values() if not child.born]

    def silence(self, child: Child) -> None:
        """Its end of the channel is closed; its death is on the way, or it closed what is not its own."""
        if not child.silenced:
            child.silenced = True
            self.poller.unregister(child.channel.fileno())

    def remember_work(self, child: Child) -> None:
        """It gives back its page, or will not serve any more."""
        if child.page is not None:
            past, work = self.past, child.page.work(0.0)
            requests, errors = past.requests + work.requests, past.errors + work.errors
            self.past = Work(requests, errors, past.busy_s + work.busy_s)

    def remove(self, child: Child) -> None:
        """It is gone, or was never there; its channel is closed."""
        self.remember_work(child)
        self.by_pid.pop(child.pid, None)
        del self.by_fd[child.channel.fileno()]
        self.silence(child)
        child.channel.close()

    def close_in_child(self) -> None:
        """The master's ends of all channels, with what waits to be sent there."""
        for child in self.by_fd.values():
            child.channel.close()
