"""Every case of tests/corpus/http1 has its verdict, however its bytes are split and whatever stands behind it."""

from typing import Final

import pytest

from tests.unit.http.corpus import REQUESTS, SECTION, Case
from tests.unit.http.serving import (
    can_be_followed,
    try_bytewise,
    try_cut,
    try_early,
    try_followed,
    try_strict,
    try_whole,
)

VERDICTS: Final = {"status", "accepted", "waiting"}


def cases(*keys: str) -> pytest.MarkDecorator:
    """The requests that have these keys."""
    chosen = [case for case in REQUESTS if case.keys() >= set(keys)]
    return pytest.mark.parametrize("case", chosen, ids=[case["id"] for case in chosen])


@cases()
def test_verdict_is_the_same_for_every_splitting(case: Case) -> None:
    try_whole(case)
    try_bytewise(case)
    try_cut(case)


@pytest.mark.parametrize("case", [case for case in REQUESTS if can_be_followed(case)], ids=lambda case: case["id"])
def test_a_request_behind_it_is_served_only_behind_a_reusable_one(case: Case) -> None:
    try_followed(case)


@cases("early")
def test_it_is_refused_as_soon_as_the_fault_is_there(case: Case) -> None:
    try_early(case)


@cases("leniency")
def test_without_its_leniency_it_is_refused(case: Case) -> None:
    try_strict(case)


def test_every_case_names_the_sections_that_settle_it_and_has_a_verdict() -> None:
    """One test for all: a thousand that look at a text each cost more than what they find."""
    rightly = {case["id"] for case in REQUESTS if all(map(SECTION.fullmatch, case["rfc"].split(", ")))}
    assert [case["id"] for case in REQUESTS if case["id"] not in rightly] == []
    assert [case["id"] for case in REQUESTS if not VERDICTS & case.keys()] == []
