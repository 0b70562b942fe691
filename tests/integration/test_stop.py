"""TERM, INT, QUIT, and the death of the master: what is answered, and that nothing survives."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.client import Client, Cut, request_bytes
from tests.integration.harness import Server
from tests.integration.inflight import InFlight
from tests.integration.load import Load
from tests.integration.processes import cpu_seconds, kill, marked
from tests.integration.waiting import wait_until


@pytest.fixture
def server(serve: Callable[..., Server], pair: tuple[str, str]) -> Server:
    kind, transport = pair
    return serve(kind=kind, transport=transport)


def test_term_under_load_answers_all_that_came_before_the_listeners_closed(server: Server) -> None:
    def target(number: int) -> str:
        return "/sleep/30" if number % 5 == 0 else "/pid"

    with (
        Load(server.address, clients=6, target=target) as keeping,
        Load(server.address, clients=4, target=target, keep_alive=False) as short,
    ):
        keeping.wait_for(200)
        server.send_signal(signal.SIGTERM)
        assert server.wait_exit(10) == 0
    print(f"keep-alive: {keeping.tally}; one request each: {short.tally}")
    # A connection that was made at this moment found the listeners open.
    open_until = max(keeping.tally.connected + short.tally.connected)
    for tally in (keeping.tally, short.tally):
        assert not tally.wrong
        assert [loss for loss in tally.lost if loss[0] < open_until] == []
    assert len(short.tally.lost) <= 4, "more than the connection in the last instant of each client"


def test_term_waits_for_the_request_in_flight(server: Server) -> None:
    running = InFlight(server, 1500)
    server.send_signal(signal.SIGTERM)
    response = running.join()
    assert (response.status, response.body) == (200, b"slept 1500")
    assert response.closes
    assert server.wait_exit(5) == 0


def test_term_is_not_held_up_by_idle_keep_alive_connections(server: Server) -> None:
    clients = [server.client() for _ in range(20)]
    for client in clients:
        assert client.get("/").status == 200
    assert server.stop(deadline_s=5) == 0
    for client in clients:
        assert client.at_end()
        client.close()


def test_graceful_timeout_bounds_the_stop(serve: Callable[..., Server], kind: str) -> None:
    server = serve(kind=kind, options=["--graceful-timeout", "1"])
    running = InFlight(server, 20_000)
    assert server.stop(deadline_s=6) == 0
    running.thread.join(10)
    assert isinstance(running.error, Cut | OSError)


def test_request_that_outlives_the_graceful_timeout_is_shown_before_it_is_killed(
    serve: Callable[..., Server], kind: str
) -> None:
    server = serve(kind=kind, options=["--graceful-timeout", "1"])
    running = InFlight(server, 20_000)
    since = server.log_end()
    assert server.stop(deadline_s=6) == 0
    running.thread.join(10)
    server.wait_log(r'worker did not finish in time .*request="GET /sleep/20000" for_s=\d', since)
    assert "in sleep" in server.log(since), "the stack is not shown"


def test_atexit_function_that_hangs_does_not_hold_the_stop(serve: Callable[..., Server]) -> None:
    app = "import atexit, time\nfrom contract import application\natexit.register(time.sleep, 60)\n"
    server = serve("lingers:application", workers=1, files={"lingers.py": app})
    assert server.stop(deadline_s=8) == 0


def test_thread_that_the_application_left_does_not_hold_the_stop(serve: Callable[..., Server], kind: str) -> None:
    server = serve(kind=kind, workers=1)
    assert server.get("/thread").status == 200
    assert server.stop(deadline_s=4) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_int_and_quit_stop_at_once(serve: Callable[..., Server], kind: str, number: signal.Signals) -> None:
    server = serve(kind=kind)
    running = InFlight(server, 20_000)
    assert server.stop(number, deadline_s=4) == 0
    running.thread.join(10)
    assert isinstance(running.error, Cut | OSError)


def test_int_hurries_a_graceful_stop(serve: Callable[..., Server], kind: str) -> None:
    server = serve(kind=kind)
    running = InFlight(server, 20_000)
    since = server.log_end()
    server.send_signal(signal.SIGTERM)
    wait_until(lambda: server.log(since), "the stop has begun")
    assert server.stop(signal.SIGINT, deadline_s=4) == 0
    running.thread.join(10)


def test_term_to_every_process_at_once_is_graceful(server: Server) -> None:
    """systemd's KillMode=control-group, and pkill."""
    running = InFlight(server, 800)
    for pid in marked(server.mark_text):
        kill(pid, signal.SIGTERM)
    response = running.join()
    assert (response.status, response.body) == (200, b"slept 800")
    assert server.wait_exit(5) == 0


def test_no_worker_outlives_a_killed_master_by_a_second(serve: Callable[..., Server], kind: str) -> None:
    server = serve(kind=kind)
    running = InFlight(server, 20_000)
    kill(server.master, signal.SIGKILL)
    server.wait_exit()
    wait_until(lambda: not marked(server.mark_text), "all workers are gone", 1.0)
    running.thread.join(10)
    with pytest.raises(ConnectionRefusedError):
        server.client()


def test_worker_stuck_in_c_code_does_not_outlive_its_master(serve: Callable[..., Server], kind: str) -> None:
    """No Python code runs in it any more, so its sibling must end it."""
    server = serve(kind=kind)
    client = server.client()
    client.send(request_bytes("GET", "/hold-gil"))
    wait_until(lambda: max(map(cpu_seconds, server.worker_pids())) > 0.5, "a worker is busy")
    kill(server.master, signal.SIGKILL)
    server.wait_exit()
    wait_until(lambda: not marked(server.mark_text), "all workers are gone", 1.0)


def test_unix_socket_of_a_killed_master_is_taken_over(
    serve: Callable[..., Server], make_server: Callable[..., Server]
) -> None:
    first = serve(transport="unix")
    kill(first.master, signal.SIGKILL)
    first.wait_exit()
    wait_until(lambda: not marked(first.mark_text), "all workers are gone", 1.0)
    assert isinstance(first.address, str)
    assert Path(first.address).exists()
    second = make_server()
    second.address = first.address
    second.start("contract:application")
    second.wait_ready()
    with Client(first.address) as client:
        assert client.get("/").status == 200


def test_requests_in_the_backlog_are_served_when_the_stop_begins(
    serve: Callable[..., Server], transport: str
) -> None:
    """A sync worker is busy; connections with whole requests wait in the kernel's queue when TERM comes."""
    server = serve(kind="sync", workers=1, transport=transport)
    running = InFlight(server, 700)
    waiting = [server.client() for _ in range(10)]
    for client in waiting:
        client.send(request_bytes("GET", "/pid"))
    server.send_signal(signal.SIGTERM)
    assert running.join().status == 200
    for client in waiting:
        assert client.read_response().status == 200
        client.close()
    assert server.wait_exit(5) == 0
