"""PROXY headers as HAProxy's specification defines them, with the strictness that Ostler documents."""

import socket
from typing import Final

from fuzz.reference.addresses import port, spelled, spelled_bytes
from fuzz.reference.grammar import Incomplete, demand

V1_START: Final = b"PROXY "
V2_START: Final = b"\r\n\r\n\0\r\nQUIT\n"
V1_BYTES: Final = 107
V2_BYTES: Final = 4096

End = tuple[str, int] | str | None


def read_header(data: bytes, versions: str) -> tuple[str, End, End, int]:
    """Protocol, source, destination, and the header's length; `versions` are those allowed: "1", "2" or "12".

    Raises:
        Broken, Incomplete: see grammar.py.
    """
    if "1" in versions and data.startswith(V1_START):
        return _version_1(data)
    if "2" in versions and data.startswith(V2_START):
        return _version_2(data)
    beginnings = [start for version, start in (("1", V1_START), ("2", V2_START)) if version in versions]
    demand(any(start.startswith(data) for start in beginnings), "no PROXY header")
    raise Incomplete


def _version_1(data: bytes) -> tuple[str, End, End, int]:
    end = data[:V1_BYTES].find(b"\r\n")
    if end < 0:
        demand(len(data) < V1_BYTES, "too long")
        raise Incomplete
    line = data[:end]
    demand(all(0x20 <= byte <= 0x7E for byte in line), "not printable")
    words = line.decode("ascii").split(" ")[1:]
    if words[0] == "UNKNOWN":
        return "UNKNOWN", None, None, end + 2
    demand(words[0] in ("TCP4", "TCP6") and len(words) == 5, "not five words")
    family = socket.AF_INET if words[0] == "TCP4" else socket.AF_INET6
    source, destination = spelled(words[1], family), spelled(words[2], family)
    source_port, destination_port = port(words[3]), port(words[4])
    demand(None not in (source, destination, source_port, destination_port), "no address or port")
    return words[0], (source or "", source_port or 0), (destination or "", destination_port or 0), end + 2


def _version_2(data: bytes) -> tuple[str, End, End, int]:
    if len(data) < 16:
        raise Incomplete
    command, family = data[12], data[13]
    end = 16 + data[14] * 256 + data[15]
    demand(command in (0x20, 0x21), "another version or command")
    sizes = {0x00: 0, 0x11: 12, 0x21: 36, 0x31: 216}
    demand(command == 0x20 or family in sizes, "another family")
    demand(end <= V2_BYTES, "too long")
    if command == 0x21:
        demand(end - 16 >= sizes[family], "too short for its addresses")
    if len(data) < end:
        raise Incomplete
    if command == 0x20:
        return "LOCAL", None, None, end
    if family == 0:
        return "UNKNOWN", None, None, end
    block = data[16:end]
    _demand_vectors(data[:end], 16 + sizes[family])
    if family == 0x31:
        return "UNIX", _path(block[:108]), _path(block[108:216]), end
    size = 4 if family == 0x11 else 16
    source = spelled_bytes(block[:size]), int.from_bytes(block[2 * size : 2 * size + 2], "big")
    destination = spelled_bytes(block[size : 2 * size]), int.from_bytes(block[2 * size + 2 : 2 * size + 4], "big")
    return ("TCP4" if size == 4 else "TCP6"), source, destination, end


def _path(field: bytes) -> str:
    """unix(7): to the first NUL, or an abstract name, which is written with an @."""
    name = field.split(b"\0")[0] if field[:1] != b"\0" else field.rstrip(b"\0").replace(b"\0", b"@", 1)
    demand(all(0x20 <= byte <= 0x7E for byte in name), "no path")
    return name.decode("ascii")


def _demand_vectors(header: bytes, at: int) -> None:
    checksums = []
    while at < len(header):
        demand(at + 3 <= len(header), "half a vector")
        kind, length = header[at], header[at + 1] * 256 + header[at + 2]
        at += 3
        demand(at + length <= len(header), "a vector beyond the end")
        if kind == 3:
            demand(length == 4, "a checksum has four bytes")
            checksums.append(at)
        at += length
    demand(len(checksums) <= 1, "two checksums")
    for at in checksums:
        said = int.from_bytes(header[at : at + 4], "big")
        demand(crc32c(header[:at] + bytes(4) + header[at + 4 :]) == said, "another checksum")


def crc32c(data: bytes) -> int:
    """Bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 * (crc & 1))
    return crc ^ 0xFFFFFFFF
