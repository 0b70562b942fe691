"""Two that want the same thing: a pid file, a Unix socket, the number of a process. Started at once, one after the
other, or by USR2.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.harness import Server
from tests.integration.load import Load
from tests.integration.masters import Masters, masters, pid_in
from tests.integration.processes import alive, children_of, kill
from tests.integration.waiting import wait_until

__all__ = ["masters"]

RIVALS = 3
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


@pytest.fixture
def stranger() -> Iterator[int]:
    """The pid of a process that is no server."""
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as process:
        yield process.pid
        assert process.poll() is None, "somebody has ended a process that is not theirs"
        process.kill()


@pytest.mark.parametrize("left_behind", [False, True], ids=["no-file", "stale-file"])
def test_of_servers_started_at_once_with_one_pid_file_exactly_one_lives(
    make_server: Callable[..., Server], tmp_path: Path, left_behind: bool, stranger: int
) -> None:
    pid_file = tmp_path / "pid"
    if left_behind:
        pid_file.write_text(f"{stranger}\n")
    servers = [make_server() for _ in range(RIVALS)]
    for server in servers:
        server.start("contract:application", workers=1, options=["--pid", str(pid_file)])
    wait_until(lambda: sum(server.exited for server in servers) == RIVALS - 1, "all but one have given up", 20)
    (winner,) = (server for server in servers if not server.exited)
    winner.wait_ready()
    assert winner.get("/").status == 200
    assert pid_in(pid_file) == winner.master
    for server in servers:
        if server is not winner:
            assert server.exit_status == 1
            server.wait_log(f"pidfile: already running on pid {winner.master} ")
    assert winner.stop() == 0
    assert not pid_file.exists()
    assert not list(tmp_path.iterdir())


def test_pid_file_that_names_another_program_is_stale(make_server: Callable[..., Server], stranger: int) -> None:
    """In a container the number of the last run is soon another process's."""
    server = make_server()
    pid_file = server.home / "pid"
    pid_file.write_text(f"{stranger}\n")
    server.start("contract:application", options=["--pid", str(pid_file)])
    server.wait_ready()
    assert pid_in(pid_file) == server.master
    assert server.stop() == 0
    assert not pid_file.exists()


def test_pid_file_of_a_killed_server_is_taken_over_while_its_last_worker_ends(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    options = ["--pid", str(tmp_path / "pid")]
    first, second = make_server(), make_server()
    first.start("contract:application", options=options)
    first.wait_ready()
    kill(first.master, signal.SIGKILL)
    second.start("contract:application", options=options)
    second.wait_ready()
    assert pid_in(tmp_path / "pid") == second.master


LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


@pytest.fixture
def born_as() -> Iterator[Callable[[int], int]]:
    """born_as(pid): a process that is no server gets this number, which nobody has. Where the kernel lets us choose."""
    made: list[subprocess.Popen[bytes]] = []

    def begin(wanted: int) -> int:
        for _ in range(100):
            try:
                LAST_PID.write_text(str(wanted - 1))
            except OSError as error:
                pytest.skip(f"the number of a process cannot be chosen: {error}")
            made.append(subprocess.Popen(["sleep", "1000"]))
            if made[-1].pid == wanted:
                return wanted
        raise AssertionError(f"others were faster to get the number {wanted}")

    yield begin
    for process in made:
        assert process.poll() is None, f"somebody has ended {process.pid}, which is not theirs"
        process.kill()
        process.wait()


def test_stranger_who_got_the_number_of_a_dead_worker_is_left_alone(
    make_server: Callable[..., Server], born_as: Callable[[int], int]
) -> None:
    server = make_server()
    server.start("contract:application", options=["--graceful-timeout", "1"])
    victim = server.wait_ready()[0]
    kill(victim)
    server.wait_ready(3)
    born_as(victim)
    server.send_signal(signal.SIGHUP)
    server.wait_log("reload complete")
    assert server.stop() == 0


@pytest.fixture
def adopting() -> Iterator[None]:
    """Orphans become children of the test, which reaps them at once; who else would do it takes his time."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@pytest.mark.usefixtures("adopting")
def test_stranger_who_got_the_number_of_an_orphaned_worker_is_left_alone(
    make_server: Callable[..., Server], born_as: Callable[[int], int]
) -> None:
    """Workers of a killed master end a sibling that hangs, by the number that they know of it."""
    server = make_server()
    server.start("contract:application")
    victim, sibling = server.wait_ready()
    kill(server.master, signal.SIGSTOP)
    kill(victim)
    kill(server.master)
    server.wait_exit()
    wait_until(lambda: os.waitpid(victim, os.WNOHANG) != (0, 0), "the dead worker is reaped")
    born_as(victim)
    wait_until(lambda: os.waitpid(sibling, os.WNOHANG) != (0, 0), "the other worker has left")


@pytest.mark.parametrize("first", ["old", "new", "killed"])
def test_socket_file_stays_while_one_of_two_masters_serves(
    serve: Callable[..., Server], masters: Masters, first: str
) -> None:
    """USR2: whichever leaves first, in whatever way, the path leads to the other, and the last one takes it along."""
    server = serve(transport="unix", options=["--pid", "pid"])
    path = Path(str(server.address))
    inode = path.stat().st_ino
    new = masters.upgrade(server)
    leaving, staying = (new, server.master) if first == "new" else (server.master, new)
    with Load(server.address, clients=4, keep_alive=False) as load:
        load.wait_for(20)
        if first == "killed":
            kill(leaving, signal.SIGKILL)
            wait_until(lambda: not alive(leaving), "the old master is gone")
        else:
            masters.end(leaving)
        load.wait_for(200)
    assert load.tally.refused == [], f"{load.tally}: the path led nowhere"
    if first != "killed":
        load.tally.assert_nothing_failed()
    wait_until(lambda: pid_in(server.home / "pid") == staying, "the pid file names the one that serves")
    assert path.stat().st_ino == inode
    # Those of a killed master leave within a second.
    wait_until(lambda: int(server.get("/pid").text) in children_of(staying), "the other's workers answer")
    masters.end(staying)
    server.assert_nothing_left()
    assert not os.path.lexists(path)
