"""`http/lenient.py`: each leniency by itself; whole requests with and without them are in tests/corpus/http1."""

import pytest

from ostler.http.errors import HttpError
from ostler.http.framing import DECIDING
from ostler.http.lenient import lenient_fields, lenient_method, lenient_minor
from ostler.http.limits import STRICT, Leniency, Limits
from ostler.http.parse import parse_head

FOLDING = Leniency(permit_obsolete_folding=True)
SPACES = Leniency(strip_header_spaces=True)


def test_an_odd_method_is_a_token_whatever_its_case_and_length() -> None:
    leniency = Leniency(permit_unconventional_http_method=True)
    assert [lenient_method(method, leniency) for method in ("a", "get", "G#", "x" * 99)] == ["a", "get", "G#", "x" * 99]
    for method in ("", "a b", "a:", "\x00", "caf\xe9"):
        with pytest.raises(HttpError):
            lenient_method(method, leniency)


def test_upper_case_is_for_methods_that_are_permitted() -> None:
    both = Leniency(permit_unconventional_http_method=True, casefold_http_method=True)
    assert lenient_method("propFind", both) == "PROPFIND"
    with pytest.raises(HttpError):
        lenient_method("propFind", Leniency(casefold_http_method=True))


def test_a_method_of_a_usual_kind_is_not_changed() -> None:
    both = Leniency(permit_unconventional_http_method=True, casefold_http_method=True)
    assert parse_head(b"M-SEARCH / HTTP/1.1\r\nHost: a", Limits(leniency=both)).method == "M-SEARCH"


def test_other_major_versions_become_the_nearest_of_ours() -> None:
    leniency = Leniency(permit_unconventional_http_version=True)
    assert [lenient_minor(major, leniency) for major in "0239"] == [0, 1, 1, 1]
    with pytest.raises(HttpError) as caught:
        lenient_minor("2", STRICT)
    assert caught.value.status == 505


def test_fields_without_oddities_stay_as_they_are() -> None:
    lines = ["Host: a", "X:b ", "Y: c d", "no colon "]
    assert lenient_fields(lines, Limits(leniency=FOLDING)) == lines
    assert lenient_fields(lines, Limits(leniency=SPACES)) == lines


@pytest.mark.parametrize("name", sorted(DECIDING))
@pytest.mark.parametrize("case", [str.lower, str.title, str.upper])
def test_what_decides_about_the_message_is_never_taken_from_an_odd_field(name: str, case: type[str]) -> None:
    both = Leniency(permit_obsolete_folding=True, strip_header_spaces=True)
    odd: list[tuple[Leniency, list[str]]] = [
        (FOLDING, [f"{case(name)}: a", " b"]),
        (FOLDING, [f"{case(name)}:", "\tb"]),
        (SPACES, [f"{case(name)} : a"]),
        (SPACES, [f"{case(name)}\t: a"]),
        (both, [f"{case(name)} : a", " b"]),
    ]
    for leniency, lines in odd:
        with pytest.raises(HttpError) as caught:
            lenient_fields(lines, Limits(leniency=leniency))
        assert caught.value.status == 400


def test_a_folded_field_counts_whole_for_its_limit() -> None:
    lines = ["X: aaaa", " bbbb", " cccc"]  # 9 + 7 + 7 bytes with their CRLFs
    assert lenient_fields(lines, Limits(field_size=23, leniency=FOLDING)) == ["X: aaaa bbbb cccc"]
    assert lenient_fields(lines, Limits(field_size=0, leniency=FOLDING)) == ["X: aaaa bbbb cccc"]
    with pytest.raises(HttpError) as caught:
        lenient_fields(lines, Limits(field_size=22, leniency=FOLDING))
    assert caught.value.status == 431
