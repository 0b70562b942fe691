"""Clocks: only dates are told by the wall clock; what waits, times out or beats uses the monotonic one (failures W9).

A clock that is set, by hand or by NTP, must neither kill a worker nor keep one alive.
"""

import ast

import pytest

from tests.architecture.test_imports import our_sources

WALL = {
    "time": {"time", "time_ns", "localtime", "gmtime", "ctime", "strftime", "mktime", "asctime"},
    "datetime": {"datetime", "date"},
}
# Where a date is written.
ALLOWED = {
    "ostler.compat.glogging": "the time stamp of a line",
    "ostler.observe.access": "the time stamp of a line",
    "ostler.observe.atoms": "the time stamp of a line",
    "ostler.observe.logs": "the time stamp of a line, and midnight for rotation",
    "ostler.observe.losses": "the time stamp of a line",
    "ostler.observe.records": "the time stamp of a line",
    "ostler.observe.rotation": "midnight, and the age of a file",
    "ostler.observe.sinks": "the age of a file",
    "ostler.drivers.clients": "the Date field",
    "ostler.roles.incidents": "when it happened, to be shown",
    "ostler.roles.insight": "when the server was started",
    "ostler.app.environ": "the time of day that a proxy has stamped on a request",
    "ostler.app.scope": "the time of day that a proxy has stamped on a request",
    "ostler.drivers.shedding": "the time of day that a proxy has stamped on a request",
    "ostler.compat.package.http.message": "the Date field",
}


def wall_clocks(source: str) -> list[str]:
    """Each use of a wall clock: `time.time` by attribute, or its import by name."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id=module), attr=name) if name in WALL.get(module, ()):
                found.append(f"{module}.{name} in line {node.lineno}")
            case ast.ImportFrom(module=str(module), names=names):
                taken = {alias.name for alias in names} & (WALL.get(module) or set())
                found += [f"{module}.{name} in line {node.lineno}" for name in sorted(taken)]
            case ast.Attribute(attr="clock_gettime" | "CLOCK_REALTIME"):
                found.append(f"{node.attr} in line {node.lineno}")
    return found


def test_only_dates_are_told_by_the_wall_clock() -> None:
    users = {name: used for name, source in our_sources().items() if (used := wall_clocks(source))}
    assert {name: used for name, used in users.items() if name not in ALLOWED} == {}
    assert users.keys() == ALLOWED.keys(), "an exception that nobody needs"


@pytest.mark.parametrize(
    "source",
    ["import time\ntime.time()", "from time import time as now", "import datetime\ndatetime.datetime.now()"],
)
def test_a_wall_clock_is_found(source: str) -> None:
    assert wall_clocks(source)
