"""Projects that run code of theirs in the master and in each worker: metrics and traces."""

import re
import signal
from collections.abc import Callable
from pathlib import Path

from tests.integration.client import Client, request_bytes
from tests.integration.harness import Server, free_port
from tests.integration.processes import kill
from tests.integration.waiting import wait_until


def ask_together(server: Server, target: str = "/") -> list[str]:
    """Four requests at once, and the answers."""
    clients = [server.client() for _ in range(4)]
    for client in clients:
        client.send(request_bytes("GET", target))
    answers = [client.read_response().text for client in clients]
    for client in clients:
        client.close()
    return answers


def metric(port: int, name: str) -> float | None:
    with Client(("127.0.0.1", port)) as client:
        found = re.search(rf"(?m)^{name} (\S+)$", client.get("/metrics", [("Connection", "close")]).text)
    return float(found[1]) if found else None


def test_prometheus_counts_over_workers_that_come_and_go(project: Callable[..., Server], tmp_path: Path) -> None:
    port = free_port()
    env = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "METRICS_PORT": str(port)}
    server = project("prometheus", "shop:application", ready=2, env=env)
    sold = 0
    seen: set[str] = set()
    while len(seen) < 2:
        answers = ask_together(server)
        seen.update(answers)
        sold += len(answers)
        assert sold < 200, "one worker gets everything"
    assert metric(port, "sold_total") == sold
    assert metric(port, "serving") == 2

    since = server.log_end()
    victim = server.worker_pids()[0]
    kill(victim, signal.SIGKILL)
    server.wait_ready(1, since)
    assert not (tmp_path / f"gauge_livesum_{victim}.db").exists(), "child_exit has marked it dead"
    assert metric(port, "sold_total") == sold, "what it sold is not forgotten"
    assert metric(port, "serving") == 2

    since = server.log_end()
    server.send_signal(signal.SIGHUP)
    server.wait_ready(2, since)
    wait_until(lambda: metric(port, "serving") == 2, "the old workers are marked dead")
    server.get("/")
    assert metric(port, "sold_total") == sold + 1


def exported(server: Server) -> dict[int, list[str]]:
    files = server.home.glob("exported-by-*")
    return {int(file.name.rpartition("-")[2]): file.read_text().splitlines() for file in files}


def test_opentelemetry_has_an_exporter_thread_in_each_worker(project: Callable[..., Server]) -> None:
    server = project("opentelemetry", "shop:application", ready=2)
    first = set(server.worker_pids())
    spawned = server.wait_log(r"Worker spawned \(pid: (\d+)\)", count=2)
    assert {int(found[1]) for found in spawned} == first

    def ask() -> bool:
        ask_together(server, "/asked")
        return set(exported(server)) >= set(server.worker_pids())

    wait_until(ask, "each worker has exported a span by itself")
    server.send_signal(signal.SIGHUP)
    wait_until(lambda: first.isdisjoint(server.worker_pids()), "all workers are new")
    for pid in first:
        assert exported(server)[pid][-1] == "shop last span at exit", "atexit has flushed the batch"
    wait_until(ask, "the new workers export too")
    last = server.worker_pids()
    assert server.stop() == 0
    for pid in last:
        assert exported(server)[pid][-1] == "shop last span at exit"
