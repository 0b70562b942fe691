"""Constructors for the shapes of entries that come often: switches, and settings whose feature is not built yet.

A setting of a later feature stays in the table with its flags, so that Gunicorn's prefixes of flags keep their meaning
and a configuration that merely repeats a default starts. Nothing is parsed and ignored: any value but the one that
means "off" is an error that names what is missing. When the feature is built, the entry becomes an ordinary one.
"""

from collections.abc import Callable
from typing import Any

from ostler.config.parse import NotBuilt, read_integer, read_switch
from ostler.config.setting import FlagKind, ReloadEffect, Section, Setting, Support, Takes

LATER = "not built yet in this version"
_read_count = read_integer()


def switch(name: str, section: Section, flag: str, doc: str, *, reload: ReloadEffect, **more: Any) -> Setting:
    """A setting that is False unless its flag is given. `more`: other fields of `Setting`."""
    fields: dict[str, Any] = {"flags": (flag,), "kind": FlagKind.ON, "takes": Takes.SWITCH}
    fields |= {"read": read_switch, "default": False}
    return Setting(name=name, section=section, doc=doc, reload=reload, **(fields | more))


def later(name: str, section: Section, note: str, *, read: "Off", **more: Any) -> Setting:
    """A setting of a feature that is to come. `note` is the sentence of the error, without its full stop."""
    doc = f"{note[0].upper()}{note[1:]}."
    fields: dict[str, Any] = {"default": read.value, "support": Support.REFUSED, "note": note, "doc": doc}
    fields |= {"read": read.reader(note), "reload": ReloadEffect.RESTART}
    return Setting(name=name, section=section, **(fields | more))


class Off:
    """The values of a setting that mean the same as leaving it out: `value` and other spellings of it."""

    def __init__(self, value: object, *spellings: object) -> None:
        self.value = value
        self._known = [_plain(spelling) for spelling in (value, *spellings, None)]

    def reader(self, sentence: str) -> Callable[[object], object]:
        """A reader that accepts these values only."""

        def read(raw: object) -> object:
            if any(type(known) is type(_plain(raw)) and known == _plain(raw) for known in self._known):
                return self.value
            raise NotBuilt(sentence, raw)

        return read


class OffNumber(Off):
    """A number that only its default may be given for, in any spelling that `number` reads."""

    def __init__(self, value: int, *, number: Callable[[object], int] = _read_count) -> None:
        super().__init__(value)
        self._number = number

    def reader(self, sentence: str) -> Callable[[object], object]:
        """As in `Off`; text that is no number is a BadValue of its own kind."""

        def read(raw: object) -> object:
            if raw is None or self._number(raw) == self.value:
                return self.value
            raise NotBuilt(sentence, raw)

        return read


def _plain(raw: object) -> object:
    """Text in lower case without blanks, lists as tuples, so that equal spellings compare equal."""
    if isinstance(raw, str):
        return raw.replace(" ", "").lower()
    if isinstance(raw, list | tuple):
        return tuple(_plain(part) for part in raw)
    return raw


OFF_TEXT = Off(None, "")
OFF_LIST = Off((), [], "")
OFF_SWITCH = Off(False, "false")
