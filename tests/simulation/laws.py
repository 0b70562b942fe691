"""What must hold whatever happens: checked after every fact, and before every order, on the world's own books.

Each law is broken on purpose in test_laws_can_fail.py: a law that cannot fail proves nothing.
"""

from ostler.supervisor.actions import (
    Action,
    ForgetGeneration,
    Fork,
    GenerationServes,
    Kick,
    OrderPromote,
    OrderRetire,
    OrderStop,
    ReloadEnded,
    Send,
    StartMold,
)
from ostler.supervisor.events import Event
from ostler.supervisor.handle import State
from ostler.supervisor.overdue import GRACE_S
from ostler.supervisor.policy import ABORT_S, DUMP_S, FORK_ANSWER_S, QUIT_S, SLOW_BOOT_S, GenerationSpec
from tests.simulation.processes import Code, Pending, Process
from tests.simulation.world import World

ORDERS_PER_FACT = 30  # and three for each process: a stop orders something of everyone, and logs it
EPSILON_S = 1e-6
WATCHDOG_S = 60.0
WORSE_REQUESTS = 60  # of a worker that fails every second request: more than enough to see it


def awaited(world: World) -> int:
    """Workers that molds were asked for. That one is not wanted any more is nothing that a process hears: the roster is
    asked, and should it be born, it has to be told.
    """
    handles = [world.supervisor.roster.get(age) for age in world.pending]
    return sum(handle is not None and handle.state is State.BOOTING for handle in handles)


def live(world: World) -> int:
    """Workers that serve, boot or will, and were not told to end."""
    return len(world.serving()) + len(world.booting()) + awaited(world)


def specs(world: World) -> list[GenerationSpec]:
    books = world.books
    return [spec for number, spec in books.accepted.items() if number not in books.forgotten]


def room(world: World) -> int:
    """The most that may live. What is on trial may, though the goal be 0."""
    needs_one = world.books.goal < 2  # a single worker never makes room for its successor
    surges = (spec.surge if spec.surge or (spec.max_unavailable and not needs_one) else 1 for spec in specs(world))
    giving_way = sum(process.gives_way for process in world.serving())
    return max(1, world.books.goal + max(surges, default=1)) + world.books.extra + giving_way


def least(world: World) -> int:
    """Fewer may not serve because of what the supervisor orders: never nobody."""
    goal = world.books.goal
    return max(min(goal, 1), goal - max((spec.max_unavailable for spec in specs(world)), default=0))


def judge(world: World, action: Action) -> None:
    """Whether this order may be given now."""
    books = world.books
    assert books.finished_at is None, f"an order after Finish: {action}"
    match action:
        case Fork() | StartMold():
            lame = books.lame_until is not None and world.now < books.lame_until and books.stops_asked == 1
            assert books.stop_asked_at is None or lame, "a process is started while the server stops"
            assert action.generation not in books.forgotten | books.failed, "a process of what was given up"
            judge_mold(world, action) if isinstance(action, StartMold) else judge_fork(world, action)
        case OrderRetire(pid) | OrderPromote(pid):
            judge_retirement(world, world.processes[pid], promoted=isinstance(action, OrderPromote))
            if isinstance(action, OrderRetire) and action.last_of_generation and not action.nobody_stays:
                world.books.emptied.add(world.processes[pid].generation)
        case OrderStop(pid):
            assert books.stop_asked_at is not None, "Stop without a stop"
            waits = books.lame_until is not None and books.stops_asked == 1 and world.now < books.lame_until
            assert not waits, "Stop during the lame duck"
            assert world.processes[pid].ready_at is not None
        case Send(pid, kick):
            judge_kick(world, world.processes[pid], kick)
        case GenerationServes(number):
            judge_commit(world, number)
        case ReloadEnded():
            judge_end(world, action)
        case ForgetGeneration(number):
            users = [process for process in world.processes.values() if process.generation == number]
            users += [pending.mold for pending in world.pending.values() if pending.order.generation == number]
            assert not users, f"generation {number} is forgotten while processes of it live"
        case _:
            pass


