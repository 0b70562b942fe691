"""Where the operator's questions and orders are answered, but for reloads and upgrades (commands.py).

    status, workers, slow    at once, of what the master has (insight.py)
    stacks                   after half a second (stacks.py)
    scale N                  the goal changes at once; answered when so many serve, or their boots fail
    stop [quick]             as TERM or INT; the command waits for the end of this process
    log-level LEVEL          here, in every worker and mold, and in those that come, until the next reload
    Gunicorn's words         gunicornc.py

Rules for editing: nothing waits here; a command that is gone is told in vain. What changes the server is logged, with
who has asked for it.
"""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ostler.control.asker import Asker
from ostler.control.protocol import Command, Request
from ostler.control.wire import Asked
from ostler.logline import fields
from ostler.observe.records import LEVELS
from ostler.process.channel import LogLevel
from ostler.roles.gunicornc import GunicornCommands, Refused
from ostler.roles.insight import Insight
from ostler.roles.perform import Performer
from ostler.roles.stacks import Stacks
from ostler.supervisor.actions import ReloadEnded
from ostler.supervisor.events import CapacityAsked, Event

_LIMIT_DIGITS: Final = 9
_QUESTIONS: Final = ("show", "help", "status", "slow", "stacks")


@dataclass(slots=True)
class _Scaling:
    """A command that waits until so many workers serve. failed_boots: how many there were when it began."""

    asker: Asker
    goal: int
    failed_boots: int


