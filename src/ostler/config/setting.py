"""The shape of one entry of the settings table.

An entry says everything about its setting once: the parser of the command line, the reading of the environment and of
configuration files, the reference page and `--print-config` are all made from it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Section(Enum):
    """The chapters of the reference, in their order."""

    CONFIG_FILE = "Config file"
    SERVER_SOCKET = "Server socket"
    WORKERS = "Worker processes"
    MECHANICS = "Server mechanics"
    SECURITY = "Security"
    LOGGING = "Logging"
    DEBUGGING = "Debugging"
    HOOKS = "Server hooks"


class ReloadEffect(Enum):
    """What a HUP does when the value has changed; the value is the sentence of the reference."""

    WORKERS = "applies to the workers of the new generation"
    MASTER = "applies in the master at once"
    LISTENERS = "the listening sockets are changed"
    RESTART = "needs a restart of the server"


class FlagKind(Enum):
    """How a flag takes its value."""

    VALUE = "one value"
    REPEAT = "one value, may be given again"
    ON = "no value; sets True"
    OFF = "no value; sets False"
    OPTIONAL = "a value or none"  # only among the settings that are refused


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `default` is raw, as it would stand in a configuration file; `read` makes the value of it.

    `default_text` replaces the default in the docs where it is not a constant; `from_env` turns the text of the
    variable `env` into a raw value. `doc` is Markdown; its first sentence is the help of the flag.
    """

    name: str
    section: Section
    read: Callable[[object], object]
    default: object
    reload: ReloadEffect
    doc: str
    flags: tuple[str, ...] = ()
    kind: FlagKind = FlagKind.VALUE
    metavar: str = "VALUE"
    env: str | None = None
    from_env: Callable[[str], object] = str
    default_text: str = ""
    gunicorn: bool = True  # False: ours
    in_files: bool = True  # False: only on the command line and in *_CMD_ARGS

    def default_value(self) -> object:
        """The value of an unset setting; None where the default is None (an absent value is not read)."""
        return None if self.default is None else self.read(self.default)

    @property
    def summary(self) -> str:
        """The first sentence of the doc."""
        return self.doc.split(". ")[0].rstrip(".")
