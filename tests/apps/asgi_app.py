"""A hand-written ASGI application: each path does one thing that a server must get right.

`app` is the callable. What outlives a request (disconnects, cancellations, background tasks, the lifespan) is appended,
a line at a time, to files in the directory CONTRACT_DIR, because the tests watch from another process.
"""

import asyncio
import functools
import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from contract import note

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
TEXT = (b"content-type", b"text/plain; charset=utf-8")


async def answer(send: Send, body: str | bytes, status: int = 200, *headers: tuple[bytes, bytes]) -> None:
    data = body.encode() if isinstance(body, str) else body
    await send({"type": "http.response.start", "status": status, "headers": [TEXT, *headers]})
    await send({"type": "http.response.body", "body": data})


async def scope_json(scope: Scope, receive: Receive, send: Send, **_query: float) -> None:
    shown = {key: value for key, value in scope.items() if key not in ("headers", "state", "ostler.deadline")}
    shown["headers"] = [[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]]
    shown["state"] = sorted(scope["state"])
    shown["loop"] = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    shown["pid"] = os.getpid()
    await answer(send, json.dumps(shown, default=lambda value: value.decode("latin-1")))


async def digest(scope: Scope, receive: Receive, send: Send, pause: float = 0.0) -> None:
    sha256, size, most, more = hashlib.sha256(), 0, 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            note("digest", f"disconnect {size}")
            return
        size += len(message["body"])
        most = max(most, len(message["body"]))
        sha256.update(message["body"])
        more = message["more_body"]
        if pause:
            note("digest", str(size))
            await asyncio.sleep(pause)
    await answer(send, f"{size} {sha256.hexdigest()} {most}")


async def stream(scope: Scope, receive: Receive, send: Send, blocks: int, size: int = 65536) -> None:
    """Blocks, as fast as the client takes them; how far it came is noted."""
    await send({"type": "http.response.start", "status": 200, "headers": [TEXT]})
    try:
        for number in range(blocks):
            await send({"type": "http.response.body", "body": b"x" * size, "more_body": True})
            note("streamed", str(number))
    except (OSError, asyncio.CancelledError):
        note("streamed", "stopped")
        raise
    await send({"type": "http.response.body", "body": b""})


async def events(scope: Scope, receive: Receive, send: Send) -> None:
    """An event stream without an end, which hears when its client has left."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    await send({"type": "http.response.body", "body": b"data: first\n\n", "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass
    note("events", "disconnect")


async def slow(scope: Scope, receive: Receive, send: Send, ms: int) -> None:
    note("slow", "began")
    try:
        await asyncio.sleep(ms / 1000)
    except asyncio.CancelledError:
        note("slow", "cancelled")
        raise
    await answer(send, f"slept {ms}")


async def background(scope: Scope, receive: Receive, send: Send, ms: int) -> None:
    await answer(send, "answered")
    await asyncio.sleep(ms / 1000)
    note("background", "done")


async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
    """Nothing is answered; whether the client's leaving was told, and the task then cancelled."""
    note("waiting", "began")
    while (await receive())["type"] != "http.disconnect":
        pass
    note("waiting", "disconnect")
    try:
        await asyncio.sleep(60)
    finally:
        note("waiting", "cancelled")


async def block(scope: Scope, receive: Receive, send: Send, ms: int) -> None:
    time.sleep(ms / 1000)  # and with it the loop
    await answer(send, "blocked")


async def leave(scope: Scope, receive: Receive, send: Send) -> None:
    """A task that raises SystemExit: asyncio lets it through to whoever runs the loop."""

    async def ending() -> None:
        raise SystemExit(7)

    asyncio.get_running_loop().create_task(ending())
    await asyncio.sleep(0.01)
    await answer(send, "still here")


async def handlers(scope: Scope, receive: Receive, send: Send) -> None:
    """What applications do that takes the wakeup descriptor of signals for themselves."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, note, "signals", "USR2")
    thread = threading.Thread(target=asyncio.run, args=(asyncio.sleep(0.01),))
    thread.start()
    await asyncio.to_thread(thread.join)
    await answer(send, "installed")


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    mode = os.environ.get("LIFESPAN", "")
    await receive()
    if mode == "fails":
        await send({"type": "lifespan.startup.failed", "message": "no database\nat 192.0.2.7"})
        return
    if mode == "raises":
        raise RuntimeError("lifespan raised")
    scope["state"]["since"] = os.getpid()
    note("lifespan", "startup")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    note("lifespan", "shutdown")
    await send({"type": "lifespan.shutdown.complete"})


PATHS: dict[str, Callable[..., Awaitable[None]]] = {
    "background": background,
    "block": block,
    "digest": digest,
    "events": events,
    "handlers": handlers,
    "leave": leave,
    "scope": scope_json,
    "slow": slow,
    "stream": stream,
    "waiting": waiting,
}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
        return
    assert scope["type"] == "http"
    name = scope["path"].removeprefix(scope["root_path"]).strip("/").partition("/")[0]
    arguments = {key: float(value) if "." in value else int(value) for key, (value,) in _query(scope).items()}
    if name == "fail":
        raise ValueError("the application failed")
    if name in PATHS:
        await PATHS[name](scope, receive, send, **arguments)
    else:
        await answer(send, "Hello, world!", 404 if name else 200)


def _query(scope: Scope) -> dict[str, list[str]]:
    return parse_qs(scope["query_string"].decode())


def make_app() -> Callable[..., Awaitable[None]]:
    """A factory, whose application is a partial."""
    return functools.partial(app)
