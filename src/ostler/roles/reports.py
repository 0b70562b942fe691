"""What the master says of a worker that hangs or died: what it was serving, and the stacks that it left.

Rules for editing: text only; nothing here decides or signals.
"""

import contextlib
import logging
import re
import threading
import traceback
from collections.abc import Iterable
from time import monotonic as _monotonic
from typing import Final, Protocol

from ostler import real
from ostler.config.sections import ENTRIES
from ostler.config.setting import Support
from ostler.config.settings import Settings
from ostler.logline import escape, fields
from ostler.observe.scoreboard import Page
from ostler.process.certificates import Certificates
from ostler.process.channel import Channel
from ostler.process.listeners import Listener

_SHOWN_REQUESTS: Final = 10
_STDERR: Final = 2
_UNUSED: Final = frozenset(entry.name for entry in ENTRIES if entry.support is Support.UNUSED)


class Reported(Protocol):
    """A worker or a mold as the master keeps it. page: None for a mold."""

    @property
    def pid(self) -> int: ...
    @property
    def channel(self) -> Channel: ...
    @property
    def page(self) -> Page | None: ...


def serving(child: Reported) -> list[str]:
    """What the child's page shows as being served, oldest first: `request="GET /" for_s=1.2`."""
    now = _monotonic()
    in_flight = [] if child.page is None else child.page.in_flight()
    shown = [fields("", request=what, for_s=now - since).strip() for since, what in in_flight]
    more = len(shown) - _SHOWN_REQUESTS
    return [*shown[:_SHOWN_REQUESTS], f"more_requests={more}"] if more > 0 else shown


def of_stacks(child: Reported, sentence: str) -> str:
    """One record: the sentence, the requests, and the stacks that have arrived on the channel."""
    stacks = child.channel.take_dump().rstrip() or "(no stack dump arrived)"
    requests = serving(child)
    return "\n".join([" ".join([escape(sentence), *requests[:1]]), *requests[1:], stacks])


def tell_unexpected_text(log: logging.Logger, child: Reported) -> None:
    """What a dying worker wrote beside its messages: faulthandler's words about a crash, for one."""
    text = child.channel.take_dump().strip()
    if text:
        log.error("%s\n%s", fields("worker left a stack dump", pid=child.pid), text)


def tell_defect(log: logging.Logger, sentence: str) -> None:
    """In an except clause: the sentence and the traceback; on stderr when the log itself is what fails."""
    try:
        log.exception("%s", sentence)
    except Exception:  # noqa: BLE001  filters and handlers are users' code
        with contextlib.suppress(OSError):
            real.write(_STDERR, f"{sentence}\n{traceback.format_exc()}".encode("utf-8", "backslashreplace"))


def tell_notices(log: logging.Logger, settings: Settings) -> None:
    """What was found while the settings were read, a line each; that a setting has nothing to act on is only news."""
    for notice in settings.notices:
        unused = notice.partition(":")[0] in _UNUSED
        log.log(logging.INFO if unused else logging.WARNING, "%s", escape(notice))


def tell_doubts(log: logging.Logger, certificates: Certificates | None) -> None:
    """Certificates that are shown all the same: the one before was no better, or there was none."""
    for file, why in [] if certificates is None else certificates.doubts():
        log.warning("%s", fields("clients will not accept a certificate", file=file, reason=why))


def addresses(listeners: Iterable[Listener], settings: Settings) -> str:
    """As tools look for them in Gunicorn's line `Listening at:`."""
    names = dict.fromkeys(listener.name for listener in listeners)
    if settings.is_tls:
        return ",".join(re.sub("^http://", "https://", name) for name in names)
    return ",".join(names)


class ThreadWarning:
    """Warns once of threads in the master, which forks."""

    def __init__(self) -> None:
        self._given = False

    def look(self, log: logging.Logger) -> None:
        if self._given or threading.active_count() == 1:
            return
        self._given = True
        names = ", ".join(thread.name for thread in threading.enumerate() if thread is not threading.main_thread())
        text = fields(
            "threads run in the master; workers do not have them, and may find their locks held",
            threads=names,
            cure="start them in post_fork",
        )
        log.warning("%s", text)
