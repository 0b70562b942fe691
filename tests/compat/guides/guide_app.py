"""The Flask application that every guide of this folder serves: it says what the server gave it."""

import os
import socket
import threading
import time
from pathlib import Path

from flask import Flask, jsonify, request
from werkzeug.wrappers import Response

IMPORTED_BY = os.getpid()
_meetings: dict[int, threading.Barrier] = {}
_making = threading.Lock()


def create_app() -> Flask:
    app = Flask(__name__)

    @app.get("/")
    def index() -> Response:
        """Who answers, and what the environ says."""
        return jsonify(
            pid=os.getpid(),
            imported_by=IMPORTED_BY,
            thread=threading.current_thread().name,
            sockets=socket.socket.__module__,
            multithread=request.environ["wsgi.multithread"],
            environment={name: os.environ.get(name) for name in ("SECRET_KEY", "PYTHONUNBUFFERED", "FLASK_ENV")},
            user=os.getuid(),
        )

    @app.get("/seen")
    def seen() -> Response:
        """What the request looks like through a proxy."""
        named = ("Host", "X-Real-IP", "X-Forwarded-For", "X-Forwarded-Proto")
        fields = {name: request.headers.get(name) for name in named}
        return jsonify(scheme=request.scheme, url=request.url, peer=request.remote_addr, fields=fields)

    @app.get("/meet/<int:parties>")
    def meet(parties: int) -> str:
        """`met` when so many requests are here at once, in one process; else `alone` after `wait` seconds."""
        with _making:
            barrier = _meetings.setdefault(parties, threading.Barrier(parties))
        try:
            barrier.wait(request.args.get("wait", 0.5, float))
        except threading.BrokenBarrierError:
            return "alone"
        return "met"

    @app.get("/slow/<int:ms>")
    def slow(ms: int) -> str:
        Path(f"slow-{ms}").touch()
        time.sleep(ms / 1000)
        return "slow"

    @app.get("/long")
    def long() -> Response:
        return jsonify(lines=["a line of a long answer"] * 200)

    @app.post("/size")
    def size() -> str:
        return str(len(request.get_data()))

    @app.get("/print")
    def say() -> str:
        print("printed by the application")
        return "printed"

    @app.get("/health")
    def health() -> str:
        return "OK"

    return app
