"""What a command and the master say to each other: one JSON object a line, over a stream socket.

    command: {"kind": "Request", "command": "reload"}
    master:  {"kind": "Progress", "text": "..."} ...       lines of its log
             {"kind": "Moved", "pid": 4242}                ask this master, the rest is its own
             {"kind": "Result", "succeeded": true, "text": "..."}, and the end of the connection

A master that ends without a Result has died. More commands and more fields may join: what is not known is passed over.

Rules for editing: pure; what a broken peer writes raises ProtocolError, and nothing else.
"""

import json
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Final

LIMIT_LINE_BYTES: Final = 65536
_LIMIT_TEXT_CHARACTERS: Final = 5000  # JSON may need 12 bytes for one


class ProtocolError(Exception):
    """The other side does not speak this protocol."""


class Command(Enum):
    """What a master can be asked for."""

    RELOAD = "reload"
    UPGRADE = "upgrade"
    FOLLOW = "follow"  # asked of the new master of an upgrade: answered when the old one is gone


@dataclass(frozen=True, slots=True)
class Request:
    command: Command


@dataclass(frozen=True, slots=True)
class Progress:
    """text: a line of the log, without time and level; a traceback has several."""

    text: str


@dataclass(frozen=True, slots=True)
class Moved:
    """pid: the master that serves from now on."""

    pid: int


@dataclass(frozen=True, slots=True)
class Result:
    """text: one line; of a command that failed, why."""

    succeeded: bool
    text: str


Line = Request | Progress | Moved | Result


def encode(line: Line) -> bytes:
    """The line with its LF. Long text is cut."""
    match line:
        case Request(command):
            fields: dict[str, object] = {"command": command.value}
        case Progress() | Result():
            fields = asdict(line)
            fields["text"] = line.text[:_LIMIT_TEXT_CHARACTERS]
        case Moved():
            fields = asdict(line)
    return json.dumps({"kind": type(line).__name__, **fields}).encode() + b"\n"


def decode(line: bytes) -> Line | None:
    """The meaning of a line without its LF; None when it is of a later version. Raises ProtocolError."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise ProtocolError("expected a line of JSON") from None
    match fields:
        case {"kind": "Request", "command": str(name)}:
            return next((Request(command) for command in Command if command.value == name), None)
        case {"kind": "Progress", "text": str(text)}:
            return Progress(text)
        case {"kind": "Moved", "pid": int(pid)}:
            return Moved(pid)
        case {"kind": "Result", "succeeded": bool(succeeded), "text": str(text)}:
            return Result(succeeded, text)
        case {"kind": str()}:
            return None
    raise ProtocolError("expected a JSON object with a kind")


class Lines:
    """Bytes -> lines without their LF."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Raises ProtocolError when a line is longer than LIMIT_LINE_BYTES."""
        self._rest += data
        *complete, rest = self._rest.split(b"\n")
        if any(len(each) > LIMIT_LINE_BYTES for each in (*complete, rest)):
            raise ProtocolError(f"expected lines of at most {LIMIT_LINE_BYTES} bytes")
        self._rest = rest
        return [bytes(each) for each in complete]
