import pytest

from ostler.config.toml_files import is_toml, read_toml, speaks_of_us
from ostler.errors import ConfigError


def failure(text, shown="ostler.toml"):
    with pytest.raises(ConfigError) as caught:
        read_toml(text, shown)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_suffix_decides():
    assert is_toml("a/ostler.toml")
    assert is_toml("SETTINGS.TOML")
    assert not is_toml("ostler.toml.py")


def test_a_whole_file_is_settings():
    assert read_toml(b"workers = 3\r\nbind = [':1']\r\n", "x.toml") == {"workers": 3, "bind": [":1"]}
    assert read_toml(b"", "ostler.toml") == {}


def test_of_a_projects_file_only_our_table_counts():
    text = b"[project]\nname = 'x'\n[tool.other]\nworkers = 1\n[tool.ostler]\nworkers = 3\n"
    assert read_toml(text, "sub/pyproject.toml") == {"workers": 3}
    assert failure(b"[tool.other]\n", "pyproject.toml") == (
        "config: expected a table [tool.ostler] in pyproject.toml, got none; add it"
    )
    assert failure(b"[tool]\nostler = 3\n", "pyproject.toml") == (
        "config: expected tool.ostler to be a table, got 3 (from pyproject.toml)"
    )


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (b"a = 1\nworkers = = 3\n", "ostler.toml:2:11: expected TOML: invalid value"),
        (b"a = 1\na = 2\n", "ostler.toml:2:6: expected TOML: cannot overwrite a value"),
        (b"a = [1,\n", "ostler.toml:2:1: expected TOML: "),
        (b"a = 1\nb = '\xff'\n", "ostler.toml:2:6: expected UTF-8 text, got another byte"),
        (b"\xef\xbb\xbfa = 1\n", "ostler.toml:1:1: expected TOML: "),
    ],
)
def test_what_is_no_toml_is_told_with_file_line_and_column(text, where):
    assert failure(text).startswith(f"config: {where}")


def test_brackets_without_end_are_an_error_and_no_crash():
    assert "ostler.toml" in failure(b"a = " + b"[" * 100_000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"[tool.ostler]\nworkers = 3\n", True),
        (b"tool.ostler.workers = 3\n", True),
        (b"[tool]\nostler = 3\n", True),
        (b"[project]\ndependencies = ['ostler']\n", False),
        (b"[project\n", False),
        (b"[project\ndependencies = ['ostler']\n", False),
        (b"[project\n[tool.ostler]\n", True),
        (b'[project\n[ "tool" . "ostler" ]\n', True),
        (b"tool = 3\n", False),
        (b"\xff", False),
    ],
)
def test_a_projects_file_speaks_of_us_or_not(tmp_path, text, expected):
    path = tmp_path / "pyproject.toml"
    path.write_bytes(text)
    assert speaks_of_us(str(path)) is expected


def test_a_projects_file_that_cannot_be_read_does_not_speak(tmp_path):
    assert not speaks_of_us(str(tmp_path / "pyproject.toml"))
    assert not speaks_of_us(str(tmp_path))
