"""What is measured: the least a WSGI application can do; half a second; a form that is read; a page of 1 MB."""

import time
from collections.abc import Callable, Iterable
from typing import Any

BODY = b"Hello, World!"
FIELDS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]
LARGE_BYTES = 1_000_000
LARGE_FIELDS = [("Content-Type", "application/octet-stream"), ("Content-Length", str(LARGE_BYTES))]


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path != "/":
        if path == "/slow":
            time.sleep(0.5)
        elif path == "/upload":
            environ["wsgi.input"].read()
        elif path == "/large":
            start_response("200 OK", LARGE_FIELDS)
            return [b"x" * LARGE_BYTES]  # made for each request, as pages are (and not of zeros, which cost no memory)
    start_response("200 OK", FIELDS)
    return [BODY]
