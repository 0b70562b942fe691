"""Forwarded and X-Forwarded-For: who the client is behind trusted proxies.

Promises: any values name a client or nobody; the client is an address in its usual spelling; lists that are well-formed
name whom a reader from left to right finds; what a client puts to the left, into the list or before it, never changes
what trusted proxies said; no more elements are looked at than the bound says.
"""

import ipaddress
import socket
from collections.abc import Iterable
from typing import Final

from fuzz.corpus import LONGEST, cases
from fuzz.finding import expect
from fuzz.reference.addresses import port, spelled
from fuzz.reference.grammar import Broken, is_token, take_pairs
from ostler.http.client_address import MOST_ELEMENTS, Hop, Source, Trust, find_client, scheme_of_hop
from ostler.http.errors import HttpError

SETTINGS_BYTES: Final = 2
BETWEEN: Final = b"\x1e"
INVENTED: Final = ("6.6.6.6", "for=6.6.6.6", '"', 'for="a', "\\", ",,,", 'for="6.6.6.6", for="')
_TRUSTED: Final = ipaddress.ip_network("10.0.0.0/8")


def read_input(data: bytes) -> tuple[Source, int, list[str]]:
    """Byte 0: the field, and how many proxies are trusted (0: those of 10.0.0.0/8). The rest: values, BETWEEN each."""
    settings, rest = data[:SETTINGS_BYTES].ljust(SETTINGS_BYTES, b"\0"), data[SETTINGS_BYTES:]
    values = [
        "".join(chr(byte) for byte in value if byte == 9 or 32 <= byte < 127 or byte > 127).strip(" \t")
        for value in rest.split(BETWEEN)
    ]
    return ("forwarded" if settings[0] & 1 else "x-forwarded-for"), (settings[0] >> 1) % 5, values


def check(data: bytes) -> None:
    """See the module."""
    source, count, values = read_input(data)
    asked: list[str] = []

    def trusted(address: str) -> bool:
        asked.append(address)
        return ipaddress.ip_address(address) in _TRUSTED

    trust: Trust = count or trusted
    fields = [("host", "a"), *((source, value) for value in values), ("x", "y")]
    client = find_client(fields, source, trust)
    expect(len(asked) <= MOST_ELEMENTS, "a bounded number of elements is looked at", len(asked))
    if client is not None:
        check_hop(client)
    expected = from_left_to_right(values, source)
    if expected is not None and len(expected) < MOST_ELEMENTS - sum(value.count(",") for value in values):
        expect(client == chosen(expected, count), "a well-formed list is read", client, expected)
    # Whoever is named stays so. (Where nobody is named the list may have been too short, and then the left counts.)
    stopped = not count and (client is None or ipaddress.ip_address(client.host) in _TRUSTED)
    if client is not None and not stopped:
        for invented in INVENTED:
            in_front = [(source, invented), *fields]
            expect(find_client(in_front, source, trust) == client, "nothing to the left counts", invented, client)
            if values[0]:
                same = [fields[0], (source, f"{invented}, {values[0]}"), *fields[2:]]
                expect(find_client(same, source, trust) == client, "nothing to the left counts", invented, client)


def check_hop(hop: Hop) -> None:
    """A hop is an address, and its scheme is judged without surprises."""
    family = socket.AF_INET6 if ":" in hop.host else socket.AF_INET
    expect(spelled(hop.host, family) == hop.host, "an address in its usual spelling", hop)
    expect(hop.port is None or 0 <= hop.port <= 65535, "a port", hop)
    try:
        expect(scheme_of_hop(hop) == hop.proto, "the scheme is what was said", hop)
    except HttpError:
        expect(hop.proto not in (None, "http", "https"), "http and https are schemes", hop)


def chosen(hops: list[Hop | None], count: int) -> Hop | None:
    """Whom the list names; its first element is the leftmost."""
    if count:
        return hops[-count] if len(hops) >= count else None
    client = None
    for hop in reversed(hops):
        if hop is None:
            break
        client = hop
        if ipaddress.ip_address(hop.host) not in _TRUSTED:
            break
    return client


def from_left_to_right(values: list[str], source: Source) -> list[Hop | None] | None:
    """Every element; None for a list that is not well-formed, of which nothing is promised but what is safe."""
    hops: list[Hop | None] = []
    for value in values:
        if source == "x-forwarded-for":
            if '"' in value:
                return None
            hops += [forwarded_for(element.strip(" \t")) for element in value.split(",") if element.strip(" \t")]
            continue
        try:
            hops += [forwarded(pairs) for pairs in take_pairs(value)]
        except Broken:
            return None
    return hops


def forwarded(pairs: list[tuple[str, str]]) -> Hop | None:
    """An element of Forwarded."""
    said = {name.lower(): value for name, value in pairs}
    if len(said) < len(pairs) or not all(is_token(name) for name in said):
        return None
    proto = said.get("proto")
    return node(said.get("for", ""), None if proto is None else proto.lower())


def forwarded_for(text: str) -> Hop | None:
    """An element of X-Forwarded-For: IPv6 needs no brackets there."""
    if text.count(":") > 1 and not text.startswith("["):
        host = spelled(text, socket.AF_INET6)
        return None if host is None else Hop(host)
    return node(text, None)


def node(text: str, proto: str | None) -> Hop | None:
    """RFC 7239 section 6, of which obfuscated identifiers and `unknown` are no addresses."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        address = spelled(host, socket.AF_INET6) if bracket else None
    else:
        host, colon, rest = text.partition(":")
        rest = colon + rest
        address = spelled(host, socket.AF_INET)
    if address is None:
        return None
    if rest == "":
        return Hop(address, None, proto)
    if rest.startswith(":_"):
        plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
        return Hop(address, None, proto) if rest[2:] and all(letter in plain for letter in rest[2:]) else None
    number = port(rest[1:]) if rest.startswith(":") else None
    return None if number is None else Hop(address, number, proto)


def seeds(wellformed: bool) -> Iterable[bytes]:
    """The corpus of the unit tests."""
    for number, case in enumerate(cases("client_address")):
        if wellformed and "client" not in case:
            continue
        values = case.get("forwarded", case.get("for", []))
        if not all(isinstance(value, str) for value in values):
            continue
        trust = case.get("trust", 1)
        first = ("forwarded" in case) | (trust if isinstance(trust, int) and trust < 5 else 0) << 1
        seed = BETWEEN.join(value.encode("latin-1") for value in values)
        if len(seed) <= LONGEST:
            yield bytes((first, 0)) + seed
            if not wellformed:
                yield bytes((number % 10, 0)) + seed


def describe(data: bytes) -> str:
    """An input in words."""
    source, count, values = read_input(data)
    return f"field: {source}\ntrusted proxies: {count or _TRUSTED}\nvalues: {values}"