def judge_fork(world: World, action: Fork) -> None:
    assert live(world) < room(world), f"{live(world)} live, and one more, for a goal of {world.books.goal}"
    pages = {process.page for process in world.processes.values()}
    pages |= {pending.order.page for pending in world.pending.values()}
    assert action.page not in pages, f"page {action.page} is given twice"
    assert (action.mold is not None) == world.books.preloads(action.generation), f"who forks {action}?"
    mold = world.processes.get(action.mold or 0)
    able = action.mold is None or (mold is not None and mold.can_fork and mold.generation == action.generation)
    assert able, f"{action} of a mold that is not ready: {mold}"


def judge_mold(world: World, action: StartMold) -> None:
    books, number = world.books, action.generation
    assert books.preloads(number), "a mold for a generation without preload"
    assert number in needed(world), f"a mold of generation {number} is of no use"
    others = [mold for mold in world.molds() if mold.generation == number and not mold.unwanted]
    assert all(mold.can_fork for mold in others), f"two molds of one generation are made: {others}"
    assert not others or number in books.changed, f"a mold is made though there is one: {others}"


def needed(world: World) -> set[int]:
    """Generations that new processes are made of."""
    books = world.books
    base = books.committed if books.committed is not None else max(books.accepted)
    return {base} | ({books.candidate} if books.candidate is not None else set())


def judge_retirement(world: World, process: Process, *, promoted: bool) -> None:
    finishes = process.serving or (process.ready_late and not process.ordered)
    assert finishes, f"retired twice, or never ready: {process}"
    if not process.serving:
        return  # a late one was never counted as capacity
    canary = world.canary()
    assert len(world.serving()) - 1 >= least(world), "a serving worker retires though no more than the goal serve"
    if canary is not None:
        assert process is not canary, "the canary retires while it is watched"
        goal = world.books.goal
        gives_way = goal > 1 and any(spec.surge == 0 and spec.max_unavailable for spec in specs(world))
        assert len(world.serving()) - 2 >= goal - gives_way, "a worker retires because of a canary"
    if world.books.stop_asked_at is not None:
        assert len(world.serving()) > world.books.goal, "a worker is replaced though the server stops"
    if promoted:
        books = world.books
        assert process.generation == books.committed, "a stale worker is promoted"
        assert process.spec.refork_after, "promoted without being asked for"
        assert process.work.requests >= min(filter(None, process.spec.refork_after)), "promoted while cold"
        assert books.candidate is None, "a refork during a reload"


def judge_commit(world: World, number: int) -> None:
    """Who serves from now on has shown that it can."""
    books, spec = world.books, world.books.accepted[number]
    assert number not in books.failed | books.forgotten, f"generation {number} serves though it was given up"
    assert number not in books.emptied, f"generation {number} comes back though its last worker empties its addresses"
    if books.committed is None or spec.canary_s == 0 or number in books.served_once:
        return
    canary = world.canary()
    assert canary is not None, "committed without a canary"
    assert canary.ready_at is not None
    assert world.now - canary.ready_at >= spec.canary_s - EPSILON_S, "the canary was not watched for long enough"
    worse = canary.code is Code.WORSE and canary.work.requests >= WORSE_REQUESTS and world.erring == {canary.pid}
    assert not worse, f"a canary that did worse is rolled out: {canary}"


def judge_end(world: World, action: ReloadEnded) -> None:
    """A reload ends once; as complete only when it is."""
    books = world.books
    assert action.generation == books.committed, f"generation {books.committed} serves, not {action}"
    if action.reload is None:
        assert not action.succeeded
        return
    assert action.reload in books.open_reloads, f"it has ended or was overtaken: {action}"
    if action.succeeded:
        others = [p for p in world.serving() + world.booting() if p.generation != action.reload]
        assert not others, f"complete, though there are {others}"
        assert len(world.serving()) >= books.goal, "complete, though workers are missing"


