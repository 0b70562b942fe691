"""Chapter "Logging": where the logs go and what they say. More: `logsetup.py`, `remote.py`, `rotation.py`."""

from ostler.config.parse import (
    BadValue,
    read_choice,
    read_error_target,
    read_optional_log_target,
    read_text,
    read_texts,
)
from ostler.config.sections.shapes import switch
from ostler.config.setting import FlagKind, ReloadEffect, Section, Setting, Support, Takes

_LEVELS = ("debug", "info", "warning", "error", "critical")
_read_level = read_choice(*_LEVELS)
_OLD_NAMES = {"warn": "warning", "fatal": "critical"}  # of the logging module


def read_level(raw: object) -> str:
    """A level of the error log."""
    return _read_level(_OLD_NAMES.get(raw.strip().lower(), raw) if isinstance(raw, str) else raw)


def read_skip(raw: object) -> tuple[str, ...]:
    """Paths; one that ends in `*` is a prefix."""
    paths = read_texts(raw)
    for path in paths:
        if not path.startswith(("/", "*")) or "*" in path[:-1]:
            raise BadValue('paths such as "/health" or "/static/*"', path)
    return paths


SETTINGS = (
    Setting(
        name="accesslog",
        section=Section.LOGGING,
        flags=("--access-logfile",),
        metavar="FILE",
        read=read_optional_log_target,
        default=None,
        default_text="none",
        reload=ReloadEffect.WORKERS,
        doc="The access log: a file, or `-` for stdout. Unset, there is none. USR1 opens it anew.",
    ),
    Setting(
        name="access_log_format",
        section=Section.LOGGING,
        flags=("--access-logformat",),
        metavar="FORMAT",
        read=read_text,
        default='%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
        reload=ReloadEffect.WORKERS,
        doc=(
            "The line of the access log, in Gunicorn's atoms `%(x)s`, `%({field}i)s`, `%({field}o)s`, `%({name}e)s`. "
            "`json` is Ostler's own: one JSON object a line."
        ),
    ),
    Setting(
        name="access_log_skip",
        section=Section.LOGGING,
        flags=("--access-log-skip",),
        kind=FlagKind.REPEAT,
        metavar="PATH",
        read=read_skip,
        default=(),
        default_text="none",
        takes=Takes.TEXTS,
        reload=ReloadEffect.WORKERS,
        gunicorn=False,
        doc=(
            "Requests for this path are left out of the access log. `/health` is this path only; `/static/*` is "
            "everything that begins with `/static/`. A list in the file, or the flag several times."
        ),
    ),
    Setting(
        name="errorlog",
        section=Section.LOGGING,
        flags=("--error-logfile", "--log-file"),
        metavar="FILE",
        read=read_error_target,
        default="-",
        reload=ReloadEffect.MASTER,
        doc="The error log: a file, or `-` for stderr. USR1 opens it anew.",
    ),
    Setting(
        name="loglevel",
        section=Section.LOGGING,
        flags=("--log-level",),
        metavar="LEVEL",
        read=read_level,
        choices=_LEVELS,
        support=Support.DIFFERS,
        note="`warn` and `fatal` are `warning` and `critical`; others are errors, and not `info` without a word",
        default="info",
        reload=ReloadEffect.MASTER,
        doc="The least level that the error log shows: `debug`, `info`, `warning`, `error` or `critical`.",
    ),
    switch(
        "error_log_json",
        Section.LOGGING,
        "--json-error-log",
        "Write the error log as one JSON object a line.",
        reload=ReloadEffect.MASTER,
        gunicorn=False,
    ),
    switch(
        "mask_query",
        Section.LOGGING,
        "--mask-query",
        "Show the query of a request as `?***` where the error log and `ostler status` say what a worker was serving "
        "when it hung or died. The access log has its own format.",
        reload=ReloadEffect.WORKERS,
        gunicorn=False,
    ),
    switch(
        "capture_output",
        Section.LOGGING,
        "--capture-output",
        "Send what is written to stdout and stderr to the error log.",
        reload=ReloadEffect.MASTER,
    ),
)
