"""Signals by the thousand, clocks that jump, a machine that sleeps: no request is lost, and nobody is killed for it."""

import os
import re
import signal
from collections.abc import Callable

import pytest

from ostler.supervisor.policy import ASLEEP_S
from tests.integration.abuse import Abused
from tests.integration.harness import APPS, Server
from tests.integration.load import Load
from tests.integration.processes import kill, marked
from tests.integration.waiting import wait_until

STORM = 2000
TO_THE_MASTER = ("SIGHUP", "SIGTTIN", "SIGTTOU", "SIGUSR1", "SIGCHLD", "SIGWINCH", "SIGURG", "SIGCONT")
TO_WORKERS = ("SIGHUP", "SIGTTIN", "SIGTTOU", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCHLD", "SIGCONT")


@pytest.mark.parametrize("kind", ["gthread", "asgi"])
def test_a_storm_of_signals_loses_no_request_and_makes_no_crowd(serve: Callable[..., Server], kind: str) -> None:
    app = {"asgi": "abuse:asgi"}.get(kind, "abuse:application")
    server = serve(app, kind=kind)
    since, most = server.log_end(), 0
    with Load(server.address, clients=4, pause_s=0.002) as load:
        load.wait_for(50)
        for number in range(STORM):
            if number % 200 == 0:
                workers = server.worker_pids()
                most = max(most, len(marked(server.mark_text)))
            for name in TO_THE_MASTER:
                server.send_signal(signal.Signals[name])
            for pid in workers:
                kill(pid, signal.Signals[TO_WORKERS[number % len(TO_WORKERS)]])
        load.wait_for(200)
        wait_until(lambda: "exited" in server.log(since).rstrip().rpartition("\n")[2], "the last reload is over", 30)
    load.tally.assert_nothing_failed()
    assert most <= 40
    log = server.log(since)
    assert "ERROR" not in log
    assert log.count("\n") < STORM


def test_nobody_is_killed_for_a_sleep_of_the_machine(serve: Callable[..., Server]) -> None:
    server = serve("abuse:application", kind="sync", options=["--timeout", "1"])
    workers, since = server.worker_pids(), server.log_end()
    pids = [*workers, server.master]
    for pid in pids:
        kill(pid, signal.SIGSTOP)
    asleep = os.times().elapsed
    wait_until(lambda: os.times().elapsed - asleep > ASLEEP_S + 0.5, "the machine has slept")
    for pid in reversed(pids):
        kill(pid, signal.SIGCONT)
    assert {int(server.get("/").body) for _ in range(10)} <= set(workers)
    awake = os.times().elapsed
    wait_until(lambda: os.times().elapsed - awake > 1.2, "silence would have been noticed")
    assert server.worker_pids() == workers
    assert not re.search("WARNING|ERROR", server.log(since)), server.log(since)


CLOCK = """
import os, time

really = time.time

def jumped():
    try:
        with open(os.path.join(os.environ["CONTRACT_DIR"], "jump")) as file:
            return really() + float(file.read() or 0)
    except OSError:
        return really()

time.time = jumped
"""


def test_a_clock_that_jumps_costs_nothing(make_server: Callable[..., Server]) -> None:
    server = make_server()
    (server.home / "sitecustomize.py").write_text(CLOCK)
    server.start(
        "abuse:application",
        kind="gthread",
        options=["--timeout", "2", "--access-logfile", "-"],
        env={"PYTHONPATH": f"{server.home}:{APPS}"},
    )
    server.wait_ready()
    workers = server.worker_pids()
    with Load(server.address, clients=2, pause_s=0.002) as load:
        for step in (-86400 * 400, 86400 * 800, 0):
            (server.home / "jump.new").write_text(str(step))
            (server.home / "jump.new").rename(server.home / "jump")
            load.wait_for(100)
        server.send_signal(signal.SIGTTIN)
        server.wait_ready(3)
    load.tally.assert_nothing_failed()
    assert set(workers) < set(server.worker_pids())
    assert not re.search("WARNING|ERROR", server.log()), server.log()


def test_what_user_code_sends_to_the_master_is_heard() -> None:
    server = Abused()
    try:
        server.begin("gthread", workers=2)
        server.run("import os, signal; os.kill(os.getppid(), signal.SIGTTIN)")
        wait_until(lambda: len(server.worker_pids()) == 3, "there is a worker more")
        server.run("import os, signal; os.kill(os.getppid(), signal.SIGTERM)")
        assert server.wait_exit() == 0
        server.assert_nothing_left()
    finally:
        server.kill_leftovers()
        server.hang_up()
        server.remove()
