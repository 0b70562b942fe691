"""The memory of preloaded Django workers, at their start and after some thousand requests. Part of run.py.

A Django site (tests/apps/django_site) with 30 users in SQLite serves its pages, those of the admin for a user who is
logged in: lists and forms made by templates and the ORM, a form with CSRF protection, a stream. Every request has a
connection of its own, so that all workers get some. Memory is looked at when the server has come to rest.

PSS divides a page of memory among the processes that share it, so the sum is what the server really takes. RSS counts
a shared page in each of them.
"""

import argparse
import contextlib
import http.client
import itertools
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from servers import HERE, Running, children_of, free_port

from ostler.process.memory import pss_bytes, rss_bytes

APPS: Final = HERE.parent / "tests" / "apps"
APP: Final = "django_site.wsgi:application"
PAGES: Final = (
    "/",
    "/form/",
    "/admin/",
    "/admin/auth/user/",
    "/form/",
    "/admin/auth/user/?q=user1&o=2",
    "/stream/",
    "/admin/auth/user/7/change/",
    "/",
    "/admin/auth/group/add/",
)
CLIENTS: Final = 8
USERS: Final = 30
REST_S: Final = 1.0
"""A server that has used no CPU time for so long has come to rest."""
START_S: Final = 60.0
STOP_S: Final = 20.0

MORE_USERS: Final = f"""
import django
django.setup()
from django.contrib.auth.models import User
User.objects.bulk_create(User(username=f"user{{number}}", email=f"{{number}}@example.org") for number in range({USERS}))
"""


@dataclass(frozen=True)
class Contender:
    """name: as the table says. options: beside the address and the number of workers."""

    name: str
    program: str
    options: tuple[str, ...] = ()

    def command(self, port: int, workers: int) -> list[str]:
        command = [sys.executable, "-m", self.program, "--bind", f"127.0.0.1:{port}", "--workers", str(workers)]
        if self.program == "gunicorn":
            command += ["--no-control-socket"]
        return [*command, "--worker-class", "sync", *self.options, APP]


CONTENDERS: Final = (
    Contender("ostler preload", "ostler", ("--preload",)),
    Contender("ostler preload refork", "ostler", ("--preload", "--refork-after", "REFORK")),
    Contender("ostler", "ostler"),
    Contender("gunicorn preload", "gunicorn", ("--preload",)),
    Contender("gunicorn", "gunicorn"),
)


@dataclass(frozen=True)
class Site:
    """A site that answers. session: the value of the administrator's cookie."""

    server: Running
    log: Path
    session: str

    def mold(self) -> int | None:
        """The present one's pid; Ostler says it in its log."""
        found = re.findall(r"mold ready gen=\d+ pid=(\d+)", self.log.read_text())
        return int(found[-1]) if found else None

    def workers(self) -> list[int]:
        mold = self.mold()
        return [pid for pid in children_of(self.server.pid) if pid != mold]

    def rest(self) -> None:
        """Wait until nothing happens any more."""
        seen, since = self.server.cpu_seconds(), time.monotonic()
        end = since + START_S
        while time.monotonic() - since < REST_S and time.monotonic() < end:
            time.sleep(0.1)
            now = self.server.cpu_seconds()
            # a heart beats in each worker; what it takes is less than a tick a second
            if now - seen > 0.02:
                seen, since = now, time.monotonic()

    def reforks(self) -> int:
        return self.log.read_text().count("refork complete")


@dataclass(frozen=True)
class Memory:
    """In bytes."""

    pss: tuple[int, ...]
    rss: tuple[int, ...]
    others_pss: int
    """Of the master and the mold."""

    @classmethod
    def of(cls, site: Site) -> "Memory":
        workers = site.workers()
        others = [site.server.pid, site.mold()]
        return cls(
            tuple(pss_bytes(pid) or 0 for pid in workers),
            tuple(rss_bytes(pid) or 0 for pid in workers),
            sum(pss_bytes(pid) or 0 for pid in others if pid is not None),
        )


@dataclass(frozen=True)
class Result:
    start: Memory
    end: Memory
    reforks: int
    failed: int


def prepare(home: Path) -> None:
    """The database: an administrator, and users for the lists."""
    environment = environment_of(home)
    subprocess.run([sys.executable, "-m", "django_site.prepare"], env=environment, check=True)
    environment["DJANGO_SETTINGS_MODULE"] = "django_site.settings"
    subprocess.run([sys.executable, "-c", MORE_USERS], env=environment, check=True)


