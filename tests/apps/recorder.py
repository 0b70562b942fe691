"""A WSGI application that notes every call: what came through, and so also what must not have come through.

Each call appends one line of JSON to the file `calls` in CONTRACT_DIR. The body is read as the path says: `/` all of
it, `/unread` nothing.
"""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    body = b"" if environ["PATH_INFO"] == "/unread" else environ["wsgi.input"].read()
    call = {
        "method": environ["REQUEST_METHOD"],
        "target": environ["RAW_URI"],
        "path": environ["PATH_INFO"],
        "host": environ.get("HTTP_HOST"),
        "scheme": environ["wsgi.url_scheme"],
        "script_name": environ["SCRIPT_NAME"],
        "length": environ.get("CONTENT_LENGTH"),
        "fields": {name: value for name, value in environ.items() if name.startswith("HTTP_")},
        "other": sorted(name for name in environ if name.isupper() and not name.startswith("HTTP_")),
        "body": body.decode("latin-1"),
    }
    fd = os.open(Path(os.environ["CONTRACT_DIR"], "calls"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(fd, json.dumps(call).encode() + b"\n")
    finally:
        os.close(fd)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [b"ok\n"]
