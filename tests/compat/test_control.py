"""Gunicorn's own control client, unchanged, on our control socket: its commands one by one, and its dialogue."""

import contextlib
import json
import os
import pty
import re
import select
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compat.command import run
from tests.compat.covering import covers
from tests.integration.harness import Server
from tests.integration.processes import alive
from tests.integration.waiting import wait_until

CLIENT = str(Path(sys.executable).parent / "gunicornc")
OURS = [sys.executable, "-m", "ostler", "control"]


def ask(path: Path, command: str, *options: str, client: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*(client or [CLIENT]), "-s", str(path), "-c", command, *options],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def answer(path: Path, command: str, client: list[str] | None = None) -> dict[str, Any]:
    done = ask(path, command, "-j", client=client)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def server(start: Callable[..., Server]) -> Server:
    return start("--workers", "2", "--control-socket", "HOME/sub/own.ctl", ready=2)


def session(path: Path, *commands: str) -> list[dict[str, Any]]:
    """The answers to commands that are given to their client one after the other, on one connection."""
    done = subprocess.run(
        [CLIENT, "-s", str(path), "-j"],
        input="\n".join([*commands, "quit"]),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    _, *answers, end = done.stdout.split("gunicorn> ")
    assert (len(answers), end.strip()) == (len(commands), "")
    return [json.loads(text) for text in answers]


@covers("setting:control_socket", "command:gunicornc")
def test_every_command_of_gunicorns_own_client(server: Server) -> None:
    path = server.home / "sub" / "own.ctl"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    shown = ask(path, "show workers").stdout
    assert all(re.search(rf"^{pid} +\d+ +yes +[\d.]+s ago$", shown, re.MULTILINE) for pid in server.worker_pids())
    workers, everything, dirty, config, listeners, added, removed, unknown_pid, no_dirty, reopened = session(
        path,
        *("show workers", "show all", "show dirty", "show config", "show listeners"),
        *("worker add", "worker remove 7", "worker kill 1", "dirty add", "reopen"),
    )
    assert workers["count"] == 2
    assert everything["arbiter"]["pid"] == server.master
    assert dirty["enabled"] is False
    assert config["control_socket"] == str(path)
    assert [each["type"] for each in listeners["listeners"]] == ["tcp"]
    assert added == {"added": 1, "previous": 2, "total": 3}
    assert removed == {"removed": 2, "previous": 3, "total": 1}
    assert unknown_pid["success"] is False
    assert no_dirty["success"] is False
    assert reopened == {"status": "reopening"}
    wait_until(lambda: len(server.worker_pids()) == 1, "the others left")
    [pid] = server.worker_pids()
    killed, reloading = session(path, f"worker kill {pid}", "reload")
    assert killed == {"success": True, "killed": pid}
    assert reloading == {"status": "reloading"}
    server.wait_log("reload complete")
    wait_until(lambda: not alive(pid), "it was replaced")
    stats, known = session(path, "show stats", "help")
    assert (stats["pid"], stats["workers_target"], stats["reloads"]) == (server.master, 1, 1)
    assert "worker kill PID" in known["commands"]
    unknown = ask(path, "dance")
    assert (unknown.returncode, unknown.stderr[:22]) == (1, "Error: Unknown command")
    assert session(path, "shutdown graceful") == [{"status": "shutting_down", "mode": "graceful"}]
    assert server.wait_exit() == 0
    assert not list(path.parent.iterdir())


@contextlib.contextmanager
def dialogue(command: list[str], home: Path) -> Iterator[Callable[[str, str], str]]:
    """say(line, until): type a line on a terminal, and read until that is there."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ["HOME"] = str(home)
        os.environ["TERM"] = "dumb"
        os.execv(command[0], command)
    seen = ""

    def say(line: str, until: str) -> str:
        nonlocal seen
        os.write(fd, line.encode())
        end = time.monotonic() + 20
        begin = len(seen)
        while until not in seen[begin:]:
            assert time.monotonic() < end, f"waited in vain for {until!r}: {seen}"
            if select.select([fd], [], [], 0.2)[0]:
                with contextlib.suppress(OSError):  # EIO: it has ended
                    seen += os.read(fd, 65536).decode()
        return seen[begin:]

    try:
        yield say
        assert os.waitpid(pid, 0)[1] == 0
    finally:
        os.close(fd)


@covers("env:XDG_RUNTIME_DIR", "setting:control_socket_mode")
def test_a_dialogue_on_the_default_path_with_their_client_and_with_ours(start: Callable[..., Server]) -> None:
    server = start("--control-socket-mode", "0660")
    assert stat.S_IMODE(server.control_socket.stat().st_mode) == 0o660
    for command, prompt in (([CLIENT], "gunicorn> "), (OURS, "ostler> ")):
        with dialogue([*command, "-s", str(server.control_socket)], server.home) as say:
            say("", prompt)
            assert str(server.worker_pids()[0]) in say("show workers\n", prompt)
            assert "Unknown command: dance" in say("dance\n", prompt)
            assert str(server.master) in say("show stats\n", prompt)
            say("quit\n", "quit")
    assert answer(server.control_socket, "status", client=OURS)["state"] == "serving"
    assert ask(server.control_socket, "dance", client=OURS).returncode == 1
    assert server.stop() == 0


@covers("env:HOME")
def test_without_xdg_runtime_dir_it_is_below_home_and_another_server_does_without(
    start: Callable[..., Server],
) -> None:
    given = {"XDG_RUNTIME_DIR": "/nowhere", "HOME": "HOME"}
    first = start(env=given)
    path = first.home / ".gunicorn" / "gunicorn.ctl"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    second = start("--log-level", "debug", env={**given, "HOME": str(first.home)})
    assert answer(path, "show all")["arbiter"]["pid"] == first.master
    assert second.stop() == 0
    assert answer(path, "show all")["arbiter"]["pid"] == first.master, "it is still there, and still the first one's"
    assert "no control socket; commands find the server by its pid" in second.log()
    assert not re.search("WARNING|ERROR", second.log())
    first.process.kill() if first.process else None
    first.wait_exit()
    wait_until(lambda: not first.worker_pids(), "its workers are gone")
    third = start(env={**given, "HOME": str(first.home)})
    assert answer(path, "show all")["arbiter"]["pid"] == third.master, "a dead server's file is taken over"
    assert third.stop() == 0
    assert not path.exists()


def test_the_commands_are_where_gunicorn_has_them(tmp_path: Path) -> None:
    done = run(["control", "--version"], tmp_path)
    assert (done.returncode, done.stdout) == (0, f"ostler control (Ostler {__import__('ostler').__version__})\n")
    assert run(["control", "--dance"], tmp_path).returncode == 2
