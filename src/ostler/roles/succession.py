"""USR2: a new master beside this one, on the same listeners; and the new one's side of it, until the old one is gone.

    old: USR2 -> fork, pre_exec hook, exec of the same command    new: boots beside us, takes our sockets over
    old: hears that it serves (MAINPID to systemd)                new: its first worker is ready
    old: TERM from the operator: leaves, the sockets stay open    new: is promoted: pid file and title lose their ".2"

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

from ostler.errors import OstlerError, reason_of
from ostler.logline import escape, fields
from ostler.observe.capture import STANDARD
from ostler.process.fork import Death, fork
from ostler.process.inherited import HAND_ON
from ostler.process.listeners import Listener
from ostler.process.passing import for_successor
from ostler.process.reexec import HandOver, StartContext, exec_again, tell_ready
from ostler.process.signals import hold_back, restore_default
from ostler.roles.perform import Performer

_getpid = os.getpid
_getppid = os.getppid
_pipe = os.pipe
_read = os.read
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
    ) -> None:
        """environ: as it was when this master was started."""
        self._context = context
        self._environ = environ
        self._performer = performer
        self._announce = announce
        self._ready_fd: int | None = None
        self._left_over: tuple[Listener, ...] = ()
        self._heard = b""
        self._reader: int | None = None
        self.successor: int | None = None
        self.predecessor: int | None = None

    def follow(self, hand_over: HandOver, left_over: tuple[Listener, ...]) -> None:
        """We are the new master. left_over: listeners of the old one that nobody needs when it is gone."""
        self._ready_fd = hand_over.ready_fd
        self._left_over = left_over
        self.predecessor = hand_over.parent_pid
        self._performer.beside_master = True

    def begin(self, pre_exec: Callable[[], None]) -> None:
        """USR2. Refused with a line when it cannot be done."""
        refusal = self._refusal()
        log = self._performer.log
        if refusal:
            log.warning(fields("USR2 ignored", reason=refusal))
            return
        reader, writer = _pipe()
        try:
            pid = fork(lambda: self._become_new(pre_exec, writer))
        except OSError as error:
            log.error(fields("USR2 failed, this master goes on", error=reason_of(error)))
            _close(reader)
            return
        finally:
            _close(writer)
        os.set_blocking(reader, False)
        self._reader, self._heard = reader, b""
        self._performer.poller.register(reader, select.POLLIN)
        self.successor = pid
        self._performer.disown_listeners()
        log.info(fields("new master starting", new_pid=pid, pid=_getpid()))

    def hears(self, fd: int) -> bool:
        """Whether `fd` is the new master's line; what it says is taken."""
        if fd != self._reader:
            return False
        try:
            data = _read(fd, 64)
        except BlockingIOError:
            return True
        self._heard += data
        if self._heard and self.successor is not None:
            self._performer.log.info(fields("new master ready, end the old one with TERM", new_pid=self.successor))
            self._announce.succeeded_by(self.successor)
        self._hang_up()
        return True

    def buries(self, death: Death) -> bool:
        """Whether the dead child was the new master."""
        if self.successor is None or death.pid != self.successor:
            return False
        self.successor = None
        self._hang_up()
        self._performer.own_listeners()
        how = fields("new master ended, this one goes on", new_pid=death.pid, status=death.status, signal=death.signal)
        self._performer.log.error(how)
        self._announce.succeeded_by(_getpid())
        return True

    def serves(self) -> None:
        """Our first worker is ready: tell the old master."""
        if self._ready_fd is not None:
            fd, self._ready_fd = self._ready_fd, None
            tell_ready(fd)

    def look(self) -> None:
        """About once a second: the old master may be gone by now."""
        if self.predecessor is not None and _getppid() != self.predecessor:
            gone, self.predecessor = self.predecessor, None
            self._performer.own_listeners()
            for listener in self._left_over:
                listener.own()
                listener.shutdown()
                listener.unlink()
            self._left_over = ()
            self._performer.log.info(fields("promoted, the old master is gone", old_pid=gone, pid=_getpid()))
            self._announce.promoted()

    def close_in_child(self) -> None:
        for fd in (self._reader, self._ready_fd):
            if fd is not None:
                _close(fd)
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

    def _hang_up(self) -> None:
        if self._reader is not None:
            self._performer.poller.unregister(self._reader)
            _close(self._reader)
            self._reader = None

    def _become_new(self, pre_exec: Callable[[], None], writer: int) -> NoReturn:
        """In the child."""
        listeners = self._performer.listeners()
        former = {name: value for name, value in self._environ.items() if name != HAND_ON}
        environ = former | for_successor(listeners)
        old_pid = _getppid()
        self._performer.leave_to_master()  # first: a hook that hangs must not keep the workers' channels open
        pre_exec()
        STANDARD.release()
        restore_default((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD))
        hold_back(_HELD_BACK)
        try:
            exec_again(self._context, environ, [listener.fd for listener in listeners], old_pid, writer)
        except OstlerError as error:
            self._performer.log.error("%s", escape(str(error)))
            raise SystemExit(error.exit_status) from error
