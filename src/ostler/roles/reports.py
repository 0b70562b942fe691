"""What the master says of a worker that hangs or died: what it was serving, and the stacks that it left.

Rules for editing: text only; nothing here decides or signals.
"""

import contextlib
import logging
import re
import threading
import traceback
from collections.abc import Iterable
from typing import Final

from ostler import real
from ostler.config.sections import ENTRIES
from ostler.config.setting import Support
from ostler.config.settings import Settings
from ostler.logline import escape, fields
from ostler.observe.causes import Cause
from ostler.process.certificates import Certificates
from ostler.process.listeners import Listener
from ostler.roles import inquest
from ostler.roles.inquest import Subject
from ostler.supervisor.deadlines import BOOT_TIMEOUT, GRACEFUL_TIMEOUT, TIMEOUT

_STDERR: Final = 2
_UNUSED: Final = frozenset(entry.name for entry in ENTRIES if entry.support is Support.UNUSED)


_ASKED_FOR: Final = re.compile(r"(Current t|T)hread 0x")
_OWN_WORDS: Final = re.compile(r"^(Fatal Python error|os\._exit\()", re.MULTILINE)
"""Stacks that somebody has asked for (`ostler stacks`) begin with a thread; those of an end with words."""
_INSTEAD: Final = {BOOT_TIMEOUT: Cause.BOOT_SLOW, GRACEFUL_TIMEOUT: Cause.SLOW_STOP}
"""What to say of a hang whose stacks tell nothing more than that it is one."""

Reported = Subject


def of_stacks(child: Reported, sentence: str, why: str = "") -> str:
    """One record, of a child that is to be ended: in its first line the sentence, the oldest request, where the
    application is, why and what to do; then the other requests, what it served before, and the stacks that have arrived
    on the channel. why: what is ended by it, a cause of supervisor/deadlines.py.
    """
    stacks = child.channel.take_dump().rstrip()
    requests = inquest.in_flight(child)
    words = inquest.words_of(inquest.of_hang(child, stacks, _INSTEAD.get(why)))
    # Tools look for these words of Gunicorn's.
    gunicorn = fields("", gunicorn_says=f"WORKER TIMEOUT (pid:{child.pid})").strip() if why == TIMEOUT else ""
    first = " ".join(filter(None, (escape(sentence), *requests[:1], words, gunicorn)))
    rest = filter(None, (*requests[1:], inquest.last_served(child), stacks or "(no stack dump arrived)"))
    return "\n".join((first, *rest))


def tell_unexpected_text(log: logging.Logger, child: Reported) -> None:
    """What a dying worker wrote beside its messages: faulthandler's words about a crash, for one."""
    text = (child.last_words or child.channel.take_dump()).strip()
    if text and not (child.sight is None and _ASKED_FOR.match(text) and not _OWN_WORDS.search(text)):
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
