"""The command's side of the operator's socket: find the master, ask, show its progress, and wait for the result.

Rules for editing: nothing here changes the server but the one request; whoever interrupts a command interrupts nothing
else. A name may be held by anybody, and a pid file may say anything, so whoever answers must be the process that was
meant, and be root's or our own; what it says goes to a terminal escaped (`show` sees to the lines).
"""

import os
import socket as _socket
from collections.abc import Callable
from time import monotonic as _monotonic
from typing import Final

from ostler.control.address import names_of
from ostler.control.protocol import Command, Lines, Moved, Progress, ProtocolError, Request, Result, decode, encode
from ostler.errors import OstlerError, reason_of
from ostler.logline import escape
from ostler.process.peer import peer_of

_BLOCK: Final = 65536
_CONNECT_S: Final = 5.0
_ANSWER_S: Final = 5.0
"""A master that runs says something at once; a silence is told."""
_NOT_A_MASTER: Final = "it is no master of Ostler, runs in another container, or cannot be asked; HUP may work"

_geteuid = os.geteuid


class ControlError(OstlerError):
    """The master cannot be asked, did not do what was asked, or did not answer."""


def ask(pid: int, command: Command, show: Callable[[str], None], timeout_s: float | None) -> str:
    """Have the master `pid` do `command`; returns its last word. show: is given the log lines before that.

    timeout_s: how long to wait, None is for ever. Raises ControlError with the reason when it was not done.
    """
    until = float("inf") if timeout_s is None else _monotonic() + timeout_s
    return _Talk(pid, command, show, until).result()


class _Talk:
    def __init__(self, pid: int, command: Command, show: Callable[[str], None], until: float) -> None:
        self._pid = pid
        self._name = command.value
        self._command = command
        self._show = show
        self._until = until
        self._heard = False
        self._last_lines = (f"{self._name} complete", f"{self._name} failed")  # the result says them again

    def result(self) -> str:
        result = self._asked(self._command)
        if isinstance(result, Moved):
            self._pid = result.pid
            result = self._asked(Command.FOLLOW)
        if isinstance(result, Moved):
            raise ControlError(f"{self._name}: the masters {self._pid} and {result.pid} send us to each other")
        if not result.succeeded:
            raise ControlError(escape(result.text))
        return result.text

    def _asked(self, command: Command) -> Result | Moved:
        with self._connection() as sock:
            lines = Lines()
            moved: Moved | None = None
            try:
                sock.sendall(encode(Request(command)))
                while data := self._received(sock):
                    for line in map(decode, lines.feed(data)):
                        match line:
                            case Progress(text) if not text.startswith(self._last_lines):
                                self._show(text)
                            case Moved():
                                moved = line
                            case Result():
                                return line
                            case _:
                                pass
            except ProtocolError as error:
                raise ControlError(f"{self._name}: process {self._pid} does not answer as a master: {error}") from None
            except TimeoutError:
                goes_on = "goes on with it" if self._heard else "has not answered, and does it when it runs again"
                text = f"not done within --timeout; the master {self._pid} {goes_on}"
                raise ControlError(f"{self._name}: {text}") from None
            except OSError as error:
                raise self._dead(reason_of(error)) from None
        if moved is not None:
            return moved
        raise self._dead("the connection ended")

    def _dead(self, how: str) -> ControlError:
        text = f"the master {self._pid} ended, or dropped this command, before it was done ({how})"
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
                self._show(f"the master {self._pid} does not answer yet: it may be stopped (SIGCONT), or very busy")

    def _connection(self) -> _socket.socket:
        for name in names_of(self._pid):
            sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
            try:
                sock.settimeout(_CONNECT_S)
                sock.connect(name)
                peer = peer_of(sock)
            except OSError:
                sock.close()
                continue
            if peer.pid == self._pid and (peer.uid == 0 or _geteuid() in (0, peer.uid)):
                return sock
            sock.close()
            if peer.pid == self._pid:
                who = f"process {self._pid} is uid {peer.uid}'s, not root's nor ours; ask as that user, or as root"
                raise ControlError(f"{self._name}: {who}")
        try:
            os.kill(self._pid, 0)
        except ProcessLookupError:
            raise ControlError(f"{self._name}: there is no process {self._pid}") from None
        except OSError:
            pass
        raise ControlError(f"{self._name}: process {self._pid} does not answer: {_NOT_A_MASTER}")
