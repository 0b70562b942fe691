import pytest

from ostler.logline import escape, fields


def test_fields_are_a_sentence_and_key_value_pairs():
    assert fields("worker ready", slot=0, pid=4242, took_s=0.25) == "worker ready slot=0 pid=4242 took_s=0.25"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"), ("two words", '"two words"'), ("", '""'), ("a=b", '"a=b"'), ('x"y', '"x\\"y"'),
        ("a\nb", "a\\nb"), ("a \\", '"a \\\\"'), (None, "-"), (True, "True"), (1.0, "1"), (10.0, "10"), (0.0, "0"),
        ("\u2028", "\\u2028"), ("caf\xe9", "caf\xe9"),
    ],
)  # fmt: skip
def test_field_values_stay_on_one_line_and_in_one_piece(value, expected):
    assert fields("s", v=value) == f"s v={expected}"


def test_escape_leaves_printable_text_alone():
    assert escape("na\xefve \u20ac") == "na\xefve \u20ac"
    assert escape("\x1b[0m\t\udc80") == "\\x1b[0m\\t\\udc80"
