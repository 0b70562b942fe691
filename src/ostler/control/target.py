"""Which master a command is for, and what else stands behind `ostler reload`, `ostler status` and the others.

    PID | --pid FILE | --socket PATH | the arguments of the server (-c FILE ...), whose `pidfile` is read
    nothing: the `pidfile` of the configuration that is found here, else its `control_socket`, else the default path of
             that, else the one server of ours that runs

Rules for editing: with a PID, --pid or --socket alone no configuration is loaded, for that may be what is broken. A
master that is only guessed is never one of several.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ostler.config.control_path import default_control_socket
from ostler.config.parse import BadValue, quoted, read_seconds
from ostler.config.settings import Settings
from ostler.control.client import ControlError, Where
from ostler.control.running import described, is_master, parent_of, running_masters
from ostler.errors import ConfigError, UsageError, reason_of
from ostler.observe.records import LEVELS

_PID_FLAGS: Final = ("-p", "--pid")
_SOCKET_FLAGS: Final = ("-s", "--socket")
_LIMIT_PID_BYTES: Final = 64
_WAYS: Final = "PID, --pid FILE, --socket PATH, or the arguments of the server (its configuration names a pidfile)"
_SHOWN_MASTERS: Final = 10
_SEVERAL: Final = 2
_QUESTIONS: Final = ("status", "workers", "slow", "stacks")


@dataclass(frozen=True, slots=True)
class Options:
    """timeout_s: how long the command waits; None is what is usual for it."""

    timeout_s: float | None = None
    json: bool = False
    quick: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """words: what the command is given besides."""

    where: Where
    options: Options = field(default_factory=Options)
    words: tuple[str, ...] = ()


def find_target(command: str, words: Sequence[str], load_settings: Callable[[Sequence[str]], Settings]) -> Target:
    """Raises UsageError, ControlError when there is no master to be found, and what load_settings raises."""
    rest, options = _without_options(command, words)
    own, rest = _own_words(command, rest)
    where = _given(command, rest)
    if where is None and _starts_with_pid(rest):
        raise UsageError(f"{command}: expected nothing but options beside a PID, got {' '.join(rest)}")
    if where is None:
        where = _of_configuration(command, rest, load_settings)
    if where.path is None and not 0 < where.pid < 2**31:
        raise UsageError(f"{command}: expected the process ID of a master, got {where.pid}")
    return Target(where, options, own)


def _own_words(command: str, words: list[str]) -> tuple[tuple[str, ...], list[str]]:
    """What the command takes before its target: how many workers, which level, whose stacks."""
    if command in ("scale", "log-level"):
        if not words or words[0].startswith("-"):
            what = "how many workers there shall be" if command == "scale" else "a level"
            raise UsageError(f"{command}: expected {what}; ostler {command} --help says more")
        _check_word(command, words[0])
        return (words[0],), words[1:]
    if command == "stacks" and words and _is_pid(words[0]):
        first = int(words[0])
        if len(words) == 1 and not is_master(first):  # a worker, then: its master is its parent
            parent = parent_of(first)
            return (words[0],), [str(parent)] if parent and is_master(parent) else []
        if len(words) == 2 and _is_pid(words[1]):
            return (words[1],), words[:1]
        if len(words) > 1 and not is_master(first):
            return (words[0],), words[1:]
    return (), words


def _check_word(command: str, word: str) -> None:
    if command == "scale" and not (_is_pid(word) and int(word) > 0):
        raise UsageError(f"scale: expected how many workers there shall be, 1 or more, got {quoted(word)}")
    if command == "log-level" and word.lower() not in LEVELS:
        raise UsageError(f"log-level: expected one of {', '.join(LEVELS)}, got {quoted(word)}")


def _given(command: str, words: Sequence[str]) -> Where | None:
    """Said directly."""
    match words:
        case [word] if _is_pid(word):
            return Where(int(word))
        case [flag, path] if flag in _PID_FLAGS:
            return Where(_pid_in(command, path))
        case [flag, path] if flag in _SOCKET_FLAGS:
            return Where(path=os.path.abspath(path), typed=True)
        case [word] if word.startswith("--pid="):
            return Where(_pid_in(command, word.partition("=")[2]))
        case [word] if word.startswith("--socket="):
            return Where(path=os.path.abspath(word.partition("=")[2]), typed=True)
    return None


def _of_configuration(command: str, words: Sequence[str], load_settings: Callable[[Sequence[str]], Settings]) -> Where:
    try:
        settings = load_settings(words)
    except ConfigError as error:
        if words:
            raise
        return _found_here(command, f"the configuration cannot be read ({error})")
    if settings.pidfile is not None:
        return Where(_pid_in(command, settings.pidfile))
    if settings.control_socket is not None:
        return Where(path=settings.control_socket)
    if words:
        raise ControlError(f"{command}: the configuration has no pidfile; expected {_WAYS}")
    return _found_here(command, "no configuration with a pidfile is here")


def _found_here(command: str, why: str) -> Where:
    """The one that the control socket's default path leads to, or the only one. An order needs both: of several servers
    that path is just that of the first one that was started.
    """
    path = default_control_socket(os.environ)
    masters = running_masters()
    if path is not None and is_master(path) and (command in _QUESTIONS or len(masters) < _SEVERAL):
        return Where(path=path)
    if len(masters) == 1:
        return Where(masters[0])
    if not masters:
        raise ControlError(f"{command}: no server of yours runs here, and {why}; expected {_WAYS}")
    shown = "; ".join(map(described, masters[:_SHOWN_MASTERS]))
    more = len(masters) - _SHOWN_MASTERS
    shown += f"; and {more} more" if more > 0 else ""
    raise ControlError(f"{command}: {len(masters)} servers run here, say which one by its PID: {shown}")


def _without_options(command: str, words: Sequence[str]) -> tuple[list[str], Options]:
    """These are the command's, also where the server has a flag of that name."""
    rest: list[str] = []
    timeout_s = None
    json = quick = False
    remaining = iter(words)
    for word in remaining:
        flag, equals, text = word.partition("=")
        if word == "--json":
            json = True
        elif word == "--quick" and command == "stop":
            quick = True
        elif flag == "--timeout":
            timeout_s = _seconds(text if equals else next(remaining, ""))
        else:
            rest.append(word)
    return rest, Options(timeout_s, json, quick)


def _seconds(value: str) -> float:
    try:
        return read_seconds(value)
    except BadValue:
        raise UsageError(f"--timeout: expected a number of seconds, got {quoted(value)}") from None


def _is_pid(word: str) -> bool:
    return word.isascii() and word.isdigit()


def _starts_with_pid(words: Sequence[str]) -> bool:
    return bool(words) and _is_pid(words[0])


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
