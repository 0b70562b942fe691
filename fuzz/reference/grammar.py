"""Words that several readers need, character by character. Anchors: RFC 9110 sections 5.5, 5.6; RFC 3986 3.2.2."""

import socket
from typing import Final

LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
DIGITS: Final = "0123456789"
HEX: Final = DIGITS + "ABCDEFabcdef"
TOKEN: Final = LETTERS + DIGITS + "!#$%&'*+-.^_`|~"


class Broken(Exception):
    """The bytes can never become a message."""


class Incomplete(Exception):
    """More bytes are needed."""


def demand(holds: bool, why: str) -> None:
    """Raise Broken unless it holds."""
    if not holds:
        raise Broken(why)


def is_token(text: str) -> bool:
    """RFC 9110 section 5.6.2."""
    return text != "" and all(character in TOKEN for character in text)


def is_value(text: str) -> bool:
    """A field's value: HTAB, SP, VCHAR and obs-text."""
    return all(character == "\t" or " " <= character <= "~" or "\x80" <= character <= "\xff" for character in text)


def is_number(text: str) -> bool:
    """1*DIGIT, in ASCII."""
    return text != "" and all(character in DIGITS for character in text)


def is_host(text: str) -> bool:
    """uri-host [ ":" port ] with a port of at most five digits; empty, or with a host that is not (RFC 9110 4.2.1)."""
    if text.startswith("["):
        address, bracket, rest = text[1:].partition("]")
        if not bracket or not all(character in HEX + ":." for character in address):
            return False
        try:
            socket.inet_pton(socket.AF_INET6, address)
        except OSError:
            return False
    else:
        name, colon, port = text.partition(":")
        rest = colon + port
        if not _is_name(name) or (name == "" and colon):
            return False
    return rest == "" or (rest[0] == ":" and len(rest) <= 6 and all(character in DIGITS for character in rest[1:]))


def _is_name(text: str) -> bool:
    at = 0
    while at < len(text):
        if text[at] == "%":
            if len(text) < at + 3 or text[at + 1] not in HEX or text[at + 2] not in HEX:
                return False
            at += 3
        elif text[at] in LETTERS + DIGITS + "-._~" + "!$&'()*+,;=":
            at += 1
        else:
            return False
    return True


def take_line(stream: bytes, at: int) -> tuple[str, int]:
    """The line at `at` without its CRLF, and where the next one begins; a CR or LF alone is Broken."""
    end = stream.find(b"\n", at)
    if end < 0:
        raise Incomplete
    line = stream[at:end].decode("latin-1")
    demand(line.endswith("\r"), "a line ends with a bare LF")
    return line[:-1], end + 1


def take_field(line: str) -> tuple[str, str]:
    """A field line: the name in lower case, the value without the white space around it."""
    name, colon, value = line.partition(":")
    demand(colon == ":", "a field without a colon")
    demand(is_token(name), "a field's name is no token")
    demand(is_value(value), "a field's value has a control character")
    return name.lower(), value.strip(" \t")


def take_chunks(stream: bytes, at: int, forbidden: frozenset[str] = frozenset()) -> tuple[bytes, int, int, int]:
    """A chunked body: its data, where it ends, and how many bytes of extensions and of trailers it had.

    Anchors: RFC 9112 section 7.1 with erratum 7633. `forbidden` are names that no trailer may have.
    """
    body = b""
    extensions = trailers = 0
    while True:
        line, at = take_line(stream, at)
        digits = 0
        while digits < len(line) and line[digits] in HEX:
            digits += 1
        demand(1 <= digits <= 16, "a chunk's size is 1 to 16 hexadecimal digits")
        _demand_extensions(line[digits:])
        extensions += len(line) - digits
        size = int(line[:digits], 16)
        if size == 0:
            break
        data = stream[at : at + size]
        body += data
        if len(data) < size:
            raise Incomplete
        at += size
        ending = stream[at : at + 2]
        demand(b"\r\n".startswith(ending), "a chunk is longer than its size")
        if len(ending) < 2:
            raise Incomplete
        at += 2
    while True:
        line, at = take_line(stream, at)
        if line == "":
            return body, at, extensions, trailers
        name, _ = take_field(line)
        demand(name not in forbidden, "a field that must not stand in trailers")
        trailers += len(line) + 2


def _demand_extensions(text: str) -> None:
    """*( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )"""
    rest = text
    while rest:
        rest = rest.lstrip(" \t")
        demand(rest.startswith(";"), "an extension begins with a semicolon")
        rest = _after_token(rest[1:].lstrip(" \t"))
        behind = rest.lstrip(" \t")
        if behind.startswith("="):
            value = behind[1:].lstrip(" \t")
            rest = _after_quoted(value) if value.startswith('"') else _after_token(value)


def _after_token(text: str) -> str:
    length = 0
    while length < len(text) and text[length] in TOKEN:
        length += 1
    demand(length > 0, "a token is missing")
    return text[length:]


def _after_quoted(text: str) -> str:
    at = 1
    while at < len(text) and text[at] != '"':
        if text[at] == "\\":
            at += 1
        demand(at < len(text) and is_value(text[at]), "a control character in a quoted string")
        at += 1
    demand(at < len(text), "a quoted string without its end")
    return text[at + 1 :]


def take_pairs(text: str) -> list[list[tuple[str, str]]]:
    """A list whose elements are pairs with semicolons between, as in Forwarded; empty elements do not count."""
    elements: list[list[tuple[str, str]]] = []
    for element in _split(text, ","):
        pairs = []
        for pair in _split(element, ";"):
            name, equals, value = pair.partition("=")
            demand(equals == "=" and is_token(name), "no pair")
            if value.startswith('"'):
                demand(_after_quoted(value) == "", "something behind a quoted string")
                plain, at = "", 1
                while at < len(value) - 1:
                    at += value[at] == "\\"
                    plain += value[at]
                    at += 1
                value = plain
            else:
                demand(is_token(value), "a value is a token or quoted")
            pairs.append((name, value))
        elements.append(pairs)
    return elements


def _split(text: str, mark: str) -> list[str]:
    """The parts between marks that stand outside of quotes; without empty ones."""
    parts = [""]
    quoted = escaped = False
    for character in text:
        if character == mark and not quoted:
            parts.append("")
            continue
        parts[-1] += character
        if escaped:
            escaped = False
        elif character == '"':
            quoted = not quoted
        elif character == "\\" and quoted:
            escaped = True
    demand(not quoted, "a quote that does not end")
    return [part.strip(" \t") for part in parts if part.strip(" \t")]