class Desk:
    """One per master."""

    def __init__(
        self,
        insight: Insight,
        performer: Performer,
        tell: Callable[[Event], None],
        answer_signal: Callable[[int], None],
        control_socket: Callable[[], str | None],
    ) -> None:
        self._insight = insight
        self._performer = performer
        self._tell = tell
        self._answer_signal = answer_signal
        self._gunicorn = GunicornCommands(insight, performer, tell, answer_signal, control_socket)
        self._stacks = Stacks(insight)
        self._scaling: list[_Scaling] = []
        self._stopping: list[Asker] = []
        self._changed_level = False
        self._refusal = ""

    @property
    def deadline(self) -> float | None:
        """When `look` has something to do."""
        return self._stacks.deadline

    # -- what is asked

    def begin(self, asker: Asker, request: Request) -> None:
        """Of those that commands.py does not know. A server that stops answers these, too."""
        match request.command:
            case Command.STATUS:
                asker.answer(self._insight.status())
            case Command.WORKERS:
                asker.answer(self._insight.workers())
            case Command.SLOW:
                asker.answer(self._insight.slow())
            case Command.STACKS:
                self._ask_for_stacks(asker, request.words)
            case Command.SCALE:
                self._scale(asker, request.words)
            case Command.STOP:
                self._stop(asker, request.words)
            case Command.LOG_LEVEL:
                self._change_level(asker, request.words)
            case _:
                asker.end(False, f"{request.command.value}: this master cannot do that")

    def begin_asked(self, asker: Asker, asked: Asked) -> None:
        """In Gunicorn's protocol."""
        word = asked.words[0].lower()
        if word == "stacks":
            self._ask_for_stacks(asker, asked.words[1:])
            return
        if word not in _QUESTIONS:
            self._note(asker, " ".join(asked.words))
        try:
            asker.answer(self._gunicorn.do(asked.words))
        except Refused as refused:
            asker.end(False, str(refused))

    def _note(self, asker: Asker, command: str) -> None:
        text = fields("asked by an operator", command=command, uid=asker.peer.uid, pid=asker.peer.pid)
        self._performer.log.info("%s", text)

    def _ask_for_stacks(self, asker: Asker, words: tuple[str, ...]) -> None:
        match words:
            case ():
                self._stacks.ask(asker, None)
            case (word,) if _is_number(word):
                self._stacks.ask(asker, int(word))
            case _:
                asker.end(False, f"stacks: expected the process ID of a worker, got {' '.join(words)}")

    # -- scale

    def _scale(self, asker: Asker, words: tuple[str, ...]) -> None:
        if len(words) != 1 or not _is_number(words[0]) or not int(words[0]):
            asker.end(False, f"scale: expected how many workers there shall be, 1 or more, got {' '.join(words)}")
            return
        wanted = int(words[0])
        if self._refusal:
            asker.end(False, f"scale refused: {self._refusal}")
            return
        _, goal, failed_boots = self._insight.condition()
        self._note(asker, f"scale {wanted}")
        self._scaling.append(_Scaling(asker, wanted, failed_boots))  # first: it is told what the log says of it
        if goal != wanted:
            self._tell(CapacityAsked(wanted - goal))
        _, goal, _ = self._insight.condition()
        if goal != wanted:
            asker.end(False, f"scale: refused, {goal} workers it stays: {self._insight.last_incident()}")
            self._scaling.pop()
        self._look_at_scaling()

    def _look_at_scaling(self) -> None:
        waiting = []
        ready, goal, failed_boots = self._insight.condition()
        for each in self._scaling:
            if each.asker.gone:
                continue
            if goal != each.goal:
                each.asker.end(False, f"scale: overtaken: {goal} workers are wanted now")
            elif ready == goal:
                each.asker.end(True, f"scale complete: {ready} workers serve")
            elif failed_boots > each.failed_boots:
                text = f"scale: workers do not start, {ready} of {goal} serve; it is tried again: "
                each.asker.end(False, text + self._insight.last_incident())
            else:
                waiting.append(each)
        self._scaling = waiting

    # -- stop

    def _stop(self, asker: Asker, words: tuple[str, ...]) -> None:
        if words not in ((), ("quick",)):
            asker.end(False, f"stop: expected nothing or quick, got {' '.join(words)}")
            return
        self._note(asker, " ".join(["stop", *words]))
        self._stopping.append(asker)
        asker.tell("stopping quickly" if words else "stopping gracefully")
        self._answer_signal(signal.SIGINT if words else signal.SIGTERM)

    # -- log level

    def _change_level(self, asker: Asker, words: tuple[str, ...]) -> None:
        name = words[0].lower() if len(words) == 1 else ""
        if name not in LEVELS:
            asker.end(False, f"log-level: expected one of {', '.join(LEVELS)}, got {' '.join(words) or 'nothing'}")
            return
        self._note(asker, f"log-level {name}")
        self._set_level(LEVELS[name])
        asker.end(True, f"log level is {name} until the next reload")

    def _set_level(self, level: int | None) -> None:
        """In all processes; those that are forked from now on inherit it."""
        self._changed_level = level is not None
        self._performer.serving.logs.change_level(level)
        for child in self._performer.children.all():
            child.channel.send(LogLevel(level or 0))

    # -- what happens

    def tell(self, text: str) -> None:
        """A line that the master has logged."""
        for asker in (*(each.asker for each in self._scaling), *self._stopping):
            asker.tell(text)

    def reload_begins(self) -> None:
        """Its settings are good: a level that was chosen for the former ones is over."""
        if self._changed_level:
            self._set_level(None)

    def reload_ended(self, ended: ReloadEnded) -> None:
        self._insight.reload_ended(ended)

    def look(self, now: float) -> None:
        """In each turn of the loop."""
        self._stacks.look(now)
        if self._scaling:
            self._look_at_scaling()

    def each_second(self) -> None:
        self._insight.each_second()
        self._stopping = [asker for asker in self._stopping if not asker.gone]

    def stop(self, why: str) -> None:
        """The server stops."""
        self._refusal = why
        for each in self._scaling:
            each.asker.end(False, f"scale ended: {why}")
        self._scaling = []

    def close(self) -> None:
        """The master leaves."""
        for asker in self._stopping:
            asker.end(True, "stopped")


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= _LIMIT_DIGITS
