"""What a generation finds around it beside its settings: the environment, with `raw_env` laid over it, sys.path, and
the program that embeds the server, if one does.

The master's own environment is changed too, as Gunicorn does: hooks that run there look at it.

Rules for editing: a variable that the next settings do not name any more gets the value back that it had before.
"""

import os
import sys
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass

from ostler.app.source import Named, Source


@dataclass(frozen=True, slots=True)
class Surroundings:
    """As the configuration file left them; put back in each process of the generation."""

    environ: dict[str, str]
    sys_path: tuple[str, ...]
    source: Source

    @classmethod
    def now(cls, source: Source | None = None) -> "Surroundings":
        return cls(dict(os.environ), tuple(sys.path), Named() if source is None else source)

    def put_back(self) -> None:
        """In a child, before anything of the generation runs."""
        os.environ.clear()
        os.environ.update(self.environ)
        sys.path[:] = self.sys_path
        self.source.put_back()


class EnvironmentOverlay:
    """`raw_env` on an environment, and what was there before."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._environ = environ
        self._before: dict[str, str | None] = {}

    def apply(self, entries: Iterable[str]) -> None:
        """entries: KEY=VALUE. Those of the last call are taken back first."""
        for name, value in self._before.items():
            if value is None:
                self._environ.pop(name, None)
            else:
                self._environ[name] = value
        self._before.clear()
        for entry in entries:
            name, _, value = entry.partition("=")
            self._before.setdefault(name, self._environ.get(name))
            self._environ[name] = value
