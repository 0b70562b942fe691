"""The supervisor in a seeded fake world: any order of crashes, hangs, broken code and signals (see world.py, laws.py).

A failure prints the seed and the last facts and orders; `run_wild_seed(SEED, [])` plays it again.
"""

from collections.abc import Callable

import pytest

from ostler.supervisor.events import CapacityAsked
from tests.simulation import laws
from tests.simulation.acts import some_settings, wild_acts
from tests.simulation.processes import Code, Manners
from tests.simulation.world import World

SEEDS = 120
SEEDS_PER_TEST = 20
CALM_SEEDS = 40
STOP_SEEDS = 80
SHOWN = 60
CALM_CODES = [Code.GOOD, Code.BROKEN, Code.SILENT, Code.HANGING, Code.WORSE, Code.FLAKY]


def told_of(seed: int, play: Callable[[int], World], worlds: list[World]) -> None:
    """Play one seed; a broken law is shown with what led to it."""
    try:
        play(seed)
    except AssertionError as error:
        trail = "\n".join(worlds[-1].trail[-SHOWN:]) if worlds else ""
        raise AssertionError(f"seed {seed}: {error}\n{trail}") from error


def new_world(seed: int, manners: Manners, worlds: list[World]) -> World:
    world = World(seed, manners, laws.check, judge=laws.judge)
    worlds.append(world)
    return world


def run_wild_seed(seed: int, worlds: list[World]) -> World:
    """A wild world: everything that can happen does, then faults stop, then the server stops."""
    world = new_world(seed, Manners(stuck=0.1, drain_s=(0.0, 8.0)), worlds)
    chance = world.random
    world.manners.deaf = chance.choice([0.0, 0.1, 0.5])
    timeout_s = chance.choice([0, 3, 3, 30])
    graceful_s = chance.choice([0, 1, 5])
    workers = chance.randint(1, 6)
    world.accept(workers, timeout_s, graceful_s, **some_settings(world))
    world.run(8)
    acts = wild_acts(world, timeout_s, graceful_s)
    for _ in range(chance.randint(20, 60)):
        chance.choice(acts)()
        world.run(chance.choice([0.0, 0.01, 0.3, 2.0, 6.0]))
        if world.books.finished_at is not None:
            raise AssertionError("finished without being asked")
    newest = calm_down(world)
    world.run(120)
    laws.settled(world)
    settled_on(world, newest)
    assert world.supervisor.degraded == ""
    end(world)
    return world


def calm_down(world: World) -> int:
    """Faults stop: processes behave, code is good, and the newest generation has it."""
    world.manners = Manners()
    world.change_code(Code.GOOD)
    for process in list(world.processes.values()):
        process.hung_since, process.mute = None, False
        process.soft_at = process.hard_at = 0.0
        process.crowded_since = None
    return world.accept(world.random.randint(1, 6), 30, 5, **some_settings(world) | {"refork_after": ()})


def settled_on(world: World, newest: int) -> None:
    """The newest generation is the only one left, and said so."""
    assert {process.generation for process in world.processes.values()} == {newest}
    assert world.books.forgotten == set(world.books.accepted) - {newest}
    assert newest in world.books.succeeded or newest == 1


def end(world: World) -> None:
    """A stop in some way, during whatever is going on; it has to end in bounded time."""
    quick = world.random.random() < 0.3
    world.stop(quick)
    if world.random.random() < 0.3:
        world.run(0.5)
        if world.books.finished_at is None:
            world.accept(2, **some_settings(world))
            world.stop(quick=world.random.random() < 0.7)
    limit_s = 3 + 5 + 1 + 5 + 0.4 + 2 + 1
    world.run(limit_s)
    laws.ended(world, limit_s)
    assert world.books.status == 0


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_PER_TEST))
def test_wild_world_keeps_the_laws_settles_and_ends(first: int) -> None:
    steps = 0
    for seed in range(first, first + SEEDS_PER_TEST):
        worlds: list[World] = []
        told_of(seed, lambda seed, worlds=worlds: run_wild_seed(seed, worlds), worlds)  # type: ignore[misc]
        steps += worlds[-1].steps
    print(f"{steps} steps")


