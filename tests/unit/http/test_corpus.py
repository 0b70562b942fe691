"""Every request of tests/corpus/http1 has its verdict, however its bytes are split and whatever stands behind it."""

from typing import Any, Final

import pytest

from ostler.http.limits import Limits
from tests.unit.http.corpus import CASES, Outcome, bytewise, limits_of, raw, run

SECOND: Final = b"GET /second HTTP/1.1\r\nHost: second\r\n\r\n"
SHORT_BYTES: Final = 300


def check(case: dict[str, Any], outcome: Outcome) -> None:
    assert outcome.status == case.get("status")
    accepted = case.get("accepted")
    if accepted is None:
        assert outcome.heads == []
        return
    expected = {name: value for name, value in accepted.items() if name != "reused"}
    if "body" in expected:
        expected["body"] = expected["body"].encode("latin-1")
    if "fields" in expected:
        expected["fields"] = [tuple(pair) for pair in expected["fields"]]
    found = outcome.heads[0]
    assert {name: found[name] for name in expected} == expected
    assert accepted.get("upgrade") == found["upgrade"]


@pytest.mark.parametrize("case", CASES)
def test_verdict_is_the_same_for_every_splitting(case: dict[str, Any]) -> None:
    data = raw(case["request"])
    limits = limits_of(case)
    end = case.get("end", False)
    check(case, run([data], limits, end))
    check(case, run(bytewise(data), limits, end))
    if len(data) <= SHORT_BYTES:
        for cut in range(1, len(data)):
            check(case, run([data[:cut], data[cut:]], limits, end))


# What is behind an incomplete request is part of it, so those cases say nothing here.
@pytest.mark.parametrize("case", [case for case in CASES if not {"end", "waiting"} & case.values[0].keys()])
def test_a_request_behind_it_is_served_only_behind_a_reusable_one(case: dict[str, Any]) -> None:
    data = raw(case["request"])
    limits = limits_of(case)
    reused = case.get("accepted", {}).get("reused", "accepted" in case)
    for pieces in ([data + SECOND], bytewise(data + SECOND), [data, SECOND]):
        outcome = run(pieces, limits)
        check(case, outcome)
        targets = [head["target"] for head in outcome.heads]
        assert targets[1:] == (["/second"] if reused else [])


@pytest.mark.parametrize("case", [case for case in CASES if "early" in case.values[0]])
def test_it_is_refused_as_soon_as_the_fault_is_there(case: dict[str, Any]) -> None:
    outcome = run(bytewise(raw(case["request"])), limits_of(case))
    assert outcome.bytes_needed == case["early"]


@pytest.mark.parametrize("case", [case for case in CASES if "leniency" in case.values[0]])
def test_without_its_leniency_it_is_refused(case: dict[str, Any]) -> None:
    data = raw(case["request"])
    limits = Limits(**case.get("limits", {}))
    for pieces in ([data + SECOND], bytewise(data)):
        outcome = run(pieces, limits)
        assert outcome.status == case["strict"]
        assert outcome.heads == []
