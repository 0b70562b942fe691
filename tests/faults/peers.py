"""uWSGI and Granian, from PyPI: not among the project's tools, so they are installed where `make faults` needs them.

Each has the configuration that its documentation recommends for a service that is not to lose requests
(uwsgi-docs: The Art of Graceful Reloading, Native HTTP support, Things to know; granian: `granian --help`).
"""

import os
import signal
import subprocess
import sys
import venv
from pathlib import Path

from tests.faults.conditions import Condition
from tests.faults.contestants import THREADS
from tests.faults.stage import Stage
from tests.integration.client import Address
from tests.integration.harness import bind_value
from tests.integration.proxy import site, uwsgi_site

VERSIONS = {"uwsgi": "2.0.31", "granian": "2.8.7"}
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ostler-faults" / PYTHON


def install(name: str) -> None:
    """Make the environment in the cache directory that has this peer, unless it is there.

    Raises OSError or CalledProcessError, with pip's words on standard error (uWSGI needs a C compiler).
    """
    if not (CACHE / "bin" / "python").exists():
        venv.create(CACHE, with_pip=True)
    if not (CACHE / "bin" / name).exists():
        command = [str(CACHE / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*command, f"{name}=={VERSIONS[name]}"], check=True, stdout=subprocess.DEVNULL)


class Peer:
    name: str
    recycles_share = 1.0

    @property
    def version(self) -> str:
        return VERSIONS[self.name]

    def program(self) -> str:
        return str(CACHE / "bin" / self.name)


class Uwsgi(Peer):
    """Without preloading `lazy-apps`, and chain reloading, which loads new code in one worker after the other; with it
    HUP, which starts the whole server anew around its sockets. Clients reach it through its own HTTP router, Nginx by
    the uwsgi protocol. Its router does not pipeline ("keepalive support (non-pipelined)").
    """

    name = "uwsgi"

    def lacks(self, scenario: str, condition: Condition) -> bool:
        # Greenlets only when it was built with them, and no ASGI.
        return condition.kind in ("gevent", "asgi") or scenario in ("kill-mold", "lame-duck", "bad-check")

    def command(self, stage: Stage) -> list[str]:
        condition, wish, home = stage.condition, stage.wish, stage.home
        address = stage.server.address if isinstance(stage.server.address, str) else bind_value(stage.server.address)
        command = [self.program(), "--master", "--workers", str(wish.workers), "--need-app", "--die-on-term"]
        command += ["--disable-logging", "--vacuum", "--module", stage.condition.application, "--listen", "100"]
        command += ["--min-worker-lifetime", "0", "--no-orphans", "--buffer-size", "32768"]
        if condition.path == "nginx":
            command += ["--uwsgi-socket", address]
        else:
            command += ["--http", address, "--http-keepalive", "--uwsgi-socket", f"@{stage.server.mark_text}"]
        if condition.kind == "gthread":
            command += ["--threads", str(THREADS)]
        if not condition.preload:
            command += ["--lazy-apps", "--master-fifo", str(home / "fifo")]
        if wish.max_requests:
            command += ["--max-requests", str(wish.max_requests), "--max-requests-delta", str(wish.max_requests // 4)]
        return command

    def workers_pattern(self, stage: Stage) -> str:
        if stage.condition.preload:
            return r"pawned uWSGI worker \d+ \((?:new )?pid: (\d+)"
        return r"WSGI app 0 \(mountpoint=''\) ready in .* pid: (\d+)"

    def ready_pattern(self, stage: Stage) -> str:
        return self.workers_pattern(stage)

    def make_site(self, upstream: Address, port: int) -> str:
        return uwsgi_site(upstream, port)

    def deploy(self, stage: Stage) -> None:
        if stage.condition.preload:
            stage.signal(signal.SIGHUP)
        else:
            fifo = os.open(stage.home / "fifo", os.O_WRONLY | os.O_NONBLOCK)  # fails when no master reads it
            os.write(fifo, b"c")
            os.close(fifo)

    def wait_deployed(self, stage: Stage, since: int, before: list[int]) -> None:
        stage.replaced(since, before)

    def begin_successor(self, stage: Stage) -> None:
        stage.signal(signal.SIGHUP)

    def succeed(self, stage: Stage) -> None:
        """HUP: the master executes itself anew, under its pid, when its workers have left."""
        since, before = stage.server.log_end(), stage.workers()
        self.begin_successor(stage)
        stage.replaced(since, before)


class Granian(Peer):
    """It recycles by time (60 s at least) or memory; a limit of 1 MiB, looked at each second, recycles all the time."""

    name = "granian"
    recycles_share = 0.1

    def lacks(self, scenario: str, condition: Condition) -> bool:
        missing = ("kill-mold", "lame-duck", "bad-check", "reexec", "reexec-bad")
        return condition.preload or condition.kind == "gevent" or scenario in missing

    def command(self, stage: Stage) -> list[str]:
        address, wish = stage.server.address, stage.wish
        where = ["--uds", address] if isinstance(address, str) else ["--host", address[0], "--port", str(address[1])]
        interface = "asgi" if stage.condition.kind == "asgi" else "wsgi"
        command = [self.program(), "--interface", interface, *where, "--workers", str(wish.workers), "--no-ws"]
        command += ["--http", "1"]
        if interface == "wsgi":
            command += ["--blocking-threads", str(THREADS if stage.condition.kind == "gthread" else 1)]
        # The pause before an old worker is stopped has to be longer than the application takes to load.
        command += ["--respawn-failed-workers", "--respawn-interval", str(1 + wish.import_s)]
        if wish.max_requests:
            command += ["--workers-max-rss", "1", "--rss-sample-interval", "1"]
        return [*command, stage.condition.application]

    def workers_pattern(self, stage: Stage) -> str:
        return r"Spawning worker-\d+ with PID: (\d+)"

    def ready_pattern(self, stage: Stage) -> str:
        return r"Started worker-\d+"

    def make_site(self, upstream: Address, port: int) -> str:
        return site(upstream, port)

    def deploy(self, stage: Stage) -> None:
        stage.signal(signal.SIGHUP)

    def wait_deployed(self, stage: Stage, since: int, before: list[int]) -> None:
        stage.replaced(since, before)

    def begin_successor(self, stage: Stage) -> None:
        raise NotImplementedError("it has no such thing")

    def succeed(self, stage: Stage) -> None:
        raise NotImplementedError("it has no such thing")
