"""One guide's directory, and the server that its reader starts there."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.compat.guides.network import WITH_LOGS
from tests.integration.client import Client, Response, request_bytes
from tests.integration.harness import Server, free_port
from tests.integration.waiting import wait_until

FOLDER: Final = Path(__file__).parent
PROGRAMS: Final = Path(sys.executable).parent
LOGS: Final = "/var/log/gunicorn"


class Site:
    """The files of `guide` in a directory of their own. `apart`: in a network and with a /var/log of its own.

    Without these, `text` puts another port and folder in the place of what the guide says.
    """

    def __init__(self, server: Server, guide: str, apart: bool, port: int = 8000) -> None:
        self.server = server
        self.home = server.home
        self.home.chmod(0o755)
        self.apart = apart
        self.said_port = port
        self.port = port if apart else free_port()
        self.logs = self.home / "var-log" / "gunicorn"
        self.logs.mkdir(parents=True)
        server.address = ("127.0.0.1", self.port)
        for source in [FOLDER / "guide_app.py", *(FOLDER / guide).iterdir()]:
            if source.is_file():
                (self.home / source.name).write_text(self.text(source.read_text()))

    def text(self, said: str) -> str:
        """What the guide says, as it can be run here."""
        if self.apart:
            return said
        return said.replace(f":{self.said_port}", f":{self.port}").replace(LOGS, str(self.logs))

    def launch(self, command: str | Sequence[str], env: dict[str, str] | None = None) -> None:
        """Start what a reader types (or a Dockerfile lists). Standard output goes to the file `stdout`, alone."""
        words = ["/bin/sh", "-c", f"exec {self.text(command)}"] if isinstance(command, str) else list(command)
        environment = {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", **(env or {})}
        to_file = ["/bin/sh", "-c", 'exec "$@" > stdout', "sh"]
        logs = [*WITH_LOGS, str(self.logs.parent)] if self.apart else []
        self.server.launch([*to_file, *logs, *words], environment, self.home)

    def start(self, command: str | Sequence[str], workers: int, env: dict[str, str] | None = None) -> None:
        """The same, and wait until so many workers are ready (by the error log on standard error)."""
        self.launch(command, env)
        try:
            self.server.wait_ready(workers)
        except AssertionError as error:
            error.add_note(self.server.log()[-20000:])
            raise

    def client(self) -> Client:
        return self.server.client()

    def get(self, target: str) -> Response:
        return self.server.get(target)

    def stdout(self) -> str:
        return (self.home / "stdout").read_text()

    def shell(self, command: str) -> subprocess.CompletedProcess[str]:
        """What a reader types beside the server."""
        return subprocess.run(
            ["sh", "-c", self.text(command)], cwd=self.home, capture_output=True, text=True, timeout=20, check=False
        )

    @contextlib.contextmanager
    def one_worker(self) -> Iterator[None]:
        """All workers but one sent away, and called back."""
        count = len(self.server.worker_pids())
        for left in range(count - 1, 0, -1):
            self.server.send_signal(signal.SIGTTOU)
            self.wait_workers(left)
        yield
        for there in range(2, count + 1):
            self.server.send_signal(signal.SIGTTIN)
            self.wait_workers(there)

    def wait_workers(self, count: int) -> None:
        wait_until(lambda: len(self.server.worker_pids()) == count, f"{count} workers are there")

    def meeting(self, parties: int, wait_s: float = 0.5) -> set[str]:
        """What so many requests at once were told: `met` when one process ran all of them together."""
        clients = [self.client() for _ in range(parties)]
        for client in clients:
            client.send(request_bytes("GET", f"/meet/{parties}?wait={wait_s}"))
        answers = {client.read_response().text for client in clients}
        for client in clients:
            client.close()
        return answers


def dockerfile(path: Path, instruction: str) -> list[str]:
    """What follows each line of this instruction."""
    start = f"{instruction} "
    return [line.removeprefix(start) for line in path.read_text().splitlines() if line.startswith(start)]
