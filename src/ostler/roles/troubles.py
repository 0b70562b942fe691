"""What a worker has logged of its own troubles, told to its master as well, so that `ostler status` shows it.

A line counts that names a cause (`cause=`): a request that was timed out, an exception that says that descriptors are
used up, a response that a proxy will not take. There may be one for each request, so a few are told at once, and then
one every few seconds; the log has them all.

Rules for editing: a handler runs inside of whatever logs, in any thread: nothing here waits, and nothing raises.
"""

import logging
from collections.abc import Callable
from time import monotonic as _monotonic
from typing import Final

from ostler.process.channel import Channel, Trouble

_AT_ONCE: Final = 5
_EVERY_S: Final = 2.0
_CAUSE: Final = " cause="


def tell_master(channel: Channel, log: logging.Logger) -> None:
    """From now on, of what this process logs there."""
    for handler in list(log.handlers):
        if isinstance(handler, Troubles):  # of the worker that its mold was
            log.removeHandler(handler)
    log.addHandler(Troubles(channel.send))


class Troubles(logging.Handler):
    """Of one worker; to be added to its error log."""

    def __init__(self, send: Callable[[Trouble], object]) -> None:
        super().__init__(logging.WARNING)
        self._send = send
        self._credit = float(_AT_ONCE)
        self._paid = _monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        try:
            line = record.getMessage().partition("\n")[0]
            if _CAUSE in line and self._may():
                self._send(Trouble(line, serious=record.levelno >= logging.ERROR))
        except Exception:  # noqa: BLE001  a record of the user's; the line itself is in the log
            return

    def _may(self) -> bool:
        now = _monotonic()
        self._credit = min(_AT_ONCE, self._credit + (now - self._paid) / _EVERY_S)
        self._paid = now
        if self._credit < 1:
            return False
        self._credit -= 1
        return True
