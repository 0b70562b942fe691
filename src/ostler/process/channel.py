"""The line between the master and one worker: typed messages, and the text of a stack dump beside them.

A SOCK_STREAM socketpair per worker, non-blocking at both ends. A message is one line: NUL, a JSON object, LF. Every
other byte is text that faulthandler wrote there from inside a signal handler (process.signals.DUMP_SIGNAL): it knows no
framing, and may be cut in two by a message of another thread, which is why the NUL marks messages and not the text.
The end of file says that the process at the other end is gone; both sides rely on it, so whoever forks closes the
inherited ends of the other channels in the child.

Rules for editing: no policy here; nothing blocks; what a broken peer writes never raises.
"""

import json
import socket as _socket
import threading
from dataclasses import asdict, dataclass
from typing import Final

from ostler.supervisor.events import RetireReason

_BLOCK: Final = 65536
_LIMIT_MESSAGE_BYTES: Final = 16384
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
class Retire:
    """Master -> worker: siblings stay. Stop accepting, hand idle connections over, finish, exit."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Master -> worker: nobody stays on these listeners. Accept what is queued, shut them down, finish, exit."""


Message = Ready | BootFailed | RetireRequest | Retire | Stop

_KINDS: Final[dict[str, type[Message]]] = {
    kind.__name__: kind for kind in (Ready, BootFailed, RetireRequest, Retire, Stop)
}


def encode(message: Message) -> bytes:
    """The line that carries `message`."""
    if isinstance(message, BootFailed):
        message = BootFailed(message.status, message.summary[:_LIMIT_SUMMARY_CHARACTERS])
    fields = {"kind": type(message).__name__, **asdict(message)}
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
        case {"kind": "Retire"}:
            return Retire()
        case {"kind": "Stop"}:
            return Stop()
    return None


class Parser:
    """Bytes of a channel -> messages, and the text between them. Pure; one per direction."""

    __slots__ = ("_dump", "_message")

    def __init__(self) -> None:
        self._dump = bytearray()
        self._message: bytearray | None = None  # bytes after a NUL whose LF has not come yet

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


class Channel:
    """One end of the line. `receive` belongs to one thread at a time; `send` may be called from any."""

    def __init__(self, sock: _socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._parser = Parser()
        self._unsent = b""
        self._sending = threading.Lock()  # never held across a fork: the master has one thread
        self._ended = False

    @classmethod
    def pair(cls) -> tuple["Channel", "Channel"]:
        """The master's end and the worker's end."""
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
        return cls(ours), cls(theirs)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: Message) -> None:
        """Send without waiting. To a peer that is gone this does nothing: its end is learned elsewhere."""
        with self._sending:
            self._unsent += encode(message)
            self._flush()

    def receive(self) -> list[Message] | None:
        """Messages that have arrived, maybe none; None when the other process is gone. Never blocks."""
        with self._sending:
            self._flush()
        messages: list[Message] = []
        while not self._ended:
            try:
                data = self._socket.recv(_BLOCK)
            except BlockingIOError:
                return messages
            except OSError:  # reset: the other process died with unread bytes
                data = b""
            if not data:
                self._ended = True
            messages += self._parser.feed(data)
        return messages or None

    def take_dump(self) -> str:
        """Stack dump text received so far; empty when none came. It is forgotten here."""
        return self._parser.take_dump()

    def close(self) -> None:
        self._ended = True
        self._socket.close()

    def _flush(self) -> None:
        if not self._unsent:
            return
        try:
            sent = self._socket.send(self._unsent)
        except BlockingIOError:
            return  # the peer is stopped: the next send or receive tries again
        except OSError:
            sent = len(self._unsent)
        self._unsent = self._unsent[sent:]
