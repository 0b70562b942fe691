"""Each law catches a supervisor that breaks it: here the supervisor is broken on purpose, one line at a time."""

import heapq
from collections.abc import Callable
from typing import Any

import pytest

from ostler.supervisor import deadlines, heartbeats, overdue, reconcile, stop
from ostler.supervisor.canary import Canary
from ostler.supervisor.extras import Extras
from ostler.supervisor.fleet import Fleet
from ostler.supervisor.generations import Generations
from ostler.supervisor.handle import Handle, State
from ostler.supervisor.health import Health
from ostler.supervisor.molds import Molds
from ostler.supervisor.policy import Backoff
from ostler.supervisor.reconcile import Pace, Reconciler
from ostler.supervisor.refork import Refork
from ostler.supervisor.reload import Reload
from ostler.supervisor.roster import Roster
from ostler.supervisor.stop import Stop
from ostler.supervisor.supervisor import Supervisor
from tests.simulation import test_molds as mold_plays
from tests.simulation import test_supervisor as plays
from tests.simulation.processes import Code
from tests.simulation.test_supervisor import run_calm_seed, run_stop_seed, run_wild_seed

Patch = pytest.MonkeyPatch


def go_faster_than_the_pace(patch: Patch) -> None:
    right = reconcile.pace_of
    patch.setattr(reconcile, "pace_of", lambda *what, reload: Pace(right(*what, reload=reload).surge + 1, 0))


def retire_before_the_successor_is_ready(patch: Patch) -> None:
    patch.setattr(Reconciler, "_early", lambda self: min(1, len(self._stale())))


def let_the_last_one_make_room(patch: Patch) -> None:
    patch.setattr(reconcile, "pace_of", lambda spec, goal, reload: Pace(spec.surge or not spec.max_unavailable, 1))


def let_all_go_early(patch: Patch) -> None:
    def all_of_them(self: Reconciler) -> int:
        return min(len(self._stale()), self._surplus() + self._pace().unavailable) if self._replaces() else 0

    patch.setattr(Reconciler, "_early", all_of_them)


def bring_back_what_was_emptied(patch: Patch) -> None:
    patch.setattr(Reload, "note_last", lambda self, number: None)


def hear_each_stop(patch: Patch) -> None:
    patch.setattr(stop, "SAME_STOP_S", 0.0)


def retire_the_new_ones(patch: Patch) -> None:
    stale = Fleet.stale
    patch.setattr(Fleet, "stale", lambda self, handle: not stale(self, handle))


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

    def believing(self: Supervisor, handle: Handle, cause: str) -> None:
        lost(self, handle, cause)
        if handle.age % 3 == 0:
            self._stop.ask(quick=True, lame_duck=False)

    patch.setattr(Supervisor, "_note_lost", believing)


def leave_one_worker_out_of_the_stop(patch: Patch) -> None:
    tell = deadlines.stop
    patch.setattr(deadlines, "stop", lambda handle, spec, now: [] if handle.slot == 0 else tell(handle, spec, now))


def keep_a_boot_that_is_not_wanted(patch: Patch) -> None:
    patch.setattr(Reconciler, "_drop_unwanted_boots", lambda self: None)


def keep_a_boot_too_many(patch: Patch) -> None:
    patch.setattr(Reconciler, "_drop_surplus_boots", lambda self: None)


def put_successors_into_one_slot(patch: Patch) -> None:
    patch.setattr(Reconciler, "_slot_to_take_over", lambda self, candidates: candidates[0].slot if candidates else 0)


def wait_for_ever_when_forks_fail(patch: Patch) -> None:
    patch.setattr(Reconciler, "_attempts", lambda self: 0 if self._fleet.fork.failures else self._roster.pages)
    patch.setattr(Backoff, "succeeded", lambda self: None)


def fork_from_a_mold_that_boots(patch: Patch) -> None:
    current = Molds.current
    patch.setattr(Molds, "current", lambda self, number: current(self, number) or self.making(number))


def let_the_master_fork_while_there_is_no_mold(patch: Patch) -> None:
    patch.setattr(Molds, "can_fork", lambda self, number: True)


