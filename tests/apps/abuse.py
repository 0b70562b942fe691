"""Runs what it is sent: the body of POST /run, as Python. `result` is the answer, whatever it set; "" otherwise.

The same for WSGI (`application`), ASGI (`asgi`) and tornado (`tornado_application`). Every other path answers with the
pid. KEPT outlives a request, for what is to be leaked.
"""

import os
from typing import Any

KEPT: list[Any] = []
_NAMES: dict[str, Any] = {"KEPT": KEPT, "__name__": "abuse"}


def run(code: bytes) -> bytes:
    names = dict(_NAMES)
    exec(compile(code, "shop/abuse.py", "exec"), names)  # the file that the log has to name
    return str(names.get("result", "")).encode()


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = run(environ["wsgi.input"].read()) if environ["REQUEST_METHOD"] == "POST" else str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body, more = b"", scope["method"] == "POST"
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    body = run(body) if scope["method"] == "POST" else str(os.getpid()).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def tornado_application() -> Any:
    from tornado.web import Application, RequestHandler

    class Any_(RequestHandler):
        def get(self) -> None:
            self.write(str(os.getpid()))

        def post(self) -> None:
            self.write(run(self.request.body))

    return Application([(".*", Any_)])
