"""What can happen in a wild world, one function each; and settings for its generations."""

from collections.abc import Callable
from typing import Any

from ostler.supervisor.events import CapacityAsked, ChildExited, WorkersDismissed
from tests.simulation.processes import Code, Process
from tests.simulation.world import World

CODES = [
    *(Code.GOOD, Code.GOOD, Code.BROKEN, Code.SILENT, Code.HANGING, Code.CRASHING),
    *(Code.WORSE, Code.SLOW, Code.FLAKY, Code.SHARING),
]
REASONS = ["max_requests", "signal", "reload", "max_worker_age", "max_worker_memory", "request_timeout"]


def some_settings(world: World) -> dict[str, Any]:
    """Of a generation: with a mold or without, at any pace, watched or not."""
    chance = world.random
    surge, unavailable = chance.choice([(1, 0), (1, 0), (3, 0), (1, 1), (0, 1), (0, 2), (2, 1), (0, 0)])
    return {
        "preload": chance.random() < 0.5,
        "surge": surge,
        "max_unavailable": unavailable,
        "canary_s": chance.choice([0.0, 0.0, 1.0, 5.0]),
        "refork_after": chance.choice([(), (60, 150), (100,), (50, 0)]),
        "lame_duck_s": chance.choice([0.0, 0.0, 3.0]),
    }


def wild_acts(world: World, timeout_s: float, graceful_s: float) -> list[Callable[[], object]]:
    """Disturbances to choose from; some twice, for they should come more often."""
    chance, manners = world.random, world.manners

    def crash() -> None:
        if world.processes:
            world.crash(chance.choice(list(world.processes.values())), chance.choice(["SIGKILL", "SIGSEGV"]))

    def crash_mold() -> None:
        for mold in world.molds()[:1]:
            world.crash(mold)

    def exit_in_request() -> None:
        for process in world.serving()[:1]:
            world.crash(process, None, chance.choice([0, 1, 3, 4]))

    def hang() -> None:
        for process in world.serving()[:1]:
            process.hung_since = world.now

    def take_too_long() -> None:
        """A request that its worker cannot end: C code holds the GIL, or its loop beats and does not care."""
        for process in world.serving()[:1]:
            if not process.hard_at:
                process.soft_at, process.hard_at = world.now + 1, world.now + 3
                process.hung_since = chance.choice([process.hung_since, world.now])

    def crowd() -> None:
        for process in world.serving()[:1]:
            process.crowded_since = world.now if process.crowded_since is None else process.crowded_since

    def ask() -> None:
        asking: list[Process] = chance.sample(world.serving(), min(2, len(world.serving())))
        for process in asking:
            world.ask(process, chance.choice(REASONS))

    def hup() -> None:
        boot_s = chance.choice([0, 5, 20])
        world.accept(chance.choice([1, 2, 3, 4, 6, 8]), timeout_s, graceful_s, boot_s, **some_settings(world))

    def hup_twice() -> None:
        hup()
        world.run(chance.choice([0.0, 0.2]))
        hup()

    def forks_fail() -> None:
        manners.fork_fails = chance.choice([0.0, 0.0, 0.7, 1.0])

    def molds_fail() -> None:
        manners.mute = chance.choice([0.0, 0.0, 0.3, 1.0])
        manners.fork_slow = chance.choice([0.0, 0.0, 0.5])
        manners.no_mold = chance.choice([0.0, 0.5])

    def dismiss() -> None:
        world.books.extra = 0
        world.tell(WorkersDismissed())

    def refresh() -> None:
        """An embedder's Arbiter replaces workers at its own pace."""
        for _ in range(chance.choice([0, 1, 1, 2])):
            world.spawn()
        world.run(chance.choice([0.0, 0.1, 3.0]))
        some = [process for process in world.processes.values() if not process.mold]
        for process in chance.sample(some, min(chance.choice([1, 1, 2]), len(some))):
            if world.processes.get(process.pid) is process:
                world.send_away(process)

    return [
        crash,
        crash_mold,
        exit_in_request,
        hang,
        hang,
        take_too_long,
        crowd,
        ask,
        hup,
        hup,
        hup_twice,
        # A world with code that hangs for ever and no boot_timeout cannot settle by itself.
        *[lambda: world.change_code(chance.choice(CODES))] * 2,
        forks_fail,
        molds_fail,
        lambda: world.tell(CapacityAsked(+1)),
        lambda: world.tell(CapacityAsked(-1)),
        dismiss,
        world.spawn,
        *[refresh] * 2,
        world.end_extras,
        world.reject,
        lambda: world.tell(ChildExited(99999, 3, None)),  # an orphan of somebody, adopted by PID 1
        lambda: world.sleep(chance.choice([2, 40])),
    ]
