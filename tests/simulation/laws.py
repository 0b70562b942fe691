"""What must hold whatever happens: checked after every fact, and before every order, on the world's own books.

Each law is broken on purpose in test_laws_can_fail.py: a law that cannot fail proves nothing.
"""

from ostler.supervisor.actions import Action, ForgetGeneration, Fork, Kick, OrderRetire, OrderStop, Send
from ostler.supervisor.events import Event
from ostler.supervisor.policy import ABORT_S, DUMP_S, QUIT_S, SURGE
from tests.simulation.world import Process, World

ORDERS_PER_FACT = 30  # and three for each process: a stop orders something of everyone, and logs it
EPSILON_S = 1e-6


def live(world: World) -> int:
    """Processes that serve or boot, and were not told to end."""
    return len(world.serving()) + len(world.booting())


def judge(world: World, action: Action) -> None:
    """Whether this order may be given now."""
    books = world.books
    assert books.finished_at is None, f"an order after Finish: {action}"
    match action:
        case Fork():
            assert books.stop_asked_at is None, "a worker is started while the server stops"
            assert action.generation not in books.forgotten | books.failed, "a worker of a generation that was given up"
            assert live(world) < books.goal + SURGE, f"{live(world)} live, and one more, for a goal of {books.goal}"
            pages = {process.order.page for process in world.processes.values()}
            assert action.page not in pages, f"page {action.page} is given twice"
        case OrderRetire(pid):
            process = world.processes[pid]
            finishes = process.serving or (process.ready_late and not process.ordered)
            assert finishes, f"retired twice, or never ready: {process}"
            left = len(world.serving()) - process.serving
            enough = left >= books.goal or not process.serving  # a late one was never counted as capacity
            assert enough, "a serving worker retires though no more than the goal serve"
        case OrderStop(pid):
            assert books.stop_asked_at is not None, "Stop without a stop"
            assert world.processes[pid].ready_at is not None
        case Send(pid, kick):
            judge_kick(world, world.processes[pid], kick)
        case ForgetGeneration(number):
            users = [process for process in world.processes.values() if process.order.generation == number]
            assert not users, f"generation {number} is forgotten while processes of it live"
        case _:
            pass


def judge_kick(world: World, process: Process, kick: Kick) -> None:
    """A process is only pushed for a reason, and only after the gentler push had its time."""
    now, spec = world.now, process.spec
    match kick:
        case Kick.QUIT:
            stops = world.books.quick_asked_at is not None or world.books.status is not None
            first_boot_failed = world.supervisor.stopping
            assert process.booting or stops or first_boot_failed, f"QUIT to a serving worker: {process}"
        case Kick.CANCEL:
            assert process.booting, f"CANCEL to a worker that serves or leaves: {process}"
        case Kick.DUMP:
            silent = spec.timeout_s > 0 and process.hung_since is not None and now - process.hung_since > spec.timeout_s
            overdue = process.stop_at is not None and now - process.stop_at >= spec.graceful_timeout_s - EPSILON_S
            unborn = process.ready_at is None and now - process.forked_at >= spec.boot_timeout_s - EPSILON_S
            process.dumped_for = "overdue" if overdue else "unborn" if unborn else "silent" if silent else ""
            assert process.dumped_for, f"DUMP without a reason: {process}"
        case Kick.ABORT:
            assert process.dumped_at is not None
            assert now - process.dumped_at >= DUMP_S - EPSILON_S
        case Kick.KILL:
            assert process.killed_at is None, "killed twice"
            assert patience_is_over(process, now), f"KILL too soon: {process}"


def patience_is_over(process: Process, now: float) -> bool:
    """The last push before KILL had its time: ABRT; a dump, when it had been told to end before; or QUIT."""
    if process.aborted_at is not None:
        return now - process.aborted_at >= ABORT_S - EPSILON_S
    if process.dumped_at is not None:
        return process.dumped_for != "silent" and now - process.dumped_at >= DUMP_S - EPSILON_S
    # One whose Ready crossed CANCEL serves, and has the same patience as others that retire.
    cancelled_at = None if process.ready_late else process.cancelled_at
    pushes = (process.quit_at, cancelled_at, process.failed_at)
    leaves_since = next((when for when in pushes if when is not None), None)
    return leaves_since is not None and now - leaves_since >= QUIT_S - EPSILON_S


def check(world: World, event: Event, orders: list[Action]) -> None:
    """What must be true after every fact."""
    roster, books = world.supervisor.roster, world.books
    assert len(orders) <= ORDERS_PER_FACT + 4 * (len(world.processes) + books.goal), f"{len(orders)} orders: {event}"
    assert live(world) <= books.goal + SURGE, f"{live(world)} live processes for a goal of {books.goal}"
    assert len(roster) == len(world.processes), "the roster has lost or invented a process"
    assert roster.free_pages == roster.pages - len(world.processes), "a page is lost"
    deadline = world.supervisor.next_deadline()
    assert deadline is None or deadline > world.now or has_no_patience(world), "a deadline that does not pass"


class CapacityIsKept:
    """For a world where no worker crashes: the number that serves falls only towards the goal, never below it."""

    def __init__(self) -> None:
        self.serving = 0

    def check(self, world: World, event: Event, orders: list[Action]) -> None:
        check(world, event, orders)
        serving = len(world.serving())
        assert serving >= min(self.serving, world.books.goal), f"{serving} serve, {self.serving} did before {event}"
        self.serving = serving


def has_no_patience(world: World) -> bool:
    """A graceful_timeout of 0 is due at once; everything else is later."""
    return any(process.spec.graceful_timeout_s == 0 for process in world.processes.values())


def settled(world: World) -> None:
    """What must be true when faults have stopped for long enough: exactly the goal serves, and nothing else lives."""
    assert len(world.serving()) == world.books.goal, f"{len(world.serving())} serve, the goal is {world.books.goal}"
    left = [process for process in world.processes.values() if not process.serving]
    assert not left, f"left over: {left}"
    slots = sorted(process.order.slot for process in world.processes.values())
    assert len(set(slots)) == len(slots), f"two workers in one slot: {slots}"


def ended(world: World, limit_s: float) -> None:
    """What must be true after a stop."""
    books = world.books
    assert books.finished_at is not None, f"not finished after {limit_s} s: {list(world.processes.values())}"
    for process in world.processes.values():
        assert process.killed_at is not None, f"left alive: {process}"
