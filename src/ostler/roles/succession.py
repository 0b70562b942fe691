"""USR2: a new master beside this one, on the same listeners; and the new one's side of it, until the old one is gone.

    old: USR2 -> fork, pre_exec hook, exec of the same command    new: boots beside us, takes our sockets over
    old: hears that it serves (MAINPID to systemd)                new: its first worker is ready
    old: TERM from the operator: leaves, the sockets stay open    new: is promoted: pid file and title lose their ".2"

`ostler upgrade` is the same without the operator (upgrade.py): the old one leaves when the new one has all its workers.

Gunicorn's procedure, with its variables (GUNICORN_PID, GUNICORN_FD), so that either can follow the other. From the fork
until one of both is gone the listeners belong to both: nobody shuts or unlinks them (failures R11).

Rules for editing: nothing waits here. The signals of the operator stay blocked across exec until the new master hears
them: their default action would end it.
"""

import os
import select
import signal
from collections.abc import Callable, Mapping
from typing import Final, NoReturn, Protocol

from ostler import real
from ostler.errors import OstlerError
from ostler.logline import escape, fields
from ostler.observe.capture import STANDARD
from ostler.process.fork import Death, fork, why_no_process
from ostler.process.inherited import HAND_ON
from ostler.process.listeners import Listener
from ostler.process.parent import hear_of_parents_end
from ostler.process.passing import for_successor
from ostler.process.reexec import (
    COMPLETE,
    FAILED,
    LIMIT_READY_BYTES,
    SERVES,
    HandOver,
    ReadyLine,
    StartContext,
    exec_again,
)
from ostler.process.signals import hold_back, restore_default
from ostler.roles.perform import Performer
from ostler.supervisor.actions import Level

_getpid = os.getpid
_getppid = os.getppid
_pipe = os.pipe
_read = real.read
_close = os.close

_HELD_BACK: Final = (
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGTTIN,
    signal.SIGTTOU,
)


class Announce(Protocol):
    """Who is told of changes that the outside sees."""

    def succeeded_by(self, pid: int) -> None: ...
    def promoted(self) -> None: ...


