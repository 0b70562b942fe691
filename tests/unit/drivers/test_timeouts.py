"""drivers/timeouts.py"""

from ostler.config.settings import Settings
from ostler.drivers.timeouts import Timeouts


def test_keepalive_is_a_setting():
    assert Timeouts.of(Settings.defaults(keepalive=3)).keep_alive_s == 3.0
