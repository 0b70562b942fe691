"""What workers have started themselves: it ends with a worker that the master has to kill (failures W12).

A hung worker often waits for a child of its own that hangs (a converter, a browser, ssh). Killed alone it would leave
that behind, with the memory and the sockets that made it hang. Workers that leave in order, or crash, look after their
children themselves, as under any other server.

Those that end by themselves with their parent have a second for that: `multiprocessing` has a process that removes
shared memory which nobody else would. Processes that were made daemons (their parent is gone) are not below the worker
any more, and live on.

Rules for editing: no process group of their own for workers, which would keep a debugger from the terminal.
"""

import logging
from time import monotonic as _monotonic
from typing import Final

from ostler.logline import fields
from ostler.process.descendants import Descendant, descendants
from ostler.roles.children import Child
from ostler.supervisor.actions import Kick

GRACE_S: Final = 1.0
_SHOWN: Final = 10


class Offspring:
    """By worker, from the first kick that may end it until it is reaped. In the master's one thread."""

    def __init__(self) -> None:
        self._found: dict[int, list[Descendant]] = {}
        self._doomed: list[tuple[float, int, list[Descendant]]] = []  # when, whose, who

    def note(self, child: Child, kick: Kick) -> None:
        """Before the kick: when it has ended nobody can tell any more whose children these are."""
        if kick not in (Kick.ABORT, Kick.KILL) or child.facts is None:
            return
        if not child.generation.settings.kill_worker_children:
            return
        former = self._found.get(child.pid, [])
        known = {(each.pid, each.started) for each in former}
        for each in descendants(child.pid):
            if (each.pid, each.started) in known:
                each.close()
            else:
                former.append(each)
        self._found[child.pid] = former

    def end(self, pid: int) -> None:
        """The worker is killed, or reaped: what was below it goes, too. Nothing of one that was never kicked."""
        found = self._found.pop(pid, [])
        if found:
            self._doomed.append((_monotonic() + GRACE_S, pid, found))

    def look(self, log: logging.Logger, *, last: bool = False) -> None:
        """About once a second: kill those whose second is over. last: the master leaves, so all of them."""
        if not self._doomed:
            return
        now = _monotonic()
        due = [entry for entry in self._doomed if last or entry[0] <= now]
        self._doomed = [entry for entry in self._doomed if entry not in due]
        for _, pid, found in due:
            _kill(pid, found, log)

    def close_in_child(self) -> None:
        """A worker that is forked meanwhile has nothing to do with them."""
        held = [each for _, _, found in self._doomed for each in found]
        for each in [*held, *(each for found in self._found.values() for each in found)]:
            each.close()


def _kill(pid: int, found: list[Descendant], log: logging.Logger) -> None:
    killed = [each.pid for each in found if each.kill()]
    for each in found:
        each.close()
    if killed:
        shown = ",".join(map(str, killed[:_SHOWN]))
        text = fields("what a killed worker had started was killed with it", pid=pid, children=shown)
        log.warning("%s", text + (f" and={len(killed) - _SHOWN}" if len(killed) > _SHOWN else ""))
