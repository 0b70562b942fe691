"""The master's view of one process, a worker or a mold: its state, its deadline, and the words for its death. (The
processes themselves are roles/worker.py and roles/mold.py.)

    BOOTING --Ready--> READY --Retire, Stop--> RETIRING --> (exit)
       |                 |                        |
       | boot_timeout    | silent                 | graceful_timeout, silent
       +-----------------+------> DUMPING <-------+
                                     |  hung: ABRT, else KILL
                                     v
    QUITTING --2 s--> KILLED <--- ABORTED

QUITTING: told to leave (a quick stop, a boot that is not wanted any more, a boot that failed, a mold that is not
needed). A boot that was ready before it heard of that goes to RETIRING. A worker whose fork its mold has not answered
is BOOTING with pid None; it goes to QUITTING when the answer does not come.
A mold never retires, for it serves nobody. A worker that is promoted is RETIRING, and then a READY mold.
Workers that are READY or BOOTING are capacity; in every other state they are leaving and only have to be reaped.

Rules for editing: one deadline per state; every state but READY and KILLED has one, so nothing can wait for ever.
"""

from enum import Enum

from ostler.supervisor.events import ChildExited, RetireReason


class Role(Enum):
    WORKER = "worker"
    MOLD = "mold"


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
    """One roster entry. `age` identifies it (a pid may come again); `pid` is None until the fork is reported.

    page: of the scoreboard; None for a mold. mold: the age of the mold that forks it; None when the master does.
    outdated: a newer mold of its generation has come, so it is to be replaced. renew: a mold whose code is not that on
    disk any more, so that it is to be replaced. promoted: a worker that is to become a mold, or a mold that was one.
    unwanted: an embedder's Arbiter has sent it away; gives_way: and has asked for an extra worker before.
    """

    __slots__ = (
        "age",
        "asked",
        "cause",
        "deadline",
        "forked_at",
        "generation",
        "gives_way",
        "mold",
        "outdated",
        "page",
        "pid",
        "promoted",
        "ready_at",
        "renew",
        "role",
        "shown",
        "slot",
        "slow_at",
        "state",
        "unwanted",
    )

    def __init__(self, age: int, slot: int, generation: int, page: int | None, now: float) -> None:
        self.age = age
        self.slot = slot
        self.generation = generation
        self.page = page
        self.role = Role.WORKER if page is not None else Role.MOLD
        self.pid: int | None = None
        self.state = State.BOOTING
        self.forked_at = now
        self.ready_at: float | None = None
        self.deadline: float | None = None  # when the state's patience ends
        self.slow_at: float | None = None  # when a slow boot is mentioned
        self.shown = False  # its stacks were asked for, to say where the slow boot is
        self.asked: RetireReason | None = None  # it asked to be replaced
        self.cause = ""  # why the master ends it, once it does
        self.mold: int | None = None
        self.outdated = False
        self.renew = False
        self.unwanted = False
        self.gives_way = False
        self.promoted = False

    def __repr__(self) -> str:
        return f"<{self.state.value} {self.role.value} {self.tag} age={self.age}>"

    @property
    def tag(self) -> str:
        of_generation = f"gen={self.generation} pid={self.pid}"
        return of_generation if self.is_mold else f"slot={self.slot} {of_generation}"

    @property
    def is_mold(self) -> bool:
        return self.role is Role.MOLD

    @property
    def live(self) -> bool:
        """Whether it is capacity."""
        return self.state in LIVE and not self.is_mold

    def enter(self, state: State, deadline: float | None, cause: str = "") -> None:
        """Change state. The first cause stands: a worker that hangs while it retires dies of what came first."""
        self.state = state
        self.deadline = deadline
        self.slow_at = None
        self.cause = self.cause or cause

    def become_ready(self, now: float) -> None:
        self.enter(State.READY, None)
        self.ready_at = now


def how_it_ended(handle: Handle, event: ChildExited) -> str:
    """The cause of a death: our own kill, a signal, or an exit status."""
    ending = f"signal {event.signal}" if event.signal is not None else f"exit status {event.status}"
    if handle.state in (State.ABORTED, State.KILLED):
        return f"killed by master: {handle.cause}"
    if handle.state is State.DUMPING:
        return f"{ending}, before the master killed it: {handle.cause}"
    if handle.state is State.QUITTING and event.signal == "SIGKILL":
        return f"killed by master: {handle.cause}" if handle.cause else ending
    if was_expected(handle, event):
        return ending
    how = event.how or ("not sent by the master; out of memory?" if event.signal == "SIGKILL" else "")
    return f"{ending}, {how}" if how else ending


def was_expected(handle: Handle, event: ChildExited) -> bool:
    """Whether the process ended because it was told to, and as it was told to; or had asked to be replaced, as a worker
    class with a loop of its own does when it leaves after `max_requests`.
    """
    if handle.state is State.QUITTING:
        return True
    leaves = handle.state is State.RETIRING or (handle.state is State.READY and handle.asked is not None)
    return leaves and event.status == 0
