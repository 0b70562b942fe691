"""The command lines of the guides, each as a reader types it into a shell."""

import json
import re
from collections.abc import Callable
from importlib.util import find_spec

import pytest

from tests.compat.command import run, wait_text
from tests.compat.guides.network import listens_everywhere
from tests.compat.guides.site import FOLDER, Site
from tests.integration.client import request_bytes
from tests.integration.waiting import wait_until

SIMPLE = "ostler --workers 3 --bind 0.0.0.0:8000 run:app"
THREADS = "ostler -k sync --threads 4 run:app"
MANY_THREADS = "ostler -k gevent --workers 2 --threads 200 run:app"
FLASK = "ostler wsgi:app --workers 4 --bind 0.0.0.0:8000"
# The guide's remarks behind the backslashes, which no shell takes, are left out.
FLASK_MORE = r"""ostler wsgi:app \
    --workers 4 \
    --threads 2 \
    --bind 0.0.0.0:8000 \
    --timeout 120 \
    --access-logfile /var/log/gunicorn/access.log \
    --error-logfile /var/log/gunicorn/error.log \
    --log-level info \
    --max-requests 1000 \
    --max-requests-jitter 50"""
PRELOAD = " \\\n    --preload"

# The example of each row in the production guide's table of options, and what it sets.
OPTIONS = {
    "--bind 0.0.0.0:8000": ("bind", "0.0.0.0:8000"),
    "--workers 4": ("workers", "4"),
    "-k gevent": ("worker_class", "gevent"),
    "--threads 2": ("threads", "2"),
    "--timeout 30": ("timeout", "30"),
    "--keep-alive 2": ("keepalive", "2"),
    "--max-requests 1000": ("max_requests", "1000"),
    "--max-requests-jitter 100": ("max_requests_jitter", "100"),
    "--preload": ("preload_app", "True"),
    "--log-level debug": ("loglevel", "debug"),
}
# What the guides name as -k, and the package that it needs.
KINDS = {
    "sync": "ostler",
    "gevent": "gevent",
    "eventlet": "eventlet",
    "tornado": "tornado",
    "uvicorn.workers.UvicornWorker": "uvicorn",
}
NEEDS_GEVENT = pytest.mark.skipif(find_spec("gevent") is None, reason="needs gevent, of the extra dev")


def thread_of(site: Site) -> str:
    return str(json.loads(site.get("/").body)["thread"])


def test_workers_and_bind(site: Callable[..., Site]) -> None:
    here = site("production")
    here.start(SIMPLE, 3)
    assert len(here.server.worker_pids()) == 3
    assert listens_everywhere(here.port)
    assert thread_of(here) == "MainThread"
    with here.client() as client:
        client.send(request_bytes("GET", "/slow/400"))
        wait_until((here.home / "slow-400").exists, "the request runs")
        assert here.shell(f"kill -TERM {here.server.master}").returncode == 0
        assert client.read_response().text == "slow"
    assert here.server.wait_exit() == 0


def test_sync_with_threads_is_gthread(site: Callable[..., Site]) -> None:
    """Nothing is bound by this line, so it is 127.0.0.1:8000."""
    here = site("production")
    here.start(THREADS if here.apart else f"{THREADS} -b 127.0.0.1:{here.port}", 1)
    assert here.meeting(4) == {"met"}
    assert here.meeting(5) == {"alone"}


@NEEDS_GEVENT
def test_two_hundred_requests_at_once(site: Callable[..., Site]) -> None:
    here = site("production")
    here.start(MANY_THREADS if here.apart else f"{MANY_THREADS} -b 127.0.0.1:{here.port}", 2)
    with here.one_worker():
        assert here.meeting(200, wait_s=10) == {"met"}


@NEEDS_GEVENT
def test_all_options_of_the_table_together(site: Callable[..., Site]) -> None:
    here = site("production")
    here.start(f"ostler {' '.join(OPTIONS)} run:app", 4)
    assert len(here.server.worker_pids()) == 4
    assert listens_everywhere(here.port)
    assert json.loads(here.get("/").body)["sockets"].startswith("gevent.")
    here.server.wait_log(r"\[DEBUG\]")


def test_each_option_of_the_table_sets_its_setting() -> None:
    words = [word for option in OPTIONS for word in option.split()]
    printed = run(["--print-config", *words, "run:app"], FOLDER / "production", PYTHONPATH=str(FOLDER)).stdout
    lines = {line.partition(" ")[0]: line.partition("= ")[2] for line in printed.splitlines()}
    assert {name: lines[name] for name, _ in OPTIONS.values()} == {
        name: f"{value}  (command line)" for name, value in OPTIONS.values()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_the_guides_is_taken(kind: str) -> None:
    """That each of them serves, too, is shown in tests/contract and tests/integration."""
    if find_spec(KINDS[kind]) is None:
        pytest.skip(f"needs {KINDS[kind]}, of the extra dev")
    done = run(["--check-config", "-k", kind, "run:app"], FOLDER / "production", PYTHONPATH=str(FOLDER))
    assert (done.returncode, done.stderr) == (0, "")


def test_flask_with_four_workers(site: Callable[..., Site]) -> None:
    """Its own gunicorn.conf.py stands beside it and is read too: what the command line says wins."""
    here = site("flask")
    here.launch(FLASK)
    text = wait_text(here.logs / "error.log", lambda text: text.count("worker ready") == 4, "four are ready")
    assert "worker ready" in text
    assert len(here.server.worker_pids()) == 4
    assert thread_of(here) != "MainThread", "the file's worker_class"


def test_flask_with_more_settings(site: Callable[..., Site]) -> None:
    here = site("flask")
    (here.home / "gunicorn.conf.py").unlink()
    here.launch(FLASK_MORE + PRELOAD)
    here.server.error_log = here.logs / "error.log"
    wait_text(here.logs / "error.log", lambda text: text.count("worker ready") == 4, "four are ready")
    assert listens_everywhere(here.port)
    assert len(here.server.worker_pids()) == 4
    with here.one_worker():
        assert here.meeting(2) == {"met"}
        assert here.meeting(3) == {"alone"}
    assert here.get("/health?logged").status == 200
    wait_text(here.logs / "access.log", lambda text: "/health?logged" in text, "has the request")
    assert "[DEBUG]" not in (here.logs / "error.log").read_text()
    assert here.server.log() == ""


def test_logs_to_files_at_level_warning_in_the_guides_format(site: Callable[..., Site]) -> None:
    here = site("production")
    bind = f"0.0.0.0:{here.port}"
    here.launch(f"ostler --bind {bind} --config logs-to-files.py run:app")
    wait_until(lambda: answers(here), "it answers")
    with here.client() as client:
        client.get("/health?form", [("Referer", "http://a.example/"), ("User-Agent", "agent/1")])
    text = wait_text(here.logs / "access.log", lambda text: "?form" in text, "has the request")
    when = r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]"
    line = rf'(?m)^127\.0\.0\.1 - - {when} "GET /health\?form HTTP/1\.1" 200 2 "http://a\.example/" "agent/1"$'
    assert re.search(line, text), text
    assert (here.logs / "error.log").read_text() == "", "nothing to warn of"


def answers(site: Site) -> bool:
    try:
        return site.get("/health").status == 200
    except OSError:
        assert not site.server.exited, site.server.log()
        return False
