"""Row W14: a worker that does not die of SIGKILL, as in uninterruptible sleep. A frozen cgroup of version 1 holds it:
the kernel delivers no signal, KILL included, before it is thawed (the kernel's cgroup-v1/freezer-subsystem.rst).
"""

import contextlib
import os
import re
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.harness import Server
from tests.integration.processes import alive, children_of
from tests.integration.waiting import wait_until

FREEZER = Path("/sys/fs/cgroup/freezer")


class Freezer:
    """A group whose processes stand still."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def freeze(self, pid: int) -> None:
        (self.path / "cgroup.procs").write_text(str(pid))
        self._set("FROZEN")

    def thaw(self) -> None:
        self._set("THAWED")

    def is_empty(self) -> bool:
        return not (self.path / "cgroup.procs").read_text().split()

    def _set(self, state: str) -> None:
        (self.path / "freezer.state").write_text(state)
        wait_until(lambda: (self.path / "freezer.state").read_text().strip() == state, f"the group is {state}")


@pytest.fixture
def freezers() -> Iterator[list[Freezer]]:
    """Two groups."""
    made = [Freezer(FREEZER / f"ostler-{uuid.uuid4().hex}") for _ in range(2)]
    try:
        for each in made:
            each.path.mkdir()
            (each.path / "freezer.state").read_text()
    except OSError as error:
        for each in made:
            with contextlib.suppress(OSError):
                each.path.rmdir()
        pytest.skip(f"no freezer of cgroup version 1 that root could use, and nothing else holds a process: {error}")
    yield made
    for each in made:
        each.thaw()
    for each in made:
        wait_until(each.is_empty, "all processes have left the group")
        each.path.rmdir()


def test_workers_that_outlive_kill_cost_no_capacity_and_are_explained_once(
    freezers: list[Freezer], serve: Callable[..., Server]
) -> None:
    server = serve(workers=2, options=["--graceful-timeout", "0"])
    first, second = server.worker_pids()
    freezers[0].freeze(first)
    freezers[1].freeze(second)
    server.send_signal(signal.SIGHUP)  # both are told to go, and killed at once, as there is no graceful timeout
    server.wait_ready(4)
    fresh = set(server.worker_pids()) - {first, second}
    assert len(fresh) == 2, "the frozen ones do not count"
    for stuck in (first, second):
        found = server.wait_log(f"worker outlives KILL, going on without it .*pid={stuck} .*", deadline_s=15)
        line = found[0][0]
        assert "after_s=5" in line
        assert re.search(r'state=\S wchan=\S+ cause="[^"]+" cure="[^"]+"', line), line
    assert alive(first)
    assert server.get("/").status == 200

    since = server.log_end()
    freezers[0].thaw()
    wait_until(lambda: first not in children_of(server.master), "it is reaped")
    server.wait_log(f"worker died .*pid={first}.*killed by master", since)
    assert fresh <= set(server.worker_pids())

    os.kill(server.master, signal.SIGTERM)
    assert server.wait_exit(5) == 0, "a stop does not wait for the one that is left"
    assert alive(second)
    assert server.log().count("outlives KILL") == 2
    freezers[1].thaw()
    server.assert_nothing_left()
