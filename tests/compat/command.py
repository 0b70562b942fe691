"""The real command, and the application that the tests of this folder serve."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tests.integration.harness import APPS, FOREIGN, Server
from tests.integration.waiting import wait_until

SCRIPT: Final = str(Path(sys.executable).parent / "ostler")

APPLICATION: Final = """
import contract, logging, os

def answer(start_response, text):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text.encode()]

def application(environ, start_response):
    name, _, rest = environ["PATH_INFO"][1:].partition("/")
    if name == "variable":
        return answer(start_response, os.environ.get(rest, "not set"))
    if name == "cwd":
        return answer(start_response, os.getcwd() + " " + os.environ.get("PWD", ""))
    if name == "method":
        return answer(start_response, environ["REQUEST_METHOD"] + " " + environ["SERVER_PROTOCOL"])
    if name == "stop":
        raise StopIteration
    if name == "log":
        log = logging.getLogger("gunicorn.error")
        log.critical("a critical line")
        log.error("an error line")
        log.warning("a warning line")
        try:
            1 / 0
        except ZeroDivisionError:
            log.exception("an exception line")
        log.info("", extra={"metric": "own.metric", "value": 7, "mtype": "gauge"})
        return answer(start_response, "logged")
    return contract.application(environ, start_response)
"""


def run(arguments: Sequence[str], cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself, such as --check-config; its output."""
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    environment |= {"PYTHONPATH": str(APPS), "PYTHONDONTWRITEBYTECODE": "1", **env}
    return subprocess.run(
        [SCRIPT, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def wait_serving(server: Server, target: str = "/") -> None:
    """Wait until it answers, where the log is no place to look. A daemon's command has ended with 0 by then."""

    def serves() -> bool:
        assert not server.exit_status, f"the server ended with {server.exit_status} instead of answering"
        return answers(server, target)

    wait_until(serves, "the server answers", 15)


def answers(server: Server, target: str = "/") -> bool:
    try:
        return server.get(target, timeout_s=5).status == 200
    except OSError:
        return False


def wait_text(path: Path, wanted: Callable[[str], object], what: str) -> str:
    """Wait until the text of a file satisfies `wanted`; the text."""
    wait_until(lambda: path.exists() and wanted(path.read_text()), f"{path.name}: {what}")
    return path.read_text()


def open_files(pid: int) -> list[str]:
    """What the descriptors of a process name."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(str(link.readlink()))
        except OSError:
            continue
    return found


def title_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
