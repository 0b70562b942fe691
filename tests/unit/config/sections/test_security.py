"""Limits of a request as settings."""

import pytest

from ostler.config.parse import BadValue
from ostler.config.sections import TABLE
from ostler.config.sections.security import MOST_FIELDS, read_field_count
from ostler.config.settings import Settings

BY_NAME = {entry.name: entry for entry in TABLE}


def test_the_number_of_fields_is_never_unlimited():
    assert [read_field_count(raw) for raw in (1, "100", 0, MOST_FIELDS, MOST_FIELDS + 1)] == [
        1,
        100,
        MOST_FIELDS,
        MOST_FIELDS,
        MOST_FIELDS,
    ]


def test_a_body_is_unlimited_unless_somebody_says_so():
    assert Settings.defaults().limit_request_body == 0
    assert BY_NAME["limit_request_body"].read("1048576") == 1048576
    with pytest.raises(BadValue):
        BY_NAME["limit_request_body"].read("1m")
    with pytest.raises(BadValue):
        BY_NAME["limit_request_body"].read(-1)
