"""What the master and its children, workers and molds, say to each other, as bytes of the channels between them.

A message is one line: NUL, a JSON object, LF. Every other byte is text that faulthandler wrote there from inside a
signal handler (process.signals.DUMP_SIGNAL): it knows no framing, and may be cut in two by a message of another thread,
which is why the NUL marks messages and not the text.

Rules for editing: pure; what a broken peer writes never raises.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Final, cast, get_args

from ostler.supervisor.events import RetireReason

LIMIT_ATTRIBUTES: Final = 65536
"""Characters of a ForkWorker's attributes."""

# JSON may need 12 bytes for a character of a summary; a ForkWorker has the attributes and up to 252 addresses.
_LIMIT_MESSAGE_BYTES: Final = 262144
_LIMIT_DUMP_BYTES: Final = 262144
_LIMIT_SUMMARY_CHARACTERS: Final = 4000

_NUL: Final = b"\x00"
_REASONS: Final = get_args(RetireReason)


@dataclass(frozen=True, slots=True)
class Ready:
    """Worker -> master: the application is loaded and the worker accepts.

    receives: it takes connections that siblings hand over; not so where a user's class has a loop of its own.
    """

    boot_ms: int
    receives: bool = True


@dataclass(frozen=True, slots=True)
class Born:
    """Worker -> master: first of all from one that a mold has forked. pid: its own."""

    pid: int


@dataclass(frozen=True, slots=True)
class MoldIsReady:
    """Mold -> master: the application is loaded (or the worker has become a mold), and it forks when asked."""

    boot_ms: int


@dataclass(frozen=True, slots=True)
class Declined:
    """Mold -> master: it exits; `summary` says what preloading would share, and workers must load by themselves."""

    summary: str


@dataclass(frozen=True, slots=True)
class NotPromoted:
    """Worker -> master: it cannot become a mold, and leaves as one that retires."""

    reason: str


@dataclass(frozen=True, slots=True)
class ForkRefused:
    """Mold -> master: the worker of this age was not forked."""

    age: int
    reason: str


@dataclass(frozen=True, slots=True)
class Died:
    """Mold -> master: a worker that it forked has ended (only where the system has no subreaper). As fork.Death."""

    pid: int
    status: int | None
    signal: str | None


@dataclass(frozen=True, slots=True)
class ForkWorker:
    """Master -> mold: fork this worker.

    listeners: one for each of its listeners, as process.listener_text describes it. attributes: what hooks have stored
    in the master on what they were given, packed; "" is nothing; at most LIMIT_ATTRIBUTES. fds: its end of the channel,
    then the listeners; as of LogFiles.
    """

    age: int
    slot: int
    page: int
    listeners: tuple[str, ...]
    attributes: str = ""
    fds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Promote:
    """Master -> worker: retire, and then be the mold. ours: as of Retire."""

    ours: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class LameDuckBegins:
    """Master -> worker: the server stops soon; serve on, but for the paths of `readiness_path`."""


@dataclass(frozen=True, slots=True)
class BootFailed:
    """Worker or mold -> master: it will exit without ever serving. status: the documented exit status, 3 or 4."""

    status: int
    summary: str


@dataclass(frozen=True, slots=True)
class RetireRequest:
    """Worker -> master: replace me when you can. It serves on until it is ordered to retire."""

    reason: RetireReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LogsRequest:
    """Worker -> master: open the logs anew, please (USR1 was sent to a worker)."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Worker -> master: a line for the log that each worker of a generation would write; once is enough."""

    text: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Worker -> master: a line that it has logged itself; serious: as an error, and not as a warning."""

    text: str
    serious: bool = False


@dataclass(frozen=True, slots=True)
class Retire:
    """Master -> worker: siblings stay. Stop accepting, hand idle connections over, finish, exit.

    drain: which of its listeners (by position) nobody else stays on: what they have queued is accepted first.
    ours: which of them no other server has, by now (USR2); only these may be shut down.
    alone: there are siblings that take no connections; nobody is handed over, for it might be to nobody.
    """

    drain: tuple[int, ...] = ()
    ours: tuple[int, ...] = ()
    alone: bool = False


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
class LogLevel:
    """Master -> worker or mold: the error log's level from now on, a number of logging's; 0: that of the settings."""

    level: int


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Master -> worker: use these certificates for new connections.

    fds: one, of what process.certificate_files has packed; as of LogFiles.
    """

    fds: tuple[int, ...] = ()


Message = (
    Ready
    | Born
    | MoldIsReady
    | Declined
    | NotPromoted
    | ForkRefused
    | Died
    | BootFailed
    | RetireRequest
    | LogsRequest
    | Notice
    | Trouble
    | ForkWorker
    | Promote
    | LameDuckBegins
    | Retire
    | Stop
    | LogFiles
    | LogLevel
    | CertificateFiles
)


def descriptors_of(message: Message) -> int:
    """How many descriptors go with it."""
    match message:
        case LogFiles(names):
            return len(names)
        case CertificateFiles():
            return 1
        case ForkWorker(listeners=listeners):
            return 1 + len(listeners)
        case _:
            return 0


