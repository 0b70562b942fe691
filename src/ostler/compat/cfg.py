"""cfg: what hooks, Logger classes and applications know as Gunicorn's Config, over the frozen `Settings`.

Values are those that were read when the generation was made. A hook cannot change them: workers, listeners and logs
have been made from them, so `cfg.set()` and assignments raise and say where to do it. Attributes that are no settings
may be stored, as in Gunicorn.

`Config()` by itself is a draft: `set()` works there, and `validate()` makes of it what a server can be run with. It is
the cfg of a program that embeds the server (application.py), which is a draft until the server takes it.

Rules for editing: what a value may be is decided in `config/`; here it is only kept and shown.
"""

import argparse
import copy
import os
import shlex
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any, ClassVar, Final, Self

from ostler.compat.logger_class import logger_class_of
from ostler.compat.look_alike import LookAlike
from ostler.compat.shapes import bound_address, value_of
from ostler.compat.worker_class import known_class, name_of
from ostler.config.address import Network
from ostler.config.arguments import plain_parser
from ostler.config.parse import BadValue
from ostler.config.pastedeploy import global_conf_of
from ostler.config.sections import ENTRIES
from ostler.config.setting import Section, Setting
from ostler.config.settings import Hooks, Settings, resolve
from ostler.config.sources import start_directory
from ostler.errors import ConfigError
from ostler.observe.logs import Logs

_BY_NAME: Final = {entry.name: entry for entry in ENTRIES}
_ORDER: Final = {entry.name: number for number, entry in enumerate(ENTRIES)}
_ORIGIN: Final = "cfg.set"
_SECTIONS: Final = {Section.TLS: "SSL", Section.HTTP2: "HTTP/2"}  # where Gunicorn's chapter is not ours in title case


class SettingView:
    """An entry of cfg.settings. Sorted by chapter, as Gunicorn's."""

    def __init__(self, entry: Setting, config: "Config") -> None:
        self._entry = entry
        self._config = config
        self.name = entry.name
        self.order = _ORDER[entry.name]
        self.section = _SECTIONS.get(entry.section, entry.section.value.title())
        self.cli = list(entry.flags) or None
        self.meta = entry.metavar if entry.flags else None
        self.default = entry.default
        self.desc, self.short = entry.doc, entry.summary

    @property
    def value(self) -> Any:
        return value_of(self._config.of_settings, self.name)

    def get(self) -> Any:
        return self.value

    def set(self, val: object) -> None:
        """Raises AttributeError in a running server; TypeError for a value that cannot be used."""
        self._config.set(self.name, val)

    def copy(self) -> Self:
        return copy.copy(self)

    def __lt__(self, other: "SettingView") -> bool:
        return (self.section, self.order) < (other.section, other.order)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} = {self.value!r}>"


class SettingsView(Mapping[str, SettingView]):
    """cfg.settings."""

    def __init__(self, config: "Config") -> None:
        self._config = config

    def __getitem__(self, name: str) -> SettingView:
        return SettingView(_BY_NAME[name], self._config)

    def __iter__(self) -> Iterator[str]:
        return iter(_BY_NAME)

    def __len__(self) -> int:
        return len(_BY_NAME)


