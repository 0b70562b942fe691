"""The PROXY protocol: what a proxy in front says, before the first byte of its client, of the connection it passes on.

Version 1 is a line of text, version 2 is binary. Whether a header is there is never guessed: the peers that send one
are configured, and then a connection without one is refused (section 2 of the specification). A refusal comes with the
first byte that makes it certain; nothing behind the header is looked at.

Stricter than other readers where they disagree: one spelling of each number and address, a bare CR or LF ends nothing,
the vectors behind the addresses of version 2 fill it to its last byte, and a checksum that is there must be right.

Editing rules: pure, and without state: whoever reads asks again with more bytes, so an incomplete header costs
constant time, or one line's. Anchor: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, sections 2.1 and 2.2.
"""

import re
from collections.abc import Callable
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from struct import Struct
from typing import Final

from ostler.http.addresses import ipv4, ipv6, ipv6_text, port
from ostler.http.connection import Address, Proxied
from ostler.http.errors import HttpError

V1_BYTES: Final = 107
"""The longest line of version 1, with its CRLF."""

V2_BYTES: Final = 4096
"""The longest header of version 2 that is taken. Its length field allows for 65,551; a header with Unix addresses and
every registered vector at its longest stays below 2,000."""

_V1_START: Final = b"PROXY "
_V2_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_FIXED_BYTES: Final = 16

_LOCAL: Final = 0x20
_PROXY: Final = 0x21
"""Version 2 and a command, in one byte."""

_UNSPECIFIED: Final = 0x00
_TCP4: Final = 0x11
_TCP6: Final = 0x21
_UNIX_STREAM: Final = 0x31
_ADDRESS_BYTES: Final = {_UNSPECIFIED: 0, _TCP4: 12, _TCP6: 36, _UNIX_STREAM: 216}

_CRC32C_TYPE: Final = 0x03
_VECTOR: Final = Struct("!BH")
_PORTS: Final = Struct("!HH")
_CHECKSUM: Final = Struct("!I")

_PRINTABLE: Final = bytes(range(0x20, 0x7F))


class ProxyMode(Enum):
    """Which headers are read; the values are those of the setting `proxy_protocol`."""

    OFF = "off"
    V1 = "v1"
    V2 = "v2"
    AUTO = "auto"


def read_proxy_header(data: bytes | bytearray, mode: ProxyMode) -> tuple[Proxied, int] | None:
    """What the header at the front of `data` says, and its length in bytes; None while it is incomplete.

    Raises:
        HttpError: 400, no header of this mode begins with these bytes.
    """
    if mode is not ProxyMode.V1 and _agrees(data, _V2_SIGNATURE):
        return _read_v2(data)
    if mode is not ProxyMode.V2 and _agrees(data, _V1_START):
        return _read_v1(data)
    found = "one of the other version (proxy_protocol)" if looks_like_proxy_header(data) else "something else"
    raise HttpError(400, f"expected a PROXY header, found {found}; its peer must send one (proxy_allow_ips)")


def looks_like_proxy_header(data: bytes | bytearray) -> bool:
    """Whether `data` begins like a header of either version."""
    return data.startswith((_V1_START, _V2_SIGNATURE))


def _agrees(data: bytes | bytearray, start: bytes) -> bool:
    return data[: len(start)] == start[: len(data)]


# -- version 1 ---------------------------------------------------------------------------------------------------


def _read_v1(data: bytes | bytearray) -> tuple[Proxied, int] | None:
    """What there is of `PROXY ` is good."""
    line, crlf, _ = bytes(data[:V1_BYTES]).partition(b"\r\n")
    if not crlf and len(data) >= V1_BYTES:
        raise _v1_error(f"no CRLF among the first {V1_BYTES} bytes")
    complete = bool(crlf) or line.endswith(b"\r")
    if not crlf:
        line = line.removesuffix(b"\r")
    if line.translate(None, _PRINTABLE):
        raise _v1_error("a byte that is no printable ASCII, or a bare CR or LF")
    words = line[len(_V1_START) :].decode("ascii").split(" ")
    if not complete:
        _check_begun(words)
        return None
    proxied = _proxied_v1(words)
    return (proxied, len(line) + 2) if crlf else None


def _proxied_v1(words: list[str]) -> Proxied:
    """What a complete line says."""
    family = words[0]
    if family == "UNKNOWN":
        return Proxied(family, None, None)  # whatever stands behind it says nothing
    address = _address_reader(family)
    if len(words) != 5:
        raise _v1_error("more or less than a protocol, two addresses and two ports with single spaces between")
    _, source, destination, source_port, destination_port = words
    return Proxied(family, (address(source), _port(source_port)), (address(destination), _port(destination_port)))


def _check_begun(words: list[str]) -> None:
    """Refuse a line that cannot become a good one; its last word is incomplete."""
    *done, begun = words
    if not done:
        if not any(name.startswith(begun) for name in ("TCP4", "TCP6", "UNKNOWN")):
            raise _v1_error("a protocol other than TCP4, TCP6 and UNKNOWN")
        return
    family, *done = done
    if family == "UNKNOWN":
        return
    address = _address_reader(family)
    for word in done[:2]:
        address(word)
    for word in done[2:]:
        _port(word)
    if len(done) < 2:
        if not _BEGUN_ADDRESS[family].fullmatch(begun):
            raise _v1_error(f"no address of {family}")
    elif len(done) > 3:
        raise _v1_error("more than a protocol, two addresses and two ports")
    elif begun:
        _port(begun)


