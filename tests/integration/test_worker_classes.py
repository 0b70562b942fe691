"""Worker classes of other packages and of users, written for Gunicorn, unchanged: uvicorn's, aiohttp's, subclasses of
the kinds, and loops of their own.
"""

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.client import Cut, request_bytes
from tests.integration.harness import ROOT, Server, bind_value
from tests.integration.processes import alive, kill
from tests.integration.waiting import wait_until

ASGI = "worker_classes:asgi"
WSGI = "worker_classes:wsgi"
HOOKS = """
def post_fork(server, worker):
    server.log.info("post_fork of %s", type(worker).__qualname__)

def post_worker_init(worker):
    worker.log.info("post_worker_init of %s booted=%s", type(worker).__qualname__, worker.booted)

def worker_abort(worker):
    worker.log.info("worker_abort of %s", type(worker).__qualname__)

def worker_int(worker):
    worker.log.info("worker_int of %s", type(worker).__qualname__)

def worker_exit(server, worker):
    server.log.info("worker_exit of %s", type(worker).__qualname__)

def child_exit(server, worker):
    server.log.info("child_exit of %s", type(worker).__qualname__)
"""


def pid_of(server: Server) -> int:
    answer = server.get("/")
    assert answer.status == 200
    return int(answer.body)


UVICORN = ("uvicorn_worker.UvicornWorker", ASGI, "uvicorn_worker")
AIOHTTP = ("aiohttp.GunicornWebWorker", "worker_classes:aiohttp_application", "aiohttp")


@pytest.mark.parametrize(("worker_class", "app", "package"), [UVICORN, AIOHTTP])
def test_a_worker_class_of_another_package_serves_reloads_and_drains(
    serve: Callable[..., Server], tmp_path: Path, worker_class: str, app: str, package: str
) -> None:
    pytest.importorskip(package, reason="it is in the dev extra")
    access = tmp_path / "access.log"
    options = ["--access-logfile", str(access), "--limit-request-line", "100"]
    server = serve(app, kind=worker_class, workers=1, config=HOOKS, options=options)
    name = worker_class.rpartition(".")[2]
    with server.client() as client:
        (first,) = {int(client.get("/").body) for _ in range(2)}
    assert [first] == server.worker_pids()
    assert re.search(rf"post_fork of {name}\b[\s\S]*post_worker_init of {name} booted=", server.log())
    server.wait_log(r"(?m)settings without effect .*names=limit_request_line$")
    wait_until(lambda: '"GET / HTTP/1.1" 200' in access.read_text(), "the access log has the request")

    kill(first, signal.SIGHUP)
    kill(first, signal.SIGUSR2)
    since = server.log_end()
    with server.client() as client:
        client.send(request_bytes("GET", "/slow"))
        server.send_signal(signal.SIGHUP)
        server.wait_log("reload complete", since)
        answer = client.read_response()
    assert (answer.status, int(answer.body)) == (200, first), "the former worker finishes what it serves"
    server.wait_log(rf"worker_exit of {name}[\s\S]*child_exit of Worker[\s\S]*worker exited .*pid={first} ", since)

    with server.client() as client:
        second = int(client.get("/").body)
        client.send(request_bytes("GET", "/slow"))
        server.send_signal(signal.SIGTERM)
        answer = client.read_response()
    assert (answer.status, int(answer.body)) == (200, second)
    assert server.wait_exit() == 0
    assert "died" not in server.log()


def test_uvicorn_is_replaced_when_it_dies_or_does_not_start_and_after_max_requests(
    serve: Callable[..., Server],
) -> None:
    pytest.importorskip("uvicorn_worker", reason="it is in the dev extra")
    options = ["--max-requests", "3", "--preload"]
    server = serve(ASGI, kind="uvicorn_worker.UvicornH11Worker", workers=2, options=options)
    (server.home / "broken").touch()
    since = server.log_end()
    server.send_signal(signal.SIGHUP)
    (told,) = server.wait_log(r"reload failed: .*", since)
    assert "UvicornH11Worker left with status 3 before it was ready" in told.group()
    assert "Application startup failed" in server.log(since)
    (server.home / "broken").unlink()

    since = server.log_end()
    pids = {pid_of(server) for _ in range(8)}
    server.wait_log(r"worker asks to be replaced .*reason=max_requests", since)
    server.wait_ready(1, since)
    pids |= {pid_of(server) for _ in range(4)}
    assert len(pids) >= 2
    wait_until(lambda: len(server.worker_pids()) == 2, "there are two workers again")
    since = server.log_end()
    kill(server.worker_pids()[0], signal.SIGKILL)
    server.wait_ready(1, since)
    assert pid_of(server)
    assert "die soon" not in server.log()


