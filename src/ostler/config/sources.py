"""Where values come from, lowest first:

    defaults < environment < configuration file < GUNICORN_CMD_ARGS < OSTLER_CMD_ARGS < command line

`load_settings` reads everything from the beginning each time: at the start, and again at every reload with the same
arguments. Each value remembers where it came from. The working directory is the same afterwards as before, also on
failure; `sys.path` keeps what the user's code put there.
"""

import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from ostler.config.arguments import Arguments, parse_arguments
from ostler.config.files import default_file, read_config
from ostler.config.parse import BadValue, NotAnInteger
from ostler.config.refused import REFUSED, refusal
from ostler.config.sections import ENTRIES
from ostler.config.setting import Setting
from ostler.config.settings import COMMAND_LINE, DEFAULT_ORIGIN, Settings, origin_phrase, resolve
from ostler.errors import ConfigError, OstlerError, UsageError, reason_of

_ARGUMENT_VARIABLES = ("GUNICORN_CMD_ARGS", "OSTLER_CMD_ARGS")
_BY_NAME = {entry.name: entry for entry in ENTRIES}
_REFUSED_NAMES = frozenset(entry.name for entry in REFUSED)


def start_directory(environ: Mapping[str, str]) -> str:
    """The working directory by the name that the shell used (`PWD`), so that its symbolic links stay links.

    Raises ConfigError when the directory has been removed.
    """
    try:
        actual = os.getcwd()
    except OSError as error:
        reason = reason_of(error)
        raise ConfigError(f"chdir: the current directory cannot be used: {reason}; start in another one") from None
    named = environ.get("PWD", "")
    with suppress(OSError, ValueError):
        if os.path.isabs(named) and os.path.samefile(named, actual):
            return named
    return actual


def load_settings(argv: Sequence[str], environ: Mapping[str, str], directory: str | None = None) -> Settings:
    """Settings from all sources. `argv` is without the program's name; `directory` is where the server was started.

    Raises ConfigError (ConfigFileError when the user's file raised), UsageError, or Answered for --help and --version.
    """
    directory = directory if directory is not None else start_directory(environ)
    gathering = _Gathering()
    command_line = parse_arguments(argv, origin_phrase(COMMAND_LINE), takes_app=True)
    layers = [*_from_variables(environ), (COMMAND_LINE, command_line)]
    with _working_in(directory):
        gathering.add_environment(environ)
        location, asked_by = _config_location(layers, directory)
        if location is not None:
            gathering.add_file(location, read_config(location, directory, asked_by))
        for origin, arguments in layers:
            gathering.add_arguments(origin, arguments)
        return gathering.settings(directory)


def _from_variables(environ: Mapping[str, str]) -> list[tuple[str, Arguments]]:
    layers = []
    for name in _ARGUMENT_VARIABLES:
        try:
            words = shlex.split(environ.get(name, ""))
        except ValueError as error:
            raise UsageError(f"{name}: expected words as in a shell: {str(error).lower()}") from None
        layers.append((name, parse_arguments(words, name, takes_app=False)))
    return layers


def _config_location(layers: Sequence[tuple[str, Arguments]], directory: str) -> tuple[str | None, str]:
    """What to read, and a phrase that says who asked for it."""
    for origin, arguments in reversed(layers):
        if "config" in arguments.values:
            value = _read(_BY_NAME["config"], arguments.values["config"], origin)
            return str(value), origin_phrase(origin)
    return default_file(directory), directory


@contextmanager
def _working_in(directory: str) -> Iterator[None]:
    """In `directory`, which is also on sys.path, as configuration files and hooks by path expect it."""
    before = None
    with suppress(OSError):  # the directory of a former deployment may be gone; there is nothing to return to then
        before = os.getcwd()
    try:
        os.chdir(directory)
    except OSError as error:
        raise ConfigError(f'chdir: cannot enter the start directory "{directory}": {reason_of(error)}') from None
    if directory not in sys.path:
        sys.path.insert(0, directory)
    try:
        yield
    finally:
        if before is not None:
            with suppress(OSError):
                os.chdir(before)


@dataclass(slots=True)
class _Gathering:
    """Values and their origins while the sources are read from lowest to highest."""

    values: dict[str, object] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    _environment: dict[str, str] = field(default_factory=dict)

    def add_environment(self, environ: Mapping[str, str]) -> None:
        """Only remembered: a variable that some file or flag overrides may hold anything."""
        for entry in ENTRIES:
            if entry.env is not None and entry.env in environ:
                self._environment[entry.name] = environ[entry.env]

    def add_file(self, location: str, names: Mapping[str, object]) -> None:
        """The names of a configuration file. Names that are no settings are its own."""
        refused = [name for name in names if name in _REFUSED_NAMES]
        if refused:
            raise ConfigError(refusal(refused, ["it"] if len(refused) == 1 else ["them"], location))
        for name, raw in list(names.items()):
            entry = _BY_NAME.get(name)
            if entry is None:
                continue
            if not entry.in_files:
                raise ConfigError(f"{name}: has no effect in a configuration file; remove it (from {location})")
            self._set(entry, raw, location)
        self.values["config"], self.origins["config"] = location, DEFAULT_ORIGIN

    def add_arguments(self, origin: str, arguments: Arguments) -> None:
        """The flags of one list of words, and its APP."""
        for name, raw in arguments.values.items():
            self._set(_BY_NAME[name], raw, origin)
        if arguments.app is not None:
            self._set(_BY_NAME["wsgi_app"], arguments.app, origin)

    def settings(self, directory: str) -> Settings:
        """Everything put together."""
        for name, text in self._environment.items():
            if name not in self.values:
                entry = _BY_NAME[name]
                origin = entry.env or ""
                self.values[name] = _read(entry, text, origin, from_env=True)
                self.origins[name] = origin
        return resolve(self.values, self.origins, directory)

    def _set(self, entry: Setting, raw: object, origin: str) -> None:
        self.values[entry.name] = _read(entry, raw, origin)
        self.origins[entry.name] = origin


def _read(entry: Setting, raw: object, origin: str, *, from_env: bool = False) -> object:
    try:
        return entry.read(entry.from_env(str(raw)) if from_env else raw)
    except BadValue as error:
        message = error.message(entry.name, origin_phrase(origin))
        in_words = origin == COMMAND_LINE or origin in _ARGUMENT_VARIABLES
        kind: type[OstlerError] = UsageError if in_words and isinstance(error, NotAnInteger) else ConfigError
        raise kind(message) from None
