"""The master's view of one worker process: its state, its deadline, and the words for its death. (The process itself is
roles/worker.py.)

    BOOTING --Ready--> READY --Retire, Stop--> RETIRING --> (exit)
       |                 |                        |
       | boot_timeout    | silent                 | graceful_timeout, silent
       +-----------------+------> DUMPING <-------+
                                     |  hung: ABRT, else KILL
                                     v
    QUITTING --2 s--> KILLED <--- ABORTED

QUITTING: told to leave (a quick stop, a boot that is not wanted any more, a boot that failed). A boot that was ready
before it heard of that goes to RETIRING.
READY and BOOTING are capacity; every other state is leaving and only has to be reaped.

Rules for editing: one deadline per state; every state but READY and KILLED has one, so nothing can wait for ever.
"""

from enum import Enum

from ostler.supervisor.events import ChildExited, RetireReason


class State(Enum):
    BOOTING = "booting"
    READY = "ready"
    RETIRING = "retiring"
    QUITTING = "quitting"
    DUMPING = "dumping"
    ABORTED = "aborted"
    KILLED = "killed"


LIVE = (State.BOOTING, State.READY)


class Handle:
    """One roster entry. `age` identifies it (a pid may come again); `pid` is None until the fork is reported."""

    __slots__ = (
        "age",
        "asked",
        "cause",
        "deadline",
        "forked_at",
        "generation",
        "page",
        "pid",
        "ready_at",
        "slot",
        "slow_at",
        "state",
    )

    def __init__(self, age: int, slot: int, generation: int, page: int, now: float) -> None:
        self.age = age
        self.slot = slot
        self.generation = generation
        self.page = page
        self.pid: int | None = None
        self.state = State.BOOTING
        self.forked_at = now
        self.ready_at: float | None = None
        self.deadline: float | None = None  # when the state's patience ends
        self.slow_at: float | None = None  # when a slow boot is mentioned
        self.asked: RetireReason | None = None  # it asked to be replaced
        self.cause = ""  # why the master ends it, once it does

    def __repr__(self) -> str:
        return f"<{self.state.value} {self.tag} age={self.age}>"

    @property
    def tag(self) -> str:
        return f"slot={self.slot} gen={self.generation} pid={self.pid}"

    @property
    def live(self) -> bool:
        return self.state in LIVE

    def enter(self, state: State, deadline: float | None, cause: str = "") -> None:
        """Change state. The first cause stands: a worker that hangs while it retires dies of what came first."""
        self.state = state
        self.deadline = deadline
        self.slow_at = None
        self.cause = self.cause or cause


def how_it_ended(handle: Handle, event: ChildExited) -> str:
    """The cause of a death: our own kill, a signal, or an exit status."""
    ending = f"signal {event.signal}" if event.signal is not None else f"exit status {event.status}"
    if handle.state in (State.ABORTED, State.KILLED):
        return f"killed by master: {handle.cause}"
    if handle.state is State.DUMPING:
        return f"{ending}, before the master killed it: {handle.cause}"
    if handle.state is State.QUITTING and event.signal == "SIGKILL":
        return f"killed by master: {handle.cause}" if handle.cause else ending
    if event.signal == "SIGKILL":
        return f"{ending}, not sent by the master; out of memory?"
    return ending


def was_expected(handle: Handle, event: ChildExited) -> bool:
    """Whether the process ended because it was told to, and as it was told to."""
    if handle.state is State.QUITTING:
        return True
    return handle.state is State.RETIRING and event.status == 0
