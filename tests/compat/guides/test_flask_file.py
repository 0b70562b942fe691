"""gunicorn.conf.py of the guide to Flask: `ostler wsgi:app -c gunicorn.conf.py`, as its Dockerfile starts it."""

import json
import multiprocessing
import re
from collections.abc import Callable

import pytest

from tests.compat.command import wait_text
from tests.compat.guides import shown
from tests.compat.guides.shown import Case, Served
from tests.compat.guides.site import FOLDER, Site, dockerfile
from tests.integration import test_settings_act as acts
from tests.integration.waiting import wait_until

FILE = FOLDER / "flask" / "gunicorn.conf.py"
WORKERS = multiprocessing.cpu_count() * 2 + 1


def begin(make: Callable[[str], Site]) -> tuple[Site, str, str]:
    site = make("flask")
    (command,) = dockerfile(site.home / "Dockerfile", "CMD")
    site.launch(json.loads(command), dict(line.split("=") for line in dockerfile(site.home / "Dockerfile", "ENV")))
    wait_text(site.logs / "error.log", lambda text: len(re.findall("worker ready", text)) == WORKERS, "all are ready")
    return site, FILE.name, "wsgi:app"


def errorlog_file(served: Served) -> None:
    """Also to the file: the master's and the workers' lines. Nothing is left for standard error."""
    text = (served.site.logs / "error.log").read_text()
    assert "Listening at: http://0.0.0.0:" in text
    assert served.site.server.log() == ""


def accesslog_file(served: Served) -> None:
    served.site.get("/health?logged")
    log = served.site.logs / "access.log"
    wait_text(log, lambda text: '"GET /health?logged HTTP/1.1" 200 2' in text, "has the request")


def loglevel_info(served: Served) -> None:
    text = (served.site.logs / "error.log").read_text()
    assert "[INFO]" in text
    assert "[DEBUG]" not in text


CASES: dict[str, Case] = {
    "bind": shown.bind,
    "workers": shown.workers(WORKERS),
    "worker_class": shown.worker_class_gthread,
    "timeout": shown.elsewhere("timeout", "120", acts.timeout),
    "graceful_timeout": shown.elsewhere("graceful_timeout", "30", acts.graceful_timeout),
    "accesslog": accesslog_file,
    "errorlog": errorlog_file,
    "loglevel": loglevel_info,
    "limit_request_line": shown.limit_request_line(8190),
    "limit_request_fields": shown.limit_request_fields(100),
    "max_requests_jitter": shown.elsewhere("max_requests_jitter", "50", acts.max_requests_jitter),
    "keepalive": shown.keepalive(5),
    "threads": shown.threads(2),
    "max_requests": shown.max_requests(1000, 50),
}


def test_every_setting_of_the_file_has_a_case() -> None:
    assert set(CASES) == shown.assigned(FILE)


@pytest.mark.parametrize("name", CASES)
def test_setting_acts(served: Served, name: str) -> None:
    CASES[name](served)


def test_rotated_logs_are_let_go_on_usr1(served: Served) -> None:
    """As logrotate does: rename, then USR1."""
    logs, server = served.site.logs, served.site.server
    (logs / "access.log").rename(logs / "access.log.1")
    served.site.shell(f"kill -USR1 {server.master}")

    def logged() -> bool:
        served.site.get("/health?after")
        path = logs / "access.log"
        return path.exists() and "after" in path.read_text()

    wait_until(logged, "requests are in a new file")
