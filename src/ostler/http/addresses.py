"""IP addresses and ports as proxies write them: PROXY headers, Forwarded, X-Forwarded-For.

A client must not look like two by two spellings of its address, so each has one here, that of inet_ntop(3).
Anchors: RFC 5952 for IPv6 (section 5 for addresses that stand for IPv4 ones), RFC 3986 section 3.2.2 for IPv4.
"""

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final

_NUMBER: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"

_V4: Final = re.compile(rf"{_NUMBER}(?:\.{_NUMBER}){{3}}")
"""0.4 µs, where `ipaddress` takes 2.4; a proxy names its client in every request."""

_PORT: Final = re.compile(r"0|[1-9][0-9]{0,4}")

_V6_CHARACTERS: Final = re.compile(r"[0-9A-Fa-f:.]{2,45}")
"""Without a zone (`%eth0`), which means something on the machine of its sender only."""


def ipv4(text: str) -> str | None:
    """Four decimal numbers up to 255 without leading zeros, or None."""
    return text if _V4.fullmatch(text) else None


def ipv6(text: str) -> str | None:
    """The usual spelling of an IPv6 address, or None for what is none."""
    if not _V6_CHARACTERS.fullmatch(text):
        return None
    try:
        return ipv6_text(IPv6Address(text))
    except AddressValueError:
        return None


def ipv6_text(address: IPv6Address) -> str:
    """An address in its usual spelling; that of `ipaddress` differs with Python's version for ::ffff:192.0.2.1."""
    mapped = address.ipv4_mapped
    return str(address) if mapped is None else f"::ffff:{mapped}"


def port(text: str) -> int | None:
    """A decimal number up to 65535 without leading zeros, or None."""
    return number if _PORT.fullmatch(text) and (number := int(text)) <= 65535 else None
