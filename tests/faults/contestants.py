"""Ostler and Gunicorn: how each is started and told what a scenario wants. They share signals and most options."""

import re
import signal
import subprocess
import sys
from importlib.metadata import version

from tests.faults.conditions import Condition
from tests.faults.stage import Stage
from tests.integration.client import Address
from tests.integration.harness import bind_value
from tests.integration.masters import pid_in
from tests.integration.processes import alive, kill
from tests.integration.proxy import site
from tests.integration.waiting import wait_until

THREADS = 4
KEEPALIVE_S = "75"  # longer than Nginx keeps its connections
NO_TIMEOUT_S = "60"
READY = r"worker ready .*?\bpid=(\d+)"
GUNICORN_HOOKS = """
def post_worker_init(worker):
    worker.log.info("worker ready pid=%s", worker.pid)
"""


class PreFork:
    """What both have."""

    name: str
    recycles_share = 1.0

    @property
    def version(self) -> str:
        return version(self.name)

    def workers_pattern(self, stage: Stage) -> str:
        return READY

    def ready_pattern(self, stage: Stage) -> str:
        return READY

    def make_site(self, upstream: Address, port: int) -> str:
        return site(upstream, port)

    def basics(self, stage: Stage) -> list[str]:
        condition, wish = stage.condition, stage.wish
        command = [sys.executable, "-m", self.name, "--bind", bind_value(stage.server.address)]
        command += ["--workers", str(wish.workers), "--worker-class", condition.kind, "--pid", "server.pid"]
        command += ["--keep-alive", KEEPALIVE_S]
        if condition.kind == "gthread":
            command += ["--threads", str(THREADS)]
        if condition.preload:
            command.append("--preload")
        if wish.max_requests:
            command += ["--max-requests", str(wish.max_requests), "--max-requests-jitter", str(wish.max_requests // 2)]
        return command

    def begin_successor(self, stage: Stage) -> None:
        stage.signal(signal.SIGUSR2)

    def succeed(self, stage: Stage) -> None:
        since = stage.server.log_end()
        self.begin_successor(stage)
        self.finish_succession(stage, since)

    def finish_succession(self, stage: Stage, since: int) -> None:
        """Wait until the new master's workers are ready, TERM to the old one, wait until the new one has its place."""
        old = stage.master
        new = int(stage.server.wait_log(r"Listening at: .*\((\d+)\)", since, deadline_s=20)[0][1])
        wait_until(lambda: len(stage.workers(since)) >= stage.wish.workers, "the new master's workers are ready", 20)
        self.wait_successor(stage, since, new)
        kill(old, signal.SIGTERM)
        stage.server.wait_exit(20) if old == stage.server.master else wait_until(lambda: not alive(old), "it went", 20)
        stage.master = new
        wait_until(lambda: pid_in(stage.home / "server.pid") == new, "the new master is promoted", 10)

    def wait_successor(self, stage: Stage, since: int, new: int) -> None:
        """What an operator waits for before he ends the old master, beside the workers."""


class Ostler(PreFork):
    """Every second deployment is by its command (`ostler reload`, `ostler upgrade`), whose exit status has to fit."""

    name = "ostler"

    def lacks(self, scenario: str, condition: Condition) -> bool:
        return scenario == "kill-mold" and not condition.preload

    def command(self, stage: Stage) -> list[str]:
        wish = stage.wish
        command = [*self.basics(stage), "--boot-timeout", str(round(wish.boot_timeout_s))]
        if wish.lame_duck_s:
            command += ["--lame-duck", str(wish.lame_duck_s), "--readiness-path", "/ready"]
        if wish.check:
            command += ["--reload-check", "/health"]
        return [*command, stage.condition.application]

    def by_command(self, stage: Stage) -> bool:
        return stage.version % 2 == 0

    def run(self, stage: Stage, command: str) -> "subprocess.Popen[str]":
        words = [sys.executable, "-m", "ostler", command, "--pid", str(stage.home / "server.pid")]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=stage.home)

    def deploy(self, stage: Stage) -> None:
        if self.by_command(stage):
            stage.command = self.run(stage, "reload")
        else:
            stage.signal(signal.SIGHUP)

    def wait_deployed(self, stage: Stage, since: int, before: list[int]) -> None:
        stage.wait_command(0)
        stage.server.wait_log("reload complete", since, deadline_s=20)
        wait_until(lambda: not any(map(alive, before)), "the former workers are gone")

    def wait_refused(self, stage: Stage, since: int) -> None:
        """Wait until the log, and the command, say that a deployment failed."""
        stage.wait_command(1)
        stage.server.wait_log("reload failed", since, deadline_s=20)

    def succeed(self, stage: Stage) -> None:
        if not self.by_command(stage):
            super().succeed(stage)
            return
        stage.command = self.run(stage, "upgrade")
        stage.wait_command(0)
        new = pid_in(stage.home / "server.pid")
        assert new is not None
        assert new != stage.master, "the master was not replaced"
        stage.master = new

    def wait_successor(self, stage: Stage, since: int, new: int) -> None:
        stage.server.wait_log(f"new master ready, .*new_pid={new}", since)

    def mold(self, stage: Stage, since: int = 0) -> int:
        """The pid of the mold that was ready last, after `since`."""
        return int(stage.server.wait_log(r"mold ready .*?\bpid=(\d+)", since, deadline_s=20)[-1][1])

    def boot_ms(self, stage: Stage, since: int) -> int:
        """The longest boot of a worker that the log tells of."""
        return max(map(int, re.findall(r"worker ready .*boot_ms=(\d+)", stage.server.log(since))), default=0)


class Gunicorn(PreFork):
    """With --preload a HUP does not load new code, so its operators deploy by USR2; without, by HUP."""

    name = "gunicorn"

    def lacks(self, scenario: str, condition: Condition) -> bool:
        return scenario in ("kill-mold", "lame-duck", "bad-check")

    def command(self, stage: Stage) -> list[str]:
        config = stage.home / "gunicorn.conf.py"
        config.write_text(GUNICORN_HOOKS)
        # Its timeout is the only one that could end a boot that hangs.
        timeout = str(round(stage.wish.boot_timeout_s)) if stage.wish.boot_timeout_s < 30 else NO_TIMEOUT_S
        command = [*self.basics(stage), "--config", str(config), "--timeout", timeout, "--no-control-socket"]
        return [*command, stage.condition.application]

    def deploy(self, stage: Stage) -> None:
        if stage.condition.preload:
            self.begin_successor(stage)
        else:
            stage.signal(signal.SIGHUP)

    def wait_deployed(self, stage: Stage, since: int, before: list[int]) -> None:
        if stage.condition.preload:
            self.finish_succession(stage, since)
        else:
            stage.replaced(since, before)
