"""Who is asked for stacks, what is answered, and that reports of the supervisor have theirs all the same."""

import json
import os
import signal
from types import SimpleNamespace

import pytest

from ostler.process.channel import Channel
from ostler.process.signals import DUMP_SIGNAL
from ostler.roles import stacks as module
from ostler.roles.stacks import COLLECT_S, LATE_S, Stacks
from ostler.supervisor.handle import Handle, State


class Asker:
    def __init__(self):
        self.data = self.refusal = None

    def answer(self, data):
        self.data = json.loads(json.dumps(data))

    def end(self, succeeded, text):
        self.refusal = text


class Child:
    born = True

    def __init__(self, pid, channel):
        self.pid, self.channel = pid, channel


class Fleet:
    """Processes that the test speaks for. `sent`: whom the dump signal was sent to."""

    def __init__(self, monkeypatch):
        self.sent = []
        self.deaf = set()
        self.now = 100.0
        self.rows = []
        self.ends = {}
        monkeypatch.setattr(module, "send_signal", lambda pid, number: self.sent.append((pid, number)))
        monkeypatch.setattr(module, "heeds", lambda pid, number: pid not in self.deaf)
        monkeypatch.setattr(module, "_monotonic", lambda: self.now)
        self.stacks = Stacks(SimpleNamespace(handles=lambda: self.rows))

    def add(self, pid, page=0):
        handle = Handle(pid, pid, 1, page, 0.0)
        handle.pid, handle.state = pid, State.READY
        ours, self.ends[pid] = Channel.pair()
        child = Child(pid, ours)
        self.rows.append((handle, child))
        return handle, child

    def write(self, pid, text):
        os.write(self.ends[pid].fileno(), text.encode())
        for handle, child in self.rows:
            if handle.pid == pid:
                child.channel.receive()

    def ask(self, pid=None):
        asker = Asker()
        self.stacks.ask(asker, pid)
        return asker

    def wait(self, seconds=COLLECT_S):
        self.now += seconds
        self.stacks.look(self.now)

    def close(self):
        for (_, child), end in zip(self.rows, self.ends.values(), strict=True):
            child.channel.close()
            end.close()


@pytest.fixture
def fleet(monkeypatch):
    made = Fleet(monkeypatch)
    yield made
    made.close()


def test_all_are_asked_and_answered_after_a_moment(fleet):
    fleet.add(7)
    fleet.add(8, page=None)
    asker = fleet.ask()
    assert fleet.sent == [(7, DUMP_SIGNAL), (8, DUMP_SIGNAL)]
    fleet.write(7, "Thread 1\n  File x\n")
    fleet.wait(COLLECT_S / 2)
    assert asker.data is None
    fleet.write(7, "Thread 2\n")
    fleet.wait()
    assert asker.data["processes"] == [
        {
            "role": role, "pid": pid, "slot": slot, "generation": 1, "state": "ready",
            "answered": bool(text), "asked": True, "stacks": text,
        }
        for role, pid, slot, text in (("worker", 7, 7, "Thread 1\n  File x\nThread 2"), ("mold", 8, None, ""))
    ]  # fmt: skip
    assert fleet.rows[0][1].channel.take_dump() == "", "what was asked for is not the last word of a worker that dies"


def test_one_is_asked_alone_and_strangers_are_refused(fleet):
    fleet.add(7)
    fleet.add(8)
    asker, stranger = fleet.ask(8), fleet.ask(9)
    assert fleet.sent == [(8, DUMP_SIGNAL)]
    assert "process 9 is no worker and no mold" in stranger.refusal
    fleet.wait()
    assert [each["pid"] for each in asker.data["processes"]] == [8]


def test_two_who_ask_at_once_hear_of_one_signal(fleet):
    fleet.add(7)
    first, second = fleet.ask(), fleet.ask(7)
    fleet.write(7, "text")
    fleet.wait()
    assert first.data == second.data
    assert len(fleet.sent) == 1


def test_a_process_without_a_handler_is_left_alone(fleet):
    fleet.add(7)
    fleet.deaf.add(7)
    asker = fleet.ask()
    fleet.wait()
    assert fleet.sent == []
    assert asker.data["processes"][0]["asked"] is False


def test_a_hang_that_is_reported_at_that_moment_keeps_its_stacks(fleet):
    handle, child = fleet.add(7)
    handle.enter(State.DUMPING, 101.0, "timeout")
    asker = fleet.ask()
    assert fleet.sent == [], "the supervisor has asked it"
    fleet.write(7, "the stacks")
    fleet.wait()
    assert asker.data["processes"][0]["stacks"] == "the stacks"
    assert child.channel.take_dump() == "the stacks"


def test_a_report_that_takes_them_first_takes_nothing_away(fleet):
    handle, child = fleet.add(7)
    asker = fleet.ask()
    fleet.write(7, "stacks")
    handle.enter(State.DUMPING, 101.0, "timeout")
    assert child.channel.take_dump() == "stacks"
    fleet.wait()
    assert asker.data["processes"][0]["stacks"] == "stacks"


def test_what_comes_too_late_is_dropped_after_a_while(fleet):
    _, child = fleet.add(7)
    fleet.ask()
    fleet.wait()
    fleet.write(7, "late")
    fleet.wait(LATE_S)
    assert child.channel.take_dump() == ""
    fleet.write(7, "Fatal Python error")
    fleet.wait()
    assert child.channel.take_dump() == "Fatal Python error"


def test_however_many_answer_the_answer_is_bounded(fleet):
    for pid in range(1, 41):
        fleet.add(pid)
    asker = fleet.ask()
    for pid in range(1, 41):
        for _ in range(8):
            fleet.write(pid, "x" * 20000)
    fleet.wait()
    assert len(json.dumps(asker.data)) < 2_000_000
    assert all(each["stacks"].endswith("\n(cut)") for each in asker.data["processes"])


def test_who_heeds_the_signal_is_known_by_proc():
    def caught(handler):
        child = os.fork()
        if child == 0:
            signal.signal(DUMP_SIGNAL, handler)
            os.kill(os.getpid(), signal.SIGSTOP)
            os._exit(0)
        os.waitpid(child, os.WUNTRACED)
        heeded = module.heeds(child, DUMP_SIGNAL)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return heeded

    assert (caught(lambda *_: None), caught(signal.SIG_DFL)) == (True, False)
    assert module.heeds(2**22 + 1, DUMP_SIGNAL) is False
