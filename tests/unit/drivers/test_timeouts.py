"""drivers/timeouts.py: seconds, from settings."""

from math import inf

from ostler.config.settings import Settings
from ostler.drivers.timeouts import Patience, Timeouts


def test_connections_are_kept_for_longer_than_load_balancers_keep_theirs():
    """60 seconds: Nginx's keepalive_timeout of an upstream, and the idle timeout of AWS's balancers."""
    assert Timeouts.of(Settings.defaults()).keep_alive_s > 60


def test_the_keep_alive_of_the_settings_counts():
    assert Timeouts.of(Settings.defaults(keepalive=3)).keep_alive_s == 3.0


def test_zero_is_no_limit():
    names = ("handshake_timeout", "header_timeout", "body_timeout", "body_min_rate", "write_timeout", "write_min_rate")
    timeouts = Timeouts.of(Settings.defaults(**dict.fromkeys(names, 0)))
    assert (timeouts.greeting_s, timeouts.head_s) == (inf, inf)
    for patience in (timeouts.body, timeouts.streamed_body, timeouts.write):
        assert patience.deadline(0.0, 0, 1e9) == inf


def test_a_silence_is_counted_from_the_last_byte():
    assert Patience(silence_s=5).deadline(100.0, 7, 130.0) == 135.0


def test_a_rate_is_asked_for_beyond_the_grace():
    patience = Patience(silence_s=60, rate=10, grace_s=5)
    assert patience.deadline(100.0, 0, 100.0) == 105.0
    assert patience.deadline(100.0, 200, 104.0) == 125.0
    assert patience.deadline(100.0, 100000, 104.0) == 164.0


def test_a_total_is_counted_from_the_beginning():
    assert Patience(silence_s=60, total_s=30).deadline(100.0, 1 << 30, 129.0) == 130.0


def test_a_rate_without_a_silence_has_a_minute_of_grace():
    timeouts = Timeouts.of(Settings.defaults(body_timeout=0, body_min_rate=100))
    assert timeouts.body.deadline(0.0, 0, 0.0) == 60.0


def test_a_body_that_a_thread_waits_for_must_come_faster_unless_no_rate_is_asked_for():
    assert Timeouts.of(Settings.defaults()).streamed_body.rate == 8192
    assert Timeouts.of(Settings.defaults(body_min_rate=100_000)).streamed_body.rate == 100_000
    assert Timeouts.of(Settings.defaults(body_min_rate=0)).streamed_body.rate == 0


def test_who_cannot_move_to_a_sibling_is_given_half_the_graceful_timeout():
    assert Timeouts.of(Settings.defaults(graceful_timeout=8)).tied_farewell_s == 4
