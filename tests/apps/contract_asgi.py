"""The twin of contract.py for ASGI 3: the same paths, the same behaviour, the same notes.

What is noted at `close()` there is noted here when the application's coroutine ends.
"""

import asyncio
import hashlib
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, unquote_to_bytes

import contract

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Field = tuple[bytes, bytes]
TEXT = (b"content-type", b"text/plain; charset=utf-8")


class BodyIncomplete(Exception):
    """The client left before its body was whole."""


async def pieces(receive: Receive) -> AsyncIterator[bytes]:
    """The request's body as it comes."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BodyIncomplete
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def read_all(receive: Receive) -> bytes:
    return b"".join([piece async for piece in pieces(receive)])


async def text(send: Send, body: str | bytes, *fields: Field) -> None:
    data = body.encode() if isinstance(body, str) else body
    await start(send, [TEXT, (b"content-length", b"%d" % len(data)), *fields])
    await send({"type": "http.response.body", "body": data})


async def start(send: Send, fields: list[Field], status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": fields})


async def more(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await text(send, "hello")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await read_all(receive)
    contract.note("bodies", f"{len(body)} {hashlib.sha256(body).hexdigest()}")
    await text(send, body)


async def digest(scope: Scope, receive: Receive, send: Send) -> None:
    sha256 = hashlib.sha256()
    size = 0
    async for piece in pieces(receive):
        sha256.update(piece)
        size += len(piece)
    contract.note("bodies", f"{size} {sha256.hexdigest()}")
    await text(send, f"{size} {sha256.hexdigest()}")


async def sleep(scope: Scope, receive: Receive, send: Send, ms: int) -> None:
    contract.note("sleeping", str(os.getpid()))
    await asyncio.sleep(ms / 1000)
    await text(send, f"slept {ms}")


async def cpu(scope: Scope, receive: Receive, send: Send, ms: int) -> None:
    contract.note("burning", str(os.getpid()))
    until = time.process_time() + ms / 1000
    while time.process_time() < until:
        pass
    await text(send, f"burnt {ms}")


async def stubborn(scope: Scope, receive: Receive, send: Send, ms: int) -> None:
    contract.note("stubborn", str(os.getpid()))
    until = time.monotonic() + ms / 1000
    while time.monotonic() < until:
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError as error:
            contract.note("raised", type(error).__name__)
    await text(send, "done at last")


async def budget(scope: Scope, receive: Receive, send: Send, extend_ms: int = 0, sleep_ms: int = 0) -> None:
    deadline = scope["ostler.deadline"]
    if extend_ms:
        deadline.extend(extend_ms / 1000)
    await asyncio.sleep(sleep_ms / 1000)
    waited = contract.waited_ms(scope.get("ostler.queue_time"))
    await text(send, f"{deadline.remaining() * 1000:.0f} {waited}")


async def hold_gil(scope: Scope, receive: Receive, send: Send) -> None:
    contract.hold_gil({}, lambda *_: lambda _: None)


async def spin(scope: Scope, receive: Receive, send: Send) -> None:
    contract.spin({}, lambda *_: lambda _: None)


async def lines(scope: Scope, receive: Receive, send: Send) -> None:
    await start(send, [TEXT])
    rest = b""
    async for piece in pieces(receive):
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            await more(send, line.upper() + b"\n")
    await send({"type": "http.response.body", "body": rest.upper()})


async def one_block(scope: Scope, receive: Receive, send: Send, size: int) -> None:
    await text(send, b"x" * size)


async def blocks(scope: Scope, receive: Receive, send: Send, count: int, size: int = 65536) -> None:
    try:
        await start(send, [TEXT, (b"content-length", b"%d" % (count * size))])
        for index in range(count):
            await send({"type": "http.response.body", "body": b"y" * size, "more_body": index + 1 < count})
    finally:
        contract.note("closed", name_of(scope))


async def chunked(scope: Scope, receive: Receive, send: Send, count: int, delay_ms: int = 0) -> None:
    try:
        await start(send, [TEXT])
        for index in range(count):
            if delay_ms:
                await asyncio.sleep(delay_ms / 1000)
            await more(send, b"block %d\n" % index)
        await send({"type": "http.response.body"})
    finally:
        contract.note("closed", name_of(scope))


async def raise_before(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("raised before start_response")


async def raise_during(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await start(send, [TEXT])
        await more(send, b"a good beginning\n")
        raise RuntimeError("raised while the body was made")
    finally:
        contract.note("closed", name_of(scope))


async def system_exit(scope: Scope, receive: Receive, send: Send, status: int) -> None:
    sys.exit(status)


async def hard_exit(scope: Scope, receive: Receive, send: Send, status: int) -> None:
    os._exit(status)


async def short(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await start(send, [TEXT, (b"content-length", b"100")])
        await send({"type": "http.response.body", "body": b"only this"})
    finally:
        contract.note("closed", name_of(scope))


async def over(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await start(send, [TEXT, (b"content-length", b"5")])
        await more(send, b"12345")
        await send({"type": "http.response.body", "body": b"6789"})
    finally:
        contract.note("closed", name_of(scope))


async def early_hints(scope: Scope, receive: Receive, send: Send) -> None:
    assert "http.response.early_hint" in scope["extensions"]
    await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload; as=style"]})
    await text(send, "hinted")


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    """Blocks without an end: only the client's leaving stops it, by an error of `send` (ASGI 2.4)."""
    try:
        await start(send, [TEXT])
        while True:
            await asyncio.sleep(0.005)
            await more(send, b"z" * 4096)
    finally:
        contract.note("closed", name_of(scope))


