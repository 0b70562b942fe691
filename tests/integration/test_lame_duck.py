"""TERM with a lame duck: readiness fails at once, everything else is served until its time is over."""

import signal
import time
from collections.abc import Callable

from ostler.supervisor.policy import SAME_STOP_S
from tests.integration.harness import Server
from tests.integration.load import Load
from tests.integration.processes import kill
from tests.integration.waiting import wait_until

OPTIONS = ["--lame-duck", "30", "--readiness-path", "/pid", "--readiness-path", "/echo", "--access-logfile", "-"]


def test_a_lame_duck_serves_everything_but_its_readiness(serve: Callable[..., Server], kind: str) -> None:
    """Also when TERM is sent to every process at once, and also in a worker that starts meanwhile."""
    server = serve(kind=kind, options=OPTIONS)
    workers = server.wait_ready()
    with Load(server.address, clients=4, target="/") as load, server.client() as client:
        assert client.get("/pid").status == 200
        server.send_signal(signal.SIGTERM)
        server.wait_log("lame duck: readiness fails, everything is served for_s=30")
        began = time.monotonic()  # the master has heard it
        for pid in workers:
            kill(pid, signal.SIGTERM)
        wait_until(lambda: server.get("/pid").status == 503, "readiness fails")
        posted = client.request("POST", "/echo?a=b", body=b"text")
        assert (posted.status, posted.text) == (503, "503 Service Unavailable\n")
        assert posted.field("Content-Type") == "text/plain; charset=utf-8"
        assert not posted.closes
        assert client.get("/pid/").status == client.get("/").status == 200
        assert sorted(server.worker_pids()) == sorted(workers)
        since = server.log_end()
        kill(workers[0], signal.SIGKILL)
        server.wait_ready(1, since)
        wait_until(lambda: {server.get("/pid").status for _ in range(8)} == {503}, "the new worker is not ready, too")
        load.wait_for(20)
        server.wait_log(r'"POST /echo\?a=b HTTP/1\.1" 503 24')
        load.stopping.set()
    load.tally.assert_at_most(4)  # the killed worker's
    wait_until(lambda: time.monotonic() > began + SAME_STOP_S, "a second TERM is not the same one")
    assert server.stop() == 0  # it ends the wait


def test_a_stop_without_a_lame_duck_waits_for_nobody(serve: Callable[..., Server]) -> None:
    server = serve(options=["--readiness-path", "/pid"])
    assert server.get("/pid").status == 200
    assert server.stop(deadline_s=3) == 0
