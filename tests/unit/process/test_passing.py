"""Activation and hand-over with real sockets, and across a real exec."""

import os
import socket
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from ostler.config.address import FdAddress, TcpAddress, UnixAddress
from ostler.errors import BindError
from ostler.process.listeners import Listener, bind_all, rebind
from ostler.process.passing import activate, for_successor, take_over
from ostler.process.reexec import exec_again, start_context
from ostler.process.systemd import Activated

ANY = TcpAddress("127.0.0.1", 0)


@pytest.fixture
def made() -> Iterator[list[Listener]]:
    listeners: list[Listener] = []
    yield listeners
    for listener in listeners:
        listener.own()
        listener.close()
        listener.unlink()


def passed(*names: str, kind: int = socket.SOCK_STREAM) -> list[Activated]:
    """What systemd would have opened: one socket per name."""
    found = []
    for name in names:
        sock = socket.socket(type=kind)
        sock.bind(("127.0.0.1", 0))
        os.set_inheritable(sock.fileno(), True)
        found.append(Activated(sock.detach(), name))
    return found


def open_again(listeners: list[Listener]) -> list[Listener]:
    """As the next master has them."""
    fds = [listener.socket.dup().detach() for listener in listeners]
    for fd in fds:
        os.set_inheritable(fd, True)
    return take_over(fds, {}, 5)


