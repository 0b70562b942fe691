"""Ways for a worker to hang and to die; each in a function of its own, in the line that says so."""

import ctypes
import os
import signal
import threading
import time
from pathlib import Path

PYTHON = ctypes.PyDLL(None)  # its calls hold the GIL
LOCKS = threading.Lock(), threading.Lock()
BOTH = threading.Barrier(2)


def crash():
    ctypes.string_at(0)  # dies here


def leave():
    os._exit(7)  # dies here


def abort():
    ctypes.CDLL(None).abort()


def alarm():
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    snooze()


def snooze():
    Path(os.environ["CONTRACT_DIR"], "snoozing").touch()
    time.sleep(60)  # hangs here


def hold():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN + 7])  # another thread shall be asked for the stacks
    PYTHON.sleep(60)  # hangs here


def spin():
    while True:
        pass  # hangs here


def meet(first, second):
    with LOCKS[first]:
        BOTH.wait()
        with LOCKS[second]:  # hangs here
            pass


def do(path, query):
    if path == "/meet":
        meet(*map(int, query.split(",")))
    elif path != "/":
        globals()[path[1:]]()


def application(environ, start_response):
    do(environ["PATH_INFO"], environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"alive"]


async def asgi_application(scope, receive, send):
    assert scope["type"] == "http"
    do(scope["path"], scope["query_string"].decode())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"alive"})
