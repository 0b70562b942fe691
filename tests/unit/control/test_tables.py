import pytest

from ostler.control.tables import mebibytes, pairs, seconds, table


def test_columns_are_as_wide_as_their_cells_and_numbers_stand_to_the_right():
    assert table(("PID", "STATE", "WHAT"), [(4242, "idle", "a"), (7, "booting", None)], None) == [
        " PID  STATE    WHAT",
        "4242  idle     a",
        "   7  booting  -",
    ]


def test_only_the_last_cell_is_cut_and_only_on_a_terminal():
    rows = [(1, "x" * 40)]
    assert table(("A", "B"), rows, None)[1] == "1  " + "x" * 40
    assert table(("A", "B"), rows, 20)[1] == "1  " + "x" * 14 + "..."
    assert table(("A", "B"), rows, 5)[1] == "1  " + "x" * 9 + "...", "a part of it is always seen"


def test_a_table_without_rows_is_its_head():
    assert table(("A", "B"), [], 80) == ["A  B"]


def test_what_comes_from_outside_cannot_make_lines():
    assert table(("A",), [("a\nb\x1b[1m",)], None)[1] == r"a\nb\x1b[1m"
    assert pairs([("name", "a\nb"), ("none", "")]) == [r"name  a\nb"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.254, "0.25 s"),
        (9.96, "9.96 s"),
        (12.34, "12.3 s"),
        (59.96, "0 min 59 s"),
        (250, "4 min 10 s"),
        (3600, "1 h 0 min"),
        (11100, "3 h 5 min"),
        (187200, "2 d 4 h"),
    ],
)
def test_seconds_are_shown_as_people_say_them(value, text):
    assert seconds(value) == text


def test_memory_is_shown_in_mebibytes():
    assert [mebibytes(each) for each in (None, 0, 31 * 1048576)] == ["-", "0M", "31M"]
