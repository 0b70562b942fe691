"""Processes that an application starts are its own: our signal handling stays behind."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

from tests.integration.harness import Server
from tests.integration.processes import alive, children_of, kill
from tests.integration.waiting import wait_until

APP = """
import json, os, signal, subprocess, sys, time

def answer(start_response, value):
    body = json.dumps(value).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

def application(environ, start_response):
    if environ["PATH_INFO"] == "/ignored":
        status = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
        return answer(start_response, [line.split()[1] for line in status.splitlines() if line.startswith("SigIgn")])
    if environ["PATH_INFO"] == "/fork":
        pid = os.fork()
        if pid == 0:
            time.sleep(60)
            os._exit(9)
        return answer(start_response, pid)
    pid, status = os.waitpid(int(environ["PATH_INFO"][1:]), 0)
    return answer(start_response, status)
"""


SLOW = """
import os, time
if os.path.exists(os.path.join(os.environ["CONTRACT_DIR"], "slow")):
    time.sleep(60)
"""


def test_programs_that_the_application_starts_ignore_nothing_because_of_us(serve: Callable[..., Server]) -> None:
    server = serve(workers=1, app="family:application", files={"family.py": APP})
    (mask,) = json.loads(server.get("/ignored").text)
    whoever_runs_the_tests = Path("/proc/self/status").read_text().partition("SigIgn:")[2].split()[0]
    allowed = ignored_in(whoever_runs_the_tests) | {signal.SIGPIPE, signal.SIGXFSZ}  # the latter are Python's
    assert ignored_in(mask) <= allowed


def ignored_in(mask: str) -> set[int]:
    return {number for number in range(1, 65) if int(mask, 16) >> (number - 1) & 1}


def test_a_forked_child_of_the_application_hears_its_own_term(serve: Callable[..., Server]) -> None:
    server = serve(workers=1, app="family:application", files={"family.py": APP})
    (worker,) = server.worker_pids()
    child = json.loads(server.get("/fork").text)
    kill(child, signal.SIGTERM)
    assert os.WTERMSIG(json.loads(server.get(f"/{child}").text)) == signal.SIGTERM
    assert server.worker_pids() == [worker]
    assert "asks to be replaced" not in server.log()


def test_configuration_check_does_not_outlive_a_killed_master(serve: Callable[..., Server]) -> None:
    server = serve(workers=1, config=SLOW)
    (server.home / "slow").touch()
    workers = set(server.worker_pids())
    server.send_signal(signal.SIGHUP)
    wait_until(lambda: len(children_of(server.master)) == 2, "the check runs")
    (check,) = set(children_of(server.master)) - workers
    kill(server.master, signal.SIGKILL)
    wait_until(lambda: not alive(check), "the check is gone with its master")
