"""What happens to one process when its patience is spent: dump, report, abort, kill. See the chart in handle.py.

Rules for editing: each step enters the next state with a deadline, and the last one (KILLED) ends without: nothing
repeats, nothing waits for ever. Deciding what replaces the process is reconcile's part.
"""

from ostler.logline import fields
from ostler.supervisor.actions import (
    Action,
    Kick,
    Level,
    Log,
    OrderPromote,
    OrderRetire,
    OrderStop,
    ReportSlowBoot,
    ReportStacks,
    ReportUnreaped,
    Send,
)
from ostler.supervisor.handle import Handle, State
from ostler.supervisor.policy import (
    ABORT_S,
    DUMP_S,
    FORK_ANSWER_S,
    QUIT_S,
    SLOW_BOOT_S,
    UNREAPED_S,
    GenerationSpec,
)

TIMEOUT = "timeout"
REQUEST_TIMEOUT = "request timeout"
GRACEFUL_TIMEOUT = "graceful timeout"
BOOT_TIMEOUT = "boot timeout"
FORK_TIMEOUT = "fork timeout"
NOT_NEEDED = "not needed any more"


def begin_boot(handle: Handle, spec: GenerationSpec, now: float) -> None:
    handle.deadline = now + spec.boot_timeout_s if spec.boot_timeout_s > 0 else None
    handle.slow_at = now + SLOW_BOOT_S


def await_fork(handle: Handle, now: float) -> None:
    """Its mold was asked to fork it. The boot begins when there is a process."""
    handle.deadline = now + FORK_ANSWER_S


def promote(handle: Handle, spec: GenerationSpec, now: float) -> list[Action]:
    """As retire; the worker becomes a mold when it has finished."""
    handle.enter(State.RETIRING, now + spec.graceful_timeout_s)
    return [OrderPromote(_pid(handle))]


def retire(handle: Handle, spec: GenerationSpec, order: OrderRetire, now: float) -> list[Action]:
    """A worker that serves finishes and goes, as `order` says."""
    handle.enter(State.RETIRING, now + spec.graceful_timeout_s)
    return [order]


def stop(handle: Handle, spec: GenerationSpec, now: float) -> list[Action]:
    """The whole server stops: a READY or RETIRING worker finishes and goes."""
    patience = now + spec.graceful_timeout_s
    if handle.state is State.RETIRING and handle.deadline is not None:
        patience = min(patience, handle.deadline)
    handle.enter(State.RETIRING, patience)
    return [OrderStop(_pid(handle))]


def quit_(handle: Handle, cause: str, now: float) -> list[Action]:
    """It leaves at once, in order; a booting one runs user code and may not hear us, so KILL is near."""
    handle.enter(State.QUITTING, now + QUIT_S, cause)
    return [] if handle.pid is None else [Send(handle.pid, Kick.QUIT)]


def cancel_boot(handle: Handle, now: float) -> list[Action]:
    """A BOOTING worker is not needed. It may have become ready a moment ago, and serve: CANCEL does not cut that, and
    its Ready, when we read it, has it retire like any other. One that its mold has not forked yet hears of it then.
    """
    patience = now + QUIT_S if handle.pid is not None else handle.deadline
    handle.enter(State.QUITTING, patience, NOT_NEEDED)
    return [] if handle.pid is None else [Send(handle.pid, Kick.CANCEL)]


def born_late(handle: Handle, now: float) -> list[Action]:
    """Its mold has forked it though it was given up or cancelled: what it has to be told."""
    assert handle.pid is not None
    if handle.state is State.KILLED:
        return _kill(handle, now)
    handle.deadline = now + QUIT_S
    return [Send(handle.pid, Kick.CANCEL if handle.cause == NOT_NEEDED else Kick.QUIT)]


def dump(handle: Handle, cause: str, now: float) -> list[Action]:
    """It will be killed. First its stacks, which need a moment to arrive on the channel."""
    handle.enter(State.DUMPING, now + DUMP_S, cause)
    return [Send(_pid(handle), Kick.DUMP)]


def expire(handle: Handle, silent_s: float, now: float) -> list[Action]:
    """The deadline of `handle` has passed. silent_s: since its last heartbeat, for the report."""
    match handle.state:
        case State.BOOTING if handle.pid is None:
            handle.enter(State.QUITTING, now + QUIT_S, FORK_TIMEOUT)  # should it be born after all, it hears of that
        case State.BOOTING:
            return dump(handle, BOOT_TIMEOUT, now)
        case State.RETIRING:
            return dump(handle, GRACEFUL_TIMEOUT, now)
        case State.DUMPING:
            return [ReportStacks(_pid(handle), _report(handle, silent_s, now), handle.cause), *_after_dump(handle, now)]
        case State.QUITTING | State.ABORTED:
            return _kill(handle, now)
        case State.KILLED:
            handle.deadline = None
            what = "fork is not answered" if handle.pid is None else f"{handle.role.value} outlives KILL"
            text = f"{what}, going on without it {handle.tag} after_s={UNREAPED_S:.0f}"
            return [Log(Level.ERROR, text) if handle.pid is None else ReportUnreaped(handle.pid, text)]
        case State.READY:
            handle.deadline = None
    return []


def slow_boot(handle: Handle, spec: GenerationSpec, now: float) -> list[Action]:
    """A boot takes long: say so once, and where it is, for which its stacks need a moment to arrive."""
    if handle.pid is not None and not handle.shown:
        handle.shown, handle.slow_at = True, now + DUMP_S
        return [Send(handle.pid, Kick.SHOW)]
    handle.slow_at = None
    limit = f"{spec.boot_timeout_s:g}" if spec.boot_timeout_s > 0 else "off"
    text = f"{handle.role.value} is still booting {handle.tag} for_s={SLOW_BOOT_S:.0f} boot_timeout_s={limit}"
    return [Log(Level.WARNING, text) if handle.pid is None else ReportSlowBoot(handle.pid, text)]


def _after_dump(handle: Handle, now: float) -> list[Action]:
    # Only a hung worker is asked to abort: its worker_abort hook may tell more. The others were asked before.
    if handle.cause in (TIMEOUT, REQUEST_TIMEOUT) and not handle.is_mold:
        handle.enter(State.ABORTED, now + ABORT_S)
        return [Send(_pid(handle), Kick.ABORT)]
    return _kill(handle, now)


def _kill(handle: Handle, now: float) -> list[Action]:
    handle.enter(State.KILLED, now + UNREAPED_S)
    return [] if handle.pid is None else [Send(handle.pid, Kick.KILL)]


def _report(handle: Handle, silent_s: float, now: float) -> str:
    if handle.cause == TIMEOUT:
        return f"worker timeout {handle.tag} silent_s={silent_s:.1f}"
    if handle.cause == REQUEST_TIMEOUT:
        return f"request timeout, and its worker could not act {handle.tag} silent_s={silent_s:.1f}"
    if handle.cause == BOOT_TIMEOUT:
        return f"{handle.role.value} boot timeout {handle.tag} boot_s={now - handle.forked_at:.1f}"
    if handle.cause == FORK_TIMEOUT:
        return f"mold does not fork {handle.tag} asked_s={FORK_ANSWER_S:.1f}"
    return fields(f"worker did not finish in time {handle.tag}", limit=handle.cause)


def _pid(handle: Handle) -> int:
    """Only processes whose fork was reported are given orders."""
    assert handle.pid is not None, handle
    return handle.pid
