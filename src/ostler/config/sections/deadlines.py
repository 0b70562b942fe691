"""Chapter "Deadlines": how long a client may take, and an application call, in every worker kind.

Defaults are nginx's where nginx has one.
"""

from typing import Any

from ostler.config.parse import BadValue, read_integer, read_seconds, read_table
from ostler.config.setting import ReloadEffect, Section, Setting, Takes


def _limit(name: str, default: float, doc: str, **number: Any) -> Setting:
    """`number`: how the value is written and read."""
    flags = (f"--{name.replace('_', '-')}",)
    shape: dict[str, Any] = {"reload": ReloadEffect.WORKERS, "least": 0, "gunicorn": False} | number
    return Setting(name=name, section=Section.DEADLINES, flags=flags, default=default, doc=doc, **shape)


def _seconds(name: str, default: float, doc: str) -> Setting:
    return _limit(name, default, doc, metavar="SECONDS", takes=Takes.NUMBER, read=read_seconds)


def _rate(name: str, default: int, doc: str) -> Setting:
    return _limit(name, default, doc, metavar="BYTES", takes=Takes.INTEGER, read=read_integer())


def _read_paths(raw: object) -> dict[str, float]:
    """Path prefixes with their seconds, e.g. {"/reports": 300, "/events": 0}."""
    found: dict[str, float] = {}
    for path, seconds in read_table(raw).items():
        if not path.startswith("/"):
            raise BadValue("a dict whose keys begin with a slash", raw)
        found[path] = read_seconds(seconds)
    return found


SETTINGS = (
    _seconds(
        "request_timeout",
        0,
        "Seconds that an application call may take, from its beginning until its response is handed over; 0 is no "
        "limit. Then its client gets 504 Gateway Timeout (or its response is broken off, where one has begun), the log "
        "shows where it is, and the call is ended where that is possible: a thread, a greenlet and a task are "
        "interrupted by an exception. `timeout` is for workers that do not live any more.",
    ),
    _seconds(
        "request_timeout_hard",
        0,
        "Seconds after which a worker is replaced in which an application call is still running; 0 is twice "
        "`request_timeout`. Its successor is ready first, and its other requests are finished.",
    ),
    Setting(
        name="request_timeout_paths",
        section=Section.DEADLINES,
        read=_read_paths,
        default={},
        reload=ReloadEffect.WORKERS,
        takes=Takes.TABLE,
        gunicorn=False,
        doc="Other values of `request_timeout` for paths and what is below them, e.g. "
        '`{"/reports": 300, "/events": 0}`. The longest one that fits counts; 0 is no limit. Their hard limit is as '
        "much later as it is elsewhere, or twice as long where `request_timeout_hard` is 0.",
    ),
    _seconds(
        "handshake_timeout",
        10,
        "Seconds for what comes before HTTP: a PROXY header and the TLS handshake together; 0 is no limit. Whoever "
        "takes longer is disconnected.",
    ),
    _seconds(
        "header_timeout",
        30,
        "Seconds that a client may take for the whole head of a request, from its first byte (of a connection's first "
        "request: from the connection) to its empty line; 0 is no limit. Answered with 408 if something of it came.",
    ),
    _seconds(
        "body_timeout",
        60,
        "Seconds without a byte of a request's body after which the client is given up, with 408 where a response is "
        "still possible; 0 is no limit.",
    ),
    _rate(
        "body_min_rate",
        240,
        "Bytes a second that a request's body must bring on average, once the first `body_timeout` seconds are over "
        "(60 without one); 0 is no limit. Where the application reads a body that still arrives, so that a thread "
        "waits for it, at least 8192 are asked for, unless this is 0.",
    ),
    _seconds(
        "body_total_timeout",
        0,
        "Seconds that a request's body may take from beginning to end, whatever its rate; 0 is no limit. Where the "
        "application reads a body that still arrives, only the time spent waiting for the client counts.",
    ),
    _seconds(
        "write_timeout",
        60,
        "Seconds without a byte of the response taken by the client after which it is given up; 0 is no limit.",
    ),
    _rate(
        "write_min_rate",
        240,
        "Bytes a second that a client must take on average while a response waits for it, once the first "
        "`write_timeout` seconds are over (60 without one); 0 is no limit.",
    ),
    _seconds(
        "lingering_timeout",
        2,
        "Seconds without a byte after which a connection is closed at last on which nothing more is sent: a client "
        "that is still sending would not get to read its answer otherwise (RFC 9112 section 9.6). 15 times as long "
        "in all; 0 closes at once.",
    ),
)