def test_the_worker_classes_that_are_twins_of_these_are_found() -> None:
    names = ["uvicorn.workers.UvicornWorker", "uvicorn.workers.UvicornH11Worker", "aiohttp.GunicornUVLoopWebWorker"]
    for package in ("uvicorn", "aiohttp", "uvloop"):
        pytest.importorskip(package, reason="it is in the dev extra")
    code = "import sys; from ostler.compat import finder, worker_class; from tests.unit.compat.facts import settings\n"
    code += "finder.install()\nfor each in sys.argv[1:]:\n"
    code += "    print(worker_class.import_class(settings(worker_class=each)))"
    command = [sys.executable, "-c", code, *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.count("<class") == len(names), done.stderr


@pytest.mark.parametrize(
    ("name", "answer", "told"),
    [
        ("OwnGevent", b"gevent._socket3 None False", "called: patch[\\s\\S]*called: handle_request /slow"),
        ("OwnHandler", b"gevent._socket3 Handler True", '"GET /slow HTTP/1.1" 200'),
    ],
)
def test_a_subclass_of_a_gevent_worker_patches_and_serves(
    serve: Callable[..., Server], name: str, answer: bytes, told: str
) -> None:
    pytest.importorskip("gevent", reason="it is in the dev extra")
    server = serve(
        "green_classes:application",
        kind=f"green_classes.{name}",
        workers=1,
        options=["--access-logfile", "-", "--graceful-timeout", "1"],
    )
    assert server.get("/").body == answer
    with server.client() as client, server.client() as idle:
        assert idle.get("/").body == answer
        client.send(request_bytes("GET", "/slow", [("Connection", "close")]))
        wait_until(lambda: server.get("/").body == answer, "another greenlet answers meanwhile")
        server.send_signal(signal.SIGTERM)
        assert client.read_response().body == answer
    assert server.wait_exit() == 0
    assert re.search(told, server.log())
    assert "did not finish in time" not in server.log(), "though a connection is idle"


def test_a_class_that_cannot_be_had_is_named_with_its_cure(make_server: Callable[..., Server]) -> None:
    server = make_server()
    server.start(WSGI, kind="no_such_package.Worker", workers=1, options=["--check-config"])
    assert server.wait_exit() == 1
    why = "cannot import no_such_package.Worker: ModuleNotFoundError: .*; install its package"
    assert re.search(f"Error: worker_class: {why}", server.log())


def test_a_subclass_of_the_sync_worker_is_served_by_ours_and_named_by_an_entry_point(
    make_server: Callable[..., Server],
) -> None:
    server = make_server()
    info = server.home / "herd-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: herd\nVersion: 1.0\n")
    points = "[gunicorn.workers]\nherd_worker = worker_classes:OwnSync\n\n[gunicorn.loggers]\nloud = herd:Loud\n"
    (info / "entry_points.txt").write_text(points)
    loud = "from gunicorn.glogging import Logger\n\nclass Loud(Logger):\n"
    loud += "    def info(self, msg, *args, **kwargs):\n        super().info('LOUD ' + msg, *args, **kwargs)\n"
    (server.home / "herd.py").write_text(loud)
    (server.home / "hooks.py").write_text(HOOKS)
    options = ["--config", str(server.home / "hooks.py"), "--logger-class", "egg:herd#loud"]
    server.start(WSGI, kind="herd_worker", workers=1, options=options)
    server.wait_ready()
    booted = server.log()
    assert "LOUD called: __init__ OwnSync" in booted
    calls = re.findall(r"called: ([\w ]+)", booted)
    assert calls == ["check_config workers", "__init__ OwnSync", "init_process pid"]
    assert "called: check_config workers=1 set_up=True" in booted
    assert re.search("post_worker_init of OwnSync booted=False", booted)
    assert re.search(r"replaced and that nobody calls here .*OwnSync names=handle$", booted, re.MULTILINE)
    with server.client() as client:
        assert [client.get("/").body for _ in range(2)] == [b"1", b"2"], "on one connection, kept alive"
        assert client.get("/refused").status == 500
    assert server.get("/forgotten").status == 500
    assert "handle_request did not call super().handle_request" in server.log()
    server.send_signal(signal.SIGUSR1)
    server.wait_log("called: handle_usr1")
    since = server.log_end()
    server.send_signal(signal.SIGHUP)
    server.wait_log(r"called: handle_exit[\s\S]*called: the end of init_process[\s\S]*worker_exit of OwnSync", since)
    server.wait_log("reload complete", since)
    since = server.log_end()
    (pid,) = server.worker_pids()
    kill(pid, signal.SIGQUIT)
    server.wait_log(r"called: handle_quit[\s\S]*worker_int of OwnSync", since)
    server.wait_ready(1, since)


