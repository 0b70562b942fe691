"""Each law catches a supervisor that breaks it: here the supervisor is broken on purpose, one line at a time."""

import heapq
from collections.abc import Callable
from typing import Any

import pytest

from ostler.supervisor import deadlines, heartbeats, reconcile
from ostler.supervisor.generations import Generations
from ostler.supervisor.handle import Handle, State
from ostler.supervisor.policy import Backoff
from ostler.supervisor.reconcile import Reconciler
from ostler.supervisor.roster import Roster
from ostler.supervisor.supervisor import Supervisor
from tests.simulation import test_supervisor as plays
from tests.simulation.test_supervisor import run_calm_seed, run_wild_seed
from tests.simulation.world import Code

Patch = pytest.MonkeyPatch


def two_successors_at_once(patch: Patch) -> None:
    once = Reconciler._replace_one

    def twice(self: Reconciler) -> None:
        once(self)
        stale = [handle for handle in self._ready() if self._stale(handle)]
        if stale:
            self._start(self._generations.base, stale[-1].slot)

    patch.setattr(Reconciler, "_replace_one", twice)


def retire_before_the_successor_is_ready(patch: Patch) -> None:
    def eager(self: Reconciler) -> None:
        boots = self._booting(self._generations.base) + self._booting(self._generations.on_trial)
        for handle in [handle for handle in self._ready() if self._stale(handle)][: len(boots)]:
            spec = self._generations.spec(handle.generation)
            self._orders += deadlines.retire(handle, spec, False, self._now)

    patch.setattr(Reconciler, "_retire_surplus", eager)


def retire_the_new_ones(patch: Patch) -> None:
    stale = Reconciler._stale
    patch.setattr(Reconciler, "_stale", lambda self, handle: not stale(self, handle))


def lose_a_page_now_and_then(patch: Patch) -> None:
    remove = Roster.remove

    def leaky(self: Roster, age: int) -> Handle:
        handle = remove(self, age)
        if age % 7 == 0:
            self._free_pages.remove(handle.page)
        return handle

    patch.setattr(Roster, "remove", leaky)


def give_a_page_back_too_early(patch: Patch) -> None:
    add = Roster.add

    def generous(self: Roster, slot: int, generation: int, now: float) -> Handle:
        handle = add(self, slot, generation, now)
        if handle.age % 5 == 0:
            heapq.heappush(self._free_pages, handle.page)
        return handle

    patch.setattr(Roster, "add", generous)


def forget_to_drop_a_failed_candidate(patch: Patch) -> None:
    patch.setattr(Generations, "drop_candidate", lambda self: None)


def never_forget_a_generation(patch: Patch) -> None:
    patch.setattr(Generations, "unused", lambda self, in_use: [])


def forget_a_generation_that_is_used(patch: Patch) -> None:
    unused = Generations.unused
    patch.setattr(Generations, "unused", lambda self, in_use: unused(self, set(sorted(in_use)[1:])))


def no_patience_after_the_dump(patch: Patch) -> None:
    patch.setattr(deadlines, "DUMP_S", 0.01)


def no_patience_after_quit(patch: Patch) -> None:
    patch.setattr(deadlines, "QUIT_S", 0.1)


def trust_that_quit_is_heard(patch: Patch) -> None:
    enter = Handle.enter

    def trusting(self: Handle, state: State, deadline: float | None, cause: str = "") -> None:
        enter(self, state, None if state is State.QUITTING else deadline, cause)

    patch.setattr(Handle, "enter", trusting)


def cut_a_boot_that_was_ready_before_it_was_cancelled(patch: Patch) -> None:
    patch.setattr(Supervisor, "_let_go", lambda self, handle: None)


def trust_that_abort_is_heard(patch: Patch) -> None:
    enter = Handle.enter

    def trusting(self: Handle, state: State, deadline: float | None, cause: str = "") -> None:
        enter(self, state, None if state is State.ABORTED else deadline, cause)

    patch.setattr(Handle, "enter", trusting)


def hold_everyone_hung_after_a_sleep(patch: Patch) -> None:
    patch.setattr(heartbeats, "ASLEEP_S", float("inf"))


def never_back_off(patch: Patch) -> None:
    patch.setattr(Backoff, "failed", lambda self, began, now: 0.0)


def believe_an_exit_status(patch: Patch) -> None:
    lost = Supervisor._note_lost

    def believing(self: Supervisor, handle: Handle) -> None:
        lost(self, handle)
        if handle.age % 3 == 0:
            self._stop(quick=True)

    patch.setattr(Supervisor, "_note_lost", believing)


def leave_one_worker_out_of_the_stop(patch: Patch) -> None:
    stop = deadlines.stop
    patch.setattr(deadlines, "stop", lambda handle, spec, now: [] if handle.slot == 0 else stop(handle, spec, now))


def keep_a_boot_that_is_not_wanted(patch: Patch) -> None:
    patch.setattr(Reconciler, "_drop_unwanted_boots", lambda self: None)


def keep_a_boot_too_many(patch: Patch) -> None:
    patch.setattr(Reconciler, "_drop_surplus_boots", lambda self: None)


def put_successors_into_one_slot(patch: Patch) -> None:
    patch.setattr(Reconciler, "_slot_to_take_over", lambda self, candidates: candidates[0].slot if candidates else 0)


def wait_for_ever_when_forks_fail(patch: Patch) -> None:
    patch.setattr(reconcile.Reconciler, "_attempts", lambda self: 0 if self._fork.failures else self._roster.pages)
    patch.setattr(Backoff, "succeeded", lambda self: None)


BROKEN: list[Callable[[Patch], None]] = [
    two_successors_at_once,
    retire_before_the_successor_is_ready,
    retire_the_new_ones,
    lose_a_page_now_and_then,
    give_a_page_back_too_early,
    forget_to_drop_a_failed_candidate,
    never_forget_a_generation,
    forget_a_generation_that_is_used,
    no_patience_after_the_dump,
    no_patience_after_quit,
    trust_that_quit_is_heard,
    cut_a_boot_that_was_ready_before_it_was_cancelled,
    trust_that_abort_is_heard,
    hold_everyone_hung_after_a_sleep,
    never_back_off,
    believe_an_exit_status,
    leave_one_worker_out_of_the_stop,
    keep_a_boot_that_is_not_wanted,
    keep_a_boot_too_many,
    put_successors_into_one_slot,
    wait_for_ever_when_forks_fail,
]


def play_until_caught() -> None:
    """All kinds of plays, some seeds of each; a broken law or an internal contradiction ends it."""
    plays.test_boot_loop_backs_off_to_thirty_seconds_says_so_and_heals(Code.SILENT)
    plays.test_crashes_soon_after_ready_are_bounded_per_second_and_said()
    for seed in range(80):
        run_calm_seed(seed, [])
        run_wild_seed(seed, [])


@pytest.mark.parametrize("break_it", BROKEN, ids=lambda broken: broken.__name__)
def test_broken_supervisor_is_caught(break_it: Callable[[Patch], None], monkeypatch: Patch) -> None:
    break_it(monkeypatch)
    caught: tuple[Any, ...] = (AssertionError, KeyError, IndexError)
    with pytest.raises(caught):
        play_until_caught()


def test_unbroken_supervisor_passes_the_same_plays() -> None:
    play_until_caught()
