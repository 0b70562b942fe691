"""The twin of contract.py for tornado: the same paths, the same behaviour, the same notes.

What is noted at `close()` there is noted here when the handler's coroutine ends.
"""

import asyncio
import hashlib
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote_to_bytes

import contract
from tornado.web import Application, RequestHandler, stream_request_body


class AnyMethod(tuple[str, ...]):
    """Methods that nobody has registered arrive, too."""

    __slots__ = ()

    def __contains__(self, name: object) -> bool:
        return True


@stream_request_body
class Contract(RequestHandler):
    """All paths."""

    SUPPORTED_METHODS = AnyMethod()
    records = False

    def __getattr__(self, name: str) -> Any:
        if name == self.__dict__["request"].method.lower():
            return self.run
        raise AttributeError(name)

    def prepare(self) -> None:
        self.sha256 = hashlib.sha256()
        self.body = bytearray()
        self.size = 0
        self.name, *self.numbers = self.request.path.strip("/").split("/")
        if self.name == "lines":
            self.set_header("Content-Type", "text/plain; charset=utf-8")

    async def data_received(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self.sha256.update(chunk)
        if self.name == "digest":
            return
        self.body += chunk
        if self.name == "lines":
            *whole, rest = self.body.split(b"\n")
            self.body = bytearray(rest)
            for line in whole:
                self.write(bytes(line).upper() + b"\n")
                await self.flush()

    async def run(self, *_: object) -> None:
        route = ROUTES.get(self.name)
        if self.records and (route is None or not self.name):
            route = record
            self.numbers = []
        if route is None:
            self.set_status(404)
            self.set_header("Content-Length", "0")
            return
        await route(self, *(int(number) for number in self.numbers))

    get = head = post = delete = patch = put = options = run

    def text(self, body: str | bytes) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Content-Length", str(len(data)))
        self.write(data)

    def note_end(self) -> None:
        contract.note("closed", self.get_query_argument("name", "unnamed"))


class Recording(Contract):
    records = True


async def hello(handler: Contract) -> None:
    handler.text("hello")


async def echo(handler: Contract) -> None:
    contract.note("bodies", f"{handler.size} {handler.sha256.hexdigest()}")
    handler.text(bytes(handler.body))


async def digest(handler: Contract) -> None:
    contract.note("bodies", f"{handler.size} {handler.sha256.hexdigest()}")
    handler.text(f"{handler.size} {handler.sha256.hexdigest()}")


async def sleep(handler: Contract, ms: int) -> None:
    contract.note("sleeping", str(os.getpid()))
    await asyncio.sleep(ms / 1000)
    handler.text(f"slept {ms}")


async def cpu(handler: Contract, ms: int) -> None:
    contract.note("burning", str(os.getpid()))
    until = time.process_time() + ms / 1000
    while time.process_time() < until:
        pass
    handler.text(f"burnt {ms}")


async def stubborn(handler: Contract, ms: int) -> None:
    contract.note("stubborn", str(os.getpid()))
    until = time.monotonic() + ms / 1000
    while time.monotonic() < until:
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError as error:
            contract.note("raised", type(error).__name__)
    handler.text("done at last")


async def budget(handler: Contract, extend_ms: int = 0, sleep_ms: int = 0) -> None:
    connection: Any = handler.request.connection
    if extend_ms:
        connection.deadline.extend(extend_ms / 1000)
    await asyncio.sleep(sleep_ms / 1000)
    waited = contract.waited_ms(connection.queue_time)
    handler.text(f"{connection.deadline.remaining() * 1000:.0f} {waited}")


async def hold_gil(handler: Contract) -> None:
    contract.hold_gil({}, lambda *_: lambda _: None)


async def spin(handler: Contract) -> None:
    contract.spin({}, lambda *_: lambda _: None)


async def lines(handler: Contract) -> None:
    handler.write(bytes(handler.body).upper())


async def one_block(handler: Contract, size: int) -> None:
    handler.text(b"x" * size)


async def blocks(handler: Contract, count: int, size: int = 65536) -> None:
    try:
        handler.set_header("Content-Length", str(count * size))
        for _ in range(count):
            handler.write(b"y" * size)
            await handler.flush()
    finally:
        handler.note_end()


async def chunked(handler: Contract, count: int, delay_ms: int = 0) -> None:
    try:
        for index in range(count):
            if delay_ms:
                await asyncio.sleep(delay_ms / 1000)
            handler.write(b"block %d\n" % index)
            await handler.flush()
    finally:
        handler.note_end()


async def raise_before(handler: Contract) -> None:
    raise RuntimeError("raised before start_response")


async def raise_during(handler: Contract) -> None:
    try:
        handler.write(b"a good beginning\n")
        await handler.flush()
        raise RuntimeError("raised while the body was made")
    finally:
        handler.note_end()


async def system_exit(handler: Contract, status: int) -> None:
    sys.exit(status)


async def hard_exit(handler: Contract, status: int) -> None:
    os._exit(status)


async def short(handler: Contract) -> None:
    try:
        handler.set_header("Content-Length", "100")
        handler.write(b"only this")
        await handler.flush()
    finally:
        handler.note_end()


async def over(handler: Contract) -> None:
    try:
        handler.set_header("Content-Length", "5")
        handler.write(b"12345")
        await handler.flush()
        handler.write(b"6789")
        await handler.flush()
    finally:
        handler.note_end()


async def endless(handler: Contract) -> None:
    """Blocks without an end: only the client's leaving stops it, by an error of `flush`."""
    try:
        while True:
            await asyncio.sleep(0.005)
            handler.write(b"z" * 4096)
            await handler.flush()
    finally:
        handler.note_end()


async def pid(handler: Contract) -> None:
    handler.text(str(os.getpid()))


async def read_some(handler: Contract, size: int) -> None:
    handler.text(bytes(handler.body[:size]))


async def thread(handler: Contract) -> None:
    contract.start_thread({}, lambda *_: lambda _: None)
    handler.text("started")


async def record(handler: Contract) -> None:
    request = handler.request
    path = unquote_to_bytes(request.path)
    handler.set_header("X-Call", contract.call_of(request.method or "", path, request.query, bytes(handler.body)))
    handler.text(b"recorded\n")


ROUTES: dict[str, Callable[..., Awaitable[None]]] = {
    "": hello,
    "echo": echo,
    "digest": digest,
    "sleep": sleep,
    "stubborn": stubborn,
    "budget": budget,
    "cpu": cpu,
    "hold-gil": hold_gil,
    "spin": spin,
    "lines": lines,
    "bytes": one_block,
    "blocks": blocks,
    "chunked": chunked,
    "raise-before": raise_before,
    "raise-during": raise_during,
    "exit": system_exit,
    "os-exit": hard_exit,
    "short": short,
    "over": over,
    "endless": endless,
    "pid": pid,
    "read": read_some,
    "thread": thread,
}

application = Application([(r".*", Contract)])
recording = Application([(r".*", Recording)])
