"""A thousand slow clients against one worker, and what normal clients notice of them. Part of run.py.

Normal clients ask for the small page at a fixed rate, first of a server that is left alone and then beside the slow
clients (dawdlers.py). They do not wait for each other: a server that stalls for a second is late two hundred times.
Every other request has a connection of its own, the rest use kept ones. One without an answer after 5 s is lost.

CPU time is that of all processes of the server, divided by the normal requests that were answered: nothing of what the
slow clients cost is taken off. At the fixed rate that is a matter of proportion (a byte from each of 1,000 clients
every 5 s is as many events as normal requests); wrk shows it for a busy server. The time in which the slow clients
come is told apart ("coming"): that is when 1,000 pages of 1 MB are made.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from servers import HERE, Contender, Running, Usage, allow_many_files, running
from wrk import Throughput, Wrk, find_wrk

CONTENDERS: Final = [
    Contender("ostler", "sync"),
    Contender("ostler", "gthread", threads=4),
    Contender("gunicorn", "gthread", threads=4),
    Contender("gunicorn", "sync"),
    Contender("waitress", "waitress", threads=4),
    Contender("uwsgi", "uwsgi", threads=4),
]
KINDS: Final = {
    "header": "sending a head a byte at a time",
    "body": "sending a body a byte at a time",
    "reader": "reading 1 MB a KB at a time",
}
PERIOD_S: Final = 0.005  # from one normal request to the next
LATE_MS: Final = 100.0
GIVE_UP_S: Final = 5.0
CLOSE: Final = "Connection: close\r\n"
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
SETTLE_S: Final = 3.0
"""After the last slow client has sent its request, it still counts as coming; shorter in a shorter run."""
ALONE_S: Final = 4.0
"""Likewise, without slow clients."""


class NormalClients(threading.Thread):
    """Ask at a fixed rate, whatever became of earlier requests, until they are told to stop."""

    def __init__(self, server: Running) -> None:
        super().__init__()
        self.port = server.port
        self.took_ms: list[float] = []
        self.lost = 0
        self.over = threading.Event()
        self._idle: list[Connection] = []

    def run(self) -> None:
        asyncio.run(self._ask_all())

    async def _ask_all(self) -> None:
        due, number = time.perf_counter(), 0
        async with asyncio.TaskGroup() as asking:
            while not self.over.is_set():
                asking.create_task(self._ask(keep=number % 2 == 0))
                due, number = due + PERIOD_S, number + 1
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
        for _, writer in self._idle:
            writer.close()

    async def _ask(self, keep: bool) -> None:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(GIVE_UP_S):
                kept = await self._exchange(self._idle.pop() if keep and self._idle else None, keep)
        except (OSError, EOFError):
            self.lost += 1
            return
        self.took_ms.append((time.perf_counter() - started) * 1000)
        if kept is not None:
            self._idle.append(kept)

    async def _exchange(self, connection: Connection | None, keep: bool) -> Connection | None:
        """One request; the connection, if it is still of use."""
        if connection is None:
            connection = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = connection
        try:
            writer.write(f"GET / HTTP/1.1\r\nHost: localhost\r\n{'' if keep else CLOSE}\r\n".encode())
            answer = await reader.readuntil(b"Hello, World!")
        except BaseException:
            writer.transport.abort()
            raise
        if keep and b"connection: close" not in answer.lower():
            return connection
        writer.close()
        return None


@dataclass(frozen=True)
class Watched:
    """What the normal clients saw in one stretch of time."""

    took_ms: list[float]
    lost: int
    cpu_s: float

    @property
    def late(self) -> int:
        return sum(ms > LATE_MS for ms in self.took_ms)

    @property
    def cpu_us(self) -> float:
        """Of the server, for one answered request."""
        return self.cpu_s / len(self.took_ms) * 1e6 if self.took_ms else float("inf")

    def percentile(self, percent: int) -> float:
        if len(self.took_ms) < 2:
            return float("inf")
        return statistics.quantiles(self.took_ms, n=100)[percent - 1]

    @property
    def longest(self) -> float:
        return max(self.took_ms, default=float("inf"))


@contextmanager
def watching(server: Running, found: list[Watched]) -> Iterator[None]:
    """Let the normal clients ask as long as the block lasts; append what they saw."""
    before = server.cpu_seconds()
    clients = NormalClients(server)
    clients.start()
    try:
        yield
    finally:
        clients.over.set()
        clients.join()
        found.append(Watched(clients.took_ms, clients.lost, server.cpu_seconds() - before))


@dataclass(frozen=True)
class Attack:
    """How many slow clients come, how fast, and how often each does something."""

    count: int
    pace_s: float
    per_s: float
    """How many connect in a second; 0: all at once."""
    seconds: float

    @property
    def wrk_s(self) -> int:
        return 2 if self.seconds >= 2 else 1

    def command(self, kind: str, port: int) -> list[str]:
        command = [sys.executable, str(HERE / "dawdlers.py"), kind, str(self.count), str(port)]
        return [*command, "--pace", str(self.pace_s), "--per-second", str(self.per_s)]


@dataclass(frozen=True)
class Alone:
    watched: Watched
    wrk: Throughput


@dataclass(frozen=True)
class Beside:
    coming: Watched
    watched: Watched
    wrk: Throughput
    usage: Usage
    cut: int


def alone(contender: Contender, attack: Attack, wrk: Wrk) -> Alone:
    found: list[Watched] = []
    with running(contender, 1) as server:
        wrk.run(server, 1)
        with watching(server, found):
            time.sleep(min(ALONE_S, attack.seconds))
        return Alone(found[0], wrk.run(server, attack.wrk_s))


def beside(contender: Contender, kind: str, attack: Attack, wrk: Wrk) -> Beside:
    found: list[Watched] = []
    with running(contender, 1) as server:
        wrk.run(server, 1)
        command = attack.command(kind, server.port)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as slow:
            assert slow.stdin is not None
            assert slow.stdout is not None
            with watching(server, found):
                slow.stdout.readline()
                time.sleep(min(SETTLE_S, attack.seconds))
            with watching(server, found):
                time.sleep(attack.seconds)
            usage = server.usage()
            throughput = wrk.run(server, attack.wrk_s)
            slow.stdin.close()
            tally = json.loads(slow.stdout.readline())
    return Beside(found[0], found[1], throughput, usage, tally["cut"] + tally["refused"])


def report(kind: str, attack: Attack, before: dict[Contender, Alone], results: dict[Contender, Beside]) -> None:
    rate = round(1 / PERIOD_S)
    print(
        f"\n{attack.count} slow clients {KINDS[kind]}, each once in {attack.pace_s:g} s; {attack.seconds:g} s, "
        f"{rate} normal requests/s"
    )
    print(
        f"{'1 worker':<20}{'coming':>8}{'p50 ms':>8}{'p99':>8}{'max':>8}{'late':>6}{'lost':>6}"
        f"{'CPU us':>8}{'alone':>7}{'ratio':>6}{'wrk us':>8}{'alone':>7}{'ratio':>6}"
        f"{'RSS MB':>8}{'PSS':>6}{'files':>7}{'disk MB':>8}{'cut':>6}"
    )
    for contender, one in results.items():
        quiet, coming, watched, usage = before[contender], one.coming, one.watched, one.usage
        print(
            f"{contender!s:<20}{_ms(coming.longest)}{_ms(watched.percentile(50))}{_ms(watched.percentile(99))}"
            f"{_ms(watched.longest)}{coming.late + watched.late:>6}{coming.lost + watched.lost:>6}"
            f"{_cost(watched.cpu_us, quiet.watched.cpu_us)}{_cost(one.wrk.cpu_us, quiet.wrk.cpu_us)}"
            f"{usage.peak_rss / 1e6:>8.0f}{usage.pss / 1e6:>6.0f}{usage.open_files:>7}{usage.spilled / 1e6:>8.0f}"
            f"{one.cut:>6}"
        )


def _ms(value: float) -> str:
    return f"{value:>8.1f}" if value != float("inf") else f"{'none':>8}"


def _cost(cpu_us: float, alone_us: float) -> str:
    if cpu_us == float("inf"):
        return f"{'none':>8}{alone_us:>7.0f}{'-':>6}"
    return f"{cpu_us:>8.0f}{alone_us:>7.0f}{cpu_us / alone_us:>6.2f}"


def explain() -> None:
    print(
        f"""
