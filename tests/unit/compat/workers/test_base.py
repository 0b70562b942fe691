"""compat/workers/base.py: a Worker of a user's class in its process, and one that stands alone."""

import signal
import sys
from types import SimpleNamespace

import pytest

from ostler.compat.workers import SUPPORTED_WORKERS, class_of_kind
from ostler.compat.workers.base import Worker
from ostler.compat.workers.gasgi import ASGIWorker
from ostler.compat.workers.ggevent import GeventPyWSGIWorker, GeventWorker
from ostler.compat.workers.gthread import ThreadWorker
from ostler.compat.workers.sync import SyncWorker
from tests.unit.compat.facts import LOG, settings, views_and_master, worker_facts


class Process:
    """An Engine that writes down what it is asked."""

    def __init__(self):
        self.asked = []
        self.application = print

    def __getattr__(self, name):
        def asked(*arguments):
            self.asked.append((name, *arguments))

        return asked

    def load(self):
        self.asked.append(("load",))
        return self.application


def in_process(kind, **changes):
    engine = Process()
    facts = worker_facts(pid=78, **changes)
    return kind.in_process(facts, views_and_master()[0].config, engine), engine


@pytest.fixture
def handlers():
    """Handlers of signals are put back."""
    former = {number: signal.getsignal(number) for number in Worker.SIGNALS}
    yield
    signal.set_wakeup_fd(-1)
    for number, handler in former.items():
        signal.signal(number, handler)


def test_a_worker_is_made_with_gunicorns_arguments():
    class Mine(Worker):
        def __init__(self, age, ppid, sockets, app, timeout, cfg, log):
            super().__init__(age, ppid, sockets, app, timeout, cfg, log)
            self.given = (age, ppid, len(sockets), app.app_uri, timeout, cfg.workers, log)

    worker, _ = in_process(Mine, request_limit=9, settings=settings(max_requests=5))
    assert worker.given == (5, 10, 2, "m:app", 15.5, 1, LOG)
    assert (worker.pid, worker.alive, worker.booted, worker.aborted, worker.nr) == (78, True, False, False, 0)
    assert (worker.max_requests, worker.reloader) == (9, None)


def test_a_class_may_set_what_the_server_knows():
    worker, _ = in_process(Worker)
    worker.nr += 1
    worker.booted = True
    worker.max_requests = 7
    assert (worker.nr, worker.booted, worker.max_requests) == (1, True, 7)


def test_one_of_ours_boots_in_gunicorns_order_and_is_served():
    class Plain(SyncWorker): ...

    worker, engine = in_process(Plain)
    worker.init_process()
    names = [name for name, *_ in engine.asked]
    assert names == ["become_user", "signals_are_set", "load", "booted", "serve"]
    assert engine.asked[-1] == ("serve", print)
    assert not worker.PIPE


def test_a_loop_of_its_own_has_its_pipe_and_handlers(handlers):
    class Mine(Worker):
        def run(self):
            self.notify()
            signal.raise_signal(signal.SIGTERM)
            self.ran = True

    worker, engine = in_process(Mine)
    worker.init_process()
    assert (worker.ran, worker.alive, worker.booted) == (True, False, True)
    assert [name for name, *_ in engine.asked][-2:] == ["beat", "leaves"]
    assert worker.wait_fds == [*worker.sockets, worker.PIPE[0]]
    worker.tmp.notify()
    assert engine.asked[-1] == ("beat",)
    with pytest.raises(SystemExit) as left:
        signal.raise_signal(signal.SIGABRT)
    assert (left.value.code, engine.asked[-1]) == (1, ("aborted",))
    signal.raise_signal(signal.SIGUSR1)
    assert engine.asked[-1] == ("ask_for_logs",)
    with pytest.raises(SystemExit) as left:
        signal.raise_signal(signal.SIGQUIT)
    assert (left.value.code, engine.asked[-1]) == (0, ("interrupted",))


def test_a_listener_that_a_loop_closes_says_that_the_worker_leaves():
    worker, engine = in_process(Worker)
    with pytest.raises(AttributeError, match="close"):  # of a socket that is none
        worker.sockets[0].close()
    assert engine.asked == [("leaves",)]


def test_a_class_without_run_says_so():
    worker, _ = in_process(Worker)
    with pytest.raises(NotImplementedError, match=r"Worker has no method run\(\)"):
        worker.run()


@pytest.mark.parametrize("method", ["init_process", "run"])
def test_a_view_of_another_worker_does_nothing(method):
    view = views_and_master()[0].worker(worker_facts())
    with pytest.raises(RuntimeError, match=f"worker.{method}: only the process of a worker"):
        getattr(view, method)()
    view.notify()
    view.handle_winch(None, None)


def test_an_asgi_worker_has_its_application_in_asgi():
    worker, engine = in_process(ASGIWorker)
    worker.init_process()
    assert (worker.asgi, engine.asked[-1]) == (print, ("serve", print))


def test_a_gevent_worker_patches_first():
    worker, engine = in_process(GeventWorker)
    worker.init_process()
    assert [name for name, *_ in engine.asked][:2] == ["prepare", "become_user"]
    assert worker._is_served()


def test_a_handler_of_its_own_is_not_served_by_us():
    class Mine(GeventPyWSGIWorker):
        wsgi_handler = object

    assert not in_process(Mine)[0]._is_served()
    assert in_process(GeventPyWSGIWorker)[0]._is_served()


def test_a_worker_alone_has_what_it_is_given():
    cfg = SimpleNamespace(max_requests=0, max_requests_jitter=0, worker_connections=10, threads=3)
    worker = ThreadWorker(1, 2, [], None, 30, cfg, LOG)
    assert (worker.pid, worker.alive, worker.nr, worker.max_requests) == ("[booting]", True, 0, sys.maxsize)
    assert worker.max_keepalived == 7
    assert worker.get_thread_pool()._max_workers == 3
    worker.notify()
    worker.alive = False
    assert not worker.alive


def test_an_error_of_a_request_is_logged_and_answered(caplog):
    sent = []
    worker, _ = in_process(Worker)
    request = SimpleNamespace(method="GET", uri="/x")
    worker.handle_error(request, SimpleNamespace(sendall=sent.append), ("::1", 1), KeyError("no"))
    assert b"500 Internal Server Error" in sent[0]
    assert "Error handling request GET /x" in caplog.text


@pytest.mark.parametrize("kind", SUPPORTED_WORKERS)
def test_every_kind_has_a_class_under_gunicorns_name(kind):
    found = class_of_kind(kind)
    assert SUPPORTED_WORKERS[kind].endswith(found.__qualname__)
    assert SUPPORTED_WORKERS[kind].startswith(found.__module__)
    assert issubclass(found, Worker)
