"""Which master a command is for: what stands behind `ostler reload` and `ostler upgrade` on the command line.

    PID | --pid FILE | the arguments of the server (-c FILE ...), whose `pidfile` is read; and --timeout SECONDS

Rules for editing: with PID or --pid alone no configuration is loaded, for that may be what is broken.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ostler.config.parse import BadValue, quoted, read_seconds
from ostler.config.settings import Settings
from ostler.control.client import ControlError
from ostler.errors import UsageError, reason_of

_PID_FLAGS: Final = ("-p", "--pid")
_LIMIT_PID_BYTES: Final = 64
_WAYS: Final = "PID, --pid FILE, or the arguments of the server (its configuration names a pidfile)"


@dataclass(frozen=True, slots=True)
class Target:
    """pid: of the master. timeout_s: how long the command waits; None is for ever."""

    pid: int
    timeout_s: float | None


def usage(command: str) -> str:
    """The answer to `ostler COMMAND --help`."""
    what, kept = _MEANINGS[command]
    return f"""\
usage: ostler {command} PID              of the master with this process ID
       ostler {command} --pid FILE       of the master whose pid file this is
       ostler {command} [OPTIONS] [APP]  of the server that would be started with these

{what}
Shows its log meanwhile. The exit status is 0 when it was done, and 1, with the reason on stderr, when
{kept}. Interrupting the command does not interrupt the server.

  --timeout SECONDS  wait no longer than this; exit status 1, and the server goes on
"""


_MEANINGS: Final = {
    "reload": (
        "Begins a reload, as SIGHUP does, and waits until the new generation serves alone or was given up.",
        "the former generation was kept",
    ),
    "upgrade": (
        "Starts a new master beside the one that runs, waits until all its workers are ready, and ends the old one\n"
        "gracefully. A new master that does not start is ended, and the old one goes on.",
        "the old master was kept",
    ),
}


def find_target(command: str, words: Sequence[str], load_settings: Callable[[Sequence[str]], Settings]) -> Target:
    """Raises UsageError, ControlError when there is no pid to be found, and what load_settings raises."""
    words, timeout_s = _without_timeout(words)
    match words:
        case [word] if word.isascii() and word.isdigit():
            pid = int(word)
        case [flag, path] if flag in _PID_FLAGS:
            pid = _pid_in(command, path)
        case [word] if word.startswith("--pid="):
            pid = _pid_in(command, word.partition("=")[2])
        case _ if any(word.isascii() and word.isdigit() and number == 0 for number, word in enumerate(words)):
            raise UsageError(f"{command}: expected nothing but --timeout beside a PID, got {' '.join(words)}")
        case _:
            named = load_settings(words).pidfile
            if named is None:
                raise ControlError(f"{command}: the configuration has no pidfile; expected {_WAYS}")
            pid = _pid_in(command, named)
    if not 0 < pid < 2**31:
        raise UsageError(f"{command}: expected the process ID of a master, got {pid}")
    return Target(pid, timeout_s)


def _without_timeout(words: Sequence[str]) -> tuple[list[str], float | None]:
    """`--timeout` is the command's, also where the server has a flag of that name."""
    rest: list[str] = []
    timeout_s = None
    remaining = iter(words)
    for word in remaining:
        flag, equals, text = word.partition("=")
        if flag != "--timeout":
            rest.append(word)
            continue
        value = text if equals else next(remaining, "")
        try:
            timeout_s = read_seconds(value)
        except BadValue:
            raise UsageError(f"--timeout: expected a number of seconds, got {quoted(value)}") from None
    return rest, timeout_s


def _pid_in(command: str, path: str) -> int:
    try:
        with open(path, "rb") as file:
            text = file.read(_LIMIT_PID_BYTES).strip()
    except OSError as error:
        raise ControlError(
            f"{command}: cannot read the pid file {path}: {reason_of(error)}; does the server run?"
        ) from None
    if not text.isdigit():
        raise ControlError(f"{command}: expected a process ID in {path}, got {quoted(text.decode('utf-8', 'replace'))}")
    return int(text)
