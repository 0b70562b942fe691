import pytest

from ostler.supervisor.canary import Canary
from ostler.supervisor.events import Work

OTHER = 2


def watched(own: Work, others: Work, before: Work = Work()) -> Canary:  # noqa: B008  it is frozen
    canary = Canary(1, 100.0, {OTHER: before})
    canary.note(own, {OTHER: others})
    return canary


@pytest.mark.parametrize(
    ("own", "others", "worse"),
    [
        ((100, 2), (100, 0), False),  # few errors may be chance
        ((100, 3), (100, 0), True),
        ((300, 3), (100, 0), False),  # a hundredth is allowed
        ((300, 4), (100, 0), True),
        ((100, 21), (100, 10), False),  # twice the others' share, and a hundredth
        ((100, 22), (100, 10), True),
        ((3, 3), (0, 0), True),  # nobody to hold it against, and all fail
        ((0, 0), (0, 0), False),
    ],
)
def test_share_of_5xx_is_held_against_that_of_the_others(
    own: tuple[int, int], others: tuple[int, int], worse: bool
) -> None:
    canary = watched(Work(*own), Work(*others))
    assert bool(canary.complaint()) is worse
    assert bool(canary.verdict()) is worse


@pytest.mark.parametrize(
    ("requests", "mean_s", "others_requests", "others_mean_s", "worse"),
    [
        (20, 0.151, 20, 0.05, True),  # twice the others' mean, and 50 ms
        (20, 0.149, 20, 0.05, False),
        (20, 0.059, 20, 0.005, False),
        (20, 0.061, 20, 0.005, True),
        (19, 0.9, 20, 0.005, False),  # too few to say so
        (19, 9.0, 20, 0.005, True),  # too few because they take so long
        (20, 9.0, 19, 0.005, False),
    ],
)
def test_mean_time_counts_at_the_end_only_and_only_when_both_have_seen_enough(
    requests: int, mean_s: float, others_requests: int, others_mean_s: float, worse: bool
) -> None:
    own = Work(requests, 0, requests * mean_s)
    canary = watched(own, Work(others_requests, 0, others_requests * others_mean_s))
    assert canary.complaint() == ""
    assert bool(canary.verdict()) is worse


@pytest.mark.parametrize(
    ("own", "others", "worse"),
    [
        (Work(0, 0, 0.0, 3.0), Work(900, 0, 0.9), True),  # it hangs in its first
        (Work(0, 0, 0.0, 0.9), Work(900, 0, 0.9), False),
        (Work(0, 0, 0.0, 3.0), Work(900, 0, 900.0, 2.0), False),  # the others wait as long
        (Work(0, 0, 0.0, 3.0), Work(19, 0, 0.02), False),  # nobody to hold it against
        (Work(40, 0, 0.04, 28.0), Work(900, 0, 0.9), True),  # it hangs now
    ],
)
def test_canary_that_sees_little_because_it_is_stuck_does_worse(own: Work, others: Work, worse: bool) -> None:
    assert bool(watched(own, others).verdict()) is worse


def test_others_count_from_the_canary_s_beginning_and_those_that_die_stay_in_the_sum() -> None:
    canary = Canary(1, 100.0, {2: Work(1000, 500, 10.0), 3: Work(10, 0, 0.1)})
    canary.note(Work(5, 0, 0.05), {2: Work(1010, 501, 10.1), 3: Work(30, 0, 0.3)})
    canary.note(Work(9, 0, 0.09), {3: Work(40, 0, 0.4), 4: Work(7, 0, 0.07)})
    assert canary.figures() == ("requests=9 5xx=0 mean_ms=10 others_requests=47 others_5xx=1 others_mean_ms=10")


def test_canary_that_was_not_heard_of_again_keeps_what_it_had() -> None:
    canary = watched(Work(4, 1, 0.04), Work())
    canary.note(None, {})
    assert canary.figures().startswith("requests=4 5xx=1")


def test_complaint_says_both_shares_and_both_means() -> None:
    assert watched(Work(40, 9), Work(812, 3)).complaint() == (
        "9 of 40 requests were answered with 5xx, of the other workers' 3 of 812"
    )
    assert watched(Work(20, 0, 4.2), Work(100, 0, 1.2)).verdict() == (
        "requests took 210 ms on average, of the other workers 12 ms"
    )
