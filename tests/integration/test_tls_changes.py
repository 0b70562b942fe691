"""Reload, recycling, upgrade and stop under TLS: connections cannot move to a sibling; no request is lost for that."""

import signal
from collections.abc import Callable

import pytest

from tests.integration.client import Address, request_bytes
from tests.integration.harness import Server
from tests.integration.load import Load
from tests.integration.masters import Masters, masters
from tests.integration.proxy import Nginx, site
from tests.integration.secure import CERTIFICATES, SERVER, RawTls, TlsClient, ask
from tests.integration.waiting import wait_until

__all__ = ["masters"]


@pytest.fixture
def secure(serve: Callable[..., Server], kind: str) -> Server:
    return serve(kind=kind, options=SERVER)


def load(server: Server, **options: object) -> Load:
    return Load(server.address, pause_s=0.01, make=lambda: TlsClient(server.address), **options)  # type: ignore[arg-type]


def test_reloads_under_load_fail_no_request(secure: Server) -> None:
    with load(secure, clients=5) as keeping, load(secure, clients=2, keep_alive=False) as short:
        for _ in range(3):
            keeping.wait_for(20)
            since = secure.log_end()
            secure.send_signal(signal.SIGHUP)
            secure.wait_ready(2, since)
        keeping.wait_for(40)
        short.wait_for(5)
    print(f"keep-alive: {keeping.tally}; one request each: {short.tally}")
    keeping.tally.assert_nothing_failed()
    short.tally.assert_nothing_failed()


def test_reloads_break_no_connection_that_nginx_keeps_to_us(secure: Server) -> None:
    def over_tls(upstream: Address, port: int) -> str:
        return site(upstream, port).replace("proxy_pass http://", "proxy_pass https://")

    with Nginx(secure.address, over_tls) as proxy:
        with Load(proxy.address, clients=4, pause_s=0.01) as keeping:
            for _ in range(2):
                keeping.wait_for(40)
                since = secure.log_end()
                secure.send_signal(signal.SIGHUP)
                secure.wait_ready(2, since)
            keeping.wait_for(40)
        keeping.tally.assert_nothing_failed()
        assert [line for line in proxy.error_log().splitlines() if "[error]" in line] == []


def test_recycling_under_load_fails_no_request(serve: Callable[..., Server], kind: str) -> None:
    server = serve(kind=kind, options=[*SERVER, "--max-requests", "40"])
    with load(server, clients=4) as keeping:
        keeping.wait_for(200)
    print(keeping.tally)
    keeping.tally.assert_nothing_failed()
    assert len(keeping.tally.bodies) >= 3, "workers were not replaced"


def test_an_idle_connection_of_a_retiring_worker_is_answered_once_more(serve: Callable[..., Server], kind: str) -> None:
    server = serve(kind=kind, workers=1, options=SERVER)
    (before,) = server.worker_pids()
    with TlsClient(server.address) as kept:
        assert kept.get("/pid").text == str(before)
        since = server.log_end()
        server.send_signal(signal.SIGHUP)
        server.wait_ready(1, since)
        answers = [kept.get("/pid")]
        while not answers[-1].closes:  # until its worker has heard that it retires
            answers.append(kept.get("/pid"))
        assert {answer.text for answer in answers} == {str(before)}
        assert ask(server) != str(before)
        assert kept.at_end()
        assert kept.notified
    wait_until(lambda: before not in server.worker_pids(), "the old worker is gone")


def test_term_under_load_answers_all_that_came_before_the_listeners_closed(secure: Server) -> None:
    def target(number: int) -> str:
        return "/sleep/30" if number % 5 == 0 else "/pid"

    with (
        load(secure, clients=5, target=target) as keeping,
        load(secure, clients=3, target=target, keep_alive=False) as short,
    ):
        keeping.wait_for(60)
        secure.send_signal(signal.SIGTERM)
        assert secure.wait_exit(10) == 0
    print(f"keep-alive: {keeping.tally}; one request each: {short.tally}")
    for tally in (keeping.tally, short.tally):
        assert not tally.wrong
        assert tally.lost == []


def test_term_ends_with_silent_handshakes_and_idle_connections(secure: Server) -> None:
    with RawTls(secure.address) as silent, RawTls(secure.address) as half, TlsClient(secure.address) as idle:
        half.send(half.hello()[:50])
        assert idle.get("/").status == 200
        assert secure.stop(deadline_s=5) == 0
        assert idle.at_end()
        assert idle.notified
        assert not silent.socket.recv(1)


def test_term_finishes_a_response_that_is_on_its_way(secure: Server) -> None:
    with TlsClient(secure.address) as slow:
        slow.send(request_bytes("GET", "/bytes/5000000"))
        assert slow.fill()
        secure.send_signal(signal.SIGTERM)
        response = slow.read_response()
        assert len(response.body) == 5_000_000
        assert slow.at_end()
        assert slow.notified
    assert secure.wait_exit(10) == 0


def test_tls_is_switched_on_by_a_reload_and_kept_connections_stay_as_they_are(
    serve: Callable[..., Server], kind: str
) -> None:
    server = serve(kind=kind, workers=1, config="")
    with server.client() as plain:
        before = plain.get("/pid").text
        (server.home / "ostler.conf.py").write_text(f"certfile = '{CERTIFICATES / 'localhost.pem'}'\n")
        since = server.log_end()
        server.send_signal(signal.SIGHUP)
        server.wait_ready(1, since)
        wait_until(lambda: int(before) not in server.worker_pids(), "the old worker is gone")
        after = ask(server)
        assert after != before
        assert plain.get("/pid").text == after
    with server.client() as fresh:
        assert fresh.get("/").status == 400


def test_upgrade_under_load_fails_no_request(secure: Server, masters: Masters) -> None:
    with load(secure, clients=4) as keeping:
        keeping.wait_for(20)
        masters.succeed(secure)
        keeping.wait_for(40)
    print(keeping.tally)
    keeping.tally.assert_nothing_failed()
