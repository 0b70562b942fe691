"""FastAPI, Starlette, Quart and Django with Channels behind one server: the first part of a path says whose it is.

Each is mounted as ASGI says it, with `root_path`. The lifespan is FastAPI's.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio
import django
from channels.generic.http import AsyncHttpConsumer
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from contract import note
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path, re_path
from fastapi import BackgroundTasks, Depends, FastAPI, Form, Request, UploadFile
from fastapi.responses import FileResponse, StreamingResponse
from quart import Quart, websocket
from quart import request as quart_request
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

# -- FastAPI -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    note("lifespan", "startup")
    yield {"pool": "connected"}
    note("lifespan", "shutdown")


fast = FastAPI(lifespan=lifespan)


async def pool(request: Request) -> str:
    return str(request.state.pool)


@fast.get("/items/{number}")
async def item(number: int, pool: Annotated[str, Depends(pool)]) -> dict[str, Any]:
    return {"number": number, "pool": pool}


@fast.get("/threaded")
def threaded() -> dict[str, str]:
    return {"ran": "in a thread"}


@fast.post("/later")
async def later(tasks: BackgroundTasks) -> dict[str, str]:
    async def work() -> None:
        await asyncio.sleep(0.05)
        note("later", "async")

    tasks.add_task(work)
    tasks.add_task(note, "later", "in a thread")
    return {"said": "at once"}


@fast.post("/upload")
async def upload(file: UploadFile, title: Annotated[str, Form()]) -> dict[str, Any]:
    size = 0
    while block := await file.read(65536):
        size += len(block)
    return {"title": title, "size": size}


@fast.get("/events")
async def events() -> StreamingResponse:
    async def stream() -> AsyncIterator[str]:
        try:
            for number in range(10**6):
                yield f"data: {number}\n\n"
                await asyncio.sleep(0.01)
        finally:
            note("events", "ended")

    return StreamingResponse(stream(), media_type="text/event-stream")


@fast.get("/file")
async def file() -> FileResponse:
    return FileResponse(__file__)


@fast.get("/fail")
async def fail() -> None:
    raise ZeroDivisionError("fastapi failed")


# -- Starlette -----------------------------------------------------------------------------------------------------

_rooms: set[WebSocket] = set()


async def chat(websocket: WebSocket) -> None:
    """Everybody hears what one says."""
    await websocket.accept()
    _rooms.add(websocket)
    try:
        while True:
            text = await websocket.receive_text()
            for member in list(_rooms):
                await member.send_text(text)
    except WebSocketDisconnect:
        pass
    finally:
        _rooms.discard(websocket)


async def grouped(_request: Any) -> JSONResponse:
    """anyio's task groups and timeouts, which look for the running task."""
    found: list[int] = []

    async def add(number: int) -> None:
        await anyio.sleep(0.001)
        found.append(number)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(add, number)
    return JSONResponse(sorted(found))


async def passing(request: Any, call_next: Any) -> Any:
    response = await call_next(request)
    response.headers["X-Passed"] = "yes"
    return response


async def long_text(_request: Any) -> PlainTextResponse:
    return PlainTextResponse("x" * 10_000)


star = Starlette(routes=[Route("/grouped", grouped), Route("/long", long_text), WebSocketRoute("/chat", chat)])
star.add_middleware(BaseHTTPMiddleware, dispatch=passing)
star.add_middleware(GZipMiddleware)

# -- Quart ---------------------------------------------------------------------------------------------------------

quart = Quart(__name__)


@quart.route("/echo", methods=["POST"])
async def echo() -> bytes:
    return bytes(await quart_request.get_data())


@quart.websocket("/shout")
async def shout() -> None:
    while True:
        await websocket.send((await websocket.receive()).upper())


# -- Django, with Channels -------------------------------------------------------------------------------------------


async def view(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"path": request.path, "info": request.path_info, "body": request.body.decode()})


def blocking_view(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("from a thread")


async def streaming_view(_request: HttpRequest) -> StreamingHttpResponse:
    async def blocks() -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(0)
            yield b"block\n"

    return StreamingHttpResponse(blocks())


class Consumer(AsyncHttpConsumer):  # type: ignore[misc]
    async def handle(self, body: bytes) -> None:
        await self.send_response(200, b"channels got " + body)


class Room(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """Everybody hears what one says."""

    async def connect(self) -> None:
        await self.channel_layer.group_add("room", self.channel_name)
        await self.accept("json" if "json" in self.scope["subprotocols"] else None)

    async def disconnect(self, code: int) -> None:
        note("left", str(code))
        await self.channel_layer.group_discard("room", self.channel_name)

    async def receive_json(self, content: dict[str, Any], **_: Any) -> None:
        await self.channel_layer.group_send("room", {"type": "room.said", "content": content})

    async def room_said(self, event: dict[str, Any]) -> None:
        await self.send_json(event["content"])


urlpatterns = [path("view", view), path("blocking", blocking_view), path("streaming", streaming_view)]
settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="a",
    DEBUG=False,
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
)
django.setup()
_http = URLRouter([path("consumer", Consumer.as_asgi()), re_path("", get_asgi_application())])
channels = ProtocolTypeRouter({"http": _http, "websocket": URLRouter([path("room", Room.as_asgi())])})

# -- all of them -----------------------------------------------------------------------------------------------------

MOUNTED = {"/fast": fast, "/star": star, "/quart": quart, "/django": channels}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await fast(scope, receive, send)
        return
    prefix = "/" + scope["path"].split("/")[1]
    await MOUNTED[prefix]({**scope, "root_path": prefix}, receive, send)  # type: ignore[operator]
