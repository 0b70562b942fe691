"""reuse_port: each worker has a listening socket of its own, and none is lost with its worker, slot or master."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.integration.client import Client, request_bytes
from tests.integration.harness import Server, bind_value, free_port
from tests.integration.load import Load
from tests.integration.masters import PROMOTED, Masters, masters
from tests.integration.processes import PROC, children_of, kill
from tests.integration.proxy import find_tool
from tests.integration.waiting import wait_until

__all__ = ["masters"]

OPTIONS = ("--reuse-port",)
LOST_TO_THE_KERNEL = 1
"""Of each client that connects anew: a connection that completes between a socket's last accept and its end is reset,
without net.ipv4.tcp_migrate_req (docs/how-to/sockets.md), and each client has one connection at a time."""


def listeners_of(server: Server) -> set[str]:
    """The inodes of the listening sockets on the server's TCP port."""
    assert not isinstance(server.address, str)
    port = f":{server.address[1]:04X}"
    rows = [line.split() for line in (PROC / "net" / "tcp").read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[1].endswith(port) and row[3] == "0A"}


def wait_listeners(server: Server, count: int) -> None:
    wait_until(lambda: len(listeners_of(server)) == count, f"there are {count} listeners")


def held_by(pid: int, inodes: set[str]) -> set[str]:
    """Which of the sockets a process has."""
    links = [str((entry).readlink()) for entry in (PROC / str(pid) / "fd").iterdir()]
    return {match[1] for link in links if (match := re.fullmatch(r"socket:\[(\d+)\]", link)) and match[1] in inodes}


def crowd(server: Server, count: int) -> list[Client]:
    """Clients with a request each: spread blindly over the listeners."""
    clients = [server.client() for _ in range(count)]
    for client in clients:
        client.send(request_bytes("GET", "/pid", [("Connection", "close")]))
    return clients


def answers(clients: list[Client]) -> set[int]:
    pids = set()
    for client in clients:
        response = client.read_response()
        assert response.status == 200
        pids.add(int(response.text))
        client.close()
    return pids


def test_each_worker_has_one_listener_and_all_are_the_masters(serve: Callable[..., Server], kind: str) -> None:
    server = serve(kind=kind, workers=3, options=OPTIONS)
    inodes = listeners_of(server)
    assert len(inodes) == 3
    assert held_by(server.master, inodes) == inodes
    own = [held_by(pid, inodes) for pid in server.worker_pids()]
    assert sorted(map(len, own)) == [1, 1, 1]
    assert set.union(*own) == inodes
    assert answers(crowd(server, 60)) == set(server.worker_pids())


def launch(server: Server, workers: int, kind: str = "sync") -> None:
    """Its file says how many workers there are."""
    write(server, workers, kind)
    server.launch([sys.executable, "-m", "ostler", "contract:application"], {}, server.home)
    server.wait_ready(workers)


def write(server: Server, workers: int, kind: str = "sync", *, reuse_port: bool = True) -> None:
    lines = [f"bind = '{bind_value(server.address)}'", f"reuse_port = {reuse_port}", f"workers = {workers}"]
    lines += [f"worker_class = '{kind}'", f"threads = {4 if kind == 'gthread' else 1}", ""]
    (server.home / "ostler.conf.py").write_text("\n".join(lines))


def test_load_survives_reload_and_changes_of_the_number_of_workers(
    make_server: Callable[..., Server], kind: str
) -> None:
    server = make_server()
    launch(server, 2, kind)
    with (
        Load(server.address, clients=2) as keeping,
        Load(server.address, clients=2, keep_alive=False) as short,
    ):
        for number, count in ((signal.SIGHUP, 3), (signal.SIGHUP, 1), (signal.SIGTTIN, 2), (signal.SIGTTOU, 1)):
            since, former = server.log_end(), listeners_of(server)
            if number == signal.SIGHUP:
                write(server, count, kind)
            server.send_signal(number)
            if number == signal.SIGHUP:
                server.wait_log("reload complete", since)
            wait_listeners(server, count)
            wait_until(lambda count=count: len(server.worker_pids()) == count, "as many workers")  # type: ignore[misc]
            short.wait_for(20)
            keeping.wait_for(20)
            found = listeners_of(server)
            assert found <= former or found >= former, "sockets are kept"
    print(f"keep-alive: {keeping.tally}; one request each: {short.tally}")
    keeping.tally.assert_at_most(2 * LOST_TO_THE_KERNEL)
    short.tally.assert_at_most(2 * LOST_TO_THE_KERNEL)


