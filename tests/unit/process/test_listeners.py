"""Listeners on the loopback and in a temporary directory: there is no other way to see what bind does."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostler.config.address import FdAddress, TcpAddress, UnixAddress
from ostler.errors import BindError
from ostler.process.inherited import Origin
from ostler.process.listeners import AddressInUse, BindOptions, Listener, backlog_limit, bind, bind_all, rebind

ANY = TcpAddress("127.0.0.1", 0)


def port_of(listener: Listener) -> int:
    return int(listener.socket.getsockname()[1])


def connects(where: object) -> bool:
    family = socket.AF_INET if isinstance(where, tuple) else socket.AF_UNIX
    with socket.socket(family) as client:
        client.settimeout(2)
        return client.connect_ex(where) == 0


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


def test_inherited_listener_is_neither_shut_nor_removed_until_it_is_ours_again(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    listener = bind(UnixAddress(str(path)), 5)
    successor = listener.socket.dup()
    listener.disown()
    assert listener.inherited
    listener.shutdown()
    listener.unlink()
    assert connects(str(path))
    again = Listener(successor, UnixAddress(str(path)), inherited=True)
    again.own()
    again.shutdown()
    again.unlink()
    assert not path.exists()


def test_a_guest_never_becomes_the_owner(made: list[Listener]) -> None:
    made.append(bind(ANY, 5))
    guest = Listener(made[0].socket.dup(), ANY, origin=Origin(3))
    guest.own()
    assert guest.inherited
    guest.shutdown()
    assert connects(made[0].socket.getsockname())


def test_dual_stack_listener_serves_ipv4_too_and_says_so_when_both_are_bound(made: list[Listener]) -> None:
    try:
        made.append(bind(TcpAddress("::", 0), 5))
    except BindError as error:
        pytest.skip(f"no IPv6 on this machine: {error}")
    if made[0].socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
        pytest.skip("net.ipv6.bindv6only is set on this machine")
    port = port_of(made[0])
    assert connects(("127.0.0.1", port))
    with pytest.raises(AddressInUse):
        bind(TcpAddress("0.0.0.0", port), 5)
    made.append(bind(ANY, 5))
    with pytest.raises(AddressInUse, match="takes IPv4 too: do not bind"):
        bind(TcpAddress("::", port_of(made[1])), 5)


def test_unknown_host_is_explained() -> None:
    with pytest.raises(BindError, match="the host name is not known"):
        bind(TcpAddress("no-such-host.invalid", 0), 5)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract sockets")
def test_abstract_socket_has_no_file_and_one_owner(made: list[Listener], tmp_path: Path) -> None:
    address = UnixAddress(f"ostler-test{tmp_path}"[:100], abstract=True)
    made.append(bind(address, 5))
    assert made[0].name == f"unix:@{address.path}"
    assert connects("\0" + address.path)
    with pytest.raises(AddressInUse, match="address already in use"):
        bind(address, 5)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract sockets")
def test_abstract_name_too_long_is_explained() -> None:
    with pytest.raises(BindError, match="at most 107 bytes"):
        bind(UnixAddress("x" * 108, abstract=True), 5)


def test_kept_socket_file_keeps_its_mode(made: list[Listener], tmp_path: Path) -> None:
    address = UnixAddress(str(tmp_path / "http.sock"))
    made += rebind((), [address], 5, BindOptions(umask=0o007))
    assert rebind(made, [address], 5, BindOptions(umask=0o077)) == (made[0],)
    assert stat.S_IMODE(os.stat(address.path).st_mode) == 0o770


def test_reuse_port_notes_that_another_server_has_the_port(made: list[Listener]) -> None:
    shared = BindOptions(reuse_port=True)
    made.append(bind(ANY, 5, shared))
    made.append(bind(TcpAddress("127.0.0.1", port_of(made[0])), 5, shared))
    assert [each.crowded for each in made] == [False, True]


def test_reuse_port_does_not_take_the_port_of_a_server_without_it(made: list[Listener]) -> None:
    made.append(bind(ANY, 5))
    with pytest.raises(AddressInUse):
        bind(TcpAddress("127.0.0.1", port_of(made[0])), 5, BindOptions(reuse_port=True))


def test_descriptor_of_ours_is_not_taken_for_an_inherited_one(made: list[Listener]) -> None:
    made.append(bind(ANY, 5))
    with pytest.raises(BindError, match=f"fd://{made[0].fd}: descriptor .* is not one that Ostler was started with"):
        rebind(made, [FdAddress(made[0].fd)], 5)


def test_inherited_descriptor_is_listened_on_and_kept(made: list[Listener]) -> None:
    theirs = socket.create_server(("127.0.0.1", 0))
    os.set_inheritable(theirs.fileno(), True)
    where = theirs.getsockname()
    address = FdAddress(theirs.detach())
    made += rebind((), [address, ANY], 5)
    assert made[0].name == f"http://127.0.0.1:{where[1]}"
    assert made[0].address == TcpAddress(*where)
    assert (made[0].inherited, made[1].inherited) == (True, False)
    assert not os.get_inheritable(made[0].fd)
    assert rebind(made, [address], 5) == (made[0],)


def test_failed_bind_gives_an_inherited_descriptor_back(made: list[Listener]) -> None:
    made.append(bind(ANY, 5))
    taken = TcpAddress("127.0.0.1", port_of(made[0]))
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        os.set_inheritable(theirs.fileno(), True)
        for _ in range(2):
            with pytest.raises(AddressInUse):
                rebind((), [FdAddress(theirs.fileno()), taken], 5)
        assert os.get_inheritable(theirs.fileno())
        assert connects(theirs.getsockname())


def test_name_that_systemd_did_not_give_is_explained() -> None:
    with pytest.raises(BindError, match="fd://http: systemd passed no socket of that name"):
        rebind((), [FdAddress(None, "http")], 5)


def test_two_descriptors_of_one_socket_are_refused_when_they_are_one_number(made: list[Listener]) -> None:
    theirs = socket.create_server(("127.0.0.1", 0))
    os.set_inheritable(theirs.fileno(), True)
    address = FdAddress(theirs.detach())
    with pytest.raises(BindError, match="is not one that Ostler was started with"):
        rebind((), [address, address], 5)
    made += rebind((), [address], 5)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_queue_of_a_listener_is_counted(made: list[Listener], tmp_path: Path) -> None:
    made.append(bind(ANY, 5))
    made.append(bind(UnixAddress(str(tmp_path / "s")), 5))
    made.append(bind(UnixAddress(f"ostler-{os.getpid()}", abstract=True), 6))
    with socket.create_connection(made[0].socket.getsockname(), 2), socket.socket(socket.AF_UNIX) as local:
        local.connect(str(tmp_path / "s"))
        assert [each.queued() for each in made] == [1, 1, 0]
        assert [each.queue() for each in made] == [(1, 5), (1, 5), (0, 6)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_limit_of_the_backlog_is_the_kernels() -> None:
    shown = subprocess.run(["cat", "/proc/sys/net/core/somaxconn"], capture_output=True, check=True, text=True)
    assert backlog_limit() == int(shown.stdout)
