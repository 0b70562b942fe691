"""How a setting of a guide's file is shown to act. A case gets the served site and asserts.

Values too long to wait for (timeout = 120) are shown in two halves: --print-config says that the file's value is in
force, and `elsewhere` names the integration test that shows what the setting does, with a value worth waiting for.
"""

import ast
import functools
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.compat.command import run
from tests.compat.guides.network import listens_everywhere
from tests.compat.guides.site import Site
from tests.integration.client import Client, request_bytes


@dataclass
class Served:
    """A site that is served for a whole module, and a connection that is idle since the start."""

    site: Site
    file: str
    app: str
    idle: Client
    idle_since: float

    @functools.cached_property
    def printed(self) -> str:
        """What --print-config says of the file."""
        return run(["--print-config", "--config", self.file, self.app], self.site.home).stdout

    def get(self) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.site.get("/").body)
        return shown

    def status(self, request: bytes) -> int:
        with self.site.client() as client:
            client.send(request)
            return client.read_response().status


Case = Callable[[Served], None]


def assigned(path: Path) -> set[str]:
    """The settings of a configuration file: the names that it gives a value."""
    lines = [line for line in ast.parse(path.read_text()).body if isinstance(line, ast.Assign)]
    return {target.id for line in lines for target in line.targets if isinstance(target, ast.Name)}


def elsewhere(name: str, value: str, shown_by: Callable[..., object]) -> Case:
    """`shown_by` is the test that shows the setting, given as itself so that it cannot go away unseen."""
    assert name in shown_by.__name__, shown_by

    def case(served: Served) -> None:
        line = rf"(?m)^{name} += {re.escape(value)}  \({re.escape(served.file)}\)$"
        assert re.search(line, served.printed), served.printed

    return case


def bind(served: Served) -> None:
    assert listens_everywhere(served.site.port)
    assert served.site.get("/health").text == "OK"


def workers(count: int) -> Case:
    def case(served: Served) -> None:
        assert len(served.site.server.worker_pids()) == count

    return case


def worker_class_gthread(served: Served) -> None:
    assert served.get()["thread"] != "MainThread", "gthread runs applications in its pool"


def worker_class_gevent(served: Served) -> None:
    assert served.get()["sockets"].startswith("gevent."), "gevent patches before the application is imported"


def preload_app_off(served: Served) -> None:
    shown = served.get()
    assert shown["imported_by"] == shown["pid"], "each worker imports the application itself"


def threads(count: int) -> Case:
    """With one worker, as which process gets a request is nobody's choice."""

    def case(served: Served) -> None:
        with served.site.one_worker():
            assert served.site.meeting(count) == {"met"}
            assert served.site.meeting(count + 1) == {"alone"}

    return case


def keepalive(seconds: int) -> Case:
    """Of the connection that had its answer at the start of the module: most of the time has passed meanwhile.

    Before the cases that send workers away, for a connection that moves to a sibling starts its time anew.
    """

    def case(served: Served) -> None:
        looked_s = time.monotonic() - served.idle_since
        assert served.idle.at_end()
        lasted_s = time.monotonic() - served.idle_since
        assert seconds - 0.1 < lasted_s < max(looked_s, seconds) + 1.5

    return case


def max_requests(least: int, jitter: int) -> Case:
    """The only worker leaves when it has answered so many. A few came before; what is on its way is answered too."""

    def case(served: Served) -> None:
        with served.site.one_worker():
            first = served.get()["pid"]
            answered = 0
            while (more := flood(served.site, first, 50)) and answered <= least + jitter:
                answered += more
            assert least - 100 <= answered <= least + jitter + 50

    return case


def flood(site: Site, pid: int, count: int) -> int:
    """How many of `count` requests, sent at once, process `pid` answered."""
    with site.client() as client:
        client.send(request_bytes("GET", "/") * (count - 1) + request_bytes("GET", "/", [("Connection", "close")]))
        return sum(json.loads(client.read_response().body)["pid"] == pid for _ in range(count))


def limit_request_line(limit: int) -> Case:
    def case(served: Served) -> None:
        fitting = request_bytes("GET", "/health?" + "x" * (limit - len("GET /health? HTTP/1.1")))
        assert served.status(fitting) == 200
        assert served.status(fitting.replace(b"?", b"?xxx", 1)) == 414

    return case


def limit_request_fields(limit: int) -> Case:
    def case(served: Served) -> None:
        fields = [(f"X-{number}", "y") for number in range(limit - 1)]  # Host is one too
        assert served.status(request_bytes("GET", "/health", fields)) == 200
        assert served.status(request_bytes("GET", "/health", [*fields, ("X-More", "y")])) == 431

    return case
