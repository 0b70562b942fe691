"""How an input of the fuzzer becomes bytes on a connection: its first bytes are settings, the rest is what is sent.

The input decides everything. Zeros in front mean the plain thing (default limits, all in one piece), so that a raw
request becomes a seed by putting `PLAIN` before it.
"""

from dataclasses import dataclass
from typing import Final

SETTINGS_BYTES: Final = 8
PLAIN: Final = bytes(SETTINGS_BYTES)
LONGEST: Final = 96 * 1024
"""No stretched stream is longer: beyond it nothing new happens, and a run shall take milliseconds."""

LONG: Final = 2048
"""A stream longer than this is cut more coarsely."""

COARSE: Final = 257


@dataclass(frozen=True)
class Reading:
    """One input, taken apart."""

    choices: bytes
    """Settings bytes 0 and 4: what they mean is the target's business."""
    stream: bytes
    pieces: list[bytes]
    """The stream, cut as the input says."""

    def bytewise(self) -> list[bytes]:
        """The stream byte by byte; a long one in small pieces, because a run shall take milliseconds."""
        return cut(self.stream, (1 if len(self.stream) <= LONG else COARSE,))


def read_input(data: bytes) -> Reading:
    """Bytes 1 to 3: lengths of pieces, in turn (0: all that is left). 5 to 7: how often which part is repeated."""
    settings, stream = data[:SETTINGS_BYTES].ljust(SETTINGS_BYTES, b"\0"), data[SETTINGS_BYTES:]
    times, start, length = settings[5:8]
    if times >= 192 and length:  # seldom, because long streams take long
        start *= 2
        repeated = stream[start : start + length]
        stream = (stream[:start] + repeated * (1 << times % 14) + stream[start + length :])[:LONGEST]
    step = 1 if len(stream) <= LONG else COARSE
    return Reading(settings[:1] + settings[4:5], stream, cut(stream, tuple(length * step for length in settings[1:4])))


def cut(stream: bytes, lengths: tuple[int, ...]) -> list[bytes]:
    """Pieces of these lengths in turn; 0 takes the rest."""
    pieces = []
    at = turn = 0
    while at < len(stream):
        length = lengths[turn % len(lengths)] or len(stream)
        pieces.append(stream[at : at + length])
        at += length
        turn += 1
    return pieces
