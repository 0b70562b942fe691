"""Workers that die, hang, grow old or are told something by mistake: the service goes on and the log says why."""

import re
import signal
import time
from collections.abc import Callable

import pytest

from tests.integration.client import Cut, request_bytes
from tests.integration.harness import Server
from tests.integration.inflight import InFlight
from tests.integration.load import Load
from tests.integration.processes import kill
from tests.integration.waiting import wait_until


@pytest.fixture
def server(serve: Callable[..., Server], kind: str) -> Server:
    return serve(kind=kind)


def test_killed_worker_is_replaced_while_its_sibling_serves(server: Server) -> None:
    victim, sibling = server.worker_pids()
    since = server.log_end()
    with Load(server.address, clients=4, keep_alive=False) as load:
        load.wait_for(20)
        kill(victim, signal.SIGKILL)
        server.wait_ready(1, since)
        load.wait_for(50)
    print(load.tally)
    assert len(load.tally.lost) <= 4, "more than what the killed worker had in flight"
    assert not load.tally.refused
    assert sibling in server.worker_pids()
    server.wait_log(rf"pid={victim}.*(SIGKILL|signal.?9)", since)


@pytest.mark.parametrize("status", [3, 4, 1])
def test_exit_in_a_request_is_a_500_and_no_more(server: Server, status: int) -> None:
    before = server.worker_pids()
    assert server.get(f"/exit/{status}").status == 500
    assert server.get("/").status == 200
    assert server.worker_pids() == before
    assert not server.exited


@pytest.mark.parametrize("status", [3, 4, 0])
def test_hard_exit_in_a_request_costs_one_worker(server: Server, status: int) -> None:
    since = server.log_end()
    with server.client() as client:
        client.send(request_bytes("GET", f"/os-exit/{status}"))
        with pytest.raises(Cut):
            client.read_response()
    server.wait_ready(1, since)
    wait_until(lambda: len(server.worker_pids()) == 2, "there are two workers again")
    assert server.get("/").status == 200
    assert not server.exited


def test_worker_silent_for_its_timeout_is_explained_and_replaced(serve: Callable[..., Server], kind: str) -> None:
    server = serve(kind=kind, options=["--timeout", "1"])
    since = server.log_end()
    with server.client() as client:
        client.send(request_bytes("GET", "/hold-gil?why=regex"))
        with pytest.raises(Cut):
            client.read_response()
    server.wait_ready(1, since)
    log = server.log(since)
    assert re.search(r'worker timeout .*request="GET /hold-gil\?why=regex" for_s=\d', log), "the request is not named"
    assert "in hold_gil" in log, "the stack is not shown"
    assert server.get("/").status == 200


def test_sync_worker_asleep_for_its_timeout_is_explained_and_replaced(serve: Callable[..., Server]) -> None:
    server = serve(kind="sync", options=["--timeout", "1"])
    since = server.log_end()
    with server.client() as client:
        client.send(request_bytes("GET", "/sleep/30000"))
        with pytest.raises(Cut):
            client.read_response()
    server.wait_ready(1, since)
    assert "GET /sleep/30000" in server.log(since)
    assert "in sleep" in server.log(since)


def test_idle_worker_does_not_time_out(serve: Callable[..., Server], kind: str) -> None:
    server = serve(kind=kind, workers=1, options=["--timeout", "1"])
    before = server.worker_pids()
    with server.client() as client:
        assert client.get("/sleep/700").status == 200
        assert client.get("/sleep/700").status == 200
        assert client.get("/sleep/700").status == 200
    assert server.worker_pids() == before


def test_recycling_by_requests_loses_nothing(serve: Callable[..., Server], pair: tuple[str, str]) -> None:
    kind, transport = pair
    server = serve(kind=kind, transport=transport, options=["--max-requests", "60", "--max-requests-jitter", "10"])
    with Load(server.address, clients=6) as load:
        wait_until(lambda: len(load.tally.bodies) >= 8, "workers are replaced", 40)
    print(load.tally)
    load.tally.assert_nothing_failed()
    wait_until(lambda: len(server.worker_pids()) == 2, "two workers are left")


