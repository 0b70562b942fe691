"""Where two readings of the same bytes part, and which listed class of differences that is.

A class (differences.toml) names the parsers, how both sides ended at the first point of difference, what our refusal
and theirs say, and if need be what the bytes look like; and the sentence of an RFC that settles who is right.
"""

import random
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.differential.readers import CLOSED, REFUSED, SERVED, Reading
from tests.unit.http.corpus import REQUESTS, raw
from tests.unit.http.serving import SECOND, can_be_followed

LISTED: Final = tomllib.loads((Path(__file__).parent / "differences.toml").read_text("utf-8"))["difference"]

SEED: Final = 4
MUTANTS_EACH: Final = 4
SHORT_BYTES: Final = 400


@dataclass(frozen=True)
class Difference:
    kind: str
    """ours / theirs, at the first point of difference: served, refused, waits, closed; or what differs of a request."""
    ours: str
    """The words of our refusal."""
    theirs: str
    data: bytes


def difference(data: bytes, ours: Reading, theirs: Reading) -> Difference | None:
    """The first one."""
    for mine, other in zip(ours.requests, theirs.requests, strict=False):
        for name in ("method", "target", "fields", "body"):
            if getattr(mine, name) != getattr(other, name):
                return Difference(name, repr(getattr(mine, name)), repr(getattr(other, name)), data)
    if len(ours.requests) > len(theirs.requests):
        kind = f"{SERVED} / {theirs.end}"
    elif len(ours.requests) < len(theirs.requests):
        kind = f"{ours.end} / {SERVED}"
    elif ours.end == theirs.end or CLOSED in {ours.end, theirs.end}:
        # Closed or not shows in what is served behind it, and is compared there.
        return None
    else:
        kind = f"{ours.end} / {theirs.end}"
    return Difference(kind, ours.reason if ours.end == REFUSED else "", theirs.reason, data)


@dataclass(frozen=True)
class Class:
    """One entry of differences.toml."""

    entry: dict[str, Any]

    def holds(self, parser: str, found: Difference) -> bool:
        entry = self.entry
        return (
            parser in entry["parsers"]
            and found.kind in entry["kinds"]
            and re.search(entry.get("ours", ""), found.ours) is not None
            and re.search(entry.get("theirs", ""), found.theirs) is not None
            and re.search(entry.get("bytes", "").encode("latin-1"), found.data, re.DOTALL) is not None
        )


CLASSES: Final = [Class(entry) for entry in LISTED]


def inputs() -> Iterator[bytes]:
    """The corpus, alone and followed; and seeded mutants of its short cases, followed."""
    for case in REQUESTS:
        data = raw(case["request"])
        yield data
        if can_be_followed(case):
            yield data + SECOND
    for case in REQUESTS:
        data = raw(case["request"])
        if len(data) <= SHORT_BYTES:
            # Each case has a sequence of its own, so that a new case changes no other one's mutants.
            chance = random.Random(f"{SEED} {case['id']}")
            for _ in range(MUTANTS_EACH):
                yield mutated(data, chance) + SECOND


_PIECES: Final = [
    *(bytes([byte]) for byte in b"\0\t\n\v\r !\"#%'()*+,-./0159:;=?@AZ[\\]_az{|}\x7f\x80\xa0\xff"),
    *(b"\r\n", b"\r\n\r\n", b"HTTP/1.0", b"HTTP/1.2", b"close", b"chunked", b"Host: a\r\n", b"Content-Length: 5\r\n"),
    *(
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"0\r\n\r\n",
        b"5\r\nhello\r\n",
        b"http://a",
        b"X: y\r\n",
    ),
]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """With one to three pieces put in, taken out, doubled or replaced."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        start = chance.randint(0, len(changed))
        end = min(len(changed), start + chance.randint(0, 3))
        match chance.randrange(4):
            case 0:
                changed[start:start] = chance.choice(_PIECES)
            case 1:
                del changed[start:end]
            case 2:
                changed[start:start] = changed[start:end]
            case _:
                changed[start:end] = chance.choice(_PIECES)
    return bytes(changed)
