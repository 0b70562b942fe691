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
    RELOADS = "Preloading and reloads"
    MECHANICS = "Server mechanics"
    SECURITY = "Security"
    DEADLINES = "Deadlines"
    TLS = "TLS"
    HTTP2 = "HTTP/2"
    LOGGING = "Logging"
    NAMING = "Process naming"
    DEBUGGING = "Debugging"
    CONTROL = "Control"
    DIRTY = "Dirty arbiters"
    HOOKS = "Server hooks"


class ReloadEffect(Enum):
    """What a HUP does when the value has changed; the value is the sentence of the reference."""

    WORKERS = "applies to the workers of the new generation"
    MASTER = "applies in the master at once"
    LISTENERS = "the listening sockets are changed"
    RESTART = "needs a restart of the server"


class Support(Enum):
    """How far this version keeps what Gunicorn's setting of that name promises; makes the compatibility page."""

    WORKS = "works"
    DIFFERS = "differs"  # `note` says how and why
    REFUSED = "refused"  # not built yet: only the value that means "off" is accepted; `note` says what is missing
    UNUSED = "unused"  # has nothing to act on here: accepted with one info line; `note` says why


class FlagKind(Enum):
    """How a flag takes its value."""

    VALUE = "one value"
    REPEAT = "one value, may be given again"
    ON = "no value; sets True"
    OFF = "no value; sets False"
    OPTIONAL = "a value or none"  # the flag alone means "auto"


class Takes(Enum):
    """What a file with plain types (TOML) holds for a setting; the value is the JSON schema's word or words.

    For the schema, and for reading variables. Readers accept more, text such as "0x10" for a number among it.
    """

    TEXT = ("string",)
    INTEGER = ("integer",)
    NUMBER = ("number",)
    SWITCH = ("boolean",)
    TEXTS = ("string", "array")  # one text, or an array of them
    TABLE = ("object",)
    INTEGER_OR_TEXT = ("integer", "string")
    SWITCH_OR_TEXT = ("boolean", "string")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `default` is raw, as it would stand in a configuration file; `read` makes the value of it.

    `default_text` replaces the default in the docs where it is not a constant; `from_env` turns the text of the
    variable `env` into a raw value. `doc` is Markdown; its first sentence is the help of the flag. `takes`, `choices`
    and `least` describe the raw value for the JSON schema.
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
    support: Support = Support.WORKS
    note: str = ""  # of every support but WORKS: one sentence for the compatibility page and for the error or info line
    in_files: bool = True  # False: only on the command line and in *_CMD_ARGS
    takes: Takes = Takes.TEXT
    choices: tuple[str, ...] = ()  # every word that is accepted, in lower case; empty: any
    least: int | None = None  # of an integer

    @property
    def acts(self) -> bool:
        """True when the value has an effect in this version: it is then an attribute of `Settings`."""
        return self.support in (Support.WORKS, Support.DIFFERS)

    def default_value(self) -> object:
        """The value of an unset setting; None where the default is None (an absent value is not read)."""
        return None if self.default is None else self.read(self.default)

    @property
    def summary(self) -> str:
        """The first sentence of the doc."""
        return self.doc.split(". ")[0].rstrip(".")
