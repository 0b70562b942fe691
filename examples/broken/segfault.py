"""A resizer of pictures that calls a C library, and gives it a number where it wants a pointer.

    curl localhost:8000/resize

(`strlen` stands for the library.) There is no exception: the process is gone in the middle of the line.
"""

import ctypes

LIBRARY = ctypes.CDLL(None)


def app(environ, start_response):
    answer = resize(80) if environ["PATH_INFO"] == "/resize" else "welcome"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{answer}\n".encode()]


def resize(width):
    return LIBRARY.strlen(width)  # broken: the number is taken for an address, where there is nothing