def make_two_molds(patch: Patch) -> None:
    patch.setattr(Molds, "making", lambda self, number: None)


def make_a_mold_though_there_is_one(patch: Patch) -> None:
    patch.setattr(Molds, "_missing", lambda self, number: self._fleet.generations.spec(number).preload)


def keep_every_mold(patch: Patch) -> None:
    patch.setattr(Molds, "_needed", lambda self, mold, made, former: True)


def keep_the_molds_in_a_stop(patch: Patch) -> None:
    patch.setattr(Molds, "let_go_all", lambda self: [])


def let_go_a_mold_that_is_needed(patch: Patch) -> None:
    needed = Molds._needed
    patch.setattr(Molds, "_needed", lambda self, mold, made, former: mold.age % 4 and needed(self, mold, made, former))


def keep_the_mold_of_old_code(patch: Patch) -> None:
    patch.setattr(Molds, "note_changed", lambda self, number, again: None)


def keep_the_workers_of_a_former_mold(patch: Patch) -> None:
    patch.setattr(Molds, "note_ready", lambda self, mold: None)


def wait_for_ever_for_a_mold(patch: Patch) -> None:
    patch.setattr(deadlines, "await_fork", lambda handle, now: None)


def dump_a_mold_that_has_time_left(patch: Patch) -> None:
    patch.setattr(deadlines, "FORK_ANSWER_S", 1.0)


def forget_who_is_born_late(patch: Patch) -> None:
    started = Roster.started

    def unkind(self: Roster, age: int, pid: int) -> Handle | None:
        handle = started(self, age, pid)
        if handle is not None and handle.state is not State.BOOTING:
            handle.enter(State.DUMPING, None)
        return handle

    patch.setattr(Roster, "started", unkind)


def lose_the_page_of_a_promoted_worker(patch: Patch) -> None:
    free = Roster._free
    patch.setattr(Roster, "_free", lambda self, handle: None if handle.promoted else free(self, handle))


def promote_a_cold_worker(patch: Patch) -> None:
    patch.setattr(Refork, "_threshold", lambda self: 1)


def promote_beside_a_reload(patch: Patch) -> None:
    patch.setattr(Refork, "keep", lambda self: None)


def trust_every_canary(patch: Patch) -> None:
    patch.setattr(Canary, "complaint", lambda self: "")


def trust_a_canary_at_once(patch: Patch) -> None:
    begin = Reload._begin_canary

    def begin_and_end(self: Reload, worker: Handle) -> None:
        begin(self, worker)
        assert self.canary is not None
        self.canary.until = self._fleet.now

    patch.setattr(Reload, "_begin_canary", begin_and_end)


def count_a_canary_as_capacity(patch: Patch) -> None:
    patch.setattr(Fleet, "serving", lambda self: self.roster.workers(State.READY))


def end_a_reload_twice(patch: Patch) -> None:
    end = Reload._end

    def twice(self: Reload, number: int | None, **how: Any) -> None:
        before = set(self._open)
        end(self, number, **how)
        self._open = before
        end(self, number, **how)

    patch.setattr(Reload, "_end", twice)


def never_end_a_reload(patch: Patch) -> None:
    patch.setattr(Reload, "_end", lambda self, number, **how: None)


def end_what_was_overtaken(patch: Patch) -> None:
    take = Reload._take

    def keeping(self: Reload, spec: Any) -> None:
        before = set(self._open)
        take(self, spec)
        self._open |= before

    patch.setattr(Reload, "_take", keeping)


def call_a_reload_complete_too_early(patch: Patch) -> None:
    report = Reload.report

    def early(self: Reload) -> None:
        goal, self._generations.goal = self._generations.goal, 0
        roster, self._fleet.roster = self._fleet.roster, Roster(1)
        report(self)
        self._generations.goal, self._fleet.roster = goal, roster

    patch.setattr(Reload, "report", early)


def go_on_with_a_generation_that_was_taken_back(patch: Patch) -> None:
    patch.setattr(Generations, "take_back", lambda self, former: None)


