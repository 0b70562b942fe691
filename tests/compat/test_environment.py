"""Variables of the environment, and what the rows of commands and exit statuses still need."""

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compat.command import SCRIPT, run
from tests.compat.covering import covers, covers_each
from tests.compat.surface import ABSENT
from tests.integration.client import Client
from tests.integration.harness import Server, free_port
from tests.integration.waiting import wait_until

INHERIT = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
os.dup2(listener.fileno(), 3, inheritable=True)
os.set_inheritable(3, True)  # dup2 leaves it alone when it is 3 already
os.environ.update(LISTEN_PID=sys.argv[2].replace("own", str(os.getpid())), LISTEN_FDS="1")
os.execv(sys.argv[3], sys.argv[3:])
"""


@covers("env:GUNICORN_CMD_ARGS", "env:PORT", "env:WEB_CONCURRENCY", "env:FORWARDED_ALLOW_IPS", "env:SCRIPT_NAME")
@covers("command:gunicorn")
def test_a_platform_configures_by_variables_alone(start: Callable[..., Server]) -> None:
    port = free_port()
    env = {
        "PORT": str(port),
        "WEB_CONCURRENCY": "2",
        "FORWARDED_ALLOW_IPS": "10.0.0.1",
        "SCRIPT_NAME": "/shop",
        "GUNICORN_CMD_ARGS": "--env \"GREETING=two words\" --name of-variables",
    }
    server = start(env=env, bind=False, ready=2)
    assert server.process is not None
    assert isinstance(server.process.args, list)
    assert SCRIPT in server.process.args, "the console script is what runs"
    assert "0.0.0.0" in server.log(), "PORT listens everywhere"
    with Client(("127.0.0.1", port)) as client:
        assert client.get("/shop/variable/GREETING").text == "two words"
        shown = json.loads(client.get("/shop/environ", [("X-Forwarded-Proto", "https")]).body)
        assert shown["SCRIPT_NAME"] == "/shop"
        assert shown["PATH_INFO"] == "/environ"
        assert shown["wsgi.url_scheme"] == "http", "only 10.0.0.1 would be believed"
        assert client.get("/elsewhere").status == 500, "as in Gunicorn: the proxy and the variable disagree"


@covers("env:SENDFILE")
@pytest.mark.parametrize(("value", "shown"), [("no", "False"), ("yes", "True")])
def test_sendfile_is_the_default_of_its_setting(tmp_path: Path, value: str, shown: str) -> None:
    printed = run(["--print-config", "contract:application"], tmp_path, SENDFILE=value)
    assert printed.returncode == 0
    (line,) = [line for line in printed.stdout.splitlines() if line.startswith("sendfile")]
    assert shown in line


@covers("env:PWD")
def test_the_working_directory_keeps_the_name_that_the_shell_gave_it(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    printed = run(["--print-config", "contract:application"], tmp_path / "link", PWD=str(tmp_path / "link"))
    (line,) = [line for line in printed.stdout.splitlines() if line.startswith("chdir")]
    assert str(tmp_path / "link") in line


@covers("env:NOTIFY_SOCKET")
def test_systemd_hears_that_the_server_is_ready(start: Callable[..., Server], tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        notified.settimeout(10)
        start(env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        said = ""
        while "READY=1" not in said:
            said = notified.recv(4096).decode()


@covers("env:LISTEN_FDS", "env:LISTEN_PID")
@pytest.mark.parametrize("pid", ["own", "1"])
def test_listeners_of_systemd_are_taken_by_the_process_they_are_for(start: Callable[..., Server], pid: str) -> None:
    port = free_port()
    server = start(bind=pid != "own", prefix=[sys.executable, "-c", INHERIT, str(port), pid])
    if pid == "own":
        with Client(("127.0.0.1", port)) as client:
            assert client.get("/variable/LISTEN_FDS").text == "not set", "it is not for the application's children"
    else:
        assert server.get("/").status == 200


PASTE = """
[app:main]
paste.app_factory = pasted:factory

[server:main]
use = egg:gunicorn#main
workers = 2
"""
PASTED = """
def factory(global_config, **local):
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [global_config["word"].encode()]
    return application
"""


@covers("setting:paste", "setting:raw_paste_global_conf", "command:use = egg:gunicorn#main")
def test_a_paste_file_has_settings_and_the_application(start: Callable[..., Server]) -> None:
    files = {"site.ini": PASTE, "pasted.py": PASTED}
    server = start("--paste", "HOME/site.ini", "--paste-global", "word=given", files=files, app=None, ready=2)
    assert server.get("/").text == "given"


@covers("exit:2 usage")
def test_an_unknown_flag_is_a_usage_error(tmp_path: Path) -> None:
    assert run(["--no-such-flag", "contract:application"], tmp_path).returncode == 2


@covers("exit:1 check")
def test_check_config_of_a_missing_application_is_an_error(tmp_path: Path) -> None:
    ended = run(["--check-config", "no_such_module:application"], tmp_path)
    assert ended.returncode == 1
    assert "no_such_module" in ended.stderr


@covers("worker:sync", "worker:gthread")
@pytest.mark.parametrize(
    ("path", "multithread"),
    [("gunicorn.workers.sync.SyncWorker", False), ("gunicorn.workers.gthread.ThreadWorker", True)],
)
def test_the_class_behind_an_alias_is_taken_for_it(
    start: Callable[..., Server], path: str, multithread: bool
) -> None:
    server = start("--worker-class", path, *(["--threads", "2"] if multithread else []))
    assert json.loads(server.get("/environ").body)["wsgi.multithread"] is multithread
    wait_until(lambda: os.path.exists(f"/proc/{server.master}"), "it runs")


KEYS = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(environ).encode()]
"""


@covers_each(ABSENT)
def test_keys_of_what_is_not_built_yet_are_not_in_the_environ(start: Callable[..., Server]) -> None:
    """An application looks there whether it may use them."""
    server = start(app="keys:application", files={"keys.py": KEYS})
    shown = set(server.get("/").text.split())
    assert "RAW_URI" in shown
    assert shown & {row.name for row in ABSENT} == set()
