"""gunicorn-cfg.py of the production guide, started by the CMD of its Dockerfile with a real Flask application."""

import json
from collections.abc import Callable
from importlib.util import find_spec

import pytest

from tests.compat.guides import shown
from tests.compat.guides.shown import Case, Served
from tests.compat.guides.site import FOLDER, Site, dockerfile
from tests.integration import test_settings_act as acts
from tests.integration.load import Load
from tests.integration.waiting import wait_until

FILE = FOLDER / "production" / "gunicorn-cfg.py"


pytestmark = pytest.mark.skipif(find_spec("gevent") is None, reason="needs gevent, of the extra dev")


def begin(make: Callable[[str], Site]) -> tuple[Site, str, str]:
    site = make("production")
    recipe = site.home / "Dockerfile"
    env = dict(line.split("=") for line in dockerfile(recipe, "ENV"))
    (command,) = dockerfile(recipe, "CMD")
    site.start(json.loads(command), 3, env)
    return site, FILE.name, "run:app"


def loglevel_info(served: Served) -> None:
    assert "[INFO]" in served.site.server.log()
    assert "[DEBUG]" not in served.site.server.log()


def errorlog_dash(served: Served) -> None:
    """Standard output is a file of its own, so this log is standard error."""
    assert "Listening at: http://0.0.0.0:" in served.site.server.log()
    assert "Listening" not in served.site.stdout()


def accesslog_dash(served: Served) -> None:
    served.site.get("/health?logged")
    wait_until(lambda: '"GET /health?logged HTTP/1.1" 200 2' in served.site.stdout(), "the request is on stdout")
    assert "health?logged" not in served.site.server.log()


CASES: dict[str, Case] = {
    "bind": shown.bind,
    "workers": shown.workers(3),
    "worker_class": shown.worker_class_gevent,
    "worker_connections": shown.elsewhere("worker_connections", "1000", acts.worker_connections),
    "timeout": shown.elsewhere("timeout", "30", acts.timeout),
    "loglevel": loglevel_info,
    "accesslog": accesslog_dash,
    "errorlog": errorlog_dash,
    "preload_app": shown.preload_app_off,
    "max_requests_jitter": shown.elsewhere("max_requests_jitter", "100", acts.max_requests_jitter),
    "keepalive": shown.keepalive(2),
    "max_requests": shown.max_requests(1000, 100),
}


def test_every_setting_of_the_file_has_a_case() -> None:
    assert set(CASES) == shown.assigned(FILE)


@pytest.mark.parametrize("name", CASES)
def test_setting_acts(served: Served, name: str) -> None:
    CASES[name](served)


def test_unbuffered_output_of_the_application_is_on_stdout_at_once(served: Served) -> None:
    assert served.get()["environment"]["PYTHONUNBUFFERED"] == "1"
    served.site.get("/print")
    wait_until(lambda: "printed by the application" in served.site.stdout(), "the line is there")


def test_healthcheck_of_the_dockerfile_says_healthy_then_unhealthy(served: Served) -> None:
    (check,) = dockerfile(served.site.home / "Dockerfile", "HEALTHCHECK")
    command = check.removeprefix("CMD ")
    healthy = served.site.shell(command)
    assert (healthy.returncode, healthy.stdout) == (0, "OK")
    assert served.site.shell(command.replace("/health", "/no-such-page")).returncode == 1


def test_hup_reloads_without_a_lost_request(served: Served) -> None:
    server = served.site.server
    before = set(server.worker_pids())
    with Load(server.address, clients=4, target="/health") as load:
        load.wait_for(50)
        assert served.site.shell(f"kill -HUP {server.master}").returncode == 0
        wait_until(lambda: before.isdisjoint(server.worker_pids()), "all workers are new")
        load.wait_for(50)
    load.tally.assert_nothing_failed()
