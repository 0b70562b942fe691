"""USR2: a second master takes over while clients are served, or fails and harms nobody."""

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.client import Client
from tests.integration.harness import APPS, Server, bind_value, free_port
from tests.integration.load import Load
from tests.integration.masters import (
    PROMOTED,
    Masters,
    command_line,
    environment_of,
    masters,
    open_files,
    pid_in,
)
from tests.integration.processes import alive, children_of, kill, marked, parent_of
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
    serve: Callable[..., Server], masters: Masters, kind: str, transport: str
) -> None:
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
        keeping.wait_for(100)
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
    # What the new one left behind must not harm the next attempts either.
    (server.home / "app.py").write_text("from contract import application\n")
    config.write_text(NAMED)
    if what == "pre_exec":
        since = server.log_end()
        server.send_signal(signal.SIGHUP)
        server.wait_log("reload complete", since)
    if what != "pid file":
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


def test_ten_upgrades_leave_nothing_behind(serve: Callable[..., Server], masters: Masters) -> None:
    server, pid_file = with_pid_file(serve)
    current = server.master
    seen: list[list[str]] = []
    with Load(server.address, clients=2, keep_alive=False) as load:
        for _ in range(10):
            current = masters.succeed(server, current)
            wait_until(lambda: len(children_of(current)) == 2, "two workers are left")
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


SURROUNDED = """
import os
raw_env = ["BY_RAW_ENV=1"]
os.environ["BY_FILE"] = "1"
os.environ.pop("GIVEN", None)
def pre_exec(server):
    os.environ["BY_HOOK"] = "1"
    with open("hooks", "a") as file:
        file.write(f"{os.getpid()} {os.getppid()} {server.pid}\\n")
"""


def test_new_master_starts_with_the_environment_of_the_first(serve: Callable[..., Server], masters: Masters) -> None:
    server = serve(config=SURROUNDED, env={"GIVEN": "by the operator", "LISTEN_FDS": "1", "LISTEN_PID": "1"})
    first = environment_of(server.master)
    current = server.master
    expected = {name: value for name, value in first.items() if not name.startswith("LISTEN_")}
    for _ in range(2):
        former, current = current, masters.succeed(server, current)
        found = environment_of(current)
        assert found.pop("GUNICORN_PID") == str(former)
        assert found.pop("GUNICORN_FD").isdigit()
        assert found.pop("OSTLER_READY_FD").isdigit()
        assert found == expected
        assert server.notes("hooks")[-1] == f"{current} {former} {former}"


def test_systemd_hears_who_serves(make_server: Callable[..., Server], masters: Masters) -> None:
    server = make_server()
    path = str(server.home / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(10)

        def heard() -> list[str]:
            return manager.recv(4096).decode().splitlines()

        server.start("contract:application", env={"NOTIFY_SOCKET": path})
        server.wait_ready()
        assert "READY=1" in heard()
        new = masters.upgrade(server)
        told = [heard(), heard()]  # the new one speaks for itself, the old one of the new one
        assert [f"MAINPID={new}"] in told
        assert any("READY=1" in each for each in told)
        masters.end(new)
        assert heard() == [f"MAINPID={server.master}"]
        new = masters.upgrade(server)
        assert [f"MAINPID={new}"] in [heard(), heard()]
    assert environment_of(new)["NOTIFY_SOCKET"] == path


@pytest.mark.parametrize("way", ["script", "relative script", "script by PATH", "module"])
def test_command_is_found_again_however_it_was_given(
    make_server: Callable[..., Server], masters: Masters, way: str
) -> None:
    """Started below a symbolic link, which then leads elsewhere: the new master serves what is there."""
    server = make_server("unix")
    script = Path(sys.executable).with_name("ostler")
    for release in ("one", "two"):
        (server.home / release).mkdir()
        (server.home / release / "release.py").write_text(
            "def application(environ, start_response):\n"
            f"    start_response('200 OK', [('Content-Length', '3')])\n    return [b'{release}']\n"
        )
        (server.home / release / "bin").symlink_to(script.parent)
    current = server.home / "current"
    current.symlink_to("one")
    env = {"PWD": str(current), "PATH": f"{script.parent}:{os.environ['PATH']}"}
    command = {
        "script": [str(script)],
        "relative script": ["bin/ostler"],
        "script by PATH": ["ostler"],
        "module": [sys.executable, "-m", "ostler"],
    }[way]
    server.launch(
        [*command, "-b", "unix:../http.sock", "-p", "../pid", "--error-logfile", "../server.log", "release:application"],
        env,
        current,
    )
    server.wait_ready(1)
    assert server.get("/").text == "one"
    current.unlink()
    current.symlink_to("two")
    masters.succeed(server)
    assert server.get("/").text == "two"


def test_daemon_goes_back_to_the_old_master(make_server: Callable[..., Server], masters: Masters) -> None:
    """Gunicorn's way back: WINCH to the old one, a look at the new one, HUP to the old one, TERM to the new one."""
    server = make_server("unix")
    server.start("contract:application", options=["-D", "-p", "pid", "--error-logfile", str(server.log_path)])
    assert server.wait_exit() == 0
    old = pid_in(server.home / "pid")
    assert old is not None
    masters.add(old)
    wait_until(lambda: len(children_of(old)) == 2, "it has two workers")
    new = masters.upgrade(server, old)
    assert parent_of(new) == old
    wait_until(lambda: len(re.findall("worker ready", server.log())) == 4, "the new workers are ready")
    with Load(server.address, clients=4) as load:
        since = server.log_end()
        kill(old, signal.SIGWINCH)
        server.wait_log("workers dismissed", since)
        # It is the old one's child, too.
        wait_until(lambda: children_of(old) == [new], "the old master has no workers")
        load.wait_for(50)
        kill(old, signal.SIGHUP)
        wait_until(lambda: len(children_of(old)) == 3, "HUP brings the old master's workers back")
        server.wait_log(rf"\[{old}\] .*worker ready", since, count=2)
        masters.end(new)
        server.wait_log("new master ended, this one goes on", since)
        load.wait_for(50)
    load.tally.assert_nothing_failed()
    assert pid_in(server.home / "pid") == old
    masters.succeed(server, old)


def test_winch_is_ignored_by_a_server_with_a_terminal(serve: Callable[..., Server]) -> None:
    server = serve(options=["--log-level", "debug"])
    before = server.worker_pids()
    server.send_signal(signal.SIGWINCH)
    server.wait_log("WINCH ignored")
    assert server.worker_pids() == before


def test_usr2_is_refused_as_pid_1(make_server: Callable[..., Server]) -> None:
    unshare = shutil.which("unshare")
    probe = [unshare or "unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "true"]
    if unshare is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("a PID namespace needs unshare(1) and root")
    server = make_server()
    server.start("contract:application", prefix=probe[:-1])
    wait_until(lambda: len(re.findall("worker ready", server.log())) == 2, "the workers are ready")
    (master,) = children_of(server.master)
    kill(master, signal.SIGUSR2)
    server.wait_log("USR2 ignored .*PID 1")
    assert server.get("/").status == 200
    kill(master, signal.SIGTERM)
    server.wait_exit()
    assert APPS.exists()
