"""Programs that embed the server through Gunicorn's names (tests/apps/embedders), and `python -m gunicorn`.

They import `gunicorn` from packaging/gunicorn-shim, as an image does in which it stands in for the one of PyPI.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.integration.harness import APPS, READY, ROOT, Server, bind_value
from tests.integration.processes import kill
from tests.integration.waiting import wait_until

SHIM = ROOT / "packaging" / "gunicorn-shim" / "src"
EMBEDDERS = APPS / "embedders"
BOOTED = re.compile(r"flavour=(\w+) pid=(\d+) loaded_in=\[(\d+)\]")


def launch(server: Server, words: Sequence[str], workers: int = 2, **env: str) -> Server:
    paths = os.pathsep.join(map(str, (SHIM, EMBEDDERS, APPS)))
    server.launch([sys.executable, *words], {"PYTHONPATH": paths, **env}, server.home)
    server.workers = workers
    server.wait_ready()
    return server


def test_an_embedded_application_serves_reloads_and_stops(make_server: Callable[..., Server]) -> None:
    server = make_server()
    path = server.home / "options.json"
    options = {"bind": bind_value(server.address), "workers": 2, "flavour": "plain"}
    path.write_text(json.dumps(options))
    launch(server, [str(EMBEDDERS / "custom.py"), str(path)])
    pids = set(server.worker_pids())
    assert int(server.get("/").text) in pids
    booted = BOOTED.findall(server.log())
    assert {flavour for flavour, _, _ in booted} == {"plain"}
    assert all(pid == loaded for _, pid, loaded in booted), "each worker loads the application by itself"

    since = server.log_end()
    path.write_text("{")
    server.send_signal(signal.SIGHUP)
    server.wait_log("reload failed: .*JSONDecodeError.*; generation 1 keeps serving", since)
    assert "load_config" in server.log(since), "the program's own frames are shown"
    assert set(server.worker_pids()) == pids

    path.write_text(json.dumps(options | {"workers": 3, "flavour": "sweet"}))
    server.send_signal(signal.SIGHUP)
    server.wait_log("reload complete: generation 2 serves workers=3", since)
    assert {flavour for flavour, _, _ in BOOTED.findall(server.log(since))} == {"sweet"}
    assert server.stop() == 0
    assert "unreachable" not in server.log()


def test_the_example_of_the_manual_serves_without_the_shim(make_server: Callable[..., Server]) -> None:
    server = make_server()
    code = "import runpy, sys\nfrom ostler.compat import finder\nfinder.install()\n"
    code += "runpy.run_path(sys.argv[1], None, '__main__')"
    command = [sys.executable, "-c", code, str(ROOT / "docs" / "how-to" / "embed.py")]
    server.launch(command, {"SHOP_BIND": bind_value(server.address)}, server.home)
    pids = server.wait_ready(2)
    assert server.get("/").text in {f"served by {pid}\n" for pid in pids}
    assert server.stop() == 0


def test_a_generation_keeps_what_the_programs_object_was_when_it_was_made(make_server: Callable[..., Server]) -> None:
    server = make_server()
    path = server.home / "options.json"
    options = {"bind": bind_value(server.address), "workers": 1, "flavour": "plain"}
    path.write_text(json.dumps(options))
    launch(server, [str(EMBEDDERS / "custom.py"), str(path)], workers=1)
    path.write_text(json.dumps(options | {"flavour": "bitter", "bind": "198.51.100.7:1"}))  # not ours to bind
    since = server.log_end()
    server.send_signal(signal.SIGHUP)
    server.wait_log("reload failed: .*; generation 1 keeps serving", since)
    (pid,) = server.worker_pids()
    kill(pid, signal.SIGKILL)
    (again,) = server.wait_ready(1, since)
    assert BOOTED.findall(server.log(since)) == [("plain", str(again), str(again))]
    assert server.get("/").text == str(again)


def test_an_arbiter_of_ones_own_replaces_workers_at_its_own_pace(make_server: Callable[..., Server]) -> None:
    """In the shape of Airflow 3's API server: Arbiter, Logger, BaseApplication and UvicornWorker are subclasses."""
    pytest.importorskip("uvicorn", reason="the worker class is derived from Uvicorn's")
    server = make_server()
    words = [str(EMBEDDERS / "rolling.py"), bind_value(server.address), "rolling.QuietUvicornWorker"]
    own = "--timeout 40 --max-requests 100000"
    launch(server, words, GUNICORN_CMD_ARGS=own, ROLLING_EVERY_S="0.1", ROLLING_BATCH="2")
    first = set(server.wait_ready()[:2])
    answers = set()

    def refreshed() -> bool:
        answers.add(server.get("/").text)
        gone = {int(pid) for pid in re.findall(r"worker exited .*?pid=(\d+)", server.log())}
        return first <= gone and "refresh complete" in server.log()

    wait_until(refreshed, "all workers are replaced", 20)
    log = server.log()
    assert answers <= set(READY.findall(log)), "every request was answered by a worker that was ready"
    assert log.count("application loaded") == 1, "it is preloaded"
    serving: set[str] = set()
    for what, pid in re.findall(r"(worker ready|is sent away by the arbiter|worker exited) .*?pid=(\d+)", log):
        match what:
            case "worker ready":
                serving.add(pid)
            case "worker exited":
                serving.discard(pid)
                assert len(serving) >= 2, "nobody goes before somebody else serves"
    assert not set(map(str, first)) & serving
    assert server.stop() == 0
    lines = [line for line in server.log().splitlines() if "worker ready" in line]
    assert all(line.startswith("own gunicorn.error: ") for line in lines), "the logger leaves lines to the program"


