"""What the real Gunicorn says: run as a script by `test_table.py`, in a process of its own.

Gunicorn reads the environment when it is imported, and our tests put look-alikes of its modules into `sys.modules`:
neither must meet the other. In: a JSON object of questions on stdin. Out: the answers as JSON on stdout.
"""

import contextlib
import io
import json
import ssl
import sys
import warnings

import gunicorn
from gunicorn import config

NAMES = {"ssl": ssl}


def main() -> None:
    warnings.simplefilter("ignore")
    questions = json.load(sys.stdin)
    parser = config.Config().parser()
    with contextlib.redirect_stderr(io.StringIO()):
        answers = {
            "version": gunicorn.__version__,
            "settings": [described(setting) for setting in config.KNOWN_SETTINGS],
            "words": [meaning(words, parser) for words in questions["words"]],
            "values": [outcome(name, text) for name, text in questions["values"]],
            "arguments": [outcome_of_words(words, parser) for words in questions["arguments"]],
        }
    json.dump(answers, sys.stdout)


def described(setting):
    return {
        "name": setting.name,
        "flags": list(setting.cli or ()),
        "takes_value": not (setting.action or "").startswith("store_"),
        "repeats": setting.action == "append",
        "default": jsonable(setting.default),
    }


def meaning(words, parser):
    """The setting that the first word means, or None when argparse does not take it."""
    try:
        given = vars(parser.parse_args(words))
    except SystemExit:
        return None
    return next((name for name, value in given.items() if name != "args" and value is not None), None)


def outcome(name, text):
    """[accepted, value] of a value in a configuration file; `text` is a Python expression."""
    found = config.Config()
    try:
        found.set(name, eval(text, dict(NAMES)))
        # Two have a property of the configuration beside the value that was set.
        shown = getattr(found, name) if name in ("sendfile", "proc_name") else found.settings[name].get()
    except Exception:  # noqa: BLE001  whatever it raises is a no
        return [False, None]
    return [True, jsonable(shown)]


def outcome_of_words(words, parser):
    """[accepted, value] of a value on the command line."""
    found = config.Config()
    try:
        given = vars(parser.parse_args(words))
        (name,) = (name for name, value in given.items() if name != "args" and value is not None)
        found.set(name, given[name])
    except (Exception, SystemExit):  # noqa: BLE001  as above
        return [False, None]
    return [True, jsonable(found.settings[name].get())]


def jsonable(value):
    if isinstance(value, list | tuple):
        return [jsonable(part) for part in value]
    return value if isinstance(value, str | int | None) else {"object": type(value).__name__}


if __name__ == "__main__":
    main()
