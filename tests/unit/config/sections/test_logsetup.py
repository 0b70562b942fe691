import pytest

from ostler.config.parse import BadValue
from ostler.config.sections.logsetup import DEFAULT_LOGGER, read_logger_class


class Logger: ...


def test_a_logger_is_a_class_or_its_path():
    assert read_logger_class(Logger) is Logger
    assert read_logger_class(" pkg.mod.Logger ") == "pkg.mod.Logger"
    assert read_logger_class("egg:dist#name") == "egg:dist#name"
    assert read_logger_class("simple") == DEFAULT_LOGGER


def test_a_function_may_choose_the_logger():
    assert read_logger_class(lambda: Logger) is Logger
    assert read_logger_class(lambda: "pkg.Logger") == "pkg.Logger"


def test_a_function_that_raises_is_told():
    def choose():
        raise RuntimeError("no logger today")

    with pytest.raises(BadValue) as caught:
        read_logger_class(choose)
    assert "RuntimeError: no logger today" in caught.value.cure


@pytest.mark.parametrize("raw", [None, "", "logger", 3, Logger(), lambda: None])
def test_other_things_are_no_logger(raw):
    with pytest.raises(BadValue):
        read_logger_class(raw)