class Config(LookAlike):
    """A view of Settings in Gunicorn's names and shapes."""

    _called: ClassVar[str] = "cfg"
    usage: str | None
    prog: str
    _settings: Settings
    ostler_app: Any
    """The object of the program that embeds this server; None: it was started by our command."""

    def __init__(self, usage: str | None = None, prog: str | None = None) -> None:
        """One of its own, with the defaults."""
        self._become(Settings.defaults(wsgi_app=""), None, os.environ)
        self._draft = True
        self._directory = start_directory(os.environ)
        self.usage = usage
        self.prog = prog or os.path.basename(sys.argv[0])
        for name, value in _platform_defaults(os.environ).items():
            self._settings = _changed(self._settings, name, value)

    @classmethod
    def of(cls, settings: Settings, logs: Logs | None, environ: Mapping[str, str], app: object = None) -> Self:
        """That of a server. environ: as it was before anything changed it. logs: of the process, for its Logger. app:
        of the program that embeds it.
        """
        made = cls.__new__(cls)
        made._become(settings, logs, environ)
        made.ostler_app = app
        return made

    def _become(self, settings: Settings, logs: Logs | None, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._ostler_logs = logs
        self._draft = False
        self._directory = settings.chdir
        self._given: dict[str, Any] = {}
        self.ostler_app = None
        self.usage = None
        self.prog = "ostler"
        self.env_orig = dict(environ)

    @property
    def of_settings(self) -> Settings:
        return self._settings

    @property
    def settings(self) -> SettingsView:
        return SettingsView(self)

    def __getattr__(self, name: str) -> Any:
        if name in _BY_NAME and "_settings" in vars(self):
            return value_of(self._settings, name)
        raise AttributeError(self._problem(name), name=name, obj=self)

    def __setattr__(self, name: str, value: object) -> None:
        if name in _BY_NAME:
            raise AttributeError(_fixed(name))
        super().__setattr__(name, value)

    def set(self, name: str, value: object) -> None:
        """Raises AttributeError in a running server or for no setting, TypeError for a value that cannot be used."""
        if (entry := _BY_NAME.get(name)) is None:
            raise AttributeError(f"cfg has no setting {name!r}")
        if not self._draft:
            raise AttributeError(_fixed(name))
        try:
            read = None if value is None else entry.read(value)
        except BadValue as error:
            raise TypeError(error.message(name, _ORIGIN)) from None
        if name == "chdir" and isinstance(read, str):
            read = os.path.normpath(os.path.join(self._directory, read))
        if read is None:
            self._given.pop(name, None)
        else:
            self._given[name] = read
        self._settings = _changed(self._settings, name, entry.default_value() if read is None else read)

    def take(self) -> Settings:
        """For the server that runs with it: from now on it cannot be changed. Raises ConfigError."""
        self.validate()
        self._draft = False
        return self._settings

    # -- what Gunicorn makes of several settings, or of one ------------------------------------------------------

    @property
    def address(self) -> list[tuple[str, int] | str | int]:
        return [bound_address(address) for address in self._settings.bind]

    @property
    def worker_class_str(self) -> str:
        return name_of(self._settings)

    @property
    def worker_class(self) -> type:
        return known_class(self._settings)

    @property
    def logger_class(self) -> type:
        """Raises ConfigError."""
        return logger_class_of(self._settings)

    @property
    def uid(self) -> int:
        return self._settings.user

    @property
    def gid(self) -> int:
        return self._settings.group

    @property
    def proc_name(self) -> str:
        return self._settings.proc_name

    @property
    def sendfile(self) -> bool:
        return self._settings.sendfile

    @property
    def env(self) -> dict[str, str]:
        pairs = (entry.partition("=") for entry in self._settings.raw_env)
        return {name: value for name, _, value in pairs}

    @property
    def paste_global_conf(self) -> dict[str, str]:
        return global_conf_of(self._settings.raw_paste_global_conf)

    @property
    def is_ssl(self) -> Any:
        return self.certfile or self.keyfile

    @property
    def ssl_options(self) -> dict[str, Any]:
        theirs = [entry.name for entry in ENTRIES if entry.section is Section.TLS and entry.gunicorn]
        return {name: value_of(self._settings, name) for name in theirs}

    def forwarded_allow_networks(self) -> list[Network]:
        return list(self._settings.forwarded_allow_ips.networks)

    def proxy_allow_networks(self) -> list[Network]:
        return list(self._settings.proxy_allow_ips.networks)

    def get_cmd_args_from_env(self) -> list[str]:
        return shlex.split(self.env_orig.get("GUNICORN_CMD_ARGS", ""))

    def parser(self) -> argparse.ArgumentParser:
        """Gunicorn's flags and ours; what it does not understand ends the process, as argparse has it."""
        return plain_parser(self.usage, self.prog)

    def validate(self) -> None:
        """Make of a draft what a server can be run with: paths absolute, all values together. Raises ConfigError."""
        if self._draft:
            given = _read_platform_defaults(os.environ, self._given) | self._given
            origins = {name: _ORIGIN if name in self._given else str(_BY_NAME[name].env) for name in given}
            self._settings = resolve(given, origins, self._directory, names_application=False)

    def __str__(self) -> str:
        width = max(map(len, _BY_NAME))
        shown = {name: value_of(self._settings, name) for name in sorted(_BY_NAME)}
        return "\n".join(f"{name:{width}} = {_shown(value)}" for name, value in shown.items())

    def __reduce__(self) -> tuple[Any, ...]:
        """Without the logs, which are of this process. Fails for hooks that are not importable, as Gunicorn's does."""
        values = {field.name: _plain(getattr(self._settings, field.name)) for field in fields(Settings)}
        return _unpickled, (values, self.env_orig, self._given if self._draft else None, self._directory)


def _unpickled(values: dict[str, Any], environ: dict[str, str], given: dict[str, Any] | None, start: str) -> Config:
    made = Config.of(Settings(**values), None, environ)
    made._draft, made._given, made._directory = given is not None, given or {}, start
    return made


def _read_platform_defaults(environ: Mapping[str, str], given: Collection[str]) -> dict[str, Any]:
    """Defaults that variables of the platform change, such as PORT. Raises ConfigError."""
    found: dict[str, Any] = {}
    for entry in ENTRIES:
        if entry.env is not None and entry.env in environ and entry.name not in given:
            try:
                found[entry.name] = entry.read(entry.from_env(environ[entry.env]))
            except BadValue as error:
                raise ConfigError(error.message(entry.name, entry.env)) from None
    return found


def _platform_defaults(environ: Mapping[str, str]) -> dict[str, Any]:
    """The same, to be shown; what is wrong with them is told when they are used."""
    try:
        return _read_platform_defaults(environ, ())
    except ConfigError:
        return {}


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, MappingProxyType) else value


def _changed(settings: Settings, name: str, value: Any) -> Settings:
    if name in {field.name for field in fields(Hooks)}:
        return replace(settings, hooks=replace(settings.hooks, **{name: value}))
    if name in settings.others:
        return replace(settings, others=MappingProxyType({**settings.others, name: value}))
    if name in ("user", "group") and value is None:
        value = os.geteuid() if name == "user" else os.getegid()
    changed = replace(settings, **{name: value})
    if name in ("proc_name", "default_proc_name"):
        given = settings.proc_name if settings.proc_name != settings.default_proc_name else None
        given = value if name == "proc_name" else given
        return replace(changed, proc_name=given or changed.default_proc_name or "ostler")
    return changed


def _fixed(name: str) -> str:
    return f"cfg.{name} cannot be changed in a running server; set it in the configuration file, and reload it with HUP"


def _shown(value: object) -> object:
    return f"<{getattr(value, '__qualname__', value)}()>" if callable(value) else value
