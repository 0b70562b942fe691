"""The table against the real Gunicorn: every setting, flag, default, prefix of a flag, and the values it takes.

A difference is a defect unless it stands in one of the lists of `allowed_differences.py` with its reason.
"""

import json
import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from ostler.config.address import AllowList
from ostler.config.arguments import Answered, parse_arguments
from ostler.config.parse import BadValue
from ostler.config.sections import ENTRIES, HOOKS, TABLE
from ostler.config.setting import FlagKind, Support
from ostler.config.settings import resolve
from ostler.errors import ConfigError, UsageError
from tests.compat.surface_settings import GUNICORN_VERSION
from tests.unit.config.allowed_differences import LOOSER, OTHER_DEFAULTS, OTHER_VALUES, STRICTER

BY_NAME = {entry.name: entry for entry in ENTRIES}
THEIRS = [entry.name for entry in ENTRIES if entry.gunicorn]
FLAGS = [flag for entry in TABLE if entry.gunicorn for flag in entry.flags]
PREFIXES = sorted({flag[:length] for flag in FLAGS for length in range(2, len(flag) + 1)} - {"--"})

# Python expressions that are tried for every setting, as if they stood in a configuration file.
VALUES = (
    "None",
    "True",
    "False",
    "0",
    "1",
    "16384",
    "-1",
    "1.5",
    "''",
    "' '",
    "'true'",
    "'FALSE'",
    "'5'",
    "' 7 '",
    "'0x10'",
    "'0o22'",
    "'-'",
    "'off'",
    "'auto'",
    "'h1'",
    "'some text'",
    "'KEY=value'",
    "'/tmp'",
    "'127.0.0.1'",
    "'10.0.0.0/8, ::1'",
    "'192.168.1.1/24'",
    "'*'",
    "'localhost:8125'",
    "'unix:///tmp/s'",
    "'root'",
    "'no-such-name'",
    "'inotify'",
    "'INFO'",
    "'Drop'",
    "'local3'",
    "'os.getcwd'",
    "'no.such.module'",
    "[]",
    "['KEY=value', 'OTHER=']",
    "[1]",
    "{}",
    "{'X': 'y'}",
    "{'version': 1}",
    "lambda: None",
    "lambda a: None",
    "lambda a, b: None",
    "lambda a, b, c: None",
    "lambda a, b, c, d: None",
    "lambda a, b=1: None",
    "lambda *a: None",
    "int",
    "object()",
    "ssl.CERT_NONE",
)
# Words after a flag on the command line.
WORDS = ("5", "010", "022", "0x10", "0o22", "08", " 6 ", "true", "-", "root", "auto", "KEY=v", "a.b", "/tmp", "", "-1")

BY_FLAG = {flag: entry for entry in TABLE for flag in entry.flags}
ARGUMENTS = [
    [flag, word]
    for flag in FLAGS
    if BY_FLAG[flag].kind in (FlagKind.VALUE, FlagKind.REPEAT, FlagKind.OPTIONAL)
    for word in WORDS
]


@pytest.fixture(scope="module")
def gunicorn():
    """The answers of `gunicorn_answers.py` to everything that is asked in this file."""
    questions = {
        "words": [[prefix, "1"] for prefix in PREFIXES],  # after a switch, the 1 is APP
        "values": [(name, text) for name in THEIRS for text in VALUES],
        "arguments": ARGUMENTS,
    }
    clean = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    command = [sys.executable, str(Path(__file__).with_name("gunicorn_answers.py"))]
    done = subprocess.run(command, input=json.dumps(questions), env=clean, capture_output=True, text=True, check=True)
    return questions | {"answers": json.loads(done.stdout)}


def test_it_is_the_gunicorn_that_the_pages_speak_of(gunicorn):
    assert gunicorn["answers"]["version"] == GUNICORN_VERSION


def test_every_setting_of_gunicorn_is_in_the_table_and_the_other_way_round(gunicorn):
    assert sorted(setting["name"] for setting in gunicorn["answers"]["settings"]) == sorted(THEIRS)
    assert len(BY_NAME) == len(ENTRIES)


def test_every_flag_is_the_same_and_takes_values_in_the_same_way(gunicorn):
    for theirs in gunicorn["answers"]["settings"]:
        entry = BY_NAME[theirs["name"]]
        assert list(entry.flags) == theirs["flags"]
        if entry.flags:
            assert (entry.kind not in (FlagKind.ON, FlagKind.OFF)) == theirs["takes_value"], entry.name
            assert (entry.kind is FlagKind.REPEAT) == theirs["repeats"], entry.name


