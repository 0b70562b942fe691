"""compat/worker_class.py"""

import signal
import sys

import pytest

from ostler.compat.worker_class import OwnWorker, import_class, known_class, name_of, set_up
from ostler.compat.workers.base import Worker
from ostler.compat.workers.gthread import ThreadWorker
from ostler.compat.workers.sync import SyncWorker
from ostler.errors import BootError
from tests.unit.compat.facts import LOG, settings, views_and_master, worker_facts
from tests.unit.compat.workers.test_base import Process


class Mine(SyncWorker):
    def handle_request(self, listener, req, client, addr):
        super().handle_request(listener, req, client, addr)

    def handle(self, listener, client, addr): ...

    def notify(self):
        raise KeyError("in notify")

    def handle_exit(self, sig, frame):
        self.heard = sig


def own(found, **changes):
    engine = Process()
    return OwnWorker(found, worker_facts(**changes), views_and_master()[0].config, engine), engine


def test_the_class_of_a_path_is_known_where_it_was_imported():
    path = f"{__name__}.Mine"
    assert known_class(settings(worker_class=path)) is Mine
    assert known_class(settings(worker_class="never.imported.Class")) is Worker
    assert known_class(settings(worker_class=Mine)) is Mine
    assert known_class(settings(worker_class="gthread")) is ThreadWorker
    assert (name_of(settings(worker_class=path)), name_of(settings(worker_class=Mine))) == (path, "Mine")


@pytest.mark.parametrize("given", [f"{__name__}.Mine", Mine])
def test_a_class_is_imported(given):
    assert import_class(settings(worker_class=given)) is Mine


def test_a_path_of_gunicorns_is_ours():
    assert import_class(settings(worker_class="gunicorn.workers.base.Worker")) is Worker


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("no.such.Class", r"cannot import no\.such\.Class: ModuleNotFoundError: .*; install its package"),
        ("egg:no-such-dist#x", "PackageNotFoundError: .*; install its package"),
        ("nobody_has_this", "ImportError: no installed distribution has an entry point 'nobody_has_this'"),
        ("os.path", "expected a class, os.path is of type module"),
        ("os.PathLike", "expected a class that derives from Worker, bases of os.PathLike: abc.ABC; name a class"),
        ("os.nothing", "cannot import os.nothing: AttributeError: .*; name a class"),
    ],
)
def test_a_class_that_cannot_be_had_is_a_boot_error(given, problem):
    with pytest.raises(BootError, match=problem):
        import_class(settings(worker_class=given))


def test_its_classmethods_are_called_and_what_they_raise_is_a_boot_error():
    called = []

    class Checks(SyncWorker):
        @classmethod
        def setup(cls):
            called.append("setup")

        @classmethod
        def check_config(cls, cfg, log):
            called.append((cfg, log))
            if cfg == "bad":
                raise SystemExit("no such thing")

    set_up(Checks, "good", LOG)
    assert called == ["setup", ("good", LOG)]
    with pytest.raises(BootError, match=r"Checks\.check_config\(\) raised SystemExit"):
        set_up(Checks, "bad", LOG)


@pytest.mark.parametrize("error", [KeyError("port"), SystemExit(0), KeyboardInterrupt(), BaseException("all")])
def test_a_class_that_cannot_be_made_is_a_boot_error(error):
    class Broken(SyncWorker):
        def __init__(self, *_):
            raise error

    with pytest.raises(BootError, match=rf"Broken\(\) raised {type(error).__name__}"):
        own(Broken)


def test_a_subclass_of_a_kind_is_served_by_it_with_its_methods():
    worker, _ = own(Mine)
    assert (worker.kind, worker.prepares, worker.unheard) == ("sync", "sync", ("handle",))
    assert worker.around is not None
    assert own(SyncWorker)[0].around is None
    worker.told_to_leave()
    assert worker.worker.heard == signal.SIGTERM


def test_what_its_methods_raise_is_logged_and_told_to_nobody(caplog):
    worker, engine = own(Mine)
    worker.tick()
    assert "Mine.notify() raised" in caplog.text
    worker.told_to_leave_now()
    worker.told_to_abort()
    assert engine.asked == [("interrupted",), ("aborted",)]


def test_what_is_no_exception_does_not_end_the_process(caplog):
    class Loud(SyncWorker):
        def handle_usr1(self, sig, frame):
            raise BaseException("all of it")

    own(Loud)[0].logs_taken()
    assert "Loud.handle_usr1() raised" in caplog.text


def test_a_notify_that_wants_to_leave_has_the_worker_replaced():
    class Full(SyncWorker):
        def notify(self):
            raise SystemExit

    worker, engine = own(Full)
    worker.tick()
    assert (engine.asked, worker.worker.alive) == ([("leaves",)], False)


def test_methods_that_are_not_replaced_are_not_called():
    worker, engine = own(SyncWorker)
    worker.told_to_leave()
    worker.logs_taken()
    worker.tick()
    assert (engine.asked, worker.hears_of_logs) == ([], False)


def test_a_loop_of_its_own_is_of_no_kind():
    class Loops(ThreadWorker):
        def run(self): ...

    worker, _ = own(Loops)
    assert (worker.kind, worker.prepares) == ("", "gthread")
    assert own(Worker)[0].prepares == ""


def test_the_limit_of_requests_is_what_the_class_made_of_it():
    limited = settings(max_requests=5)
    assert own(SyncWorker, settings=limited, request_limit=6)[0].request_limit == 6
    assert own(SyncWorker)[0].request_limit == 0
    worker, _ = own(SyncWorker)
    worker.worker.max_requests = 50
    assert (worker.request_limit, sys.maxsize) != (0, 50)


def test_it_has_booted_when_it_says_so_or_has_loaded_in_its_own_way():
    worker, _ = own(SyncWorker)
    assert not worker.is_booted
    worker.worker.wsgi = print
    assert worker.is_booted
    worker.worker.wait_fds = []
    assert not worker.is_booted
    worker.worker.booted = True
    assert worker.is_booted


def test_hooks_get_the_object_with_what_was_stored_on_its_view():
    views, _ = views_and_master()
    facts = worker_facts(settings=settings(worker_class=Mine))
    views.worker(facts).stored_by_pre_fork = 7
    made = views.make_worker(facts, Process())
    assert views.worker(facts) is made.worker
    assert (type(made.worker), made.worker.stored_by_pre_fork) == (Mine, 7)
