"""Clients that ask all the time, each in its way, and say exactly what became of every request.

What counts as a failure:

lost      the request was sent whole, and no complete answer came (the end of the connection, a reset, or ANSWER_S)
refused   no connection could be made
wrong     a complete answer, but not the one to this request: another token, a checksum that is not that of the body
          sent, another status than 200, bytes that nobody asked for
cut       the connection broke when a part of the request was sent

What does not: a connection that the server closed between two answers, before the client has sent a byte of its next
request. The client looks before it sends, and connects anew (`reconnects`). Whoever has sent a pipeline of requests
whole expects an answer to each; `Connection: close` in the midst of them is no excuse.

The end of a service (TERM) needs a definition of when it should be up: see `Crowd.failures`.
"""

import random
import select
import threading
import time
import zlib
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

from tests.faults.conditions import Style
from tests.integration.client import Address, Client, Cut, Response, connect, request_bytes
from tests.integration.waiting import wait_until

What = Literal["lost", "refused", "wrong", "cut"]
ANSWER_S = 10.0
"""How long a client waits for an answer."""
PAUSE_S = 0.005
"""Between two requests of a client (or two pipelines), so that clients and server share two cores."""
CONNECT_AGAIN_S = 0.02


@dataclass(frozen=True)
class Ask:
    """One request and what its answer must be."""

    token: str
    raw: bytes
    method: str
    checksum: int
    size: int

    def fault_of(self, response: Response) -> str:
        """What is wrong with the answer; "" when it is right."""
        if response.status != 200:
            return f"status {response.status}"
        head, _, filler = response.body.partition(b"\n")
        token, checksum, *_ = [*head.decode("latin-1").split(" "), "", ""]
        if token != self.token:
            return f"the answer of {token[:40]!r}"
        if checksum != str(self.checksum):
            return f"a body with the checksum {checksum} arrived, sent was {self.checksum}"
        if filler != (self.token.encode() * (self.size // len(self.token) + 1))[: self.size]:
            return f"a body of {len(filler)} bytes that are not the {self.size} expected ones"
        return ""


def compose(token: str, closing: bool, chance: random.Random) -> Ask:
    """Most are small; some have a body, some take a while, some have a large answer."""
    body = chance.randbytes(chance.choice((0, 10, 3000, 20000))) if chance.random() < 0.25 else None
    ms = chance.choice((5, 20)) if chance.random() < 0.15 else 0
    size = chance.choice((0, 100, 100, 40000)) if chance.random() < 0.5 else 0
    method = "GET" if body is None else "POST"
    fields = (("Connection", "close"),) if closing else ()
    raw = request_bytes(method, f"/ask/{token}/{ms}/{size}", fields, body)
    return Ask(token, raw, method, zlib.crc32(body or b""), size)


@dataclass(frozen=True)
class Failure:
    style: Style
    what: What
    token: str
    at: float  # monotonic: when the request was sent whole; of refused: when the client began to connect
    seen_at: float
    detail: str

    def __str__(self) -> str:
        return f"{self.style.value}: {self.what} {self.token} ({self.detail})"


@dataclass
class Tally:
    right: Counter[Style] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    reconnects: int = 0
    connected_at: float = 0.0  # when the last connect() that succeeded began

    @property
    def requests(self) -> int:
        return self.right.total() + len(self.failures)


class Crowd:
    """`with Crowd(address) as crowd:` keeps asking until the block ends; `each` clients of every style."""

    def __init__(
        self, address: Address, each: int = 2, styles: tuple[Style, ...] = tuple(Style), doors: Address | None = None
    ) -> None:
        """doors: the server's own address, when the clients ask a proxy: it is knocked at to know when it closes."""
        self.address = address
        self.doors = doors if doors is not None else address
        self.tally = Tally()
        self.leaving = threading.Event()
        self.ending = False
        self.lock = threading.Lock()
        self.errors: list[BaseException] = []
        ways = [(style, index) for style in styles for index in range(each)]
        self.threads = [threading.Thread(target=self._guarded, args=way) for way in ways]
        self.styles = styles

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Every client finishes what it has sent, and goes."""
        self.leaving.set()
        for thread in self.threads:
            thread.join(ANSWER_S * 2)
        assert not any(thread.is_alive() for thread in self.threads), "a client waits for ever"
        if self.errors:
            raise self.errors[0]

    def expect_the_end(self) -> None:
        """From now on a client that finds the doors closed does not come back. Someone knocks until they are."""
        self.ending = True
        knocking = threading.Thread(target=self._knock)
        self.threads.append(knocking)
        knocking.start()

    def wait_for(self, more: int, deadline_s: float = 20.0) -> None:
        """Wait until clients of every style have got `more` right answers than now."""
        goals = {style: self.tally.right[style] + more for style in self.styles}
        wait_until(
            lambda: self.errors or all(self.tally.right[style] >= goal for style, goal in goals.items()),
            f"{more} more requests of each style are answered",
            deadline_s,
        )

    def failures(self, closed_doors: frozenset[str] = frozenset()) -> tuple[list[Failure], list[Failure]]:
        """(failures, turned away). Complete when the clients have left.

        While nobody has called `expect_the_end`, the service should be up all the time, and every failure counts. From
        then on it should be up until its doors close: until the beginning of the last connect() that succeeded, be it
        a client's or that of the one who knocks every few milliseconds. Who was refused and nobody got in after that,
        or who sent his request later on a connection that had been open, was turned away: that is what a stop without
        `lame_duck` means. What was sent before counts as lost, whatever the server did in between. closed_doors: tokens
        of requests for which a proxy could not connect any more; as nobody knows when it tried, they were turned away.
        """
        if not self.ending:
            return self.tally.failures, []
        failed: list[Failure] = []
        away: list[Failure] = []
        for failure in self.tally.failures:
            # A refused client may have waited for its turn to knock: what counts is who got in after it was refused.
            at = failure.seen_at if failure.what == "refused" else failure.at
            late = at >= self.tally.connected_at or failure.token in closed_doors
            (away if late else failed).append(failure)
        return failed, away

    def _guarded(self, style: Style, index: int) -> None:
        try:
            self._work(style, index)
        except BaseException as error:  # noqa: BLE001  (shown by leave(), in the caller's own thread)
            self.errors.append(error)

    def _work(self, style: Style, index: int) -> None:
        chance = random.Random(f"{style.value} {index}")
        client: Client | None = None
        number = 0
        while not self.leaving.is_set():
            asks = []
            for _ in range(chance.randint(2, 5) if style is Style.PIPELINING else 1):
                number += 1
                asks.append(compose(f"{style.value[0]}{index}-{number}", style is Style.NEW, chance))
            if client is not None and self._was_closed(client, style):
                client.close()
                client = None
            if client is None:
                client = self._connect(style, asks[0])
            if client is not None:
                client = self._exchange(client, style, asks)
            self.leaving.wait(PAUSE_S)
        if client is not None:
            client.close()

    def _was_closed(self, client: Client, style: Style) -> bool:
        """Whether the server has closed the connection since its last answer; also if it said what nobody asked for."""
        data = bytes(client.buffer)
        if not data:
            poller = select.poll()
            poller.register(client.socket, select.POLLIN)
            if not poller.poll(0):
                return False
            with suppress(ConnectionError):
                data = client.socket.recv(200)
        if data:
            self._fail(style, "wrong", "", time.monotonic(), f"nobody asked for {data[:60]!r}")
        else:
            self.tally.reconnects += 1
        return True

    def _connect(self, style: Style, first: Ask) -> Client | None:
        began = time.monotonic()
        try:
            client = Client(self.address, ANSWER_S)
        except OSError as error:
            self._fail(style, "refused", first.token, began, repr(error))
            if self.ending:
                self.leaving.set()
            self.leaving.wait(CONNECT_AGAIN_S)  # a client that is refused does not spin
            return None
        if self.doors == self.address:
            self._found_open(began)
        return client

    def _exchange(self, client: Client, style: Style, asks: list[Ask]) -> Client | None:
        """Send them at once, read their answers. Returns the client while its connection can carry another."""
        began = time.monotonic()
        data = memoryview(b"".join(ask.raw for ask in asks))
        whole = len(data)
        try:
            while data:
                data = data[client.socket.send(data) :]
        except OSError as error:
            client.close()
            if len(data) == whole and style is not Style.NEW:
                self.tally.reconnects += 1  # closed between the look and the first byte
            else:
                self._fail(style, "cut", asks[0].token, began, repr(error))
            return None
        sent_at = time.monotonic()
        for number, ask in enumerate(asks):
            try:
                response = client.read_response(ask.method)
                fault = ask.fault_of(response)
            except (Cut, OSError) as error:
                for unanswered in asks[number:]:
                    self._fail(style, "lost", unanswered.token, sent_at, f"{error!r} after {number} of {len(asks)}")
                client.close()
                return None
            except (AssertionError, ValueError) as error:
                self._fail(style, "wrong", ask.token, sent_at, f"malformed: {error}")
                client.close()
                return None
            if fault:
                self._fail(style, "wrong", ask.token, sent_at, fault)
                if self.ending and response.status >= 500:
                    self.leaving.set()
            else:
                with self.lock:
                    self.tally.right[style] += 1
        if response.closes or style is Style.NEW:
            client.close()
            return None
        return client

    def _fail(self, style: Style, what: What, token: str, at: float, detail: str) -> None:
        with self.lock:
            self.tally.failures.append(Failure(style, what, token, at, time.monotonic(), detail))

    def _found_open(self, began: float) -> None:
        with self.lock:
            self.tally.connected_at = max(self.tally.connected_at, began)

    def _knock(self) -> None:
        """Connect and go, again and again, until nobody opens."""
        while True:
            began = time.monotonic()
            try:
                connect(self.doors, ANSWER_S).close()
            except OSError:
                return
            self._found_open(began)
            time.sleep(PAUSE_S)