def run_calm_seed(seed: int, worlds: list[World]) -> World:
    """No worker ever crashes by itself: only reloads, of good and bad code, requests to be replaced, TTIN and TTOU."""
    world = World(seed, Manners(), laws.CapacityIsKept().check, judge=laws.judge)
    worlds.append(world)
    chance = world.random
    world.accept(chance.randint(1, 6), **some_settings(world))
    world.run(10)
    for _ in range(60):
        act = chance.randrange(6)
        if act < 3:
            world.change_code(chance.choice(CALM_CODES))
            workers, boot_s = chance.choice([world.books.goal, chance.randint(1, 6)]), chance.choice([2, 20])
            world.accept(workers, boot_timeout_s=boot_s, **some_settings(world))
        elif act == 3:
            for process in world.serving()[: chance.randint(1, 3)]:
                world.ask(process, chance.choice(["max_requests", "reload"]))
        elif act == 4:
            world.tell(CapacityAsked(-1))
        else:
            world.reject()
        world.run(chance.choice([0.0, 0.1, 1.0, 10.0]))
    newest = calm_down(world)
    world.run(60)
    laws.settled(world)
    settled_on(world, newest)
    return world


@pytest.mark.parametrize("first", range(0, CALM_SEEDS, SEEDS_PER_TEST))
def test_reloads_and_recycling_alone_never_cost_capacity(first: int) -> None:
    for seed in range(first, first + SEEDS_PER_TEST):
        worlds: list[World] = []
        told_of(seed, lambda seed, worlds=worlds: run_calm_seed(seed, worlds), worlds)  # type: ignore[misc]


def booted(workers: int, seed: int = 1) -> World:
    world = World(seed, Manners(boot_s=(0.2, 0.2)), laws.check, judge=laws.judge)
    world.accept(workers)
    world.run(5)
    return world


@pytest.mark.parametrize("code", [Code.BROKEN, Code.SILENT])
def test_boot_loop_backs_off_to_thirty_seconds_says_so_and_heals(code: Code) -> None:
    world = booted(4)
    world.code = code
    for process in world.serving()[:3]:
        world.crash(process)
    before = len(world.books.forks)
    world.run(60)
    attempts = world.books.forks[before - 3 :]
    assert len(attempts) <= 14
    world.run(240)
    gaps = [later - former for former, later in zip(world.books.forks[-4:], world.books.forks[-3:], strict=False)]
    assert all(25 <= gap <= 35 for gap in gaps), gaps
    assert any("next_attempt_s=30.0" in text for _, text in world.books.logs)
    assert len(world.serving()) == 1
    world.code = Code.GOOD
    world.run(40)
    laws.settled(world)
    assert any("boots again" in text for _, text in world.books.logs)


def test_crashes_soon_after_ready_are_bounded_per_second_and_said() -> None:
    world = booted(4)
    world.manners.boot_s = (0.01, 0.02)
    world.code = Code.CRASHING
    for process in world.serving():
        world.crash(process)
    before = len(world.books.forks)
    world.run(60)
    forks = len(world.books.forks) - before
    assert forks <= 4 * 62, f"{forks} forks in a minute for four workers"
    assert any("die soon after they are ready" in text for _, text in world.books.logs)
    world.code = Code.GOOD
    world.run(10)
    laws.settled(world)


def test_refused_forks_are_not_tried_without_pause() -> None:
    world = booted(4)
    world.manners.fork_fails = 1.0
    for process in world.serving()[:2]:
        world.crash(process)
    before = len(world.books.forks)
    world.run(60)
    assert len(world.books.forks) - before <= 40
    world.manners.fork_fails = 0.0
    world.run(10)
    laws.settled(world)


def test_storm_of_reloads_ends_with_the_newest_generation() -> None:
    world = booted(3)
    newest = 0
    for _ in range(50):
        newest = world.accept(3)
        world.run(0.05)
        assert len(world.serving()) >= 3
    world.run(20)
    laws.settled(world)
    settled_on(world, newest)


def run_stop_seed(seed: int, worlds: list[World]) -> World:
    """Stops in the middle of boots, reloads, hangs, lame ducks and kills that do not work."""
    world = new_world(seed, Manners(deaf=0.3, stuck=0.3, drain_s=(0, 9)), worlds)
    world.accept(world.random.randint(1, 5), 3, 5, **some_settings(world))
    world.run(world.random.choice([0.0, 1.0, 6.0]))
    if world.books.finished_at is None and world.serving():
        acts = wild_acts(world, 3, 5)
        for _ in range(world.random.randint(0, 6)):
            world.random.choice(acts)()
            world.run(world.random.choice([0.0, 0.5, 4.0]))
    end(world)
    return world


def test_stop_during_anything_ends_in_bounded_time() -> None:
    for seed in range(STOP_SEEDS):
        worlds: list[World] = []
        told_of(seed, lambda seed, worlds=worlds: run_stop_seed(seed, worlds), worlds)  # type: ignore[misc]