def stop_during_the_lame_duck(patch: Patch) -> None:
    expire = Stop.expire

    def impatient(self: Stop) -> None:
        self.until = None if self.until is None else 0.0
        expire(self)

    patch.setattr(Stop, "expire", impatient)


def replace_workers_while_stopping(patch: Patch) -> None:
    patch.setattr(Fleet, "stale", lambda self, handle: handle.generation != self.generations.base or handle.asked)


def reload_while_stopping(patch: Patch) -> None:
    patch.setattr(Reload, "stop", lambda self: None)


def keep_extras_that_were_given_back(patch: Patch) -> None:
    dismiss = Extras.dismiss

    def greedy(self: Extras, handle: Handle) -> None:
        count = self._count
        dismiss(self, handle)
        self._count = count

    patch.setattr(Extras, "dismiss", greedy)


def leave_to_the_watchdog_what_serves(patch: Patch) -> None:
    patch.setattr(Health, "_beats", lambda self, worker, silent_limit_s: False)


def act_before_the_worker_can(patch: Patch) -> None:
    patch.setattr(overdue, "GRACE_S", 0.0)


def show_again_and_again(patch: Patch) -> None:
    ask = overdue.Overdue._ask

    def forgetful(self: overdue.Overdue, worker: Handle, sentence: str, why: str) -> None:
        ask(self, worker, sentence, why)
        self._told.pop(worker.age, None)
        if worker.age in self._crowds:
            self._crowds[worker.age].told_at = None

    patch.setattr(overdue.Overdue, "_ask", forgetful)


BROKEN: list[Callable[[Patch], None]] = [
    act_before_the_worker_can,
    show_again_and_again,
    leave_to_the_watchdog_what_serves,
    go_faster_than_the_pace,
    retire_before_the_successor_is_ready,
    let_the_last_one_make_room,
    let_all_go_early,
    bring_back_what_was_emptied,
    hear_each_stop,
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
    fork_from_a_mold_that_boots,
    let_the_master_fork_while_there_is_no_mold,
    make_two_molds,
    make_a_mold_though_there_is_one,
    keep_every_mold,
    keep_the_molds_in_a_stop,
    let_go_a_mold_that_is_needed,
    keep_the_mold_of_old_code,
    keep_the_workers_of_a_former_mold,
    wait_for_ever_for_a_mold,
    dump_a_mold_that_has_time_left,
    forget_who_is_born_late,
    lose_the_page_of_a_promoted_worker,
    promote_a_cold_worker,
    promote_beside_a_reload,
    trust_every_canary,
    trust_a_canary_at_once,
    count_a_canary_as_capacity,
    end_a_reload_twice,
    never_end_a_reload,
    end_what_was_overtaken,
    call_a_reload_complete_too_early,
    go_on_with_a_generation_that_was_taken_back,
    stop_during_the_lame_duck,
    replace_workers_while_stopping,
    reload_while_stopping,
    keep_extras_that_were_given_back,
]


def play_until_caught(seeds: int) -> None:
    """All kinds of plays, some seeds of each; a broken law or an internal contradiction ends it."""
    plays.test_boot_loop_backs_off_to_thirty_seconds_says_so_and_heals(Code.SILENT)
    plays.test_crashes_soon_after_ready_are_bounded_per_second_and_said()
    for seed in range(seeds):
        if seed == 2:
            for play in mold_plays.PLAYS:
                play()
        run_calm_seed(seed, [])
        run_wild_seed(seed, [])
        run_stop_seed(seed, [])


@pytest.mark.parametrize("break_it", BROKEN, ids=lambda broken: broken.__name__)
def test_broken_supervisor_is_caught(break_it: Callable[[Patch], None], monkeypatch: Patch) -> None:
    break_it(monkeypatch)
    caught: tuple[Any, ...] = (AssertionError, KeyError, IndexError)
    with pytest.raises(caught):
        play_until_caught(seeds=80)


def test_unbroken_supervisor_passes_the_same_plays() -> None:
    play_until_caught(seeds=5)  # test_supervisor.py plays more of them
