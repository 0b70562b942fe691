"""The table -> docs/reference/settings.md, and the texts of `ostler settings`.

    python -m ostler.config.reference > docs/reference/settings.md

A test compares the page with what this makes, so an entry that changes takes the page along.
"""

import shutil
import sys
import textwrap
from collections.abc import Iterator

from ostler.config.sections import ENTRIES
from ostler.config.setting import FlagKind, Section, Setting, Support

_HEADING = """\
# Settings

<!-- Made from src/ostler/config/sections by `python -m ostler.config.reference`; do not edit. -->

A setting is given, from the weakest source to the strongest: by its default, by variables that Gunicorn knows (`PORT`,
`WEB_CONCURRENCY`, ...), by a PasteDeploy file, in the configuration file, by its own variable (`OSTLER_WORKERS` for
`workers`), in `GUNICORN_CMD_ARGS`, in `OSTLER_CMD_ARGS`, on the command line. `ostler --print-config APP` prints every
value with its source, `ostler settings NAME` what is said here. Names, flags and values are Gunicorn's unless marked
*Ostler's own*; [compatibility.md](compatibility.md) lists what differs from Gunicorn. For editors, the JSON schema of
`ostler.toml` is in [ostler.schema.json](ostler.schema.json); `ostler settings --json` prints it.

Numbers are decimal or have a prefix (`0x10`). In a configuration file a boolean may also be the text `"true"` or
`"false"`. A flag may be cut short as long as it is unambiguous.

"On HUP" says what a reload does when the value has changed. Values from the environment and the command line are those
of the start: only files can change them at a reload.
"""
_NAME_WIDTH = 38
_MOST_COLUMNS = 120


def render() -> str:
    """The whole page."""
    return _HEADING + "".join(part for section in Section for part in _chapter(section))


def list_settings() -> str:
    """Every setting with the first sentence of its text, by chapter, as wide as the terminal."""
    lines = []
    for section in Section:
        lines += ["", f"{section.value}:"]
        for entry in _entries(section):
            line = f"  {entry.name:{_NAME_WIDTH - 3}} {_plain(entry.summary)}"
            lines += textwrap.wrap(line, _columns(), subsequent_indent=" " * _NAME_WIDTH)
    return "\n".join([*lines[1:], "", "ostler settings NAME says all about one of them.", ""])


def describe_setting(entry: Setting) -> str:
    """All about one setting, for the terminal."""
    facts = [f"{label}: {_plain(text)}" for label, text in _facts(entry)]
    wrapped = [textwrap.fill(fact, _columns(), subsequent_indent="    ", initial_indent="  ") for fact in facts]
    text = textwrap.fill(_plain(entry.doc), _columns())
    return "\n".join([f"{entry.name} ({entry.section.value})", *wrapped, "", text, ""])


def _columns() -> int:
    return min(max(shutil.get_terminal_size().columns, 2 * _NAME_WIDTH), _MOST_COLUMNS)


def _plain(markdown: str) -> str:
    return markdown.replace("`", "")


def _chapter(section: Section) -> Iterator[str]:
    yield f"\n## {section.value}\n"
    yield from (_entry(entry) for entry in _entries(section))


def _entries(section: Section) -> list[Setting]:
    """Those of one chapter; what does not act comes last."""
    entries = [entry for entry in ENTRIES if entry.section is section]
    return sorted(entries, key=lambda entry: not entry.acts)


def _entry(entry: Setting) -> str:
    mark = "" if entry.gunicorn else " (Ostler's own)"
    facts = "\n".join(f"- {label}: {text}" for label, text in _facts(entry))
    return f"\n### `{entry.name}`{mark}\n\n{facts}\n\n{entry.doc}\n"


def _facts(entry: Setting) -> Iterator[tuple[str, str]]:
    if entry.section is not Section.HOOKS:
        yield "Flag", flags_text(entry)
        if entry.env is not None:
            yield "Environment", f"`{entry.env}`"
        if entry.choices and entry.acts:
            yield "One of", ", ".join(f"`{choice}`" for choice in entry.choices)
        yield "Default", default_text(entry)
    if entry.acts:
        yield "On HUP", entry.reload.value
    if entry.support is Support.DIFFERS:
        yield "Differs from Gunicorn", entry.note
    elif entry.support is Support.REFUSED and default_text(entry) != "none":
        yield "Accepts", "the default only"
    elif entry.support is Support.REFUSED:
        yield "Accepts", "nothing"


def flags_text(entry: Setting) -> str:
    """The flags of an entry, as Markdown."""
    if not entry.flags:
        return "none"
    value = f" {entry.metavar}" if entry.kind in (FlagKind.VALUE, FlagKind.REPEAT) else ""
    value = f" [{entry.metavar}]" if entry.kind is FlagKind.OPTIONAL else value
    repeat = " (may be repeated)" if entry.kind is FlagKind.REPEAT else ""
    return ", ".join(f"`{flag}{value}`" for flag in entry.flags) + repeat


def default_text(entry: Setting) -> str:
    """The default of an entry, as Markdown."""
    if entry.default_text:
        return entry.default_text
    if entry.default in (None, "", ()):
        return "none"
    return f"`{entry.default:#05o}`" if entry.name == "control_socket_mode" else f"`{entry.default}`"


if __name__ == "__main__":
    sys.stdout.write(render())
