"""`make bench`: Ostler beside Gunicorn in one run on one machine. Needs wrk, and Gunicorn of the extra `dev`.

Hello world: wrk with one thread, 32 keep-alive connections and a browser's headers. CPU time is that of the server's
processes, so it does not depend on what wrk itself costs. Mixed: six keep-alive clients, one request in twenty takes
500 ms; what counts is how long the fast ones take. The contenders alternate; medians of the rounds are shown.
"""

import argparse
import os
import platform
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from servers import Contender, Running, running

REFERENCE = Contender("gunicorn", "gthread")  # with more threads Gunicorn costs more
HELLO = [
    Contender("ostler", "gthread"),
    Contender("ostler", "gthread", threads=4),
    Contender("ostler", "sync"),
    REFERENCE,
    Contender("gunicorn", "gthread", threads=4),
    Contender("gunicorn", "sync"),
]
MIXED = [
    Contender("ostler", "gthread", threads=2),
    Contender("ostler", "sync"),
    Contender("gunicorn", "gthread", threads=2),
]
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br",
    "Cookie": "session=0123456789abcdef0123456789abcdef; theme=dark",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "none",
}
MIXED_CLIENTS = 6
MIXED_WORKERS = 4
SLOW_SHARE = 0.05


@dataclass(frozen=True)
class Throughput:
    requests_per_s: float
    cpu_us: float  # of the whole server, for one request
    errors: int


def lua_script() -> str:
    fields = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in BROWSER.items())
    return f"""{fields}
done = function(summary)
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write
                 + summary.errors.status + summary.errors.timeout
  print(string.format("FIGURES %d %d %d", summary.requests, summary.duration, failed))
end
"""


def run_wrk(wrk: str, script: Path, port: int, seconds: int) -> tuple[int, float, int]:
    """Requests, seconds, errors."""
    command = [wrk, "-t1", "-c32", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{port}/"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    figures = re.search(r"FIGURES (\d+) (\d+) (\d+)", output)
    if figures is None:
        raise SystemExit(f"wrk said nothing of use: {output}")
    return int(figures[1]), int(figures[2]) / 1e6, int(figures[3])


def hello_world(contender: Contender, wrk: str, script: Path, seconds: int, workers: int) -> Throughput:
    with running(contender, workers) as server:
        run_wrk(wrk, script, server.port, 1)  # caches warm, allocators grown
        before = server.cpu_seconds()
        requests, duration, errors = run_wrk(wrk, script, server.port, seconds)
        used = server.cpu_seconds() - before
    return Throughput(requests / duration, used / requests * 1e6, errors)


class MixedClient(threading.Thread):
    """One keep-alive client. It reconnects when the server closes; `took_ms` has its fast requests only."""

    def __init__(self, server: Running, first: int, count: int) -> None:
        super().__init__()
        self.server = server
        self.numbers = range(first, first + count * MIXED_CLIENTS, MIXED_CLIENTS)
        self.took_ms: list[float] = []
        self.broken = 0

    def run(self) -> None:
        connection: socket.socket | None = None
        for number in self.numbers:
            slow = random.Random(number).random() < SLOW_SHARE  # the same for every contender
            started = time.perf_counter()
            if connection is None:
                connection = socket.create_connection(("127.0.0.1", self.server.port), timeout=30)
            path = "/slow" if slow else "/"
            try:
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                answer = b""
                while b"Hello, World!" not in answer:
                    data = connection.recv(65536)
                    if not data:
                        raise ConnectionError
                    answer += data
            except OSError:
                self.broken += 1
                connection.close()
                connection = None
                continue
            if not slow:
                self.took_ms.append((time.perf_counter() - started) * 1000)
            if b"connection: close" in answer.lower():
                connection.close()
                connection = None
        if connection is not None:
            connection.close()


def mixed(contender: Contender, requests: int) -> tuple[list[float], int]:
    """The milliseconds of each fast request, and how many requests broke."""
    with running(contender, MIXED_WORKERS) as server:
        clients = [MixedClient(server, first, requests // MIXED_CLIENTS) for first in range(MIXED_CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    return [ms for client in clients for ms in client.took_ms], sum(client.broken for client in clients)


def report_hello(results: dict[Contender, list[Throughput]]) -> None:
    print(f"\n{'hello world, 1 worker':<24}{'requests/s':>12}{'CPU us/request':>16}{'errors':>8}{'CPU ratio':>11}")
    medians = {
        contender: (
            statistics.median(one.requests_per_s for one in rounds),
            statistics.median(one.cpu_us for one in rounds),
            sum(one.errors for one in rounds),
        )
        for contender, rounds in results.items()
    }
    reference = medians.get(REFERENCE, next(iter(medians.values())))[1]
    for contender, (rate, cpu, errors) in medians.items():
        print(f"{contender!s:<24}{rate:>12.0f}{cpu:>16.1f}{errors:>8}{reference / cpu:>10.2f}x")
    compared = REFERENCE if REFERENCE in medians else "the first"
    print(f"CPU ratio: requests served with the CPU time of one of {compared}")


def report_mixed(results: dict[Contender, list[tuple[list[float], int]]]) -> None:
    print(f"\n{'mixed, fast requests':<24}{'p50 ms':>10}{'p90 ms':>10}{'p99 ms':>10}{'broken':>8}")
    for contender, rounds in results.items():
        cuts = [statistics.quantiles(ms, n=100) for ms, _ in rounds]
        p50, p90, p99 = (statistics.median(cut[percent - 1] for cut in cuts) for percent in (50, 90, 99))
        print(f"{contender!s:<24}{p50:>10.2f}{p90:>10.2f}{p99:>10.2f}{sum(broken for _, broken in rounds):>8}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="of one run of wrk (which takes whole ones)")
    parser.add_argument("--workers", type=int, default=1, help="of the hello world servers")
    parser.add_argument("--mixed-requests", type=int, default=1800, help="in one round; 0 leaves the mixed case out")
    parser.add_argument("--only", choices=["ostler", "gunicorn"], help="leave the other one out")
    arguments = parser.parse_args()
    wrk = shutil.which("wrk")
    if wrk is None:
        sys.exit("bench: wrk is not installed (Debian: apt-get install wrk)")
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores", flush=True)

    def chosen(contenders: list[Contender]) -> list[Contender]:
        return [one for one in contenders if arguments.only in (None, one.program)]

    hello: dict[Contender, list[Throughput]] = {contender: [] for contender in chosen(HELLO)}
    slow: dict[Contender, list[tuple[list[float], int]]] = {contender: [] for contender in chosen(MIXED)}
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory, "browser.lua")
        script.write_text(lua_script())
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", flush=True)
            for contender, throughputs in hello.items():
                throughputs.append(hello_world(contender, wrk, script, arguments.seconds, arguments.workers))
            if arguments.mixed_requests:
                for contender, latencies in slow.items():
                    latencies.append(mixed(contender, arguments.mixed_requests))
    report_hello(hello)
    if arguments.mixed_requests:
        report_mixed(slow)


if __name__ == "__main__":
    main()
