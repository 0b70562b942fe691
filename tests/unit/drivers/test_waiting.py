"""How threads wait for a client."""

import socket

from ostler import real
from ostler.drivers.waiting import THREADS


def test_a_condition_lets_go_of_the_lock_and_has_it_again_when_it_is_notified():
    lock, told, waits = real.make_lock(), [], real.Event()
    condition = THREADS.condition(lock)

    def wait():
        with lock:
            waits.set()
            told.append(condition.wait(10))
            assert lock.locked()

    threads = [real.Thread(wait, "waiter") for _ in range(2)]
    for thread in threads:
        thread.start()
    assert waits.wait(10)
    while len(told) < 2:
        with lock:
            condition.notify_all()
    assert all(thread.join(10) for thread in threads)
    assert told == [True, True]


def test_a_condition_that_nobody_notifies_is_over_in_time():
    lock = real.make_lock()
    condition = THREADS.condition(lock)
    with lock:
        assert not condition.wait(0.001)
        condition.notify_all()  # nobody waits any more


def test_readable_returns_when_it_is_and_when_the_time_is_over():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        THREADS.readable(ours.fileno(), 0.001)
        theirs.send(b"x")
        THREADS.readable(ours.fileno(), 60)
