"""USR2: a second master takes over while clients are served, or fails and harms nobody."""

import fcntl
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.client import Client
from tests.integration.harness import Server, bind_value, free_port
from tests.integration.load import Load
from tests.integration.masters import (
    PROMOTED,
    Masters,
    command_line,
    masters,
    open_files,
    pid_in,
)
from tests.integration.processes import alive, children_of, kill, marked
from tests.integration.waiting import wait_until

__all__ = ["masters"]

NAMED = "proc_name = 'named'\n"


def with_pid_file(
    serve: Callable[..., Server], *, config: str = "", transport: str = "unix", kind: str = "sync"
) -> tuple[Server, Path]:
    server = serve(
        "app:application",
        kind=kind,
        transport=transport,
        config=config,
        options=["--pid", "server.pid"],
        files={"app.py": "from contract import application\n"},
    )
    return server, server.home / "server.pid"


def test_new_master_takes_over_without_a_failed_request(
    serve: Callable[..., Server], masters: Masters, pair: tuple[str, str]
) -> None:
    kind, transport = pair
    server, pid_file = with_pid_file(serve, config=NAMED, transport=transport, kind=kind)
    old, second = server.master, Path(f"{pid_file}.2")
    with Load(server.address, clients=6) as keeping, Load(server.address, clients=2, keep_alive=False) as short:
        keeping.wait_for(50)
        new = masters.upgrade(server)
        assert (pid_in(pid_file), pid_in(second)) == (old, new)
        assert command_line(new) == "gunicorn: master [named.2]"
        keeping.wait_for(100)
        short.wait_for(20)
        masters.end(old)
        server.wait_log(PROMOTED)
        wait_until(lambda: pid_in(pid_file) == new and not second.exists(), "the pid file has its name")
        wait_until(lambda: command_line(new) == "gunicorn: master [named]", "the title too")
        keeping.wait_for(50)
        short.wait_for(20)
    print(f"keep-alive: {keeping.tally}; one request each: {short.tally}")
    assert server.exit_status == 0
    keeping.tally.assert_nothing_failed()
    short.tally.assert_nothing_failed()
    masters.end(new)
    server.assert_nothing_left()
    assert not pid_file.exists()


def test_death_of_the_old_master_promotes_the_new_one(
    serve: Callable[..., Server], masters: Masters, transport: str
) -> None:
    server, pid_file = with_pid_file(serve, transport=transport)
    old_workers = server.worker_pids()
    new = masters.upgrade(server)
    with Load(server.address, clients=4, keep_alive=False) as load:
        load.wait_for(20)
        kill(server.master, signal.SIGKILL)
        server.wait_log(PROMOTED)
        wait_until(lambda: not any(map(alive, old_workers)), "the old workers are gone")
        load.wait_for(50)
    assert not load.tally.refused
    wait_until(lambda: pid_in(pid_file) == new, "the pid file has its name")
    assert not Path(f"{pid_file}.2").exists()
    assert int(server.get("/pid").text) in children_of(new)


