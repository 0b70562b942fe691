import pytest

from ostler.config.reference import describe_setting, list_settings, render
from ostler.config.sections import ENTRIES
from ostler.config.setting import Support

BY_NAME = {entry.name: entry for entry in ENTRIES}


def test_every_setting_has_its_place_on_the_page():
    page = render()
    for entry in ENTRIES:
        assert f"### `{entry.name}`" in page
        assert entry.doc in page
        if entry.support is Support.DIFFERS:
            assert f"- Differs from Gunicorn: {entry.note}" in page


def test_an_entry_says_what_a_reload_does_unless_it_does_not_act():
    assert "On HUP: needs a restart of the server" in describe_setting(BY_NAME["daemon"])
    assert "On HUP" not in describe_setting(BY_NAME["dirty_apps"])


def test_a_setting_is_described_for_the_terminal():
    text = describe_setting(BY_NAME["reload_engine"])
    assert text.startswith("reload_engine (Debugging)\n  Flag: --reload-engine ENGINE\n")
    assert "  One of: auto, poll, inotify\n  Default: auto\n" in text
    assert text.endswith("\n")
    assert "`" not in text


def test_a_refused_setting_says_what_it_accepts():
    assert "Accepts: nothing" in describe_setting(BY_NAME["dirty_apps"])
    assert "Accepts: the default only" in describe_setting(BY_NAME["http2_max_frame_size"])
    assert "HTTP/2 is not built yet in this version." in describe_setting(BY_NAME["http2_max_frame_size"])


@pytest.mark.parametrize("columns", ["20", "80", "400"])
def test_the_list_names_every_setting_and_fits_the_terminal(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    lines = list_settings().splitlines()
    names = {line.split()[0] for line in lines if line.startswith("  ") and not line.startswith("   ")}
    assert names == BY_NAME.keys()
    assert max(map(len, lines)) <= max(min(int(columns), 120), 76)