def test_fleet_is_recycled_one_worker_at_a_time(serve: Callable[..., Server], kind: str) -> None:
    """All reach the limit together, booting takes a while; no worker leaves before its successor serves."""
    app = "import time\ntime.sleep(0.3)\nfrom contract import application\n"
    server = serve(
        "slow_boot:application", kind=kind, workers=3, files={"slow_boot.py": app}, options=["--max-requests", "40"]
    )
    since = server.log_end()
    with Load(server.address, clients=6, pause_s=0) as load:
        server.wait_log("worker exited", since, count=4, deadline_s=30)
    load.tally.assert_nothing_failed()
    log = server.log(since)
    assert log.count("reason=max_requests") >= 4
    serving, booting = 3, 0
    for word in re.findall("worker (booting|ready|exited)", log):
        booting += {"booting": 1, "ready": -1}.get(word, 0)
        serving += {"ready": 1, "exited": -1}.get(word, 0)
        assert booting <= 1, log
        assert serving >= 3, log


def test_ttin_and_ttou_change_the_number_of_workers(server: Server) -> None:
    with Load(server.address, clients=4) as load:
        since = server.log_end()
        server.send_signal(signal.SIGTTIN)
        server.wait_ready(1, since)
        wait_until(lambda: len(server.worker_pids()) == 3, "there are three workers")
        server.send_signal(signal.SIGTTOU)
        wait_until(lambda: len(server.worker_pids()) == 2, "there are two workers")
        server.send_signal(signal.SIGTTOU)
        wait_until(lambda: len(server.worker_pids()) == 1, "there is one worker")
        server.send_signal(signal.SIGTTOU)  # the last one stays
        load.wait_for(50)
        assert len(server.worker_pids()) == 1
    load.tally.assert_nothing_failed()


def test_signals_for_the_master_change_nothing_in_workers(server: Server) -> None:
    before = server.worker_pids()
    for number in (signal.SIGHUP, signal.SIGUSR2, signal.SIGWINCH, signal.SIGTTIN, signal.SIGTTOU):
        for pid in before:
            kill(pid, number)
        for _ in range(4):
            assert server.get("/").status == 200
    assert server.worker_pids() == before


def test_term_to_one_worker_replaces_it_without_a_lost_request(server: Server) -> None:
    victim = server.worker_pids()[0]
    with Load(server.address, clients=4) as load:
        load.wait_for(20)
        kill(victim, signal.SIGTERM)
        wait_until(
            lambda: victim not in server.worker_pids() and len(server.worker_pids()) == 2, "the worker was replaced"
        )
        load.wait_for(50)
    load.tally.assert_nothing_failed()


def test_application_that_cannot_boot_again_backs_off_and_heals(serve: Callable[..., Server], kind: str) -> None:
    """The code on disk breaks, a worker dies: the sibling serves, the master tries again ever more rarely."""
    app = "from contract import application\n"
    server = serve("again:application", kind=kind, files={"again.py": app})
    (server.home / "again.py").write_text("raise RuntimeError('not now')\n")
    victim, sibling = server.worker_pids()
    since = server.log_end()
    kill(victim, signal.SIGKILL)
    server.wait_log(r"RuntimeError: not now.* attempts=3", since, deadline_s=15)
    assert server.get("/pid").body == str(sibling).encode()
    assert not server.exited
    (server.home / "again.py").write_text(app)
    server.wait_ready(1, since, deadline_s=30)
    assert server.get("/").status == 200


def test_new_connections_go_to_the_idle_worker(serve: Callable[..., Server], transport: str) -> None:
    server = serve(kind="sync", transport=transport)
    running = InFlight(server, 1500)
    busy = server.notes("sleeping")[-1].encode()
    (idle,) = {str(pid).encode() for pid in server.worker_pids()} - {busy}
    started = time.monotonic()
    for _ in range(20):
        assert server.get("/pid").body == idle
    assert time.monotonic() - started < 1.0
    assert running.join().status == 200


def test_request_whose_client_left_in_the_queue_is_skipped(serve: Callable[..., Server]) -> None:
    server = serve(kind="sync", workers=1)
    staying = server.client()
    assert staying.get("/").status == 200
    leaving = server.client()
    assert leaving.get("/").status == 200
    running = InFlight(server, 700)
    leaving.send(request_bytes("POST", "/echo", body=b"nobody wants the answer"))
    staying.send(request_bytes("POST", "/digest", body=b"one"))
    leaving.reset()
    assert running.join().status == 200
    assert staying.read_response().status == 200
    staying.close()
    assert [note.split()[0] for note in server.notes("bodies")] == ["3"]
