"""One server under one condition: its place, its deployments, the proxy before it, and an end that leaves nothing.

Rules: what differs between servers is in contestants.py and peers.py; what is done to them, in scenarios.py.
"""

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.faults.clients import compose
from tests.faults.conditions import Condition
from tests.integration.client import Address, Client, Cut
from tests.integration.harness import APPS, Server
from tests.integration.processes import alive, kill, marked
from tests.integration.proxy import Nginx
from tests.integration.waiting import wait_until

HEALTHY = "VERSION = '{version}'\n"
BROKEN = {
    "import": "raise ImportError('broken on purpose')\n",
    "exit": "import sys\nsys.exit(1)\n",
    "hang": "import time\ntime.sleep(1000)\n",
    "check": "HEALTHY = False\n",
}


@dataclass(frozen=True)
class Wish:
    """What a scenario wants of a server, whatever its options are called."""

    workers: int = 2
    max_requests: int = 0
    lame_duck_s: float = 0
    check: bool = False  # new workers have to answer /health
    boot_timeout_s: float = 30
    import_s: float = 0  # how long the application takes to load


class Contestant(Protocol):
    """A server that takes part: how it is started, and how its operator would do what a scenario asks for."""

    name: str
    recycles_share: float  # of the recycles that are asked for; those of a peer take seconds

    @property
    def version(self) -> str: ...

    def lacks(self, scenario: str, condition: Condition) -> bool:
        """Whether it has no such thing."""

    def command(self, stage: "Stage") -> list[str]: ...

    def workers_pattern(self, stage: "Stage") -> str:
        """Matches the log's line about a worker that is there, with its pid as the first group."""

    def ready_pattern(self, stage: "Stage") -> str:
        """Matches the log's line about a worker that serves."""

    def make_site(self, upstream: Address, port: int) -> str:
        """Nginx's configuration: what is best before this server."""

    def deploy(self, stage: "Stage") -> None:
        """New code is on disk: tell the server, and do not wait."""

    def wait_deployed(self, stage: "Stage", since: int, before: list[int]) -> None:
        """Wait until the new code serves alone. since: the log's end, before: the workers, when deploy() began."""

    def begin_successor(self, stage: "Stage") -> None:
        """Ask for a new master, and do not wait."""

    def succeed(self, stage: "Stage") -> None:
        """Replace the master, too, and wait until that is done."""


