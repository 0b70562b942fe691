"""Entries of the chapter "Logging" about other machines and daemons: syslog and statsd."""

import sys

from ostler.config.address import StatsdAddress, SyslogAddress, parse_statsd_address, parse_syslog_address
from ostler.config.parse import BadValue, read_any_text, read_choice, read_text_if_any
from ostler.config.sections.shapes import switch
from ostler.config.setting import ReloadEffect, Section, Setting

FACILITIES = (
    *("auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "security", "syslog", "user", "uucp"),
    *(f"local{number}" for number in range(8)),
)
_SYSLOG_BY_PLATFORM = {
    "darwin": "unix:///var/run/syslog",
    "freebsd": "unix:///var/run/log",
    "dragonfly": "unix:///var/run/log",
    "openbsd": "unix:///dev/log",
}


def read_syslog_address(raw: object) -> SyslogAddress:
    """`udp://HOST:PORT`, `tcp://HOST:PORT`, `unix://PATH`, `unix://PATH#dgram`."""
    if not isinstance(raw, str):
        raise BadValue("udp://HOST:PORT, tcp://HOST:PORT or unix://PATH", raw)
    return parse_syslog_address(raw)


def read_statsd_address(raw: object) -> StatsdAddress | None:
    """`HOST:PORT` or `unix://PATH`; None and empty text are off."""
    text = read_text_if_any(raw)
    return None if text is None else parse_statsd_address(text)


SETTINGS = (
    switch(
        "syslog",
        Section.LOGGING,
        "--log-syslog",
        "Send the error log, and the access log, to syslog too.",
        reload=ReloadEffect.MASTER,
    ),
    Setting(
        name="syslog_addr",
        section=Section.LOGGING,
        flags=("--log-syslog-to",),
        metavar="ADDRESS",
        read=read_syslog_address,
        default=next(
            (address for name, address in _SYSLOG_BY_PLATFORM.items() if sys.platform.startswith(name)),
            "udp://localhost:514",
        ),
        default_text="`udp://localhost:514`; the system's own socket on macOS and the BSDs",
        reload=ReloadEffect.MASTER,
        doc=(
            "Where syslog listens: `udp://HOST:PORT`, `tcp://HOST:PORT`, `unix://PATH` (datagrams, else a stream) or "
            "`unix://PATH#dgram`. A daemon that is down, full or slow costs lines, which are counted, and never time."
        ),
    ),
    Setting(
        name="syslog_prefix",
        section=Section.LOGGING,
        flags=("--log-syslog-prefix",),
        metavar="NAME",
        read=read_text_if_any,
        default=None,
        default_text="`proc_name`",
        reload=ReloadEffect.MASTER,
        doc="The program's name in syslog. Entries read `gunicorn.NAME.error` and `gunicorn.NAME.access`.",
    ),
    Setting(
        name="syslog_facility",
        section=Section.LOGGING,
        flags=("--log-syslog-facility",),
        metavar="NAME",
        read=read_choice(*FACILITIES),
        choices=FACILITIES,
        default="user",
        reload=ReloadEffect.MASTER,
        doc="The facility of the entries in syslog: `user`, `daemon`, `local0` to `local7` and so on.",
    ),
    switch(
        "disable_redirect_access_to_syslog",
        Section.LOGGING,
        "--disable-redirect-access-to-syslog",
        "Keep the access log out of syslog.",
        reload=ReloadEffect.MASTER,
    ),
    Setting(
        name="statsd_host",
        section=Section.LOGGING,
        flags=("--statsd-host",),
        metavar="ADDRESS",
        read=read_statsd_address,
        default=None,
        default_text="none",
        reload=ReloadEffect.WORKERS,
        doc=(
            "Send metrics to statsd at `HOST:PORT` (the port is 8125 when left out) or `unix://PATH`: requests, their "
            "status and duration, workers, lines logged. Datagrams that cannot be sent at once are dropped."
        ),
    ),
    Setting(
        name="statsd_prefix",
        section=Section.LOGGING,
        flags=("--statsd-prefix",),
        metavar="PREFIX",
        read=read_any_text,
        default="",
        default_text="none",
        reload=ReloadEffect.WORKERS,
        doc="Text before the name of each metric; a dot follows it unless it ends in one.",
    ),
    Setting(
        name="dogstatsd_tags",
        section=Section.LOGGING,
        flags=("--dogstatsd-tags",),
        metavar="TAGS",
        read=read_any_text,
        default="",
        default_text="none",
        reload=ReloadEffect.WORKERS,
        doc="Tags for DogStatsD, separated by commas (`env:prod,team:web`), that each metric carries.",
    ),
    switch(
        "enable_backlog_metric",
        Section.LOGGING,
        "--enable-backlog-metric",
        "Send the number of connections that wait in the backlog of the listening sockets to statsd. Linux only.",
        reload=ReloadEffect.WORKERS,
    ),
)
