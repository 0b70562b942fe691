"""One socket per slot, on loopback: who has which, and what a reload and a new master make of them."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostler.config.address import Address, FdAddress, TcpAddress, UnixAddress
from ostler.errors import BindError
from ostler.process.listeners import BindOptions, Listener, bind_all
from ostler.process.passing import take_over
from ostler.process.slots import SlotListeners

ANY = TcpAddress("127.0.0.1", 0)
REUSE = BindOptions(reuse_port=True)

pytestmark = pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="this system has no SO_REUSEPORT")


class Opened:
    """Remembers all that was made."""

    def __init__(self) -> None:
        self.sets: list[SlotListeners] = []

    def __call__(
        self, addresses: list[Address], passed: list[Listener], options: BindOptions = REUSE, slots: int = 9
    ) -> SlotListeners:
        self.sets.append(SlotListeners.open(passed, addresses, 64, options, slots))
        return self.sets[-1]


@pytest.fixture
def opened() -> Iterator[Opened]:
    opened = Opened()
    yield opened
    for each in opened.sets:
        for listener in (*each.all(), *each.unused):
            listener.own()
            listener.close()
            listener.unlink()


def port_of(listener: Listener) -> int:
    return int(listener.socket.getsockname()[1])


def waiting(listener: Listener) -> bool:
    try:
        listener.socket.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def test_without_reuse_port_all_slots_share_all(opened: Opened, tmp_path: Path) -> None:
    slots = opened([ANY, UnixAddress(str(tmp_path / "s"))], [], BindOptions())
    assert slots.of(0) == slots.of(7) == slots.all() == slots.fronts()
    slots.let_go(7)
    assert slots.all()[0].fd != -1


def test_slots_have_their_own_tcp_sockets_on_one_port_and_share_the_rest(opened: Opened, tmp_path: Path) -> None:
    slots = opened([ANY, UnixAddress(str(tmp_path / "s"))], [])
    first, second = slots.of(0), slots.of(1)
    assert first[0] is not second[0]
    assert port_of(first[0]) == port_of(second[0])
    assert first[1] is second[1]
    assert (first[0].slot, second[0].slot, first[1].slot) == (0, 1, None)
    assert not second[0].crowded
    assert not second[0].socket.getblocking()
    assert not os.get_inheritable(second[0].fd)


def test_a_successor_gets_the_socket_of_its_slot(opened: Opened) -> None:
    slots = opened([ANY], [])
    assert slots.of(2) == slots.of(2)
    assert len(slots.all()) == 2


def test_clients_are_spread_over_the_slots(opened: Opened) -> None:
    slots = opened([ANY], [])
    sockets = [slots.of(slot)[0] for slot in range(2)]
    clients = [socket.create_connection(("127.0.0.1", port_of(sockets[0])), 2) for _ in range(64)]
    spread = [each.queued() for each in sockets]
    for client in clients:
        client.close()
    # By a hash of both ends.
    if os.uname().sysname == "Linux":
        assert sum(count or 0 for count in spread) == 64
        assert all(spread)


def test_slot_that_is_let_go_takes_no_clients_and_may_come_again(opened: Opened) -> None:
    slots = opened([ANY], [])
    gone = slots.of(1)[0]
    kept = slots.of(0)[0]
    assert slots.let_go(1) == (gone,)
    assert gone.fd == -1
    assert slots.all() == (kept,)
    for _ in range(8):
        with socket.create_connection(("127.0.0.1", port_of(kept)), 2):
            assert waiting(kept)
    assert slots.of(1)[0] not in (gone, kept)


def test_last_socket_of_an_address_waits_for_the_next_slot(opened: Opened) -> None:
    slots = opened([ANY], [])
    last = slots.of(0)[0]
    slots.of(1)
    slots.let_go(1)
    assert slots.let_go(0) == slots.let_go(0) == ()
    assert slots.fronts() == (last,)
    with socket.create_connection(("127.0.0.1", port_of(last)), 2):
        assert slots.of(3) == (last,)
        assert last.slot == 3
        assert waiting(last)
    assert slots.of(0) != (last,)


def test_reload_keeps_the_sockets_of_all_slots_and_makes_the_new_address(opened: Opened, tmp_path: Path) -> None:
    former = opened([ANY, UnixAddress(str(tmp_path / "s"))], [])
    first, second = former.of(0), former.of(1)
    now = former.rebind([UnixAddress(str(tmp_path / "s")), ANY, ANY], 8, REUSE, 9)
    opened.sets.append(now)
    assert now.of(0)[:2] == (first[1], first[0])
    assert now.of(1)[1] is second[0]
    assert port_of(now.of(1)[2]) == port_of(now.of(0)[2]) != port_of(first[0])
    now.of(2)
    assert former.of(2)[0] is now.of(2)[1]


def test_reload_that_fails_changes_nothing(opened: Opened, tmp_path: Path) -> None:
    slots = opened([ANY], [])
    before = (slots.of(0), slots.of(1))
    with pytest.raises(BindError):
        slots.rebind([ANY, UnixAddress(str(tmp_path / "no" / "s"))], 8, REUSE, 9)
    assert (slots.of(0), slots.of(1)) == before


def fixed() -> TcpAddress:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return TcpAddress("127.0.0.1", sock.getsockname()[1])


@pytest.mark.parametrize("options", [REUSE, BindOptions()])
def test_address_that_only_an_older_generation_has_is_kept(opened: Opened, options: BindOptions) -> None:
    address = fixed()
    oldest = opened([address], [], options)
    first = oldest.of(0)
    newest = oldest.rebind([ANY], 64, options, 9)
    opened.sets.append(newest)
    now = newest.rebind([address], 64, options, 9, [oldest])
    assert now.of(0) == first
    assert now.of(1) == oldest.of(1)


def test_socket_that_its_last_worker_empties_is_not_used_again(opened: Opened) -> None:
    address = fixed()
    oldest = opened([address], [], BindOptions())
    (gone,) = oldest.all()
    newest = oldest.rebind([ANY], 64, BindOptions(), 9)
    opened.sets.append(newest)
    gone.given_up = True
    gone.socket.shutdown(socket.SHUT_RDWR)  # what the worker does
    now = newest.rebind([address], 64, BindOptions(), 9, [oldest])
    opened.sets.append(now)
    assert now.all() != (gone,)
    with socket.create_connection(("127.0.0.1", address.port), 2):
        assert waiting(now.all()[0])


def handed(listeners: tuple[Listener, ...]) -> list[Listener]:
    fds = [listener.socket.dup().detach() for listener in listeners]
    for fd in fds:
        os.set_inheritable(fd, True)
    return take_over(fds, {}, 8)


def test_next_master_finds_the_slots_of_the_former_one(opened: Opened) -> None:
    former = opened([ANY, ANY], [])
    was = [former.of(slot) for slot in range(3)]
    passed = handed(former.all())
    slots = opened([ANY, ANY], passed)
    now = [slots.of(slot) for slot in range(3)]
    assert slots.unused == ()
    assert sorted(each.fd for each in slots.all()) == sorted(each.fd for each in passed)
    assert [[port_of(each) for each in of] for of in now] == [[port_of(each) for each in of] for of in was]


def test_sockets_of_slots_that_the_next_master_does_not_have_go_to_slot_0(opened: Opened) -> None:
    former = opened([ANY], [])
    for slot in range(3):
        former.of(slot)
    passed = handed(former.all())
    slots = opened([ANY], passed, slots=1)
    assert set(slots.of(0)) == set(passed)
    assert slots.unused == ()


def test_next_master_without_reuse_port_serves_all_sockets_that_it_gets(opened: Opened) -> None:
    former = opened([ANY], [])
    former.of(1)
    passed = handed(former.all())
    slots = opened([ANY], passed, BindOptions())
    assert slots.of(0) == slots.of(1) == tuple(passed)
    assert slots.unused == ()


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="others let a socket join only before it is bound")
def test_socket_that_was_made_for_all_can_be_joined(opened: Opened) -> None:
    shared = bind_all([ANY], 8)
    slots = opened([ANY], handed(shared))
    assert port_of(slots.of(1)[0]) == port_of(shared[0])
    shared[0].close()


def test_socket_of_somebody_else_is_shared(opened: Opened) -> None:
    theirs = socket.create_server(("127.0.0.1", 0))
    os.set_inheritable(theirs.fileno(), True)
    slots = opened([FdAddress(theirs.detach())], [])
    assert slots.of(0) == slots.of(1)
