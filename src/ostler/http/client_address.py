"""Who the client is, by the fields in which proxies name it: Forwarded (RFC 7239) and X-Forwarded-For.

Each proxy adds the address of whoever spoke to it at the end of the list, so only the right end can be believed: the
last element is what the nearest proxy says, the one before it what the second nearest does, and everything left of what
trusted proxies added is the client's own invention. So lists are read from the right, no further than they are
believed, and nothing that a client puts to the left can change how the right is read: not a quote that never ends, not
a thousand empty elements.

Editing rules: pure; linear, and at most MOST_ELEMENTS of each request. An element that cannot be understood is no
address; there are no guesses. Anchors: RFC 7239 sections 4 to 7, RFC 9110 section 5.6.1.2 (empty elements).
"""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ostler.http.addresses import ipv4, ipv6, port
from ostler.http.errors import HttpError

Source = Literal["x-forwarded-for", "forwarded"]
"""The field's name."""

Trust = int | Callable[[str], bool]
"""How many proxies there are, the peer being the first; or whether an address is a proxy's."""

MOST_ELEMENTS: Final = 100
"""Elements that are looked at; whoever believes longer chains believes anything."""

_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED: Final = r'"((?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t -\x7e\x80-\xff])*)"'
_PAIR: Final = re.compile(f"({_TOKEN})=(?:({_TOKEN})|{_QUOTED})")
_BETWEEN_PAIRS: Final = re.compile(r"[ \t]*(?:;[ \t]*)+")
_QUOTED_PAIR: Final = re.compile(r"\\(.)")
_NODE: Final = re.compile(r"([0-9.]+|\[([0-9A-Fa-f:.]+)\])(?::(_[A-Za-z0-9._\-]+|[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Hop:
    """What one element of a list says of whoever spoke to the proxy that added it."""

    host: str
    """An address in its usual spelling."""
    port: int | None = None
    proto: str | None = None
    """In lower case; only Forwarded has it."""


def find_client(fields: Sequence[tuple[str, str]], source: Source, trust: Trust) -> Hop | None:
    """The client that trusted proxies name; None where they name nobody, and it is the peer as far as one can know.

    What is no address (`unknown`, a made-up identifier, nonsense) names nobody. The peer itself is trusted: callers
    see to that.
    """
    read = _forwarded if source == "forwarded" else _forwarded_for
    elements = _from_the_right(fields, source)
    if not callable(trust):
        element = next(itertools.islice(elements, trust - 1, None), None)
        return None if element is None else read(element)
    client: Hop | None = None
    for element in elements:
        hop = read(element)
        if hop is None:
            break
        client = hop
        if not trust(hop.host):
            break
    return client


def scheme_of_hop(hop: Hop) -> Literal["http", "https"] | None:
    """The scheme that a proxy was asked by; None where it does not say.

    Raises:
        HttpError: 400 for any other scheme.
    """
    match hop.proto:
        case None | "http" | "https":
            return hop.proto
        case _:
            raise HttpError(400, "the proto of a Forwarded field is http or https")


def _from_the_right(fields: Sequence[tuple[str, str]], source: Source) -> Iterator[str]:
    """The list's elements, last one first, without empty ones; of at most MOST_ELEMENTS pieces between commas."""
    budget = MOST_ELEMENTS
    for name, value in reversed(fields):
        if name != source:
            continue
        element: list[str] = []
        quotes = 0
        for piece in reversed(value.rsplit(",", budget)):
            if not budget:
                return
            budget -= 1
            element.append(piece)
            quotes += _quotes(piece)
            if quotes % 2:
                continue  # the comma before this piece stands between quotes
            text = ",".join(reversed(element)).strip(" \t")
            element = []
            if text:
                yield text
        if element:
            yield '"'  # a quote that never began


def _quotes(piece: str) -> int:
    """How many quotes begin or end a quoted string: those behind a backslash do not."""
    if '"' not in piece:
        return 0
    return _QUOTED_PAIR.sub("", piece).count('"')


def _forwarded_for(text: str) -> Hop | None:
    """An element of X-Forwarded-For: an address, perhaps with a port; IPv6 with brackets or without."""
    if text.count(":") > 1 and text[0] != "[":
        host = ipv6(text)
        return None if host is None else Hop(host)
    return _node(text, None)


def _forwarded(text: str) -> Hop | None:
    """An element of Forwarded: pairs of names and values, with semicolons between."""
    pairs: dict[str, str] = {}
    place = 0
    leading = _BETWEEN_PAIRS.match(text)
    if leading is not None:
        place = leading.end()
    while place < len(text):
        pair = _PAIR.match(text, place)
        if pair is None:
            return None
        name = pair[1].lower()
        if name in pairs:
            return None
        pairs[name] = pair[2] if pair[2] is not None else _QUOTED_PAIR.sub(r"\1", pair[3])
        place = pair.end()
        if place < len(text):
            between = _BETWEEN_PAIRS.match(text, place)
            if between is None:
                return None
            place = between.end()
    proto = pairs.get("proto")
    return _node(pairs.get("for", ""), None if proto is None else proto.lower())


def _node(text: str, proto: str | None) -> Hop | None:
    """`192.0.2.1`, `[2001:db8::1]`, and either with a port, which may be made up (`_http`)."""
    match = _NODE.fullmatch(text)
    if match is None:
        return None
    host = ipv4(match[1]) if match[2] is None else ipv6(match[2])
    number = None
    if match[3] is not None and match[3][0] != "_":
        number = port(match[3])
        if number is None:
            return None
    return None if host is None else Hop(host, number, proto)
