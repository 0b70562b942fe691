"""For tests of gevent and eventlet workers: nothing here knows which of them runs it, but where it must."""

import functools
import importlib
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

BLOCK = b"x" * 65536
opened = threading.Event()
local = threading.local()
ready_at_import = "patched" if "green" in socket.socket.__module__ or "gevent" in socket.socket.__module__ else "plain"


def note(text: str) -> None:
    with (Path(os.environ["CONTRACT_DIR"]) / "notes").open("a") as file:
        file.write(f"{text}\n")


def library() -> Any:
    return importlib.import_module(os.environ["GREEN"])


def primitives(_: Any) -> str:
    """Each of these would stop the worker, or never end, if it were not the library's."""
    line: queue.Queue[int] = queue.Queue()
    gate, lock = threading.Event(), threading.RLock()
    local.value = "mine"

    def work() -> None:
        assert not hasattr(local, "value")
        gate.wait(5)
        with lock:
            line.put(7)

    worker = threading.Thread(target=work)
    worker.start()
    time.sleep(0.001)
    gate.set()
    found = line.get(timeout=5)
    worker.join(5)
    with subprocess.Popen(["echo", "child"], stdout=subprocess.PIPE) as child:
        told = child.communicate(timeout=5)[0].decode().strip()
    name, port = socket.getaddrinfo("localhost", 80, socket.AF_INET, socket.SOCK_STREAM)[0][4]
    return f"{found} {local.value} {told} {child.returncode} {name}:{port} {worker.is_alive()}"


def fetch(environ: Any) -> str:
    import requests

    with requests.Session() as session:
        session.trust_env = False
        return session.get(environ["HTTP_X_URL"], timeout=5).text


def background(_: Any) -> str:
    def work() -> None:
        time.sleep(0.05)
        note("background")

    threading.Thread(target=work).start()
    return "begun"


def leave(_: Any) -> str:
    library().spawn(sys.exit, 3)
    time.sleep(0.01)
    return "stayed"


def be_killed(_: Any) -> str:
    raise importlib.import_module("greenlet").GreenletExit


def fork(_: Any) -> str:
    """The child sleeps, so that other greenlets may run in there, until `release` is there."""
    pid = os.fork()
    if pid:

        def reap() -> None:
            os.waitpid(pid, 0)
            note("reaped")

        threading.Thread(target=reap).start()
        return str(pid)
    while not (Path(os.environ["CONTRACT_DIR"]) / "release").exists():
        time.sleep(0.005)
    os._exit(0)


def run_out(_: Any) -> str:
    library().Timeout(0.01).start()
    time.sleep(5)
    return "late"


def hog(_: Any) -> str:
    while True:
        pass


def hold(_: Any) -> str:
    note("held")
    return str(opened.wait(0.5))


def wait_a_little(_: Any) -> str:
    note("waits a little")
    time.sleep(0.3)
    return str(os.getpid())


def wait_long(_: Any) -> str:
    note("waits")
    return str(threading.Event().wait(30))


def let_go(_: Any) -> str:
    opened.set()
    return "opened"


def upload(environ: Any) -> str:
    size = 0
    note("upload")
    while data := environ["wsgi.input"].read(65536):
        size += len(data)
    return str(size)


PAGES: dict[str, Callable[[Any], str]] = {
    "/": lambda environ: f"{os.getpid()} {ready_at_import} {environ['wsgi.multithread']}",
    "/pid": lambda _: str(os.getpid()),
    "/sleep": lambda _: str(time.sleep(0.1)),
    "/primitives": primitives,
    "/fetch": fetch,
    "/background": background,
    "/exit": lambda _: sys.exit(3),
    "/leave": leave,
    "/fork": fork,
    "/killed": be_killed,
    "/late": run_out,
    "/hog": hog,
    "/hold": hold,
    "/wait": wait_long,
    "/wait-a-little": wait_a_little,
    "/open": let_go,
    "/upload": upload,
}


def stream() -> Iterator[bytes]:
    yield b"first"
    opened.wait(5)
    yield b"second"


@functools.cache
def socketio_app() -> Any:
    from flask import Flask
    from flask_socketio import SocketIO, emit

    app = Flask(__name__)
    socketio = SocketIO(app, async_mode=os.environ["GREEN"])
    socketio.on("shout")(lambda data: emit("heard", data.upper()))
    return app


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path.startswith("/socket.io"):
        return cast(Iterable[bytes], socketio_app()(environ, start_response))
    if path == "/stream":
        opened.clear()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return stream()
    if path == "/large":
        start_response("200 OK", [("Content-Length", str(100 * len(BLOCK)))])
        return (BLOCK for _ in range(100))
    body = PAGES[path](environ).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