def test_every_default_is_the_same_or_listed_with_its_reason(gunicorn):
    other = set()
    for theirs in gunicorn["answers"]["settings"]:
        entry = BY_NAME[theirs["name"]]
        known = theirs["default"]
        raw = list(entry.default) if isinstance(entry.default, tuple) else entry.default
        if entry.name in ("user", "group"):  # Gunicorn asks the system when it is imported, we when we read
            known = None if known == (os.geteuid() if entry.name == "user" else os.getegid()) else known
        if isinstance(known, dict):  # a function, for hooks; or a dict
            same = entry in HOOKS or isinstance(raw, dict)
        else:
            same = raw == known or [raw] == known or (not raw and not known)
        if not same:
            other.add(entry.name)
    assert other == OTHER_DEFAULTS.keys()


def test_every_prefix_that_gunicorn_takes_means_the_same_here_and_no_other_is_taken(gunicorn):
    """Exhaustive: each beginning of each flag."""
    theirs = gunicorn["answers"]["words"]
    asked = [words[0] for words in gunicorn["words"]]
    ours = [meaning(words) for words in gunicorn["words"]]
    assert [row for row in zip(asked, theirs, ours, strict=True) if row[1] != row[2]] == []
    assert sum(name is not None for name in theirs) > 700


def meaning(words):
    """The setting that the first word means here, or None."""
    try:
        values = parse_arguments(words, "here", takes_app=True).values
    except (UsageError, Answered):
        return None
    return next(iter(values), None)


@pytest.fixture(scope="module")
def compared(gunicorn):
    """(setting, what was tried, difference, ours, theirs) of every value, in files and on the command line."""
    rows = [(name, text, in_file(name, text)) for name, text in gunicorn["values"]]
    rows += [(BY_FLAG[flag].name, [flag, word], on_command_line(flag, word)) for flag, word in gunicorn["arguments"]]
    theirs = gunicorn["answers"]["values"] + gunicorn["answers"]["arguments"]
    return [
        (name, tried, difference(BY_NAME[name], ours, known), ours, known)
        for (name, tried, ours), known in zip(rows, theirs, strict=True)
    ]


def test_every_value_is_taken_alike_or_listed_with_its_reason(compared):
    listed = {"stricter": STRICTER, "looser": LOOSER, "other value": OTHER_VALUES, "": BY_NAME}
    unexplained = []
    for name, tried, kind, ours, theirs in compared:
        refused = BY_NAME[name].support is Support.REFUSED and kind == "stricter"
        if name not in listed[kind] and not refused:
            unexplained.append((name, tried, kind, ours, theirs))
    assert unexplained == []


def test_no_exception_is_listed_that_is_not_needed(compared):
    found = {(kind, name) for name, _, kind, _, _ in compared if BY_NAME[name].acts}
    for kind, listed in (("stricter", STRICTER), ("other value", OTHER_VALUES), ("looser", LOOSER)):
        needed = {name for different, name in found if different == kind}
        assert {name for name in listed if BY_NAME[name].acts} == needed


def difference(entry, ours, theirs):
    (we_accept, our_value), (they_accept, their_value) = ours, theirs
    if we_accept != they_accept:
        return "looser" if we_accept else "stricter"
    nothing = not our_value and not their_value
    if nothing or not entry.acts or isinstance(their_value, dict):  # a dict stands for an object, whose kind is all
        return ""
    return "" if our_value == their_value else "other value"


def in_file(name, text):
    """[accepted, value] of the Python expression `text` in a configuration file."""
    return outcome(name, eval(text, {"ssl": ssl}))


def on_command_line(flag, word):
    """[accepted, value] of the words `flag word`."""
    name = BY_FLAG[flag].name
    try:
        given = parse_arguments([flag, word], "here", takes_app=False).values
    except UsageError:
        return [False, None]
    return outcome(name, given[name])


def outcome(name, raw):
    entry = BY_NAME[name]
    try:
        settings = resolve({"wsgi_app": "app:application", name: entry.read(raw)}, {}, os.getcwd())
    except (BadValue, ConfigError):
        return [False, None]
    if not entry.acts:
        return [True, comparable(settings.others[name])]
    return [True, comparable(getattr(settings.hooks if entry in HOOKS else settings, name))]


def comparable(value):
    if isinstance(value, AllowList):
        return list(value.texts)
    return [comparable(part) for part in value] if isinstance(value, tuple) else value
