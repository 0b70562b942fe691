"""`gunicorn.ctl.protocol`: messages as a length and JSON, on a socket or as bytes. See ostler/control/wire.py.

Rules for editing: names and shapes are Gunicorn's; what the bytes mean is wire.py's.
"""

import asyncio
import json
import socket
from typing import Any, ClassVar

from ostler.control import wire

_LENGTH_BYTES = 4


class ProtocolError(Exception):
    """The other side does not keep to the protocol."""


class ControlProtocol:
    """Reads and writes one message."""

    MAX_MESSAGE_SIZE: ClassVar[int] = wire.LIMIT_ANSWER_BYTES

    @staticmethod
    def encode_message(data: dict[str, Any]) -> bytes:
        return wire.encode(data)

    @staticmethod
    def decode_message(data: bytes) -> Any:
        """Raises ProtocolError when a part is missing."""
        if len(data) < _LENGTH_BYTES:
            raise ProtocolError(f"expected a length of {_LENGTH_BYTES} bytes, got {len(data)}")
        end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES])
        if len(data) < end:
            raise ProtocolError(f"expected {end} bytes, got {len(data)}")
        return json.loads(data[_LENGTH_BYTES:end])

    @staticmethod
    def read_message(sock: socket.socket) -> Any:
        """Raises ConnectionError at the end of the connection, ProtocolError in the middle of a message."""
        head = _received(sock, _LENGTH_BYTES)
        if not head:
            raise ConnectionError("the connection is closed")
        if len(head) < _LENGTH_BYTES:
            raise ProtocolError(f"expected a length of {_LENGTH_BYTES} bytes, got {len(head)}")
        length = _allowed(head)
        payload = _received(sock, length)
        if len(payload) < length:
            raise ProtocolError(f"expected {length} bytes, got {len(payload)}")
        return _parsed(payload)

    @staticmethod
    def write_message(sock: socket.socket, data: dict[str, Any]) -> None:
        sock.sendall(wire.encode(data))

    @staticmethod
    async def read_message_async(reader: asyncio.StreamReader) -> Any:
        """Raises asyncio.IncompleteReadError at the end of the connection."""
        return _parsed(await reader.readexactly(_allowed(await reader.readexactly(_LENGTH_BYTES))))

    @staticmethod
    async def write_message_async(writer: asyncio.StreamWriter, data: dict[str, Any]) -> None:
        writer.write(wire.encode(data))
        await writer.drain()


def make_request(request_id: int, command: str, args: list[Any] | None = None) -> dict[str, Any]:
    return {"id": request_id, "command": command, "args": args or []}


def make_response(request_id: int, data: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"id": request_id, "status": "ok", "data": data or {}}


def make_error_response(request_id: int, error: str) -> dict[str, Any]:
    return {"id": request_id, "status": "error", "error": error}


def _received(sock: socket.socket, size: int) -> bytes:
    """As much of it as comes before the end."""
    found = bytearray()
    while len(found) < size and (data := sock.recv(min(size - len(found), 65536))):
        found += data
    return bytes(found)


def _allowed(head: bytes) -> int:
    length = int.from_bytes(head)
    if length > ControlProtocol.MAX_MESSAGE_SIZE:
        raise ProtocolError(f"expected at most {ControlProtocol.MAX_MESSAGE_SIZE} bytes, got a length of {length}")
    return length


def _parsed(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError as error:
        raise ProtocolError(f"expected JSON: {error}") from None