def encode(message: Message) -> bytes:
    """The line that carries `message`. Texts that say why something failed are cut."""
    match message:
        case BootFailed(status, summary):
            message = BootFailed(status, _cut(summary))
        case Declined(summary):
            message = Declined(_cut(summary))
        case NotPromoted(reason):
            message = NotPromoted(_cut(reason))
        case ForkRefused(age, reason):
            message = ForkRefused(age, _cut(reason))
        case Notice(text):
            message = Notice(_cut(text))
        case Trouble(text, serious):
            message = Trouble(_cut(text), serious)
        case _:
            pass
    fields = {"kind": type(message).__name__, **asdict(message)}
    fields.pop("fds", None)  # they are numbers of this process; the channel carries what they stand for
    return _NUL + json.dumps(fields).encode() + b"\n"


def decode(line: bytes) -> Message | None:
    """The message of a line without its NUL and LF; None when it is none of ours."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    return _from_worker(fields) or _from_mold(fields) or _from_master(fields)


def _from_worker(fields: dict[str, Any]) -> Message | None:
    match fields:
        case {"kind": "Ready", "boot_ms": int(boot_ms), "receives": bool(receives)}:
            return Ready(boot_ms, receives)
        case {"kind": "Born", "pid": int(pid)}:
            return Born(pid)
        case {"kind": "BootFailed", "status": int(status), "summary": str(summary)}:
            return BootFailed(status, summary)
        case {"kind": "RetireRequest", "reason": reason, "detail": str(detail)} if reason in _REASONS:
            return RetireRequest(cast(RetireReason, reason), detail)
        case {"kind": "LogsRequest"}:
            return LogsRequest()
        case {"kind": "NotPromoted", "reason": str(reason)}:
            return NotPromoted(reason)
        case {"kind": "Notice", "text": str(text)}:
            return Notice(text)
        case {"kind": "Trouble", "text": str(text), "serious": bool(serious)}:
            return Trouble(text, serious)
    return None


def _from_mold(fields: dict[str, Any]) -> Message | None:
    match fields:
        case {"kind": "MoldIsReady", "boot_ms": int(boot_ms)}:
            return MoldIsReady(boot_ms)
        case {"kind": "Declined", "summary": str(summary)}:
            return Declined(summary)
        case {"kind": "ForkRefused", "age": int(age), "reason": str(reason)}:
            return ForkRefused(age, reason)
        case {"kind": "Died", "pid": int(pid), "status": None, "signal": str(signal)}:
            return Died(pid, None, signal)
        case {"kind": "Died", "pid": int(pid), "status": int(status), "signal": None}:
            return Died(pid, status, None)
    return None


def _from_master(fields: dict[str, Any]) -> Message | None:
    match fields:
        case {
            "kind": "ForkWorker",
            "age": int(age),
            "slot": int(slot),
            "page": int(page),
            "listeners": [*listeners],
            "attributes": str(attributes),
        } if _are_texts(listeners):
            return ForkWorker(age, slot, page, tuple(listeners), attributes)
        case {"kind": "Promote", "ours": [*ours]} if _are_numbers(ours):
            return Promote(tuple(ours))
        case {"kind": "LameDuckBegins"}:
            return LameDuckBegins()
        case {"kind": "Retire", "drain": [*drain], "ours": [*ours], "alone": bool(alone)} if _are_numbers(drain + ours):
            return Retire(tuple(drain), tuple(ours), alone)
        case {"kind": "Stop", "keep_listeners": bool(keep_listeners), "ours": [*ours]} if _are_numbers(ours):
            return Stop(keep_listeners, tuple(ours))
        case {"kind": "LogFiles", "names": [*names], "others": bool(others)} if _are_texts(names):
            return LogFiles(tuple(names), others=others)
        case {"kind": "LogLevel", "level": int(level)}:
            return LogLevel(level)
        case {"kind": "CertificateFiles"}:
            return CertificateFiles()
    return None


def _cut(text: str) -> str:
    return text[:_LIMIT_SUMMARY_CHARACTERS]


def _are_numbers(values: list[object]) -> bool:
    return all(isinstance(each, int) for each in values)


def _are_texts(values: list[object]) -> bool:
    return all(isinstance(each, str) for each in values)


class Parser:
    """Bytes of a channel -> messages, and the text between them. Pure; one per direction."""

    __slots__ = ("_copy", "_dump", "_message")

    def __init__(self) -> None:
        self._dump = bytearray()
        self._copy: bytearray | None = None
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

    def copy_dump(self) -> None:
        """From now on keep a copy of the text that comes, for another reader."""
        self._copy = bytearray()

    def copied_dump(self) -> str:
        """The copy so far."""
        return (self._copy or b"").decode("utf-8", "replace")

    def drop_copied(self) -> None:
        """What was copied is nobody else's: it is forgotten here, too, unless it was taken."""
        if self._copy and self._dump.endswith(self._copy):
            del self._dump[-len(self._copy) :]
        if self._copy is not None:
            self._copy.clear()

    def end_copy(self) -> None:
        self._copy = None

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
        if self._copy is not None:
            self._copy += text[: max(0, _LIMIT_DUMP_BYTES - len(self._copy))]
