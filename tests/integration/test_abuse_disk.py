"""A disk that is full, for everything at once: logs, pid file, spilled bodies and the operator's socket."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.abuse import Abused
from tests.integration.waiting import wait_until


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Of 64 KiB and 16 files."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=16", "tmpfs", place], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("no file system can be mounted here: it takes CAP_SYS_ADMIN")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(disk: Path) -> None:
    fill_up(disk / "full")


def fill_up(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass


@pytest.mark.parametrize("kind", ["gthread", "asgi"])
def test_a_full_disk_under_everything_costs_log_lines_and_large_bodies_only(disk: Path, kind: str) -> None:
    server = Abused()
    try:
        fill(disk)
        options = ["--access-logfile", str(disk / "access"), "--pid", str(disk / "pid")]
        config = server.home / "ostler.conf.py"
        config.write_text(f"tmp_upload_dir = {str(disk)!r}\n")
        options += ["--config", str(config)]
        server.begin(kind, options=options, ready=False)
        wait_until(lambda: server.exited or "worker ready" in server.log(), "it serves, or says why not", 15)
        if server.exited:  # a pid file that nobody can write is a reason not to start, with the path and the reason
            assert "pid" in server.log()
            assert "no space left" in server.log().lower()
            (disk / "full").unlink()
            server.begin(kind, options=options)
            fill(disk)
        (worker,) = server.worker_pids()
        for _ in range(20):
            assert server.get("/").status == 200
        large = "#" * 3_000_000
        assert server.run(large).status in (200, 500, 507)
        assert server.get("/").status == 200
        assert server.worker_pids() == [worker]
        server.wait_log(r"log lines dropped file=.*access lines=\d+ error=\"no space left on device\"")
        assert server.log().count("log lines dropped") <= 2
        (disk / "full").unlink()
        wait_until(lambda: server.get("/again").status == 200 and "/again" in (disk / "access").read_text(), "it heals")
        assert server.stop() == 0
        assert not os.path.exists(disk / "pid")
    finally:
        server.kill_leftovers()
        server.hang_up()
        server.remove()


def test_a_full_disk_under_the_error_log_and_the_operators_socket(disk: Path) -> None:
    server = Abused()
    try:
        log = disk / "error"
        log.touch()
        try:
            for number in range(16):
                (disk / f"file.{number}").touch()
        except OSError:
            pass
        fill_up(disk / "file.0")
        options = ["--error-logfile", str(log), "--control-socket", str(disk / "control"), "--pid", ""]
        server.begin("sync", options=options, ready=False)
        wait_until(lambda: server.exited or answers(server), "it serves, or says why not", 15)
        assert not server.exited, server.log()
        worker = server.pid()
        for _ in range(10):
            assert server.run("1 / 0").status == 500
        assert server.pid() == worker
        server.wait_log(r"log lines dropped file=.*error lines=\d+ error=\"no space left on device\"")
        assert server.log().count("\n") < 10, server.log()
        (disk / "file.0").unlink()
        wait_until(lambda: server.run("1 / 0").status == 500 and "ZeroDivisionError" in log.read_text(), "it heals")
        assert server.stop() == 0
    finally:
        server.kill_leftovers()
        server.hang_up()
        server.remove()


def answers(server: Abused) -> bool:
    try:
        return server.get("/").status == 200
    except OSError:
        return False
