"""The command line and the *_CMD_ARGS variables: words -> raw values, by one parser made from the table.

The parser is plain argparse, as Gunicorn's is, because unique prefixes of flags work there (`--max-requests-j 5`) and
so must work here. It therefore knows every flag of Gunicorn; those of `refused.py` end in an error that names them.
Values stay text: `sources.py` reads them.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import ostler
from ostler.config.refused import REFUSED, Refused, refusal
from ostler.config.sections import TABLE
from ostler.config.setting import FlagKind, Section, Setting
from ostler.errors import ConfigError, UsageError

_EPILOG = (
    'APP is MODULE, MODULE:ATTRIBUTE or MODULE:FACTORY("literal", name=1). Settings without a flag stand in a '
    "configuration file. Gunicorn's settings that are not listed here are refused by name."
)


class Answered(Exception):
    """--help or --version was asked for: `text` is the whole answer, and nothing else is to be done."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True, slots=True)
class Arguments:
    """What one list of words gave: raw values by setting, and APP."""

    values: dict[str, object]
    app: str | None


def parse_arguments(words: Sequence[str], place: str, *, takes_app: bool) -> Arguments:
    """Raises UsageError (words that are not understood), ConfigError (a refused setting), Answered."""
    namespace = _parser(place).parse_args(list(words))
    given: dict[str, Any] = {name: value for name, value in vars(namespace).items() if value is not None}
    apps: list[str] = given.pop("args")
    refused = [entry for entry in REFUSED if entry.name in given]
    if refused:
        raise ConfigError(refusal([entry.name for entry in refused], [entry.long_flag for entry in refused], place))
    if not takes_app and apps:
        raise UsageError(
            f'expected options only, got "{apps[0]}" (from {place}); '
            "give the application on the command line or as wsgi_app in the configuration file"
        )
    if len(apps) > 1:
        raise UsageError(f"expected one application, got {len(apps)}: {', '.join(apps)} (from {place})")
    return Arguments(given, apps[0] if apps else None)


class _Parser(argparse.ArgumentParser):
    """argparse that raises our error instead of writing and exiting."""

    place = ""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (from {self.place}); see ostler --help")


class _Answer(argparse.Action):
    """--help and --version: the answer is raised, so that only `cli.py` writes."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> NoReturn:
        text = f"ostler (version {ostler.__version__})\n" if self.dest == "version" else parser.format_help()
        raise Answered(text)


def _parser(place: str) -> _Parser:
    parser = _Parser(prog="ostler", usage="ostler [OPTIONS] [APP]", epilog=_EPILOG, add_help=False)
    parser.place = place
    parser.add_argument("args", nargs="*", help=argparse.SUPPRESS)
    for flags, destination, text in (
        (("-h", "--help"), "help", "Show this help and exit"),
        (("-v", "--version"), "version", "Show the version and exit"),
    ):
        parser.add_argument(*flags, dest=destination, action=_Answer, nargs=0, help=text, default=None)
    for section in Section:
        group = parser.add_argument_group(section.value)
        for entry in TABLE:
            if entry.section is section and entry.flags:
                group.add_argument(*entry.flags, dest=entry.name, help=_help(entry), **_shape(entry))
    for refused in REFUSED:
        if refused.flags:
            parser.add_argument(*refused.flags, dest=refused.name, help=argparse.SUPPRESS, **_shape(refused))
    return parser


def _shape(entry: Setting | Refused) -> dict[str, Any]:
    match entry.kind:
        case FlagKind.ON:
            return {"action": "store_const", "const": True}
        case FlagKind.OFF:
            return {"action": "store_const", "const": False}
        case FlagKind.OPTIONAL:
            return {"nargs": "?", "const": "auto"}
        case FlagKind.VALUE | FlagKind.REPEAT:
            shape: dict[str, Any] = {"action": "append"} if entry.kind is FlagKind.REPEAT else {}
            if isinstance(entry, Setting):
                shape["metavar"] = entry.metavar
            return shape


def _help(entry: Setting) -> str:
    text = entry.summary.replace("`", "")
    if entry.kind in (FlagKind.VALUE, FlagKind.REPEAT):
        text += f" [{entry.default_text.replace('`', '') or entry.default}]"
    return text.replace("%", "%%")
