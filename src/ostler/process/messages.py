"""What master and worker say to each other, as bytes of the channel between them.

A message is one line: NUL, a JSON object, LF. Every other byte is text that faulthandler wrote there from inside a
signal handler (process.signals.DUMP_SIGNAL): it knows no framing, and may be cut in two by a message of another thread,
which is why the NUL marks messages and not the text.

Rules for editing: pure; what a broken peer writes never raises.
"""

import json
from dataclasses import asdict, dataclass
from typing import Final

from ostler.supervisor.events import RetireReason

_LIMIT_MESSAGE_BYTES: Final = 65536  # JSON may need 12 bytes for a character of a summary
_LIMIT_DUMP_BYTES: Final = 262144
_LIMIT_SUMMARY_CHARACTERS: Final = 4000

_NUL: Final = b"\x00"


@dataclass(frozen=True, slots=True)
class Ready:
    """Worker -> master: the application is loaded and the worker accepts."""

    boot_ms: int


@dataclass(frozen=True, slots=True)
class BootFailed:
    """Worker -> master: it will exit without ever serving. status: the documented exit status, 3 or 4."""

    status: int
    summary: str


@dataclass(frozen=True, slots=True)
class RetireRequest:
    """Worker -> master: replace me when you can. It serves on until it is ordered to retire."""

    reason: RetireReason


@dataclass(frozen=True, slots=True)
class LogsRequest:
    """Worker -> master: open the logs anew, please (USR1 was sent to a worker)."""


@dataclass(frozen=True, slots=True)
class Retire:
    """Master -> worker: siblings stay. Stop accepting, hand idle connections over, finish, exit.

    drain: which of its listeners (by position) nobody else stays on: what they have queued is accepted first.
    ours: which of them no other server has, by now (USR2); only these may be shut down.
    """

    drain: tuple[int, ...] = ()
    ours: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Stop:
    """Master -> worker: nobody of ours stays on these listeners. Accept what is queued, shut them down, finish, exit.

    keep_listeners: another master has them, or ours keeps them open, so they are only closed. ours: as of Retire.
    """

    keep_listeners: bool = False
    ours: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class LogFiles:
    """Master -> worker: go on with these descriptors for the logs of these names.

    fds: one for each name; whoever receives the message owns them. Empty when they were lost on the way, for this
    process has no descriptor left: the former files stay in use. `Channel.send` takes them as its own argument.
    others: files of users' own log handlers are to be opened anew as well.
    """

    names: tuple[str, ...]
    fds: tuple[int, ...] = ()
    others: bool = False


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Master -> worker: use these certificates for new connections.

    fds: one, of what process.certificate_files has packed; as of LogFiles.
    """

    fds: tuple[int, ...] = ()


Message = Ready | BootFailed | RetireRequest | LogsRequest | Retire | Stop | LogFiles | CertificateFiles


def encode(message: Message) -> bytes:
    """The line that carries `message`."""
    if isinstance(message, BootFailed):
        message = BootFailed(message.status, message.summary[:_LIMIT_SUMMARY_CHARACTERS])
    fields = {"kind": type(message).__name__, **asdict(message)}
    fields.pop("fds", None)  # they are numbers of this process; the channel carries what they stand for
    return _NUL + json.dumps(fields).encode() + b"\n"


def decode(line: bytes) -> Message | None:
    """The message of a line without its NUL and LF; None when it is none of ours."""
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    match fields:
        case {"kind": "Ready", "boot_ms": int(boot_ms)}:
            return Ready(boot_ms)
        case {"kind": "BootFailed", "status": int(status), "summary": str(summary)}:
            return BootFailed(status, summary)
        case {"kind": "RetireRequest", "reason": "max_requests" | "reload" | "signal" as reason}:
            return RetireRequest(reason)
        case {"kind": "Retire", "drain": [*drain], "ours": [*ours]} if _are_numbers(drain + ours):
            return Retire(tuple(drain), tuple(ours))
        case {"kind": "LogsRequest"}:
            return LogsRequest()
        case {"kind": "Stop", "keep_listeners": bool(keep_listeners), "ours": [*ours]} if _are_numbers(ours):
            return Stop(keep_listeners, tuple(ours))
        case {"kind": "LogFiles", "names": [*names], "others": bool(others)} if all(
            isinstance(name, str) for name in names
        ):
            return LogFiles(tuple(names), others=others)
        case {"kind": "CertificateFiles"}:
            return CertificateFiles()
    return None


def _are_numbers(values: list[object]) -> bool:
    return all(isinstance(each, int) for each in values)


class Parser:
    """Bytes of a channel -> messages, and the text between them. Pure; one per direction."""

    __slots__ = ("_dump", "_message")

    def __init__(self) -> None:
        self._dump = bytearray()
        self._message: bytearray | None = None  # bytes after a NUL whose LF has not come yet

    @property
    def in_message(self) -> bool:
        """The end of a message has not come yet."""
        return self._message is not None

    def feed(self, data: bytes) -> list[Message]:
        messages: list[Message] = []
        while data:
            if self._message is None:
                text, mark, data = data.partition(_NUL)
                self._keep_text(text)
                if mark:
                    self._message = bytearray()
                continue
            line, end, data = data.partition(b"\n")
            self._message += line
            if end or len(self._message) > _LIMIT_MESSAGE_BYTES:
                self._finish_message(messages)
        return messages

    def take_dump(self) -> str:
        """The text collected so far; it is forgotten here."""
        text = self._dump.decode("utf-8", "replace")
        self._dump.clear()
        return text

    def _finish_message(self, messages: list[Message]) -> None:
        line = bytes(self._message or b"")
        self._message = None
        message = decode(line)
        if message is None:
            self._keep_text(line)
        else:
            messages.append(message)

    def _keep_text(self, text: bytes) -> None:
        self._dump += text[: max(0, _LIMIT_DUMP_BYTES - len(self._dump))]
