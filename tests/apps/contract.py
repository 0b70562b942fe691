"""A hand-written WSGI application: each path does one thing that a server must get right.

contract_asgi.py and contract_tornado.py do the same for their interfaces; tests/contract asks all of them.
`application` is the callable. `recording` is the same, but says of every other path what has arrived. What outlives a
request (calls of close(), bodies that arrived) is appended, a line at a time, to files in the directory CONTRACT_DIR,
because the tests watch from another process.
"""

import hashlib
import json
import os
import re
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
TEXT = ("Content-Type", "text/plain; charset=utf-8")


def note(name: str, text: str) -> None:
    """Append one line to a file in CONTRACT_DIR, in one write, so that lines of several workers do not mix."""
    path = Path(os.environ["CONTRACT_DIR"], name)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(fd, f"{text}\n".encode())
    finally:
        os.close(fd)


class Blocks:
    """An iterable response that counts the calls of its close() in the file `closed`."""

    def __init__(self, name: str, blocks: Iterable[bytes]) -> None:
        self.name = name
        self.blocks = iter(blocks)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self.blocks)

    def close(self) -> None:
        note("closed", self.name)


def text(start_response: StartResponse, body: str | bytes, *fields: tuple[str, str]) -> list[bytes]:
    data = body.encode() if isinstance(body, str) else body
    start_response("200 OK", [TEXT, ("Content-Length", str(len(data))), *fields])
    return [data]


def environ_json(environ: Environ, start_response: StartResponse) -> list[bytes]:
    shown = {key: value for key, value in environ.items() if isinstance(value, str | int | bool | tuple)}
    return text(start_response, json.dumps(shown))


def echo(environ: Environ, start_response: StartResponse) -> list[bytes]:
    body = environ["wsgi.input"].read()
    note("bodies", f"{len(body)} {hashlib.sha256(body).hexdigest()}")
    return text(start_response, body)


def digest(environ: Environ, start_response: StartResponse) -> list[bytes]:
    sha256 = hashlib.sha256()
    size = 0
    while block := environ["wsgi.input"].read(65536):
        sha256.update(block)
        size += len(block)
    note("bodies", f"{size} {sha256.hexdigest()}")
    return text(start_response, f"{size} {sha256.hexdigest()}")


def sleep(environ: Environ, start_response: StartResponse, ms: int) -> list[bytes]:
    note("sleeping" if ms < 30_000 else "hanging", str(os.getpid()))
    time.sleep(ms / 1000)
    return text(start_response, f"slept {ms}")


def cpu(environ: Environ, start_response: StartResponse, ms: int) -> list[bytes]:
    note("burning", str(os.getpid()))
    until = time.process_time() + ms / 1000
    rounds = 0
    while time.process_time() < until:
        rounds += 1
    return text(start_response, f"burnt {ms}")


def stubborn(environ: Environ, start_response: StartResponse, ms: int) -> list[bytes]:
    """Go on for so long, whatever is raised."""
    note("stubborn", str(os.getpid()))
    until = time.monotonic() + ms / 1000
    while time.monotonic() < until:
        try:
            time.sleep(0.01)
        except BaseException as error:  # noqa: BLE001  that is the point
            note("raised", type(error).__name__)
    return text(start_response, "done at last")


def budget(environ: Environ, start_response: StartResponse, extend_ms: int = 0, sleep_ms: int = 0) -> list[bytes]:
    """How many milliseconds are left of `request_timeout`, and how many the request had been waiting."""
    deadline = environ["ostler.deadline"]
    if extend_ms:
        deadline.extend(extend_ms / 1000)
    time.sleep(sleep_ms / 1000)
    return text(start_response, f"{deadline.remaining() * 1000:.0f} {waited_ms(environ.get('ostler.queue_time'))}")


def waited_ms(queue_time: float | None) -> str:
    return "None" if queue_time is None else f"{queue_time * 1000:.0f}"


