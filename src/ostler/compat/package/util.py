"""`gunicorn.util`: the helpers that other projects import, done by Ostler's own.

Rules for editing: what is here does what Gunicorn's of that name does, errors included; what writes to sockets, becomes
a daemon or changes users is the server's and is not here.
"""

import contextlib
import email.utils
import fcntl
import html
import inspect
import os
import pwd
import random
import re
import socket
import sys
import urllib.parse
from collections.abc import Callable
from typing import Any, NoReturn

from ostler.app.loader import AppBootError, load_app
from ostler.compat.logger_class import entry_point
from ostler.compat.logger_class import load_class as _load_class
from ostler.compat.package.errors import AppImportError
from ostler.compat.shapes import bound_address
from ostler.compat.workers import SUPPORTED_WORKERS
from ostler.config import address as _address
from ostler.config.parse import BadValue
from ostler.config.sources import start_directory
from ostler.errors import OstlerError

REDIRECT_TO = os.devnull
hop_headers = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailers", "transfer-encoding"}
    | {"upgrade", "server", "date"}
)
chown = os.chown
load_entry_point = entry_point


def load_class(uri: Any, default: Any = None, section: str = "gunicorn.workers") -> Any:
    """A class as it is; else what MODULE.CLASS, egg:DIST[#NAME] or a worker's short name means. Raises RuntimeError."""
    if inspect.isclass(uri):
        return uri
    try:
        path = SUPPORTED_WORKERS.get(uri, uri) if section == "gunicorn.workers" else uri
        return _load_class(path, section, default)
    except Exception as error:
        raise RuntimeError(f"class uri {uri!r} invalid or not found: {error}") from error


def import_app(module: str) -> Any:
    """The application that MODULE:NAME or MODULE:FACTORY(...) names. Raises AppImportError, or what its code raises."""
    try:
        return load_app(module, judged=False)
    except AppBootError as error:
        if error.__cause__ is not None:
            raise error.__cause__ from None
        raise
    except OstlerError as error:
        raise AppImportError(str(error)) from error


def parse_address(netloc: str, default_port: str = "8000") -> Any:
    """(host, port), a path, or the number of a descriptor. Raises RuntimeError."""
    has_port = re.search(r":[0-9]+$", netloc) or netloc.startswith(("unix:", "fd://"))
    try:
        return bound_address(_address.parse_address(netloc if has_port else f"{netloc.rstrip(':')}:{default_port}"))
    except BadValue as error:
        raise RuntimeError(f"{netloc!r} is not a valid address; expected {error.expected}") from None


def get_arity(f: Callable[..., object]) -> int:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(parameter.kind in kinds for parameter in inspect.signature(f).parameters.values())


def is_ipv6(addr: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, addr)
    except (OSError, ValueError):
        return False
    return True


def is_glob_pattern(value: str) -> bool:
    return re.search(r"[*?\[]", value) is not None


def get_username(uid: int) -> str:
    return pwd.getpwuid(uid).pw_name


def unlink(filename: str) -> None:
    """A file that is not there is no error."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(filename)


def close_on_exec(fd: Any) -> None:
    os.set_inheritable(fd if isinstance(fd, int) else fd.fileno(), False)


def set_non_blocking(fd: Any) -> None:
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)


def close(sock: Any) -> None:
    with contextlib.suppress(OSError):
        sock.close()


def getcwd() -> str:
    """By the name that the shell used."""
    return start_directory(os.environ)


def seed() -> None:
    random.seed(os.urandom(64))


def http_date(timestamp: float | None = None) -> str:
    return email.utils.formatdate(timestamp, usegmt=True)


def to_bytestring(value: str | bytes, encoding: str = "utf8") -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise TypeError(f"expected a string, got {value!r}")
    return value.encode(encoding)


def bytes_to_str(b: str | bytes) -> str:
    return b if isinstance(b, str) else b.decode("latin-1")


def unquote_to_wsgi_str(string: str) -> str:
    return urllib.parse.unquote_to_bytes(string).decode("latin-1")


def split_request_uri(uri: str) -> urllib.parse.SplitResult:
    """A target that begins with // is a path, not a host."""
    if not uri.startswith("//"):
        return urllib.parse.urlsplit(uri)
    parts = urllib.parse.urlsplit("." + uri)
    return parts._replace(path=parts.path[1:])


def has_fileno(obj: Any) -> bool:
    try:
        obj.fileno()
    except (AttributeError, OSError):  # io.UnsupportedOperation is an OSError
        return False
    return True


def is_hoppish(header: str) -> bool:
    """Whether a response's field belongs to its connection alone."""
    return header.lower().strip() in hop_headers


def reraise(tp: Any, value: BaseException | None, tb: Any = None) -> NoReturn:
    raise (tp() if value is None else value).with_traceback(tb)


def warn(msg: str) -> None:
    """On stderr, framed."""
    lines = "".join(f"WARNING: {line}\n" for line in msg.splitlines())
    sys.stderr.write(f"!!!\n{lines}!!!\n\n")
    sys.stderr.flush()


def check_is_writable(path: str) -> None:
    """Raises RuntimeError."""
    try:
        with open(path, "a"):
            pass
    except OSError as error:
        raise RuntimeError(f"Error: '{path}' isn't writable [{error!r}]") from error


def write_chunk(sock: Any, data: str | bytes) -> None:
    """A chunk of a body (RFC 9112 section 7.1); an empty one is the last."""
    block = to_bytestring(data)
    sock.sendall(b"%X\r\n%s\r\n" % (len(block), block))


def write(sock: Any, data: bytes, chunked: bool = False) -> None:
    if chunked:
        write_chunk(sock, data)
    else:
        sock.sendall(data)


def write_nonblock(sock: Any, data: bytes, chunked: bool = False) -> None:
    """As `write`, on a socket that is then made blocking for as long."""
    timeout = sock.gettimeout()
    if timeout == 0:
        sock.setblocking(True)
    try:
        write(sock, data, chunked)
    finally:
        if timeout == 0:
            sock.setblocking(False)


def write_error(sock: Any, status_int: int, reason: str, mesg: str) -> None:
    """An answer in HTML, after which the connection closes."""
    title, text = html.escape(reason), html.escape(mesg)
    page = f"<html>\n  <head><title>{title}</title></head>\n  <body><h1><p>{title}</p></h1>{text}</body>\n</html>\n"
    fields = f"Connection: close\r\nContent-Type: text/html\r\nContent-Length: {len(page.encode())}\r\n"
    write_nonblock(sock, f"HTTP/1.1 {status_int} {reason}\r\n{fields}\r\n{page}".encode())


def make_fail_app(msg: str | bytes) -> Callable[..., list[bytes]]:
    """A WSGI application that answers 500 with `msg`."""
    body = to_bytestring(msg)

    def app(_environ: object, start_response: Callable[..., object]) -> list[bytes]:
        fields = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
        start_response("500 Internal Server Error", fields)
        return [body]

    return app


def __getattr__(name: str) -> NoReturn:
    raise AttributeError(f"gunicorn.util.{name} is not built in this version of Ostler", name=name)