def judge_kick(world: World, process: Process, kick: Kick) -> None:
    """A process is only pushed for a reason, and only after the gentler push had its time."""
    now, spec = world.now, process.spec
    match kick:
        case Kick.QUIT:
            stops = world.books.stop_asked_at is not None or world.books.status is not None
            first_boot_failed = world.supervisor.stopping
            spare = process.mold and is_spare(world, process)
            assert process.booting or stops or first_boot_failed or spare, f"QUIT to one that is needed: {process}"
        case Kick.CANCEL:
            assert process.booting, f"CANCEL to a worker that serves or leaves: {process}"
            assert not process.mold, f"CANCEL to a mold: {process}"
        case Kick.DUMP:
            silent = spec.timeout_s > 0 and process.hung_since is not None and now - process.hung_since > spec.timeout_s
            overdue = process.stop_at is not None and now - process.stop_at >= spec.graceful_timeout_s - EPSILON_S
            unborn = process.ready_at is None and now - process.forked_at >= spec.boot_timeout_s - EPSILON_S
            waits = [pending.asked_at for pending in world.pending.values() if pending.mold is process]
            mute = any(now - asked_at >= FORK_ANSWER_S - EPSILON_S for asked_at in waits)
            late = 0 < process.hard_at <= now - GRACE_S + EPSILON_S
            reasons = {"overdue": overdue, "unborn": unborn, "mute": mute, "silent": silent and not process.mold}
            reasons["late"] = late
            process.dumped_for = next((reason for reason, holds in reasons.items() if holds), "")
            assert process.dumped_for, f"DUMP without a reason: {process}"
        case Kick.SHOW:
            judge_show(process, now)
        case Kick.ABORT:
            assert process.dumped_at is not None
            assert now - process.dumped_at >= DUMP_S - EPSILON_S
        case Kick.KILL:
            assert process.killed_at is None, "killed twice"
            assert patience_is_over(process, now), f"KILL too soon: {process}"


def judge_show(process: Process, now: float) -> None:
    """A slow boot; a soft deadline that its worker has not seen to, once; or a worker that serves nobody, once."""
    if process.booting:
        assert now - process.forked_at >= SLOW_BOOT_S - EPSILON_S, f"SHOW too soon: {process}"
    elif 0 < process.soft_at <= now - GRACE_S + EPSILON_S and process.shown_for != process.soft_at:
        process.shown_for = process.soft_at
    else:
        assert process.crowded_since is not None, f"SHOW without a reason: {process}"
        assert not process.crowd_shown, f"SHOW twice: {process}"
        assert process.spec.timeout_s > 0
        assert now - process.crowded_since >= process.spec.timeout_s - EPSILON_S, f"SHOW too soon: {process}"
        process.crowd_shown = True


def is_spare(world: World, mold: Process) -> bool:
    """Whether another mold has taken its place, or its generation needs none."""
    others = [each for each in world.molds() if each.generation == mold.generation and each is not mold]
    preloads = mold.generation in needed(world) and world.books.preloads(mold.generation)
    return not preloads or any(each.can_fork for each in others)


def patience_is_over(process: Process, now: float) -> bool:
    """The last push before KILL had its time: ABRT; a dump, when it had been told to end before; or QUIT."""
    if process.aborted_at is not None:
        return now - process.aborted_at >= ABORT_S - EPSILON_S
    if process.dumped_at is not None:
        return process.dumped_for not in ("silent", "late") and now - process.dumped_at >= DUMP_S - EPSILON_S
    if process.ready_at is None and process.forked_at == now and process.waited_s >= QUIT_S:
        return True  # its mold forked it long after it was given up
    # One whose Ready crossed CANCEL serves, and has the same patience as others that retire.
    cancelled_at = None if process.ready_late else process.cancelled_at
    declined_at = process.stop_at if process.declined else None
    pushes = (process.quit_at, cancelled_at, process.failed_at, declined_at)
    leaves_since = next((when for when in pushes if when is not None), None)
    # One that was given up before its mold forked it has been told late.
    return leaves_since is not None and now - leaves_since + process.waited_s >= QUIT_S - EPSILON_S


