"""Projects whose point is how the server is told what to do: Odoo, Superset, Airflow, Django under systemd, Docker."""

import os
import pwd
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compat.command import SCRIPT, title_of, wait_text
from tests.compat.projects.conftest import FOLDER
from tests.integration.client import Cut, request_bytes
from tests.integration.harness import Server
from tests.integration.waiting import wait_until


def test_odoo_has_its_code_and_its_settings_in_one_file(project: Callable[..., Server]) -> None:
    server = project("odoo", "odoo_wsgi:application", "-c", "odoo_wsgi.py", ready=2)
    pid, *rest = server.get("/").text.split()
    assert int(pid) in server.worker_pids()
    assert rest == ["True", "inn", "de_DE"]
    assert (server.home / ".gunicorn.pid").read_text().strip() == str(server.master)
    assert "WARNING" not in server.log(), "none of the application's own names looks like a setting"


def test_superset_is_told_everything_by_flags(project: Callable[..., Server]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(5)
        flags = "--bind 127.0.0.1:8000 --access-logfile - --error-logfile - --workers 1 --worker-class gthread"
        flags += " --threads 20 --timeout 60 --keep-alive 2 --max-requests 100 --max-requests-jitter 10"
        flags += " --limit-request-line 0 --limit-request-field_size 0"
        flags += f" --statsd-host 127.0.0.1:{statsd.getsockname()[1]} --statsd-prefix superset"
        server = project("superset", *flags.split(), "superset_app:create_app()")
        with server.client() as client:
            assert client.get("/?" + "x" * 30_000).text == "30000"
            assert client.get("/", [("X-Long", "x" * 30_000)]).text == "30000"
        server.wait_log(r'"GET /\?x+ HTTP/1\.1" 200 5')
        seen: set[str] = set()
        wanted = {"superset.gunicorn.requests", "superset.gunicorn.request.duration", "superset.gunicorn.workers"}
        while not wanted <= seen:
            seen |= {line.partition(":")[0] for line in statsd.recv(65536).decode().splitlines()}
        first = server.worker_pids()
        for _ in range(110):
            server.get("/")
        wait_until(lambda: server.worker_pids() and server.worker_pids() != first, "the worker is replaced")


def ready_workers(server: Server) -> list[int]:
    """As Airflow's monitor counts them: by the start of their titles."""
    return [pid for pid in server.worker_pids() if title_of(pid).startswith("[ready] ")]


def test_airflow_counts_titles_and_rolls_its_workers(project: Callable[..., Server]) -> None:
    pytest.importorskip("setproctitle")
    words = "--config python:airflowish.www.gunicorn_config --workers 2 --bind 127.0.0.1:8000 --timeout 120"
    server = project(
        "airflow",
        *words.split(),
        "airflowish.www.app:cached_app(testing=False)",
        command=[sys.executable, "-m", "ostler"],
        ready=2,
    )
    server.wait_log(r"providers are loaded for")
    wait_until(lambda: len(ready_workers(server)) == 2, "two are ready")
    assert "master" in title_of(server.master)
    pid, testing = server.get("/").text.split()
    assert (int(pid) in server.worker_pids(), testing) == (True, "False")

    oldest, *_ = server.worker_pids()
    server.send_signal(signal.SIGTTIN)
    wait_until(lambda: len(ready_workers(server)) == 3, "one more is ready")
    server.wait_log("worker ready slot=2")  # its title says it a moment before its master knows
    server.send_signal(signal.SIGTTOU)
    wait_until(lambda: len(server.worker_pids()) == 2, "two are left")
    assert oldest not in server.worker_pids(), "the oldest goes first"

    before = set(server.worker_pids())
    server.send_signal(signal.SIGHUP)
    wait_until(
        lambda: len(ready_workers(server)) == 2 and before.isdisjoint(server.worker_pids()), "all workers are new"
    )


def others_can_run_python() -> bool:
    """Whether workers may become another user and still import: not with a Python in root's own directory."""
    library = Path(os.__file__)
    return os.geteuid() == 0 and all(folder.stat().st_mode & 0o001 for folder in library.parents)


def test_django_serves_on_the_socket_that_systemd_passes(project: Callable[..., Server]) -> None:
    user = pwd.getpwnam("nobody") if others_can_run_python() else pwd.getpwuid(os.geteuid())
    group = 65534 if os.geteuid() == 0 else os.getegid()
    activate = [sys.executable, str(FOLDER / "django" / "activate.py")]
    server = project(
        "django",
        "django_site.wsgi:application",
        command=["/bin/sh", "-c", 'exec "$0" "$1" http.sock "$2" "$3"', *activate, SCRIPT],
        ready=2,
        transport="unix",
        env={"SERVED_BY": user.pw_name, "SERVED_BY_GROUP": str(group)},
    )
    server.wait_log(r"Listening at: unix:.*http\.sock")
    assert server.get("/").text == "hello nobody"
    assert (server.home / "http.sock").stat().st_mode & 0o777 == 0o711, "as systemd made it, whatever umask says"
    for pid in server.worker_pids():
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert status["Uid"].split() == [str(user.pw_uid)] * 4
        assert status["Gid"].split() == [str(group)] * 4
    server.send_signal(signal.SIGTERM)
    assert server.wait_exit() == 0
    (server.home / "http.sock").unlink()  # it is there: the file is systemd's


def test_docker_gives_arguments_in_a_variable_that_wins_over_the_file(project: Callable[..., Server]) -> None:
    """And what the file alone says stays: raw_env, pidfile, hooks."""
    server = project(
        "sentry", "shop:application", env={"GUNICORN_CMD_ARGS": "--bind=127.0.0.1:8000 --workers=1 --timeout=1"}
    )
    assert server.get("/").text == "production shop@1.2.3"
    (worker,) = server.worker_pids()
    assert (server.home / "shop.pid").read_text().strip() == str(server.master)
    with server.client() as client:
        client.send(request_bytes("GET", "/hang"))
        with pytest.raises(Cut):
            client.read_response()
    server.wait_log("worker received SIGABRT signal")
    server.wait_log(r"(?s)\[WARNING\] \n# Thread: .*# Thread: MainThread.*in hang_for_ever\n  time\.sleep\(3600\)")
    dumped = wait_text(server.home / f"aborted-{worker}", lambda text: "hang_for_ever" in text, "has the stack")
    assert "application" in dumped
    server.wait_log("worker ready", count=2)
    assert server.get("/").status == 200
