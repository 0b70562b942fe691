"""`ostler status`, `workers`, `stacks`, `slow`, `scale`, `reload`, `upgrade`, `stop`, `log-level`: words, and a status.

    0 done     1 not done, with the reason on stderr     2 the words cannot be understood     130 interrupted

On a terminal, tables are as wide as it is; elsewhere they are whole. --json prints one object, and nothing beside it on
stdout.

Rules for editing: what a command means is the master's; here it is asked, waited for and shown. An application of the
same name is served by `ostler status:app`, or `ostler -- status`.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ostler.config.settings import Settings
from ostler.control import measures, views
from ostler.control.client import ControlError, Outcome, Where, ask
from ostler.control.ending import Ending
from ostler.control.protocol import Command, Request
from ostler.control.target import Target, find_target
from ostler.logline import escape

_QUESTION_S: Final = 30.0
"""How long a question waits for its answer unless --timeout says so."""

Write = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Meaning:
    """usage: what stands behind the command's name, but the target. does: for --help."""

    command: Command
    usage: str
    does: str
    question: bool = False


MEANINGS: Final = {
    "status": Meaning(Command.STATUS, "", "Shows how the server is doing, and what went wrong last.", True),
    "workers": Meaning(Command.WORKERS, "", "Shows each worker: state, requests, memory, what it serves.", True),
    "stacks": Meaning(
        Command.STACKS, "[WORKER]", "Shows what every thread of all processes, or of this one, does just now.", True
    ),
    "slow": Meaning(Command.SLOW, "", "Shows the longest requests that run, and the slowest ones lately.", True),
    "scale": Meaning(Command.SCALE, "N", "Makes it N workers, as TTIN and TTOU do, and waits until so many serve."),
    "reload": Meaning(
        Command.RELOAD,
        "",
        "Begins a reload, as SIGHUP does, and waits until the new generation serves alone or was given up: then\n"
        "the former generation was kept.",
    ),
    "upgrade": Meaning(
        Command.UPGRADE,
        "",
        "Starts a new master beside the one that runs, waits until all its workers are ready, and ends the old one\n"
        "gracefully. A new master that does not start is ended, and the old one goes on.",
    ),
    "stop": Meaning(
        Command.STOP,
        "[--quick]",
        "Stops the server as TERM does, with --quick as INT does, and waits until it is gone.",
    ),
    "log-level": Meaning(
        Command.LOG_LEVEL,
        "LEVEL",
        "Sets the error log's level (debug, info, warning, error, critical) in all processes until the next reload.",
    ),
}
_STRANGE: Final = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)
"""What an answer raises that is not of the shape that was promised."""
_VIEWS: Final = {"status": views.status, "workers": views.workers, "slow": views.slow, "stacks": views.stacks}


def usage(name: str) -> str:
    """The answer to `ostler COMMAND --help`."""
    meaning = MEANINGS[name]
    command = f"ostler {name} {meaning.usage}".rstrip()
    blank = " " * len(command)
    waits = f"unless given, {_QUESTION_S:g}" if meaning.question else "unless given, for ever"
    return f"""\
usage: {command} PID              of the master with this process ID
       {blank} --pid FILE       of the master whose pid file this is
       {blank} --socket PATH    of the master with this control socket
       {blank} [OPTIONS] [APP]  of the server that would be started with these
       {blank}                  of the one that is found here, or that alone runs

{meaning.does}

The exit status is 0 when it was done, 1, with the reason on stderr, when it was not, and 2 when the command cannot be
understood. Interrupting the command does not interrupt the server.

  --timeout SECONDS  wait no longer than this, {waits}; exit status 1, and the server goes on
  --json             print one JSON object; its keys are in docs/how-to/control.md
"""


class Run:
    """One command."""

    def __init__(self, name: str, out: Write, err: Write, width: int | None) -> None:
        """out, err: write text. width: of the terminal; None: stdout is none."""
        self._name = name
        self._meaning = MEANINGS[name]
        self._out = out
        self._err = err
        self._width = width

    def run(self, words: Sequence[str], load_settings: Callable[[Sequence[str]], Settings]) -> int:
        """Raises UsageError, ControlError with what the master says, and ConfigError."""
        if words and words[-1] in ("-h", "--help"):
            self._out(usage(self._name))
            return 0
        target = find_target(self._name, words, load_settings)
        outcome = self._stopped(target) if self._name == "stop" else self._asked(target, target.words)
        if self._meaning.question:
            self._show(outcome, target)
        elif target.options.json:
            self._out(_json({"done": True, "text": outcome.text, "pid": outcome.pid or None}))
        else:
            self._progress(outcome.text)
        return 0

    def _asked(self, target: Target, words: Sequence[str]) -> Outcome:
        timeout_s = target.options.timeout_s
        if timeout_s is None and self._meaning.question:
            timeout_s = _QUESTION_S
        quiet = target.options.json or self._meaning.question
        show = self._complain if quiet else self._progress
        return ask(target.where, Request(self._meaning.command, tuple(words)), show, timeout_s)

    def _stopped(self, target: Target) -> Outcome:
        ending = Ending(target.where.pid, target.options.timeout_s)
        outcome = self._asked(target, ("quick",) if target.options.quick else ())
        if not ending.waited(outcome.pid):
            text = f"stop: not done within --timeout; {Where(outcome.pid)} goes on with it"
            raise ControlError(text)
        return outcome

    def _completed(self, outcome: Outcome) -> dict[str, Any]:
        """With what the command knows better than the master."""
        data = outcome.data
        if not outcome.pid or outcome.pid != data.get("pid"):
            return data  # its process IDs are those of another container
        if self._name == "workers":
            pids = [each["pid"] for each in data.get("workers", []) if each.get("pid")]
            pss, cpu = measures.each(pids, measures.memory), measures.each(pids, measures.cpu_s)
            for each in data.get("workers", []):
                each["pss"], each["cpu_s"] = pss.get(each.get("pid")), cpu.get(each.get("pid"))
        elif self._name == "stacks":
            silent = [each["pid"] for each in data.get("processes", []) if not each.get("answered")]
            kernel = measures.each(silent, measures.in_kernel)
            for each in data.get("processes", []):
                each["kernel"] = kernel.get(each["pid"], "")
        return data

    def _show(self, outcome: Outcome, target: Target) -> None:
        try:
            data = self._completed(outcome)
            if target.options.json:
                text = _json(data)
            else:
                text = "".join(f"{line}\n" for line in _VIEWS[self._name](data, self._width))
        except _STRANGE:
            what = "a master of another version, or no master: --json may show its answer"
            raise ControlError(f"{self._name}: {target.where} does not answer as expected; {what}") from None
        self._out(text)

    def _progress(self, text: str) -> None:
        self._out("".join(f"{escape(line)}\n" for line in text.splitlines()))

    def _complain(self, text: str) -> None:
        if text.startswith("the master"):  # that it does not answer; what it logs is for who waits
            self._err("".join(f"{escape(line)}\n" for line in text.splitlines()))


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=2) + "\n"
