"""How the guides hand the server to a platform: Heroku's Procfile, render.yaml, systemd, an unprivileged user."""

import json
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.compat.guides.network import listens_everywhere
from tests.compat.guides.site import PROGRAMS, Site, dockerfile
from tests.integration.proxy import find_tool
from tests.integration.waiting import wait_until


def test_procfile_serves_where_heroku_says(site: Callable[..., Site]) -> None:
    here = site("flask", port=5000)
    (here.home / "gunicorn.conf.py").unlink()
    processes = dict(line.split(": ", 1) for line in (here.home / "Procfile").read_text().splitlines())
    here.start(processes["web"], 4, {"PORT": str(here.port), "SECRET_KEY": "from Heroku"})
    assert len(here.server.worker_pids()) == 4
    assert listens_everywhere(here.port)
    assert json.loads(here.get("/").body)["environment"]["SECRET_KEY"] == "from Heroku"
    with here.one_worker():
        assert here.meeting(2) == {"met"}


def test_render_starts_as_many_workers_as_it_says(site: Callable[..., Site]) -> None:
    here = site("flask", port=10000)
    (here.home / "gunicorn.conf.py").unlink()
    said = re.search(r"startCommand: (.*)", (here.home / "render.yaml").read_text())
    assert said
    here.start(said[1], 2, {"PORT": str(here.port), "WEB_CONCURRENCY": "2"})
    assert len(here.server.worker_pids()) == 2
    assert listens_everywhere(here.port)
    assert here.server.stop(signal.SIGTERM) == 0, "Render, Heroku and Docker stop with TERM"


def unit(site: Site) -> ConfigParser:
    """The service file with the guide's placeholders filled in: project, virtual environment, user."""
    path = site.home / "ostler.service"
    text = path.read_text().replace("/path/to/venv/bin", str(PROGRAMS)).replace("/path/to/project", str(site.home))
    path.write_text(text)
    parser = ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text.replace("\\\n", " "))
    return parser


def test_systemd_service_starts_and_reloads(site: Callable[..., Site]) -> None:
    """systemd itself is not there in a container: its two commands are run as it would."""
    here = site("production")
    service = unit(here)["Service"]
    name, _, value = service["Environment"].strip('"').partition("=")
    here.start(shlex.split(service["ExecStart"]), 3, {name: value})
    before = set(here.server.worker_pids())
    reload = shlex.split(service["ExecReload"].replace("$MAINPID", str(here.server.master)))
    assert subprocess.run(reload, timeout=10, check=False).returncode == 0
    here.server.wait_log("reload complete")
    wait_until(lambda: before.isdisjoint(here.server.worker_pids()), "the last old worker is gone")


def test_systemd_finds_nothing_wrong_with_the_service(site: Callable[..., Site]) -> None:
    here = site("production")
    unit(here)
    done = subprocess.run(
        [find_tool("systemd-analyze"), "verify", "--man=no", str(here.home / "ostler.service")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    about = [line for line in done.stderr.splitlines() if "ostler.service" in line]
    assert about == []
    assert done.returncode == 0, done.stderr


def test_docker_user_without_rights_can_serve(site: Callable[..., Site]) -> None:
    here = site("production")
    (user,) = dockerfile(here.home / "Dockerfile", "USER")
    assert user == "appuser", "made by the adduser above it; here it is nobody"
    as_user = [find_tool("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
    tried = subprocess.run([*as_user, str(PROGRAMS / "ostler"), "--version"], capture_output=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"another user cannot be used here, or not the interpreter by it: {tried.stderr!r}")
    (command,) = dockerfile(here.home / "Dockerfile", "CMD")
    here.start([*as_user, *json.loads(command)], 3)
    assert json.loads(here.get("/").body)["user"] == 65534
    wait_until(lambda: '"GET / HTTP/1.1" 200' in here.stdout(), "the access log is on stdout")


def test_user_of_docker_is_told_when_the_log_folder_is_not_his(site: Callable[..., Site], tmp_path: Path) -> None:
    here = site("flask")
    shutil.rmtree(here.logs)
    here.launch("ostler wsgi:app -c gunicorn.conf.py")
    assert here.server.wait_exit() == 1
    (line,) = [line for line in here.server.log().splitlines() if line.startswith("Error: ")]
    assert "/gunicorn/" in line
    assert "log" in line
