"""Logs that change while the server runs: reopened and rotated by a master that may what its workers may not; and a
configuration of logging that is broken at HUP."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.harness import Server
from tests.integration.waiting import wait_until

NOBODY = 65534

# Without imports: the interpreter itself may be in a directory that only root may read.
PLAIN = """
def application(environ, start_response):
    environ["wsgi.errors"].write("asked for " + environ["QUERY_STRING"] + "\\n")
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""


def text_of(*paths: Path) -> str:
    return "".join(path.read_text() for path in paths if path.exists())


def serve_as_nobody(make_server: Callable[..., Server], logs: Path, *options: str) -> Server:
    """Two workers without any right in the directory of the logs."""
    server = make_server()
    server.home.chmod(0o755)
    (server.home / "plain.py").write_text(PLAIN)
    directory = server.home / logs
    directory.mkdir(mode=0o700)
    named = ["--access-logfile", str(directory / "access"), "--error-logfile", str(directory / "error")]
    server.start("plain:application", options=["--user", str(NOBODY), "--group", str(NOBODY), *named, *options])
    error = directory / "error"
    wait_until(lambda: text_of(error).count("worker ready") == 2, "both workers are ready", 15)
    for worker in server.worker_pids():
        assert Path(f"/proc/{worker}").stat().st_uid == NOBODY
    return server


only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start workers as somebody else")


@only_root
def test_usr1_gives_new_files_to_workers_that_may_not_open_them(make_server: Callable[..., Server]) -> None:
    server = serve_as_nobody(make_server, Path("logs"))
    access, error = server.home / "logs" / "access", server.home / "logs" / "error"
    for turn in range(3):
        assert server.get(f"/?before={turn}").status == 200
        wait_until(lambda: f"before={turn} " in text_of(access), "the request is logged")  # noqa: B023
        old = [path.rename(path.with_suffix(f".{turn}")) for path in (access, error)]
        server.send_signal(signal.SIGUSR1)
        wait_until(lambda: all(holds(pid, access, error) for pid in server.worker_pids()), "workers have the new ones")
        for _ in range(8):
            assert server.get(f"/?after={turn}").status == 200
        wait_until(lambda: text_of(access).count(f"after={turn} ") == 8, "requests are in the new log")  # noqa: B023
        wait_until(lambda: text_of(error).count(f"asked for after={turn}") == 8, "and so are errors")  # noqa: B023
        assert f"after={turn}" not in text_of(*old)
        assert access.stat().st_uid == NOBODY
    assert len(server.worker_pids()) == 2
    assert "worker exited" not in text_of(error, *old)


def holds(pid: int, *paths: Path) -> bool:
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(link.readlink())
        except OSError:
            continue
    return found >= set(paths)


@only_root
def test_rotation_gives_new_files_to_workers_that_may_not_open_them(make_server: Callable[..., Server]) -> None:
    options = ["--log-rotate-size", "4K", "--log-rotate-keep", "50", "--access-logformat", "%(q)s " + "x" * 500]
    server = serve_as_nobody(make_server, Path("logs"), *options)
    access = server.home / "logs" / "access"
    number = 0

    def rotated() -> bool:
        nonlocal number
        number += 1
        assert server.get(f"/?n={number}").status == 200
        return access.with_name("access.2").exists()

    wait_until(rotated, "the log was rotated twice", 20)

    def logged() -> list[int]:
        files = sorted(access.parent.glob("access*"))
        return sorted(int(found) for found in re.findall(r"^n=(\d+) ", text_of(*files), re.MULTILINE))

    wait_until(lambda: logged() == list(range(1, number + 1)), "every request is in one of the files")
    wait_until(lambda: all(holds(pid, access) for pid in server.worker_pids()), "workers have the newest file")


def test_log_that_cannot_be_reopened_goes_on_as_it_was(make_server: Callable[..., Server], kind: str) -> None:
    server = make_server()
    directory = server.home / "logs"
    directory.mkdir()
    server.start("contract:application", kind=kind, options=["--access-logfile", str(directory / "access")])
    before = sorted(server.wait_ready())
    moved = directory.rename(server.home / "moved")
    server.send_signal(signal.SIGUSR1)
    server.wait_log("log file not reopened, the former one is kept .*logs/access")
    for _ in range(4):
        assert server.get("/?afterwards").status == 200
    wait_until(lambda: text_of(moved / "access").count("afterwards") == 4, "requests are in the former file")
    assert server.worker_pids() == before


# Without handlers of the root: to these the error log propagates, as in Gunicorn, and each line would come twice.
CHATTY = """
logconfig_dict = {
    "formatters": {"generic": {"format": "configured %(message)s"}},
    "root": {"level": "INFO", "handlers": []},
}
"""
BROKEN = "logconfig_dict = {'handlers': {'bad': {'class': 'no.such.Handler'}}, 'root': {'handlers': ['bad']}}\n"
LEAVING = """
import os
def leave(): os._exit(5)
logconfig_dict = {"handlers": {"leaving": {"()": leave}}, "root": {"handlers": ["leaving"]}}
"""


@pytest.mark.parametrize(
    ("good", "broken", "files", "shown"),
    [
        ("", BROKEN, {}, r"logconfig_dict: .*no\.such"),
        (CHATTY, BROKEN, {}, r"logconfig_dict: .*no\.such"),
        (CHATTY, LEAVING, {}, ".*exit status 5"),
        ("", "logconfig_json = 'broken.json'\n", {"broken.json": '{"version": 1,}'}, "logconfig_json: .*broken.json"),
        ("", "logconfig = 'missing.ini'\n", {}, "logconfig: .*missing.ini"),
        ("", "logger_class = 'no.such.Logger'\n", {}, "logger_class: .*no.such"),
    ],
    ids=["dict", "dict-for-dict", "leaves", "json", "ini", "class"],
)
def test_broken_log_configuration_at_hup_changes_nothing(
    make_server: Callable[..., Server], good: str, broken: str, files: dict[str, str], shown: str
) -> None:
    server = make_server()
    config = server.home / "ostler.conf.py"
    config.write_text("accesslog = '-'\n" + good)
    server.start("contract:application", kind="gthread", options=["-c", str(config)])
    before = sorted(server.wait_ready(2))
    for name, content in files.items():
        (server.home / name).write_text(content)
    mark = "configured " if good else r"\[INFO\] "
    config.write_text("accesslog = '-'\n" + broken)
    since = server.log_end()
    server.send_signal(signal.SIGHUP)
    server.wait_log(f"reload failed: {shown}.*; generation 1 keeps serving", since)
    assert len(re.findall("reload failed", server.log(since))) == 1
    assert server.worker_pids() == before
    for _ in range(4):
        assert server.get("/?afterwards").status == 200
    server.wait_log(r"GET /\?afterwards", since, count=4)
    # The master logs as before, too, and so do new workers.
    since = server.log_end()
    server.send_signal(signal.SIGTTIN)
    server.wait_log(f"{mark}worker ready", since)
    config.write_text("accesslog = '-'\n" + good)
    since = server.log_end()
    server.send_signal(signal.SIGHUP)
    server.wait_log("reload complete", since)
