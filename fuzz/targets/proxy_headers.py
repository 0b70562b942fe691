"""PROXY headers: what is in front of a client's first byte, in any mode.

Promises: a header is good, bad or incomplete, as `reference/proxy_headers.py` reads it; a good one stays what it is
whatever follows, and none of its beginnings is refused; a bad one is refused at every length from some byte on; nobody
waits for more bytes than the longest header has.
"""

from collections.abc import Iterable
from typing import Final

from fuzz.corpus import cases, raw
from fuzz.finding import expect
from fuzz.reference.grammar import Broken, Incomplete
from fuzz.reference.proxy_headers import V1_BYTES, V2_BYTES, crc32c, read_header
from ostler.http.connection import Proxied
from ostler.http.errors import HttpError
from ostler.http.proxy_protocol import ProxyMode, read_proxy_header

SETTINGS_BYTES: Final = 2

_MODES: Final = (ProxyMode.AUTO, ProxyMode.V1, ProxyMode.V2)
_VERSIONS: Final = {ProxyMode.AUTO: "12", ProxyMode.V1: "1", ProxyMode.V2: "2"}
_CHECKSUM: Final = 0x40
"""Bit of byte 0: put the right checksum behind the header and into its length, as no fuzzer could."""
_STRETCH: Final = 0x80
"""Bit of byte 0: append byte 1, five thousand times."""

Verdict = tuple[Proxied, int] | str | None


def read_input(data: bytes) -> tuple[ProxyMode, bytes]:
    """The mode and the bytes."""
    settings, stream = data[:SETTINGS_BYTES].ljust(SETTINGS_BYTES, b"\0"), data[SETTINGS_BYTES:]
    if settings[0] & _CHECKSUM and len(stream) >= 16:
        length = int.from_bytes(stream[14:16], "big")
        front = stream[:14] + ((length + 7) % 65536).to_bytes(2, "big") + stream[16 : 16 + length] + b"\x03\0\x04"
        stream = front + crc32c(front + bytes(4)).to_bytes(4, "big") + stream[16 + length :]
    if settings[0] & _STRETCH:
        stream += settings[1:2] * 5000
    return _MODES[settings[0] % 3], stream


def verdict(data: bytes, mode: ProxyMode) -> Verdict:
    """What is said of these bytes."""
    try:
        return read_proxy_header(data, mode)
    except HttpError as error:
        expect(error.status == 400, "a bad header is refused with 400", error)
        return "refused"


def check(data: bytes) -> None:
    """See the module."""
    mode, stream = read_input(data)
    whole = verdict(stream, mode)
    try:
        protocol, source, destination, length = read_header(stream, _VERSIONS[mode])
    except Incomplete:
        expect(not isinstance(whole, tuple), "an incomplete header is none", whole)
        length = len(stream)
    except Broken as reason:
        expect(whole == "refused", f"a bad header is refused ({reason})", whole)
        length = len(stream)
    else:
        good = (Proxied(protocol, source, destination), length)
        expect(whole == good, "a good header is read", whole, good)
    if whole is None:
        most = V1_BYTES if stream.startswith(b"PROXY") else V2_BYTES
        expect(len(stream) < most, "nobody waits beyond the longest header", len(stream))
    check_beginnings(stream, mode, length, whole)


def check_beginnings(stream: bytes, mode: ProxyMode, length: int, whole: Verdict) -> None:
    """Every beginning is incomplete until the verdict falls, which is final."""
    former: Verdict = None
    ends = {*range(130), *range(130, len(stream), 977), length - 1, length, length + 1, len(stream)}
    for end in sorted(end for end in ends if 0 <= end <= len(stream)):
        found = verdict(stream[:end], mode)
        if former is not None:
            expect(found == former, "a verdict is final", end, former, found)
        if isinstance(found, tuple):
            expect(end >= length, "a header is not read before it is complete", end, length)
        former = found
    expect(former == whole, "the whole is the last beginning", former, whole)


def seeds(wellformed: bool) -> Iterable[bytes]:
    """The corpus of the unit tests."""
    for number, case in enumerate(cases("proxy_protocol")):
        header = bytes.fromhex(case["hex"]) if "hex" in case else raw(case["data"])
        if len(header) > 1000 or (wellformed and "protocol" not in case):
            continue
        yield bytes(2) + header
        if not wellformed:
            yield bytes((number % 256, 0x20)) + header + b"GET / HTTP/1.1\r\n"


def describe(data: bytes) -> str:
    """An input in words."""
    mode, stream = read_input(data)
    return f"mode: {mode}\nstream: {stream[:4000]!r}"
