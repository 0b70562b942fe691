"""Molds, canaries, roll-outs, reforks and lame ducks in the fake world, one situation each.

PLAYS are also played with a broken supervisor (test_laws_can_fail.py).
"""

from collections.abc import Callable
from typing import Any

import pytest

from ostler.supervisor.events import CapacityAsked
from ostler.supervisor.policy import FORK_ANSWER_S
from tests.simulation import laws
from tests.simulation.processes import Code, Manners
from tests.simulation.world import World


def booted(workers: int, seed: int = 1, **settings: Any) -> World:
    """No worker dies by itself here, so the law about capacity holds too."""
    world = World(seed, Manners(boot_s=(0.2, 0.2)), laws.CapacityIsKept().check, judge=laws.judge)
    world.accept(workers, **settings)
    world.run(1.5)
    laws.settled(world)
    return world


def crash(world: World, pid: int) -> None:
    """With the law that crashes cannot keep."""
    world.check = laws.check
    world.crash(world.processes[pid])


def logged(world: World, text: str) -> bool:
    return any(text in line for _, line in world.books.logs)


def generations(world: World) -> set[int]:
    return {process.generation for process in world.processes.values()}


def test_worker_that_sees_changed_code_has_the_mold_and_all_workers_replaced() -> None:
    world = booted(3, preload=True)
    world.change_code(Code.GOOD)
    world.ask(world.serving()[1], "reload")
    world.run(10)
    laws.settled(world)


def test_code_that_changes_while_a_mold_boots_is_loaded_too() -> None:
    world = booted(1, preload=True)
    worker = world.serving()[0]
    for _ in range(5):
        world.change_code(Code.GOOD)
        world.ask(worker, "reload")
        world.run(0.1)
    world.run(10)
    laws.settled(world)


def test_mold_that_hangs_in_a_fork_is_replaced_in_bounded_time() -> None:
    world = booted(3, preload=True)
    world.molds()[0].mute = True
    crash(world, world.serving()[0].pid)
    world.run(FORK_ANSWER_S + 2)
    laws.settled(world)
    assert logged(world, "its mold did not fork it within 10 s")


def test_worker_that_is_born_after_it_was_given_up_does_not_stay() -> None:
    for seed in range(5):
        world = World(seed, Manners(boot_s=(0.1, 0.3), fork_slow=1.0, stuck=1.0), laws.check, judge=laws.judge)
        world.accept(3, preload=True)
        world.run(30)
        for _ in range(6):
            world.accept(3, preload=True)
            world.run(world.random.choice([1, 4, 13]))
            world.tell(CapacityAsked(world.random.choice([+1, -1])))
        world.manners = Manners()
        world.run(60)
        laws.settled(world)


def test_workers_of_a_mold_come_back_while_the_code_on_disk_is_broken() -> None:
    world = booted(3, preload=True)
    world.change_code(Code.BROKEN)
    world.accept(3, preload=True)
    world.run(5)
    assert logged(world, "generation 2 did not start")
    assert not world.supervisor.degraded
    for process in world.serving():
        crash(world, process.pid)
    world.run(1)
    assert len(world.serving()) == 3
    assert generations(world) == {1}


def test_killed_mold_is_made_anew_and_its_workers_serve_on() -> None:
    world = booted(3, preload=True)
    pids = [process.pid for process in world.serving()]
    world.crash(world.molds()[0])
    world.run(5)
    laws.settled(world)
    assert [process.pid for process in world.serving()] == pids
    assert logged(world, "; a new mold loads the code that is on disk now")


def test_mold_that_cannot_come_back_is_tried_again_and_again() -> None:
    world = booted(3, preload=True)
    world.change_code(Code.SILENT)
    world.crash(world.molds()[0])
    world.run(20)
    assert len(world.serving()) == 3
    assert world.supervisor.degraded.startswith("the mold of generation 1 did not start")
    world.change_code(Code.GOOD)
    world.run(40)
    laws.settled(world)
    assert not world.supervisor.degraded


def test_mold_that_declines_leaves_the_loading_to_the_workers() -> None:
    world = booted(2)
    world.change_code(Code.SHARING)
    world.accept(2, preload=True)
    world.run(10)
    laws.settled(world)
    assert generations(world) == {2}
    assert logged(world, "workers load the application by themselves")


