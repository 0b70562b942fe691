"""Settings -> the text of `--print-config`: every value with where it came from, one line each."""

from collections.abc import Mapping

from ostler.config.sections import ENTRIES, TABLE
from ostler.config.setting import Section, Setting
from ostler.config.settings import Settings

_IN_OCTAL = ("umask", "control_socket_mode")


def describe_settings(settings: Settings) -> str:
    """One line each, in the table's order: `name = value  (origin)`.

    Left out are hooks that are not set, and settings without an effect that nobody gave.
    """
    lines = [(entry.name, _value(settings, entry), settings.origin(entry.name)) for entry in _shown(settings)]
    name_width = max(len(name) for name, _, _ in lines)
    return "".join(f"{name:{name_width}} = {value}  ({origin})\n" for name, value, origin in lines)


def _shown(settings: Settings) -> list[Setting]:
    acting = [entry for entry in TABLE if entry.acts]
    return acting + [entry for entry in ENTRIES if entry not in acting and entry.name in settings.origins]


def _value(settings: Settings, entry: Setting) -> str:
    if not entry.acts:
        value = settings.others[entry.name]
    else:
        value = getattr(settings.hooks if entry.section is Section.HOOKS else settings, entry.name)
    if entry.name in _IN_OCTAL and isinstance(value, int):
        return f"{value:#05o}"
    return _text(value)


def _text(value: object) -> str:
    match value:
        case None | "":
            return "none"
        case tuple() | list():
            return ", ".join(_text(part) for part in value) or "none"
        case Mapping():
            return ", ".join(f"{name}: {_text(part)}" for name, part in value.items()) or "none"
        case type():
            return f"<class {value.__module__}.{value.__qualname__}>"
        case _ if callable(value):
            name = getattr(value, "__qualname__", type(value).__qualname__)
            return f"<{name}()>"
        case str():
            return value if value.isprintable() else repr(value)
        case _:
            return str(value)