def test_slot_that_is_given_up_is_emptied_first(serve: Callable[..., Server]) -> None:
    server = serve(workers=3, options=OPTIONS)
    busy = [server.client() for _ in range(9)]
    for client in busy:
        client.send(request_bytes("GET", "/sleep/300"))
    wait_until(lambda: len(server.notes("sleeping")) >= 3, "every worker is busy")
    waiting = crowd(server, 60)
    server.send_signal(signal.SIGTTOU)
    answers(waiting)
    for client in busy:
        assert client.read_response().status == 200
        client.close()
    wait_listeners(server, 2)
    assert answers(crowd(server, 40)) == set(server.worker_pids())


def test_queue_of_a_killed_worker_waits_for_its_successor(serve: Callable[..., Server]) -> None:
    server = serve(workers=2, options=OPTIONS)
    inodes = listeners_of(server)
    first = server.client()
    first.send(request_bytes("GET", "/sleep/1000000"))
    wait_until(lambda: len(server.notes("hanging")) == 1, "one worker is busy")
    (busy,) = (int(pid) for pid in server.notes("hanging"))
    waiting = crowd(server, 40)
    since = server.log_end()
    kill(busy, signal.SIGKILL)
    server.wait_ready(1, since)
    assert answers(waiting) == set(server.worker_pids())
    assert listeners_of(server) == inodes
    first.close()


def test_load_survives_kills(serve: Callable[..., Server], kind: str) -> None:
    """Only what the killed worker had accepted is lost: one connection at most of each client."""
    server = serve(kind=kind, workers=3, options=OPTIONS)
    with Load(server.address, clients=6, keep_alive=False) as load:
        for _ in range(3):
            since = server.log_end()
            load.wait_for(20)
            kill(server.worker_pids()[0], signal.SIGKILL)
            server.wait_ready(1, since)
        load.wait_for(100)
    print(load.tally)
    assert not load.tally.refused
    assert len(load.tally.lost) + len(load.tally.cut) <= 3 * 6
    assert len(listeners_of(server)) == 3


@pytest.mark.parametrize("count", [2, 1, 3])
def test_usr2_hands_every_socket_over(make_server: Callable[..., Server], masters: Masters, count: int) -> None:
    """The new master may have fewer workers than sockets were handed to it, or more."""
    server = make_server()
    launch(server, 2)
    write(server, count)
    with Load(server.address, clients=4, keep_alive=False) as load:
        load.wait_for(50)
        since = server.log_end()
        new = masters.upgrade(server)
        server.wait_log(rf"\[{new}\] .*worker ready", since, count=count)
        load.wait_for(50)
        masters.end(server.master)
        server.wait_log(PROMOTED)
        load.wait_for(100)
    print(load.tally)
    assert len(listeners_of(server)) == max(2, count), "who waits in one that is not needed is served, too"
    assert answers(crowd(server, 40)) == set(children_of(new))
    load.tally.assert_nothing_failed()


def test_usr2_that_turns_it_off_empties_what_is_left_over(
    make_server: Callable[..., Server], masters: Masters
) -> None:
    """The kernel gives clients to all sockets for as long as they are open: they are served, until a reload."""
    server = make_server()
    launch(server, 3)
    write(server, 3, reuse_port=False)
    with Load(server.address, clients=4, keep_alive=False) as load:
        load.wait_for(50)
        new = masters.succeed(server)
        load.wait_for(100)
        load.tally.assert_nothing_failed()
        kill(new, signal.SIGHUP)
        wait_listeners(server, 1)
        load.wait_for(50)
    load.tally.assert_at_most(4 * LOST_TO_THE_KERNEL)


def test_unix_socket_beside_it_stays_shared(serve: Callable[..., Server], masters: Masters) -> None:
    port = ("127.0.0.1", free_port())
    server = serve(workers=2, transport="unix", options=[*OPTIONS, "--bind", bind_value(port)])
    assert isinstance(server.address, str)
    with Load(server.address, clients=3) as unix, Load(port, clients=3) as tcp:
        for _ in range(3):
            since = server.log_end()
            server.send_signal(signal.SIGHUP)
            server.wait_log("reload complete", since)
            unix.wait_for(30)
            tcp.wait_for(30)
    unix.tally.assert_nothing_failed()
    tcp.tally.assert_nothing_failed()
    shown = subprocess.run([find_tool("ss"), "-xlH"], capture_output=True, text=True, check=True).stdout
    assert shown.count(server.address) == 1
    new = masters.succeed(server)
    with Client(port) as client:
        assert int(client.get("/pid").text) in children_of(new)
    assert int(server.get("/pid").text) in children_of(new)
