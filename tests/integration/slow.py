"""Hundreds of slow clients in one thread, honest ones: at the end each hurries up and wants its whole answer.

head     sends its request head a byte at a time
body     sends its request body a byte at a time
reader   asks for a megabyte and reads a kilobyte at a time
"""

import selectors
import threading
import time
from types import TracebackType

from tests.integration.client import Address, connect, request_bytes
from tests.integration.waiting import wait_until

READER_BYTES = 1_000_000
BODY = b"slow body " * 20
PACE_S = 0.25  # between two steps of one client
TICK_S = 0.02


class SlowClient:
    """One connection: what it still has to send, what it has received."""

    def __init__(self, address: Address, kind: str) -> None:
        self.socket = connect(address, receive_buffer=4096 if kind == "reader" else None)
        self.received = bytearray()
        self.error = ""
        match kind:
            case "head":
                now, self.pending = b"GET /pid HTTP/1.1\r\n", b"Host: localhost\r\nConnection: close\r\n\r\n"
                self.expected = b"HTTP/1.1 200 "
            case "body":
                whole = request_bytes("POST", "/digest", [("Connection", "close")], BODY)
                now, self.pending = whole[: -len(BODY)], BODY
                self.expected = b"HTTP/1.1 200 "
            case "reader":
                target = f"/bytes/{READER_BYTES}"
                now, self.pending = request_bytes("GET", target, [("Connection", "close")]), b""
                self.expected = b"HTTP/1.1 200 "
            case _:
                raise ValueError(kind)
        self.least = READER_BYTES if kind == "reader" else 0
        self.socket.sendall(now)
        self.socket.setblocking(False)
        self.done = False

    def step(self, send_bytes: int, receive_bytes: int) -> None:
        """Send and receive at most so much."""
        try:
            if self.pending:
                sent = self.socket.send(self.pending[:send_bytes])
                self.pending = self.pending[sent:]
            data = self.socket.recv(receive_bytes)
            self.received += data
            if not data:
                self.done = True
        except BlockingIOError:
            pass
        except OSError as error:
            self.error = repr(error)
            self.done = True

    @property
    def satisfied(self) -> bool:
        return (
            not self.error
            and not self.pending
            and self.received.startswith(self.expected)
            and len(self.received) >= self.least
        )


class SlowClients:
    """`with SlowClients(address, 200, "head") as slow:` they dawdle; finish() lets them hurry and counts the served."""

    def __init__(self, address: Address, count: int, kind: str) -> None:
        self.clients = [SlowClient(address, kind) for _ in range(count)]
        self.hurry = threading.Event()
        self.abandon = threading.Event()
        self.steps = 0
        self.slice_size = max(1, int(count * TICK_S / PACE_S))
        self.thread = threading.Thread(target=self.run)

    def __enter__(self) -> "SlowClients":
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abandon.set()
        self.hurry.set()
        self.thread.join(30)
        for client in self.clients:
            client.socket.close()

    def wait_dawdling(self) -> None:
        """Wait until each has taken a step, and each reader the first bytes of its answer."""
        rounds = len(self.clients) // self.slice_size + 1

        def dawdling() -> bool:
            return self.steps > rounds and all(client.received or not client.least for client in self.clients)

        wait_until(dawdling, "all slow clients are at it")

    def finish(self, deadline_s: float = 30.0) -> int:
        """Let every client hurry up; returns how many got their whole answer."""
        self.hurry.set()
        self.thread.join(deadline_s)
        return sum(client.satisfied for client in self.clients)

    def cut_early(self) -> int:
        """How many were cut off by the server so far without a whole answer."""
        return sum(client.done and not client.satisfied for client in self.clients)

    def run(self) -> None:
        at = 0
        while not self.hurry.wait(TICK_S):
            for client in (self.clients * 2)[at : at + self.slice_size]:
                if not client.done:
                    client.step(send_bytes=1, receive_bytes=1024)
            at = (at + self.slice_size) % len(self.clients)
            self.steps += 1
        self.rush()

    def rush(self) -> None:
        with selectors.DefaultSelector() as selector:
            for client in self.clients:
                if not client.done:
                    client.step(send_bytes=65536, receive_bytes=65536)
                if not client.done:
                    selector.register(client.socket, selectors.EVENT_READ, client)
            end = time.monotonic() + 30
            while selector.get_map() and not self.abandon.is_set() and time.monotonic() < end:
                for key, _ in selector.select(0.05):
                    client = key.data
                    client.step(send_bytes=65536, receive_bytes=262144)
                    if client.done:
                        selector.unregister(client.socket)


