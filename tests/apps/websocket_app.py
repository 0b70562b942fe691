"""An ASGI application of WebSockets for tests: what it does is in the path. `GET /notes`: what it noted, as JSON."""

import asyncio
import json
from urllib.parse import unquote

NOTES = []
ROOM = set()
GATES = {}

PAGE = b"""<!doctype html><title>WebSocket</title><body><script>
const log = [], big = "\\u20ac" + "x".repeat(100000);
const socket = new WebSocket("ws://" + location.host + "/echo", ["chat", "superchat"]);
socket.binaryType = "arraybuffer";
socket.onopen = () => {
  log.push("open " + socket.protocol + " " + socket.extensions.split(";")[0]);
  socket.send("h\\u00e9llo");
};
socket.onmessage = (event) => {
  if (event.data === big) { log.push("big"); socket.send("leave"); }
  else if (typeof event.data === "string") { log.push("text " + event.data); socket.send(new Uint8Array([1, 2, 255])); }
  else { log.push("binary " + new Uint8Array(event.data).join()); socket.send(big); }
};
socket.onclose = (event) => {
  log.push("close " + event.code + " " + event.reason + " " + event.wasClean);
  fetch("/report?" + encodeURIComponent(log.join("|")));
};
</script></body>"""


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "http":
        await page(scope, send)
    else:
        assert (await receive()) == {"type": "websocket.connect"}
        name, _, rest = scope["path"].strip("/").partition("/")
        await WAYS[name](scope, receive, send, rest)


async def lifespan(receive, send):
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def page(scope, send):
    if scope["path"] == "/open":
        gate().set()
    if scope["path"] == "/report":
        NOTES.append(["browser", unquote(scope["query_string"].decode())])
    body = PAGE if scope["path"] == "/page" else json.dumps(NOTES).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": body})


def gate():
    return GATES.setdefault("lazy", asyncio.Event())  # made in the event loop


async def accept(send, **more):
    await send({"type": "websocket.accept", **more})


async def echo(scope, receive, send, rest):
    """Also: `leave` is answered by a close with 4000."""
    await accept(send, subprotocol=next(iter(scope["subprotocols"]), None), headers=[(b"x-from", b"the application")])
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            NOTES.append(["echo", message["code"], message["reason"]])
            return
        if message.get("text") == "leave":
            await send({"type": "websocket.close", "code": 4000, "reason": "as you asked"})
        else:
            await send({**message, "type": "websocket.send"})


async def show(scope, receive, send, rest):
    await accept(send)
    shown = {key: scope[key] for key in ("type", "scheme", "path", "query_string", "subprotocols", "extensions")}
    await send({"type": "websocket.send", "text": json.dumps(shown, default=lambda value: value.decode())})


async def deny(scope, receive, send, rest):
    if rest == "plain":
        await send({"type": "websocket.close"})
    elif rest == "late":
        await send({"type": "websocket.close"})
        try:
            await accept(send)
        except OSError as error:
            NOTES.append(["late", type(error).__name__, (await receive())["type"]])
    else:
        headers = [(b"www-authenticate", b"Basic"), (b"content-type", b"text/plain")]
        await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"who ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"are you?"})


async def broken(scope, receive, send, rest):
    if rest == "silent":
        return
    if rest != "early":
        await accept(send)
    if rest == "return":
        return
    if rest == "protocol":
        await send({"type": "websocket.send", "text": 5})
    raise LookupError(f"broken {rest}")


async def flood(scope, receive, send, rest):
    """As many blocks of 64 KiB, as fast as they are taken."""
    await accept(send)
    NOTES.append(["flood", 0])
    note = NOTES[-1]
    for number in range(int(rest)):
        await send({"type": "websocket.send", "bytes": number.to_bytes(4, "big") * 16384})
        note[1] += 1
    await send({"type": "websocket.close"})


async def lazy(scope, receive, send, rest):
    """Read nothing until the gate is open, then say how much there was."""
    await accept(send)
    await gate().wait()
    size = 0
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "end":
            await send({"type": "websocket.send", "text": str(size)})
        else:
            size += len(message["bytes"])


async def chat(scope, receive, send, rest):
    await accept(send)
    ROOM.add(send)
    try:
        while (message := await receive())["type"] == "websocket.receive":
            for each in list(ROOM):
                await each({"type": "websocket.send", "text": f"{rest}: {message['text']}"})
    finally:
        ROOM.discard(send)


async def deaf(scope, receive, send, rest):
    """Send until that fails, and note how."""
    await accept(send)
    try:
        while True:
            await send({"type": "websocket.send", "text": "tick"})
            await asyncio.sleep(0.001)
    except OSError as error:
        message = await receive()
        NOTES.append(["deaf", type(error).__name__, message["code"], message["type"]])


async def stubborn(scope, receive, send, rest):
    """Never look at the client, and note that it is cancelled."""
    await accept(send)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        NOTES.append(["stubborn", "cancelled"])
        raise


WAYS = {
    "echo": echo,
    "show": show,
    "deny": deny,
    "broken": broken,
    "flood": flood,
    "lazy": lazy,
    "chat": chat,
    "deaf": deaf,
    "stubborn": stubborn,
}