def hold_gil(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Hang in C code that never lets another thread run: no Python signal handler and no watchdog thread helps."""
    note("hanging", str(os.getpid()))
    re.match(r"(a+)+$", "a" * 60 + "b")
    return text(start_response, "never")


def spin(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Never give anything else of this process's loop a turn; but run Python code."""
    note("hanging", str(os.getpid()))
    while True:
        sum(range(1000))


def lines(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer each line of the body when it has come, before the next one has."""
    start_response("200 OK", [TEXT])
    return (line.upper() for line in iter(environ["wsgi.input"].readline, b""))


def call_of(method: str, path: bytes, query: str, body: bytes) -> str:
    """What a request was to the application, in a field of its response (which HEAD has, too)."""
    call = {"method": method, "path": path.decode("latin-1"), "query": query, "body": f"{len(body)} {zlib.crc32(body)}"}
    return json.dumps(call)


def record(environ: Environ, start_response: StartResponse) -> list[bytes]:
    body = environ["wsgi.input"].read()
    path = environ["PATH_INFO"].encode("latin-1")
    call = call_of(environ["REQUEST_METHOD"], path, environ["QUERY_STRING"], body)
    return text(start_response, b"recorded\n", ("X-Call", call))


def one_block(environ: Environ, start_response: StartResponse, size: int) -> list[bytes]:
    return text(start_response, b"x" * size)


def blocks(environ: Environ, start_response: StartResponse, count: int, size: int = 65536) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", str(count * size))])
    return Blocks(name_of(environ), (b"y" * size for _ in range(count)))


def chunked(environ: Environ, start_response: StartResponse, count: int, delay_ms: int = 0) -> Iterable[bytes]:
    """Blocks of unknown number: chunked to HTTP/1.1 clients, until the end of the connection to HTTP/1.0 ones."""

    def made() -> Iterator[bytes]:
        for index in range(count):
            if delay_ms:
                time.sleep(delay_ms / 1000)
            yield f"block {index}\n".encode()

    start_response("200 OK", [TEXT])
    return Blocks(name_of(environ), made())


def by_write(environ: Environ, start_response: StartResponse, count: int) -> list[bytes]:
    write = start_response("200 OK", [TEXT])
    for index in range(count):
        write(f"block {index}\n".encode())
    return [b"end\n"]


def sent_file(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    path = Path(os.environ["CONTRACT_DIR"], "file.bin")
    start_response(
        "200 OK",
        [("Content-Type", "application/octet-stream"), ("Content-Length", str(path.stat().st_size))],
    )
    file = path.open("rb")
    wrapper: Iterable[bytes] = environ["wsgi.file_wrapper"](file, 65536)
    return wrapper


def raise_before(environ: Environ, start_response: StartResponse) -> list[bytes]:
    raise RuntimeError("raised before start_response")


def raise_during(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    def made() -> Iterator[bytes]:
        yield b"a good beginning\n"
        raise RuntimeError("raised while the body was made")

    start_response("200 OK", [TEXT])
    return Blocks(name_of(environ), made())


def system_exit(environ: Environ, start_response: StartResponse, status: int) -> list[bytes]:
    sys.exit(status)


def hard_exit(environ: Environ, start_response: StartResponse, status: int) -> list[bytes]:
    os._exit(status)


def short(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", "100")])
    return Blocks(name_of(environ), [b"only this"])


def over(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", "5")])
    return Blocks(name_of(environ), [b"12345", b"6789"])


def early_hints(environ: Environ, start_response: StartResponse) -> list[bytes]:
    environ["wsgi.early_hints"]([("Link", "</style.css>; rel=preload; as=style")])
    return text(start_response, "hinted")


def endless(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Blocks without an end: only the client's leaving stops it."""

    def made() -> Iterator[bytes]:
        while True:
            time.sleep(0.005)
            yield b"z" * 4096

    start_response("200 OK", [TEXT])
    return Blocks(name_of(environ), made())


def pid(environ: Environ, start_response: StartResponse) -> list[bytes]:
    return text(start_response, str(os.getpid()))


def hello(environ: Environ, start_response: StartResponse) -> list[bytes]:
    return text(start_response, "hello")


def read_some(environ: Environ, start_response: StartResponse, size: int) -> list[bytes]:
    return text(start_response, environ["wsgi.input"].read(size))


def print_line(environ: Environ, start_response: StartResponse) -> list[bytes]:
    print("printed by the application", flush=True)
    environ["wsgi.errors"].write("written to wsgi.errors\n")
    environ["wsgi.errors"].flush()
    return text(start_response, "printed")


def start_thread(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Leave a thread behind that would keep the interpreter from ending for a minute."""
    threading.Thread(target=time.sleep, args=(60,), daemon=False).start()
    return text(start_response, "started")


def name_of(environ: Environ) -> str:
    return parse_qs(environ["QUERY_STRING"]).get("name", ["unnamed"])[0]


ROUTES: dict[str, Callable[..., Iterable[bytes]]] = {
    "": hello,
    "environ": environ_json,
    "echo": echo,
    "digest": digest,
    "sleep": sleep,
    "cpu": cpu,
    "stubborn": stubborn,
    "budget": budget,
    "hold-gil": hold_gil,
    "spin": spin,
    "lines": lines,
    "bytes": one_block,
    "blocks": blocks,
    "chunked": chunked,
    "write": by_write,
    "file": sent_file,
    "raise-before": raise_before,
    "raise-during": raise_during,
    "exit": system_exit,
    "os-exit": hard_exit,
    "short": short,
    "over": over,
    "early-hints": early_hints,
    "endless": endless,
    "pid": pid,
    "read": read_some,
    "print": print_line,
    "thread": start_thread,
}


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """`/name/number/number` calls the function of that name with the numbers."""
    name, *numbers = environ["PATH_INFO"].strip("/").split("/")
    route = ROUTES.get(name)
    if route is None:
        start_response("404 Not Found", [TEXT, ("Content-Length", "0")])
        return []
    return route(environ, start_response, *(int(number) for number in numbers))


def recording(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    name = environ["PATH_INFO"].strip("/").partition("/")[0]
    return application(environ, start_response) if name in ROUTES and name else record(environ, start_response)
