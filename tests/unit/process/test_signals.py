import os
import signal
import socket
from collections.abc import Iterator

import pytest

from ostler.process.signals import DUMP_SIGNAL, SignalEdge, block_all, ignore, name_of, restore_default, restore_mask


@pytest.fixture
def edge() -> Iterator[SignalEdge]:
    numbers = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
    former = {number: signal.getsignal(number) for number in numbers}
    edge = SignalEdge(numbers)
    yield edge
    edge.close()
    for number, handler in former.items():
        signal.signal(number, handler)


def test_names() -> None:
    assert name_of(15) == "SIGTERM"
    assert name_of(DUMP_SIGNAL) == f"SIGRTMIN+{DUMP_SIGNAL - signal.SIGRTMIN}"
    assert name_of(200) == "signal 200"


def test_signals_are_taken_in_their_order(edge: SignalEdge) -> None:
    for number in (signal.SIGUSR2, signal.SIGUSR1, signal.SIGUSR2):
        signal.raise_signal(number)
    assert edge.take() == [signal.SIGUSR2, signal.SIGUSR1, signal.SIGUSR2]
    assert edge.take() == []


def test_blocked_signals_are_not_lost(edge: SignalEdge) -> None:
    mask = block_all()
    signal.raise_signal(signal.SIGUSR1)
    assert edge.take() == []
    restore_mask(mask)
    assert edge.take() == [signal.SIGUSR1]


def test_signals_are_heard_while_an_event_loop_has_the_wakeup_descriptor(edge: SignalEdge) -> None:
    theirs, wakeup = socket.socketpair()
    with theirs, wakeup:
        wakeup.setblocking(False)
        signal.set_wakeup_fd(wakeup.fileno())
        signal.raise_signal(signal.SIGUSR1)
        assert edge.take() == [signal.SIGUSR1]
        assert theirs.recv(10) == bytes([signal.SIGUSR1])
        assert signal.set_wakeup_fd(-1) == wakeup.fileno()  # it was given back; and now nobody has it
    signal.raise_signal(signal.SIGUSR2)
    signal.raise_signal(signal.SIGUSR1)
    assert edge.take() == [signal.SIGUSR2, signal.SIGUSR1]


def test_a_closed_edge_takes_nobodys_wakeup_descriptor(edge: SignalEdge) -> None:
    edge.close()
    theirs, wakeup = socket.socketpair()
    with theirs, wakeup:
        wakeup.setblocking(False)
        signal.set_wakeup_fd(wakeup.fileno())
        signal.raise_signal(signal.SIGUSR1)
        assert signal.set_wakeup_fd(-1) == wakeup.fileno()


def test_ignored_signals_end_nothing_and_are_not_ignored_after_exec(edge: SignalEdge) -> None:
    ignore([signal.SIGUSR1])
    signal.raise_signal(signal.SIGUSR1)
    assert signal.getsignal(signal.SIGUSR1) is not signal.SIG_IGN
    restore_default([signal.SIGWINCH])
    assert signal.getsignal(signal.SIGWINCH) is signal.SIG_DFL


def test_thousands_of_unread_signals_do_no_harm(edge: SignalEdge) -> None:
    for _ in range(5000):
        signal.raise_signal(signal.SIGUSR1)
    assert set(edge.take()) == {signal.SIGUSR1}


def test_a_signal_for_which_there_was_no_room_in_a_storm_is_heard() -> None:
    former = {number: signal.getsignal(number) for number in (signal.SIGWINCH, signal.SIGTTIN, signal.SIGUSR2)}
    edge = SignalEdge(former)
    try:
        for _ in range(5000):
            os.kill(os.getpid(), signal.SIGWINCH)
        os.kill(os.getpid(), signal.SIGUSR2)  # the kernel had dropped the numbers of others before
        heard = edge.take() + edge.take()
        assert signal.SIGUSR2 in heard
        assert heard.count(signal.SIGWINCH) <= 2
        assert [edge.take() for _ in range(5)] == [[]] * 5
        os.kill(os.getpid(), signal.SIGTTIN)
        os.kill(os.getpid(), signal.SIGTTIN)
        assert edge.take() == [signal.SIGTTIN, signal.SIGTTIN]
    finally:
        edge.close()
        for number, handler in former.items():
            signal.signal(number, handler)
