"""From the command to a server that serves: what a daemon's command waits for, what is checked before anything else,
and what is not needed at all.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.harness import APPS, FOREIGN, ROOT, Server, bind_value
from tests.integration.processes import alive, children_of, kill, marked
from tests.integration.waiting import wait_until

GATE = """
import os, time
while not os.path.exists("open"):
    time.sleep(0.01)
from contract import application
"""


@pytest.fixture
def daemonize(make_server: Callable[..., Server]) -> Iterator[Callable[..., Server]]:
    """daemonize(app, files, *options): the command with --daemon. Daemons are stopped by their pid file."""
    servers: list[Server] = []

    def begin(app: str, files: dict[str, str], *options: str) -> Server:
        server = make_server()
        servers.append(server)
        for name, content in files.items():
            (server.home / name).write_text(content)
        options = ("--daemon", "--pid", str(server.home / "pid"), *options)
        server.start(app, kind="gthread", workers=1, options=options)
        return server

    yield begin
    for server in servers:
        if (server.home / "pid").exists():
            pid = int((server.home / "pid").read_text())
            kill(pid, signal.SIGTERM)
            wait_until(lambda pid=pid: not alive(pid), "the daemon is gone")  # type: ignore[misc]


def test_command_of_a_daemon_ends_when_the_server_serves(daemonize: Callable[..., Server]) -> None:
    server = daemonize("gate:application", {"gate.py": GATE}, "--error-logfile", "error")
    error = server.home / "error"
    wait_until(lambda: error.exists() and "worker booting" in error.read_text(), "a worker boots")
    assert not server.exited
    assert "worker ready" not in error.read_text()
    (server.home / "open").touch()
    assert server.wait_exit(20) == 0
    assert server.get("/").status == 200  # at the first try
    assert server.log() == ""


@pytest.mark.parametrize(
    ("app", "options", "status", "shown"),
    [
        ("broken:application", [], 3, "RuntimeError: broken on purpose"),
        ("contract:nothing", [], 4, "nothing"),
        ("contract:application", ["--access-logfile", "/no/such/directory/log"], 1, "accesslog: .*/no/such/directory"),
    ],
    ids=["raises", "no-app", "log"],
)
def test_command_of_a_daemon_that_does_not_start_says_why_and_fails(
    daemonize: Callable[..., Server], app: str, options: list[str], status: int, shown: str
) -> None:
    files = {"broken.py": "raise RuntimeError('broken on purpose')\n"}
    server = daemonize(app, files, "--error-logfile", "error", *options)
    assert server.wait_exit(20) == status
    assert re.search(shown, server.log())
    assert "Traceback" not in server.log()
    assert not (server.home / "pid").exists()
    server.assert_nothing_left()


def command(arguments: list[str], home: Path, *paths: Path) -> "subprocess.CompletedProcess[str]":
    """`ostler` with these arguments, with `paths` in front of the search path."""
    environ = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    environ |= {"PYTHONPATH": os.pathsep.join(map(str, [*paths, APPS])), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "ostler", *arguments],
        cwd=home,
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def without(home: Path, *packages: str) -> Path:
    """A directory for the search path by which these packages are not installed."""
    lines = [f"sys.modules[{package!r}] = None\n" for package in packages]  # as import and find_spec take absence
    (home / "sitecustomize.py").write_text("import sys\n" + "".join(lines))
    return home


PASTE = """
[app:main]
use = call:contract:application
[server:main]
use = egg:ostler#main
workers = 1
"""


@pytest.mark.parametrize("arguments", [["--check-config"], ["--print-config"], []])
def test_missing_pastedeploy_is_said_when_the_configuration_is_read(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "site.ini").write_text(PASTE)
    blocked = without(tmp_path, "paste")
    ended = command([*arguments, "--paste", "site.ini", "--bind", "127.0.0.1:0"], tmp_path, blocked)
    assert ended.returncode == 1
    assert ended.stderr.strip().endswith(
        "paste: expected the package PasteDeploy, found none; pip install ostler[paste]"
    )
    assert "Traceback" not in ended.stderr
    assert "booting" not in ended.stderr


def test_missing_setproctitle_is_said_to_who_names_the_process_and_to_nobody_else(tmp_path: Path) -> None:
    blocked = without(tmp_path, "setproctitle")
    notice = "proc_name: has no effect: the package setproctitle is not installed"
    named = command(["--check-config", "--name", "shop", "contract:application"], tmp_path, blocked)
    assert named.returncode == 0
    assert notice in named.stderr + named.stdout
    unnamed = command(["--check-config", "contract:application"], tmp_path, blocked)
    assert unnamed.returncode == 0
    assert "setproctitle" not in unnamed.stderr + unnamed.stdout


def test_missing_setproctitle_is_in_the_log_of_a_server_that_serves(make_server: Callable[..., Server]) -> None:
    server = make_server()
    env = {"PYTHONPATH": f"{without(server.home, 'setproctitle')}{os.pathsep}{APPS}"}
    server.start("contract:application", workers=1, options=["--name", "shop"], env=env)
    server.wait_ready()
    assert len(server.wait_log(r"\[WARNING\] proc_name: has no effect: the package setproctitle")) == 1
    assert server.get("/").status == 200


@pytest.mark.parametrize(("arguments", "status"), [([], 3), (["--check-config"], 1)], ids=["", "check"])
def test_a_worker_kind_whose_package_is_missing_says_what_to_install(
    tmp_path: Path, arguments: list[str], status: int
) -> None:
    blocked = without(tmp_path, "gevent")
    ended = command([*arguments, "-k", "gevent", "--bind", "127.0.0.1:0", "contract:application"], tmp_path, blocked)
    assert ended.returncode == status
    assert "worker_class: gevent needs the package gevent, 24.10.1 or newer" in ended.stderr
    assert 'pip install "ostler[gevent]"' in ended.stderr
    assert "Traceback" not in ended.stderr


def test_server_needs_no_package_but_itself(make_server: Callable[..., Server], kind: str) -> None:
    """Without any directory of installed packages; what is optional is not missed by who does not ask for it."""
    server = make_server()
    options = ["--worker-class", kind, "--threads", "2", "--statsd-host", "127.0.0.1:9", "--log-syslog"]
    words = [sys.executable, "-S", "-m", "ostler", "--bind", bind_value(server.address), *options, "--reload"]
    search = os.pathsep.join([str(ROOT / "src"), str(APPS)])
    server.launch([*words, "contract:application"], {"PYTHONPATH": search}, server.home)
    server.wait_ready(1)
    assert server.get("/").status == 200


PINNED = "import os, sys; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); os.execv(sys.argv[1], sys.argv[1:])"


def test_number_of_workers_is_that_of_the_cpus_this_process_may_use(make_server: Callable[..., Server]) -> None:
    """The affinity mask is what a test may set; quotas of cgroups are in tests/unit/config/test_machine.py."""
    server = make_server()
    pinned = [sys.executable, "-c", PINNED]
    words = [sys.executable, "-m", "ostler", "--bind", bind_value(server.address), "contract:application"]
    told = subprocess.run(
        [*pinned, *words, "--print-config"],
        env=os.environ | {"PYTHONPATH": str(APPS), "WEB_CONCURRENCY": "auto"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout
    found = re.search(r"^workers += (\d+)  \(WEB_CONCURRENCY: auto, (\S+) CPUs?(?:, \d+ MiB)?\)$", told, re.MULTILINE)
    assert found is not None
    assert float(found[2]) <= 1
    count = int(found[1])
    assert 1 <= count <= 3
    server.launch([*pinned, *words], {"WEB_CONCURRENCY": "auto"}, server.home)
    server.wait_ready(count)
    assert len(children_of(server.master)) == count
    assert len(marked(server.mark_text)) == count + 1