async def pid(scope: Scope, receive: Receive, send: Send) -> None:
    await text(send, str(os.getpid()))


async def read_some(scope: Scope, receive: Receive, send: Send, size: int) -> None:
    body = b""
    async for piece in pieces(receive):
        body += piece
        if len(body) >= size:
            break
    await text(send, body[:size])


async def thread(scope: Scope, receive: Receive, send: Send) -> None:
    contract.start_thread({}, lambda *_: lambda _: None)
    await text(send, "started")


async def record(scope: Scope, receive: Receive, send: Send) -> None:
    body = await read_all(receive)
    path = unquote_to_bytes(scope["raw_path"])
    call = contract.call_of(scope["method"], path, scope["query_string"].decode("latin-1"), body)
    await text(send, b"recorded\n", (b"x-call", call.encode()))


def name_of(scope: Scope) -> str:
    return parse_qs(scope["query_string"].decode()).get("name", ["unnamed"])[0]


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
    "early-hints": early_hints,
    "endless": endless,
    "pid": pid,
    "read": read_some,
    "thread": thread,
}


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """As contract.application. Of the lifespan it notes both ends. A client that has left gets no answer."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    name, *numbers = scope["path"].strip("/").split("/")
    route = ROUTES.get(name)
    if route is None:
        await start(send, [TEXT, (b"content-length", b"0")], 404)
        await send({"type": "http.response.body"})
        return
    with suppress(BodyIncomplete):
        await route(scope, receive, send, *(int(number) for number in numbers))


async def lifespan(receive: Receive, send: Send) -> None:
    for what in ("startup", "shutdown"):
        message = await receive()
        assert message["type"] == f"lifespan.{what}"
        contract.note("lifespan", f"{what} {os.getpid()}")
        await send({"type": f"lifespan.{what}.complete"})


async def recording(scope: Scope, receive: Receive, send: Send) -> None:
    name = scope.get("path", "").strip("/").partition("/")[0]
    if scope["type"] == "http" and (name not in ROUTES or not name):
        with suppress(BodyIncomplete):
            await record(scope, receive, send)
    else:
        await application(scope, receive, send)
