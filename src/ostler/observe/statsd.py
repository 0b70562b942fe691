"""Metrics to a StatsD or DogStatsD daemon, in the names and on the wire as Gunicorn sends them.

One metric is one datagram: daemons also take several in one, separated by newlines, but what listens to Gunicorn today
need not. A datagram that cannot be sent now is lost and counted: a late gauge is a wrong one. Only the look-up of a
name is waited for.

    gunicorn.request.duration:12.5|ms        gunicorn.requests:1|c|@1.0        gunicorn.workers:4|g|#env:prod

Rules for editing: names and formats are an interface (https://github.com/statsd/statsd, docs/metric_types.md, and
DogStatsD's datagrams). Nothing here blocks or raises.
"""

import logging
from typing import Final

from ostler.config.address import StatsdAddress
from ostler.lifecycle import RequestFinished
from ostler.observe.remote import Remote, Wiring
from ostler.observe.route import Destination

METRIC: Final = "metric"
VALUE: Final = "value"
TYPE: Final = "mtype"
GAUGE: Final = "gauge"
COUNTER: Final = "counter"
HISTOGRAM: Final = "histogram"
TIMER: Final = "timer"
"""What a log call may have in `extra`, and the types that `mtype` may name."""

COUNTED: Final = "_statsd_counted"
"""Attribute of a record whose metrics were sent by the one who made it (compat/statsd.py)."""



def normal_prefix(prefix: str) -> str:
    """`shop`, `shop.` and `shop..` are `shop.`. One letter alone stays without a dot, as dashboards know it."""
    stem = prefix.rstrip(".")
    return f"{stem}." if len(stem) > 1 else prefix


class Statsd:
    """The daemon. Any thread; values are numbers, or text that the daemon understands ("+1" for a gauge)."""

    def __init__(self, address: StatsdAddress, prefix: str, tags: str, wiring: Wiring) -> None:
        """prefix: statsd_prefix. tags: dogstatsd_tags, "" for plain StatsD."""
        destination = Destination("unix-dgram" if address.path else "udp", address.host, address.port, address.path)
        self.remote = Remote(destination, wiring, queue_bytes=0)
        self._prefix = normal_prefix(prefix)
        self._tags = f"|#{tags}" if tags else ""

    def gauge(self, name: str, value: object) -> None:
        self.remote.send(self.datagram(name, f"{value}|g"))

    def increment(self, name: str, value: object, sampling_rate: float = 1.0) -> None:
        self.remote.send(self.datagram(name, f"{value}|c|@{sampling_rate}"))

    def decrement(self, name: str, value: object, sampling_rate: float = 1.0) -> None:
        self.remote.send(self.datagram(name, f"-{value}|c|@{sampling_rate}"))

    def timer(self, name: str, value: object) -> None:
        """value: milliseconds."""
        self.remote.send(self.datagram(name, f"{value}|ms"))

    def histogram(self, name: str, value: object) -> None:
        self.remote.send(self.datagram(name, f"{value}|h"))

    def emit(self, metric: object, value: object, kind: object) -> None:
        """What a log call's `extra` says; nothing unless it says all and a type that there is."""
        if not metric or value is None:
            return
        match kind:
            case "gauge":
                self.gauge(str(metric), value)
            case "counter":
                self.increment(str(metric), value)
            case "histogram":
                self.histogram(str(metric), value)
            case "timer":
                self.timer(str(metric), value)

    def datagram(self, name: str, value: str) -> bytes:
        return f"{self._prefix}{name}:{value}{self._tags}".encode("utf-8", "backslashreplace")


class StatsdObserver:
    """An Observer: each request's duration, how long it waited before where a proxy says so, and counters of all and of
    each status.
    """

    def __init__(self, statsd: Statsd) -> None:
        self._statsd = statsd
        self._requests = statsd.datagram("gunicorn.requests", "1|c|@1.0")
        self._statuses: dict[str, bytes] = {}

    def request_finished(self, event: RequestFinished) -> None:
        seconds, microseconds = divmod(round(event.duration_s * 1_000_000), 1_000_000)
        duration = f"{seconds * 1000 + microseconds / 1000}|ms"
        statsd = self._statsd
        statsd.remote.send(
            statsd.datagram("gunicorn.request.duration", duration), self._requests, self._status(event.status[:3])
        )
        waited_s = event.environ.get("ostler.queue_time")
        if waited_s is not None:
            statsd.timer("gunicorn.request.queue_time", round(waited_s * 1000, 3))

    def _status(self, code: str) -> bytes:
        found = self._statuses.get(code)
        if found is None:  # at most as many as there are status codes: the response checks that it is three digits
            found = self._statuses[code] = self._statsd.datagram(f"gunicorn.request.status.{code}", "1|c|@1.0")
        return found


class LogMetrics(logging.Filter):
    """For the logger gunicorn.error itself: counts what is logged by level, and sends the metrics that calls carry.

    A call with a metric and an empty message is not logged. Gunicorn counts calls of its Logger's methods, below the
    log level too; this sees records, so only those that are logged, and cannot tell `error(..., exc_info=True)` from
    `exception(...)`.
    """

    def __init__(self, statsd: Statsd) -> None:
        super().__init__()
        self._statsd = statsd

    def filter(self, record: logging.LogRecord) -> bool:
        values = record.__dict__
        if values.pop(COUNTED, False):
            return True
        if record.levelno >= logging.WARNING:
            self._statsd.increment(_counter_of(record), 1)
        if METRIC in values:
            self._statsd.emit(values[METRIC], values.get(VALUE), values.get(TYPE))
            return bool(record.msg)
        return True


def _counter_of(record: logging.LogRecord) -> str:
    if record.levelno >= logging.CRITICAL:
        return "gunicorn.log.critical"
    if record.levelno >= logging.ERROR:
        return "gunicorn.log.exception" if record.exc_info else "gunicorn.log.error"
    return "gunicorn.log.warning"