class Succession:
    """The other master, if there is one: our successor (`successor`), or the one that we succeed (`predecessor`)."""

    def __init__(
        self,
        context: StartContext,
        environ: Mapping[str, str],
        performer: Performer,
        announce: Announce,
        say: Callable[[Level, str], None],
    ) -> None:
        """environ: as it was when this master was started. say: writes a line to the log, and to who asked for this."""
        self._context = context
        self._environ = environ
        self._performer = performer
        self._announce = announce
        self._say = say
        self._line = ReadyLine(None)
        self._left_over: tuple[Listener, ...] = ()
        self._heard = b""
        self._then = ""
        self._reader: int | None = None
        self.successor: int | None = None
        self.predecessor: int | None = None

    def follow(self, hand_over: HandOver, left_over: tuple[Listener, ...]) -> None:
        """We are the new master. left_over: listeners of the old one that nobody needs when it is gone."""
        self._line = ReadyLine(hand_over.ready_fd)
        self._left_over = left_over
        self.predecessor = hand_over.parent_pid
        hear_of_parents_end()
        self._performer.generations.beside_master = True

    @property
    def heard_that_it_serves(self) -> bool:
        """The new master's first worker is ready."""
        return SERVES in self._words()

    @property
    def heard_that_it_is_complete(self) -> bool:
        """All workers of the new master are ready."""
        return COMPLETE in self._words()

    @property
    def last_words(self) -> str:
        """Why the new master ended, as it said itself, on one line; or nothing."""
        return self._heard.partition(FAILED)[2].decode("utf-8", "replace").strip()

    def begin(self, pre_exec: Callable[[], None], then: str = "end the old one with TERM") -> str:
        """USR2. Returns why it cannot be done, or nothing. then: what is to be done when the new master serves."""
        refusal = self._refusal()
        if refusal:
            return refusal
        try:
            reader, writer = _pipe()
        except OSError as error:
            return f"cannot make a pipe: {why_no_process(error)}"
        try:
            pid = fork(lambda: self._become_new(pre_exec, writer))
        except OSError as error:
            _close(reader)
            return f"cannot fork: {why_no_process(error)}"
        finally:
            _close(writer)
        os.set_blocking(reader, False)
        self._reader, self._heard, self._then = reader, b"", then
        self._performer.poller.register(reader, select.POLLIN)
        self.successor = pid
        self._performer.generations.disown_listeners()
        self._say(Level.INFO, fields("new master starting", new_pid=pid, pid=_getpid()))
        return ""

    def hears(self, fd: int) -> bool:
        """Whether `fd` is the new master's line; what it says is taken."""
        if fd != self._reader:
            return False
        served = self.heard_that_it_serves
        if not self._take():
            self._hang_up()
        if self.heard_that_it_serves and not served and self.successor is not None:
            self._say(Level.INFO, fields(f"new master ready, {self._then}", new_pid=self.successor))
            self._announce.succeeded_by(self.successor)
        return True

    def buries(self, death: Death) -> bool:
        """Whether the dead child was the new master."""
        if self.successor is None or death.pid != self.successor:
            return False
        self.successor = None
        if self._reader is not None:
            self._take()
            self._hang_up()
        self._performer.generations.own_listeners()
        how = fields("new master ended, this one goes on", new_pid=death.pid, status=death.status, signal=death.signal)
        self._say(Level.ERROR, how)
        self._announce.succeeded_by(_getpid())
        return True

    def serves(self) -> None:
        """Our first worker is ready: tell the old master."""
        self._line.serves()

    def complete(self) -> None:
        """All our workers are."""
        self._line.complete()

    def failed(self, why: str) -> None:
        """This master ends."""
        self._line.failed(why)

    def look(self) -> None:
        """In each turn: the old master may be gone by now (Linux wakes us, by SIGCHLD)."""
        if self.predecessor is not None and _getppid() != self.predecessor:
            gone, self.predecessor = self.predecessor, None
            self._performer.generations.own_listeners()
            for listener in self._left_over:
                listener.own()
                listener.shutdown()
                listener.unlink()
            self._left_over = ()
            self._announce.promoted()
            self._performer.log.info(fields("promoted, the old master is gone", old_pid=gone, pid=_getpid()))

    def close_in_child(self) -> None:
        self._line.close()
        if self._reader is not None:
            _close(self._reader)
        for listener in self._left_over:
            listener.close()

    def _refusal(self) -> str:
        if _getpid() == 1:
            return "this master is PID 1, and the container would end with it; start a new container"
        if self.successor is not None:
            return f"a new master runs already (pid {self.successor}); end one of both first"
        if self.predecessor is not None:
            return f"the old master still runs (pid {self.predecessor}); end it first"
        return ""

    def _words(self) -> bytes:
        return self._heard.partition(FAILED)[0]

    def _take(self) -> bool:
        """Read what the new master has said; False when it will say nothing more."""
        assert self._reader is not None
        try:
            data = _read(self._reader, LIMIT_READY_BYTES)
        except BlockingIOError:
            return True
        self._heard += data[: max(0, LIMIT_READY_BYTES - len(self._heard))]
        return bool(data)

    def _hang_up(self) -> None:
        if self._reader is not None:
            self._performer.poller.unregister(self._reader)
            _close(self._reader)
            self._reader = None

    def _become_new(self, pre_exec: Callable[[], None], writer: int) -> NoReturn:
        """In the child."""
        listeners = self._performer.generations.listeners()
        former = {name: value for name, value in self._environ.items() if name != HAND_ON}
        environ = former | for_successor(listeners)
        old_pid = _getppid()
        self._performer.forker.leave_to_master()  # first: a hook that hangs must not keep the workers' channels open
        try:
            pre_exec()
        except SystemExit as request:
            ReadyLine(writer).failed(f"pre_exec hook: {request.__cause__!r}")
            raise
        try:
            STANDARD.release()
            restore_default((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD))
            hold_back(_HELD_BACK)
            exec_again(self._context, environ, [listener.fd for listener in listeners], old_pid, writer)
        except OstlerError as error:
            self._performer.log.error("%s", escape(str(error)))
            ReadyLine(writer).failed(str(error))
            raise SystemExit(error.exit_status) from error
