"""compat/logger_class.py"""

import sys

import pytest

from ostler.compat.glogging import Logger
from ostler.compat.logger_class import logger_class_of
from ostler.compat.statsd import Statsd
from ostler.config.address import StatsdAddress
from ostler.errors import ConfigError
from tests.unit.compat.facts import settings


class Own(Logger): ...


NOT_A_CLASS = 1


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """An installed distribution `h9logs` with the entry points own, and broken."""
    info = tmp_path / "h9logs-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: h9logs\nVersion: 1\n")
    points = f"[gunicorn.loggers]\nown = {__name__}:Own\nbroken = h9logs_broken:Own\n[other]\nelse = {__name__}:Own\n"
    (info / "entry_points.txt").write_text(points)
    (tmp_path / "h9logs_broken.py").write_text("1/0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("h9logs_broken", None)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (Own, Own),
        (f"{__name__}.Own", Own),
        ("gunicorn.glogging.Logger", Logger),
        ("gunicorn.instrument.statsd.Statsd", Statsd),
        ("ostler.compat.glogging.Logger", Logger),
        ("egg:h9logs#own", Own),
        ("egg:h9logs", Logger),
    ],
)
@pytest.mark.usefixtures("distribution")
def test_a_class_is_found_by_each_kind_of_name(given, found):
    assert logger_class_of(settings(logger_class=given)) is found


def test_metrics_need_no_other_class():
    given = settings(statsd_host=StatsdAddress("localhost", 8125))
    assert logger_class_of(given) is Logger


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("no_such_module.Own", "cannot import no_such_module.Own: ModuleNotFoundError: No module named"),
        (f"{__name__}.Missing", "cannot import .*: AttributeError: .* has no attribute 'Missing'"),
        (f"{__name__}.NOT_A_CLASS", "expected a class, .* is of type int"),
        ("egg:h9logs#else", "cannot import .*: ImportError: h9logs has no entry point 'else' in the group gunicorn"),
        ("egg:no-such-distribution#x", "cannot import .*: PackageNotFoundError"),
        ("egg:h9logs#broken", "cannot import .*: ZeroDivisionError: division by zero in .*h9logs_broken.py:1"),
        ("h9logs_broken.Own", "cannot import .*: ZeroDivisionError"),
    ],
)
@pytest.mark.usefixtures("distribution")
def test_what_is_wrong_with_a_name_is_said(given, problem):
    with pytest.raises(ConfigError, match=f"^logger_class: {problem}.*; name a class that derives from"):
        logger_class_of(settings(logger_class=given))
