from ostler.supervisor.policy import Backoff, boot_backoff, early_death_backoff


def test_waits_double_up_to_the_cap() -> None:
    backoff, now, waits = boot_backoff(), 0.0, []
    for _ in range(11):
        waits.append(round(backoff.failed(now, now), 3))
        now += 100
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30]


def test_a_volley_of_failures_counts_once() -> None:
    backoff = boot_backoff()
    assert [round(backoff.failed(began=0.0, now=1.0), 3) for _ in range(5)] == [0.1] * 5
    assert backoff.failures == 1


def test_success_forgets_everything() -> None:
    backoff = boot_backoff()
    backoff.failed(0.0, 1.0)
    assert not backoff.open(1.05)
    backoff.succeeded()
    assert backoff.open(1.05)
    assert backoff.failed(1.1, 1.2) - 0.1 < 1e-9


def test_first_early_death_costs_nothing_and_later_ones_a_second_at_most() -> None:
    backoff, now, waits = early_death_backoff(), 0.0, []
    for _ in range(7):
        waits.append(round(backoff.failed(now, now), 3))
        now += 2
    assert waits == [0, 0.1, 0.2, 0.4, 0.8, 1, 1]


def test_failures_far_apart_are_no_row() -> None:
    backoff = Backoff(1.0, 8.0, forget_s=10.0)
    assert [backoff.failed(at, at) for at in (0.0, 20.0, 40.0)] == [1.0, 1.0, 1.0]
