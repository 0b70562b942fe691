"""A page that shows the result of what was written as a command, and still ends as a command does.

    curl localhost:8000/import?file=none

Python makes an exception of `sys.exit`, and nothing in an application expects that one.
"""

import sys


def app(environ, start_response):
    if environ["PATH_INFO"] == "/import":
        import_orders(environ["QUERY_STRING"].removeprefix("file="))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done\n"]


def import_orders(name):
    try:
        with open(name) as file:
            return len(file.readlines())
    except OSError:
        sys.exit(3)  # broken: right in a command, wrong in a server
