"""A shop that writes a log of its own for each visitor, and never closes one.

    ulimit -n 64; ostler -c too_many_files.conf.py too_many_files:app
    for visitor in $(seq 100); do curl "localhost:8000/hello?visitor=$visitor"; done

A process has a number of descriptors, for files and for clients. When they are used up, neither can be opened.
"""

import tempfile
from pathlib import Path

FOLDER = Path(tempfile.mkdtemp(prefix="visitors-"))
LOGS = {}


def app(environ, start_response):
    if environ["PATH_INFO"] == "/hello":
        log_of(environ["QUERY_STRING"]).write("was here\n")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello\n"]


def log_of(visitor):
    if visitor not in LOGS:
        LOGS[visitor] = (FOLDER / f"{len(LOGS)}.log").open("a")  # broken: nobody closes them
    return LOGS[visitor]
