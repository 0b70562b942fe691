"""The command line as scripts see it: exit statuses, and one clear line instead of a traceback of ours."""

import configparser
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.integration.harness import APPS, FOREIGN, ROOT, Server, bind_value, free_port


def run(arguments: Sequence[str], cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    environment |= {"PYTHONPATH": str(APPS), "PYTHONDONTWRITEBYTECODE": "1", **env}
    return subprocess.run(
        [sys.executable, "-m", "ostler", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.fixture
def port() -> str:
    return f"127.0.0.1:{free_port()}"


def test_version_and_help_are_printed(tmp_path: Path) -> None:
    version = run(["--version"], tmp_path)
    assert version.returncode == 0
    assert "0.1.0" in version.stdout
    usage = run(["--help"], tmp_path)
    assert usage.returncode == 0
    for flag in ("--bind", "--workers", "--worker-class", "--threads", "--max-requests-jitter", "--check-config"):
        assert flag in usage.stdout


@pytest.mark.parametrize(
    ("app", "status", "named"),
    [
        ("no_such_module:app", 3, "no_such_module"),
        ("contract:no_such_name", 4, "no_such_name"),
        ("contract:ROUTES", 4, "ROUTES"),
        ("raises:application", 3, "RuntimeError: at import"),
    ],
)
def test_missing_or_broken_application_ends_the_server(
    tmp_path: Path, port: str, kind: str, app: str, status: int, named: str
) -> None:
    (tmp_path / "raises.py").write_text("raise RuntimeError('at import')\n")
    for mode in ([], ["--check-config"]):
        ended = run(["--bind", port, "--worker-class", kind, *mode, app], tmp_path)
        output = ended.stdout + ended.stderr
        assert ended.returncode == (1 if mode else status), output
        assert named in output


def test_taken_port_is_one_clear_line(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve()
    taken = bind_value(server.address)
    ended = run(["--bind", taken, "contract:application"], tmp_path)
    assert ended.returncode == 1
    assert taken in ended.stderr
    assert "in use" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert server.get("/").status == 200


def test_socket_of_a_living_server_is_not_stolen(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve(transport="unix")
    ended = run(["--bind", bind_value(server.address), "contract:application"], tmp_path)
    assert ended.returncode == 1
    assert str(server.address) in ended.stderr
    assert "Traceback" not in ended.stderr
    assert server.get("/").status == 200


@pytest.mark.parametrize(
    ("arguments", "env", "status", "named"),
    [
        ([], {"WEB_CONCURRENCY": "four"}, 1, ["workers", "four", "WEB_CONCURRENCY"]),
        (["--workers", "0x"], {}, None, ["workers", "0x"]),
        (["--timeout", "soon"], {}, None, ["timeout", "soon"]),
        (["--worker-class", "gopher"], {}, None, ["gopher"]),
        (["--bind", "localhost:port"], {}, None, ["bind", '"localhost:port"']),
        (["--no-such-flag"], {}, 2, ["--no-such-flag"]),
        (["--config", "missing.py"], {}, 1, ["missing.py"]),
        (["--refork-after", "500"], {}, None, ["refork_after", "preload_app"]),
        (["--certfile", "cert.pem"], {}, None, ["certfile", "cert.pem", "nothing there"]),
        ([], {"GUNICORN_CMD_ARGS": "--http-protocols h2"}, None, ["http_protocols", "GUNICORN_CMD_ARGS"]),
    ],
)
def test_wrong_settings_are_one_clear_line(
    tmp_path: Path, arguments: list[str], env: dict[str, str], status: int | None, named: list[str]
) -> None:
    ended = run([*arguments, "contract:application"], tmp_path, **env)
    assert ended.returncode in ({1, 2} if status is None else {status}), ended.stderr
    for text in named:
        assert text in ended.stderr
    assert "Traceback" not in ended.stderr


def test_no_application_is_a_clear_error(tmp_path: Path) -> None:
    ended = run([], tmp_path)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr


def test_setting_of_another_slice_is_refused_in_a_file_by_name(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("http_protocols = 'h2'\n")
    ended = run(["contract:application"], tmp_path)
    assert ended.returncode == 1
    assert "http_protocols" in ended.stderr
    assert "gunicorn.conf.py" in ended.stderr


def test_check_config_accepts_and_print_config_tells_where_values_came_from(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("timeout = 77\n")
    assert run(["--check-config", "contract:application"], tmp_path).returncode == 0
    printed = run(["--print-config", "--threads", "3", "contract:application"], tmp_path, WEB_CONCURRENCY="5")
    assert printed.returncode == 0, printed.stderr
    lines = {line.split()[0]: line for line in printed.stdout.splitlines() if line.strip()}
    assert "77" in lines["timeout"]
    assert "gunicorn.conf.py" in lines["timeout"]
    assert "5" in lines["workers"]
    assert "WEB_CONCURRENCY" in lines["workers"]
    assert "3" in lines["threads"]


def test_command_of_the_documented_systemd_unit_is_understood(tmp_path: Path) -> None:
    unit = configparser.ConfigParser()
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(ROOT / "docs" / "how-to" / "ostler.service")
    program, *arguments = shlex.split(unit["Service"]["ExecStart"])
    assert program.endswith("/ostler")
    assert arguments[-1] == "myproject.wsgi"
    ended = run(["--print-config", *arguments[:-1], "contract"], tmp_path)
    assert ended.returncode == 0, ended.stderr
    graceful = int(arguments[arguments.index("--graceful-timeout") + 1])
    assert int(unit["Service"]["TimeoutStopSec"]) > graceful


def test_factory_with_literal_arguments_is_called(serve: Callable[..., Server]) -> None:
    app = (
        "def make(name, times=1):\n"
        "    def app(environ, start_response):\n"
        "        start_response('200 OK', [('Content-Type', 'text/plain')])\n"
        "        return [name.encode() * times]\n"
        "    return app\n"
    )
    server = serve("made:make('ab', times=3)", files={"made.py": app})
    assert server.get("/").body == b"ababab"
