"""The command line and the *_CMD_ARGS variables: words -> raw values, by one parser made from the table.

The parser is plain argparse, as Gunicorn's is, because unique prefixes of flags work there (`--max-requests-j 5`) and
so must work here. It therefore knows every flag of Gunicorn; --help is silent about those that do nothing in this
version. Values stay text: `sources.py` reads them, and refuses what is not built.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import ostler
from ostler.config.sections import TABLE
from ostler.config.setting import FlagKind, Section, Setting, Takes
from ostler.errors import UsageError

_USAGE = (
    "ostler [OPTIONS] [APP]\n       ostler settings [NAME | --json]\n"
    "       ostler {status,workers,slow,stacks,reload,upgrade,scale,stop,log-level} [PID | --pid FILE | OPTIONS]\n"
    "       ostler control [-s SOCKET] [-c COMMAND]"
)
_EPILOG = (
    'APP is MODULE, MODULE:ATTRIBUTE or MODULE:FACTORY("literal", name=1). `ostler settings` lists every setting, also '
    "those without a flag; `ostler settings NAME` describes one. `ostler status` and those beside it talk to a server "
    "that runs; each tells more with --help. Gunicorn's flags that are not listed here are known, "
    "and either refused by name, as what they need is not built yet, or have nothing to act on."
)


_OURS = frozenset(entry.name for entry in TABLE if not entry.gunicorn)


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
    """Raises UsageError (words that are not understood), Answered."""
    namespace = _parser(place).parse_args(list(words))
    given: dict[str, Any] = {name: value for name, value in vars(namespace).items() if value is not None}
    apps: list[str] = given.pop("args")
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

    def _get_option_tuples(self, option_string: str) -> list[Any]:
        """What a prefix may stand for: a flag of ours never takes a prefix away from one of Gunicorn's."""
        found: list[Any] = super()._get_option_tuples(option_string)
        return [each for each in found if each[0].dest not in _OURS] or found


def plain_parser(usage: str | None, prog: str | None) -> argparse.ArgumentParser:
    """The parser as programs know it that embed the server: it answers by itself, and ends the process on an error.

    Values are as in `parse_arguments`, but integers where nothing else is possible; APP is in `args`.
    """
    parser = argparse.ArgumentParser(prog=prog, usage=usage)
    parser.add_argument("-v", "--version", action="version", version=f"%(prog)s (version {ostler.__version__})\n")
    parser.add_argument("args", nargs="*", help=argparse.SUPPRESS)
    for entry in TABLE:
        if entry.flags:
            shape = _shape(entry)
            if entry.takes in (Takes.INTEGER, Takes.INTEGER_OR_TEXT) and entry.kind is FlagKind.VALUE:
                shape["type"] = _number if entry.takes is Takes.INTEGER else _number_or_text
            parser.add_argument(*entry.flags, dest=entry.name, help=_help(entry), **shape)
    return parser


def _number(text: str) -> int:
    return int(text, 0) if text[:2].lower() == "0x" else int(text)


def _number_or_text(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


class _Answer(argparse.Action):
    """--help and --version: the answer is raised, so that only `cli.py` writes."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> NoReturn:
        text = f"ostler (version {ostler.__version__})\n" if self.dest == "version" else parser.format_help()
        raise Answered(text)


def _parser(place: str) -> _Parser:
    parser = _Parser(prog="ostler", usage=_USAGE, epilog=_EPILOG, add_help=False)
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
                text = _help(entry) if entry.acts else argparse.SUPPRESS
                group.add_argument(*entry.flags, dest=entry.name, help=text, **_shape(entry))
    return parser


def _shape(entry: Setting) -> dict[str, Any]:
    match entry.kind:
        case FlagKind.ON:
            return {"action": "store_const", "const": True}
        case FlagKind.OFF:
            return {"action": "store_const", "const": False}
        case FlagKind.OPTIONAL:
            return {"nargs": "?", "const": "auto", "metavar": entry.metavar}
        case FlagKind.REPEAT:
            return {"action": "append", "metavar": entry.metavar}
        case FlagKind.VALUE:
            return {"metavar": entry.metavar}


def _help(entry: Setting) -> str:
    text = entry.summary.replace("`", "")
    if entry.kind not in (FlagKind.ON, FlagKind.OFF):
        text += f" [{entry.default_text.replace('`', '') or entry.default}]"
    return text.replace("%", "%%")
