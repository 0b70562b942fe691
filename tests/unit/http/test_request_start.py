"""X-Request-Start: http/request_start.py."""

import pytest

from ostler.http.request_start import field_of, queue_time

_NOW = 1_700_000_000.5


@pytest.mark.parametrize(
    "value",
    [
        "t=1700000000.000",
        "1700000000",
        "t=1700000000",
        "1700000000000",
        "t=1700000000000",
        "t=1700000000000000",
        "1700000000000000",
        "1700000000000000000",
        " t=1700000000.0 ",
        "t=1600000000.000, t=1700000000.000",
    ],
)
def test_each_proxy_may_write_it_in_its_own_unit(value: str) -> None:
    assert queue_time(value, _NOW) == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "t=",
        "soon",
        "t=soon",
        "-1700000000",
        "17e8",
        "1",
        "t=123456789",
        "\u0660" * 10,
        "9" * 20,
        "1" * 5000,
        "t=t=1700000000",
    ],
)
def test_what_is_no_time_is_nothing(value: str) -> None:
    assert queue_time(value, _NOW) is None


def test_a_clock_that_is_a_little_ahead_means_no_wait() -> None:
    assert queue_time("t=1700000030", _NOW) == 0.0


@pytest.mark.parametrize("value", ["t=1700000100", "t=1699990000", "t=2000000000", "t=1000000000"])
def test_what_cannot_be_true_is_nothing(value: str) -> None:
    assert queue_time(value, _NOW) is None


def test_the_last_field_is_the_nearest_proxys() -> None:
    fields = [("host", "x"), ("x-request-start", "1"), ("x-request-start", "2")]
    assert field_of(fields) == "2"
    assert field_of(fields[:1]) is None
