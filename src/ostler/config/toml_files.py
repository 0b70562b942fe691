"""TOML configuration: the whole of `ostler.toml`, or the table [tool.ostler] of a `pyproject.toml`. https://toml.io

A TOML file has no names of its own: a key that is no setting is an error (`sources.py`). Nothing of the user's runs.
"""

import os
import re
import tomllib

from ostler.config.parse import quoted
from ostler.errors import ConfigError

PROJECT_FILE = "pyproject.toml"
PROJECT_TABLE = "[tool.ostler]"
_PLACE = re.compile(r"^(?P<text>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$", re.DOTALL)
_ABOUT_US = re.compile(rb"""tool["']?\s*\.\s*["']?ostler\b""")


def is_toml(path: str) -> bool:
    """By its suffix."""
    return path.lower().endswith(".toml")


def read_toml(text: bytes, shown: str) -> dict[str, object]:
    """The settings of a TOML file named `shown`. Raises ConfigError with file:line:column for what is no TOML."""
    document = _parse(text, shown)
    if os.path.basename(shown) != PROJECT_FILE:
        return document
    table = _our_table(document)
    if table is None:
        raise ConfigError(f"config: expected a table {PROJECT_TABLE} in {shown}, got none; add it")
    if not isinstance(table, dict):
        raise ConfigError(f"config: expected tool.ostler to be a table, got {quoted(table)} (from {shown})")
    return table


def speaks_of_us(path: str) -> bool:
    """Whether the pyproject.toml at `path` has a [tool.ostler] table.

    A project's file is there for many tools, so one that cannot be read, or that is no TOML, is no matter of ours:
    unless the text of the broken one names our table. Then it counts, and reading it says what is wrong.
    """
    try:
        with open(path, "rb") as file:
            text = file.read()
    except OSError:
        return False
    try:
        return _our_table(_parse(text, path)) is not None
    except ConfigError:
        return _ABOUT_US.search(text) is not None


def _our_table(document: dict[str, object]) -> object:
    tools = document.get("tool")
    return tools.get("ostler") if isinstance(tools, dict) else None


def _parse(text: bytes, shown: str) -> dict[str, object]:
    try:
        return tomllib.loads(text.decode().replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        line, column = _position(text, error.start)
        raise ConfigError(f"config: {shown}:{line}:{column}: expected UTF-8 text, got another byte") from None
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.match(str(error))
        reason = place["text"] if place else str(error)
        if place and place["line"]:
            where = f"{place['line']}:{place['column']}"
        else:
            where = ":".join(str(number) for number in _position(text, len(text)))
        raise ConfigError(f"config: {shown}:{where}: expected TOML: {_sentence(reason)}") from None
    except RecursionError:
        raise ConfigError(f"config: {shown}: expected TOML, got brackets that are nested too deeply") from None


def _position(text: bytes, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of a byte."""
    before = text[:offset]
    return before.count(b"\n") + 1, offset - (before.rfind(b"\n") + 1) + 1


def _sentence(reason: str) -> str:
    """tomllib's words in the middle of a line; the names in them stay as they were written."""
    text = " ".join(reason.split())
    return text[:1].lower() + text[1:]
