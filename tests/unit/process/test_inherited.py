"""Sockets as another program would leave them open for us: usable ones, and all that may be there instead."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostler.config.address import TcpAddress, UnixAddress
from ostler.errors import BindError, ConfigError
from ostler.process.inherited import HAND_ON, Origin, adopt, hand_on, handed_on, listens, real_address, release


@pytest.fixture
def opened() -> Iterator[list[socket.socket]]:
    sockets: list[socket.socket] = []
    yield sockets
    for sock in sockets:
        sock.close()


def inherit(sock: socket.socket) -> int:
    os.set_inheritable(sock.fileno(), True)
    return sock.fileno()


def test_listening_socket_is_taken_as_it_is(opened: list[socket.socket]) -> None:
    opened.append(socket.create_server(("127.0.0.1", 0)))
    where = opened[0].getsockname()
    sock = adopt(inherit(opened[0]), "bind", 5)
    opened[0].detach()
    opened.append(sock)
    assert listens(sock)
    assert real_address(sock) == TcpAddress(*where)
    assert not sock.getblocking()
    assert not os.get_inheritable(sock.fileno())
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_bound_socket_is_made_to_listen(opened: list[socket.socket], tmp_path: Path) -> None:
    opened += [socket.socket(), socket.socket(socket.AF_UNIX)]
    opened[0].bind(("127.0.0.1", 0))
    opened[1].bind(str(tmp_path / "s"))
    for sock in list(opened):
        again = adopt(inherit(sock), "bind", 5)
        sock.detach()
        opened.append(again)
        assert listens(again)
    assert real_address(opened[3]) == UnixAddress(str(tmp_path / "s"))


def refused(sock: socket.socket) -> str:
    """Why, after a look that the socket is left alone."""
    fd = inherit(sock)
    with pytest.raises(BindError) as caught:
        adopt(fd, "bind: cannot listen on fd://N", 5)
    assert os.get_inheritable(fd)
    assert str(caught.value).startswith("bind: cannot listen on fd://N: ")
    return str(caught.value).removeprefix("bind: cannot listen on fd://N: ")


def test_what_is_no_stream_socket_is_refused_with_a_cure(opened: list[socket.socket]) -> None:
    opened += [socket.socket(type=socket.SOCK_DGRAM), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)]
    ends = "; use ListenStream= in its systemd unit"
    assert refused(opened[0]) == f"expected a stream socket, got a datagram one{ends}"
    assert refused(opened[1]) == f"expected a stream socket, got another one{ends}"


def test_connection_is_refused(opened: list[socket.socket]) -> None:
    opened += socket.socketpair()
    assert "got a connection; set Accept=no in its systemd unit" in refused(opened[0])


def test_socket_that_is_bound_to_nothing_is_refused(opened: list[socket.socket]) -> None:
    opened += [socket.socket(), socket.socket(socket.AF_UNIX), socket.socket(socket.AF_INET6)]
    for sock in opened:
        assert "is bound to no address" in refused(sock)


def test_file_is_no_socket(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(fd, True)
    try:
        with pytest.raises(BindError, match=f"bind: descriptor {fd} is not a socket; start Ostler from what opens it"):
            adopt(fd, "bind", 5)
        os.fstat(fd)
    finally:
        os.close(fd)


def test_number_that_nothing_is_open_under_is_explained() -> None:
    with pytest.raises(BindError, match="bind: descriptor 99999 is not open; start Ostler from what opens it"):
        adopt(99999, "bind", 5)


def test_standard_stream_is_duplicated_and_stays_open() -> None:
    """As inetd's `wait` leaves a socket at 0; in a child, for this process has its own."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            with socket.create_server(("127.0.0.1", 0)) as theirs:
                os.dup2(theirs.fileno(), 0)
            sock = adopt(0, "bind", 5)
            apart = sock.fileno() > 2 and os.fstat(0).st_ino == os.fstat(sock.fileno()).st_ino
            fd = sock.fileno()
            release(sock, Origin(0))
            os.fstat(0)
            try:
                os.fstat(fd)
            except OSError:
                status = 0 if apart else 2
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


def test_released_socket_can_be_taken_again(opened: list[socket.socket]) -> None:
    opened.append(socket.create_server(("127.0.0.1", 0)))
    fd = inherit(opened[0])
    release(adopt(fd, "bind", 5), Origin(fd))
    assert os.get_inheritable(fd)
    release(adopt(fd, "bind", 5), Origin(fd))


def test_abstract_name_is_read(opened: list[socket.socket], tmp_path: Path) -> None:
    opened.append(socket.socket(socket.AF_UNIX))
    try:
        opened[0].bind(f"\0{tmp_path}"[:100])
    except OSError:
        pytest.skip("only Linux has abstract sockets")
    assert real_address(opened[0]) == UnixAddress(str(tmp_path)[:99], abstract=True)


def test_origins_reach_the_next_master() -> None:
    origins = {3: Origin(3, "web,site.socket", activated=True), 9: Origin(0), 7: Origin(7, "", activated=True)}
    environ = {HAND_ON: hand_on(origins.items()), "HOME": "/root"}
    assert handed_on(environ) == origins
    assert environ == {"HOME": "/root"}
    assert handed_on(environ) == {}


@pytest.mark.parametrize("text", ["3", "x,3,0,", "3,3,maybe,name"])
def test_origins_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="unset it"):
        handed_on({HAND_ON: text})
