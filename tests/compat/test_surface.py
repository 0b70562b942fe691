"""Every row of the surface has a test, and every setting stands in our table as in Gunicorn's."""

import pytest

from docs.compatibility import CHAPTERS, render
from ostler.config.sections import ENTRIES
from ostler.config.setting import Support
from tests.compat.covering import ELSEWHERE, covered_here, covers
from tests.compat.rows import Hook
from tests.compat.surface import HOOKS, ROWS
from tests.compat.surface_settings import GUNICORN_VERSION, MACHINE, OWN_SETTINGS, SETTINGS, Setting
from tests.integration.harness import ROOT

BY_NAME = {entry.name: entry for entry in ENTRIES}
OURS_DIFFER = {
    "keepalive": 75,  # Gunicorn closes after 2 s, before most proxies do, which makes their 502s
    "sendfile": True,  # Gunicorn says None and means on
    "default_proc_name": None,  # the application's name, which Gunicorn puts there later
    "pythonpath": "",  # Gunicorn says None
}
"""Defaults that are not Gunicorn's, each with its reason."""


def has_a_test(key: str) -> bool:
    return key in ELSEWHERE or bool(covered_here().get(key))


@pytest.mark.parametrize("key", ROWS)
def test_every_row_has_a_test(key: str) -> None:
    assert has_a_test(key), f"{key}: nothing shows it: write its test, marked with @covers"


def test_a_row_without_a_test_is_found() -> None:
    assert not has_a_test("setting:of_tomorrow")


def test_a_test_of_a_row_that_is_not_there_is_found() -> None:
    with pytest.raises(KeyError):
        covers("setting:of_tomorrow")(test_a_row_without_a_test_is_found)


def test_tests_that_are_named_elsewhere_exist() -> None:
    for key, place in ELSEWHERE.items():
        path, _, name = place.partition("::")
        assert key in ROWS, f"{key} is no row"
        assert f"\ndef {name}(" in (ROOT / path).read_text(), f"{key}: {path} has no {name}"


def test_a_row_is_shown_in_one_place() -> None:
    assert ELSEWHERE.keys() & covered_here().keys() == set()


def test_the_surface_is_whole() -> None:
    assert len(SETTINGS) == 100
    assert len(HOOKS) == 20
    assert len(ROWS) == len(set(ROWS))


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.name)
def test_a_setting_has_the_flags_and_the_default_of_gunicorn(row: Setting) -> None:
    entry = BY_NAME[row.name]
    assert entry.gunicorn
    assert set(entry.flags) == set(row.flags.split())
    assert entry.env == (row.env or None)
    if row.name in OURS_DIFFER:
        assert entry.default == OURS_DIFFER[row.name]
    elif row.default is not MACHINE:
        assert entry.read(entry.default) == entry.read(row.default) if row.default is not None else not entry.default


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.name)
def test_a_setting_is_supported_as_its_row_says(row: Setting) -> None:
    support = BY_NAME[row.name].support
    if row.refused:
        assert support is Support.REFUSED
    elif row.unused:
        assert support is Support.UNUSED
    else:
        assert support in (Support.WORKS, Support.DIFFERS)


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.name)
def test_a_hook_is_supported_as_its_row_says(hook: Hook) -> None:
    assert (BY_NAME[hook.name].support is Support.REFUSED) == hook.refused


def test_whatever_does_not_simply_work_says_why() -> None:
    said = [(entry.name, entry.support, entry.note) for entry in ENTRIES]
    said += [(row.key, row.verdict.support, row.verdict.note) for chapter in CHAPTERS for row in chapter.rows]
    for name, support, note in said:
        assert bool(note) == (support is not Support.WORKS), name
        assert not note.endswith("."), f"{name}: a note goes on in a table or an error line"


def test_every_row_stands_on_the_page_of_compatibility() -> None:
    shown = [row.key for chapter in CHAPTERS for row in chapter.rows]
    assert len(shown) == len(set(shown))
    shown += [f"setting:{entry.name}" for entry in ENTRIES if entry.name not in {hook.name for hook in HOOKS}]
    shown += [hook.key for hook in HOOKS]
    assert set(shown) == ROWS.keys()


def test_the_page_counts_what_it_shows() -> None:
    page = render()
    assert f"The 120 settings of Gunicorn {GUNICORN_VERSION}" in page
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    tables = page.count("| --- |\n")
    assert len(rows) - tables == len(ROWS)


def test_the_table_has_no_setting_without_a_row() -> None:
    ours = {entry.name for entry in ENTRIES if not entry.gunicorn}
    assert ours == {row.name for row in OWN_SETTINGS}
    theirs = {entry.name for entry in ENTRIES if entry.gunicorn}
    assert theirs == {row.name for row in (*SETTINGS, *HOOKS)}
