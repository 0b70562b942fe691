"""observe/masking.py"""

import pytest

from ostler.observe.masking import shown


@pytest.mark.parametrize(
    ("what", "masked"),
    [
        ("GET /a", "GET /a"),
        ("GET /a?token=1", "GET /a?***"),
        ("GET /a?", "GET /a?***"),
        ("GET /a?b?c", "GET /a?***"),
        ("GET http://h/a?b", "GET http://h/a?***"),
        ("", ""),
    ],
)
def test_the_query_is_masked_where_it_is_asked_for(what, masked):
    assert shown(what, mask=True) == masked
    assert shown(what, mask=False) == what
