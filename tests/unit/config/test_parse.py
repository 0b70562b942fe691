import pytest

import ostler
from ostler.config.parse import (
    BadValue,
    NotAnInteger,
    NotBuilt,
    quoted,
    read_any_text,
    read_bool,
    read_choice,
    read_error_target,
    read_integer,
    read_list,
    read_log_target,
    read_mode,
    read_names,
    read_optional_log_target,
    read_path_if_any,
    read_scheme_fields,
    read_switch,
    read_table,
    read_text,
    read_text_if_any,
    read_texts,
)
from ostler.config.sections.logs import read_level


@pytest.mark.parametrize(("raw", "expected"), [(True, True), (False, False), ("true", True), (" FALSE ", False)])
def test_a_boolean_may_be_a_word(raw, expected):
    assert read_bool(raw) is expected


@pytest.mark.parametrize("raw", ["yes", "1", 1, 0, "", [], None])
def test_other_things_are_no_boolean(raw):
    with pytest.raises(BadValue):
        read_bool(raw)


def test_a_switch_may_be_none():
    assert read_switch(None) is False
    assert read_switch("true") is True


@pytest.mark.parametrize(
    ("raw", "expected"), [(0, 0), (5, 5), (True, 1), ("5", 5), (" 5 ", 5), ("010", 10), ("0x10", 16), ("0o17", 15)]
)
def test_an_integer_is_read_as_gunicorn_reads_it(raw, expected):
    assert read_integer()(raw) == expected


@pytest.mark.parametrize("raw", ["four", "", "1.5", "1e3"])
def test_text_that_is_no_integer_is_told_from_an_integer_out_of_range(raw):
    with pytest.raises(NotAnInteger):
        read_integer()(raw)


@pytest.mark.parametrize("raw", [-1, "-1", 1.0, None, [1]])
def test_an_integer_out_of_range_or_of_another_type_is_refused(raw):
    with pytest.raises(BadValue) as caught:
        read_integer()(raw)
    assert not isinstance(caught.value, NotAnInteger)


def test_the_range_of_an_integer_is_named():
    with pytest.raises(BadValue) as caught:
        read_integer(1)(0)
    assert caught.value.expected == "a positive integer"
    with pytest.raises(BadValue) as caught:
        read_integer(2, at_most=5)(6)
    assert caught.value.expected == "an integer from 2 to 5"


def test_a_message_says_expected_found_origin_and_cure():
    error = BadValue("a positive integer", "four", "write a number")
    expected = 'workers: expected a positive integer, got "four" (from WEB_CONCURRENCY); write a number'
    assert error.message("workers", "WEB_CONCURRENCY") == expected


def test_a_quoted_value_is_one_short_line():
    class Awkward:
        def __repr__(self):
            raise RuntimeError("no")

    assert quoted("a\nb") == '"a\\nb"'
    assert quoted({"a": 1}) == "{'a': 1}"
    assert "\n" not in quoted("x\n" * 1000)
    assert len(quoted("x" * 1000)) < 200
    assert quoted(Awkward()) == "<Awkward object whose repr() raised RuntimeError>"


def test_text_is_stripped_and_not_empty():
    assert read_text(" a ") == "a"
    for raw in ("", "  ", None, 3):
        with pytest.raises(BadValue):
            read_text(raw)


def test_a_log_is_a_path_or_a_dash():
    assert read_log_target("-") == "-"
    assert read_optional_log_target(None) is None
    for raw in ("", None, "a\0b"):
        with pytest.raises(BadValue):
            read_log_target(raw)


def test_a_choice_is_in_any_case():
    read = read_choice("drop", "refuse")
    assert read(" Drop ") == "drop"
    with pytest.raises(BadValue, match="drop or refuse"):
        read("other")


def test_lists_are_separated_by_commas():
    assert read_list("a, b,,c ") == ("a", "b", "c")
    assert read_list(None) == ()
    assert read_names("script_name,Path_Info") == ("SCRIPT_NAME", "PATH_INFO")
    with pytest.raises(BadValue):
        read_list(["a"])


def test_scheme_fields_are_upper_case():
    assert read_scheme_fields({"X-Forwarded-Proto": "https"}) == {"X-FORWARDED-PROTO": "https"}
    for raw in ("x", {"a": 1}, {1: "a"}, None):
        with pytest.raises(BadValue):
            read_scheme_fields(raw)


def test_text_that_may_be_missing_may_be_empty():
    assert read_text_if_any(None) is None
    assert read_text_if_any(" ") is None
    assert read_text_if_any(" a ") == "a"
    assert read_any_text(None) == read_any_text(" ") == ""
    for read in (read_text_if_any, read_any_text):
        with pytest.raises(BadValue):
            read(3)


def test_a_path_that_may_be_missing_may_be_empty():
    assert read_path_if_any("") is None
    assert read_path_if_any("a/b") == "a/b"
    with pytest.raises(BadValue):
        read_path_if_any("a\0b")


def test_the_error_log_cannot_be_off():
    assert read_error_target(None) == "-"
    with pytest.raises(BadValue):
        read_error_target("")


def test_a_list_of_texts_may_be_one_text_or_none():
    assert read_texts([" a ", "b"]) == ("a", "b")
    assert read_texts("a, b") == ("a, b",)
    assert read_texts(None) == read_texts("") == read_texts([]) == ()
    for raw in ([""], ["a", None], {"a": "b"}, 0):
        with pytest.raises(BadValue):
            read_texts(raw)


def test_a_table_has_text_for_keys():
    given = {"a": 1}
    assert read_table(given) == given
    assert read_table(given) is not given
    for raw in ({1: 2}, [("a", 1)], None):
        with pytest.raises(BadValue):
            read_table(raw)


@pytest.mark.parametrize(
    ("raw", "mode"),
    [(0o22, 0o22), ("022", 0o22), ("0022", 0o22), ("0o22", 0o22), ("22", 22), ("0", 0), ("0x12", 0o22), ("777", None)],
)
def test_permission_bits_are_octal_when_they_begin_with_a_zero(raw, mode):
    if mode is None:
        with pytest.raises(BadValue, match="permission bits"):
            read_mode(raw)
    else:
        assert read_mode(raw) == mode


@pytest.mark.parametrize("raw", ["08", "rw", "", None, -1, 0o1000, 1.5])
def test_other_things_are_no_permission_bits(raw):
    with pytest.raises(BadValue):
        read_mode(raw)


def test_what_is_not_built_is_said_with_the_version_and_the_cure():
    error = NotBuilt("TLS is not built yet in this version", "cert.pem")
    assert error.message("certfile", "gunicorn.conf.py") == (
        f"certfile: TLS is not built yet in this version of Ostler ({ostler.__version__}); "
        "remove it (from gunicorn.conf.py)"
    )


@pytest.mark.parametrize(("raw", "level"), [("warn", "warning"), ("FATAL", "critical"), (" Debug ", "debug")])
def test_levels_have_the_names_of_the_logging_module_too(raw, level):
    assert read_level(raw) == level
