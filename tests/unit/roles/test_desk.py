"""Orders at the desk, with an insight that the test writes."""

import logging
import signal
from types import SimpleNamespace

import pytest

from ostler.control.protocol import Command, Request
from ostler.control.wire import Asked
from ostler.process.channel import LogLevel
from ostler.process.peer import Peer
from ostler.roles.desk import Desk
from ostler.supervisor.events import CapacityAsked


class Asker:
    peer = Peer(7, 0)
    gone = False

    def __init__(self):
        self.told, self.ended, self.data = [], None, None

    def tell(self, text):
        self.told.append(text)

    def end(self, succeeded, text):
        self.ended = (succeeded, text)

    def answer(self, data):
        self.data = data


class Room:
    """A desk. goal, ready, failed: what the supervisor says; least, most: what it allows."""

    def __init__(self):
        self.goal = self.ready = 2
        self.failed = 0
        self.signals, self.levels, self.sent = [], [], []
        channel = SimpleNamespace(send=self.sent.append)
        performer = SimpleNamespace(
            log=logging.getLogger("desk"),
            serving=SimpleNamespace(logs=SimpleNamespace(change_level=self.levels.append)),
            children=SimpleNamespace(all=lambda: [SimpleNamespace(channel=channel)]),
        )
        insight = SimpleNamespace(
            condition=lambda: (self.ready, self.goal, self.failed),
            last_incident=lambda: "the last line",
            status=lambda: {"state": "serving"},
            each_second=lambda: None,
        )
        self.desk = Desk(insight, performer, self.tell, self.signals.append, lambda: None)

    def tell(self, event):
        if 1 <= self.goal + event.delta <= 10:
            assert isinstance(event, CapacityAsked)
            self.goal += event.delta
            self.desk.tell("worker booting")

    def ask(self, command, *words):
        asker = Asker()
        self.desk.begin(asker, Request(command, words))
        return asker


@pytest.fixture
def room():
    return Room()


def test_scale_is_told_what_happens_and_ends_when_so_many_serve(room):
    asker = room.ask(Command.SCALE, "3")
    assert (asker.told, asker.ended) == (["worker booting"], None)
    room.ready = 3
    room.desk.look(0.0)
    assert asker.ended == (True, "scale complete: 3 workers serve")
    assert room.ask(Command.SCALE, "3").ended == (True, "scale complete: 3 workers serve")


def test_scale_that_is_refused_overtaken_or_whose_workers_do_not_boot_has_failed(room):
    assert room.ask(Command.SCALE, "99").ended == (False, "scale: refused, 2 workers it stays: the last line")
    first, second = room.ask(Command.SCALE, "3"), room.ask(Command.SCALE, "4")
    room.desk.look(0.0)
    assert first.ended == (False, "scale: overtaken: 4 workers are wanted now")
    room.failed = 1
    room.desk.look(0.0)
    text = "scale: workers do not start, 2 of 4 serve; it is tried again: the last line"
    assert second.ended == (False, text)
    waiting = room.ask(Command.SCALE, "5")
    room.desk.stop("the server stops")
    assert waiting.ended == (False, "scale ended: the server stops")
    assert room.ask(Command.SCALE, "6").ended == (False, "scale refused: the server stops")


@pytest.mark.parametrize("words", [(), ("0",), ("-1",), ("1", "2"), ("9" * 30,), ("\u0661",)])
def test_scale_takes_one_number(room, words):
    assert room.ask(Command.SCALE, *words).ended[0] is False
    assert room.goal == 2


def test_stop_is_the_signal_of_that_name_and_hears_of_the_end(room):
    asker, quick = room.ask(Command.STOP), room.ask(Command.STOP, "quick")
    assert room.signals == [signal.SIGTERM, signal.SIGINT]
    room.desk.close()
    assert asker.ended == quick.ended == (True, "stopped")
    assert room.ask(Command.STOP, "now").ended[0] is False


def test_the_level_goes_to_all_processes_and_is_over_with_the_next_reload(room):
    assert room.ask(Command.LOG_LEVEL, "Debug").ended == (True, "log level is debug until the next reload")
    assert (room.levels, room.sent) == ([logging.DEBUG], [LogLevel(logging.DEBUG)])
    room.desk.reload_begins()
    room.desk.reload_begins()
    assert (room.levels[1:], room.sent[1:]) == ([None], [LogLevel(0)])
    for words in ((), ("loud",), ("debug", "info")):
        assert "expected one of" in room.ask(Command.LOG_LEVEL, *words).ended[1]


def test_words_of_gunicorns_protocol_are_answered_or_refused_with_a_reason(room):
    def asked(*words):
        asker = Asker()
        room.desk.begin_asked(asker, Asked(1, words))
        return asker

    assert asked("STATUS").data == {"state": "serving"}
    assert asked("shutdown").data == {"status": "shutting_down", "mode": "graceful"}
    assert asked("worker", "add", "2").data == {"added": 2, "previous": 2, "total": 4}
    assert asked("worker", "remove", "9").data == {"removed": 3, "previous": 4, "total": 1}
    for words in (("dance",), ("show",), ("show", "x"), ("worker", "add", "x"), ("worker", "kill"), ("reload", "x")):
        assert asked(*words).ended[0] is False
    assert asked("worker", "add", "99").ended == (False, "1 workers it stays: the last line")
