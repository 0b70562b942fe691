"""ASGI beside uvicorn (uvloop, httptools), Granian and Gunicorn's asgi kind: plain HTTP, FastAPI, WebSocket echo.

One worker each, uvloop for all. HTTP by wrk, as in run.py. WebSocket: 32 clients in this process, each with one message
of 64 bytes on its way; what they cost has no influence on the servers' CPU time, but limits the messages per second.
Run by `make bench`; alone: `.venv/bin/python benchmarks/asgi_servers.py --rounds 3`.
"""

import argparse
import base64
import os
import selectors
import socket
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from servers import Contender, Running, running
from wrk import Throughput, Wrk, find_wrk

REFERENCE = Contender("uvicorn", "uvicorn")
CONTENDERS = [
    Contender("ostler", "asgi"),
    REFERENCE,
    Contender("granian", "asgi"),
    Contender("gunicorn", "asgi"),
]
CLIENTS = 32
MESSAGE = b"m" * 64
STALLED_S = 5.0


@dataclass(frozen=True)
class Case:
    title: str
    application: str
    measure: Callable[[Running, Wrk, int], Throughput]


def http(server: Running, wrk: Wrk, seconds: int) -> Throughput:
    wrk.run(server, 1)  # caches warm, allocators grown
    return wrk.run(server, seconds)


def frame(payload: bytes) -> bytes:
    """A client's text message (RFC 6455 section 5.2), up to 125 bytes."""
    mask = os.urandom(4)
    return bytes([0x81, 0x80 | len(payload)]) + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


class Echo:
    """One client of the WebSocket: it has one message on its way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            if not (data := self.socket.recv(4096)):
                break
            answer += data
        if not answer.startswith(b"HTTP/1.1 101"):
            raise SystemExit(f"no WebSocket: {answer[:200]!r}")
        self.question = frame(MESSAGE)
        self.expected = bytes([0x81, len(MESSAGE)]) + MESSAGE
        self.got = b""

    def ask(self) -> None:
        self.socket.sendall(self.question)

    def hear(self) -> int:
        """How many answers are complete now, 0 or 1; -1: it is broken."""
        try:
            data = self.socket.recv(4096)
        except OSError:
            return -1
        self.got += data
        if len(self.got) < len(self.expected) and data:
            return 0
        right = self.got == self.expected
        self.got = b""
        return 1 if right else -1


def echo(server: Running, wrk: Wrk, seconds: int) -> Throughput:
    clients = [Echo(server.port) for _ in range(CLIENTS)]
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)
            client.ask()
        _turn(selector, 0.5)
        before, began = server.cpu_seconds(), time.monotonic()
        answered, errors = _turn(selector, seconds)
        took, used = time.monotonic() - began, server.cpu_seconds() - before
    for client in clients:
        client.socket.close()
    return Throughput(answered / took, used / answered * 1e6 if answered else float("inf"), errors)


def _turn(selector: selectors.BaseSelector, seconds: float) -> tuple[int, int]:
    """Let everybody ask again and again: how many answers came, and how many clients broke."""
    answered = errors = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end and selector.get_map():
        ready = selector.select(STALLED_S)
        if not ready:
            return answered, errors + len(selector.get_map())
        for key, _ in ready:
            heard = key.data.hear()
            if heard > 0:
                answered += 1
                key.data.ask()
            elif heard < 0:
                errors += 1
                selector.unregister(key.fileobj)
    return answered, errors


CASES = [
    Case("plain HTTP", "hello_asgi:application", http),
    Case("FastAPI", "hello_fastapi:application", http),
    Case("WebSocket echo", "hello_asgi:application", echo),
]


def report(case: Case, results: dict[Contender, list[Throughput]]) -> None:
    print(f"\n{f'ASGI, {case.title}':<24}{'requests/s':>12}{'CPU us/request':>16}{'errors':>8}{'CPU ratio':>11}")
    cpu = {one: statistics.median(each.cpu_us for each in rounds) for one, rounds in results.items()}
    compared = REFERENCE if REFERENCE in cpu else next(iter(cpu))
    for one, rounds in results.items():
        rate, errors = statistics.median(each.requests_per_s for each in rounds), sum(each.errors for each in rounds)
        print(f"{one!s:<24}{rate:>12.0f}{cpu[one]:>16.1f}{errors:>8}{cpu[compared] / cpu[one]:>10.2f}x")
    print(f"CPU ratio: requests served with the CPU time of one of {compared}")


def measure(rounds: int, seconds: int, wrk: Wrk, chosen: Callable[[list[Contender]], list[Contender]]) -> None:
    """All cases; the contenders alternate, medians of the rounds are shown."""
    contenders = [one for one in chosen(CONTENDERS) if one.installed]
    for case in CASES if contenders else ():
        results: dict[Contender, list[Throughput]] = {one: [] for one in contenders}
        for _ in range(rounds):
            for one, throughputs in results.items():
                with running(one, 1, case.application) as server:
                    throughputs.append(case.measure(server, wrk, seconds))
        report(case, results)


def like(only: str | None, contenders: list[Contender]) -> list[Contender]:
    """Those whose names begin with `only`."""
    return [one for one in contenders if str(one).startswith(only or "")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="of one run of wrk (which takes whole ones)")
    parser.add_argument("--only", help="only contenders whose names begin so, as `ostler`")
    arguments = parser.parse_args()
    with find_wrk() as wrk:
        measure(arguments.rounds, arguments.seconds, wrk, partial(like, arguments.only))


if __name__ == "__main__":
    main()
