"""Frames of RFC 6455, as bytes: opcodes, close codes, masking, and the encoding of what a server sends.

Rules for editing: pure functions over bytes, nothing that remembers a connection (websocket.py does). `unmask` and
`encode_frame` run for every message: measure with `benchmarks/websocket_core.py`.
Anchors: RFC 6455 sections 5.2 (frames), 5.3 (masking), 7.4 (close codes); the IANA registry of close codes.
"""

from typing import Final

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

FIN: Final = 0x80
RSV1: Final = 0x40
"""With permessage-deflate: the message is compressed."""

CONTROL_BYTES: Final = 125
"""The most that a control frame may carry."""

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
NO_CODE: Final = 1005
"""Never sent: the other side closed without a code."""
LOST: Final = 1006
"""Never sent: the connection ended without a close frame."""
BAD_DATA: Final = 1007
TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
RESTARTING: Final = 1012

_RESERVED_CODES: Final = frozenset((1004, NO_CODE, LOST))

_BY_LANES_BYTES: Final = 4096
"""From here on four lanes of translated bytes are faster than one large number: 68 against 165 µs for 64 KiB."""

_XOR: Final = tuple(bytes(byte ^ key for byte in range(256)) for key in range(256))
"""A translation for each byte of a mask."""


class WebSocketError(Exception):
    """The client broke the protocol: the connection fails with the close code `code`; `detail` is for our log."""

    def __init__(self, code: int, detail: str) -> None:
        self.code = code
        self.detail = detail
        super().__init__(f"{code}: {detail}")


def unmask(data: bytes | bytearray, mask: bytes) -> bytes:
    """Mask or unmask `data` with the four bytes of `mask`, the first of which belongs to the first of `data`."""
    size = len(data)
    if size < _BY_LANES_BYTES:
        masks = int.from_bytes(mask * (size >> 2) + mask[: size & 3], "little")
        return (int.from_bytes(data, "little") ^ masks).to_bytes(size, "little")
    unmasked = bytearray(size)
    for lane in range(4):
        unmasked[lane::4] = data[lane::4].translate(_XOR[mask[lane]])
    return bytes(unmasked)


def encode_frame(first: int, payload: bytes) -> bytes:
    """A frame of a server, which is never masked. `first` is its first byte: FIN, RSV1 and the opcode."""
    size = len(payload)
    if size <= 125:
        return bytes((first, size)) + payload
    if size <= 0xFFFF:
        return bytes((first, 126, size >> 8, size & 0xFF)) + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


def is_close_code(code: int) -> bool:
    """Whether a close frame may carry `code`: a registered one, or one of libraries and applications (3000 and up)."""
    return (1000 <= code <= 1014 and code not in _RESERVED_CODES) or 3000 <= code <= 4999


def encode_close(code: int, reason: str) -> bytes:
    """A close frame; NO_CODE makes an empty one.

    Raises:
        ValueError: a code that must not be sent, or a reason of more than 123 bytes.
    """
    if code == NO_CODE and not reason:
        return encode_frame(FIN | CLOSE, b"")
    if not is_close_code(code):
        raise ValueError(f"a close code is 1000 to 1003, 1007 to 1014 or 3000 to 4999, found {code}")
    text = reason.encode("utf-8")
    if len(text) > CONTROL_BYTES - 2:
        raise ValueError(f"a close reason has at most 123 bytes, found {len(text)}")
    return encode_frame(FIN | CLOSE, code.to_bytes(2, "big") + text)


def read_close(payload: bytes) -> tuple[int, str]:
    """The code and the reason of a close frame that a client sent.

    Raises:
        WebSocketError: 1002 or 1007.
    """
    if not payload:
        return NO_CODE, ""
    if len(payload) == 1:
        raise WebSocketError(PROTOCOL_ERROR, "a close frame has no body or a code of two bytes, found one byte")
    code = int.from_bytes(payload[:2], "big")
    if not is_close_code(code):
        raise WebSocketError(PROTOCOL_ERROR, f"a close frame with the code {code}, which must not be sent")
    try:
        return code, payload[2:].decode("utf-8")
    except UnicodeDecodeError:
        raise WebSocketError(BAD_DATA, "the reason of a close frame must be UTF-8") from None
