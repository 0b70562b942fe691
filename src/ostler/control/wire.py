"""The protocol of Gunicorn's `gunicornc`, in bytes: four bytes with a length, big end first, then that much JSON.

    request:  {"id": 1, "command": "worker add", "args": ["2"]}
    answer:   {"id": 1, "status": "ok", "data": {...}}  or  {"id": 1, "status": "error", "error": "..."}

One connection carries any number of requests, one answer for each, in order. The words of a command and its args are
one list, taken apart as a shell does. The first byte tells it from protocol.py's lines: no length that is allowed
begins with "{".

Rules for editing: pure; what a broken peer writes raises ProtocolError, and nothing else.
"""

import json
import shlex
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ostler.control.protocol import ProtocolError

LIMIT_REQUEST_BYTES: Final = 65536
LIMIT_ANSWER_BYTES: Final = 16 * 1024 * 1024
"""Gunicorn's, of either."""
_LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Asked:
    """identity: to be given back with the answer. problem: why the words cannot be understood, or empty."""

    identity: object
    words: tuple[str, ...]
    problem: str = ""


def encode(message: Mapping[str, Any]) -> bytes:
    payload = json.dumps(message).encode()
    return _LENGTH.pack(len(payload)) + payload


def request(identity: int, command: str, args: tuple[str, ...] = ()) -> bytes:
    return encode({"id": identity, "command": command, "args": list(args)})


def answer(identity: object, data: Mapping[str, Any]) -> bytes:
    return encode({"id": identity, "status": "ok", "data": dict(data)})


def refusal(identity: object, text: str) -> bytes:
    return encode({"id": identity, "status": "error", "error": text})


def asked(payload: bytes) -> Asked:
    """What a request asks for. Raises ProtocolError when it is none."""
    fields = _parsed(payload)
    command, identity, args = fields.get("command"), fields.get("id", 0), fields.get("args") or []
    if not isinstance(command, str):
        raise ProtocolError("expected a JSON object with a command")
    if not isinstance(args, list) or not isinstance(identity, int | str | float | None):
        raise ProtocolError("expected args to be a list, and id a number or text")
    try:
        words = (*shlex.split(command), *map(str, args))
    except ValueError as error:
        return Asked(identity, (), f"Invalid argument: {error}")
    return Asked(identity, words, "" if words else "Empty command")


def data_of(payload: bytes) -> Mapping[str, Any] | str:
    """The data of an answer, or what it says is wrong. Raises ProtocolError."""
    fields = _parsed(payload)
    if fields.get("status") == "error":
        return str(fields.get("error") or "unknown error")
    data = fields.get("data")
    if fields.get("status") != "ok" or not isinstance(data, dict):
        raise ProtocolError("expected a JSON object with a status and data")
    return data


def _parsed(payload: bytes) -> dict[str, Any]:
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        raise ProtocolError("expected JSON behind the length") from None
    if not isinstance(found, dict):
        raise ProtocolError("expected a JSON object behind the length")
    return found


class Frames:
    """Bytes -> payloads."""

    __slots__ = ("_limit_bytes", "_rest")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._rest = bytearray()

    @property
    def begun(self) -> bool:
        """A part of a message is there."""
        return bool(self._rest)

    @property
    def crowded(self) -> bool:
        """More has come than one message may have."""
        return len(self._rest) > self._limit_bytes + _LENGTH.size

    def feed(self, data: bytes) -> None:
        self._rest += data

    def take(self) -> bytes | None:
        """The next payload, when it is complete. Raises ProtocolError when its length is more than is allowed."""
        if len(self._rest) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._rest)
        if length > self._limit_bytes:
            raise ProtocolError(f"expected a message of at most {self._limit_bytes} bytes, got a length of {length}")
        end = _LENGTH.size + length
        if len(self._rest) < end:
            return None
        payload = bytes(self._rest[_LENGTH.size : end])
        del self._rest[:end]
        return payload
