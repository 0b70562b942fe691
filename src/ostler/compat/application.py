"""`gunicorn.app.base`: what a program derives from that embeds the server.

    class App(BaseApplication):
        def load_config(self): self.cfg.set("bind", "127.0.0.1:8000")
        def load(self): return application

    App().run()

`run` makes the process our master (arbiter.py); what HUP and the workers then ask of the object is in embedding.py.

Rules for editing: methods call each other as Gunicorn's do, for each may be overridden. A configuration that cannot be
used ends the program with a line on stderr and status 1, as there; in a running server that is a failed reload.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from ostler.compat.arbiter import Arbiter
from ostler.compat.cfg import Config
from ostler.config.environment import given_in, raw_value
from ostler.config.files import default_file, read_config
from ostler.config.sources import start_directory
from ostler.config.usercode import ConfigFileError
from ostler.errors import OstlerError
from ostler.process import spew


class BaseApplication:
    cfg: Any  # a Config; None until it is loaded

    def __init__(self, usage: str | None = None, prog: str | None = None) -> None:
        self.usage = usage
        self.cfg = None
        self.callable: Any = None
        self.prog = prog
        self.logger: Any = None
        self.do_load_config()

    def do_load_config(self) -> None:
        """Raises SystemExit, with status 1 and its reason as cause, when the configuration cannot be used."""
        try:
            self.load_default_config()
            self.load_config()
            self.cfg.validate()
        except Exception as error:
            frames = error.traceback_text if isinstance(error, ConfigFileError) else ""
            sys.stderr.write(f"\n{frames}Error: {error}\n")
            sys.stderr.flush()
            raise SystemExit(1) from error

    def load_default_config(self) -> None:
        self.cfg = Config(self.usage, prog=self.prog)

    def load_config(self) -> None:
        """To be overridden: sets what this program wants, with self.cfg.set(name, value)."""
        raise NotImplementedError(f"{type(self).__qualname__}.load_config: override it, and set what you want there")

    def init(self, parser: Any, opts: Any, args: Any) -> Any:
        raise NotImplementedError(f"{type(self).__qualname__}.init is not there")

    def load(self) -> Any:
        """To be overridden: returns the application. Called in each worker (with preload_app once, in their mold)."""
        raise NotImplementedError(f"{type(self).__qualname__}.load: override it, and return the application")

    def reload(self) -> None:
        """HUP: read the configuration again."""
        self.do_load_config()
        if self.cfg.spew:
            spew.spew()

    def wsgi(self) -> Any:
        if self.callable is None:
            self.callable = self.load()
        return self.callable

    def run(self) -> None:
        """Serve until told to stop; then SystemExit with the server's exit status."""
        try:
            Arbiter(self).run()
        except (RuntimeError, OstlerError) as error:
            sys.stderr.write(f"\nError: {error}\n\n")
            sys.stderr.flush()
            raise SystemExit(1) from error


class Application(BaseApplication):
    """One that reads the command line, the environment and configuration files."""

    def chdir(self) -> None:
        os.chdir(self.cfg.chdir)
        if self.cfg.chdir not in sys.path:
            sys.path.insert(0, self.cfg.chdir)

    def get_config_from_filename(self, filename: str) -> Mapping[str, Any]:
        """What the file holds. Raises RuntimeError when there is none, SystemExit with status 1 when it raises."""
        if not os.path.exists(filename):
            raise RuntimeError(f"{filename!r} doesn't exist")
        return self._read(filename, filename)

    def get_config_from_module_name(self, module_name: str) -> Mapping[str, Any]:
        return vars(importlib.import_module(module_name))

    def load_config_from_module_name_or_filename(self, location: str) -> Mapping[str, Any]:
        """Set what PATH, file:PATH or python:MODULE holds; names that are no settings are its own. Returns them all."""
        if location.startswith("python:"):
            found = self.get_config_from_module_name(location.removeprefix("python:"))
        else:
            found = self.get_config_from_filename(location.removeprefix("file:"))
        for name, value in list(found.items()):
            if name in self.cfg.settings:
                self.cfg.set(name.lower(), value)
        return found

    def load_config_from_file(self, filename: str) -> Mapping[str, Any]:
        return self.load_config_from_module_name_or_filename(location=filename)

    def load_config(self) -> None:
        parser = self.cfg.parser()
        given = parser.parse_args()
        own = self.init(parser, given, given.args)
        self.chdir()
        for name, value in (own or {}).items():
            self.cfg.set(name.lower(), value)
        by_variable = parser.parse_args(self.cfg.get_cmd_args_from_env())
        location = given.config or by_variable.config or default_file(start_directory(os.environ))
        if location:
            self.load_config_from_file(location)
        for variable, entry, text in given_in(os.environ):
            if not variable.endswith("_CMD_ARGS"):
                self.cfg.set(entry.name, raw_value(entry, text))
        for arguments in (by_variable, given):
            for name, value in vars(arguments).items():
                if value is not None and name != "args":
                    self.cfg.set(name.lower(), value)
        self.chdir()

    def run(self) -> None:
        if self.cfg.print_config:
            sys.stdout.write(f"{self.cfg}\n")
        if self.cfg.print_config or self.cfg.check_config:
            raise SystemExit(self._check())
        super().run()

    def _check(self) -> int:
        try:
            self.load()
        except Exception:  # noqa: BLE001  the user's application
            sys.stderr.write("\nError while loading the application:\n\n")
            traceback.print_exc()
            return 1
        return 0

    def _read(self, filename: str, shown: str) -> Mapping[str, Any]:
        try:
            return read_config(os.path.abspath(filename), os.getcwd(), shown).names
        except ConfigFileError as error:
            sys.stderr.write(f"Failed to read config file: {shown}\n{error.traceback_text}")
            sys.stderr.flush()
            raise SystemExit(1) from error
