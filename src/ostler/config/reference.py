"""The table -> docs/reference/settings.md.

    python -m ostler.config.reference > docs/reference/settings.md

A test compares the page with what this makes, so an entry that changes takes the page along.
"""

import sys
from collections.abc import Iterator

from ostler.config.refused import REFUSED
from ostler.config.sections import ENTRIES
from ostler.config.setting import FlagKind, Section, Setting

_HEADING = """\
# Settings

<!-- Made from src/ostler/config/sections by `python -m ostler.config.reference`; do not edit. -->

A setting is given, from the weakest source to the strongest: by its default, in the environment, in the configuration
file, in `GUNICORN_CMD_ARGS`, in `OSTLER_CMD_ARGS`, on the command line. `ostler --print-config APP` prints every value
with its source. Names, flags and values are Gunicorn's unless marked *Ostler's own*.

Numbers are decimal or have a prefix (`0x10`). In a configuration file a boolean may also be the text `"true"` or
`"false"`. A flag may be cut short as long as it is unambiguous.

"On HUP" says what a reload does when the value has changed. Values from the environment and the command line are those
of the start: only the configuration file can change them at a reload.
"""


def render() -> str:
    """The whole page."""
    return _HEADING + "".join(part for section in Section for part in _chapter(section)) + _refused()


def _chapter(section: Section) -> Iterator[str]:
    yield f"\n## {section.value}\n"
    for entry in ENTRIES:
        if entry.section is section:
            yield _entry(entry)


def _entry(entry: Setting) -> str:
    mark = "" if entry.gunicorn else " (Ostler's own)"
    lines = [f"\n### `{entry.name}`{mark}\n"]
    if entry.section is not Section.HOOKS:
        lines.append(f"- Flag: {_flags(entry)}")
        if entry.env is not None:
            lines.append(f"- Environment: `{entry.env}`")
        lines.append(f"- Default: {_default(entry)}")
    lines.append(f"- On HUP: {entry.reload.value}")
    return "\n".join(lines) + f"\n\n{entry.doc}\n"


def _flags(entry: Setting) -> str:
    if not entry.flags:
        return "none; in the configuration file only"
    value = f" {entry.metavar}" if entry.kind in (FlagKind.VALUE, FlagKind.REPEAT) else ""
    repeat = " (may be repeated)" if entry.kind is FlagKind.REPEAT else ""
    return ", ".join(f"`{flag}{value}`" for flag in entry.flags) + repeat


def _default(entry: Setting) -> str:
    return entry.default_text or f"`{entry.default}`"


def _refused() -> str:
    names = ", ".join(f"`{entry.name}`" for entry in sorted(REFUSED, key=lambda entry: entry.name))
    heading = "Gunicorn's settings that are refused"
    return f"\n## {heading}\n\nNot built yet in this version; wherever one is given, an error names it: {names}.\n"


if __name__ == "__main__":
    sys.stdout.write(render())
