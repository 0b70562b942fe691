"""What is done to a server while clients ask, and what counts as a failure then. One function for each kind of thing.

`SCENARIOS` is the list. `full` is how often the thing is done in `make faults`, `quick` in `make test`.
"""

import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.faults.clients import Crowd, Failure
from tests.faults.conditions import Condition, Style
from tests.faults.contestants import Ostler
from tests.faults.stage import Contestant, Stage, Wish, staged
from tests.integration.processes import kill
from tests.integration.waiting import wait_until

LAME_DUCK_S = 5.0
WATCH_S = 3.0
"""How long a peer, whose log does not say that a deployment failed, is watched after one."""
WATCH_GONE_S = 8
"""How long processes without a master are watched."""
AT_THE_DEATH_S = 0.3
"""A connection that ends without an answer so soon after a worker was killed was that worker's."""


@dataclass
class Outcome:
    """failed: requests that count. cell: what is shown instead of their number. counts: of what else was seen."""

    failed: list[Failure] = field(default_factory=list)
    requests: int = 0
    cell: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)  # what else is not as promised
    recovery_ms: float | None = None  # until full strength, beyond the worker's own boot (of peers: in all)
    gone_s: float | None = None  # until no process was left of a server whose master was killed

    def take(self, crowd: Crowd, closed_doors: frozenset[str] = frozenset()) -> "Outcome":
        """Count what the clients, who have left, met with."""
        self.failed, away = crowd.failures(closed_doors)
        self.requests = crowd.tally.requests
        if Style.PIPELINING not in crowd.styles:
            self.counts["without pipelining"] = 1
        if away:
            self.counts["turned away"] = len(away)
        return self


Play = Callable[[Contestant, Condition, int], Outcome]


def crowd_of(stage: Stage) -> Crowd:
    """Clients of every style, but for one that the server does not serve even when nothing happens to it."""
    styles = tuple(style for style in Style if style is not Style.PIPELINING or stage.pipelines())
    return Crowd(stage.address, styles=styles, doors=stage.server.address)


def reload(contestant: Contestant, condition: Condition, count: int) -> Outcome:
    """Deploy new code `count` times; each time it serves alone in the end."""
    with staged(contestant, condition, Wish()) as stage:
        with crowd_of(stage) as crowd:
            crowd.wait_for(10)
            for _ in range(count):
                stage.deploy()
            crowd.wait_for(10)
        return Outcome().take(crowd)


def recycle(contestant: Contestant, condition: Condition, count: int) -> Outcome:
    """`max_requests`, until `count` workers were replaced."""
    wanted = max(1, round(count * contestant.recycles_share))
    with staged(contestant, condition, Wish(max_requests=40)) as stage:
        since = stage.server.log_end()
        with crowd_of(stage) as crowd:
            wait_until(lambda: stage.count_ready(since) >= wanted, f"{wanted} recycles are done", 10 + wanted * 2.5)
            crowd.wait_for(10)
        outcome = Outcome().take(crowd)
        if wanted != count:
            outcome.counts["recycles only"] = wanted
        return outcome


def reexec(contestant: Contestant, condition: Condition, count: int) -> Outcome:
    """Replace the master as well, `count` times, with new code each time."""
    with staged(contestant, condition, Wish()) as stage:
        with crowd_of(stage) as crowd:
            crowd.wait_for(10)
            for _ in range(count):
                version = stage.write_release()
                contestant.succeed(stage)
                stage.assert_serves(version)
            crowd.wait_for(10)
        return Outcome().take(crowd)


def bad_code(how: str) -> Play:
    """Deploy code that cannot serve, `count` times: what was there before serves on. Then good code."""

    def play(contestant: Contestant, condition: Condition, count: int) -> Outcome:
        wish = Wish(check=how == "check", boot_timeout_s=3 if how == "hang" else 30)
        with staged(contestant, condition, wish) as stage:
            outcome, served = Outcome(), str(stage.version)
            with crowd_of(stage) as crowd:
                crowd.wait_for(10)
                for _ in range(count):
                    stage.write_release(how)
                    since = stage.server.log_end()
                    contestant.deploy(stage)
                    if isinstance(contestant, Ostler):
                        contestant.wait_refused(stage, since)
                        crowd.wait_for(10)
                    else:
                        threading.Event().wait(WATCH_S)
                found = stage.deployed_version()
                if found != served:
                    outcome.problems.append(f"then version {found} answers and not {served}")
                if isinstance(contestant, Ostler):
                    stage.deploy()
                    crowd.wait_for(10)
            return outcome.take(crowd)

    return play


