"""observe/losses.py; how it looks from outside is in test_writer.py"""

import os

import pytest

from ostler.observe.losses import Losses
from tests.unit.observe.pipes import Pipe


@pytest.fixture
def console():
    pipe = Pipe()
    yield pipe
    pipe.close()


def test_a_loss_is_told_when_both_the_console_and_the_log_know(console):
    now = [0.0]
    losses = Losses("log", console.writer, lambda: now[0])
    assert losses.told
    losses.count("why")
    losses.count("why")
    assert console.read().endswith("[ERROR] log lines dropped file=log lines=1 error=why\n")
    assert losses.take_gap() == 2
    losses.recovered()
    assert console.read() == ""
    assert not losses.told
    now[0] = 60.0
    losses.recovered()
    assert console.read().endswith("the file takes lines again file=log lines=1\n")
    assert losses.told
    assert losses.dropped == 2


def test_the_last_chance_does_not_wait_for_the_minute(console):
    losses = Losses("log", console.writer, lambda: 0.0)
    losses.count("why")
    console.read()
    losses.finish(4, "closed")
    assert console.read().endswith("lines=4 error=closed\n")
    losses.finish(0, "closed")
    assert console.read() == ""


def test_the_line_in_the_log_names_the_process_and_the_number(console):
    line = Losses("/a b", console.writer, lambda: 0.0).bytes_of(7).decode()
    assert line.endswith(f'[{os.getpid()}] [ERROR] log lines dropped file="/a b" lines=7\n')
