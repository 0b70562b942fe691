"""drivers/poller.py: both implementations, one contract."""

import select
import socket

import pytest

from ostler.drivers import poller as module
from ostler.drivers.poller import GONE, READ, WRITE, SelectorPoller, make_poller

KINDS = [SelectorPoller] + ([module.EpollPoller] if hasattr(select, "epoll") else [])


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def poller(request):
    poller = request.param()
    yield poller
    poller.close()


def test_nothing_happens_until_the_timeout(poller):
    assert poller.poll(0) == []


def test_what_can_be_read_and_written_is_reported(poller, pair):
    ours, theirs = pair
    poller.watch(ours.fileno(), READ)
    assert poller.poll(0) == []
    theirs.send(b"x")
    assert poller.poll(0) == [(ours.fileno(), READ)]
    poller.change(ours.fileno(), READ | WRITE)
    assert poller.poll(0) == [(ours.fileno(), READ | WRITE)]
    poller.change(ours.fileno(), WRITE)
    assert poller.poll(0) == [(ours.fileno(), WRITE)]
    poller.change(ours.fileno(), 0)
    assert poller.poll(0) == []
    poller.change(ours.fileno(), READ)
    assert poller.poll(0) == [(ours.fileno(), READ)]


def test_a_forgotten_descriptor_is_not_reported(poller, pair):
    ours, theirs = pair
    theirs.send(b"x")
    poller.watch(ours.fileno(), READ)
    poller.forget(ours.fileno())
    poller.forget(ours.fileno())
    poller.forget(-1)
    assert poller.poll(0) == []
    poller.watch(ours.fileno(), READ)
    assert poller.poll(0) == [(ours.fileno(), READ)]


def test_a_shared_descriptor_is_reported_for_reading(poller, pair):
    ours, theirs = pair
    poller.watch_shared(ours.fileno())
    theirs.send(b"x")
    assert poller.poll(0) == [(ours.fileno(), READ)]
    poller.forget(ours.fileno())
    assert poller.poll(0) == []


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="epoll only")
def test_epoll_reports_a_peer_that_is_gone_without_being_asked(pair):
    ours, theirs = pair
    poller = make_poller()
    poller.watch(ours.fileno(), 0)
    theirs.shutdown(socket.SHUT_WR)
    assert poller.poll(0) == []
    theirs.close()
    ((fd, events),) = poller.poll(0)
    assert fd == ours.fileno()
    assert events & GONE
    poller.close()