coming: the longest while they connect and {SETTLE_S:g} s after. late: over {LATE_MS:g} ms, coming or after. lost:
no answer within {GIVE_UP_S:g} s. CPU us: of the server for one normal request, at the fixed rate and under wrk; alone:
without slow clients. RSS: the most the worker ever had (VmHWM). PSS, files, disk (spill files): at the end.
cut: slow connections that the server ended or did not take."""
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("slow clients")
    group.add_argument("--slow-clients", type=int, default=1000, help="of each kind; 0 leaves them out")
    group.add_argument("--slow-seconds", type=float, default=10, help="for each kind and contender")
    group.add_argument("--slow-kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    group.add_argument("--slow-pace", type=float, default=5, metavar="SECONDS", help="between two steps of a client")
    group.add_argument("--slow-per-second", type=float, default=0, help="that connect in a second; 0: all at once")


def measure(arguments: argparse.Namespace, contenders: list[Contender], wrk: Wrk) -> None:
    """Run and print one table for each kind of slowness."""
    allow_many_files()
    attack = Attack(
        arguments.slow_clients, arguments.slow_pace, arguments.slow_per_second, max(1.0, arguments.slow_seconds)
    )
    before = {contender: alone(contender, attack, wrk) for contender in contenders}
    for kind in arguments.slow_kinds:
        report(kind, attack, before, {contender: beside(contender, kind, attack, wrk) for contender in contenders})
        sys.stdout.flush()
    explain()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--only", nargs="+", metavar="NAME", help='such as "ostler sync"; as the table says')
    arguments = parser.parse_args()
    chosen = [one for one in CONTENDERS if one.installed and (not arguments.only or str(one) in arguments.only)]
    with find_wrk() as wrk:
        measure(arguments, chosen, wrk)


if __name__ == "__main__":
    main()
