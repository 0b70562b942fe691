"""observe/plan.py"""

import os

import pytest

from ostler.config.settings import Settings
from ostler.errors import ConfigError
from ostler.observe.plan import LogPlan
from ostler.observe.rotation import Rotation


def test_the_plan_of_no_settings_is_stderr_alone():
    plan = LogPlan.of(Settings.defaults())
    assert (plan.errorlog, plan.accesslog, plan.loglevel, plan.syslog, plan.rotation) == ("-", None, "info", None, None)
    assert plan.owner is None
    assert not plan.has_access_log
    assert not plan.captures


def test_settings_find_their_place():
    settings = Settings.defaults(
        errorlog="/e", accesslog="/a", capture_output=True, error_log_json=True, access_log_format="json",
        access_log_skip=("/health",), log_rotate_size=10, log_rotate_keep=3, user=os.geteuid() + 1, syslog=True,
        proc_name="app:x", syslog_facility="local3",
    )  # fmt: skip
    plan = LogPlan.of(settings)
    assert plan.captures
    assert plan.has_access_log
    assert (plan.error_json, plan.access_format, plan.access_skip) == (True, "json", ("/health",))
    assert plan.rotation == Rotation(size=10, keep=3)
    assert plan.owner == (os.geteuid() + 1, os.getegid())
    assert plan.syslog is not None
    assert (plan.syslog.prefix, plan.syslog.facility, plan.syslog.access) == ("app.x", "local3", True)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"accesslog": "-"}, True), ({"syslog": True}, True), ({"logconfig_dict": {"version": 1}}, True),
        ({"syslog": True, "disable_redirect_access_to_syslog": True}, False), ({}, False),
    ],
)  # fmt: skip
def test_there_is_an_access_log_when_it_has_somewhere_to_go(settings, expected):
    assert LogPlan.of(Settings.defaults(**settings)).has_access_log is expected


def test_equal_settings_make_equal_plans():
    assert LogPlan.of(Settings.defaults()) == LogPlan.of(Settings.defaults(workers=4))
    assert LogPlan.of(Settings.defaults()) != LogPlan.of(Settings.defaults(loglevel="debug"))


def test_a_logconfig_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="logconfig: cannot read"):
        LogPlan.of(Settings.defaults(logconfig=str(tmp_path / "none.ini")))
