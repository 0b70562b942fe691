import pytest

from ostler.config.parse import BadValue
from ostler.config.sections import TABLE
from ostler.config.sections.mechanics import read_environment, read_paste_globals, read_sendfile

SENDFILE = next(entry for entry in TABLE if entry.name == "sendfile")


def test_environment_entries_are_assignments():
    assert read_environment("A=1") == ("A=1",)
    assert read_environment(["A=1", "B=", "C=x=y"]) == ("A=1", "B=", "C=x=y")
    assert read_environment(None) == ()


@pytest.mark.parametrize("raw", ["A", ["A=1", "B"], "=1", ["A=\0"], {"A": "1"}, 3])
def test_other_things_are_no_environment(raw):
    with pytest.raises(BadValue):
        read_environment(raw)


def test_an_equals_sign_in_a_paste_key_is_escaped():
    assert read_paste_globals([r"a\=b=c"]) == (r"a\=b=c",)
    with pytest.raises(BadValue):
        read_paste_globals([r"a\=b"])


def test_sendfile_is_on_unless_it_is_turned_off():
    assert read_sendfile(None) is True
    assert read_sendfile(True) is True
    assert read_sendfile("false") is False


@pytest.mark.parametrize(("text", "on"), [("y", True), ("1", True), ("YES", True), ("true", True), ("no", False)])
def test_the_variable_of_sendfile_is_read_as_gunicorn_reads_it(text, on):
    assert SENDFILE.read(SENDFILE.from_env(text)) is on
