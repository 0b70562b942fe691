"""Standard streams whose reader has gone (a log shipper that died, a closed terminal): every write fails with EPIPE."""

import signal
import sys
from collections.abc import Iterator, Set

import pytest

from tests.integration.abuse import Abused
from tests.integration.processes import cpu_seconds, kill
from tests.integration.waiting import wait_until

GONE = """
import os, sys
reader, writer = os.pipe()
os.dup2(writer, 1)
os.dup2(writer, 2)
os.close(reader)
os.close(writer)
os.environ.pop("PYTHONUNBUFFERED", None)  # as it is in production: what is printed waits in a buffer
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def server() -> Iterator[Abused]:
    server = Abused()
    yield server
    server.kill_leftovers()
    server.hang_up()
    server.remove()


def serving(server: Abused, besides: Set[int] = frozenset()) -> set[int]:
    """The pids of two workers that answer, none of them of `besides`."""

    def pids() -> set[int]:
        try:
            found = {server.pid() for _ in range(8)}
        except OSError:
            return set()
        return found if len(found) == 2 and not found & besides else set()

    return wait_until(pids, "two workers serve")


@pytest.mark.parametrize("log", ["the pipe", "a file"])
def test_nobody_reads_what_is_printed_and_the_fleet_serves_on(server: Abused, log: str) -> None:
    path = server.home / "error.log"
    options = ["--access-logfile", "-", *(["--error-logfile", str(path)] if log == "a file" else [])]
    server.begin("sync", 2, options, prefix=[sys.executable, "-c", GONE], ready=False)
    before = serving(server)
    used = cpu_seconds(server.master)
    for code in ("print('x' * 100_000)", "print('y', flush=True)", "import sys; sys.stderr.write('z')", "1 / 0"):
        assert server.run(code).status in (200, 500)
    assert serving(server) == before, "what an application cannot print costs its own request"
    server.send_signal(signal.SIGHUP)
    after = serving(server, besides=before)
    kill(min(after))
    serving(server, besides={min(after)})
    assert cpu_seconds(server.master) - used < 1, "the master spins"
    assert server.stop() == 0
    if log == "a file":
        assert "BrokenPipeError" in path.read_text()
        assert "defect" not in path.read_text()
