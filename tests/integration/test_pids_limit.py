"""A cgroup that allows no more processes (pids.max; a container's --pids-limit): who serves goes on, the log says why
nobody new comes, and capacity is back when there is room.
"""

import contextlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.harness import Server
from tests.integration.processes import kill
from tests.integration.waiting import wait_until

GROUPS = Path("/sys/fs/cgroup")


def parent_group() -> Path:
    """Where a group below our own can be made; of version 2, whose inner groups may hold no processes, at the top."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "pids":
            return GROUPS / "pids" / path.lstrip("/")
    return GROUPS / "ostler-tests"


@pytest.fixture
def group() -> Iterator[Path]:
    made = parent_group() / f"ostler-{uuid.uuid4().hex}"
    try:
        made.mkdir(parents=True)
        (made / "pids.max").write_text("max")
    except OSError as error:
        with contextlib.suppress(OSError):
            made.rmdir()
        pytest.skip(f"no pids cgroup can be made here (root can, where the controller is there): {error}")
    yield made
    wait_until(lambda: not (made / "cgroup.procs").read_text().split(), "all processes have left the group")
    made.rmdir()


def test_no_process_to_be_had_costs_no_service_and_is_said(group: Path, make_server: Callable[..., Server]) -> None:
    server = make_server()
    into = f'echo $$ > {group}/cgroup.procs; exec "$@"'
    server.start("contract:application", prefix=["sh", "-c", into, "sh"])
    first, _ = server.wait_ready()
    (group / "pids.max").write_text("1")
    kill(first)
    (found,) = server.wait_log(r"\[ERROR\] fork failed .*")[:1]
    assert "temporarily unavailable" in found[0]
    assert "next_attempt_s=" in found[0]
    for _ in range(3):
        assert server.get("/").status == 200
    (group / "pids.max").write_text("max")
    server.wait_ready(3)
    assert server.stop() == 0