@pytest.mark.parametrize("preload", [True, False])
def test_roll_out_whose_workers_do_not_start_is_taken_back(preload: bool) -> None:
    world = booted(4, preload=preload)
    world.change_code(Code.GOOD)
    world.accept(4, preload=False)
    world.run(0.3)
    assert world.books.committed == 2
    world.change_code(Code.BROKEN)
    world.run(5)
    assert world.books.committed == 1
    assert logged(world, "reload failed: generation 2 was taken back (3 of its workers in a row did not start")
    assert len(world.serving()) == 4
    assert generations(world) == ({1} if preload else {1, 2})
    assert bool(world.supervisor.degraded) is not preload
    world.change_code(Code.GOOD)
    world.run(30)
    laws.settled(world)
    assert generations(world) == {1}


@pytest.mark.parametrize(
    ("code", "reason"),
    [(Code.WORSE, "were answered with 5xx"), (Code.SLOW, "ms on average"), (Code.CRASHING, "signal SIGSEGV")],
)
def test_canary_that_does_worse_keeps_the_old_generation(code: Code, reason: str) -> None:
    world = booted(4)
    world.run(5)
    world.change_code(code)
    world.check = laws.check
    world.accept(4, canary_s=8.0)
    world.run(20)
    assert generations(world) == {1}
    assert len(world.serving()) == 4
    text = next(text for _, text in world.books.logs if "did worse as canary" in text)
    assert text.startswith("reload failed: generation 2 did worse as canary (")
    assert reason in text


def test_canary_that_does_well_is_rolled_out_after_its_time() -> None:
    world = booted(4)
    world.change_code(Code.GOOD)
    world.accept(4, canary_s=8.0)
    world.run(5)
    assert world.books.committed == 1
    assert len(world.serving()) == 5
    world.run(10)
    laws.settled(world)
    assert generations(world) == {2}
    assert logged(world, "canary passed gen=2 requests=")


def test_canary_that_fails_like_everyone_else_passes() -> None:
    world = booted(4, preload=True)
    world.change_code(Code.WORSE)
    world.accept(4)
    world.run(20)
    world.accept(4, canary_s=5.0)
    world.run(20)
    assert generations(world) == {3}


def test_surge_makes_a_reload_faster_and_is_kept() -> None:
    took = {}
    for surge in (1, 4):
        world = booted(8, surge=surge)
        most, began = 0, world.now
        world.accept(8, surge=surge)
        while 2 not in world.books.succeeded:
            world.run(0.05)
            most = max(most, laws.live(world))
            assert world.now < began + 30
        assert most == 8 + surge
        took[surge] = world.now - began
    assert took[4] < took[1] / 2


def test_without_surge_there_are_never_more_than_the_goal() -> None:
    world = booted(4, surge=0, max_unavailable=2)
    fewest = 4
    world.accept(4, surge=0, max_unavailable=2)
    for _ in range(100):
        world.run(0.05)
        assert laws.live(world) <= 4
        fewest = min(fewest, len(world.serving()))
    assert fewest == 2
    laws.settled(world)
    assert generations(world) == {2}


def test_recycling_goes_one_at_a_time_whatever_a_reload_may() -> None:
    world = booted(6, surge=4, max_unavailable=2)
    for process in world.serving():
        world.ask(process, "max_requests")
    for _ in range(100):
        world.run(0.05)
        assert laws.live(world) <= 7
        assert len(world.serving()) >= 6
    laws.settled(world)


def test_warm_worker_becomes_the_mold_and_all_are_replaced_from_it() -> None:
    world = booted(4, preload=True, refork_after=(100, 0))
    first = world.molds()[0].pid
    world.run(60)
    laws.settled(world)
    assert world.books.reforks == 1
    assert logged(world, "refork begins gen=1 pid=")
    mold = world.molds()[0]
    assert mold.pid != first
    assert all(process.order.mold == mold.pid for process in world.serving())  # type: ignore[union-attr]


def test_refork_comes_though_somebody_is_recycled_all_the_time() -> None:
    world = booted(4, preload=True, refork_after=(30,))
    while not world.books.reforks:
        serving = world.serving()
        if not any(process.asked for process in serving):
            world.ask(serving[0], "max_requests")
        world.run(0.01)
        assert world.now < 1060


