"""compat/worker_view.py"""

import os
import signal
import socket
import sys

import pytest

from ostler.config.address import FdAddress, UnixAddress
from tests.unit.compat.facts import LOG, Listener, settings, views_and_master, worker_facts


def worker_of(**changes):
    return views_and_master()[0].worker(worker_facts(**changes))


def test_a_worker_has_gunicorns_attributes():
    facts = worker_facts(pid=78, booted=True)
    facts.page.count_request()
    facts.page.beat(12.5)
    worker = views_and_master()[0].worker(facts)
    assert (worker.pid, worker.ppid, worker.age, worker.nr, worker.timeout) == (78, 10, 5, 1, 15.5)
    assert (worker.alive, worker.booted, worker.aborted) == (True, True, False)
    assert [str(each) for each in worker.sockets] == ["http://127.0.0.1:8000", "unix:/run/s"]
    assert str(worker) == "<Worker 78>"
    assert (worker.log, worker.reloader, worker.notify(), worker.tmp.notify()) == (LOG, None, None, None)
    assert worker.tmp.last_update() == 12.5
    with pytest.raises(AttributeError, match=r"worker\.tmp\.fileno is not in Ostler: a worker's heart beats in shared"):
        worker.tmp.fileno()


@pytest.mark.parametrize(
    ("kind", "name"),
    [("sync", "gunicorn.workers.sync.SyncWorker"), ("gthread", "gunicorn.workers.gthread.ThreadWorker")],
)
def test_a_worker_is_of_the_class_that_gunicorns_is_called(kind, name):
    worker = worker_of(settings=settings(worker_class=kind))
    assert f"{type(worker).__module__}.{type(worker).__name__}" == name
    assert worker.cfg.worker_class is type(worker)


def test_listeners_print_their_url_and_act_as_their_socket():
    tcp, unix = worker_of().sockets
    assert (str(tcp), tcp.cfg_addr, tcp.FAMILY) == ("http://127.0.0.1:8000", ("127.0.0.1", 8000), socket.AF_INET)
    assert (str(unix), unix.cfg_addr) == ("unix:/run/s", "/run/s")
    assert tcp.fileno() == tcp.sock.fileno() == 7
    assert tcp.conf.timeout == 31


@pytest.mark.parametrize(
    ("address", "shown"),
    [(UnixAddress("name", abstract=True), "\0name"), (FdAddress(3), 3), (FdAddress(None, "web"), "web")],
)
def test_addresses_have_gunicorns_shapes(address, shown):
    (listener,) = worker_of(listeners=(Listener("its name", address),)).sockets
    assert listener.cfg_addr == shown


def test_the_application_is_there_when_it_is_loaded():
    worker = worker_of()
    assert (worker.app.callable, worker.app.app_uri) == (None, "m:app")
    with pytest.raises(RuntimeError, match="in the workers only, never in the master"):
        worker.app.wsgi()
    with pytest.raises(AttributeError, match="from post_worker_init on"):
        worker.wsgi  # noqa: B018
    loaded = worker_of(application=len)
    assert loaded.wsgi is loaded.app.wsgi() is loaded.app.callable is len


def test_max_requests_is_the_limit_with_its_jitter():
    assert worker_of().max_requests == sys.maxsize
    assert worker_of(settings=settings(max_requests=9)).max_requests == 9
    jittered = settings(max_requests=9, max_requests_jitter=5)
    assert worker_of(settings=jittered, request_limit=12).max_requests == 12
    with pytest.raises(AttributeError, match="its jitter is not drawn yet"):
        worker_of(settings=jittered).max_requests  # noqa: B018


def test_a_worker_that_is_not_to_live_on_asks_to_be_replaced():
    received = []
    former = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        worker = worker_of(pid=os.getpid(), booted=True)
        worker.alive = True
        assert (worker.alive, received) == (True, [])
        worker.alive = False
        worker.alive = False
        assert (worker.alive, received) == (False, [signal.SIGTERM])
    finally:
        signal.signal(signal.SIGTERM, former)


@pytest.mark.parametrize("changes", [{"pid": 1, "booted": True}, {"pid": os.getpid(), "booted": False}])
def test_only_a_serving_worker_itself_can_say_that_it_is_not_to_live_on(changes):
    worker = worker_of(**changes)
    with pytest.raises(AttributeError, match=r"worker\.alive: only a worker that serves can set it"):
        worker.alive = False
    assert worker.alive
    with pytest.raises(AttributeError):
        worker.max_requests = 5
