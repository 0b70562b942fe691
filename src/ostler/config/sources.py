"""Where values come from, lowest first:

    defaults (PORT, WEB_CONCURRENCY, FORWARDED_ALLOW_IPS and SENDFILE are some) < PasteDeploy file < configuration file
    < OSTLER_* variables < GUNICORN_CMD_ARGS < OSTLER_CMD_ARGS < command line (or the section that started us)

`load_settings` reads everything from the beginning each time: at the start, and again at every reload with the same
arguments. Each value remembers where it came from. Nothing is changed but what the user's configuration code changes:
the working directory is the same afterwards as before, also on failure; `sys.path` keeps what that code put there.
"""

import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from ostler.config.arguments import parse_arguments
from ostler.config.environment import given_in, notices_of, raw_value
from ostler.config.files import ConfigFile, default_file, read_config
from ostler.config.nearmiss import closest
from ostler.config.origins import COMMAND_LINE, DEFAULT_ORIGIN, origin_phrase
from ostler.config.parse import BadValue, NotAnInteger
from ostler.config.pastedeploy import PasteFile, global_conf_of, require_pastedeploy, section_settings
from ostler.config.sections import ENTRIES
from ostler.config.setting import Setting
from ostler.config.settings import Settings, resolve
from ostler.errors import ConfigError, OstlerError, UsageError, reason_of

_ARGUMENT_VARIABLES = ("GUNICORN_CMD_ARGS", "OSTLER_CMD_ARGS")
_BY_NAME = {entry.name: entry for entry in ENTRIES}


@dataclass(frozen=True, slots=True)
class ServerSection:
    """The section of a PasteDeploy file whose program (`pserve`) calls us, in place of a command line.

    file: the PasteDeploy file, absolute. values: the section's text by name. application: an APP for the workers.
    """

    file: str
    values: Mapping[str, str]
    application: str


@dataclass(frozen=True, slots=True)
class _Given:
    """A value that one source has for a setting, as it stands there."""

    entry: Setting
    raw: object
    origin: str

    def value(self) -> object:
        """The typed value. Raises ConfigError or UsageError."""
        try:
            return self.entry.read(self.raw)
        except BadValue as error:
            in_words = self.origin == COMMAND_LINE or self.origin in _ARGUMENT_VARIABLES
            kind: type[OstlerError] = UsageError if in_words and isinstance(error, NotAnInteger) else ConfigError
            raise kind(error.message(self.entry.name, origin_phrase(self.origin))) from None


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


def load_settings(
    argv: Sequence[str],
    environ: Mapping[str, str],
    directory: str | None = None,
    server: ServerSection | None = None,
    *,
    to_serve: bool = True,
) -> Settings:
    """Settings from all sources. `argv` is without the program's name; `directory` is where the server was started.
    to_serve: an application must be given; False for a command that asks a server which runs already.

    Raises ConfigError (ConfigFileError when the user's file raised), UsageError, or Answered for --help and --version.
    """
    directory = directory if directory is not None else start_directory(environ)
    given = [*_from_words(argv, environ), *(_from_server(server) if server else ())]
    with working_in(directory):
        # Variables may name hooks by path, which are imported from here.
        given = [*_from_variables(environ), *given]
        highest = {one.entry.name: one for one in given}
        gathering = _Gathering(directory)
        location, asked_by = gathering.choose_file(highest)
        if location is not None:
            gathering.add_file(location, read_config(location, directory, asked_by))
        for one in given:
            gathering.add(one)
        gathering.add_paste(highest)
        if server is not None:
            implied = PasteFile(server.file, directory, "the server that called", {}).implied()
            gathering.add_missing({"default_proc_name": server.file, **implied}, server.file)
        gathering.add_defaults(environ)
        gathering.notices += notices_of(environ)
        if not to_serve and not gathering.values.get("wsgi_app"):
            gathering.values["wsgi_app"] = "not:given"
        return resolve(gathering.values, gathering.origins, directory, gathering.notices)


def _from_variables(environ: Mapping[str, str]) -> Iterator[_Given]:
    for variable, entry, text in given_in(environ):
        yield _Given(entry, _raw(entry, text, variable), variable)


