"""`http/limits.py`: a head is finite whatever the operator says, and strict unless the operator says otherwise."""

from ostler.http.limits import STRICT, UNLIMITED_PART_BYTES, Leniency, Limits


def test_the_whole_head_is_bounded_by_its_parts() -> None:
    assert Limits(request_line=100, fields=10, field_size=50).head_bytes == 100 + 10 * 52 + 4


def test_no_limit_of_a_part_still_bounds_the_whole() -> None:
    assert Limits(request_line=0, fields=10, field_size=50).head_bytes == UNLIMITED_PART_BYTES + 524
    assert Limits(request_line=100, fields=0).head_bytes == UNLIMITED_PART_BYTES + 104
    assert Limits(request_line=100, field_size=0).head_bytes == UNLIMITED_PART_BYTES + 104


def test_nothing_is_permitted_unless_somebody_says_so() -> None:
    assert Limits().leniency is STRICT
    assert not any(getattr(STRICT, option) for option in Leniency.__slots__)


def test_a_leniency_without_permissions_is_the_strict_one() -> None:
    assert Limits(leniency=Leniency(casefold_http_method=False)).leniency is STRICT
    lenient = Leniency(casefold_http_method=True)
    assert Limits(leniency=lenient).leniency is lenient
