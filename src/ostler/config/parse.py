"""Readers: the raw value of a setting -> the value that `Settings` holds.

A raw value is text (environment, command line) or any Python object (configuration file). A reader returns the typed
value or raises `BadValue`, which says what was expected, what was found and perhaps a cure; it knows neither the
setting's name nor where the value came from: `sources.py` adds both. Syntax is Gunicorn's (`gunicorn/config.py`).
Readers of addresses are in `address.py`, of hooks in `sections/hooks.py`.
"""

import re
from collections.abc import Callable, Mapping

import ostler

_SHOWN_CHARACTERS = 120


class BadValue(ValueError):
    """A value that does not fit its setting. `expected` is a noun phrase; `found` is the value as it was given."""

    def __init__(self, expected: str, found: object, cure: str = "") -> None:
        super().__init__(expected, found, cure)
        self.expected = expected
        self.found = found
        self.cure = cure

    def message(self, name: str, origin: str) -> str:
        """The whole line for the operator."""
        cure = f"; {self.cure}" if self.cure else ""
        return f"{name}: expected {self.expected}, got {quoted(self.found)} (from {origin}){cure}"


class NotAnInteger(BadValue):
    """Text on a command line where an integer belongs: a usage error there (exit status 2), as argparse has it."""


class NotBuilt(BadValue):
    """A value that asks for a feature of a later version. `sentence` names the feature: "TLS is not built yet in this
    version"; the entry of the table has the same one as its note.
    """

    def __init__(self, sentence: str, found: object) -> None:
        super().__init__("the value that turns it off", found)
        self.sentence = sentence

    def message(self, name: str, origin: str) -> str:
        """The whole line for the operator."""
        return f"{name}: {self.sentence} of Ostler ({ostler.__version__}); remove it (from {origin})"


def quoted(value: object) -> str:
    """A value for an error line: text in double quotes, anything else as Python shows it; one line, cut short."""
    if isinstance(value, str):
        text = f'"{value}"' if value.isprintable() else '"' + repr(value)[1:-1] + '"'
    else:
        try:
            text = repr(value)
        except Exception as error:  # noqa: BLE001  repr() of the user's own object
            text = f"<{type(value).__name__} object whose repr() raised {type(error).__name__}>"
        text = " ".join(text.split())
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."


def read_bool(raw: object) -> bool:
    """True, False, or the words "true" and "false" in any case."""
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.strip().lower() in ("true", "false"):
        return raw.strip().lower() == "true"
    raise BadValue('True, False, "true" or "false"', raw)


def read_switch(raw: object) -> bool:
    """As `read_bool`; None is False: files say `reload = os.environ.get("RELOAD")`, and Gunicorn takes it so."""
    return False if raw is None else read_bool(raw)


def read_integer(at_least: int = 0, *, at_most: int | None = None) -> Callable[[object], int]:
    """A reader of integers: an int, decimal text, or text with a 0x, 0o or 0b prefix."""
    expected = "a positive integer" if at_least == 1 else f"an integer of {at_least} or more"
    if at_most is not None:
        expected = f"an integer from {at_least} to {at_most}"

    def read(raw: object) -> int:
        number = _integer(raw, expected)
        if number < at_least or (at_most is not None and number > at_most):
            raise BadValue(expected, raw)
        return number

    return read


def read_seconds(raw: object) -> float:
    """A time of 0 or more, with decimals or without."""
    expected = "a number of seconds, 0 or more"
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise BadValue(expected, raw)
    try:
        seconds = float(raw)
    except (ValueError, OverflowError):
        raise BadValue(expected, raw) from None
    if not 0 <= seconds < float("inf"):
        raise BadValue(expected, raw)
    return seconds


def _integer(raw: object, expected: str) -> int:
    if isinstance(raw, int):
        return int(raw)
    if not isinstance(raw, str):
        raise BadValue(expected, raw)
    # Base 10 first: "010" on a command line is ten, and only a prefix may change the base.
    for base in (10, 0):
        try:
            return int(raw, base)
        except ValueError:
            continue
    raise NotAnInteger(expected, raw)