def reexec_bad(contestant: Contestant, condition: Condition, count: int) -> Outcome:
    """A new master is started whose code does not import."""
    with staged(contestant, condition, Wish()) as stage:
        outcome, served = Outcome(), str(stage.version)
        with crowd_of(stage) as crowd:
            crowd.wait_for(10)
            for _ in range(count):
                stage.write_release("import")
                since = stage.server.log_end()
                contestant.begin_successor(stage)
                if isinstance(contestant, Ostler):
                    stage.server.wait_log("new master ended, this one goes on", since, deadline_s=20)
                    crowd.wait_for(10)
                else:
                    threading.Event().wait(WATCH_S)
            found = stage.deployed_version()
            if found != served:
                outcome.problems.append(f"then version {found} answers and not {served}")
        return outcome.take(crowd)


def lame_duck(contestant: Contestant, condition: Condition, count: int) -> Outcome:
    """TERM; clients leave when readiness fails, as balancers see to it; every request counts. Then a second TERM."""
    with staged(contestant, condition, Wish(lame_duck_s=LAME_DUCK_S)) as stage:
        outcome = Outcome()
        with crowd_of(stage) as crowd:
            crowd.wait_for(10)
            assert stage.server.get("/ready").status == 200
            stage.signal(signal.SIGTERM)
            began = time.monotonic()
            wait_until(lambda: stage.server.get("/ready").status == 503, "readiness fails", LAME_DUCK_S)
            crowd.wait_for(10)
            crowd.leave()
            if time.monotonic() - began > LAME_DUCK_S:
                outcome.problems.append(f"this machine is so slow that clients left after {LAME_DUCK_S} s")
        stage.signal(signal.SIGTERM)
        return ended(stage, outcome.take(crowd))


def term(everybody: bool) -> Play:
    """TERM to the master, or to every process, while clients ask until the doors close (see Crowd.failures)."""

    def play(contestant: Contestant, condition: Condition, count: int) -> Outcome:
        with staged(contestant, condition, Wish()) as stage:
            with crowd_of(stage) as crowd:
                crowd.wait_for(10)
                crowd.expect_the_end()
                for pid in stage.all_processes() if everybody else [stage.master]:
                    kill(pid, signal.SIGTERM)
                stage.wait_gone(15)
            return ended(stage, Outcome().take(crowd, stage.refused_by_proxy()))

    return play


def ended(stage: Stage, outcome: Outcome) -> Outcome:
    """The server was told to end: no process of it is left, nor the file of its socket."""
    stage.wait_gone(15)
    status = stage.server.wait_exit()
    if status != 0:
        outcome.problems.append(f"exit status {status}")
    if isinstance(stage.server.address, str) and Path(stage.server.address).exists():
        outcome.problems.append("its socket's file is left")
    return outcome


