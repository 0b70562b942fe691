"""Hundreds of slow clients beside normal ones (Slowloris, slow posts, slow readers)."""

import time
from collections.abc import Callable

import pytest

from tests.integration.client import Client
from tests.integration.harness import Server
from tests.integration.load import percentile
from tests.integration.slow import SlowClients

COUNT = 200
REQUESTS = 150


def normal_latencies(server: Server) -> list[float]:
    """Normal requests, half of them on a connection of their own; seconds each."""
    took = []
    with server.client() as keeping:
        for index in range(REQUESTS):
            started = time.monotonic()
            if index % 2:
                assert keeping.get("/pid").status == 200
            else:
                with Client(server.address) as client:
                    assert client.get("/pid").status == 200
            took.append(time.monotonic() - started)
    return took


@pytest.mark.parametrize("manner", ["head", "body", "reader"])
def test_slow_clients_do_not_slow_the_others(
    serve: Callable[..., Server], kind: str, manner: str, figure: Callable[[str], None]
) -> None:
    server = serve(kind=kind)
    with SlowClients(server.address, COUNT, manner) as slow:
        slow.wait_dawdling()
        took = normal_latencies(server)
        assert slow.cut_early() == 0, "honest slow clients were cut off"
        served = slow.finish()
    figures = " ".join(f"p{percent}={percentile(took, percent) * 1000:.1f}ms" for percent in (50, 90, 99))
    figure(f"{kind}, {COUNT} slow {manner}: {REQUESTS} normal requests {figures} max={max(took) * 1000:.1f}ms")
    assert max(took) < 2.0
    assert served == COUNT


def test_all_manners_of_slowness_at_once(
    serve: Callable[..., Server], kind: str, figure: Callable[[str], None]
) -> None:
    server = serve(kind=kind)
    with (
        SlowClients(server.address, COUNT, "head") as heads,
        SlowClients(server.address, COUNT, "body") as bodies,
        SlowClients(server.address, COUNT, "reader") as readers,
    ):
        for slow in (heads, bodies, readers):
            slow.wait_dawdling()
        took = normal_latencies(server)
        served = [heads.finish(), bodies.finish(), readers.finish()]
    figure(f"{kind}, {3 * COUNT} slow: p50={percentile(took, 50) * 1000:.1f}ms max={max(took) * 1000:.1f}ms")
    assert max(took) < 2.0
    assert served == [COUNT, COUNT, COUNT]
