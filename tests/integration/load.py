"""Keep-alive clients in threads that count exactly what became of each request.

ok        a complete answer with the expected status
wrong     a complete answer with another status
lost      the request was sent whole, and no complete answer came
cut       a connection that had answered before was closed, or refused the bytes, before the request was sent whole
refused   no connection could be made
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from tests.integration.client import Address, Client, Cut, Response, request_bytes
from tests.integration.waiting import wait_until


@dataclass
class Sample:
    """One answered request: when it was sent, how long its answer took (seconds), what it asked for."""

    sent_at: float
    took_s: float
    target: str


@dataclass
class Tally:
    ok: int = 0
    wrong: Counter[int] = field(default_factory=Counter)
    lost: list[tuple[float, str]] = field(default_factory=list)  # when it was sent, how it ended
    cut: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    connected: list[float] = field(default_factory=list)
    bodies: Counter[bytes] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"ok={self.ok} wrong={dict(self.wrong)} lost={len(self.lost)} cut={len(self.cut)} "
            f"refused={len(self.refused)} connections={len(self.connected)}"
        )

    def assert_nothing_failed(self) -> None:
        self.assert_at_most(0)

    def assert_at_most(self, failures: int) -> None:
        failed = len(self.lost) + len(self.cut) + len(self.refused) + self.wrong.total()
        assert failed <= failures, f"{self}; first: {self.lost[:3]}"
        assert self.ok > 0, "no request was made at all"


def percentile(values: list[float], percent: float) -> float:
    """The value below which `percent` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Load:
    """`with Load(address, clients=8) as load:` keeps asking until the block ends; then `load.tally` is complete."""

    def __init__(
        self,
        address: Address,
        clients: int = 8,
        target: str | Callable[[int], str] = "/pid",
        pause_s: float = 0.002,
        keep_alive: bool = True,
        requests: int | None = None,
        accept: Callable[[Response], bool] = lambda response: response.status == 200,
        make: Callable[[], Client] | None = None,
    ) -> None:
        self.address = address
        self.target = target
        self.pause_s = pause_s
        self.keep_alive = keep_alive
        self.requests = requests  # of each client; None: until the block ends
        self.accept = accept
        self.make = make or (lambda: Client(address))
        self.tally = Tally()
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.errors: list[BaseException] = []
        self.threads = [threading.Thread(target=self.guarded, args=(index,)) for index in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in self.threads), "a client waits for ever"
        if self.errors and error is None:
            raise self.errors[0]

    def wait_for(self, more: int, deadline_s: float = 20.0) -> None:
        """Wait until `more` requests than now were answered."""
        goal = self.tally.ok + more
        wait_until(
            lambda: self.tally.ok >= goal or self.errors, f"{more} more requests are answered", deadline_s
        )

    def wait_done(self, deadline_s: float = 40.0) -> None:
        """Wait until every client has made all its requests."""
        wait_until(lambda: not any(thread.is_alive() for thread in self.threads), "all requests are made", deadline_s)

    def guarded(self, index: int) -> None:
        try:
            self.work(index)
        except BaseException as error:  # noqa: BLE001  (shown by __exit__, in the test's own thread)
            self.errors.append(error)

    def work(self, index: int) -> None:
        client: Client | None = None
        number = index
        last = number + self.requests * len(self.threads) if self.requests is not None else None
        while not self.stopping.is_set() and number != last:
            target = self.target if isinstance(self.target, str) else self.target(number)
            number += len(self.threads)
            if client is None:
                client = self.connect()
            if client is not None:
                client = self.ask(client, target)
            if self.pause_s:
                self.stopping.wait(self.pause_s)
        if client is not None:
            client.close()

    def connect(self) -> Client | None:
        started = time.monotonic()
        try:
            client = self.make()
        except OSError:
            with self.lock:
                self.tally.refused.append(time.monotonic())
            self.stopping.wait(0.02)  # a client that is refused does not spin
            return None
        with self.lock:
            self.tally.connected.append(started)
        return client

    def ask(self, client: Client, target: str) -> Client | None:
        """One request. Returns the client while its connection can carry another."""
        fields = () if self.keep_alive else (("Connection", "close"),)
        started = time.monotonic()
        try:
            client.send(request_bytes("GET", target, fields))
        except OSError:
            with self.lock:
                self.tally.cut.append(started)
            client.close()
            return None
        sent_at = time.monotonic()
        try:
            response = client.read_response()
        except (Cut, OSError) as error:
            with self.lock:
                self.tally.lost.append((sent_at, repr(error)))
            client.close()
            return None
        took_s = time.monotonic() - started
        with self.lock:
            if self.accept(response):
                self.tally.ok += 1
                self.tally.bodies[response.body[:64]] += 1
                self.tally.samples.append(Sample(started, took_s, target))
            else:
                self.tally.wrong[response.status] += 1
        if response.closes:
            client.close()
            return None
        return client
