"""Host names to addresses without waiting for a name server (getaddrinfo(3)).

A look-up takes as long as the name server likes, so it never happens where somebody waits: in a worker a thread does
it, in the master, which has one thread and forks, a child process. Both are asked the same way: `start`, then `result`
until it answers.

Rules for editing: nothing here blocks or raises; no answer is an answer (`error`). What user code could replace
(`socket.getaddrinfo`, `threading`: gevent does) is bound at import. observe/ does not import process/: who owns the
process hands `process.fork.fork` in.
"""

import json
import os
import signal as _signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn, Protocol

from ostler import real
from ostler.errors import reason_of

_getaddrinfo = real.getaddrinfo
_start_thread = real.start_thread
_pipe = os.pipe
_read = real.read
_write = real.write
_close = os.close
_leave = os._exit
_install = _signal.signal
_set_mask = _signal.pthread_sigmask
_alarm = _signal.alarm

LIMIT_ADDRESSES: Final = 8
LIMIT_LOOKUP_S: Final = 60
"""After this a child that looks up is ended by the kernel. resolv.conf's usual worst is 30 s."""

_ENDING: Final = (_signal.SIGTERM, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGALRM)

SocketAddress = tuple[str, int] | tuple[str, int, int, int]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address family (AF_INET or AF_INET6) and what connect(2) takes for it."""

    family: int
    address: SocketAddress


@dataclass(frozen=True, slots=True)
class Answer:
    """Of one look-up: endpoints in the order to try them, or none and why."""

    endpoints: tuple[Endpoint, ...]
    error: str = ""


class Resolver(Protocol):
    """One look-up at a time; belongs to one Remote in one process. Called by one thread at a time."""

    def start(self, host: str, port: int) -> None:
        """Begin; forgets a look-up that runs."""
        ...

    def result(self) -> Answer | None:
        """None while it runs. To be asked again after a `start` only."""
        ...

    def close(self) -> None:
        """Give up what runs."""
        ...


def known_endpoints(host: str, port: int) -> tuple[Endpoint, ...]:
    """Those of a number or of "localhost", which need no name server; () for other names."""
    if host == "localhost":
        return (Endpoint(socket.AF_INET, ("127.0.0.1", port)), Endpoint(socket.AF_INET6, ("::1", port, 0, 0)))
    return look_up(host, port, socket.AI_NUMERICHOST).endpoints


def look_up(host: str, port: int, flags: int = 0) -> Answer:
    """Ask the system, and wait for it."""
    try:
        # as bytes: for text Python would import its IDNA codec, in whichever thread this is
        name = host.encode("ascii") if host.isascii() else host
        found = _getaddrinfo(name, port, type=socket.SOCK_DGRAM, flags=flags)
    except OSError as error:
        return Answer((), reason_of(error))
    except ValueError as error:  # UnicodeError: no such name can exist
        return Answer((), str(error))
    endpoints = dict.fromkeys(
        Endpoint(family, _address(address))
        for family, _, _, _, address in found
        if family in {socket.AF_INET, socket.AF_INET6}
    )
    return Answer(tuple(endpoints)[:LIMIT_ADDRESSES], "" if endpoints else "no address of a family that we speak")


def _address(found: tuple[object, ...]) -> SocketAddress:
    match found:
        case (str(host), int(port)):
            return host, port
        case (str(host), int(port), int(flow), int(scope)):
            return host, port, flow, scope
        case _:  # getaddrinfo(3) knows no others
            raise ValueError(f"address: expected (host, port) or (host, port, flow, scope), got {found!r}")


class ThreadResolver:
    """For workers: a thread for the length of a look-up. It cannot be joined, and dies with the process."""

    def __init__(self, ask: Callable[[str, int], Answer] = look_up) -> None:
        self._ask = ask
        self._answers: list[Answer] = []

    def start(self, host: str, port: int) -> None:
        answers: list[Answer] = []  # the thread's own: a late answer to a question that was given up goes nowhere
        self._answers = answers
        try:
            _start_thread(_ask_into, (answers, self._ask, host, port))
        except RuntimeError as error:
            answers.append(Answer((), str(error)))

    def result(self) -> Answer | None:
        return self._answers[0] if self._answers else None

    def close(self) -> None:
        self._answers = []


def _ask_into(answers: list[Answer], ask: Callable[[str, int], Answer], host: str, port: int) -> None:
    answers.append(ask(host, port))


class ForkedResolver:
    """For the master: a child that answers over a pipe. Whoever reaps children finds a pid that he does not know.

    A child whose answer nobody wants any more is not killed, as its pid may be reaped and another's by then: it ends by
    itself, of a closed pipe or of its alarm.
    """

    def __init__(
        self,
        fork: Callable[[Callable[[], NoReturn]], int],
        prepare_child: Callable[[], None],
        ask: Callable[[str, int], Answer] = look_up,
    ) -> None:
        """fork: `process.fork.fork`. prepare_child: closes what the child must not hold, listeners above all."""
        self._fork = fork
        self._prepare_child = prepare_child
        self._ask = ask
        self._reader = -1
        self._received = bytearray()
        self._answer: Answer | None = None

    def start(self, host: str, port: int) -> None:
        self.close()
        try:
            self._begin(host, port)
        except OSError as error:
            self._answer = Answer((), f"no process to look up in: {reason_of(error)}")

    def _begin(self, host: str, port: int) -> None:
        reader, writer = _pipe()
        try:
            self._fork(lambda: self._be_child(writer, host, port))
        except OSError:
            _close(reader)
            raise
        finally:
            _close(writer)
        os.set_blocking(reader, False)
        self._reader = reader

    def result(self) -> Answer | None:
        if self._answer is not None or self._reader < 0:
            return self._answer
        try:
            while data := _read(self._reader, 65536):
                self._received += data
        except BlockingIOError:
            return None
        answer = _decoded(bytes(self._received))
        self.close()
        self._answer = answer
        return answer

    def close(self) -> None:
        if self._reader >= 0:
            _close(self._reader)
            self._reader = -1
        self._received.clear()
        self._answer = None

    def _be_child(self, writer: int, host: str, port: int) -> NoReturn:
        self._prepare_child()
        # All others stay blocked: their handlers are the master's and would write into its wakeup descriptor.
        for number in _ENDING:
            _install(number, _signal.SIG_DFL)
        _set_mask(_signal.SIG_UNBLOCK, _ENDING)
        _alarm(LIMIT_LOOKUP_S)
        _write(writer, _encoded(self._ask(host, port)))
        _leave(0)


def _encoded(answer: Answer) -> bytes:
    endpoints = [[endpoint.family, *endpoint.address] for endpoint in answer.endpoints]
    return json.dumps({"endpoints": endpoints, "error": answer.error[:1000]}).encode()


def _decoded(data: bytes) -> Answer:
    if not data:
        return Answer((), "the process that looked it up ended without an answer")
    told = json.loads(data)  # written in one piece, less than a pipe holds
    return Answer(
        tuple(Endpoint(family, _address(tuple(address))) for family, *address in told["endpoints"]), told["error"]
    )
