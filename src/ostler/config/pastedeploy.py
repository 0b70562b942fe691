"""PasteDeploy files (`--paste FILE[#NAME]`): the settings of their server section, and the application in them.

A section [server:main] whose `use` is `egg:ostler#main` or `egg:gunicorn#main` holds settings; a section for another
server says nothing to us. The package PasteDeploy is needed for the application only, so it is imported where that is
loaded; `PasteFile` reads the settings with configparser, by the rules of PasteDeploy (names keep their case, `set` and
`get` lines and the names of [DEFAULT] are no settings, `%(here)s` and `%(__file__)s` are known).

https://docs.pylonsproject.org/projects/pastedeploy/
"""

import configparser
import importlib
import importlib.util
import os
import re
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from ostler.config.environment import raw_value
from ostler.config.nearmiss import closest
from ostler.config.parse import BadValue
from ostler.config.sections import ENTRIES
from ostler.config.setting import FlagKind
from ostler.errors import AppLoadError, ConfigError, reason_of

_OUR_SERVERS = re.compile(r"egg:\s*(ostler|gunicorn)\s*(#\s*main\s*)?", re.IGNORECASE)
_SECTIONS = ("server:main", "server")
_BY_NAME = {entry.name: entry for entry in ENTRIES}


def load_app(uri: str, global_conf: Mapping[str, str], directory: str) -> Callable[..., Any]:
    """The application of `FILE[#NAME]`; a relative FILE is in `directory`.

    Raises AppLoadError when the file has no such application, and ConfigError when PasteDeploy is not installed. What
    the application's modules and factories raise comes through as it is.
    """
    require_pastedeploy()
    path, _, name = uri.partition("#")
    # Quoted, and made a URI here: PasteDeploy takes %xx apart, and Gunicorn takes a path with a colon for a URI.
    address = "config:" + quote(os.path.join(directory, path))
    loader = importlib.import_module("paste.deploy.loadwsgi")
    try:
        context = loader.loadcontext(loader.APP, address, name or None, directory, dict(global_conf))
    except LookupError as error:
        *_, (deepest, _) = traceback.walk_tb(error.__traceback__)
        if deepest.f_code.co_filename != loader.__file__:  # a KeyError, say, of a module that is imported
            raise
        sentence = " ".join(str(error).split())
        raise AppLoadError(f"paste: cannot find the application {name or 'main'}: {sentence}") from error
    application: Callable[..., Any] = context.create()
    return application


def require_pastedeploy() -> None:
    """Raises ConfigError when the package is missing."""
    try:
        found = importlib.util.find_spec("paste.deploy") is not None
    except ModuleNotFoundError:  # not even a package `paste`
        found = False
    if not found:
        raise ConfigError("paste: expected the package PasteDeploy, found none; pip install ostler[paste]")


def global_conf_of(entries: Iterable[str]) -> dict[str, str]:
    """The entries of `raw_paste_global_conf` (KEY=VALUE; an equals sign of a key or value may be written `\\=`)."""
    found = {}
    for entry in entries:
        key, _, value = (part.replace("\0", "=") for part in entry.replace("\\=", "\0").partition("="))
        found[key] = value
    return found


class PasteFile:
    """A file that was named by `paste`, read once. `origin` is who named it, as a phrase."""

    def __init__(self, uri: str, directory: str, origin: str, global_conf: Mapping[str, str]) -> None:
        """Raises ConfigError when FILE of `FILE[#NAME]` cannot be read."""
        self.shown = uri.partition("#")[0]
        self.path = os.path.normpath(os.path.join(directory, self.shown))
        # The names of [DEFAULT] win over those from outside, but not over the file's own place: as in PasteDeploy.
        place = {"here": os.path.dirname(self.path), "__file__": self.path}
        self._parser = configparser.ConfigParser(defaults={**global_conf, **place})
        self._parser.optionxform = str  # type: ignore[assignment,method-assign]
        try:
            with open(self.path, encoding="utf-8") as file:
                self._parser.read_file(file, self.shown)
        except FileNotFoundError:
            raise ConfigError(f'paste: expected a file, got "{self.shown}": nothing there (from {origin})') from None
        except OSError as error:
            raise ConfigError(f'paste: cannot read "{self.shown}": {reason_of(error)} (from {origin})') from None
        except (configparser.Error, ValueError) as error:
            raise self._wrong(error) from None
        self._section = self._find()

    def config(self) -> str | None:
        """The configuration file that the section names, if it does."""
        return self._get("config") if self._section is not None and "config" in self._own_names() else None

    def implied(self) -> dict[str, object]:
        """Raw values by setting that follow from the file itself: `logconfig` when it has a section [loggers]."""
        return {"logconfig": self.path} if self._parser.has_section("loggers") else {}

    def settings(self) -> dict[str, object]:
        """Raw values by setting: what is implied, and the section's. Raises ConfigError for a name that is none."""
        if self._section is None:
            return self.implied()
        given = {name: self._get(name) for name in self._own_names() if name not in ("use", "config")}
        return self.implied() | section_settings(given, f"[{self._section}] of {self.shown}")

    def _find(self) -> str | None:
        for name in _SECTIONS:
            if self._parser.has_section(name):
                server = self._parser.get(name, "use", raw=True, fallback="")
                return name if _OUR_SERVERS.fullmatch(server.strip()) else None
        return None

    def _own_names(self) -> list[str]:
        common = self._parser.defaults()
        names = self._parser.options(self._section or "")
        return [name for name in names if name not in common and not name.startswith(("set ", "get "))]

    def _get(self, name: str) -> str:
        try:
            return self._parser.get(self._section or "", name)
        except configparser.Error as error:
            raise self._wrong(error) from None

    def _wrong(self, error: Exception) -> ConfigError:
        return ConfigError(f"paste: cannot understand {self.shown}: {' '.join(str(error).split())}")


def section_settings(given: Mapping[str, str], place: str) -> dict[str, object]:
    """Raw values of a server section's text, by setting: `host` and `port` make up `bind`.

    place: where it stands, for errors. Raises ConfigError for a name that is no setting, and for a value that cannot
    be taken apart.
    """
    texts = {name.lower(): text for name, text in given.items()}
    host, port = (texts.pop(name, "").strip() for name in ("host", "port"))
    found: dict[str, object] = {}
    if host or port:
        if "bind" in texts:
            raise ConfigError(f"bind: expected either bind or host and port, got both (from {place})")
        found["bind"] = _bind(host, port)
    for name, text in texts.items():
        entry = _BY_NAME.get(name)
        if entry is None:
            meant = closest(name, _BY_NAME)
            cure = f"; did you mean {meant}?" if meant else ""
            raise ConfigError(f"{name}: expected a setting, got a name that is none (from {place}){cure}")
        if entry.kind is FlagKind.REPEAT:
            found[name] = [line for line in text.splitlines() if line.strip()]
            continue
        try:
            found[name] = raw_value(entry, text)
        except BadValue as error:
            raise ConfigError(error.message(name, place)) from None
    return found


def _bind(host: str, port: str) -> list[str]:
    if not port:
        return [entry.strip() for entry in host.split(",")]
    # Gunicorn ignores a port without a host; here it is one of the default address.
    return [f"{host or '127.0.0.1'}:{port}"]
