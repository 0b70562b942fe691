"""`ostler stacks`: processes are asked for their stacks by the dump signal, and what comes over the channels is copied.

    ask -> DUMP_SIGNAL to each that has a handler -> COLLECT_S later: the answer -> what comes too late is dropped

faulthandler answers in C, so stacks come also while C code holds the GIL. The supervisor asks in the same way when it
is about to report a hang, and reads the same text: so we only copy it (`Channel.copy_dump`), and take what we have
caused out of its way, but never from a process that it is looking at itself.

The default action of the signal would end a process, so it is sent only where /proc says that it is caught or held back
(a boot holds all signals back until it has handlers). Who does not answer is looked at by the command itself.

Rules for editing: a state of the master, never a wait; one collection at a time, all who ask meanwhile get its answer.
"""

import os
from dataclasses import dataclass
from time import monotonic as _monotonic
from typing import Any, Final

from ostler.control.asker import Asker
from ostler.process.fork import send_signal
from ostler.process.heeding import heeds
from ostler.process.signals import DUMP_SIGNAL
from ostler.roles.children import Child
from ostler.roles.insight import Insight
from ostler.supervisor.handle import Handle, State

COLLECT_S: Final = 0.5
LATE_S: Final = 60.0
"""So long after the answer what a process still sends is taken for ours: it was stopped, or swapped out."""
_LIMIT_CHARACTERS: Final = 1_500_000
"""Of all stacks of an answer; in JSON, none takes much more bytes."""
_LIMIT_ONE: Final = 100_000

Data = dict[str, Any]


@dataclass(slots=True)
class _Asked:
    handle: Handle
    child: Child
    heeded: bool
    late: float = 0.0


class Stacks:
    def __init__(self, insight: Insight) -> None:
        self._insight = insight
        self._askers: list[tuple[Asker, int | None]] = []
        self._asked: list[_Asked] = []
        self._late: list[_Asked] = []
        self.deadline: float | None = None

    def ask(self, asker: Asker, pid: int | None) -> None:
        """pid: of one process; None: of all."""
        if pid is not None and all(handle.pid != pid for handle, _ in self._insight.handles()):
            text = f"stacks: process {pid} is no worker and no mold of this server; `ostler workers` lists them"
            asker.end(False, text)
            return
        self._askers.append((asker, pid))
        if self.deadline is None:
            self.deadline = _monotonic() + COLLECT_S
        asked = {each.child for each in self._asked}
        for handle, child in self._insight.handles():
            if child is not None and child not in asked and pid in (None, handle.pid):
                self._asked.append(self._begin(handle, child))

    def look(self, now: float) -> None:
        """In each turn of the loop."""
        if self.deadline is not None and now >= self.deadline:
            self._finish(now)
        if self._late and now >= self._late[0].late:
            self._drop_late(now)

    def _begin(self, handle: Handle, child: Child) -> _Asked:
        self._late = [each for each in self._late if each.child is not child]
        child.channel.copy_dump()
        if _looked_at(handle):
            return _Asked(handle, child, True)  # it was asked a moment ago, for the report
        heeded = child.born and heeds(child.pid, DUMP_SIGNAL)
        if heeded:
            send_signal(child.pid, DUMP_SIGNAL)
        return _Asked(handle, child, heeded)

    def _finish(self, now: float) -> None:
        askers, self._askers, self.deadline = self._askers, [], None
        asked, self._asked = self._asked, []
        found = {id(each): self._found(each, len(asked)) for each in asked}
        for asker, pid in askers:
            rows = [found[id(each)] for each in asked if pid in (None, each.handle.pid)]
            asker.answer({"pid": os.getpid(), "processes": rows})
        for each in asked:
            each.late = now + LATE_S
        self._late += asked

    def _found(self, each: _Asked, of: int) -> Data:
        handle, child = each.handle, each.child
        text = child.channel.copied_dump().strip()
        if text and not _looked_at(handle):
            child.channel.drop_copied()
        limit = min(_LIMIT_ONE, _LIMIT_CHARACTERS // max(1, of))
        return {
            "role": handle.role.value,
            "pid": child.pid,
            "slot": None if handle.is_mold else handle.slot,
            "generation": handle.generation,
            "state": handle.state.value,
            "answered": bool(text),
            "asked": each.heeded,
            "stacks": text[:limit] + ("\n(cut)" if len(text) > limit else ""),
        }

    def _drop_late(self, now: float) -> None:
        """A report about a process, or its death, must not show stacks of a minute ago."""
        for each in self._late:
            if now >= each.late:
                if not _looked_at(each.handle):
                    each.child.channel.drop_copied()
                each.child.channel.end_copy()
        self._late = [each for each in self._late if now < each.late]


def _looked_at(handle: Handle) -> bool:
    """The supervisor reads its stacks, now or in a moment."""
    return handle.state in (State.DUMPING, State.ABORTED) or (handle.shown and handle.slow_at is not None)
