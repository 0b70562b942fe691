"""roles/recycling.py: when a worker asks to be replaced."""

import logging
import random

import pytest

from ostler.config.settings import Settings
from ostler.process import memory
from ostler.roles.recycling import LEAST_AGE_S, PSS_EVERY_S, Limits, Recycling, draw_limit, draw_request_limit

MB = 1 << 20


class Life:
    """One worker: what it asked for, what it told, and how much memory it has."""

    def __init__(self, used=0, **limits):
        self.used = used
        self.measured = 0
        self.asked = []
        self.told = []
        limits = Limits(measure=self.measure, **limits)
        self.recycling = Recycling(
            limits,
            lambda reason, detail: self.asked.append((reason, detail)),
            lambda level, text: self.told.append((level, text)),
            100.0,
        )

    def measure(self):
        self.measured += 1
        return self.used

    def look(self, *times):
        for now in times:
            self.recycling.look(100.0 + now)
        return self.asked


def test_nothing_is_asked_or_measured_without_limits():
    life = Life(used=MB)
    assert life.look(0, 1, 1e9) == []
    assert life.measured == 0


def test_age_is_asked_for_once():
    life = Life(age_s=60)
    assert life.look(0, 59.9) == []
    assert life.look(60.4, 61, 1000) == [("max_worker_age", "age_s=60 limit_s=60")]


def test_memory_is_asked_for_once():
    life = Life(used=90 * MB, memory_bytes=100 * MB)
    assert life.look(0, 1) == []
    life.used = 100 * MB
    assert life.look(2) == []
    life.used = 120 * MB
    assert life.look(3, 4) == [("max_worker_memory", "rss_mb=120 limit_mb=100")]
    assert life.measured == 4


def test_pss_is_looked_at_less_often_and_named():
    life = Life(used=1, memory_bytes=2, every_s=PSS_EVERY_S, measured="pss")
    life.look(0, 1, 9.9)
    assert life.measured == 1
    life.used = 3 * MB
    assert life.look(10) == [("max_worker_memory", "pss_mb=3 limit_mb=0")]


def test_memory_that_cannot_be_measured_is_told_once():
    life = Life(used=None, memory_bytes=1)
    assert life.look(0, 1, 2) == []
    assert life.told == [(logging.INFO, "memory cannot be measured, max_worker_memory has no effect measure=rss")]


def test_a_limit_below_what_a_new_worker_has_makes_no_storm():
    life = Life(used=200 * MB, memory_bytes=100 * MB)
    assert life.look(0, 1, LEAST_AGE_S - 0.1) == []
    ((level, text),) = life.told
    assert level == logging.WARNING
    assert text.endswith("rss_mb=200 limit_mb=100")
    assert life.look(LEAST_AGE_S) == [("max_worker_memory", "rss_mb=200 limit_mb=100")]


@pytest.mark.parametrize(
    ("limit", "jitter", "most"), [(100, None, 110), (100, 0, 100), (100, 30, 130), (0, 50, 0), (0, None, 0)]
)
def test_limits_are_drawn_between_the_setting_and_its_jitter(limit, jitter, most):
    drawn = [draw_limit(limit, jitter, 0.1) for _ in range(200)]
    assert limit <= min(drawn) <= max(drawn) <= most
    assert (len(set(drawn)) > 100) is (most > limit)


def test_an_application_that_seeds_random_does_not_make_workers_equal():
    def draw():
        random.seed(1)
        limits = Limits.draw(Settings.defaults(max_worker_age=1e6, max_worker_memory=1 << 40))
        return limits.age_s, limits.memory_bytes, draw_request_limit(settings)

    settings = Settings.defaults(max_requests=10, max_requests_jitter=10**9)
    assert all(one != other for one, other in zip(draw(), draw(), strict=True))


def test_the_settings_say_what_is_measured():
    limits = Limits.draw(Settings.defaults(max_worker_memory=100, max_worker_memory_jitter=0))
    assert (limits.memory_bytes, limits.measure, limits.measured) == (100, memory.rss_bytes, "rss")
    limits = Limits.draw(Settings.defaults(max_worker_memory=100, max_worker_memory_measure="pss"))
    assert (limits.measure, limits.measured, limits.every_s) == (memory.pss_bytes, "pss", PSS_EVERY_S)
    assert 100 <= limits.memory_bytes <= 105
    assert draw_request_limit(Settings.defaults()) == 0
