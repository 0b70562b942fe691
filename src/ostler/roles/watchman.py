"""What a worker that serves looks at once a second, for the application may do anything: see integrity.py, leaks.py.

Rules for editing: a book of who looks at what; nothing is decided here.
"""

import logging

from ostler.process.belongings import LEFT_STATUS
from ostler.process.signals import SignalEdge
from ostler.roles.assembly import WorkerStart
from ostler.roles.booting import leave
from ostler.roles.integrity import Integrity
from ostler.roles.leaks import Leaks
from ostler.workers.base import Worker


class Watchman:
    """Of one worker, from the moment that it serves."""

    def __init__(self, start: WorkerStart, worker: Worker, edge: SignalEdge, log: logging.Logger) -> None:
        self._integrity = Integrity(start, worker, edge, log, lambda: leave(start.journal, LEFT_STATUS))
        self._leaks = Leaks(log, lambda: len(worker.loop.clients))

    def look(self, now: float) -> None:
        """About once a second, in whichever thread leads."""
        self._integrity.look()
        self._leaks.look(now)

    def end(self) -> None:
        """The worker leaves, or becomes a mold."""
        self._integrity.end()
