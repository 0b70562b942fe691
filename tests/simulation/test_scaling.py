"""Scaling in the seeded fake world: load that changes, beside crashes, reloads, broken code and operators.

The load is what so many workers could do at once; what serves shares it. The laws, beside those of every world:

    the goal stays within the bounds of the generation that serves, and moves one at a time but for reloads
    nothing is scaled while a generation is on trial, rolled out or broken, nor while the server stops
    a load that stays the same is answered by a number that stays the same, and that is enough for it
"""

import math
from collections.abc import Callable

import pytest

from ostler.supervisor.actions import Action, Log, WorkersChanged
from ostler.supervisor.events import CapacityAsked, Event, LoadSeen
from ostler.supervisor.scaling import FULL, ROOM, Scaling
from tests.simulation import laws
from tests.simulation.processes import Code, Manners
from tests.simulation.world import World

SEEDS = 16
SEEDS_PER_TEST = 8
SHOWN = 60
SETTLED_S = 400
LONG_S = 900


class Play:
    """A world with a load, and the laws of scaling."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed, Manners(), self.check, judge=laws.judge)
        self.demand = 0.5
        """Workers that it takes."""
        self.bounds = (1, 1)
        self.moves: list[tuple[float, int, int]] = []
        """(when, was, goal) of what the load has moved."""
        self.world.plan(1.0, self._look)

    def accept(self, workers: int, least: int, most: int) -> None:
        self.bounds = (least, most)
        self.world.accept(workers, workers_min=least, workers_max=most)

    def _look(self) -> None:
        self.world.plan(1.0, self._look)
        serving = len(self.world.serving())
        busy = min(1.0, self.demand / serving) if serving else 0.0
        waiting = math.ceil(max(0.0, self.demand - serving) * 4)
        self.world.tell(LoadSeen(busy, waiting, 0.1 * waiting))

    def check(self, world: World, event: Event, orders: list[Action]) -> None:
        laws.check(world, event, orders)
        books = world.books
        scaled = [order.text for order in orders if isinstance(order, Log) and order.text.startswith("workers scaled")]
        if not scaled:
            return
        assert isinstance(event, LoadSeen), f"scaled by {event}"
        (changed,) = [order for order in orders if isinstance(order, WorkersChanged)]
        self.moves.append((world.now, changed.old or 0, changed.new))
        spec = books.accepted[books.committed or 0]
        assert spec.workers_min <= changed.new <= spec.workers_max, "a bound does not hold"
        assert abs(changed.new - (changed.old or 0)) == 1, "more than one at a time"
        assert books.candidate is None, "scaled beside a trial"
        assert not books.open_reloads, "scaled beside a reload"
        assert books.stop_asked_at is None, "scaled while the server stops"
        assert not world.supervisor.degraded, "scaled with code that does not boot"

    def judge_calm(self) -> None:
        """The load stays the same for half an hour: after a while the goal goes one way at most, and is enough."""
        self.world.run(SETTLED_S)
        before = len(self.moves)
        self.world.run(LONG_S)
        moves = self.moves[before:]
        least, most = self.bounds
        goal = self.world.books.goal
        assert least <= goal <= most
        assert len({new > was for _, was, new in moves}) <= 1, f"it flaps: {moves}"
        assert goal == most or self.demand / goal < FULL, f"{goal} workers for the work of {self.demand}"
        assert goal == least or self.demand / goal > ROOM / 2, f"{goal} workers for the work of {self.demand}"


def run_seed(seed: int, plays: list[Play]) -> None:
    play = Play(seed)
    plays.append(play)
    world, chance = play.world, play.world.random
    play.accept(chance.randint(1, 4), 1, chance.randint(4, 9))
    world.run(8)

    def reload() -> None:
        play.accept(chance.randint(2, 4), chance.randint(1, 2), chance.randint(4, 9))

    def crash() -> None:
        if world.serving():
            world.crash(chance.choice(world.serving()))

    acts: list[Callable[[], None]] = [
        reload,
        crash,
        lambda: world.change_code(chance.choice([Code.GOOD, Code.BROKEN, Code.HANGING])),
        lambda: world.tell(CapacityAsked(chance.choice([-1, 1]))),
        *[lambda: setattr(play, "demand", chance.uniform(0.1, 8))] * 3,
    ]
    for _ in range(chance.randint(10, 30)):
        chance.choice(acts)()
        world.run(chance.choice([0.1, 1.5, 5.0, 20.0, 90.0]))
    world.change_code(Code.GOOD)
    reload()
    world.run(60)
    play.demand = chance.uniform(0.1, 8)
    play.judge_calm()
    world.stop()
    world.run(60)
    laws.ended(world, 60)


def run_seeds(seeds: range) -> None:
    for seed in seeds:
        run_seed(seed, [])


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_PER_TEST))
def test_whatever_happens_the_goal_follows_the_load_within_its_bounds(first: int) -> None:
    moved = 0
    for seed in range(first, first + SEEDS_PER_TEST):
        plays: list[Play] = []
        try:
            run_seed(seed, plays)
        except AssertionError as error:
            trail = "\n".join(plays[-1].world.trail[-SHOWN:])
            raise AssertionError(f"seed {seed}: {error}\n{trail}") from error
        moved += len(plays[-1].moves)
    assert moved > SEEDS_PER_TEST


def moves_beside_a_reload(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scaling, "_must_not_move", lambda self: False)


def takes_whom_it_needs(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("ostler.supervisor.scaling.ROOM", 1.5)


def knows_no_bounds(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scaling, "_bounds", lambda self: (1, 20))


def does_not_grow(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("ostler.supervisor.scaling.LOOKS", 10**9)


@pytest.mark.parametrize("broken", [moves_beside_a_reload, takes_whom_it_needs, knows_no_bounds, does_not_grow])
def test_the_laws_can_fail(broken: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch)
    with pytest.raises(AssertionError):
        run_seeds(range(SEEDS))
