"""X-Request-Start: when a proxy received a request, and so how long that has waited since, for a worker or before it.

    t=1700000000.123      seconds: nginx (`proxy_set_header X-Request-Start "t=${msec}"`)
    1700000000123         milliseconds: Heroku
    t=1700000000123456    microseconds: Apache, New Relic

The unit is told by the size: these days seconds have 10 digits, milliseconds 13, microseconds 16. Whoever may set the
field is the caller's to decide (`forwarded_allow_ips`): a client could say anything.

Rules for editing: pure; no guesses. What cannot be understood, or cannot be true, is nothing.
"""

import re
from collections.abc import Iterable
from typing import Final

FIELD: Final = "x-request-start"
"""Its name, as heads have names."""

LONGEST_S: Final = 3600.0
"""Whoever waited for longer has left; a clock is wrong, or the field is from another time."""

AHEAD_S: Final = 60.0
"""So far a proxy's clock may be before ours: then the request has not waited."""

_VALUE: Final = re.compile(r"(?:t=)?([0-9]{10,19})(?:\.([0-9]{1,9}))?", re.ASCII)
_PER_SECOND: Final = ((11, 1.0), (14, 1e3), (17, 1e6), (20, 1e9))
"""Fewer digits than this -> how many of the unit are a second."""


def queue_time(value: str, wall_now_s: float) -> float | None:
    """Seconds since the moment that the field's `value` names, never negative; None: it says nothing that can be true.

    `wall_now_s`: `time.time()`. Of several values (", " between) the last counts, for the nearest proxy has added it.
    """
    match = _VALUE.fullmatch(value.rpartition(",")[2].strip(" \t"))
    if match is None:
        return None
    whole, part = match[1], match[2]
    number = float(f"{whole}.{part or 0}")
    for digits, per_second in _PER_SECOND:
        if len(whole) < digits:
            number /= per_second
            break
    waited_s = wall_now_s - number
    if not -AHEAD_S <= waited_s <= LONGEST_S:
        return None
    return max(0.0, waited_s)


def field_of(fields: Iterable[tuple[str, str]]) -> str | None:
    """The value of the last X-Request-Start of a head's fields; None where there is none."""
    found = None
    for name, value in fields:
        if name == FIELD:
            found = value
    return found