class Stage:
    """`server` is the harness's: it has the directory, the address, the log, and finds all processes by their mark."""

    def __init__(self, contestant: Contestant, condition: Condition, wish: Wish) -> None:
        self.contestant = contestant
        self.condition = condition
        self.wish = wish
        self.server = Server(condition.transport)
        self.nginx: Nginx | None = None
        self.master = 0
        self.version = 0
        self.command: subprocess.Popen[str] | None = None  # that an operator runs

    # Starting and ending

    def start(self, deadline_s: float = 30.0) -> None:
        self.write_release()
        # What the caller put there stays: `PYTHONPATH=/another/tree/src` plays that one.
        places = [str(APPS), str(self.home), *filter(None, [os.environ.get("PYTHONPATH")])]
        env = {"PYTHONPATH": os.pathsep.join(places), "FAULTS_NOTES": str(self.home)}
        self.server.launch(self.contestant.command(self), env, self.home)
        self.master = self.server.master
        wait_until(self._started, "all workers are there", deadline_s)
        if self.condition.path == "nginx":
            self.nginx = Nginx(self.server.address, self._site)
        wait_until(lambda: self.asked("/ready") is not None, "the server answers", deadline_s)

    def _started(self) -> bool:
        assert not self.server.exited, f"the server ended with {self.server.exit_status} instead of getting ready"
        return len(self.workers()) >= self.wish.workers

    def _site(self, upstream: Address, port: int) -> str:
        # After 1000 requests Nginx would close a client's connection, with what that has sent of a pipeline.
        return f"keepalive_requests 1000000000;\n{self.contestant.make_site(upstream, port)}"

    def close(self) -> None:
        try:
            if self.nginx is not None:
                self.nginx.stop()
        finally:
            if self.command is not None:
                self.command.kill()
                self.command.communicate()
            self.server.kill_leftovers()
            self.server.hang_up()
            self.server.remove()

    # Looking

    @property
    def home(self) -> Path:
        return self.server.home

    @property
    def address(self) -> Address:
        """What clients ask."""
        return self.server.address if self.nginx is None else self.nginx.address

    def workers(self, since: int = 0) -> list[int]:
        """The pids of the workers that the log has told of, and that live."""
        pattern = self.contestant.workers_pattern(self)
        return sorted({pid for pid in map(int, re.findall(pattern, self.server.log(since))) if alive(pid)})

    def count_ready(self, since: int) -> int:
        """How many workers have begun to serve, living or not."""
        return len(re.findall(self.contestant.ready_pattern(self), self.server.log(since)))

    def asked(self, path: str) -> str | None:
        """What the server answers to a client of its own; None: nothing that is complete and good."""
        try:
            with Client(self.address, 5.0) as client:
                response = client.request("GET", path, [("Connection", "close")])
                return response.text if response.status == 200 else None
        except (Cut, OSError, AssertionError, ValueError):
            return None

    def pipelines(self) -> bool:
        """Whether several requests on one connection at once are all answered while nothing else happens."""
        asks = [compose(f"probe{number}", False, random.Random(number)) for number in range(4)]
        try:
            with Client(self.address, 2.0) as client:
                client.send(b"".join(ask.raw for ask in asks))
                return not any(ask.fault_of(client.read_response(ask.method)) for ask in asks)
        except (Cut, OSError, AssertionError, ValueError):
            return False

    def deployed_version(self) -> str | None:
        answer = self.asked("/ask/probe/0/0")
        return answer.split()[3] if answer is not None and len(answer.split()) == 4 else None

    def begun_by(self, pid: int) -> set[str]:
        """The tokens of the requests that a process had begun and not ended."""
        path = self.home / f"begun.{pid}"
        begun: set[str] = set()
        for line in path.read_text().splitlines() if path.exists() else []:
            (begun.add if line[0] == "+" else begun.discard)(line[1:])
        return begun

    def refused_by_proxy(self) -> frozenset[str]:
        """The tokens of requests for which Nginx found no open door."""
        if self.nginx is None:
            return frozenset()
        found = re.findall(r'connect\(\)[^\n]* failed [^\n]*?request: "\w+ /ask/([^/]+)/', self.nginx.error_log())
        return frozenset(found)

    # Doing

    def write_release(self, broken: str | None = None) -> str:
        """Put the next version of the code on disk, in one step; its version. broken: a key of BROKEN."""
        self.version += 1
        version = str(self.version)
        text = HEALTHY.format(version=version) + (BROKEN[broken] if broken else "")
        if self.wish.import_s and not broken:
            text += f"import time\ntime.sleep({self.wish.import_s})\n"
        part = self.home / "release.part"
        part.write_text(text)
        part.rename(self.home / "release.py")
        return version

    def deploy(self) -> None:
        """New code, and wait until it serves alone."""
        version = self.write_release()
        since, before = self.server.log_end(), self.workers()
        self.contestant.deploy(self)
        self.contestant.wait_deployed(self, since, before)
        self.assert_serves(version)

    def assert_serves(self, version: str) -> None:
        found = self.deployed_version()
        assert found == version, f"version {found} answers, expected was {version}"

    def wait_command(self, status: int) -> None:
        """Wait until the operator's command, if there is one, ends with this exit status."""
        if self.command is not None:
            text, _ = self.command.communicate(timeout=30)
            found, self.command = self.command.returncode, None
            assert found == status, f"exit status {found} of the command, expected was {status}; it said: {text}"

    def replaced(self, since: int, before: list[int], deadline_s: float = 40.0) -> None:
        """Wait until none of `before` lives and the log has told of as many new workers as there are to be."""

        def done() -> bool:
            return not any(map(alive, before)) and len(self.workers(since)) >= self.wish.workers

        wait_until(done, "all workers are replaced", deadline_s)

    def signal(self, number: signal.Signals) -> None:
        kill(self.master, number)

    def all_processes(self) -> list[int]:
        return marked(self.server.mark_text)

    def wait_gone(self, deadline_s: float) -> float:
        """Wait until no process of the server is left; the seconds that it took."""
        began = time.monotonic()

        def gone() -> bool:
            self.server.exited  # noqa: B018  (reaps it)
            return not self.all_processes()

        wait_until(gone, "no process of the server is left", deadline_s)
        return time.monotonic() - began


@contextmanager
def staged(contestant: Contestant, condition: Condition, wish: Wish) -> Iterator[Stage]:
    """A server that serves; at the end nothing of it is left. What fails in the block shows the log's end."""
    stage = Stage(contestant, condition, wish)
    try:
        stage.start()
        yield stage
    except BaseException as error:
        error.add_note(f"{contestant.name} {condition}; its log ends:\n{stage.server.log()[-6000:]}")
        raise
    finally:
        stage.close()
