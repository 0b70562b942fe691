"""Hooks of a configuration file: which run, where, and with what."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.harness import Server
from tests.integration.processes import kill
from tests.integration.waiting import wait_until

NOTE = '''
import os

def note(text):
    with open(os.path.join(os.environ["CONTRACT_DIR"], "hooks"), "a") as file:
        file.write(f"{os.getpid()} {text}\\n")
'''
CONFIG = NOTE + '''
def on_starting(server): note(f"on_starting {server.pid} {server.LISTENERS}")
def on_reload(server): note(f"on_reload {server.cfg.workers}")
def when_ready(server): note(f"when_ready {len(server.LISTENERS)}")
def pre_fork(server, worker): note(f"pre_fork {worker.age} {worker.pid} {server.num_workers}")
def post_fork(server, worker):
    note(f"post_fork {worker.pid} {worker.age} {worker.booted} {server.pid == worker.ppid == os.getppid()}")
    server.log.info("post_fork of %s", worker.pid)
def post_worker_init(worker): note(f"post_worker_init {worker.app.cfg is worker.cfg}")
def worker_int(worker): note(f"worker_int {worker.alive}")
def worker_abort(worker): note(f"worker_abort {worker.aborted}")
def pre_request(worker, req): note(f"pre_request {req.method} {req.path}")
def post_request(worker, req, environ, resp): note(f"post_request {environ['PATH_INFO']} {resp.status}")
def worker_exit(server, worker): note(f"worker_exit {worker.pid} {worker.alive}")
def child_exit(server, worker): note(f"child_exit {worker.pid} {worker.pid in server.WORKERS}")
def pre_exec(server): note(f"pre_exec {server.pid}")
def nworkers_changed(server, new, old): note(f"nworkers_changed {new} {old} {server.num_workers}")
def on_exit(server): note(f"on_exit {len(server.WORKERS)}")
'''


class Notes:
    """What the hooks of a server have noted: (pid, text), in their order."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def all(self) -> list[tuple[int, str]]:
        pairs = (line.split(maxsplit=1) for line in self.server.notes("hooks"))
        return [(int(pid), text) for pid, text in pairs]

    def of(self, pid: int) -> list[str]:
        return [text for noted_by, text in self.all() if noted_by == pid]

    def wait(self, start: str, count: int = 1) -> list[tuple[int, str]]:
        def found() -> list[tuple[int, str]]:
            matches = [pair for pair in self.all() if pair[1].startswith(start)]
            return matches if len(matches) >= count else []

        return wait_until(found, f"a hook noted {start!r} {count} times")


def test_hooks_run_in_their_process_in_order(serve: Callable[..., Server], kind: str) -> None:
    server = serve(kind=kind, workers=1, config=CONFIG)
    (worker,) = server.worker_pids()
    master, notes = server.master, Notes(server)
    assert server.get("/bytes/3").status == 200
    notes.wait("post_request")
    assert server.stop() == 0
    assert notes.of(worker) == [
        f"post_fork {worker} 1 False True",
        "post_worker_init True",
        "pre_request GET /bytes/3",
        "post_request /bytes/3 200 OK",
        f"worker_exit {worker} False",
    ]
    assert notes.of(master) == [
        f"on_starting {master} []",
        "when_ready 1",
        "nworkers_changed 1 None 1",
        "pre_fork 1 [booting] 1",
        f"child_exit {worker} True",
        "on_exit 0",
    ]
    assert f"post_fork of {worker}" in server.log()
    assert {pid for pid, _ in notes.all()} == {master, worker}
    assert os.getpid() not in {master, worker}


def test_the_number_of_workers_is_told_when_it_changes(serve: Callable[..., Server]) -> None:
    server = serve(workers=1, config=CONFIG)
    notes = Notes(server)
    server.send_signal(signal.SIGTTIN)
    notes.wait("nworkers_changed 2 1 2")
    server.wait_ready(2)
    server.send_signal(signal.SIGTTOU)
    notes.wait("nworkers_changed 1 2 1")
    notes.wait("child_exit")
    assert server.stop() == 0
    assert [text.split()[1] for _, text in notes.wait("pre_fork")] == ["1", "2"]


