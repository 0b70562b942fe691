"""What the log says of a process that outlives KILL: once, with what the kernel tells about it (failures W14).

Its replacement is the supervisor's affair, and was started before; its page and its slot's memory stay its own until it
is reaped, which is no news.

Rules for editing: the master reads only what the kernel answers at once; the rest is read by a child, which may hang.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from ostler.logline import escape, fields
from ostler.process import kernel_wait
from ostler.process.fork import fork
from ostler.process.parent import die_with_parent


def describe(pid: int, sentence: str) -> str:
    """The line."""
    found = kernel_wait.reason(pid)
    if found is None:
        return fields(sentence, cause="the kernel does not let go of it", cure="see dmesg")
    return fields(sentence, state=found.state, wchan=found.wchan, cause=found.cause, cure=found.cure)


def tell_stack(pid: int, master: int, leave_all: Callable[[], None], log: logging.Logger) -> None:
    """Log where in the kernel it is, if anybody may know (root may). leave_all: closes in a child what is not its."""
    found = kernel_wait.reason(pid)
    if found is not None:
        with suppress(OSError):  # no process to be had: then there is one line less
            fork(lambda: _tell(found.task, pid, master, leave_all, log))


def _tell(task: int, pid: int, master: int, leave_all: Callable[[], None], log: logging.Logger) -> NoReturn:
    die_with_parent(master)
    leave_all()
    shown = kernel_wait.stack(task)
    if shown:
        lines = "\n".join(escape(line) for line in shown.splitlines())
        log.error("%s\n%s", fields("where it is in the kernel", pid=pid, task=task), lines)
    raise SystemExit(0)
