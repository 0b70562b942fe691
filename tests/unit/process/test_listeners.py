"""Listeners on the loopback and in a temporary directory: there is no other way to see what bind does."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostler.config.address import TcpAddress, UnixAddress
from ostler.errors import BindError
from ostler.process.listeners import AddressInUse, Listener, bind, bind_all, rebind

ANY = TcpAddress("127.0.0.1", 0)


@pytest.fixture
def made() -> Iterator[list[Listener]]:
    listeners: list[Listener] = []
    yield listeners
    for listener in listeners:
        listener.close()
        listener.unlink()


def test_name_is_the_url_with_the_real_port(made: list[Listener]) -> None:
    made.append(bind(ANY, 5))
    port = made[0].socket.getsockname()[1]
    assert made[0].name == f"http://127.0.0.1:{port}"
    assert not made[0].socket.getblocking()
    assert not os.get_inheritable(made[0].fd)


def test_ipv6_name_has_brackets(made: list[Listener]) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 in this Python")
    try:
        made.append(bind(TcpAddress("::1", 0), 5))
    except BindError as error:
        pytest.skip(f"no IPv6 on this machine: {error}")
    assert made[0].name.startswith("http://[::1]:")


def test_taken_port_is_said_to_be_in_use(made: list[Listener]) -> None:
    made.append(bind(ANY, 5))
    taken = TcpAddress("127.0.0.1", made[0].socket.getsockname()[1])
    with pytest.raises(AddressInUse, match=f"cannot listen on 127.0.0.1:{taken.port}: address already in use; stop"):
        bind(taken, 5)


def test_address_of_another_machine_is_no_use_trying_again() -> None:
    with pytest.raises(BindError, match="this machine has no such address") as caught:
        bind(TcpAddress("192.0.2.1", 0), 5)
    assert not isinstance(caught.value, AddressInUse)


def test_all_or_nothing(made: list[Listener], tmp_path: Path) -> None:
    made.append(bind(ANY, 5))
    taken = TcpAddress("127.0.0.1", made[0].socket.getsockname()[1])
    path = tmp_path / "http.sock"
    with pytest.raises(AddressInUse):
        bind_all([UnixAddress(str(path)), taken], 5)
    assert not path.exists()


def test_everyone_may_connect_to_a_unix_socket_and_it_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    listener = bind(UnixAddress(str(path)), 5)
    assert listener.name == f"unix:{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o777
    listener.close()
    listener.unlink()
    assert not path.exists()
    listener.unlink()


def test_unix_socket_that_somebody_else_made_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    first = bind(UnixAddress(str(path)), 5)
    path.rename(tmp_path / "moved.sock")  # so that its inode cannot be given to the next one
    second = bind(UnixAddress(str(path)), 5)
    first.close()
    first.unlink()
    assert path.exists()
    second.close()
    second.unlink()
    assert not path.exists()


def test_stale_unix_socket_is_taken_over_and_a_living_one_is_not(made: list[Listener], tmp_path: Path) -> None:
    address = UnixAddress(str(tmp_path / "http.sock"))
    dead = bind(address, 5)
    dead.close()
    made.append(bind(address, 5))
    with pytest.raises(AddressInUse, match="another server answers there"):
        bind(address, 5)


def test_living_unix_socket_with_a_full_backlog_is_not_taken_for_dead(made: list[Listener], tmp_path: Path) -> None:
    path = str(tmp_path / "http.sock")
    made.append(bind(UnixAddress(path), 0))
    clients = []
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        clients.append(client)
        try:
            client.connect(path)
        except BlockingIOError:
            break
    with pytest.raises(AddressInUse, match="another server may own it"):
        bind(UnixAddress(path), 5)
    for client in clients:
        client.close()


def test_file_that_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(BindError, match="exists and is not a socket"):
        bind(UnixAddress(str(path)), 5)
    assert path.read_text() == "data"


def test_path_too_long_for_a_socket_is_explained(tmp_path: Path) -> None:
    with pytest.raises(BindError, match="at most 107 bytes"):
        bind(UnixAddress(str(tmp_path / ("x" * 120))), 5)


def test_directory_that_is_not_there_is_explained(tmp_path: Path) -> None:
    with pytest.raises(BindError, match="no such directory; create it first"):
        bind(UnixAddress(str(tmp_path / "no" / "http.sock")), 5)


def test_rebind_keeps_what_stays_makes_what_is_new_and_closes_nothing(made: list[Listener], tmp_path: Path) -> None:
    address = UnixAddress(str(tmp_path / "http.sock"))
    former = bind_all([ANY, address], 5)
    made += former
    now = rebind(former, [address, ANY, ANY], 7)
    made.append(now[2])
    assert (now[0], now[1]) == (former[1], former[0])
    assert now[2] not in former
    assert former[0].fd != -1


def test_shutdown_ends_listening_in_every_process_that_shares_the_socket() -> None:
    listener = bind(ANY, 5)
    where = listener.socket.getsockname()
    shared = listener.socket.dup()
    listener.shutdown()
    with pytest.raises(ConnectionRefusedError), socket.create_connection(where, 2):
        pass
    shared.close()
