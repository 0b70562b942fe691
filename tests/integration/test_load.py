"""What the master sees of the load, and does about it: more workers, a warning when a queue is full; CPUs of slots."""

import os
import re
import signal
from collections.abc import Callable

import pytest

from tests.integration.client import connect, request_bytes
from tests.integration.harness import Server
from tests.integration.shared import running
from tests.integration.waiting import wait_until


def test_workers_come_when_requests_wait_up_to_their_bound() -> None:
    with running(Server, kind="sync", workers=1, config="workers_max = 3\n", stops=False) as server:
        since = server.log_end()
        for client in [server.client() for _ in range(6)]:
            client.send(request_bytes("GET", "/sleep/25000"))
        server.wait_log(r"workers scaled goal=3 was=2 busy=\d\.\d\d queued=\d+", since, deadline_s=30)
        server.wait_ready(2, since)
        assert len(server.worker_pids()) == 3
        since = server.log_end()
        server.send_signal(signal.SIGTTIN)
        server.wait_log("stays within its bounds asked=4 goal=3 workers_min=1 workers_max=3", since)
        server.stop(signal.SIGINT)  # quick: nobody waits for the sleepers


@pytest.mark.parametrize("preload", [False, True], ids=["workers", "workers of molds"])
def test_each_worker_keeps_to_the_cpus_of_its_slot(preload: bool) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    config = f"cpu_affinity = 'auto'\npreload_app = {preload}\n"
    with running(Server, kind="gthread", workers=3, config=config) as server:
        ready = re.findall(r"worker ready slot=(\d) gen=1 pid=(\d+)", server.log())
        wanted = {int(slot): {cpus[int(slot) % len(cpus)]} for slot, _ in ready}
        assert {int(slot): os.sched_getaffinity(int(pid)) for slot, pid in ready} == wanted
        threads = [int(name) for _, pid in ready for name in os.listdir(f"/proc/{pid}/task")]
        assert len(threads) > len(ready)
        assert {len(os.sched_getaffinity(thread)) for thread in threads} == {1}


def test_a_full_listen_queue_is_told_once_with_the_cure() -> None:
    with running(Server, kind="sync", workers=1, options=["--backlog", "3", "--timeout", "0"]) as server:
        since = server.log_end()
        busy = server.client()
        busy.send(request_bytes("GET", "/sleep/1800"))
        wait_until(lambda: server.notes("sleeping"), "the worker is busy")
        waiting = [connect(server.address, 5) for _ in range(4)]
        server.wait_log(r"a listen queue is full, .* waiting=4 backlog=3 .*cure=", since)
        assert busy.read_response().status == 200
        for each in waiting:
            each.close()
        assert len(re.findall("listen queue is full", server.log(since))) == 1


def test_cpus_that_there_are_not_are_refused_when_the_configuration_is_read(make_server: Callable[[], Server]) -> None:
    server = make_server()
    server.start("contract:application", options=["--cpu-affinity", "0;4000"])
    assert server.wait_exit() == 1
    assert "cpu_affinity: expected CPUs out of" in server.log()
    assert "4000" in server.log()
