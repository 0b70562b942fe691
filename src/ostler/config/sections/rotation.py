"""Entries of the chapter "Logging" about log files that turn over by themselves. Ostler's own."""

import re

from ostler.config.parse import BadValue, NotAnInteger, read_integer
from ostler.config.setting import ReloadEffect, Section, Setting, Takes

_BYTES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_SECONDS = {"": 1, "S": 1, "M": 60, "H": 3600, "D": 86400, "W": 7 * 86400}
_WORDS = {"hourly": 3600, "daily": 86400, "weekly": 7 * 86400}
_read_count = read_integer()


def read_size(raw: object) -> int:
    """Bytes: an integer, or text with a unit of 1024 (`512K`, `10M`, `10MB`, `1G`); None and 0 are off."""
    return _scaled(raw, "a size such as 10485760, 10M or 1G, or 0", _BYTES, "(?:i?B)?")


def read_interval(raw: object) -> int:
    """Seconds: an integer, a word, or text with a unit (`90m`, `12h`, `7d`); None and 0 are off."""
    if isinstance(raw, str) and raw.strip().lower() in _WORDS:
        return _WORDS[raw.strip().lower()]
    seconds = _scaled(raw, 'an interval such as "hourly", "daily", 90m, 12h or 7d, or 0', _SECONDS, "")
    if 0 < seconds < 60:
        raise BadValue("an interval of 60 seconds or more, or 0", raw)
    return seconds


def _scaled(raw: object, expected: str, units: dict[str, int], tail: str) -> int:
    if raw is None:
        return 0
    if isinstance(raw, str):
        found = re.fullmatch(rf"([0-9]+)\s*([A-Z]?){tail}", raw.strip(), re.IGNORECASE | re.ASCII)
        if found is None or found[2].upper() not in units:
            raise NotAnInteger(expected, raw)
        return int(found[1]) * units[found[2].upper()]
    return _read_count(raw)


SETTINGS = (
    Setting(
        name="log_rotate_size",
        section=Section.LOGGING,
        flags=("--log-rotate-size",),
        metavar="SIZE",
        read=read_size,
        default=0,
        takes=Takes.INTEGER_OR_TEXT,
        reload=ReloadEffect.MASTER,
        gunicorn=False,
        doc=(
            "Turn a log file over when it has grown to this size, in bytes or with a unit of 1024 (`10M`, `1G`); 0 is "
            "never. `access.log` becomes `access.log.1`, and so on; no line is lost or split. Not for use beside "
            "logrotate, which USR1 serves."
        ),
    ),
    Setting(
        name="log_rotate_interval",
        section=Section.LOGGING,
        flags=("--log-rotate-interval",),
        metavar="INTERVAL",
        read=read_interval,
        default=0,
        takes=Takes.INTEGER_OR_TEXT,
        reload=ReloadEffect.MASTER,
        gunicorn=False,
        doc=(
            "Turn log files over at this interval: `hourly`, `daily` (at local midnight), `90m`, `12h`, `7d`, or "
            "seconds; 0 is never."
        ),
    ),
    Setting(
        name="log_rotate_keep",
        section=Section.LOGGING,
        flags=("--log-rotate-keep",),
        metavar="INT",
        read=read_integer(1),
        default=10,
        takes=Takes.INTEGER,
        least=1,
        reload=ReloadEffect.MASTER,
        gunicorn=False,
        doc="How many old files of each log stay when logs turn over; older ones are removed.",
    ),
)
