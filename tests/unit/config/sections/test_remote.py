import pytest

from ostler.config.address import StatsdAddress, SyslogAddress
from ostler.config.parse import BadValue
from ostler.config.sections import TABLE
from ostler.config.sections.remote import read_statsd_address, read_syslog_address

BY_NAME = {entry.name: entry for entry in TABLE}


def test_syslog_has_an_address():
    assert read_syslog_address("tcp://log:601") == SyslogAddress("tcp", "log", 601)
    for raw in (None, "", "log:514", 514):
        with pytest.raises(BadValue):
            read_syslog_address(raw)


def test_statsd_may_be_off():
    assert read_statsd_address(None) is read_statsd_address("") is None
    assert read_statsd_address("stats") == StatsdAddress("stats", 8125)
    with pytest.raises(BadValue):
        read_statsd_address(8125)


def test_a_facility_is_in_any_case():
    assert BY_NAME["syslog_facility"].read("LOCAL3") == "local3"
    with pytest.raises(BadValue):
        BY_NAME["syslog_facility"].read("local8")
