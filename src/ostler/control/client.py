"""The command's side of the operator's socket: find the master, ask, show its progress, and wait for the result.

Rules for editing: nothing here changes the server but the one request; whoever interrupts a command interrupts nothing
else. A name may be held by anybody, and a pid file may say anything, so whoever answers must be the process that was
meant, and be root's or our own, but behind a path that was typed; what it says goes to a terminal escaped (`show` sees
to the lines).
"""

import json
import os
import socket as _socket
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic as _monotonic
from typing import Any, Final

from ostler.control.address import names_of
from ostler.control.protocol import (
    LIMIT_ANSWER_BYTES,
    Command,
    Lines,
    Moved,
    Part,
    Progress,
    ProtocolError,
    Request,
    Result,
    decode,
    encode,
)
from ostler.errors import OstlerError, reason_of
from ostler.logline import escape
from ostler.process.peer import Peer, peer_of

_BLOCK: Final = 65536
_CONNECT_S: Final = 5.0
_ANSWER_S: Final = 5.0
"""A master that runs says something at once; a silence is told."""
_NOT_A_MASTER: Final = "it is no master of Ostler, runs in another container, or cannot be asked; HUP may work"

_geteuid = os.geteuid


class ControlError(OstlerError):
    """The master cannot be asked, did not do what was asked, or did not answer."""


@dataclass(frozen=True, slots=True)
class Where:
    """A master: by its pid, or by the path of its control socket. typed: the path is what the operator said, so that
    whoever answers there is who was meant.
    """

    pid: int = 0
    path: str | None = None
    typed: bool = False

    def __str__(self) -> str:
        return f"the master {self.pid}" if self.pid else f"the master behind {self.path}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """text: the last word. data: of a question, the answer. pid: of the master that said so; 0: not known."""

    text: str
    data: dict[str, Any] = field(default_factory=dict)
    pid: int = 0


def ask(where: Where, request: Request, show: Callable[[str], None], timeout_s: float | None) -> Outcome:
    """Have the master do `request`; returns what came of it. show: is given the log lines before that.

    timeout_s: how long to wait, None is for ever. Raises ControlError with the reason when it was not done.
    """
    until = float("inf") if timeout_s is None else _monotonic() + timeout_s
    return _Talk(where, request, show, until).result()


class _Talk:
    def __init__(self, where: Where, request: Request, show: Callable[[str], None], until: float) -> None:
        self._where = where
        self._name = request.command.value
        self._request = request
        self._show = show
        self._until = until
        self._heard = False
        self._answer: list[str] = []
        self._last_lines = (f"{self._name} complete", f"{self._name} failed")  # the result says them again

    def result(self) -> Outcome:
        result = self._asked(self._request)
        if isinstance(result, Moved):
            self._where = Where(result.pid)
            result = self._asked(Request(Command.FOLLOW))
        if isinstance(result, Moved):
            raise ControlError(f"{self._name}: the masters {self._where.pid} and {result.pid} send us to each other")
        if not result.succeeded:
            raise ControlError(escape(result.text))
        return Outcome(result.text, self._data(), self._where.pid)

    def _data(self) -> dict[str, Any]:
        if not self._answer:
            return {}
        try:
            data = json.loads("".join(self._answer))
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            raise ControlError(f"{self._name}: {self._where} does not answer as a master: expected JSON")
        return data

    def _asked(self, request: Request) -> Result | Moved:
        last: Result | Moved | None = None
        with self._connection() as sock:
            try:
                sock.sendall(encode(request))
                last = self._last_word(sock)
            except ProtocolError as error:
                raise ControlError(f"{self._name}: {self._where} does not answer as a master: {error}") from None
            except TimeoutError:
                goes_on = "goes on with it" if self._heard else "has not answered, and does it when it runs again"
                text = f"not done within --timeout; {self._where} {goes_on}"
                raise ControlError(f"{self._name}: {text}") from None
            except OSError as error:
                if request.command is not Command.STOP:
                    raise self._dead(reason_of(error)) from None
        if last is not None:
            return last
        if request.command is Command.STOP:
            return Result(True, "stopped")  # it did not come to say so
        raise self._dead("the connection ended")

    def _last_word(self, sock: _socket.socket) -> Result | Moved | None:
        """What came of it; Moved only when the connection ended after that."""
        lines = Lines()
        moved: Moved | None = None
        while data := self._received(sock):
            for line in map(decode, lines.feed(data)):
                match line:
                    case Progress(text) if not text.startswith(self._last_lines):
                        self._show(text)
                    case Part(text):
                        self._keep(text)
                    case Moved():
                        moved = line
                    case Result():
                        return line
                    case _:
                        pass
        return moved

    def _keep(self, part: str) -> None:
        self._answer.append(part)
        if sum(map(len, self._answer)) > 2 * LIMIT_ANSWER_BYTES:
            raise ProtocolError(f"expected an answer of at most {LIMIT_ANSWER_BYTES} bytes")

    def _dead(self, how: str) -> ControlError:
        text = f"{self._where} ended, or dropped this command, before it was done ({how})"
        return ControlError(f"{self._name}: {text}")

    def _received(self, sock: _socket.socket) -> bytes:
        if not self._heard:
            self._wait_for_first_word(sock)
        left = self._until - _monotonic()
        if left <= 0:
            raise TimeoutError
        sock.settimeout(None if left == float("inf") else left)
        data = sock.recv(_BLOCK)
        self._heard = True
        return data

    def _wait_for_first_word(self, sock: _socket.socket) -> None:
        sock.settimeout(max(0.001, min(_ANSWER_S, self._until - _monotonic())))
        try:
            sock.recv(1, _socket.MSG_PEEK)
        except TimeoutError:
            if self._until - _monotonic() > 0:
                self._show(f"{self._where} does not answer yet: it may be stopped (SIGCONT), or very busy")

    def _connection(self) -> _socket.socket:
        if self._where.path is not None:
            return self._behind(self._where.path)
        pid = self._where.pid
        for name in names_of(pid):
            try:
                sock, peer = connect(name)
            except OSError:
                continue
            if peer.pid == pid and may_answer(peer.uid):
                return sock
            sock.close()
            if peer.pid == pid:
                raise ControlError(f"{self._name}: process {pid} is {_somebody_elses(peer.uid)}")
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            raise ControlError(f"{self._name}: there is no process {pid}") from None
        except OSError:
            pass
        raise ControlError(f"{self._name}: process {pid} does not answer: {_NOT_A_MASTER}")

    def _behind(self, path: str) -> _socket.socket:
        try:
            sock, peer = connect(path)
        except OSError as error:
            text = f"cannot connect to {path}: {reason_of(error)}; does the server run, and may you use it?"
            raise ControlError(f"{self._name}: {text}") from None
        if not self._where.typed and not may_answer(peer.uid):
            sock.close()
            raise ControlError(f"{self._name}: what answers at {path} is {_somebody_elses(peer.uid)}")
        self._where = Where(peer.pid, path, self._where.typed)
        return sock


def connect(name: str) -> tuple[_socket.socket, Peer]:
    """To whoever listens there. Raises OSError."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        sock.settimeout(_CONNECT_S)
        sock.connect(name)
        peer = peer_of(sock)
    except BaseException:
        sock.close()
        raise
    return sock, peer


def may_answer(uid: int) -> bool:
    """Whether a master of that user may tell us things: root's, or our own; root hears all."""
    return uid == 0 or _geteuid() in (0, uid)


def _somebody_elses(uid: int) -> str:
    return f"uid {uid}'s, not root's nor ours; ask as that user, or as root"
