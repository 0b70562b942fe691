"""Each signal's row: what the master does with it, and what a worker does that gets it by itself.

Graceful and quick stops are in test_stop.py, HUP in test_reload.py, TTIN and TTOU in test_workers.py, USR1 in
test_logs.py, USR2 and WINCH in test_upgrade.py.
"""

import signal
from collections.abc import Callable

import pytest

from tests.integration.client import Cut
from tests.integration.harness import Server
from tests.integration.processes import kill
from tests.integration.waiting import wait_until

HOOKS = """
import os

def note(text):
    with open(os.path.join(os.environ["CONTRACT_DIR"], "hooks"), "a") as file:
        file.write(f"{os.getpid()} {text}\\n")

def worker_int(worker): note("worker_int")
def worker_abort(worker): note("worker_abort")
def worker_exit(server, worker): note("worker_exit")
"""


@pytest.fixture
def server(serve: Callable[..., Server], kind: str) -> Server:
    return serve(kind=kind, config=HOOKS)


@pytest.mark.parametrize("number", [signal.SIGWINCH, signal.SIGCHLD])
def test_signals_without_a_meaning_change_nothing_in_the_master(server: Server, number: signal.Signals) -> None:
    before, since = server.worker_pids(), server.log_end()
    server.send_signal(number)
    server.send_signal(signal.SIGTTIN)  # handled after it
    server.wait_ready(1, since)
    assert set(before) < set(server.worker_pids())
    assert server.get("/").status == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_int_and_quit_to_a_worker_run_its_hook_and_it_is_replaced(server: Server, number: signal.Signals) -> None:
    victim, since = server.worker_pids()[0], server.log_end()
    kill(victim, number)
    server.wait_ready(1, since)
    wait_until(lambda: victim not in server.worker_pids(), "the worker is gone")
    assert server.notes("hooks") == [f"{victim} worker_int", f"{victim} worker_exit"]
    server.wait_log(rf"pid={victim} .*exit status 0", since)
    assert server.get("/").status == 200


def test_abrt_to_a_worker_runs_its_hook_and_it_exits_with_1(server: Server) -> None:
    victim, since = server.worker_pids()[0], server.log_end()
    kill(victim, signal.SIGABRT)
    server.wait_ready(1, since)
    assert server.notes("hooks") == [f"{victim} worker_abort"]
    server.wait_log(rf"pid={victim} .*exit status 1\b", since)


def test_timeout_runs_the_abort_hook(serve: Callable[..., Server]) -> None:
    server = serve(kind="sync", workers=1, config=HOOKS, options=["--timeout", "1"])
    (victim,) = server.worker_pids()
    since = server.log_end()
    with server.client() as client, pytest.raises(Cut):
        client.get("/sleep/20000")
    server.wait_ready(1, since)
    assert server.notes("hooks") == [f"{victim} worker_abort"]
    server.wait_log(rf'worker died .*pid={victim} cause="killed by master: timeout"', since)


def test_term_beats_a_storm_of_other_signals(server: Server) -> None:
    """None of them is lost, and none delays the end."""
    for _ in range(20):
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH):
            server.send_signal(number)
    assert server.stop(signal.SIGTERM, deadline_s=5) == 0
