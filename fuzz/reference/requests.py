"""An HTTP/1 request as RFC 9112 defines it, with the choices that Ostler documents (docs, lenient.py's table).

Those choices: up to four empty lines before a request; methods of 3 to 20 characters, none in lower case, without "#";
CONNECT, and transfer codings but chunked, are not served; an HTTP/1.2 is read as 1.1.
"""

from dataclasses import dataclass
from typing import Final

from fuzz.reference.grammar import (
    Incomplete,
    demand,
    is_host,
    is_number,
    is_token,
    is_value,
    take_chunks,
    take_field,
    take_line,
)

FORBIDDEN_TRAILERS: Final = frozenset(("authorization", "content-length", "host", "te", "trailer", "transfer-encoding"))
DECIDING: Final = ("host", "content-length", "transfer-encoding", "connection", "expect", "upgrade")


@dataclass(frozen=True)
class Request:
    """What the bytes say, and how large their parts are."""

    method: str
    target: str
    path: str
    query: str
    minor: int
    fields: list[tuple[str, str]]
    host: str | None
    framing: int
    """0, Content-Length, or -1 for chunked."""
    keep_alive: bool
    expects: bool
    body: bytes | None
    """None: not all of it is there."""
    end: int
    """Where it ends in the stream; without a complete body, where its head ends."""
    line_bytes: int
    field_count: int
    largest_field: int
    extension_bytes: int
    trailer_bytes: int


def read_request(stream: bytes, at: int, lenient: bool, body: bool = True) -> Request:
    """The request at `at`. With `body` false an incomplete or broken body is none of our business.

    Raises:
        Broken, Incomplete: see grammar.py.
    """
    empty_lines = 0
    while stream.startswith(b"\r\n", at):
        empty_lines += 1
        demand(empty_lines <= 4, "too many empty lines")
        at += 2
    line, at = take_line(stream, at)
    method, target, minor = _request_line(line, lenient)
    lines = []
    while True:
        field_line, at = take_line(stream, at)
        if field_line == "":
            break
        lines.append(field_line)
    sizes = [len(field_line) + 2 for field_line in lines]
    if lenient:
        lines, sizes = _tolerate(lines)
    fields = [take_field(field_line) for field_line in lines]
    path, query, uri_host = _target(method, target)
    host = _host(fields, minor)
    if uri_host is not None:
        if host is None:
            fields.append(("host", uri_host))
        fields = [(name, uri_host if name == "host" else value) for name, value in fields]
        host = uri_host
    framing = _framing(fields, minor)
    options = [option.strip(" \t").lower() for value in _all(fields, "connection") for option in value.split(",")]
    expectations = [item.strip(" \t").lower() for value in _all(fields, "expect") for item in value.split(",")]
    expectations = [item for item in expectations if item]  # RFC 9110 section 5.6.1: empty elements do not count
    demand(all(item == "100-continue" for item in expectations), "an expectation that nobody can meet")
    extensions = trailers = 0
    content: bytes | None = b""
    if not body:
        content = None if framing else b""
    elif framing > 0:
        content = stream[at : at + framing]
        if len(content) < framing:
            raise Incomplete
        at += framing
    elif framing < 0:
        content, at, extensions, trailers = take_chunks(stream, at, FORBIDDEN_TRAILERS)
    return Request(
        method,
        target,
        path,
        query,
        minor,
        fields,
        host,
        framing,
        "close" not in options and (minor == 1 or "keep-alive" in options),
        expectations != [] and minor == 1 and framing != 0,
        content,
        at,
        len(line),
        len(lines),
        max(sizes, default=0),
        extensions,
        trailers,
    )


