"""roles/perform.py: what children say, and what the master makes of it; which generation it shows."""

import errno
import os

import pytest

from ostler.process.channel import (
    BootFailed,
    Born,
    Declined,
    Died,
    ForkRefused,
    MoldIsReady,
    NotPromoted,
    Ready,
    RetireRequest,
)
from ostler.process.fork import Death
from ostler.roles.perform import Performer
from ostler.supervisor.actions import ForgetGeneration, GenerationServes, OrderPromote
from ostler.supervisor.events import (
    Forked,
    ForkFailed,
    MoldReady,
    PromotionRefused,
    WorkerAsksToRetire,
    WorkerBootFailed,
    WorkerReady,
)
from tests.unit.roles.scene import Cast, Generation, Journal, shared


@pytest.fixture
def performer():
    generation = Generation(1)
    return Performer(shared(generation), generation)


@pytest.fixture
def cast(performer):
    made = Cast(performer, performer.newest())
    yield made
    made.close()


def test_a_fork_that_was_refused_is_told_once(performer, cast):
    mold, unborn = cast.mold(7), cast.worker(0, age=8, mold=7)
    cast.hang_up(unborn)
    children = performer.children.all()
    assert cast.say(mold, ForkRefused(8, "no memory")) == [ForkFailed(8, "no memory")]
    assert [performer.hear(child) for child in children] == [[], []]
    assert performer.children.all() == [mold]


@pytest.mark.parametrize(
    "message", [Born(9), MoldIsReady(5), NotPromoted("x"), Declined("x"), ForkRefused(8, "x"), Died(9, 0, None)]
)
@pytest.mark.parametrize("orphans_are_adopted", [True, False])
def test_a_worker_speaks_for_nobody_else(performer, cast, monkeypatch, message, orphans_are_adopted):
    monkeypatch.setattr("ostler.roles.perform.ORPHANS_ARE_ADOPTED", orphans_are_adopted)
    cast.mold(6)
    worker, sibling, unborn = cast.worker(7, mold=6), cast.worker(9, mold=6), cast.worker(0, age=8, mold=6)
    assert cast.say(worker, message) == []
    assert performer.children.by_pid[7] is worker
    assert worker.facts is not None
    assert performer.children.by_pid[9] is sibling
    assert performer.children.unborn() == [unborn]


def test_a_worker_speaks_for_itself(cast):
    worker = cast.worker(7)
    said = cast.say(worker, Ready(3), RetireRequest("max_requests"), BootFailed(3, "no"))
    assert said == [WorkerReady(7, 3), WorkerAsksToRetire(7, "max_requests"), WorkerBootFailed(7, 3, "no")]


def test_nothing_is_heard_of_one_that_has_not_said_its_pid(cast):
    unborn = cast.worker(0, age=8, mold=7)
    assert cast.say(unborn, Ready(1), BootFailed(3, "no"), MoldIsReady(1)) == []
    assert cast.say(unborn, Born(9), Ready(1)) == [Forked(8, 9), WorkerReady(9, 1)]


def test_a_worker_becomes_a_mold_when_it_was_told_to(performer, cast):
    worker, other = cast.worker(7), cast.worker(8)
    for child in (worker, other):
        performer.perform(OrderPromote(child.pid))
    assert cast.say(worker, MoldIsReady(4)) == [MoldReady(7, 4)]
    assert worker.facts is None
    assert cast.say(other, NotPromoted("a thread")) == [PromotionRefused(8, "a thread")]


def test_a_mold_refuses_only_forks_that_it_was_asked_for(performer, cast):
    mold, unborn = cast.mold(7), cast.worker(0, age=8, mold=6)
    assert cast.say(mold, ForkRefused(8, "x"), Ready(1), RetireRequest("signal"), NotPromoted("x")) == []
    assert performer.children.unborn() == [unborn]


@pytest.mark.parametrize(("adopted", "heard"), [(False, [Death(9, 1, None), Death(11, 0, None)]), (True, [])])
def test_a_mold_tells_of_its_own_dead_where_the_master_cannot_reap_them(cast, monkeypatch, adopted, heard):
    monkeypatch.setattr("ostler.roles.perform.ORPHANS_ARE_ADOPTED", adopted)
    mold = cast.mold(7)
    cast.worker(9, mold=7)
    cast.worker(10, mold=6)
    assert cast.say(mold, Died(9, 1, None), Died(10, 1, None), Died(11, 0, None)) == heard


def test_a_generation_that_comes_back_is_the_newest_again(performer):
    first, second = performer.newest(), Generation(2)
    performer.adopt(second)
    performer.perform(GenerationServes(2))
    assert performer.newest() is second
    performer.perform(GenerationServes(1))
    assert performer.newest() is performer.serving is first
    assert performer.shared.facts.settings is first.settings
    assert first.put_back == 1
    third = Generation(3)
    performer.adopt(third)
    performer.perform(ForgetGeneration(2))
    assert performer.newest() is third
    performer.perform(ForgetGeneration(3))
    assert performer.newest() is first
    assert first.put_back == 2


def test_a_child_that_cannot_be_given_new_logs_keeps_what_it_has(performer, cast, monkeypatch, caplog):
    journal = performer.newest().journal
    cast.worker(7)

    def no_descriptors(fd):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    journal.opened = (("access",), (1,))
    monkeypatch.setattr("ostler.process.channel._dup", no_descriptors)
    performer.reopen_logs()
    assert "a worker keeps the former logs" in caplog.text
    assert "pid=7" in caplog.text


def test_a_log_that_fails_keeps_no_dead_worker(performer, cast, monkeypatch):
    worker = cast.worker(7)
    performer.shared.facts.workers[7] = worker.facts

    def fail(*_):
        raise RuntimeError("a filter of the user's")

    monkeypatch.setattr("ostler.roles.reports.tell_unexpected_text", fail)
    with pytest.raises(RuntimeError):
        performer.forker.bury(worker)
    assert performer.children.all() == []
    assert performer.shared.facts.workers == {}


def test_journals_are_known_once():
    journal = Journal()
    first = Generation(1, journal)
    performer = Performer(shared(first), first)
    performer.adopt(Generation(2, journal))
    assert performer.generations.journals() == [journal]
