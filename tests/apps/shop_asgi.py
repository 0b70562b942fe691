"""The twin of shop.py for ASGI 3: the same paths, the same answers, the same notes."""

import asyncio
import os
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import release
from shop import note

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def body_of(receive: Receive) -> bytes | None:
    """None: the client has left."""
    received, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        received += message.get("body", b"")
        more = message.get("more_body", False)
    return received


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        for what in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{what}.complete"})
        return
    name, *rest = scope["path"].strip("/").split("/")
    status, body = 200, release.VERSION.encode()
    if name == "ask":
        token, ms, size = rest
        note(f"+{token}")
        received = await body_of(receive)
        if received is None:
            note(f"-{token}")
            return
        await asyncio.sleep(int(ms) / 1000)
        body = f"{token} {zlib.crc32(received)} {os.getpid()} {release.VERSION}\n".encode()
        body += (token.encode() * (int(size) // len(token) + 1))[: int(size)]
    elif name == "health" and not getattr(release, "HEALTHY", True):
        status = 500
    elif name not in ("health", "ready"):
        status = 404
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
    if name == "ask":
        note(f"-{token}")
