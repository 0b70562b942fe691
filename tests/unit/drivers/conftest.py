"""Sockets, and the descriptors that must not stay behind."""

import gc
import os
import socket

import pytest

from tests.unit.drivers.worker import Worker


@pytest.fixture(autouse=True)
def no_descriptor_stays():
    """Every test gives back what it opened."""
    gc.collect()
    before = sorted(os.listdir("/dev/fd"))
    yield
    assert sorted(os.listdir("/dev/fd")) == before


@pytest.fixture
def pair():
    """Two connected, non-blocking sockets; the second is the client's."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def start(monkeypatch):
    """Makes workers; they are closed in the end."""
    started = []

    def make(application, **settings):
        worker = Worker(monkeypatch, application, **settings)
        started.append(worker)
        return worker

    yield make
    for worker in started:
        worker.close()
