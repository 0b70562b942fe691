import pytest

from ostler.config.environment import given_in, notices_of, raw_value, variable_of
from ostler.config.parse import BadValue
from ostler.config.sections import ENTRIES
from ostler.config.setting import Takes

ENTRY = {entry.name: entry for entry in ENTRIES}


@pytest.mark.parametrize("word", ["true", "True", "1", "yes", "on", " ON "])
def test_words_that_switch_on(word):
    assert raw_value(ENTRY["reload"], word) is True
    assert raw_value(ENTRY["sendfile"], word) is True


@pytest.mark.parametrize("word", ["false", "FALSE", "0", "no", "off"])
def test_words_that_switch_off(word):
    assert raw_value(ENTRY["reload"], word) is False
    assert raw_value(ENTRY["request_buffering"], word) is False


@pytest.mark.parametrize("word", ["", "ja", "2", "none"])
def test_other_words_are_no_switch(word):
    with pytest.raises(BadValue, match="yes, no, on, off"):
        raw_value(ENTRY["reload"], word)


def test_what_may_be_repeated_as_a_flag_is_words_as_in_a_shell():
    assert raw_value(ENTRY["raw_env"], "A=1 'B=two words' C=") == ["A=1", "B=two words", "C="]
    assert raw_value(ENTRY["bind"], ":1,:2 :3") == [":1,:2", ":3"]
    assert raw_value(ENTRY["raw_env"], "") == []
    with pytest.raises(BadValue, match="shell"):
        raw_value(ENTRY["raw_env"], "A='1")


def test_tables_are_json():
    assert raw_value(ENTRY["secure_scheme_headers"], '{"X-A": "b"}') == {"X-A": "b"}
    for text in ("X-A=b", "[1]", ""):
        with pytest.raises(BadValue, match="a JSON object"):
            raw_value(ENTRY["logconfig_dict"], text)


def test_everything_else_stays_text():
    assert raw_value(ENTRY["workers"], "4") == "4"
    assert raw_value(ENTRY["forwarded_allow_ips"], "10.0.0.0/8,::1") == "10.0.0.0/8,::1"
    assert raw_value(ENTRY["post_fork"], "module.name") == "module.name"
    assert raw_value(ENTRY["proxy_protocol"], "off") == "off"
    assert raw_value(ENTRY["statsd_prefix"], "") == ""


def as_text(raw):
    match raw:
        case dict():
            return "{}"
        case list() | tuple():
            return " ".join(raw)
        case _:
            return str(raw)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_each_setting_has_a_variable_that_can_hold_its_default(entry):
    assert list(given_in({variable_of(entry): "x"})) == [(variable_of(entry), entry, "x")]
    if entry.default is not None:
        raw = raw_value(entry, as_text(entry.default))
        if entry.takes is not Takes.TABLE:
            assert entry.read(raw) == entry.default_value()


def test_variables_that_are_nearly_settings_are_noticed_and_others_are_not():
    environ = dict.fromkeys(["OSTLER_WORKER", "OSTLER_LOG_LEVEL", "OSTLER_HOME", "OSTLER_ENV", "OSTLER_PURE"], "x")
    environ |= {"OSTLER_CMD_ARGS": "", "OSTLER_READY_FD": "3", "OSTLER_WORKERS": "3", "WORKER": "3", "OSTLER_": ""}
    assert list(notices_of(environ)) == [
        "OSTLER_LOG_LEVEL: not a setting; did you mean OSTLER_LOGLEVEL? (from the environment)",
        "OSTLER_WORKER: not a setting; did you mean OSTLER_WORKERS? (from the environment)",
    ]