@pytest.mark.parametrize(("surge", "unavailable"), [(1, 1), (1, 2), (0, 1), (0, 2), (2, 4)])
def test_generation_that_comes_back_has_all_its_addresses(surge: int, unavailable: int) -> None:
    for crash_s in (0.1, 0.4, 0.7, 1.0, 1.3):
        world = booted(4, preload=True)
        world.accept(4, preload=True, surge=surge, max_unavailable=unavailable)
        world.run(crash_s)
        world.check = laws.check
        for mold in world.molds():
            mold.code = Code.BROKEN if mold.generation == 2 else mold.code
        world.run(20)
        assert world.books.committed in (1, 2)


def test_refork_that_is_refused_leaves_the_former_mold_and_waits_for_the_next_threshold() -> None:
    world = booted(4, preload=True, refork_after=(100,))
    world.manners.no_mold = 1.0
    mold = world.molds()[0].pid
    while not logged(world, "refork refused"):
        world.run(0.1)
        assert world.now < 1020
    assert logged(world, 'reason="2 threads"')
    world.manners.no_mold = 0.0
    world.run(1.5)
    laws.settled(world)
    assert world.molds()[0].pid == mold
    assert world.books.reforks == 0
    world.run(20)
    assert world.books.reforks > 0


def test_reload_during_a_refork_goes_first() -> None:
    for seed in range(10):
        world = booted(3, seed, preload=True, refork_after=(60,))
        world.run(world.random.uniform(2, 8))
        newest = world.accept(3, preload=True, refork_after=(60, 0))
        world.run(60)
        laws.settled(world)
        assert generations(world) == {newest}


def test_lame_duck_serves_and_starts_workers_until_it_ends() -> None:
    world = booted(4, preload=True, lame_duck_s=10.0)
    world.accept(4, preload=True, canary_s=60.0, lame_duck_s=10.0)
    world.run(1)
    world.stop()
    assert logged(world, "reload failed: the server stops")
    for process in world.serving()[:2]:
        world.ask(process, "max_requests")
    crash(world, world.serving()[3].pid)
    world.run(9)
    assert len(world.serving()) == 4
    world.run(5)
    laws.ended(world, 14)


@pytest.mark.parametrize("quick", [True, False])
def test_second_stop_ends_the_lame_duck(quick: bool) -> None:
    world = booted(4, lame_duck_s=100.0)
    world.stop()
    world.run(0.5)
    world.stop()  # the same one, told twice
    world.run(0.6)
    assert len(world.serving()) == 4
    world.check = laws.check
    world.stop(quick)
    world.run(5)
    laws.ended(world, 5)


def test_one_worker_is_never_missing_whatever_the_pace_says() -> None:
    world = booted(1, surge=0, max_unavailable=1)
    world.change_code(Code.BROKEN)
    world.accept(1, surge=0, max_unavailable=1)
    world.run(5)
    assert generations(world) == {1}
    world.change_code(Code.GOOD)
    world.ask(world.serving()[0], "max_requests")
    world.run(5)
    laws.settled(world)
    world.accept(1, surge=0, max_unavailable=2)
    world.run(5)
    laws.settled(world)
    assert generations(world) == {3}


def test_mold_that_cannot_fork_does_not_hold_a_reload_for_ever() -> None:
    world = booted(2)
    world.accept(2, preload=True)
    world.run(0.1)
    world.manners.fork_fails = 1.0
    world.run(40)
    assert not world.books.open_reloads
    assert logged(world, "it cannot be forked: resource temporarily unavailable")
    assert generations(world) == {1}


PLAYS: list[Callable[[], None]] = [
    test_worker_that_sees_changed_code_has_the_mold_and_all_workers_replaced,
    test_worker_that_is_born_after_it_was_given_up_does_not_stay,
    test_canary_that_does_well_is_rolled_out_after_its_time,
    test_recycling_goes_one_at_a_time_whatever_a_reload_may,
    lambda: test_roll_out_whose_workers_do_not_start_is_taken_back(preload=True),
    test_warm_worker_becomes_the_mold_and_all_are_replaced_from_it,
    test_reload_during_a_refork_goes_first,
    lambda: test_generation_that_comes_back_has_all_its_addresses(surge=1, unavailable=1),
    test_lame_duck_serves_and_starts_workers_until_it_ends,
]
