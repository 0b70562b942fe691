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
    DUMP = "dump"  # write the stacks of all threads into the channel: you will be killed
    SHOW = "show"  # the same, and go on
    ABORT = "abort"  # worker_abort hook, then leave
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Fork:
    """Start a worker; answered by Forked or ForkFailed with the same age. mold: the pid of the mold that is to fork it
    (the answer comes later then); None: the master forks, and the worker loads the application by itself.
    """

    age: int
    slot: int
    generation: int
    page: int
    mold: int | None = None


@dataclass(frozen=True, slots=True)
class StartMold:
    """Start the process that loads a generation's application and forks its workers; answered as Fork."""

    age: int
    generation: int


@dataclass(frozen=True, slots=True)
class OrderRetire:
    """last_of_generation: no worker of its generation stays or comes, so nobody stays on listeners that only it has.
    last_of_slot: no worker of its slot stays or comes, so nobody on a listener of the slot's own (reuse_port).
    nobody_stays: no worker stays at all, though the listeners do (WINCH): connections cannot be handed to anybody.
    """

    pid: int
    last_of_generation: bool
    last_of_slot: bool = False
    nobody_stays: bool = False


@dataclass(frozen=True, slots=True)
class OrderPromote:
    """As OrderRetire to one that siblings stay beside; then it becomes its generation's mold instead of leaving, and
    answers with MoldReady or PromotionRefused.
    """

    pid: int


@dataclass(frozen=True, slots=True)
class LameDuck:
    """The server will stop in `seconds`: readiness fails from now on, and everything else is served."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ReloadEnded:
    """A reload (HUP) is over. generation: the one that serves now. text: one line; of a failed one, why. reload: the
    generation that was to come; None when there was none yet, for the settings were rejected. A reload that a later one
    overtakes does not end by itself.
    """

    succeeded: bool
    generation: int | None
    text: str
    reload: int | None = None


@dataclass(frozen=True, slots=True)
class MeasureMemory:
    """Log `text` with the memory (PSS) of these processes."""

    text: str
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OrderStop:
    pid: int


@dataclass(frozen=True, slots=True)
class Send:
    pid: int
    kick: Kick


@dataclass(frozen=True, slots=True)
class ReportStacks:
    """One error record: the sentence, what the worker was serving, and the stacks that it has dumped. why: the cause
    for which it is ended (deadlines.py). goes_on: it is not ended; its stacks were asked for by SHOW.
    """

    pid: int
    sentence: str
    why: str = ""
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class ReportSlowBoot:
    """One warning: the sentence, and the line at which the stacks that it has dumped show the boot."""

    pid: int
    sentence: str


@dataclass(frozen=True, slots=True)
class ReportUnreaped:
    """One error: the sentence, and what the kernel says of a process that outlives KILL."""

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
    | StartMold
    | OrderRetire
    | OrderPromote
    | OrderStop
    | LameDuck
    | ReloadEnded
    | MeasureMemory
    | Send
    | ReportSlowBoot
    | ReportStacks
    | ReportUnreaped
    | Log
    | WorkersChanged
    | GenerationServes
    | ForgetGeneration
    | CloseListeners
    | Finish
)