def said_after_exec(script: str, become: Callable[[list[str]], NoReturn]) -> str:
    """What a Python prints that a child of ours becomes; `become` gets its command line, in the child."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(writer, 1)
            become([sys.executable, "-uc", textwrap.dedent(script)])
        finally:
            os._exit(255)
    os.close(writer)
    with open(reader) as output:
        said = output.read()
    assert os.waitpid(pid, 0)[1] == 0
    return said


def closed(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return True
    return False


def test_sockets_of_systemd_stand_in_for_bind(made: list[Listener]) -> None:
    listeners, unused = activate(passed("web", "admin"), [ANY], 5)
    made += listeners
    assert unused == []
    assert rebind(listeners, [ANY], 5) == tuple(listeners)
    assert all(each.inherited and each.name == f"http://127.0.0.1:{each.socket.getsockname()[1]}" for each in made)


def test_bind_picks_by_name_and_number_and_the_rest_is_bound(made: list[Listener]) -> None:
    sockets = passed("web", "admin", "other", "web")
    addresses = [FdAddress(sockets[1].fd), ANY, FdAddress(None, "web")]
    listeners, unused = activate(sockets, addresses, 5)
    assert unused == ["other"]
    assert closed(sockets[2].fd)
    now = rebind(listeners, addresses, 5)
    made += now
    by_fd = {each.fd: each for each in listeners}
    assert now[0] is by_fd[sockets[1].fd]
    assert not now[1].inherited
    assert now[2:] == (by_fd[sockets[0].fd], by_fd[sockets[3].fd])


def test_datagram_socket_of_systemd_is_refused_unless_nobody_asks_for_it() -> None:
    sockets = passed("dns", kind=socket.SOCK_DGRAM)
    with pytest.raises(BindError, match=f'LISTEN_FDS: cannot listen on socket {sockets[0].fd} "dns": expected a str'):
        activate(sockets, [ANY], 5)
    assert activate(sockets, [FdAddress(None, "web")], 5) == ([], ["dns"])
    assert closed(sockets[0].fd)


def test_next_master_keeps_what_is_where_it_should_be(made: list[Listener], tmp_path: Path) -> None:
    path = UnixAddress(str(tmp_path / "http.sock"))
    gone = UnixAddress(str(tmp_path / "gone.sock"))
    former = bind_all([TcpAddress("localhost", 0), path, gone, ANY], 5)
    made += former
    Path(gone.path).unlink()
    port = former[0].socket.getsockname()[1]
    taken = open_again(made)
    addresses = [gone, path, TcpAddress("localhost", port), ANY]
    now = rebind(taken, addresses, 5)
    made += [*taken, now[0]]
    assert now[1:] == (taken[1], taken[0], taken[3])
    assert now[0] not in taken
    assert [each.inherited for each in now] == [False, True, True, True]
    assert [each.address for each in now] == addresses
    assert rebind(now, addresses, 5) == now


def test_file_goes_with_the_last_master(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    former = bind_all([UnixAddress(str(path))], 5)[0]
    successor = open_again([former])[0]
    former.disown()
    former.shutdown()
    former.unlink()
    assert path.exists()
    successor.own()
    successor.shutdown()
    successor.unlink()
    assert not path.exists()


def test_number_that_the_former_master_did_not_pass_is_refused() -> None:
    with pytest.raises(BindError, match="GUNICORN_FD: cannot listen on the socket of the former master"):
        take_over([99999], {}, 5)


def test_sockets_survive_exec_and_say_whose_they_are(made: list[Listener], tmp_path: Path) -> None:
    """The child is what a master becomes: its addresses, its parent's sockets, and a guest's among them."""
    sockets = passed("web")
    guest, _ = activate(sockets, [FdAddress(None, "web")], 5)
    own = bind_all([ANY, UnixAddress(str(tmp_path / "s"))], 5)
    made += [*guest, *own]
    script = """
        import os
        from ostler.config.address import FdAddress, TcpAddress, UnixAddress
        from ostler.process.inherited import handed_on
        from ostler.process.listeners import rebind
        from ostler.process.passing import take_over
        from ostler.process.reexec import handed_over
        taken = take_over(handed_over(os.environ, os.getppid()).fds, handed_on(os.environ), 5)
        for each in taken:
            each.own()
        now = rebind(taken, [FdAddress(None, "web")], 5)
        print(*(f"{each.name},{each.inherited}" for each in taken), *(each.name for each in now))
        """

    def as_master(command: list[str]) -> NoReturn:
        environ = os.environ | for_successor(made)
        exec_again(start_context(os.environ, command), environ, [each.fd for each in made], os.getppid(), None)

    said = said_after_exec(script, as_master)
    names = [each.name for each in made]
    assert said.split() == [f"{names[0]},True", f"{names[1]},False", f"{names[2]},False", names[0]]
    assert not any(os.get_inheritable(each.fd) for each in made)


def test_only_what_is_a_guests_is_said(made: list[Listener]) -> None:
    made += bind_all([ANY], 5)
    assert for_successor(made) == {}


def test_descriptor_that_is_listed_twice_is_taken_once(made: list[Listener]) -> None:
    fd = socket.create_server(("127.0.0.1", 0)).detach()
    made += take_over([fd, fd], {}, 5)
    assert [each.fd for each in made] == [fd]


def test_activated_by_a_real_environment() -> None:
    """LISTEN_PID is the process that reads it, as after systemd's exec; its children do not see it."""
    script = """
        import os, subprocess, sys
        from ostler.config.address import TcpAddress
        from ostler.process.listeners import rebind
        from ostler.process.passing import activate
        from ostler.process.systemd import listen_fds
        bind = [TcpAddress("127.0.0.1", 1)]
        found, unused = activate(listen_fds(os.environ, os.getpid()), bind, 5)
        print(*(each.name for each in rebind(found, bind, 5)))
        subprocess.run([sys.executable, "-c", "import os; print([n for n in os.environ if n.startswith('LISTEN_')])"])
        """

    def as_systemd(command: list[str]) -> NoReturn:
        os.dup2(theirs.fileno(), 3)
        os.set_inheritable(3, True)
        variables = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
        os.execve(command[0], command, os.environ | variables)

    with socket.create_server(("127.0.0.1", 0)) as theirs:
        said = said_after_exec(script, as_systemd)
        assert said.split("\n")[:2] == [f"http://127.0.0.1:{theirs.getsockname()[1]}", "[]"]
