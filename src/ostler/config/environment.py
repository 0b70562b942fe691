"""One variable for each setting: `OSTLER_WORKERS=4`, `OSTLER_BIND=":8000"`, `OSTLER_RELOAD=yes`.

Text becomes the raw value that would stand in a configuration file; the setting's reader does the rest.

    switches                    true false 1 0 yes no on off, in any case
    flags that may be repeated  words as in a shell: OSTLER_RAW_ENV="A=1 'B=two words'"
    tables                      a JSON object: OSTLER_SECURE_SCHEME_HEADERS='{"X-FORWARDED-PROTO": "https"}'
    everything else             as on the command line: lists by commas, hooks as MODULE.NAME

An empty variable is an empty value and not an absent one: OSTLER_FORWARDED_ALLOW_IPS= trusts nobody.
"""

import json
import shlex
from collections.abc import Iterator, Mapping

from ostler.config.nearmiss import meant_setting
from ostler.config.parse import BadValue
from ostler.config.sections import ENTRIES
from ostler.config.setting import FlagKind, Setting, Takes

PREFIX = "OSTLER_"
_WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_SETTINGS = {PREFIX + entry.name.upper(): entry for entry in ENTRIES}
# Variables that are no settings: more arguments, which build of the parser to use, the hand-over of a test.
_OTHERS = frozenset({"OSTLER_CMD_ARGS", "OSTLER_PURE", "OSTLER_READY_FD"})


def variable_of(entry: Setting) -> str:
    """The name of the setting's variable."""
    return PREFIX + entry.name.upper()


def given_in(environ: Mapping[str, str]) -> Iterator[tuple[str, Setting, str]]:
    """(variable, setting, text) for each setting that has its variable, in the table's order."""
    for variable, entry in _SETTINGS.items():
        if variable in environ:
            yield variable, entry, environ[variable]


def notices_of(environ: Mapping[str, str]) -> Iterator[str]:
    """A line for each variable that is no setting but nearly one."""
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in _SETTINGS or variable in _OTHERS:
            continue
        meant = meant_setting(variable.removeprefix(PREFIX))
        if meant is not None:
            yield f"{variable}: not a setting; did you mean {PREFIX}{meant.upper()}? (from the environment)"


def raw_value(entry: Setting, text: str) -> object:
    """The raw value that `text` stands for. Raises BadValue."""
    if entry.takes is Takes.TABLE:
        return _table(text)
    if entry.takes is Takes.SWITCH:
        return _switch(text)
    if entry.kind is FlagKind.REPEAT:
        return _shell_words(text)
    return text


def _switch(text: str) -> bool:
    try:
        return _WORDS[text.strip().lower()]
    except KeyError:
        raise BadValue("one of true, false, 1, 0, yes, no, on, off", text) from None


def _shell_words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise BadValue("words as in a shell", text, str(error).lower()) from None


def _table(text: str) -> object:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise BadValue("a JSON object", text, str(error).lower()) from None
    if not isinstance(found, dict):
        raise BadValue("a JSON object", text)
    return found
