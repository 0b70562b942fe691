"""`gunicorn.app.wsgiapp`: the application of a command line, for programs that derive from it; and the command itself.

Rules for editing: `run` is our own command (cli.py), whose errors say more; the class is for who changes a part of it.
"""

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any, Final, NoReturn

from ostler.compat.application import Application
from ostler.compat.package import util
from ostler.compat.package.errors import ConfigError
from ostler.config import pastedeploy
from ostler.control.subcommands import MEANINGS

_OURS: Final = frozenset({*MEANINGS, "settings", "control"})
_COMMAND: Final = "ostler.cli"  # by its name: it is above this layer, and Gunicorn's module is only another door to it


class WSGIApplication(Application):
    app_uri: str | None = None

    def init(self, parser: Any, opts: Any, args: Any) -> Any:
        """APP, or the PasteDeploy file. Raises ConfigError when that is not there."""
        self.app_uri = None
        if opts.paste:
            self.app_uri = os.path.abspath(opts.paste)
            file = self.app_uri.partition("#")[0]
            if not os.path.exists(file):
                raise ConfigError(f"{file!r} not found")
            self.cfg.set("default_proc_name", file)
            for name, value in pastedeploy.PasteFile(self.app_uri, os.getcwd(), "--paste", {}).implied().items():
                self.cfg.set(name, value)
        elif args:
            self.app_uri = args[0]
            self.cfg.set("default_proc_name", args[0])

    def load_config(self) -> None:
        """Raises ConfigError without an application."""
        super().load_config()
        if self.app_uri is None:
            if self.cfg.wsgi_app is None:
                raise ConfigError("No application module specified.")
            self.app_uri = self.cfg.wsgi_app

    def load_wsgiapp(self) -> Any:
        assert self.app_uri is not None
        return util.import_app(self.app_uri)

    def load_pasteapp(self) -> Any:
        assert self.app_uri is not None
        return pastedeploy.load_app(self.app_uri, self.cfg.paste_global_conf, os.getcwd())

    def load(self) -> Any:
        return self.load_wsgiapp() if self.cfg.paste is None else self.load_pasteapp()


def run(prog: str | None = None) -> NoReturn:
    """What the script `gunicorn` does: our command, with the words of sys.argv. prog: is not used."""
    command: Callable[[list[str]], int] = importlib.import_module(_COMMAND).main
    raise SystemExit(command(_as_application(sys.argv[1:])))


def _as_application(words: list[str]) -> list[str]:
    """`gunicorn status` serves the module of that name, as Gunicorn would: only `ostler` has commands."""
    return [*words[1:], "--", words[0]] if words and words[0] in _OURS else words


if __name__ == "__main__":
    run()
