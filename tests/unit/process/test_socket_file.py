"""Socket files in a temporary directory: whose they are, when they go, and what stays untouched."""

import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostler.config.address import UnixAddress
from ostler.errors import BindError
from ostler.process.listeners import AddressInUse, BindOptions, Listener, bind
from ostler.process.socket_file import mark_of, remove


@pytest.fixture
def made() -> Iterator[list[Listener]]:
    listeners: list[Listener] = []
    yield listeners
    for listener in listeners:
        listener.close()
        listener.unlink()


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


@pytest.mark.parametrize(("umask", "mode"), [(0, 0o777), (0o007, 0o770), (0o177, 0o600)])
def test_umask_is_of_the_socket_file_and_of_nothing_else(
    made: list[Listener], tmp_path: Path, umask: int, mode: int
) -> None:
    path = tmp_path / "http.sock"
    made.append(bind(UnixAddress(str(path)), 5, BindOptions(umask=umask)))
    assert stat.S_IMODE(path.stat().st_mode) == mode
    former = os.umask(0o022)
    os.umask(former)
    other = tmp_path / "other"
    other.touch(0o666)
    assert stat.S_IMODE(other.stat().st_mode) == 0o666 & ~former


def test_file_that_is_ours_already_is_not_given_away(made: list[Listener], tmp_path: Path) -> None:
    made.append(bind(UnixAddress(str(tmp_path / "s")), 5, BindOptions(owner=(os.geteuid(), os.getegid()))))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_gives_the_file_to_its_owner(made: list[Listener], tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    made.append(bind(UnixAddress(str(path)), 5, BindOptions(owner=(65533, 65534))))
    assert (path.stat().st_uid, path.stat().st_gid) == (65533, 65534)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may give files to everybody")
def test_owner_that_cannot_be_given_is_explained_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    with pytest.raises(BindError, match="cannot be given to user 0 and group 0: operation not permitted"):
        bind(UnixAddress(str(path)), 5, BindOptions(owner=(0, 0)))
    assert list(tmp_path.iterdir()) == []


def test_nothing_but_the_socket_stays_in_the_directory(made: list[Listener], tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    made.append(bind(UnixAddress(str(path)), 5))
    assert list(tmp_path.iterdir()) == [path]
    made[0].close()
    made[0].unlink()
    assert list(tmp_path.iterdir()) == []


def test_two_servers_that_start_at_once_do_not_take_each_others_file(tmp_path: Path) -> None:
    """The first one has probed and not bound yet: the second one must not probe, for it would find a stale file."""
    path = tmp_path / "http.sock"
    with open(f"{path}.lock", "w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        with pytest.raises(AddressInUse, match="another server is starting or stopping there"):
            bind(UnixAddress(str(path)), 5)
    listener = bind(UnixAddress(str(path)), 5)
    listener.close()
    listener.unlink()
    assert list(tmp_path.iterdir()) == []


def test_file_is_left_to_a_successor_that_is_just_starting(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    listener = bind(UnixAddress(str(path)), 5)
    listener.close()
    with open(f"{path}.lock", "w") as successor:
        fcntl.flock(successor, fcntl.LOCK_EX)
        listener.unlink()
    assert path.exists()


def test_lock_that_is_left_over_or_cannot_be_made_stops_nobody(made: list[Listener], tmp_path: Path) -> None:
    (tmp_path / "a.lock").touch()
    (tmp_path / "b.lock").mkdir()
    (tmp_path / "c.lock").symlink_to(tmp_path / "elsewhere")
    made += [bind(UnixAddress(str(tmp_path / name)), 5) for name in "abc"]
    assert {each.name for each in tmp_path.iterdir()} == {"a", "b", "b.lock", "c", "c.lock"}


def test_file_with_another_time_is_another_file_even_with_the_same_inode(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    listener = bind(UnixAddress(str(path)), 5)
    device, inode, time_ns = mark_of(str(path))
    remove(UnixAddress(str(path)), (device, inode, time_ns - 1))
    assert path.exists()
    listener.close()
    listener.unlink()
    assert not path.exists()


def test_dangling_and_foreign_paths_have_no_mark(tmp_path: Path) -> None:
    assert mark_of(str(tmp_path / "nothing")) == (0, 0, 0)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        assert mark_of(str(tmp_path / "s"))[1] == (tmp_path / "s").stat().st_ino
