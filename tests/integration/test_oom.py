"""A worker that the kernel's OOM killer takes away (failures W4): the log says so, with the request that it served."""

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ostler.observe.causes import Cause, cure_for
from tests.integration.harness import Server
from tests.integration.waiting import wait_until

LIMIT_BYTES = 200 * 1024 * 1024
GROUPS = Path("/sys/fs/cgroup")

APP = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/eat":
        eaten = []
        while True:
            eaten.append(bytearray(8 << 20))
    return [b"hello"]
"""


def own_group() -> tuple[Path, str]:
    """Where a group below our own can be made, and the name of its limit."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            return GROUPS / "memory" / path.lstrip("/"), "memory.limit_in_bytes"
    return GROUPS / "ostler-tests", "memory.max"  # of version 2, whose inner groups may hold no processes


@pytest.fixture
def limited_group() -> Iterator[Path]:
    parent, limit = own_group()
    group = parent / f"ostler-{uuid.uuid4().hex}"
    try:
        group.mkdir(parents=True)
        (group / limit).write_text(str(LIMIT_BYTES))
        (group / "cgroup.procs").read_text()
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip(f"no memory cgroup can be made here: {error}")
    yield group
    wait_until(lambda: not (group / "cgroup.procs").read_text().split(), "all processes have left the group")
    group.rmdir()


def test_the_log_names_the_kernels_oom_killer_and_the_request(
    limited_group: Path, make_server: Callable[[], Server]
) -> None:
    server = make_server()
    (server.home / "eater.py").write_text(APP)
    into = f'echo $$ > {limited_group}/cgroup.procs; exec "$@"'
    server.start("eater:application", workers=2, prefix=["sh", "-c", into, "sh"], options=["--chdir", str(server.home)])
    (first, second) = server.wait_ready()
    client = server.client()
    client.send(b"GET /eat?q=1 HTTP/1.1\r\nHost: a\r\n\r\n")
    server.wait_log(r"worker died .*")
    log = server.log()
    death = next(text for text in log.splitlines() if "worker died" in text)
    assert "out of memory: the kernel's OOM killer has sent it (cgroup " in death
    assert "oom_kill=1, limit 200 MiB)" in death
    assert 'request="GET /eat?q=1"' in death
    assert "peak_rss_mb=" in death
    assert f'cure="{cure_for(Cause.OUT_OF_MEMORY)}"' in death
    assert "Perhaps out of memory?" in death, "tools look for these words"
    dead = first if f"pid={first}" in death else second
    server.wait_ready(3)
    os.kill(next(pid for pid in server.worker_pids() if pid != dead), 9)
    server.wait_log(r"worker died .*nor by the kernel's OOM killer .*somebody has sent it", len(log))