def read_text(raw: object) -> str:
    """Text that is not empty, without surrounding blanks."""
    if isinstance(raw, str) and raw.strip():
        return raw.strip()
    raise BadValue("text", raw)


def read_optional_text(raw: object) -> str | None:
    """As `read_text`; None is unset."""
    return None if raw is None else read_text(raw)


def read_text_if_any(raw: object) -> str | None:
    """As `read_text`; None and empty text are unset, as files say `proc_name = os.environ.get("NAME", "")`."""
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        return None
    return read_text(raw)


def read_any_text(raw: object) -> str:
    """Text that may be empty, without surrounding blanks; None is empty text."""
    return read_text_if_any(raw) or ""


def read_path_if_any(raw: object) -> str | None:
    """As `read_path`; None and empty text are unset."""
    return None if read_text_if_any(raw) is None else read_path(raw)


def read_path(raw: object) -> str:
    """The name of a file; it need not exist."""
    if isinstance(raw, str) and raw.strip() and "\0" not in raw:
        return raw.strip()
    raise BadValue("a path", raw)


def read_log_target(raw: object) -> str:
    """The name of a file, or `-` for the standard stream."""
    if isinstance(raw, str) and raw.strip() and "\0" not in raw:
        return raw.strip()
    raise BadValue('a path or "-"', raw)


def read_error_target(raw: object) -> str:
    """As `read_log_target`; None is `-`: Gunicorn then writes warnings to stderr, by a default of Python's logging."""
    return "-" if raw is None else read_log_target(raw)


def read_optional_log_target(raw: object) -> str | None:
    """As `read_log_target`; None is off."""
    return None if raw is None else read_log_target(raw)


def read_choice(*choices: str) -> Callable[[object], str]:
    """A reader of one word out of a few, in any case."""
    expected = f"{', '.join(choices[:-1])} or {choices[-1]}"

    def read(raw: object) -> str:
        if isinstance(raw, str) and raw.strip().lower() in choices:
            return raw.strip().lower()
        raise BadValue(expected, raw)

    return read


def read_list(raw: object) -> tuple[str, ...]:
    """Words separated by commas; None or empty text is an empty list."""
    if raw is None:
        return ()
    if not isinstance(raw, str):
        raise BadValue("text with commas between the entries", raw)
    return tuple(entry.strip() for entry in raw.split(",") if entry.strip())


def read_texts(raw: object) -> tuple[str, ...]:
    """A list of texts, or one text; None, empty text and an empty list are none."""
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        return ()
    texts = [raw] if isinstance(raw, str) else raw
    if not isinstance(texts, list | tuple):
        raise BadValue("text or a list of texts", raw)
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise BadValue("a list of texts that are not empty", raw)
    return tuple(text.strip() for text in texts)


def read_names(raw: object) -> tuple[str, ...]:
    """Field names separated by commas, made upper case."""
    return tuple(name.upper() for name in read_list(raw))


def read_scheme_fields(raw: object) -> dict[str, str]:
    """A dict of field name -> value; names are made upper case."""
    if not isinstance(raw, Mapping):
        raise BadValue("a dict of field names and values", raw)
    for name, value in raw.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise BadValue("a dict whose names and values are text", raw)
    return {name.strip().upper(): value for name, value in raw.items()}


def read_table(raw: object) -> dict[str, object]:
    """A dict whose keys are text."""
    if not isinstance(raw, Mapping):
        raise BadValue("a dict", raw)
    for name in raw:
        if not isinstance(name, str):
            raise BadValue("a dict whose keys are text", raw)
    return dict(raw)


def read_mode(raw: object) -> int:
    """Permission bits: an int (`0o022`), or text, octal when it begins with a zero ("022", "0022", "0o22"), as Gunicorn
    reads it; other text is decimal.
    """
    expected = "permission bits such as 0o022"
    text = raw.strip() if isinstance(raw, str) else ""
    if re.fullmatch("0[0-9]+", text):
        text = f"0o{text}"
    number = _integer(text if text else raw, expected)
    if not 0 <= number <= 0o777:
        raise BadValue(expected, raw, "the least is 0, the most is 0o777")
    return number
