"""roles/troubles.py: what a worker logs of its own troubles reaches its master, too."""

import logging

import pytest

from ostler.process.channel import Channel, Trouble
from ostler.roles import troubles
from ostler.roles.troubles import Troubles, tell_master


class Desk:
    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(troubles, "_monotonic", lambda: self.now)
        self.told = []
        self.log = logging.Logger("test", logging.DEBUG)
        self.log.addHandler(Troubles(self.told.append))


@pytest.fixture
def desk(monkeypatch):
    return Desk(monkeypatch)


def test_the_first_line_of_what_names_a_cause_is_told(desk):
    desk.log.error("%s\nTraceback", 'error handling request path=/ cause="x" cure="y"')
    desk.log.warning("response head is large cause=z")
    assert desk.told == [
        Trouble('error handling request path=/ cause="x" cure="y"', serious=True),
        Trouble("response head is large cause=z", serious=False),
    ]


def test_what_names_no_cause_or_is_only_news_is_not(desk):
    desk.log.error("what the application says")
    desk.log.info("worker exited cause=done")
    assert desk.told == []


def test_of_a_flood_a_few_are_told_at_once_and_then_one_every_two_seconds(desk):
    for _ in range(100):
        desk.log.error("error cause=x")
    assert len(desk.told) == 5
    for second in range(10):
        desk.now = 101.0 + second
        desk.log.error("error cause=x")
    assert len(desk.told) == 10


def test_a_record_that_cannot_be_formatted_and_a_channel_that_is_shut_cost_nothing(desk):
    desk.log.error("%d cause=", "text")
    desk.log.addHandler(Troubles(lambda _: 1 / 0))
    desk.log.error("error cause=x")
    assert len(desk.told) == 1


def test_a_worker_that_a_former_worker_forks_tells_it_its_own_master():
    log = logging.Logger("test")
    channels = [Channel.pair(), Channel.pair()]
    for _, ours in channels:
        tell_master(ours, log)
    log.error("error cause=x")
    heard = [theirs.receive() for theirs, _ in channels]
    for pair in channels:
        for channel in pair:
            channel.close()
    assert heard == [[], [Trouble("error cause=x", serious=True)]]