def test_a_reload_is_told_before_new_workers_start(serve: Callable[..., Server]) -> None:
    server = serve(workers=1, config=CONFIG)
    (old,) = server.worker_pids()
    notes = Notes(server)
    server.send_signal(signal.SIGHUP)
    notes.wait(f"child_exit {old}")
    assert server.stop() == 0
    texts = notes.of(server.master)
    after = texts[texts.index("on_reload 1") :]
    assert after[:3] == ["on_reload 1", "pre_fork 2 [booting] 1", f"child_exit {old} True"]
    assert notes.of(old)[-1] == f"worker_exit {old} False"


def test_a_quick_stop_is_told_to_the_worker(serve: Callable[..., Server]) -> None:
    server = serve(workers=1, config=CONFIG)
    (worker,) = server.worker_pids()
    assert server.stop(signal.SIGQUIT) == 0
    assert Notes(server).of(worker)[-2:] == ["worker_int False", f"worker_exit {worker} False"]


def test_a_timeout_is_told_to_the_worker(serve: Callable[..., Server]) -> None:
    server = serve(workers=1, config=CONFIG, options=["--timeout", "1"])
    (worker,) = server.worker_pids()
    with server.client() as client:
        client.send(b"GET /sleep/60000 HTTP/1.1\r\nHost: h\r\n\r\n")
        notes = Notes(server)
        notes.wait(f"child_exit {worker}")
    assert notes.of(worker)[-1] == "worker_abort True"
    assert server.stop() == 0


def test_a_new_master_is_told_before_it_is_one(serve: Callable[..., Server]) -> None:
    server = serve(workers=1, config=CONFIG)
    old = server.master
    notes = Notes(server)
    server.send_signal(signal.SIGUSR2)
    ((new, text),) = notes.wait("pre_exec")
    assert (text, new != old) == (f"pre_exec {old}", True)
    wait_until(lambda: f"on_starting {new} []" in notes.of(new), "the new master starts")
    server.wait_log(rf"new master ready.*new_pid={new}")
    kill(new, signal.SIGTERM)
    server.wait_log(rf"new master ended.*new_pid={new}")
    assert notes.of(new)[-1] == "on_exit 0"
    assert server.stop() == 0


GOES_ON = [
    "on_reload(server)",
    "pre_fork(server, worker)",
    "child_exit(server, worker)",
    "worker_exit(server, worker)",
    "worker_int(worker)",
    "nworkers_changed(server, new, old)",
    "post_request(worker, req)",
    "on_exit(server)",
]


@pytest.mark.parametrize(
    ("what", "shown"), [("1/0", "ZeroDivisionError: division by zero"), ("raise SystemExit(9)", "SystemExit: 9")]
)
def test_hooks_that_raise_are_named_and_the_server_goes_on(
    serve: Callable[..., Server], what: str, shown: str
) -> None:
    """All of them in one server: none keeps the next one from being called."""
    server = serve(workers=1, config="".join(f"def {hook}: {what}\n" for hook in GOES_ON))
    assert server.get("/bytes/3").status == 200
    server.send_signal(signal.SIGHUP)
    server.wait_ready(2)
    server.wait_log("worker exited")
    assert server.get("/bytes/3").status == 200
    assert server.stop(signal.SIGQUIT) == 0
    for hook in GOES_ON:
        name = hook.partition("(")[0]
        assert re.search(rf"\[ERROR\] hook failed, the server goes on hook={name}\n", server.log()), name
    assert server.log().count(f"\n{shown}\n") == server.log().count("hook failed, the server goes on")


def test_a_raising_pre_request_is_a_500_for_that_request(serve: Callable[..., Server], kind: str) -> None:
    config = "def pre_request(worker, req):\n    if req.path == '/bytes/1': 1/0\n"
    server = serve(kind=kind, workers=1, config=config)
    assert [server.get(f"/bytes/{size}").status for size in (1, 2)] == [500, 200]
    server.wait_log("ZeroDivisionError")
    assert server.stop() == 0


def test_a_raising_on_starting_keeps_the_server_from_starting(make_server: Callable[..., Server]) -> None:
    server = make_server("tcp")
    (server.home / "gunicorn.conf.py").write_text("def on_starting(server): 1/0\n")
    server.start("contract:application")
    assert server.wait_exit() == 1
    assert "on_starting: the hook raised ZeroDivisionError: division by zero in gunicorn.conf.py:1" in server.log()


