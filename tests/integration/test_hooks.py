"""Hooks of a configuration file: which run, where, and with what."""

import os
from collections.abc import Callable

from tests.integration.harness import Server
from tests.integration.waiting import wait_until

CONFIG = '''
import os

def note(text):
    with open(os.path.join(os.environ["CONTRACT_DIR"], "hooks"), "a") as file:
        file.write(f"{os.getpid()} {text}\\n")

def on_starting(server): note("on_starting")
def when_ready(server): note("when_ready")
def pre_fork(server, worker): note("pre_fork")
def post_fork(server, worker):
    note(f"post_fork {worker.pid} {worker.age}")
    server.log.info("post_fork of %s", worker.pid)
def post_worker_init(worker): note("post_worker_init")
def pre_request(worker, req): note(f"pre_request {req.method} {req.path}")
def post_request(worker, req, environ, resp): note(f"post_request {environ['PATH_INFO']} {resp.status}")
def worker_exit(server, worker): note("worker_exit")
def child_exit(server, worker): note(f"child_exit {worker.pid}")
def nworkers_changed(server, new_value, old_value): note(f"nworkers_changed {new_value} {old_value}")
def on_exit(server): note("on_exit")
'''


def test_hooks_run_in_their_process_in_order(serve: Callable[..., Server], kind: str) -> None:
    server = serve(kind=kind, workers=1, config=CONFIG)
    (worker,) = server.worker_pids()
    master = server.master
    assert server.get("/bytes/3").status == 200
    wait_until(lambda: any("post_request" in line for line in server.notes("hooks")), "post_request ran")
    assert server.stop() == 0
    lines = [line.split(maxsplit=1) for line in server.notes("hooks")]
    by_master = [text for pid, text in lines if int(pid) == master]
    by_worker = [text for pid, text in lines if int(pid) == worker]
    assert by_worker == [
        f"post_fork {worker} 1",
        "post_worker_init",
        "pre_request GET /bytes/3",
        "post_request /bytes/3 200 OK",
        "worker_exit",
    ]
    assert [text for text in by_master if not text.startswith("nworkers_changed")] == [
        "on_starting",
        "when_ready",
        "pre_fork",
        f"child_exit {worker}",
        "on_exit",
    ]
    assert f"post_fork of {worker}" in server.log()
    assert {int(pid) for pid, _ in lines} == {master, worker}
    assert os.getpid() not in {master, worker}
