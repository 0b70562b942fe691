"""What the tests of remote sinks share: a clock that is set, a resolver that is told, a service that can be stopped."""

import contextlib
import select
import socket
import time
from collections.abc import Callable, Iterator

from ostler.observe.line import Loss
from ostler.observe.remote import Wiring
from ostler.observe.resolve import Answer

HOST = "127.0.0.1"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class ToldResolver:
    """Answers what it is told, when it is told."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.answer: Answer | None = None

    def start(self, host: str, port: int) -> None:
        self.asked.append((host, port))

    def result(self) -> Answer | None:
        return self.answer

    def close(self) -> None:
        self.answer = None


class Desk:
    """Everything that a Remote is wired to."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.resolver = ToldResolver()
        self.losses: list[Loss] = []
        self.wiring = Wiring(lambda: self.resolver, self.losses.append, self.clock)


def wait_until(condition: Callable[[], bool], deadline_s: float = 10.0) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        select.select([], [], [], 0.001)


@contextlib.contextmanager
def udp_server(port: int = 0, host: str = HOST) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as server:
        server.bind((host, port))
        server.settimeout(10)
        yield server


@contextlib.contextmanager
def tcp_server(port: int = 0) -> Iterator[socket.socket]:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((HOST, port))
        server.listen()
        server.settimeout(10)
        yield server


@contextlib.contextmanager
def accepted(server: socket.socket) -> Iterator[socket.socket]:
    connection, _ = server.accept()
    with connection:
        connection.settimeout(10)
        yield connection


def port_of(server: socket.socket) -> int:
    return int(server.getsockname()[1])


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((HOST, 0))
        return port_of(probe)


def received(server: socket.socket, count: int) -> list[bytes]:
    """The next datagrams."""
    return [server.recv(65536) for _ in range(count)]


def read_bytes(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := connection.recv(count - len(data))):
        data += more
    return data