@pytest.mark.parametrize("hook", ["post_fork(server, worker)", "post_worker_init(worker)"])
def test_a_hook_that_raises_while_a_worker_boots_stops_the_start(make_server: Callable[..., Server], hook: str) -> None:
    server = make_server("tcp")
    (server.home / "gunicorn.conf.py").write_text(f"def {hook}: 1/0\n")
    server.start("contract:application", workers=1)
    assert server.wait_exit() == 3
    assert f"hook failed, the worker does not boot hook={hook.partition('(')[0]}" in server.log()


def test_a_raising_pre_exec_starts_no_new_master(serve: Callable[..., Server]) -> None:
    server = serve(workers=1, config="def pre_exec(server): 1/0\n")
    server.send_signal(signal.SIGUSR2)
    server.wait_log("hook failed, no new master is started hook=pre_exec")
    server.wait_log("new master ended, this one goes on")
    assert server.get("/bytes/3").status == 200
    assert server.stop() == 0


ASKING = NOTE + """
import signal
def when_ready(server):
    server.log.access_log.info("hooks may write there")
    note(f"{type(server.log).__name__} {server.cfg.settings['backlog'].value} {server.worker_class.__name__}")
def post_request(worker, req, environ, resp):
    if req.path == "/bytes/1":
        worker.alive = False
    if req.path == "/bytes/2":
        worker_pid = worker.pid
        note(f"wsgi {worker.wsgi.__name__} {worker.app.wsgi() is worker.wsgi} {worker.max_requests}")
def child_exit(server, worker):
    note(f"child_exit {worker.pid}")
    if worker.age == 2:
        server.stop()
def pre_fork(server, worker):
    if worker.age == 2:
        note(f"workers {list(server.WORKERS)}")
"""


def test_hooks_may_act_on_the_worker_and_on_the_server(serve: Callable[..., Server], kind: str) -> None:
    server = serve(kind=kind, workers=1, config=ASKING, options=["--access-logfile", "-"])
    (first,) = server.worker_pids()
    notes = Notes(server)
    name = {"sync": "SyncWorker", "gthread": "ThreadWorker"}[kind]
    assert notes.of(server.master) == [f"Logger 2048 {name}"]
    assert server.get("/bytes/1").status == 200  # its worker is replaced, without a gap
    notes.wait(f"child_exit {first}")
    notes.wait("workers")
    assert server.get("/bytes/2").status == 200
    notes.wait("wsgi application True")
    (second,) = server.worker_pids()
    kill(second, signal.SIGKILL)
    assert server.wait_exit() == 0
    assert "hooks may write there" in server.log()
    server.assert_nothing_left()


def test_gunicorns_modules_are_ours_in_configuration_and_application(serve: Callable[..., Server]) -> None:
    config = NOTE + """
import gunicorn
from gunicorn import glogging
from gunicorn.glogging import Logger

class Own(Logger):
    def access(self, resp, req, environ, request_time):
        if environ["PATH_INFO"] != "/quiet":
            super().access(resp, req, environ, request_time)

logger_class = Own
gunicorn.SERVER = "hidden"
def post_fork(server, worker):
    note(f"{gunicorn.__version__} {type(worker.log).__name__} {isinstance(worker.log, glogging.Logger)}")
"""
    application = """
import sys
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [sys.modules["gunicorn"].__version__.encode()]
"""
    server = serve(
        "modern:app", workers=1, config=config, files={"modern.py": application}, options=["--access-logfile", "-"]
    )
    assert server.get("/quiet").body == b"27.0.1"
    assert server.get("/loud").body == b"27.0.1"
    server.wait_log("GET /loud")
    assert "GET /quiet" not in server.log()
    assert [text for _, text in Notes(server).all()] == ["27.0.1 Own True"]
    assert server.stop() == 0


def test_a_module_of_gunicorns_that_is_not_built_is_named(make_server: Callable[..., Server]) -> None:
    server = make_server("tcp")
    (server.home / "gunicorn.conf.py").write_text("from gunicorn.dirty import DirtyApp\n")
    server.start("contract:application")
    assert server.wait_exit() == 1
    assert "gunicorn.dirty is not built yet in this version of Ostler" in server.log()


def test_a_raising_when_ready_ends_the_start_and_leaves_no_socket(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("def when_ready(server): 1/0\n")
    command = [sys.executable, "-m", "ostler", "--bind", f"unix:{tmp_path}/s", "contract:application"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert "hook failed, the server does not start hook=when_ready" in ended.stderr
    assert not (tmp_path / "s").exists()
