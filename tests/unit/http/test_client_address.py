"""`http/client_address.py`: every list of tests/corpus/client_address names its client, whatever stands to the left."""

import time
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostler.config.address import parse_allow_list
from ostler.http.client_address import MOST_ELEMENTS, Hop, Source, Trust, find_client, scheme_of_hop
from ostler.http.errors import HttpError
from tests.unit.corpora import Case, cases

CASES: Final = cases("client_address")
INVENTED: Final = ("6.6.6.6", "for=6.6.6.6", "", '"', '"\\', ";;;", '="', "\x80", 'for="a", "')
SOURCES: Final[tuple[Source, ...]] = ("x-forwarded-for", "forwarded")


def fields_of(case: Case) -> list[tuple[str, str]]:
    named = [("forwarded", value) for value in case.get("forwarded", ())]
    return named + [("host", "a")] + [("x-forwarded-for", value) for value in case.get("for", ())]


def source_of(case: Case) -> Source:
    return "forwarded" if "forwarded" in case else "x-forwarded-for"


def trust_of(case: Case) -> Trust:
    trust = case.get("trust", 1)
    return parse_allow_list(",".join(trust)).allows if isinstance(trust, list) else int(trust)


def expected(case: Case) -> Hop | None:
    return Hop(case["client"], case.get("port"), case.get("proto")) if "client" in case else None


@pytest.mark.parametrize("case", CASES)
def test_the_client_is_who_trusted_proxies_name(case: Case) -> None:
    assert find_client(fields_of(case), source_of(case), trust_of(case)) == expected(case)


@pytest.mark.parametrize("case", [case for case in CASES if not case.values[0].get("whole", False)])
@pytest.mark.parametrize("invented", INVENTED)
def test_nothing_that_a_client_puts_to_the_left_changes_it(case: Case, invented: str) -> None:
    fields, source = fields_of(case), source_of(case)
    at = next(index for index, (name, _) in enumerate(fields) if name == source)
    in_front = [*fields[:at], (source, invented), *fields[at:]]
    assert find_client(in_front, source, trust_of(case)) == expected(case)
    in_the_same = [*fields[:at], (source, f"{invented}, {fields[at][1]}"), *fields[at + 1 :]]
    assert find_client(in_the_same, source, trust_of(case)) == expected(case)


def test_a_chain_without_end_costs_no_more_than_its_bound() -> None:
    asked: list[str] = []

    def trust(address: str) -> bool:
        asked.append(address)
        return True

    for chain in (",".join(["10.0.0.1"] * 10_000), "10.0.0.1, ", "10.0.0.1"):
        asked.clear()
        assert find_client([("x-forwarded-for", chain)] * 500, "x-forwarded-for", trust) == Hop("10.0.0.1")
        assert MOST_ELEMENTS / 2 <= len(asked) <= MOST_ELEMENTS


@pytest.mark.parametrize("invented", ['"', ",", ";", 'a="', "\\", '\\"', 'for="\\', "for=x,", '";'])
def test_time_is_linear(invented: str) -> None:
    # Quadratic would be minutes.
    value = invented * (1_000_000 // len(invented))
    for source in SOURCES:
        begun = time.perf_counter()
        find_client([(source, value)], source, lambda _: True)
        assert time.perf_counter() - begun < 2


def test_schemes() -> None:
    assert [scheme_of_hop(Hop("::1", None, proto)) for proto in (None, "http", "https")] == [None, "http", "https"]
    with pytest.raises(HttpError) as caught:
        scheme_of_hop(Hop("::1", None, "gopher"))
    assert caught.value.status == 400


FRAGMENTS: Final = ("for=", "192.0.2.1", "10.0.0.1", "proto=http", "[::1]", ":80", *'"\\,; =\xff')
values = st.lists(st.sampled_from(FRAGMENTS), max_size=15).map("".join)


@settings(max_examples=500)
@given(st.lists(values, max_size=3), st.sampled_from(SOURCES), st.integers(1, 3))
def test_anything_names_an_address_or_nobody(found: list[str], source: Source, count: int) -> None:
    fields = [(source, value) for value in found]
    allows = parse_allow_list("10.0.0.0/8").allows
    for trust in (count, allows):
        client = find_client(fields, source, trust)
        assert client is None or client.host in {"192.0.2.1", "10.0.0.1", "::1"}
    appended = find_client([*fields, (source, "for=192.0.2.9" if source == "forwarded" else "192.0.2.9")], source, 1)
    assert appended == Hop("192.0.2.9")