def _from_words(argv: Sequence[str], environ: Mapping[str, str]) -> Iterator[_Given]:
    command_line = parse_arguments(argv, origin_phrase(COMMAND_LINE), takes_app=True)  # first: --help must always work
    for variable in _ARGUMENT_VARIABLES:
        try:
            words = shlex.split(environ.get(variable, ""))
        except ValueError as error:
            raise UsageError(f"{variable}: expected words as in a shell: {str(error).lower()}") from None
        for name, raw in parse_arguments(words, variable, takes_app=False).values.items():
            yield _Given(_BY_NAME[name], raw, variable)
    for name, raw in command_line.values.items():
        yield _Given(_BY_NAME[name], raw, COMMAND_LINE)
    if command_line.app is not None:
        yield _Given(_BY_NAME["wsgi_app"], command_line.app, COMMAND_LINE)


def _from_server(server: ServerSection) -> Iterator[_Given]:
    for name, raw in section_settings(server.values, server.file).items():
        yield _Given(_BY_NAME[name], raw, server.file)
    yield _Given(_BY_NAME["wsgi_app"], server.application, server.file)


def _raw(entry: Setting, text: str, origin: str) -> object:
    try:
        return raw_value(entry, text)
    except BadValue as error:
        raise ConfigError(error.message(entry.name, origin)) from None


@contextmanager
def working_in(directory: str) -> Iterator[None]:
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
    """Values and their origins while the sources are read."""

    directory: str
    values: dict[str, object] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)

    def choose_file(self, given: Mapping[str, _Given]) -> tuple[str | None, str]:
        """The configuration file to read, if any, and a phrase that says who asked for it."""
        if "config" in given:
            return str(given["config"].value()), origin_phrase(given["config"].origin)
        paste = given["paste"].value() if "paste" in given else None
        if paste is not None:
            variables = given["raw_paste_global_conf"].value() if "raw_paste_global_conf" in given else ()
            file = self._open_paste(paste, variables, given["paste"].origin)
            if file.config() is not None:
                return file.config(), file.shown
        return default_file(self.directory), self.directory

    def add_file(self, location: str, file: ConfigFile) -> None:
        """What a configuration file holds. Names of Python code that are no settings are its own."""
        self.notices += file.notices
        for name, raw in list(file.names.items()):
            entry = _BY_NAME.get(name)
            if entry is None:
                if file.only_settings:
                    meant = closest(name, _BY_NAME)
                    cure = f"; did you mean {meant}?" if meant else ""
                    raise ConfigError(f"{name}: expected a setting, got a name that is none (from {location}){cure}")
            elif not entry.in_files:
                raise ConfigError(f"{name}: has no effect in a configuration file; remove it (from {location})")
            else:
                self.add(_Given(entry, raw, location))
        self.values["config"], self.origins["config"] = location, DEFAULT_ORIGIN

    def add(self, one: _Given) -> None:
        """A value that wins over those before."""
        self.values[one.entry.name] = one.value()
        self.origins[one.entry.name] = one.origin

    def add_paste(self, given: Mapping[str, _Given]) -> None:
        """What the PasteDeploy file that `paste` names says of settings that no other source has."""
        uri = self.values.get("paste")
        if uri is None:
            return
        require_pastedeploy()
        # Opened only now: the configuration file may hold variables for it.
        file = self._open_paste(uri, self.values.get("raw_paste_global_conf", ()), self.origins["paste"])
        if "paste" not in given and file.config() is not None:
            raise ConfigError(
                f"config: has no effect in {file.shown}, which the configuration file itself names; remove it there"
            )
        self.add_missing(file.settings(), file.shown)

    def add_missing(self, values: Mapping[str, object], origin: str) -> None:
        """Raw values for settings that have none yet."""
        for name, raw in values.items():
            if name not in self.values:
                self.add(_Given(_BY_NAME[name], raw, origin))

    def add_defaults(self, environ: Mapping[str, str]) -> None:
        """Defaults that variables of the platform change; one that is overridden may hold anything."""
        for entry in ENTRIES:
            if entry.env is not None and entry.env in environ and entry.name not in self.values:
                try:
                    raw = entry.from_env(environ[entry.env])
                except BadValue as error:
                    raise ConfigError(error.message(entry.name, entry.env)) from None
                self.add(_Given(entry, raw, entry.env))

    def _open_paste(self, uri: object, variables: object, origin: str) -> PasteFile:
        entries = variables if isinstance(variables, tuple) else ()
        return PasteFile(str(uri), self.directory, origin_phrase(origin), global_conf_of(entries))
