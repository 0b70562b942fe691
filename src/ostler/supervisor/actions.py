"""The orders that the supervisor returns; roles/perform.py carries them out, in order.

Rules for editing: an order is one thing to do, complete in itself; nothing here knows how it is done.
"""

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How loud a log line is. ERROR: someone must act; WARNING: handled but unexpected; INFO: life cycle."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Kick(Enum):
    """What can be done to a process by signal."""

    QUIT = "quit"  # leave now, in order
    CANCEL = "cancel"  # leave, unless you serve already: then you will be told to retire
    DUMP = "dump"  # write the stacks of all threads into the channel
    ABORT = "abort"  # worker_abort hook, then leave
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Fork:
    """Start a worker; answered by Forked or ForkFailed with the same age."""

    age: int
    slot: int
    generation: int
    page: int


@dataclass(frozen=True, slots=True)
class OrderRetire:
    """last_of_generation: no worker of its generation stays, so nobody stays on listeners that only it has.
    last_of_slot: no worker of its slot stays, so nobody stays on a listener that the slot has for itself (reuse_port).
    nobody_stays: no worker stays at all, though the listeners do (WINCH): connections cannot be handed to anybody.
    """

    pid: int
    last_of_generation: bool
    last_of_slot: bool = False
    nobody_stays: bool = False


@dataclass(frozen=True, slots=True)
class OrderStop:
    pid: int


@dataclass(frozen=True, slots=True)
class Send:
    pid: int
    kick: Kick


@dataclass(frozen=True, slots=True)
class ReportStacks:
    """One error record: the sentence, what the worker was serving, and the stacks that it has dumped."""

    pid: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Log:
    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class WorkersChanged:
    """The goal changed (nworkers_changed hook); old is None at the start."""

    new: int
    old: int | None


@dataclass(frozen=True, slots=True)
class GenerationServes:
    """Its first worker is ready: it is what this server serves from now on."""

    number: int


@dataclass(frozen=True, slots=True)
class ForgetGeneration:
    """No process of it lives and none will be started: what was kept for it may go."""

    number: int


@dataclass(frozen=True, slots=True)
class CloseListeners:
    """Nobody will accept any more."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The master's work is done; it exits with `status`."""

    status: int


Action = (
    Fork
    | OrderRetire
    | OrderStop
    | Send
    | ReportStacks
    | Log
    | WorkersChanged
    | GenerationServes
    | ForgetGeneration
    | CloseListeners
    | Finish
)
