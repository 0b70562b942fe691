"""The application of tests/faults. What is deployed is `release.py`, in the server's directory: VERSION, and faults.

/ask/TOKEN/MS/SIZE   sleeps MS milliseconds, answers `TOKEN CRC32-OF-THE-BODY PID VERSION` and SIZE bytes made of TOKEN
/ready, /health      what load balancers and `reload_check` ask

With FAULTS_NOTES in the environment each process notes in a file of its own (`begun.PID`) which tokens it has begun (+)
and ended (-), so that a test knows what a killed worker was executing.
"""

import os
import time
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import release

NOTES = os.environ.get("FAULTS_NOTES")
FILES: dict[int, int] = {}


def note(text: str) -> None:
    if NOTES is None:
        return
    pid = os.getpid()
    if pid not in FILES:
        FILES[pid] = os.open(f"{NOTES}/begun.{pid}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(FILES[pid], f"{text}\n".encode())


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    name, *rest = environ["PATH_INFO"].strip("/").split("/")
    status, body = "200 OK", release.VERSION.encode()
    if name == "ask":
        token, ms, size = rest
        note(f"+{token}")
        received = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        time.sleep(int(ms) / 1000)
        body = f"{token} {zlib.crc32(received)} {os.getpid()} {release.VERSION}\n".encode()
        body += (token.encode() * (int(size) // len(token) + 1))[: int(size)]
    elif name == "health" and not getattr(release, "HEALTHY", True):
        status = "500 Internal Server Error"
    elif name not in ("health", "ready"):
        status = "404 Not Found"
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    if name == "ask":
        note(f"-{token}")
    return [body]
