"""What is lost, and what was only closed in order."""

import errno
import os
import socket
from collections.abc import Iterator

import pytest

from ostler.process import belongings as module
from ostler.process.belongings import Belongings, close_detached, doubt, tell_of_doubt


@pytest.fixture
def thing() -> Iterator[socket.socket]:
    one, other = socket.socketpair()
    with other:
        yield one
        close_detached(one)


@pytest.fixture
def told() -> Iterator[list[str]]:
    heard: list[str] = []
    tell_of_doubt(lambda: heard.append("told"))
    yield heard
    tell_of_doubt(lambda: None)


def book(thing: socket.socket) -> Belongings:
    belongings = Belongings()
    belongings.add("line", thing.fileno)
    assert belongings.lost() == []
    return belongings


def test_a_number_that_somebody_has_closed_is_lost(thing: socket.socket) -> None:
    belongings = book(thing)
    os.close(thing.fileno())
    assert belongings.lost() == ["line"]


def test_a_number_that_stands_for_something_else_is_lost(thing: socket.socket) -> None:
    belongings = book(thing)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, thing.fileno())
    os.close(null)
    assert belongings.lost() == ["line"]


def test_what_is_put_back_is_not_lost(thing: socket.socket) -> None:
    belongings = book(thing)
    saved = os.dup(thing.fileno())
    os.close(thing.fileno())
    os.dup2(saved, thing.fileno())
    os.close(saved)
    assert belongings.lost() == []


def test_what_is_closed_in_order_is_not_lost(thing: socket.socket) -> None:
    belongings = book(thing)
    thing.close()
    assert belongings.lost() == []


def test_what_another_thread_closes_in_order_during_the_look_is_not_lost(
    thing: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    belongings = book(thing)

    def closed_just_before(fd: int) -> os.stat_result:
        thing.close()
        return os.fstat(fd)

    monkeypatch.setattr(module, "_fstat", closed_just_before)
    assert belongings.lost() == []


def test_what_is_not_there_at_first_is_never_lost() -> None:
    belongings = Belongings()
    belongings.add("nothing", lambda: -1)
    belongings.add("closed", lambda: 1 << 20)
    assert belongings.lost() == []


@pytest.mark.parametrize(("number", "tells"), [(errno.EBADF, True), (errno.ENOTSOCK, True), (errno.EPIPE, False)])
def test_only_what_no_number_of_ours_can_say_is_doubtful(number: int, tells: bool, told: list[str]) -> None:
    doubt(OSError(number, os.strerror(number)))
    assert bool(told) == tells


def test_closing_a_number_that_is_gone_raises_nothing(thing: socket.socket) -> None:
    os.close(thing.fileno())
    close_detached(thing)
    assert thing.fileno() == -1
