"""`make bench`: Ostler beside others in one run on one machine. Needs wrk, and what the extra `dev` brings.

Hello world: wrk with one thread, 32 keep-alive connections and a browser's headers. CPU time is that of the server's
processes, so it does not depend on what wrk itself costs. Mixed: six keep-alive clients, one request in twenty takes
500 ms; what counts is how long the fast ones take. The contenders alternate; medians of the rounds are shown.
ASGI: see asgi_servers.py. Slow clients: see slow_clients.py. Memory, when asked for: see memory.py.
"""

import argparse
import os
import platform
import random
import socket
import statistics
import sys
import threading
import time

import asgi_servers
import memory
import slow_clients
from servers import Contender, Running, running
from wrk import Throughput, Wrk, find_wrk

REFERENCE = Contender("gunicorn", "gthread")  # with more threads Gunicorn costs more
HELLO = [
    Contender("ostler", "gthread"),
    Contender("ostler", "gthread", threads=4),
    Contender("ostler", "sync"),
    Contender("ostler", "gevent"),
    REFERENCE,
    Contender("gunicorn", "gthread", threads=4),
    Contender("gunicorn", "sync"),
    Contender("gunicorn", "gevent"),
]
MIXED = [
    Contender("ostler", "gthread", threads=2),
    Contender("ostler", "sync"),
    Contender("gunicorn", "gthread", threads=2),
]
MIXED_CLIENTS = 6
MIXED_WORKERS = 4
SLOW_SHARE = 0.05


def hello_world(contender: Contender, wrk: Wrk, seconds: int, workers: int) -> Throughput:
    with running(contender, workers) as server:
        wrk.run(server, 1)  # caches warm, allocators grown
        return wrk.run(server, seconds)


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
    parser.add_argument("--rounds", type=int, default=3, help="0: the slow clients only")
    parser.add_argument("--seconds", type=int, default=4, help="of one run of wrk (which takes whole ones)")
    parser.add_argument("--workers", type=int, default=1, help="of the hello world servers")
    parser.add_argument("--mixed-requests", type=int, default=1800, help="in one round; 0 leaves the mixed case out")
    parser.add_argument("--no-asgi", action="store_true", help="leave ASGI out")
    parser.add_argument("--only", help="only contenders whose names begin so, as `ostler` or `ostler sync`")
    slow_clients.add_options(parser)
    memory.add_options(parser, requests=0)
    arguments = parser.parse_args()
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores", flush=True)

    def chosen(contenders: list[Contender]) -> list[Contender]:
        return asgi_servers.like(arguments.only, contenders)

    hello: dict[Contender, list[Throughput]] = {contender: [] for contender in chosen(HELLO)}
    slow: dict[Contender, list[tuple[list[float], int]]] = {contender: [] for contender in chosen(MIXED)}
    with find_wrk() as wrk:
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", flush=True)
            for contender, throughputs in hello.items():
                throughputs.append(hello_world(contender, wrk, arguments.seconds, arguments.workers))
            if arguments.mixed_requests:
                for contender, latencies in slow.items():
                    latencies.append(mixed(contender, arguments.mixed_requests))
        if arguments.rounds:
            report_hello(hello)
            if arguments.mixed_requests:
                report_mixed(slow)
            if not arguments.no_asgi:
                asgi_servers.measure(arguments.rounds, arguments.seconds, wrk, chosen)
            sys.stdout.flush()
        if arguments.slow_clients:
            slow_clients.measure(arguments, chosen([one for one in slow_clients.CONTENDERS if one.installed]), wrk)
    if arguments.memory_requests:
        memory.measure_all(arguments)


if __name__ == "__main__":
    main()