def _request_line(line: str, lenient: bool) -> tuple[str, str, int]:
    demand(is_value(line), "a control character in the request line")
    parts = line.split(" ")
    demand(len(parts) == 3, "a request line has three words")
    method, target, version = parts
    demand(is_token(method), "a method is a token")
    usual = 3 <= len(method) <= 20 and "#" not in method and method == method.upper()
    demand(usual or lenient, "an unusual method")
    demand(len(version) == 8 and version.startswith("HTTP/") and version[6] == ".", "no version")
    demand(is_number(version[5]) and is_number(version[7]), "no version")
    demand(version[5] == "1" or lenient, "another major version")
    demand(target != "" and all("!" <= character <= "~" and character != "#" for character in target), "no target")
    minor = {"0": 0, "1": int(version[7] != "0")}.get(version[5], 1)
    return (method if usual else method.upper()), target, minor


def _target(method: str, target: str) -> tuple[str, str, str | None]:
    demand(method != "CONNECT", "no proxy")
    if target.startswith("/"):
        path, _, query = target.partition("?")
        return path, query, None
    if target == "*" and method == "OPTIONS":
        return "*", "", None
    scheme, separator, rest = target.partition("://")
    demand(separator != "" and scheme.lower() in ("http", "https"), "neither a path nor an http URI")
    end = min((rest.find(mark) for mark in "/?" if mark in rest), default=len(rest))
    authority, rest = rest[:end], rest[end:]
    demand(authority != "" and is_host(authority), "no host in the URI")
    path, _, query = rest.partition("?")
    if not path:
        path = "*" if method == "OPTIONS" and rest == "" else "/"
    return path, query, authority


def _host(fields: list[tuple[str, str]], minor: int) -> str | None:
    said = _all(fields, "host")
    demand(len(said) <= 1, "more than one Host")
    demand(minor == 0 or said != [], "HTTP/1.1 without Host")
    demand(said == [] or is_host(said[0]), "no valid Host")
    return said[0] if said else None


def _framing(fields: list[tuple[str, str]], minor: int) -> int:
    lengths = _all(fields, "content-length")
    codings = _all(fields, "transfer-encoding")
    demand(len(lengths) <= 1, "more than one Content-Length")
    demand(len(codings) <= 1, "more than one Transfer-Encoding")
    if codings:
        demand(codings[0].lower() == "chunked", "a coding that is not chunked")
        demand(minor == 1, "chunked in HTTP/1.0")
        demand(lengths == [], "two lengths")
        return -1
    if lengths:
        demand(is_number(lengths[0]) and len(lengths[0]) <= 19, "no Content-Length")
        demand(int(lengths[0]) < 2**63, "a Content-Length beyond all files")
        return int(lengths[0])
    return 0


def _all(fields: list[tuple[str, str]], name: str) -> list[str]:
    return [value for other, value in fields if other == name]


def _tolerate(lines: list[str]) -> tuple[list[str], list[int]]:
    """Folded lines joined, white space before colons dropped, neither in a field that decides about the message.

    And each field's size: with all its lines as they came, or, when it has but one, without the dropped white space.
    """
    fields: list[list[str]] = []
    for line in lines:
        if line[0] not in " \t":
            fields.append([line])
            continue
        demand(fields != [], "a folded request line")
        demand(line.strip(" \t") != "", "a folded line of white space")
        demand(not _decides(fields[-1][0]), "a folded field that decides")
        fields[-1].append(line)
    tolerated = []
    sizes = []
    for parts in fields:
        line = parts[0]
        if len(parts) > 1:
            line = " ".join([line.rstrip(" \t"), *(part.strip(" \t") for part in parts[1:])])
        name, colon, value = line.partition(":")
        stripped = name.rstrip(" \t")
        if colon and stripped != name:
            demand(not _decides(line), "white space in a field that decides")
            line = stripped + colon + value
        tolerated.append(line)
        sizes.append(len(line) + 2 if len(parts) == 1 else sum(len(part) + 2 for part in parts))
    return tolerated, sizes


def _decides(line: str) -> bool:
    return line.partition(":")[0].rstrip(" \t").lower() in DECIDING