def check(world: World, event: Event, orders: list[Action]) -> None:
    """What must be true after every fact."""
    roster, books = world.supervisor.roster, world.books
    processes = len(world.processes) + len(world.pending)
    assert len(orders) <= ORDERS_PER_FACT + 4 * (processes + books.goal), f"{len(orders)} orders: {event}"
    assert live(world) <= room(world), f"{live(world)} live processes for a goal of {books.goal}"
    assert len(roster) == processes, "the roster has lost or invented a process"
    with_page = len(world.pending) + sum(process.page is not None for process in world.processes.values())
    assert roster.free_pages == roster.pages - with_page, "a page is lost"
    deadline = world.supervisor.next_deadline()
    assert deadline is None or deadline > world.now or has_no_patience(world), "a deadline that does not pass"
    assert books.rejections == books.rejections_ended, "a rejected reload has not ended, or twice"
    assert books.stop_asked_at is None or not books.open_reloads, "a reload goes on though the server stops"
    sound = any(process.hung_since is None for process in world.serving())
    assert not (sound and world.supervisor.health.problem(WATCHDOG_S)), "the watchdog restarts what serves"
    check_molds(world)


def is_minded(world: World, pending: Pending) -> bool:
    """Whether a fork that is not answered has time left, or its mold is dead or was told to leave."""
    dead = world.processes.get(pending.mold.pid) is not pending.mold
    return dead or pending.mold.unwanted or world.now - pending.asked_at <= FORK_ANSWER_S + EPSILON_S


def check_molds(world: World) -> None:
    """One mold forks for a generation, and one more is made at most."""
    assert all(is_minded(world, pending) for pending in world.pending.values()), "a mold hangs, and nobody minds"
    kept = [mold for mold in world.molds() if not mold.unwanted]
    for number in {mold.generation for mold in kept}:
        mine = [mold.can_fork for mold in kept if mold.generation == number]
        assert mine.count(True) <= 1, f"two molds of generation {number}: {kept}"
        assert mine.count(False) <= 1, f"two molds of generation {number} are made: {kept}"


class CapacityIsKept:
    """For a world where no worker crashes: the number that serves falls only towards the least, never below it."""

    def __init__(self) -> None:
        self.serving = 0

    def check(self, world: World, event: Event, orders: list[Action]) -> None:
        check(world, event, orders)
        serving = len(world.serving())
        assert serving >= min(self.serving, least(world)), f"{serving} serve, {self.serving} did before {event}"
        self.serving = serving


def has_no_patience(world: World) -> bool:
    """A graceful_timeout of 0 is due at once; everything else is later."""
    return any(process.spec.graceful_timeout_s == 0 for process in world.processes.values())


def settled(world: World) -> None:
    """What must be true when faults have stopped for long enough: exactly the goal serves, and nothing else lives but
    the mold, and all run the code that was on disk when they were asked for.
    """
    books, processes = world.books, list(world.processes.values())
    assert len(world.serving()) == books.goal, f"{len(world.serving())} serve, the goal is {books.goal}"
    left = [process for process in processes if not process.serving and not process.can_fork]
    assert not left, f"left over: {left}"
    assert not world.pending, f"forks that are not answered: {world.pending}"
    slots = sorted(p.order.slot for p in world.serving() if isinstance(p.order, Fork))
    assert len(set(slots)) == len(slots), f"two workers in one slot: {slots}"
    assert books.committed is not None
    molds = [mold.generation for mold in world.molds()]
    assert molds == [books.committed] * books.preloads(books.committed), f"molds of generations {molds} are left"
    assert not books.open_reloads, f"reloads that have not ended: {books.open_reloads}"
    old = [process for process in processes if process.version < books.versions[process.generation]]
    assert not old, f"old code: {old}"


def ended(world: World, limit_s: float) -> None:
    """What must be true after a stop."""
    books = world.books
    assert books.finished_at is not None, f"not finished after {limit_s} s: {list(world.processes.values())}"
    for process in world.processes.values():
        assert process.killed_at is not None, f"left alive: {process}"
