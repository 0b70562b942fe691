"""Look-ups in a thread and in a forked child: both are what these classes are for, so these tests use them."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

import pytest

from ostler.observe.resolve import (
    Answer,
    Endpoint,
    ForkedResolver,
    Resolver,
    ThreadResolver,
    known_endpoints,
    look_up,
)
from ostler.process.fork import fork
from tests.unit.observe.remotes import wait_until

FOUND = Answer((Endpoint(socket.AF_INET, ("192.0.2.1", 514)), Endpoint(socket.AF_INET6, ("2001:db8::1", 514, 0, 0))))


def answer_of(resolver: Resolver) -> Answer:
    wait_until(lambda: resolver.result() is not None)
    answer = resolver.result()
    assert answer is not None
    return answer


def forked(ask: Callable[[str, int], Answer]) -> tuple[ForkedResolver, list[int]]:
    pids: list[int] = []

    def remembering(run: Callable[[], NoReturn]) -> int:
        pids.append(fork(run))
        return pids[-1]

    return ForkedResolver(remembering, lambda: None, ask), pids


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_numbers_and_localhost_are_known_at_once() -> None:
    assert known_endpoints("192.0.2.7", 514) == (Endpoint(socket.AF_INET, ("192.0.2.7", 514)),)
    assert known_endpoints("2001:db8::7", 1) == (Endpoint(socket.AF_INET6, ("2001:db8::7", 1, 0, 0)),)
    assert [each.address[0] for each in known_endpoints("localhost", 8125)] == ["127.0.0.1", "::1"]


@pytest.mark.parametrize("name", ["syslog.example.com", "ünicode.example", "", "a" * 300])
def test_other_names_are_not(name: str) -> None:
    assert name == "" or known_endpoints(name, 514) == ()


def test_the_system_knows_localhost() -> None:
    addresses = [endpoint.address[0] for endpoint in look_up("localhost", 8125).endpoints]
    assert "127.0.0.1" in addresses or "::1" in addresses
    assert len(addresses) == len(set(addresses))


def test_a_name_that_cannot_exist_is_an_answer_and_not_an_error() -> None:
    for name in ("a" * 300, "ü" * 300, "x..y", "nul\0"):
        answer = look_up(name, 514, socket.AI_NUMERICHOST)
        assert answer.endpoints == ()
        assert answer.error


def test_a_thread_answers() -> None:
    resolver = ThreadResolver(lambda host, port: FOUND if (host, port) == ("loghost", 514) else Answer((), "?"))
    resolver.start("loghost", 514)
    assert answer_of(resolver) == FOUND


def test_the_systems_own_look_up_in_a_thread() -> None:
    resolver = ThreadResolver()
    resolver.start("localhost", 8125)
    assert answer_of(resolver).endpoints


def test_a_thread_that_is_late_is_not_waited_for_and_its_answer_is_forgotten() -> None:
    go, gone = threading.Event(), threading.Event()

    def ask(host: str, _port: int) -> Answer:
        if host == "slow":
            go.wait(10)
            gone.set()
            return Answer((), "late")
        return FOUND

    resolver = ThreadResolver(ask)
    resolver.start("slow", 1)
    assert resolver.result() is None
    resolver.start("quick", 1)
    assert answer_of(resolver) == FOUND
    go.set()
    assert gone.wait(10)
    assert resolver.result() == FOUND


def test_a_child_answers_and_leaves_nothing_behind() -> None:
    before = descriptors()
    resolver, pids = forked(lambda _host, _port: FOUND)
    resolver.start("loghost", 514)
    assert answer_of(resolver) == FOUND
    assert os.waitpid(pids[0], 0)[1] == 0
    assert descriptors() == before


def test_a_child_is_no_copy_of_the_master() -> None:
    """Its prepare_child runs first; and TERM ends it, though the master has a handler for that."""
    formerly = signal.signal(signal.SIGTERM, lambda *_: None)
    try:

        def hang(_host: str, _port: int) -> Answer:
            os.write(writer, b"asked")
            signal.pause()
            return FOUND

        reader, writer = os.pipe()
        pids: list[int] = []

        def remembering(run: Callable[[], NoReturn]) -> int:
            pids.append(fork(run))
            return pids[-1]

        def prepare() -> None:
            os.write(writer, b"prepared ")

        resolver = ForkedResolver(remembering, prepare, hang)
        resolver.start("loghost", 514)
        told = b""
        while not told.endswith(b"asked"):
            told += os.read(reader, 100)
        assert told == b"prepared asked"
        assert resolver.result() is None
        os.kill(pids[0], signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]) == -signal.SIGTERM
        answer = answer_of(resolver)
        assert answer.endpoints == ()
        assert "without an answer" in answer.error
        os.close(reader)
        os.close(writer)
    finally:
        signal.signal(signal.SIGTERM, formerly)


def test_a_child_whose_answer_nobody_wants_is_left_alone() -> None:
    before = descriptors()
    resolver, pids = forked(lambda _host, _port: FOUND)
    resolver.start("loghost", 514)
    resolver.close()
    assert descriptors() == before
    # the pipe is closed, or was written before: either way it ends by itself
    os.waitpid(pids[0], 0)


def test_a_fork_that_fails_is_an_answer() -> None:
    before = descriptors()

    def refuse(_run: Callable[[], NoReturn]) -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    resolver = ForkedResolver(refuse, lambda: None)
    resolver.start("loghost", 514)
    answer = resolver.result()
    assert answer is not None
    assert "resource temporarily unavailable" in answer.error
    assert descriptors() == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
def test_the_systems_own_look_up_in_a_child() -> None:
    pids: list[int] = []

    def remembering(run: Callable[[], NoReturn]) -> int:
        pids.append(fork(run))
        return pids[-1]

    resolver = ForkedResolver(remembering, lambda: None)
    resolver.start("localhost", 8125)
    assert answer_of(resolver).endpoints
    os.waitpid(pids[0], 0)