@pytest.fixture
def taken(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """taken(path): from now on this process has the pid file."""
    held = []

    def take(path: Path) -> None:
        file = path.open("w+")
        held.append(file)
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(f"{os.getpid()}\n")
        file.flush()

    yield take
    for file in held:
        file.close()


@pytest.mark.parametrize(
    ("what", "shown"),
    [
        ("code", "broken on purpose"),
        ("settings", "workers: expected"),
        ("pid file", "already running on pid"),
        ("pre_exec", "broken on purpose"),
        ("on_starting", "broken on purpose"),
        ("hangs", ""),
    ],
)
def test_new_master_that_does_not_start_leaves_the_old_one_as_it_was(
    serve: Callable[..., Server], masters: Masters, taken: Callable[[Path], None], what: str, shown: str
) -> None:
    raising = "def {0}(server):\n    raise RuntimeError('broken on purpose')\n"
    server, pid_file = with_pid_file(serve, config=raising.format("pre_exec") if what == "pre_exec" else NAMED)
    config = server.home / "ostler.conf.py"
    match what:
        case "code":
            (server.home / "app.py").write_text("raise RuntimeError('broken on purpose')\n")
        case "hangs":
            (server.home / "app.py").write_text("import time; time.sleep(1000)\n")
        case "settings":
            config.write_text("workers = 'four'\n")
        case "on_starting":
            config.write_text(raising.format("on_starting"))
        case "pid file":
            taken(Path(f"{pid_file}.2"))
    before = server.worker_pids()
    since = server.log_end()
    with Load(server.address, clients=4) as load:
        new = masters.begin(server)
        if what == "hangs":
            server.wait_log(rf"\[{new}\].* worker booting", since)
            kill(new, signal.SIGTERM)
        server.wait_log(rf"new master ended, this one goes on new_pid={new} ", since)
        assert shown in server.log(since)
        load.wait_for(100)
    load.tally.assert_nothing_failed()
    assert server.worker_pids() == before, "the old master's workers went on"
    assert pid_in(pid_file) == server.master
    if what != "pid file":
        assert not Path(f"{pid_file}.2").exists()
    # What the new one has left behind harms neither a reload nor the next attempt.
    (server.home / "app.py").write_text("from contract import application\n")
    config.write_text(NAMED)
    since = server.log_end()
    server.send_signal(signal.SIGHUP)
    server.wait_log("reload complete", since)
    if what in ("code", "hangs"):  # these had our sockets
        new = masters.succeed(server)
        assert int(server.get("/pid").text) in children_of(new)


def test_usr2_is_refused_while_there_are_two_masters(serve: Callable[..., Server], masters: Masters) -> None:
    server, _ = with_pid_file(serve)
    new = masters.upgrade(server)
    since = server.log_end()
    server.send_signal(signal.SIGUSR2)
    server.wait_log(rf"\[{server.master}\] .*USR2 ignored .*a new master runs already \(pid {new}\)", since)
    kill(new, signal.SIGUSR2)
    server.wait_log(rf"\[{new}\] .*USR2 ignored .*the old master still runs \(pid {server.master}\)", since)
    assert len(re.findall("new master starting", server.log())) == 1
    masters.end(new)
    server.wait_log("new master ended, this one goes on", since)
    assert server.get("/").status == 200
    masters.upgrade(server)


@pytest.mark.parametrize("first", ["old", "both", "new"])
def test_socket_file_goes_with_the_last_of_two_masters(
    serve: Callable[..., Server], masters: Masters, first: str
) -> None:
    """They are told to stop at once, or one right after the other: systemd's control-group, and scripts."""
    server, pid_file = with_pid_file(serve)
    new = masters.upgrade(server)
    order = [server.master, new] if first != "new" else [new, server.master]
    for pid in order:
        if first == "both":
            kill(pid, signal.SIGTERM)
        else:
            masters.end(pid)
    for pid in order:
        masters.end(pid)
    server.assert_nothing_left()
    assert not pid_file.exists()
    assert not Path(f"{pid_file}.2").exists()


def test_upgrades_leave_nothing_behind(serve: Callable[..., Server], masters: Masters) -> None:
    server, pid_file = with_pid_file(serve)
    current = server.master
    seen: list[list[str]] = []
    with Load(server.address, clients=2, keep_alive=False) as load:
        for _ in range(4):
            current = masters.succeed(server, current)
            wait_until(lambda pid=current: len(children_of(pid)) == 2, "two workers are left")  # type: ignore[misc]
            seen.append(open_files(current))
        load.wait_for(20)
    assert not load.tally.refused
    print(*seen, open_files(current), sep="\n")
    wait_until(lambda: open_files(current) == seen[0], "descriptors are those of the first new master")
    assert sorted(marked(server.mark_text)) == sorted([current, *children_of(current)])
    assert pid_in(pid_file) == current
    assert {path.name for path in server.home.iterdir()} == {
        "app.py",
        "http.sock",
        "ostler.conf.py",
        "server.log",
        "server.pid",
    }
    load.tally.assert_nothing_failed()


def test_addresses_of_changed_settings_are_those_of_the_new_master(
    make_server: Callable[..., Server], masters: Masters
) -> None:
    server = make_server("unix")
    kept, added = ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
    config = server.home / "ostler.conf.py"
    config.write_text(f"bind = ['{bind_value(kept)}', '{bind_value(server.address)}']\n")
    server.launch([sys.executable, "-m", "ostler", "-c", str(config), "contract:application"], {}, server.home)
    server.wait_ready(1)
    config.write_text(f"bind = ['{bind_value(added)}', '{bind_value(kept)}']\n")
    new = masters.upgrade(server)
    with Client(added) as client:
        assert int(client.get("/pid").text) in children_of(new)
    assert server.get("/").status == 200, "the old one has the address that the new one does not want"
    masters.end(server.master)
    server.wait_log(PROMOTED)
    assert isinstance(server.address, str)
    assert not Path(server.address).exists(), "nobody listens there any more"
    for address in (kept, added):
        with Client(address) as client:
            assert int(client.get("/pid").text) in children_of(new)


def test_old_master_that_gives_up_an_address_leaves_it_to_the_new_one(
    make_server: Callable[..., Server], masters: Masters, transport: str
) -> None:
    server = make_server(transport)
    other = ("127.0.0.1", free_port())
    config = server.home / "ostler.conf.py"
    both = f"bind = ['{bind_value(other)}', '{bind_value(server.address)}']\n"
    config.write_text(both)
    server.launch([sys.executable, "-m", "ostler", "-c", str(config), "contract:application"], {}, server.home)
    server.wait_ready(1)
    new = masters.upgrade(server)
    config.write_text(f"bind = '{bind_value(other)}'\n")
    since = server.log_end()
    server.send_signal(signal.SIGHUP)
    server.wait_log("worker exited", since)
    for _ in range(3):
        assert int(server.get("/pid").text) in children_of(new)
    masters.end(server.master)
    server.wait_log(PROMOTED)
    assert int(server.get("/pid").text) in children_of(new)
