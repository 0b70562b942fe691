"""Workers that hang and die: the log alone says of what, at which request, where in the application, and what to do."""

import functools
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostler.observe.causes import Cause, cure_for
from tests.integration.client import Client, request_bytes
from tests.integration.harness import APPS, Server
from tests.integration.processes import kill
from tests.integration.shared import running
from tests.integration.waiting import wait_until

CONFIG = f"chdir = {str(APPS)!r}\ntimeout = 1\ngraceful_timeout = 1\n"
LINES = Path(APPS, "deaths.py").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(Server, kind="sync", app="deaths:application", config=CONFIG) as server:
        yield server


def place(function: str) -> str:
    """As the log says it."""
    begin = LINES.index(next(line for line in LINES if line.startswith(f"def {function}(")))
    line = next(at for at in range(begin, len(LINES)) if LINES[at].endswith("here") or "shall be" in LINES[at])
    line = line + 1 if "shall be" in LINES[line] else line
    return f'at="deaths.py:{line + 1} in {function}"'


def ask(server: Server, target: str) -> Client:
    """A request that nobody will answer."""
    client = server.client()
    client.send(request_bytes("GET", target))
    return client


def line_with(server: Server, words: str, since: int) -> str:
    """The first line in which this is said."""
    server.wait_log(words, since)
    return next(line for line in server.log(since).splitlines() if re.search(words, line))


def alive_again(server: Server, since: int) -> None:
    server.wait_ready(1, since)
    assert server.get("/").status == 200


@pytest.mark.parametrize(
    ("function", "ending", "cause"),
    [
        ("crash", "signal SIGSEGV, C code crashed", Cause.CRASH),
        ("leave", "exit status 7, the application ended the process in a request", Cause.EXIT_CALLED),
    ],
)
def test_a_death_says_its_place(server: Server, function: str, ending: str, cause: Cause) -> None:
    assert server.get("/?first").status == 200
    since = server.log_end()
    with ask(server, f"/{function}?a=1"):
        death = line_with(server, "worker died", since)
    assert f'cause="{ending}"' in death
    assert f'request="GET /{function}?a=1" for_s=' in death
    assert place(function) in death
    assert f'cure="{cure_for(cause)}"' in death
    alive_again(server, since)


@pytest.mark.parametrize(
    ("function", "ending", "cause"),
    [
        ("abort", "signal SIGABRT, C code called abort()", Cause.ABORT),
        ("alarm", "signal SIGALRM, somebody has sent the signal", Cause.KILLED_BY_SOMEBODY),
    ],
)
def test_a_death_without_a_place_says_its_request(server: Server, function: str, ending: str, cause: Cause) -> None:
    since = server.log_end()
    with ask(server, f"/{function}"):
        death = line_with(server, "worker died", since)
    assert f'cause="{ending}"' in death
    assert f'request="GET /{function}"' in death
    assert f'cure="{cure_for(cause)}"' in death
    alive_again(server, since)


def test_who_was_killed_from_outside_says_what_it_served_and_what_it_had_served(server: Server) -> None:
    for number in range(6):
        assert server.get(f"/?{number}").status == 200
    since = server.log_end()
    with ask(server, "/snooze?b=2"):
        (victim,) = server.worker_pids()
        wait_until((server.home / "snoozing").exists, "the application has it")
        kill(victim, signal.SIGKILL)
        death = line_with(server, f"worker died .*pid={victim} ", since)
    assert 'cause="signal SIGKILL, ' in death
    assert 'request="GET /snooze?b=2"' in death
    assert re.search(r' last="GET /\?\d 200 0\.\d{3} s(, GET /\?\d 200 0\.\d{3} s)*"', death)
    assert f'gunicorn_says="Worker (pid:{victim}) was sent SIGKILL! Perhaps out of memory?"' in death
    alive_again(server, since)


@functools.cache
def kernel_tells() -> bool:
    """Where a thread sleeps (proc(5): /proc/PID/wchan). Some do not; then it is only a hang."""
    with subprocess.Popen(["sleep", "20"]) as sleeper:
        try:
            shown = Path(f"/proc/{sleeper.pid}/wchan")
            wait_until(lambda: "nanosleep" in shown.read_text(encoding="ascii"), "it sleeps", 1.0)
        except AssertionError:
            return False
        finally:
            sleeper.kill()
    return True


@pytest.mark.parametrize(
    ("function", "cause"),
    [("snooze", Cause.SLEEP), ("hold", Cause.HANG_IN_C), ("spin", Cause.BUSY_LOOP)],
)
def test_a_hang_says_its_cause_and_its_place(server: Server, function: str, cause: Cause) -> None:
    since = server.log_end()
    with ask(server, f"/{function}?c=3"):
        hang = line_with(server, "worker timeout", since)
        death = line_with(server, "worker died", since)
    assert re.search(rf'request="GET /{function}\?c=3" for_s=\d', hang)
    if cause is Cause.SLEEP and not kernel_tells():
        cause = Cause.HANG
    for line in (hang, death):
        # A loop is on one of its lines.
        assert (place(function) if function != "spin" else ' at="deaths.py:') in line
        assert f'cure="{cure_for(cause)}"' in line
    assert f'cause="{cause}"' in hang
    assert 'cause="killed by master: timeout"' in death
    assert re.search(r'gunicorn_says="WORKER TIMEOUT \(pid:\d+\)"', hang), "alerts look for these words"
    alive_again(server, since)


def test_a_blocked_event_loop_says_its_place() -> None:
    with running(Server, kind="asgi", app="deaths:asgi_application", config=CONFIG) as server:
        since = server.log_end()
        with ask(server, "/snooze"):
            hang = line_with(server, "worker timeout", since)
        assert 'request="GET /snooze"' in hang
        assert place("snooze") in hang
        assert f'cause="{Cause.SLEEP if kernel_tells() else Cause.HANG}"' in hang
        alive_again(server, since)


def test_threads_that_wait_for_each_other_are_a_deadlock_also_in_a_worker_of_a_mold() -> None:
    config = f"{CONFIG}threads = 4\npreload_app = True\nmask_query = True\n"
    with running(Server, kind="gthread", app="deaths:application", config=config) as server:
        since = server.log_end()
        with ask(server, "/meet?0,1"), ask(server, "/meet?1,0"):
            wait_until(lambda: all_wait(server), "both wait")
            assert server.stop() == 0
        report = line_with(server, "worker did not finish in time", since)
        death = line_with(server, "worker died", since)
    assert 'limit="graceful timeout" request="GET /meet?***" for_s=' in report
    assert place("meet") in report
    if kernel_tells():
        assert f'cause="{Cause.DEADLOCK}" cure="{cure_for(Cause.DEADLOCK)}"' in report
    assert death.count('request="GET /meet?***"') == 2
    assert "1,0" not in server.log(since).partition("worker did not finish")[2], "the query is masked"


def all_wait(server: Server) -> bool:
    """Nobody of the worker's threads runs."""
    (pid,) = server.worker_pids()
    states = [
        stat.read_text(encoding="ascii").rpartition(") ")[2][0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")
    ]
    return states.count("S") == len(states) >= 3