def test_hooks_of_exporters_see_each_worker_come_and_go(make_server: Callable[..., Server]) -> None:
    """In the shape of Feast's server, with prometheus_client's multiprocess mode and OpenTelemetry's post_fork."""
    for package in ("uvicorn_worker", "prometheus_client", "opentelemetry.sdk"):
        pytest.importorskip(package, reason="the program uses it")
    server = make_server()
    values = server.home / "prometheus"
    values.mkdir()
    launch(server, [str(EMBEDDERS / "features.py"), bind_value(server.address)], PROMETHEUS_MULTIPROC_DIR=str(values))
    gone = int(server.get("/").text)
    assert "feature_serving 2.0" in server.get("/metrics").text
    kill(gone, signal.SIGTERM)
    server.wait_log(f"marked dead pid={gone}")
    wait_until(lambda: "feature_serving 2.0" in server.get("/metrics").text, "the gauge knows who lives")
    assert f"span=answer worker={gone}" in server.log(), "the exporter was flushed before its worker left"
    assert not list(values.glob(f"gauge_live*_{gone}.db"))
    assert server.stop() == 0


@pytest.mark.parametrize("module", ["gunicorn", "gunicorn.app.wsgiapp"])
def test_python_m_gunicorn_is_ostler(make_server: Callable[..., Server], module: str) -> None:
    """As MLflow starts it: options, -b, -w, APP; and `gunicorn` is among the modules that were imported."""
    server = make_server()
    (server.home / "tracking.py").write_text(
        "import sys\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
        "    return [f\"{'gunicorn' in sys.modules} {sys.modules['gunicorn'].__version__}\".encode()]\n"
    )
    launch(server, ["-m", module, "--timeout", "60", "-b", bind_value(server.address), "-w", "2", "tracking:app"])
    assert server.get("/").text == "True 27.0.1"
    assert "ostler starting" in server.log()
    assert server.stop() == 0


def test_what_the_distribution_promises_is_there(tmp_path: Path) -> None:
    """Its scripts and its entry point, by the metadata that pip would write; and what is not built says so."""
    project = tomllib.loads((SHIM.parent / "pyproject.toml").read_text())["project"]
    assert (project["name"], project["dependencies"]) == ("gunicorn", ["ostler"])
    assert project["scripts"].keys() == {"gunicorn", "gunicornc"}
    runner = project["entry-points"]["paste.server_runner"]["main"]
    code = (
        "import gunicorn, importlib, sys\n"
        "for target in sys.argv[1:]:\n"
        "    module, _, name = target.partition(':')\n"
        "    print(getattr(importlib.import_module(module), name).__module__)\n"
        "print(gunicorn.__version__)\n"
        "from gunicorn.__main__ import gunicornc\n"
        "sys.argv[1:] = ['-s', 'none.ctl', '-c', 'help']\n"
        "print(gunicornc())\n"
        "try:\n"
        "    import gunicorn.dirty\n"
        "except ModuleNotFoundError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *project["scripts"].values(), runner],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SHIM)},
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    *modules, version, status, refusal = done.stdout.splitlines()
    assert modules == ["ostler.compat.wsgiapp", "ostler.compat.package.ctl.cli", "ostler.compat.paste"]
    assert project["version"] == f"{version}+ostler"
    assert (status, "cannot connect to" in done.stderr) == ("1", True)
    assert refusal.startswith("gunicorn.dirty is not built yet in this version of Ostler")
