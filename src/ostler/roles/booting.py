"""What workers and molds have in common: how they boot, how they say that they cannot, and how they leave.

Rules for editing: called in the main thread of a process that has one.
"""

import contextlib
import faulthandler
import logging
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, NoReturn, cast

from ostler import real
from ostler.app.loader import AppBootError, apply_paths
from ostler.app.source import Source
from ostler.app.wsgi import Application
from ostler.config.settings import Settings
from ostler.errors import BootError, OstlerError
from ostler.logline import fields
from ostler.observe.causes import Cause, cure_for_boot
from ostler.process import last_words, signal_stack
from ostler.process.channel import BootFailed, Channel
from ostler.process.signals import (
    CANCEL_SIGNAL,
    DUMP_SIGNAL,
    WORKER_IGNORES,
    block_all,
    ignore,
    leave_to_forks,
    restore_default,
    restore_mask,
    unblock_all,
)
from ostler.process.spew import spew
from ostler.roles.assembly import SOFTWARE, WorkerStart
from ostler.roles.journal import Journal
from ostler.workers.kinds import kind_of

LOGS_S: Final = 0.5
"""How long a process that leaves tries to get rid of log lines that nobody takes."""

_ANSWERED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGABRT)

_getpid = os.getpid
_leave_process = os._exit

Handler = Callable[[int, FrameType | None], object]


def boot_signals(channel: Channel, abort: Handler, cancelled: Handler) -> None:
    """Until it serves, a process has nothing to finish: QUIT and INT end it, TERM is the master's to answer.

    For one that will import the application; all signals are let in.
    """
    ignore(WORKER_IGNORES)
    restore_default((signal.SIGCHLD, signal.SIGALRM))
    leave_to_forks((*_ANSWERED, *WORKER_IGNORES))
    answer_while_booting(channel, abort, cancelled)


def answer_while_booting(channel: Channel, abort: Handler, cancelled: Handler) -> None:
    """The same for one that a mold forked: what the application did with other signals stays, and what is done once for
    a process and those that it forks was done by the mold.
    """
    signal.signal(signal.SIGUSR1, lambda *_: None)  # new logs come over the channel, whoever else hears USR1
    signal.signal(signal.SIGTERM, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda *_: _leave_process(0))
    signal.signal(CANCEL_SIGNAL, cancelled)
    last_words.tell(channel.fileno())  # before SIGABRT, which faulthandler takes as well
    signal.signal(signal.SIGABRT, abort)
    faulthandler.register(DUMP_SIGNAL, file=channel.fileno(), all_threads=True)
    signal_stack.widen()
    unblock_all()


def dump_also(channel: Channel, stacks: Callable[[], str]) -> None:
    """Beside the stacks of threads, show what `stacks` says. It takes a main thread that gets to run Python."""

    def show(_number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(Exception):  # it would be raised wherever the application is; or the channel is full
            real.write(channel.fileno(), stacks().encode("utf-8", "backslashreplace"))

    mask = block_all()
    faulthandler.unregister(DUMP_SIGNAL)
    signal.signal(DUMP_SIGNAL, show)
    faulthandler.register(DUMP_SIGNAL, file=channel.fileno(), all_threads=True, chain=True)
    restore_mask(mask)


def prepare(kind: str) -> None:
    """What a worker kind needs before the application is imported; of no kind, nothing. Raises BootError."""
    if kind:
        kind_of(kind).prepare()


def load(settings: Settings, source: Source, kind: str) -> Application:
    """Import the application; kind: as `prepare`. Raises OstlerError."""
    apply_paths(settings)
    os.environ["SERVER_SOFTWARE"] = SOFTWARE
    random.seed()  # the master's state was inherited by every worker
    if settings.spew:
        spew()
    prepare(kind)
    return cast(Application, source.load(settings))


@contextmanager
def same_process(start: WorkerStart) -> Iterator[None]:
    """What an application may do while it is imported that nothing can go on after. Raises BootError."""
    pid, before = _getpid(), _identities(start)
    try:
        yield
    finally:
        if _getpid() != pid:
            _leave_process(1)  # it forked, and this is the copy: all that is here belongs to the other one
    if _identities(start) != before:
        text = (
            "the application closed or replaced descriptors of the server while it was imported; "
            "it must leave those alone that it did not open"
        )
        start.journal.logs.error.error(text)  # here, for nothing may reach the master any more
        raise BootError(text)


def _identities(start: WorkerStart) -> list[tuple[int, int] | None]:
    """Which files stand behind the numbers that the server goes on with."""
    listening = (listener.fd for listener in start.listeners)
    return [_identity(fd) for fd in (start.channel.fileno(), start.transfer.fileno(), *listening)]


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(fd)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def tell_boot_failed(channel: Channel, log: logging.Logger, error: OstlerError) -> int:
    """Say so, to the master and in the log; returns the exit status."""
    if isinstance(error, AppBootError) and error.traceback_text:
        # The summary goes to the master, whose line says what follows from it; the traceback is shown once, here.
        cure = cure_for_boot(error.__cause__)
        text = fields("the application raised while it was imported", error=error, cause=Cause.BOOT_FAILED, cure=cure)
        log.error("%s\n%s", text, error.traceback_text.rstrip())
    status = error.exit_status if error.exit_status != 1 else BootError.exit_status
    channel.send(BootFailed(status, str(error)))
    return status


def leave(journal: Journal, status: int) -> NoReturn:
    """Whatever it dies of: what was printed and logged is the explanation, and must not die with it."""
    for stream in (sys.stdout, sys.stderr):
        # closed, replaced by the application, or in use by the very thread that a signal has interrupted
        with contextlib.suppress(OSError, ValueError, AttributeError, RuntimeError):
            stream.flush()
    journal.close(LOGS_S)
    _leave_process(status)
