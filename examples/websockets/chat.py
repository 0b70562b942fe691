"""A chat room in plain ASGI: whatever one client says, all hear."""

ROOM = set()


async def app(scope, receive, send):
    if scope["type"] != "websocket":
        raise NotImplementedError(scope["type"])
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    ROOM.add(send)
    try:
        while (message := await receive())["type"] == "websocket.receive":
            for each in list(ROOM):
                await tell(each, message.get("text") or "")
    finally:
        ROOM.discard(send)


async def tell(send, text):
    try:
        await send({"type": "websocket.send", "text": text})
    except OSError:
        ROOM.discard(send)  # that client has left
