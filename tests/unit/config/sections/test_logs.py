import pytest

from ostler.config.parse import BadValue
from ostler.config.sections.logs import read_skip


def test_what_the_access_log_skips_is_paths_and_prefixes():
    assert read_skip("/health") == ("/health",)
    assert read_skip(["/health", "/static/*", "*"]) == ("/health", "/static/*", "*")
    assert read_skip(None) == ()


@pytest.mark.parametrize("raw", ["health", "/a*b", "/**", [1]])
def test_other_things_are_no_paths(raw):
    with pytest.raises(BadValue):
        read_skip(raw)
