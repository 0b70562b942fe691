"""Table of settings + surface of Gunicorn -> docs/reference/compatibility.md: what works, differs or is refused.

The facts are not here: for settings and hooks they are in src/ostler/config/sections, for the rest in tests/compat, of
whose rows each has a test. So the page cannot promise what the code does not do. `make docs` writes it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from ostler.config.sections import ENTRIES
from ostler.config.setting import Section, Setting, Support
from tests.compat.covering import files_of
from tests.compat.rows import Judged, WorkerClass
from tests.compat.surface import ENVIRON, HOOKS, VARIABLES, WORKER_CLASSES
from tests.compat.surface_running import ATOMS, COMMANDS, EXIT_CODES, METRICS, SIGNALS
from tests.compat.surface_settings import GUNICORN_VERSION

_HEADING: Final = """\
# Compatibility with Gunicorn

<!-- Made from src/ostler/config/sections and tests/compat by `make docs`; do not edit. -->

What Gunicorn {version} offers to those who run it, row by row, and the tests that show what Ostler makes of it.

- The {settings} settings of Gunicorn {version}, hooks among them: {of_settings}.
- The {others} other rows, of its environment, workers, signals, commands and logs: {of_others}.

The words:

- **works**: the same name, value and meaning.
- **differs**: works, but for what the note says.
- **refused**: belongs to a feature that is not built yet. Gunicorn's default may be given; any other value is an error
  that names the setting, and never ignored. What is no setting is not there.
- **unused**: means nothing here. A setting is accepted with one info line in the error log.

Behaviour that is not a matter of rows is compared in
[differences-from-gunicorn.md](../explanation/differences-from-gunicorn.md); what each setting does is in
[settings.md](settings.md).
"""
_VERBS: Final = {
    Support.WORKS: "work",
    Support.DIFFERS: "differ",
    Support.REFUSED: "are refused",
    Support.UNUSED: "are unused",
}
_OURS: Final = """
## Ostler's own settings

Settings that Gunicorn does not have. No flag of theirs makes a prefix ambiguous that is unique among Gunicorn's flags.
"""
_ATOMS_TEXT: Final = """\
As `%(h)s` in `access_log_format`. Quotes are escaped as Gunicorn does; control characters and what is beyond latin-1
are too.
"""
_METRICS_TEXT: Final = """\
With `statsd_host`. With a `logger_class` of your own, that class decides, as in Gunicorn.
"""

AnyRow = TypeVar("AnyRow", bound=Judged)


@dataclass(frozen=True)
class Chapter:
    """One table of the page. columns: heading -> the cell of each row; verdict, note and tests follow."""

    title: str
    columns: dict[str, list[str]]
    rows: tuple[Judged, ...]
    text: str = ""


def _code(text: str) -> str:
    return f"`{text}`"


def _worker_name(row: WorkerClass) -> str:
    return {"egg": "entry point", "class": "path"}.get(row.alias) or _code(row.alias)


def _chapter(
    title: str, rows: tuple[AnyRow, ...], columns: dict[str, Callable[[AnyRow], str]], text: str = ""
) -> Chapter:
    return Chapter(title, {head: [cell(row) for row in rows] for head, cell in columns.items()}, rows, text)


CHAPTERS: Final = (
    _chapter(
        "Environment variables", VARIABLES, {"variable": lambda row: _code(row.name), "effect": lambda row: row.effect}
    ),
    _chapter(
        "Worker classes", WORKER_CLASSES, {"`-k`": _worker_name, "class": lambda row: _code(row.path)}
    ),
    _chapter(
        "The application's environ", ENVIRON, {"key": lambda row: _code(row.name), "meaning": lambda row: row.meaning}
    ),
    _chapter(
        "Signals",
        SIGNALS,
        {"signal": lambda row: row.name, "to the": lambda row: row.process, "meaning": lambda row: row.meaning},
    ),
    _chapter("Commands", COMMANDS, {"command": lambda row: _code(row.name), "what": lambda row: row.meaning}),
    _chapter(
        "Exit statuses of the master",
        EXIT_CODES,
        {"status": lambda row: row.name.split(" ", 1)[0], "cause": lambda row: row.meaning},
    ),
    _chapter(
        "Atoms of the access log",
        ATOMS,
        {"atom": lambda row: _code(row.name), "meaning": lambda row: row.meaning},
        _ATOMS_TEXT,
    ),
    _chapter(
        "Metrics", METRICS, {"metric": lambda row: _code(row.name), "meaning": lambda row: row.meaning}, _METRICS_TEXT
    ),
)
"""Everything but settings and hooks."""


def render() -> str:
    """The whole page."""
    theirs = [entry for entry in ENTRIES if entry.gunicorn]
    others = [row.verdict.support for chapter in CHAPTERS for row in chapter.rows]
    heading = _HEADING.format(
        version=GUNICORN_VERSION,
        settings=len(theirs),
        of_settings=_counts(entry.support for entry in theirs),
        others=len(others),
        of_others=_counts(others),
    )
    parts = [heading, "\n## Settings\n"]
    for section in Section:
        entries = [entry for entry in theirs if entry.section is section and section is not Section.HOOKS]
        if entries:
            rows = ((_code(e.name), _flags(e), *_judged(e.support, e.note, f"setting:{e.name}")) for e in entries)
            parts += [f"\n### {section.value}\n\n", *_table(("setting", "flag", "", "note", "test"), rows)]
    own = ((_code(e.name), _flags(e), e.summary, _tests(f"setting:{e.name}")) for e in ENTRIES if not e.gunicorn)
    parts += [_OURS, "\n", *_table(("setting", "flag", "what it does", "test"), own)]
    parts += ["\n## Hooks\n\n", *_table(("hook", "arguments", "runs in", "", "note", "test"), _hooks(theirs))]
    for chapter in CHAPTERS:
        parts += [f"\n## {chapter.title}\n\n", f"{chapter.text}\n" if chapter.text else ""]
        parts += _table((*chapter.columns, "", "note", "test"), _rows(chapter))
    return "".join(parts)


def _hooks(entries: Iterable[Setting]) -> Iterator[tuple[str, ...]]:
    table = {entry.name: entry for entry in entries}
    for hook in HOOKS:
        entry = table[hook.name]
        yield (_code(hook.name), hook.arguments, hook.process, *_judged(entry.support, entry.note, hook.key))


def _rows(chapter: Chapter) -> Iterator[tuple[str, ...]]:
    for row, *cells in zip(chapter.rows, *chapter.columns.values(), strict=True):
        yield (*cells, *_judged(row.verdict.support, row.verdict.note, row.key))


def _judged(support: Support, note: str, key: str) -> tuple[str, str, str]:
    return support.value, note, _tests(key)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for cells in (heads, ("---",) * len(heads), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _counts(supports: Iterable[Support]) -> str:
    counted = Counter(supports)
    return ", ".join(f"{counted[support]} {verb}" for support, verb in _VERBS.items())


def _tests(key: str) -> str:
    """Links to the files of the tests that show a row."""
    return ", ".join(f"[{path.rpartition('/test_')[2].removesuffix('.py')}](../../{path})" for path in files_of(key))


def _flags(entry: Setting) -> str:
    return ", ".join(_code(flag) for flag in entry.flags)
