"""IP addresses and ports in text: what is one, and its one spelling. Anchors: RFC 5952, RFC 3986 section 3.2.2."""

import socket

from fuzz.reference.grammar import is_number


def spelled(text: str, family: int) -> str | None:
    """The usual spelling of an address of AF_INET or AF_INET6; None for what is none."""
    try:
        packed = socket.inet_pton(family, text)
    except (OSError, ValueError, UnicodeError):
        return None
    return spelled_bytes(packed)


def spelled_bytes(packed: bytes) -> str:
    """The usual spelling of 4 or 16 bytes."""
    if len(packed) == 4:
        return ".".join(map(str, packed))
    if packed[:12] == bytes(10) + b"\xff\xff":
        return "::ffff:" + ".".join(map(str, packed[12:]))
    groups = [packed[at] << 8 | packed[at + 1] for at in range(0, 16, 2)]
    best = (0, 0)
    for start in range(8):
        length = 0
        while start + length < 8 and groups[start + length] == 0:
            length += 1
        if length > best[1]:
            best = (start, length)
    words = [f"{group:x}" for group in groups]
    start, length = best
    if length < 2:
        return ":".join(words)
    return ":".join(words[:start]) + "::" + ":".join(words[start + length :])


def port(text: str) -> int | None:
    """A number up to 65535 without leading zeros; None for what is none."""
    if is_number(text) and len(text) <= 5 and (text == "0" or text[0] != "0") and int(text) < 65536:
        return int(text)
    return None
