"""`http/limits.py`: a head is finite whatever the operator says."""

from ostler.http.limits import UNLIMITED_PART_BYTES, Limits


def test_the_whole_head_is_bounded_by_its_parts() -> None:
    assert Limits(request_line=100, fields=10, field_size=50).head_bytes == 100 + 10 * 52 + 4


def test_no_limit_of_a_part_still_bounds_the_whole() -> None:
    assert Limits(request_line=0, fields=10, field_size=50).head_bytes == UNLIMITED_PART_BYTES + 524
    assert Limits(request_line=100, fields=0).head_bytes == UNLIMITED_PART_BYTES + 104
    assert Limits(request_line=100, field_size=0).head_bytes == UNLIMITED_PART_BYTES + 104
