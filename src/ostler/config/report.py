"""Settings -> the text of `--print-config`: every value with where it came from."""

from ostler.config.sections import HOOKS, TABLE
from ostler.config.settings import Settings


def describe_settings(settings: Settings) -> str:
    """One line each, in the table's order: `name = value  (origin)`; unset hooks are left out."""
    lines = [(entry.name, _text(getattr(settings, entry.name)), settings.origin(entry.name)) for entry in TABLE]
    for entry in HOOKS:
        hook = getattr(settings.hooks, entry.name)
        if hook is not None:
            name = getattr(hook, "__qualname__", type(hook).__qualname__)
            lines.append((entry.name, f"<{name}()>", settings.origin(entry.name)))
    name_width = max(len(name) for name, _, _ in lines)
    return "".join(f"{name:{name_width}} = {value}  ({origin})\n" for name, value, origin in lines)


def _text(value: object) -> str:
    match value:
        case tuple():
            return ", ".join(str(part) for part in value)
        case dict():
            return ", ".join(f"{name}: {part}" for name, part in value.items())
        case _:
            return str(value)