def kill_worker(contestant: Contestant, condition: Condition, count: int) -> Outcome:
    """kill -9 of a worker that executes a request, `count` times. With preloading the code on disk is broken meanwhile.

    What that worker was executing, and what was on its connections then, is lost, and is only noted: it counts when a
    request fails that had nothing to do with it.
    """
    outcome, recoveries, killed = Outcome(), [], []
    with staged(contestant, condition, Wish(import_s=0.2)) as stage:
        if condition.preload:
            stage.write_release("import")
        with crowd_of(stage) as crowd:
            for _ in range(count):
                crowd.wait_for(10)
                [victim, *_] = wait_until(
                    lambda: [pid for pid in stage.workers() if stage.begun_by(pid)], "a worker executes a request"
                )
                since, at = stage.server.log_end(), time.monotonic()
                kill(victim)
                killed.append((at, victim))
                while stage.count_ready(since) < 1:
                    assert time.monotonic() < at + 15, "no worker took the place of the killed one within 15 s"
                    time.sleep(0.002)
                took_ms = (time.monotonic() - at) * 1000
                recoveries.append(took_ms - (contestant.boot_ms(stage, since) if isinstance(contestant, Ostler) else 0))
        outcome.take(crowd)
        executing = set().union(*(stage.begun_by(pid) for _, pid in killed))
    lost = outcome.failed
    theirs = [one for one in lost if one.token in executing]
    waiting = [
        one
        for one in lost
        if one not in theirs and any(at <= one.seen_at < at + AT_THE_DEATH_S for at, _ in killed)
    ]
    outcome.failed = [one for one in lost if one not in theirs and one not in waiting]
    outcome.recovery_ms = median(recoveries)
    outcome.counts["executing"], outcome.counts["on the connections of the killed"] = len(theirs), len(waiting)
    return outcome


def kill_mold(contestant: Contestant, condition: Condition, count: int) -> Outcome:
    """kill -9 of the mold: nobody notices, a new one boots, and workers that die afterwards are replaced from it."""
    assert isinstance(contestant, Ostler)
    with staged(contestant, condition, Wish()) as stage:
        workers = stage.workers()
        with crowd_of(stage) as crowd:
            for _ in range(count):
                crowd.wait_for(10)
                mold, since = contestant.mold(stage), stage.server.log_end()
                kill(mold)
                assert contestant.mold(stage, since) != mold
            crowd.wait_for(10)
        outcome = Outcome().take(crowd)
        if stage.workers() != workers:
            outcome.problems.append(f"the workers {workers} became {stage.workers()}")
        since = stage.server.log_end()
        kill(workers[0])
        wait_until(lambda: stage.count_ready(since), "the new mold forks")
        return outcome


def kill_master(contestant: Contestant, condition: Condition, count: int) -> Outcome:
    """kill -9 of the master: the seconds until no process of the server is left, and the address is free."""
    with staged(contestant, condition, Wish()) as stage:
        with crowd_of(stage) as crowd:
            crowd.wait_for(10)
            crowd.ending = True
            kill(stage.master)
            outcome = Outcome()
            try:
                outcome.gone_s = stage.wait_gone(WATCH_GONE_S)
                outcome.cell = f"{outcome.gone_s:.1f}s"
            except AssertionError:
                outcome.cell = f">{WATCH_GONE_S}s"
                outcome.problems.append(f"processes lived on for more than {WATCH_GONE_S} s")
            crowd.leaving.set()
            if not outcome.problems and not is_free(stage):
                outcome.problems.append("the address is not free")
        outcome.requests = crowd.tally.requests
        return outcome


def is_free(stage: Stage) -> bool:
    """Whether a server could start where this one was."""
    address = stage.server.address
    if isinstance(address, str):
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(address) != 0
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError:
            return False
    return True


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    play: Play
    full: int = 1
    quick: int = 1


SCENARIOS = [
    Scenario("reload", "reloads", reload, full=50, quick=3),
    Scenario("recycle", "recycles (max_requests)", recycle, full=200, quick=6),
    Scenario("reexec", "re-execs", reexec, full=10, quick=2),
    Scenario("bad-import", "reload: code does not import", bad_code("import")),
    Scenario("bad-check", "reload: code fails its warm-up", bad_code("check")),
    Scenario("bad-hang", "reload: code hangs at import", bad_code("hang")),
    Scenario("bad-exit", "reload: code calls sys.exit", bad_code("exit")),
    Scenario("reexec-bad", "re-exec: code does not import", reexec_bad),
    Scenario("lame-duck", "TERM with lame_duck", lame_duck),
    Scenario("term", "TERM", term(everybody=False)),
    Scenario("term-all", "TERM to every process", term(everybody=True)),
    Scenario("kill-worker", "kill -9 of a worker", kill_worker, full=5, quick=2),
    Scenario("kill-mold", "kill -9 of the mold", kill_mold, full=3),
    Scenario("kill-master", "kill -9 of the master: gone after", kill_master),
]
