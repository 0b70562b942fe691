"""A Flask application with what the example does not show: streaming requests, errors, and its own signals."""

import os
import time
from collections.abc import Iterator

from flask import Flask, Response, abort, request, stream_with_context

app = Flask(__name__)


@app.get("/")
def index() -> dict[str, object]:
    return {"pid": os.getpid(), "multithread": request.environ["wsgi.multithread"]}


@app.post("/json")
def json_body() -> dict[str, object]:
    return {"received": request.get_json()}


@app.post("/stream")
def stream_body() -> dict[str, object]:
    size = 0
    while block := request.stream.read(16384):
        size += len(block)
    return {"size": size}


@app.get("/numbers")
def numbers() -> Response:
    count = request.args.get("count", default=5, type=int)

    def lines() -> Iterator[str]:
        for number in range(count):
            time.sleep(0.01)
            yield f"{number} {request.path}\n"

    return Response(stream_with_context(lines()), mimetype="text/plain")


@app.get("/broken")
def broken() -> str:
    raise RuntimeError("this view is broken on purpose")


@app.get("/teapot")
def teapot() -> str:
    abort(418)