def test_a_class_of_the_configuration_file_is_a_worker_class_and_a_reload_changes_it(
    make_server: Callable[..., Server],
) -> None:
    config = "from gunicorn.workers.gthread import ThreadWorker\nimport logging\n\n"
    config += "class Mine(ThreadWorker):\n    def handle_request(self, req, conn):\n"
    config += "        self.log.info('mine: %s', req.uri)\n        return super().handle_request(req, conn)\n\n"
    config += "worker_class = Mine\nthreads = 2\n"
    server = make_server()
    path = server.home / "conf.py"
    path.write_text(config)
    command = [sys.executable, "-m", "ostler", "--bind", bind_value(server.address), "--config", str(path), WSGI]
    server.launch(command, {}, server.home)
    server.wait_ready(1)
    with server.client() as client:
        assert client.get("/x").body == b"None"
        assert "mine: /x" in server.log()
        path.write_text("worker_class = 'worker_classes.OwnLoop'\n")
        server.send_signal(signal.SIGHUP)
        server.wait_log("reload complete")
        assert server.get("/y").body == b"ok"
        answer = client.get("/z")
        assert (answer.body, answer.field("connection")) == (b"None", "close"), "nobody else could take it over"
        assert "mine: /y" not in server.log()
        path.write_text("worker_class = 'worker_classes.NeverReady'\n")
        server.send_signal(signal.SIGHUP)
        server.wait_log("reload failed: .*worker_classes.NeverReady returned from its run.. before it was ready")
        assert server.get("/y").body == b"ok"


def test_a_thread_worker_with_a_run_and_a_pool_of_its_own_is_served_from_there(serve: Callable[..., Server]) -> None:
    server = serve(WSGI, kind="worker_classes.OwnThreads", workers=1, options=["--threads", "2", "--max-requests", "3"])
    assert "called: run" in server.log()
    since = server.log_end()
    assert [server.get("/").body for _ in range(3)] == [b"1", b"2", b"3"]
    server.wait_log("called: the initializer of herd_0", since)
    server.wait_log("reason=max_requests", since)
    server.wait_log(r"called: the end of init_process[\s\S]*worker exited", since)


def test_a_loop_of_its_own_that_closes_the_line_to_the_master_leaves_alone(serve: Callable[..., Server]) -> None:
    server = serve(WSGI, kind="worker_classes.OwnLoop", workers=2)
    before, since = server.worker_pids(), server.log_end()
    assert server.get("/close").body == b"ok"
    server.wait_log(r'this worker leaves pid=\d+ lost="channel to the master" cause=.* cure=', since)
    server.wait_log("worker died .*exit status 71, the application closed descriptors of the server", since)
    server.wait_ready(1, since)
    assert len(set(server.worker_pids()) & set(before)) == 1
    assert "master is gone" not in server.log(since)


def test_a_loop_of_its_own_that_hangs_is_replaced_and_it_leaves_with_its_master(
    serve: Callable[..., Server],
) -> None:
    server = serve(
        WSGI, kind="worker_classes.OwnLoop", workers=1, config=HOOKS, options=["--timeout", "1", "--preload"]
    )
    assert server.get("/").body == b"ok"
    since = server.log_end()
    with server.client() as client:
        client.send(request_bytes("GET", "/hang"))
        with pytest.raises(Cut):
            client.read_response()
    server.wait_ready(1, since)
    server.wait_log("in accept", since)
    server.wait_log("worker_abort of OwnLoop", since)
    since = server.log_end()
    with server.client() as client, pytest.raises(Cut):
        client.request("GET", "/raise")
    server.wait_log(r"the worker class raised[\s\S]*KeyError: 'raised by the loop'", since)
    server.wait_ready(1, since)
    assert server.get("/").body == b"ok"
    workers = server.worker_pids()
    kill(server.master, signal.SIGKILL)
    wait_until(lambda: not any(alive(pid) for pid in workers), "the workers have left", 5)
