"""Lines to a syslog daemon, as logging.handlers.SysLogHandler writes them: `<PRI>TAG: [PID] MESSAGE` (RFC 3164).

No time and no host: rsyslog, syslog-ng and journald add their own. How a message ends depends on the transport:

- UDP and Unix sockets: a NUL, as SysLogHandler and syslog(3) send it. On a Unix stream it is what separates messages.
- TCP: a newline (RFC 6587, 3.4.2). rsyslog's imtcp and syslog-ng's network() both split there by default; syslog-ng
  counts octets only in its syslog() source, and a NUL, as SysLogHandler sends it, separates messages for neither.

A newline within a message would begin another one on a stream: it is sent as #012 there, which is also how rsyslog
writes one that came in a datagram.

A message is cut at 8096 bytes, on every transport: that is rsyslog's default limit (its "8k"), beyond which it cuts it
or makes two of it. RFC 5426 asks receivers of datagrams for 480 bytes at least and recommends 2 KiB; the rest is
fragments.

Rules for editing: nothing blocks or raises; handlers take no lock, as a Remote needs none and a report logs.
"""

import logging
import os
from typing import Final

from ostler.config.address import SyslogAddress
from ostler.errors import ConfigError
from ostler.logline import escape, fields
from ostler.observe.remote import Remote, Wiring
from ostler.observe.route import Destination

_getpid = os.getpid

LIMIT_BYTES: Final = 8096
_CUT: Final = "..."

FACILITIES: Final = {
    "kern": 0,
    "user": 1,
    "mail": 2,
    "daemon": 3,
    "auth": 4,
    "security": 4,
    "syslog": 5,
    "lpr": 6,
    "news": 7,
    "uucp": 8,
    "cron": 9,
    "authpriv": 10,
    "ftp": 11,
    **{f"local{number}": 16 + number for number in range(8)},
}
"""Gunicorn's names; "security" is one of "auth" there, other than in RFC 3164's numbers."""

CRITICAL, ERROR, WARNING, INFO, DEBUG = 2, 3, 4, 6, 7
"""Severities (RFC 3164, 4.1.1)."""


def severity_of(level: int) -> int:
    """Of a level of logging; one of an application's own counts as the next lower standard one."""
    if level >= logging.CRITICAL:
        return CRITICAL
    if level >= logging.ERROR:
        return ERROR
    if level >= logging.WARNING:
        return WARNING
    return INFO if level >= logging.INFO else DEBUG


def tag_of(prefix: str, log: str) -> str:
    """What messages begin with, as Gunicorn's. prefix: syslog_prefix or the process name. log: "error", "access"."""
    return f"gunicorn.{prefix}.{log}"


class Syslog:
    """One daemon, for all logs that go there."""

    def __init__(self, address: SyslogAddress, facility: str, wiring: Wiring) -> None:
        """Raises ConfigError for a facility that is none."""
        if facility.lower() not in FACILITIES:
            expected = ", ".join(sorted(FACILITIES))
            raise ConfigError(f'syslog_facility: expected one of {expected}, got "{escape(facility)}"')
        destination = Destination(address.kind, address.host, address.port, address.path)
        self.remote = Remote(destination, wiring)
        self._facility = FACILITIES[facility.lower()] << 3
        self._lines = address.kind == "tcp"

    def send(self, severity: int, text: str) -> None:
        """One message. Any thread."""
        if "\0" in text:
            text = text.replace("\0", "#000")
        if "\n" in text and (self._lines or self.remote.streams):
            text = text.replace("\n", "#012")
        end = b"\n" if self._lines else b"\0"
        message = f"<{self._facility | severity}>{text}".encode("utf-8", "backslashreplace")
        if len(message) >= LIMIT_BYTES:
            room = LIMIT_BYTES - len(_CUT) - len(end)
            message = message[:room].decode("utf-8", "ignore").encode() + _CUT.encode()
        self.remote.send(message + end)


class SyslogSink:
    """A LogSink for finished lines, such as those of the access log."""

    def __init__(self, syslog: Syslog, tag: str, severity: int = INFO) -> None:
        self._syslog = syslog
        self._tag = tag
        self._severity = severity

    def write(self, line: str) -> None:
        self._syslog.send(self._severity, f"{self._tag}: [{_getpid()}] {line}")


class SyslogHandler(logging.Handler):
    """For a logger: the record's level becomes the severity."""

    _gunicorn = True  # subclasses of Gunicorn's Logger look for it

    def __init__(self, syslog: Syslog, tag: str) -> None:
        super().__init__()
        self.syslog = syslog
        self.setFormatter(logging.Formatter(f"{tag.replace('%', '%%')}: [%(process)d] %(message)s"))

    def handle(self, record: logging.LogRecord) -> bool:
        """Without the lock that logging holds here: two handlers whose reports log would wait for each other."""
        found = self.filter(record)
        if found:
            self.emit(found if isinstance(found, logging.LogRecord) else record)  # a filter may replace it from 3.12 on
        return bool(found)

    def emit(self, record: logging.LogRecord) -> None:
        severity = severity_of(record.levelno)
        try:
            text = self.format(record)
        except Exception as error:  # noqa: BLE001 - a caller's broken log call, or formatter; the message says which
            at, reason = f"{record.pathname}:{record.lineno}", f"{type(error).__name__}: {error}"
            severity, text = ERROR, fields("log call is broken", at=at, error=reason)
        self.syslog.send(severity, text)
