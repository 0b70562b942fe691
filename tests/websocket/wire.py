"""A client's side of the wire, for tests: frames as bytes, and a server's bytes as frames. Shares no code with ours."""

import zlib
from dataclasses import dataclass
from itertools import cycle

MASK = b"\x37\xfa\x21\x3d"  # of RFC 6455 section 5.7


def frame(
    first: int, payload: bytes = b"", *, mask: bytes | None = MASK, length: int | None = None, wide: int | None = None
) -> bytes:
    """A frame. `first`: FIN, reserved bits, opcode. `length`: said instead of the true one, in `wide` (2, 8) bytes."""
    size = len(payload) if length is None else length
    masked = 0x80 if mask is not None else 0
    if wide == 8 or (wide is None and size > 0xFFFF):
        head = bytes((first, masked | 127)) + size.to_bytes(8, "big")
    elif wide == 2 or (wide is None and size > 125):
        head = bytes((first, masked | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, masked | size))
    if mask is None:
        return head + payload
    return head + mask + bytes(a ^ b for a, b in zip(payload, cycle(mask), strict=False))


def text(data: str | bytes, fin: bool = True) -> bytes:
    """A text frame."""
    return frame(0x81 if fin else 0x01, data.encode() if isinstance(data, str) else data)


def binary(data: bytes, fin: bool = True) -> bytes:
    """A binary frame."""
    return frame(0x82 if fin else 0x02, data)


def more(data: str | bytes, fin: bool = False) -> bytes:
    """A continuation."""
    return frame(0x80 if fin else 0x00, data.encode() if isinstance(data, str) else data)


def last(data: str | bytes) -> bytes:
    """The last continuation."""
    return more(data, fin=True)


def ping(data: bytes = b"") -> bytes:
    """A ping."""
    return frame(0x89, data)


def pong(data: bytes = b"") -> bytes:
    """A pong."""
    return frame(0x8A, data)


def close(code: int | None = None, reason: str | bytes = b"") -> bytes:
    """A close frame; None: without a code."""
    body = b"" if code is None else code.to_bytes(2, "big")
    return frame(0x88, body + (reason.encode() if isinstance(reason, str) else reason))


def squeeze(data: bytes, bits: int = 15, final: bool = False) -> bytes:
    """A compressed message's payload by itself. `final`: in a block with BFINAL (RFC 7692 section 7.2.3.4)."""
    stream = zlib.compressobj(wbits=-bits)
    if final:
        return stream.compress(data) + stream.flush(zlib.Z_FINISH) + b"\x00"
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


@dataclass(frozen=True)
class Sent:
    """A frame of a server."""

    first: int
    payload: bytes

    @property
    def opcode(self) -> int:
        return self.first & 0x0F


def sent_frames(data: bytes) -> list[Sent]:
    """What a server sent; every frame must be whole, unmasked and in its shortest form."""
    frames = []
    while data:
        first, size, at = data[0], data[1], 2
        assert size < 0x80, "a server must not mask"
        if size == 126:
            size, at = int.from_bytes(data[2:4], "big"), 4
            assert size > 125
        elif size == 127:
            size, at = int.from_bytes(data[2:10], "big"), 10
            assert size > 0xFFFF
        assert len(data) >= at + size, "a frame is cut off"
        frames.append(Sent(first, data[at : at + size]))
        data = data[at + size :]
    return frames


def inflated(payloads: list[bytes], bits: int = 15, reset: bool = False) -> list[bytes]:
    """Compressed messages, one after the other, by a client with that window."""
    stream = zlib.decompressobj(wbits=-bits)
    found = []
    for payload in payloads:
        found.append(stream.decompress(payload + b"\x00\x00\xff\xff"))
        if reset:
            stream = zlib.decompressobj(wbits=-bits)
    return found
