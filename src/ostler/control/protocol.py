"""What a command and the master say to each other: one JSON object a line, over a stream socket.

    command: {"kind": "Request", "command": "reload", "words": []}
    master:  {"kind": "Progress", "text": "..."} ...       lines of its log
             {"kind": "Moved", "pid": 4242}                ask this master, the rest is its own
             {"kind": "Part", "text": "..."} ...           together the JSON text of an answer
             {"kind": "Result", "succeeded": true, "text": "..."}, and the end of the connection

A master that ends without a Result has died. More commands and more fields may join: what is not known is passed over.
Gunicorn's own protocol, which the same sockets speak, is in wire.py.

Rules for editing: pure; what a broken peer writes raises ProtocolError, and nothing else.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, Final

LIMIT_LINE_BYTES: Final = 65536
LIMIT_ANSWER_BYTES: Final = 4 * 1024 * 1024
"""Of one answer; whoever makes it cuts what is too long."""
_LIMIT_PID: Final = 2**31
_LIMIT_TEXT_CHARACTERS: Final = 5000  # JSON may need 12 bytes for one
_PART_CHARACTERS: Final = 30000  # of ASCII, of which none needs more than two


class ProtocolError(Exception):
    """The other side does not speak this protocol."""


class Command(Enum):
    """What a master can be asked for."""

    RELOAD = "reload"
    UPGRADE = "upgrade"
    FOLLOW = "follow"  # asked of the new master of an upgrade: answered when the old one is gone
    STATUS = "status"
    WORKERS = "workers"
    SLOW = "slow"
    STACKS = "stacks"
    SCALE = "scale"
    STOP = "stop"
    LOG_LEVEL = "log-level"


@dataclass(frozen=True, slots=True)
class Request:
    """words: what stands behind the command."""

    command: Command
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """text: a line of the log, without time and level; a traceback has several."""

    text: str


@dataclass(frozen=True, slots=True)
class Moved:
    """pid: the master that serves from now on."""

    pid: int


@dataclass(frozen=True, slots=True)
class Part:
    """text: a piece of an answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Result:
    """text: one line; of a command that failed, why."""

    succeeded: bool
    text: str


Line = Request | Progress | Moved | Part | Result


def encode(line: Line) -> bytes:
    """The line with its LF. Long text is cut."""
    match line:
        case Request(command, words):
            fields: dict[str, object] = {"command": command.value, "words": list(words)}
        case Progress() | Result():
            fields = asdict(line)
            fields["text"] = line.text[:_LIMIT_TEXT_CHARACTERS]
        case Moved() | Part():
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
            return _request(name, fields.get("words", []))
        case {"kind": "Progress", "text": str(text)}:
            return Progress(text)
        case {"kind": "Moved", "pid": int(pid)} if 0 < pid < _LIMIT_PID:
            return Moved(pid)
        case {"kind": "Part", "text": str(text)}:
            return Part(text)
        case {"kind": "Result", "succeeded": bool(succeeded), "text": str(text)}:
            return Result(succeeded, text)
        case {"kind": str()}:
            return None
    raise ProtocolError("expected a JSON object with a kind")


def _request(name: str, words: object) -> Request | None:
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ProtocolError("expected the words of a command as a list of texts")
    return next((Request(command, tuple(words)) for command in Command if command.value == name), None)


def parts_of(answer: Mapping[str, Any]) -> Iterator[Part]:
    """An answer, in pieces that are lines of this protocol."""
    text = json.dumps(answer)
    for begin in range(0, len(text), _PART_CHARACTERS):
        yield Part(text[begin : begin + _PART_CHARACTERS])


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