def environment_of(home: Path) -> dict[str, str]:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "DJANGO_SITE_DIR": str(home)}
    environment["PYTHONPATH"] = os.pathsep.join([str(APPS), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment.pop("GUNICORN_CMD_ARGS", None)
    return environment


@contextmanager
def serving(contender: Contender, workers: int, home: Path) -> Iterator[Site]:
    """The site, when all workers have loaded it and one has let the administrator in."""
    port, log = free_port(), home / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            contender.command(port, workers),
            env=environment_of(home),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + START_S
        while not answers(port):
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{contender.name} does not answer: {log.read_text()}")
            time.sleep(0.1)
        server = Running(port, process.pid)
        Site(server, log, "").rest()
        yield Site(server, log, log_in(port))
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the session is ours: nobody else is in it
        process.wait()


def answers(port: int) -> bool:
    try:
        return ask(port, "/", "") == 200
    except OSError:
        return False


def ask(port: int, page: str, session: str) -> int:
    """The status of the answer, of which all was read."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", page, headers={"Connection": "close", "Cookie": f"sessionid={session}"})
        response = connection.getresponse()
        response.read()
        return response.status


def log_in(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", "/admin/login/", headers={"Connection": "close"})
        page = connection.getresponse().read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token is not None
    form = {"username": "admin", "password": "horse", "csrfmiddlewaretoken": token[1], "next": "/admin/"}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": f"csrftoken={token[1]}"}
    with contextlib.closing(connection):
        connection.request("POST", "/admin/login/", urllib.parse.urlencode(form), {**headers, "Connection": "close"})
        cookies = connection.getresponse().msg.get_all("Set-Cookie", [])
    session = re.search(r"sessionid=([^;]+)", " ".join(cookies))
    assert session is not None, "the administrator was not let in"
    return session[1]


def load(site: Site, requests: int) -> int:
    """Ask for the pages in turn, from several clients; how many were not answered with 200."""
    turns = itertools.count()
    failures = itertools.count()

    def work() -> None:
        while (number := next(turns)) < requests:
            try:
                good = ask(site.server.port, PAGES[number % len(PAGES)], site.session) == 200
            except (OSError, http.client.HTTPException):
                good = False
            if not good:
                next(failures)

    clients = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return next(failures)


def measure(contender: Contender, workers: int, requests: int, home: Path) -> Result:
    with serving(contender, workers, home) as site:
        start = Memory.of(site)
        failed = load(site, requests)
        site.rest()
        return Result(start, Memory.of(site), site.reforks(), failed)


def report_head(workers: int, requests: int) -> None:
    print(f"\n{'':<24}{'-- at the start, MB':^36}{f'-- after {requests} requests, MB':^36}")
    columns = f"{'sum PSS':>9}{'worker':>9}{'others':>9}{'RSS':>9}"
    print(f"{f'{workers} Django workers':<24}{columns}{columns}{'reforks':>9}{'failed':>8}", flush=True)


def report(contender: Contender, result: Result) -> None:
    row = f"{_row(result.start)}{_row(result.end)}{result.reforks:>9}{result.failed:>8}"
    print(f"{contender.name:<24}{row}", flush=True)


def explain() -> None:
    print("sum PSS: of all workers, the master and the mold. worker: PSS of one, the median. others: PSS of the master")
    print("and the mold. RSS: of one worker, the median; pages that it shares are counted in full.")


def _row(memory: Memory) -> str:
    values = (
        sum(memory.pss) + memory.others_pss,
        statistics.median(memory.pss),
        memory.others_pss,
        statistics.median(memory.rss),
    )
    return "".join(f"{value / 1e6:>9.1f}" for value in values)


def add_options(parser: argparse.ArgumentParser, requests: int) -> None:
    group = parser.add_argument_group("memory")
    group.add_argument("--memory-requests", type=int, default=requests, help="of a Django site; 0 leaves it out")
    group.add_argument("--memory-workers", type=int, default=8)
    group.add_argument("--memory-refork-after", default="500,2000", help="of the one that reforks")
    names = ", ".join(contender.name for contender in CONTENDERS)
    group.add_argument("--memory-only", nargs="+", metavar="NAME", help=f"of {names}")


def measure_all(arguments: argparse.Namespace) -> None:
    """Run each contender, and print its row of the table."""
    report_head(arguments.memory_workers, arguments.memory_requests)
    for contender in CONTENDERS:
        if arguments.memory_only and contender.name not in arguments.memory_only:
            continue
        options = tuple(each.replace("REFORK", arguments.memory_refork_after) for each in contender.options)
        one = Contender(contender.name, contender.program, options)
        with tempfile.TemporaryDirectory() as home:
            prepare(Path(home))
            report(one, measure(one, arguments.memory_workers, arguments.memory_requests, Path(home)))
    explain()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, requests=10_000)
    arguments = parser.parse_args()
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores", flush=True)
    measure_all(arguments)


if __name__ == "__main__":
    main()