_BEGUN_ADDRESS: Final = {"TCP4": re.compile(r"[0-9.]{0,15}"), "TCP6": re.compile(r"[0-9A-Fa-f:.]{0,45}")}


def _address_reader(family: str) -> Callable[[str], str]:
    if family not in _BEGUN_ADDRESS:
        raise _v1_error("a protocol other than TCP4, TCP6 and UNKNOWN")
    spelled = ipv4 if family == "TCP4" else ipv6

    def read(word: str) -> str:
        address = spelled(word)
        if address is None:
            raise _v1_error(f"no address of {family}")
        return address

    return read


def _port(word: str) -> int:
    number = port(word)
    if number is None:
        raise _v1_error("a port that is no number up to 65535 without leading zeros")
    return number


def _v1_error(found: str) -> HttpError:
    return HttpError(400, f"expected a PROXY header of version 1, found {found}")


# -- version 2 ---------------------------------------------------------------------------------------------------


def _read_v2(data: bytes | bytearray) -> tuple[Proxied, int] | None:
    """The signature is good as far as it is there."""
    size = len(data)
    if size > 12 and data[12] not in (_LOCAL, _PROXY):
        raise _v2_error(f"version and command 0x{data[12]:02x}; they are 0x20 for LOCAL or 0x21 for PROXY")
    # LOCAL says nothing of addresses: its family is ignored, and so is what its length covers.
    local = size > 12 and data[12] == _LOCAL
    if size > 13 and not local and data[13] not in _ADDRESS_BYTES:
        raise _v2_error(f"family and transport 0x{data[13]:02x}, which is none of TCP and Unix streams")
    if size < _V2_FIXED_BYTES:
        return None
    end = _V2_FIXED_BYTES + (data[14] << 8 | data[15])
    if end > V2_BYTES:
        raise _v2_error(f"a length of more than {V2_BYTES} bytes")
    family = _UNSPECIFIED if local else data[13]
    vectors = _V2_FIXED_BYTES + _ADDRESS_BYTES[family]
    if end < vectors:
        raise _v2_error("a length that is too small for its addresses")
    if size < end:
        return None
    header = bytes(data[:end])
    if family == _UNSPECIFIED:
        return Proxied("LOCAL" if local else "UNKNOWN", None, None), end
    _check_vectors(header, vectors)
    return _addresses(header, family), end


def _addresses(header: bytes, family: int) -> Proxied:
    block = header[_V2_FIXED_BYTES:]
    if family == _TCP4:
        source_port, destination_port = _PORTS.unpack_from(block, 8)
        source, destination = str(IPv4Address(block[:4])), str(IPv4Address(block[4:8]))
        return Proxied("TCP4", (source, source_port), (destination, destination_port))
    if family == _TCP6:
        source_port, destination_port = _PORTS.unpack_from(block, 32)
        source, destination = ipv6_text(IPv6Address(block[:16])), ipv6_text(IPv6Address(block[16:32]))
        return Proxied("TCP6", (source, source_port), (destination, destination_port))
    return Proxied("UNIX", _unix_path(block[:108]), _unix_path(block[108:216]))


def _unix_path(field: bytes) -> Address:
    """A path ends at its first NUL; a name that begins with one is abstract (unix(7)), and written with an @."""
    if field[0]:
        path = field.partition(b"\0")[0]
    else:
        name = field.rstrip(b"\0")[1:]
        path = b"@" + name if name else b""
    if path.translate(None, _PRINTABLE):
        raise _v2_error("a Unix address with characters other than printable ASCII")
    return path.decode("ascii")


def _check_vectors(header: bytes, start: int) -> None:
    """Accept the type-length-value vectors from `start` on, which end where the header does."""
    checksum_at = -1
    while start < len(header):
        if len(header) - start < _VECTOR.size:
            raise _v2_error("bytes behind its last vector")
        kind, length = _VECTOR.unpack_from(header, start)
        start += _VECTOR.size
        if length > len(header) - start:
            raise _v2_error("a vector that is longer than the rest of the header")
        if kind == _CRC32C_TYPE:
            if length != _CHECKSUM.size or checksum_at >= 0:
                raise _v2_error("a second checksum, or one that has not four bytes")
            checksum_at = start
        start += length
    if checksum_at >= 0:
        (checksum,) = _CHECKSUM.unpack_from(header, checksum_at)
        if crc32c(header[:checksum_at] + bytes(_CHECKSUM.size) + header[checksum_at + _CHECKSUM.size :]) != checksum:
            raise _v2_error("a checksum that does not fit its bytes")


def _v2_error(found: str) -> HttpError:
    return HttpError(400, f"expected a PROXY header of version 2, found {found}")


# -- CRC-32C (RFC 9260 appendix A; Castagnoli's polynomial, reflected) ---------------------------------------------


def _crc_of_byte(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


_CRC_OF_BYTE: Final = tuple(map(_crc_of_byte, range(256)))


def crc32c(data: bytes) -> int:
    """The checksum of `data`: 0.1 µs a byte, for headers of at most V2_BYTES."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_OF_BYTE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
